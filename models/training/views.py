"""Photos of a step: drawn at random, cut and augmented."""

from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from models.cards import FAIRFACE_EDGES
from models.datasets.augment import augment
from models.datasets.crops import CropCache
from models.datasets.index import Row
from models.training.networks import Preprocessing
from models.training.recipe import Recipe


def balance_weights(rows: list[Row], power: float) -> NDArray[np.float64]:
    """Return a weight for each row, mean 1, by which it is drawn. Rare rows weigh more.

    It is a ** -`power` * b ** (-`power` / 2). Here a counts the rows of the same data set, age range and gender, and b
    those of the same data set and ethnic group.
    """

    def rarity(keys: list[Any], strength: float) -> NDArray[np.float64]:
        _, where, counts = np.unique(np.array([str(key) for key in keys]), return_inverse=True, return_counts=True)
        return (counts / counts.mean())[where] ** -strength

    middles = [-1.0 if row.age_lo is None or row.age_hi is None else (row.age_lo + row.age_hi) / 2 for row in rows]
    ages = np.digitize(middles, FAIRFACE_EDGES)  # 0: the age is not known
    weights = rarity([(row.data, age, row.gender) for row, age in zip(rows, ages, strict=True)], power)
    weights *= rarity([(row.data, row.race) for row in rows], power / 2)
    return weights / weights.mean()


def to_tensor(crops: NDArray[np.uint8] | Tensor, preprocessing: Preprocessing) -> Tensor:
    """Normalise crops, uint8 RGB [N, S, S, 3], to float32 [N, 3, S, S] on the device where they are."""
    images = torch.as_tensor(crops)
    images = (images.flip(3) if preprocessing.channels == "BGR" else images).float()
    mean, std = (torch.tensor(values, device=images.device) for values in (preprocessing.mean, preprocessing.std))
    return ((images - mean) / std).permute(0, 3, 1, 2)


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Batches of photos as the network sees them, uint8 RGB [N, S, S, 3], with their places in `rows`, [N].

    The key of a batch is (step, share of augmented photos from 0 to 1). A key gives the same batch in any process. A
    resumed run therefore sees what an uninterrupted one would see, unless `minutes` decide on the share.
    """

    def __init__(self, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, weights: NDArray[np.float64]) -> None:
        self._cache, self._rows, self._recipe, self._weights = cache, rows, recipe, weights

    def __getitem__(self, item: tuple[int, float]) -> tuple[Tensor, Tensor]:
        step, spoil = item
        recipe, cache, size_px = self._recipe, self._cache, self._recipe.size_px
        cv2.setNumThreads(1)
        rng = np.random.default_rng((recipe.seed, step))
        picked = rng.choice(len(self._weights), recipe.batch, p=self._weights / self._weights.sum())
        rows = self._rows[picked]
        others = rng.choice(self._rows, recipe.batch)
        views = np.stack(
            [
                augment(cache.crops[row], cache.corners[row], recipe.scale, size_px, cache.crops[other], rng, spoil)
                for row, other in zip(rows, others, strict=True)
            ]
        )
        return torch.from_numpy(views), torch.from_numpy(picked)
