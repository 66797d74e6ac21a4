"""Heads fitted to features of clean photos, before the whole network learns."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets.augment import view
from models.datasets.crops import CropCache
from models.training.losses import Labels, loss_of
from models.training.networks import PREPROCESSING, FaceNet, Heads, autocast
from models.training.recipe import Recipe
from models.training.views import drawn, to_tensor


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
        with torch.inference_mode(), autocast(device):
            features: Tensor = backbone(images).float()
            return features

    return torch.cat(list(pool.map(part, range(0, len(rows), recipe.batch)))).clone()


def deviation_of(features: Tensor) -> Tensor:
    """Return a scale for differences of features [n, F]: the standard deviation of each, float32 [F].

    A tenth of the mean deviation is added, as some features are hardly ever active.
    """
    deviation = features.std(0)
    return deviation + 0.1 * deviation.mean()


def fit_heads(heads: Heads, features: Tensor, labels: Labels, weights: NDArray[np.float64], recipe: Recipe) -> None:
    """Fit heads to features [n, F] of n photos, starting from their weights. Photos are drawn by `weights` [n].

    Features are normalised for it, and the first layer is adapted before and after.
    """
    mean, deviation = features.mean(0), deviation_of(features)
    features = (features - mean) / deviation
    hidden = heads.hidden
    with torch.no_grad():
        hidden.bias.add_(hidden.weight @ mean)
        hidden.weight.mul_(deviation)
    heads.train()
    optimizer = torch.optim.AdamW(heads.parameters(), 1e-3, weight_decay=0.05)
    rng = np.random.default_rng(recipe.seed)
    batch = min(256, len(features))
    steps = recipe.probe_epochs * len(features) // batch
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
        picked = torch.from_numpy(drawn(rng, weights, batch))
        some = Labels(*(column.to(features.device) for column in labels.of(picked)))
        loss = loss_of(heads(features[picked]), some)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hidden.weight.div_(deviation)
        hidden.bias.sub_(hidden.weight @ mean)
