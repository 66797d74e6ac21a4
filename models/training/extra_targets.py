"""Targets of a run beside its labels: features to reproduce, and soft targets that replace part of a label."""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.datasets.crops import CropCache
from models.training.losses import Targets
from models.training.networks import FaceNet, build, placed
from models.training.recipe import Recipe
from models.training.teachers import (
    deviation_of,
    features_of,
    fit_heads,
    soft_targets_of,
    soft_targets_of_teachers,
    with_gender_of,
)


class ExtraTargets(NamedTuple):
    """Targets of n photos beside their labels. A kind that the recipe does not ask for is empty: [n, 0]."""

    features: Tensor
    """Features float32 [n, F] that the backbone should give."""
    deviation: Tensor
    """Scale of each feature, float32 [F], by which differences are divided."""
    soft_targets: Tensor
    """Probabilities float32 [n, 1 + YEARS] of a man and of each year."""


def extra_targets_of(
    net: FaceNet,
    cache: CropCache,
    rows: NDArray[np.int64],
    targets: Targets,
    weights: NDArray[np.float64],
    recipe: Recipe,
    pool: ThreadPoolExecutor,
    *,
    beginning: bool,
) -> ExtraTargets:
    """Compute the extra targets of rows [n] with the network as a run begins with it.

    At the beginning of a run with `probe_epochs`, the heads of `net` are fitted to its features, too.
    """
    device = next(net.parameters()).device
    people = [cache.rows[i] for i in rows]
    fitted = beginning and recipe.probe_epochs > 0
    cross_fitted = recipe.cross_fit > 0 and not recipe.teachers
    features, soft_targets = (torch.empty(len(rows), 0, device=device) for _ in range(2))
    if recipe.mimic_px or cross_fitted or fitted:
        mimicked = net
        if recipe.mimic_of:
            mimicked = placed(build(recipe.arch, recipe.size_px, recipe.mimic_of), device)
        features = features_of(mimicked, cache, rows, recipe, pool)
    if fitted:
        fit_heads(net.heads, features, rows, targets, weights, recipe)
    if recipe.teachers:
        soft_targets = soft_targets_of_teachers(cache, people, rows, recipe, device)
    elif recipe.cross_fit:
        soft_targets = soft_targets_of(features, people, rows, targets, weights, recipe)
    if recipe.gender_of:
        soft_targets = with_gender_of(soft_targets, recipe.gender_of, cache, rows)
    if not recipe.mimic_px:
        return ExtraTargets(features[:, :0], torch.empty(0), soft_targets.to(device))
    return ExtraTargets(features, deviation_of(features), soft_targets.to(device))
