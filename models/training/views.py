"""What a step learns from: photos drawn, cut and spoilt."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.cards import FAIRFACE_EDGES
from models.datasets.augment import augment, view
from models.datasets.crops import CropCache
from models.datasets.index import Row
from models.training.networks import Preprocessing
from models.training.recipe import Recipe


def balance_weights(rows: list[Row], power: float, natural: tuple[str, ...] = ()) -> NDArray[np.float64]:
    """Weight of each row, mean 1: (rows in its data set, age range, gender and group) to the minus `power`; within the
    data sets `natural` all weigh the same."""

    def rarity(keys: list[Any], strength: float) -> NDArray[np.float64]:
        _, where, counts = np.unique(np.array([str(key) for key in keys]), return_inverse=True, return_counts=True)
        return (counts / counts.mean())[where] ** -strength

    middles = [-1.0 if row.age_lo is None or row.age_hi is None else (row.age_lo + row.age_hi) / 2 for row in rows]
    ages = np.digitize(middles, FAIRFACE_EDGES)  # 0: not known
    weights = rarity([(row.data, age, row.gender) for row, age in zip(rows, ages, strict=True)], power)
    weights *= rarity([(row.data, row.race) for row in rows], power / 2)
    for name in natural:
        mine = np.array([row.data == name for row in rows])
        if mine.any():
            weights[mine] = weights[mine].mean()
    return weights / weights.mean()


def drawn(
    rng: np.random.Generator, weights: NDArray[np.float64], balance: str, batch: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which rows make the next batch, and how much each counts: rare ones drawn more often, weighted, or neither."""
    picked = rng.choice(len(weights), batch, p=weights / weights.sum() if balance == "sample" else None)
    return picked, weights[picked].astype(np.float32) if balance == "weight" else np.ones(batch, np.float32)


def to_tensor(crops: NDArray[np.uint8] | Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 RGB [N, S, S, 3] -> float32 [N, 3, S, S] as the network wants it, where the crops are."""
    images = torch.as_tensor(crops)
    images = (images.flip(3) if preprocessing.channels == "BGR" else images).float()
    mean, std = (torch.tensor(values, device=images.device) for values in (preprocessing.mean, preprocessing.std))
    return ((images - mean) / std).permute(0, 3, 1, 2)


class Views(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Item n is what step n learns from: photos as the network sees them, uint8 RGB [N, S, S, 3]; their places in
    `rows`, int64 [N]; and how much each counts, float32 [N].

    An item is named by its step, the size of its photos and how often they are spoilt (0 to 1). The same name gives the
    same item in any process, so that a resumed run goes on with what an uninterrupted one would have seen (unless
    minutes decide on the size).
    """

    def __init__(self, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, weights: NDArray[np.float64]) -> None:
        self._cache, self._rows, self._recipe, self._weights = cache, rows, recipe, weights

    def __getitem__(self, item: tuple[int, int, float]) -> tuple[Tensor, Tensor, Tensor]:
        step, size_px, spoil = item
        recipe, cache = self._recipe, self._cache
        cv2.setNumThreads(1)
        rng = np.random.default_rng((recipe.seed, step))
        picked, weight = drawn(rng, self._weights, recipe.balance, recipe.batch)
        rows = self._rows[picked]
        others = rng.choice(self._rows, recipe.batch)
        views = np.stack(
            [
                augment(cache.crops[row], cache.corners[row], recipe.scale, size_px, cache.crops[other], rng, spoil)
                if recipe.augment
                else view(cache.crops[row], recipe.scale, size_px)
                for row, other in zip(rows, others, strict=True)
            ]
        )
        return torch.from_numpy(views), torch.from_numpy(picked), torch.from_numpy(weight)
