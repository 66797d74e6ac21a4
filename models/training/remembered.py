"""Features that the network had at its start, which it goes on giving while it learns."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets.augment import view
from models.datasets.crops import CropCache
from models.training.networks import PREPROCESSING, FaceNet, autocast
from models.training.recipe import Recipe
from models.training.views import to_tensor


def features_of(
    net: FaceNet, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, pool: ThreadPoolExecutor
) -> Tensor:
    """Compute the backbone's features, float32 [n, F], of clean photos of `recipe.features_px`."""
    device = next(net.parameters()).device
    backbone = net.eval().backbone

    def part(start: int) -> Tensor:
        some = rows[start : start + recipe.batch]
        crops = np.stack([view(cache.crops[i], recipe.scale, recipe.features_px) for i in some])
        images = to_tensor(torch.from_numpy(crops).to(device), PREPROCESSING[recipe.arch])
        with torch.inference_mode(), autocast(device, recipe.arch):
            features: Tensor = backbone(images).float()
            return features

    return torch.cat(list(pool.map(part, range(0, len(rows), recipe.batch)))).clone()


def deviation_of(features: Tensor) -> Tensor:
    """Return a scale for differences of features [n, F]: the standard deviation of each, float32 [F].

    A tenth of the mean deviation is added, as some features are hardly ever active.
    """
    deviation = features.std(0)
    return deviation + 0.1 * deviation.mean()
