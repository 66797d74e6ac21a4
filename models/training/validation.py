"""Scores of a network on validation photos, between epochs."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.cards import FAIRFACE_EDGES, AgeHead
from models.datasets.augment import view
from models.datasets.crops import CropCache
from models.session import AgeDecoder
from models.training.losses import Targets
from models.training.networks import ORIGINAL_EDGES, PREPROCESSING, YEARS, FaceNet, autocast
from models.training.recipe import Recipe
from models.training.views import to_tensor


def predict(
    net: FaceNet,
    cache: CropCache,
    rows: NDArray[np.int64],
    recipe: Recipe,
    batch: int = 64,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return gender logits [n] (positive is male) and age logits [n, YEARS] of rows.

    The nine outputs of the original head become man minus woman, and logits [n, 7] of its decades.
    """
    device = next(net.parameters()).device
    net.eval()
    gender: list[Tensor] = []
    age: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            views = np.stack([view(cache.crops[i], recipe.scale, recipe.size_px) for i in rows[start : start + batch]])
            images = to_tensor(torch.from_numpy(views).to(device), PREPROCESSING[recipe.arch])
            with autocast(device):
                out = net(images)
            if isinstance(out, Tensor):
                gender.append((out[:, 0] - out[:, 1]).float().cpu())
                age.append(out[:, 2:].float().cpu())
            else:
                gender.append(out[0][:, 0].float().cpu())
                age.append(out[1].float().cpu())
    return torch.cat(gender).numpy(), torch.cat(age).numpy()


def score(
    gender: NDArray[np.float32], age: NDArray[np.float32], targets: Targets, rows: NDArray[np.int64]
) -> dict[str, float]:
    """Score gender logits [n] and age logits [n, classes] of rows.

    `gender` is the accuracy, `age_mae` the error in years, `age_bins` the accuracy of FairFace's nine ranges: the
    likeliest has to overlap the label. `even_...` is the mean over those ranges. Without labels a score is 0.
    """
    lo, hi = targets.age_lo[rows], targets.age_hi[rows]
    has_gender, has_age = targets.male_weight[rows] > 0, targets.age_weight[rows] > 0
    right = (gender > 0) == (targets.male[rows] > 0.5)
    classes = {"years": (0, YEARS - 1)} if age.shape[1] == YEARS else {"edges": ORIGINAL_EDGES}
    decoded = AgeDecoder(AgeHead(output="age", values="logits", **classes)).decode(age)
    expected, said = decoded["age_years"], decoded["p_fairface"].argmax(1)
    error = np.maximum(lo - expected, 0) + np.maximum(expected - hi, 0)
    bins, first, last = (np.digitize(years, FAIRFACE_EDGES) - 1 for years in ((lo + hi) / 2, lo, hi))
    same = (said >= first) & (said <= last)
    scores: dict[str, float] = {}
    for name, values, known in (
        ("gender", right, has_gender),
        ("age_mae", error, has_age),
        ("age_bins", same, has_age),
    ):
        evenly = [values[known & has_age & (bins == b)].mean() for b in np.unique(bins[known & has_age])]
        scores[name] = float(values[known].mean()) if known.any() else 0.0
        scores[f"even_{name}"] = float(np.mean(evenly)) if evenly else 0.0
    return scores
