"""Answers of a network to validation photos, and their score, between epochs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.cards import AgeHead
from models.datasets.augment import view
from models.datasets.crops import CropCache
from models.datasets.index import Row
from models.evaluation.evaluate import figures, truth_of
from models.session import AgeDecoder, Outputs
from models.training.networks import ORIGINAL_EDGES, PREPROCESSING, YEARS, FaceNet, autocast
from models.training.recipe import Recipe
from models.training.views import to_tensor


def age_head(recipe: Recipe, output: str = "age", temperature: float = 1.0) -> AgeHead:
    """Describe what a network of this recipe says of ages, as a card does."""
    classes: dict[str, Any] = {"edges": ORIGINAL_EDGES} if recipe.head == "original" else {"years": (0, YEARS - 1)}
    return AgeHead(output=output, values="logits", temperature=temperature, **classes)


def predict(net: FaceNet, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, batch: int = 64) -> Outputs:
    """Return what a network says of rows."""
    device = next(net.parameters()).device
    net.eval()
    said: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            views = np.stack([view(cache.crops[i], recipe.scale, recipe.size_px) for i in rows[start : start + batch]])
            images = to_tensor(torch.from_numpy(views).to(device), PREPROCESSING[recipe.arch])
            with autocast(device, recipe.arch):
                said.append(net.answer(images))
    gender, age = (torch.cat(of_head).float().cpu() for of_head in zip(*said, strict=True))
    return Outputs(p_male=gender[:, 0].sigmoid().numpy(), **AgeDecoder(age_head(recipe)).decode(age.numpy()))


def validate(net: FaceNet, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe) -> dict[str, float]:
    """Score a network on rows: all of them, and those of each data set (`NAME.gender` and so on)."""
    said = predict(net, cache, rows, recipe)
    labelled = [cache.rows[i] for i in rows]
    entry = scores(said, labelled)
    data = np.array([row.data for row in labelled])
    for name in np.unique(data):
        mine = np.flatnonzero(data == name)
        part = Outputs(*(getattr(said, field)[mine] for field in Outputs.__struct_fields__))
        entry |= {f"{name}.{key}": value for key, value in scores(part, [labelled[i] for i in mine]).items()}
    return entry


def scores(outputs: Outputs, rows: Sequence[Row]) -> dict[str, float]:
    """Score what was said of rows.

    `gender` is the accuracy, `age_mae` the error in years, `age_bins` the accuracy of FairFace's nine ranges; without
    labels they are 0. `score` judges by their means over the nine ranges, so that children and old people count.
    """
    report = figures(outputs, truth_of(rows))
    names = {"gender": "gender_accuracy", "age_mae": "age_mae", "age_bins": "fairface_bin_accuracy"}
    values = {name: float((report[key] or {"value": 0})["value"]) for name, key in names.items()}
    even = {f"even_{name}": float(report["mean_over_fairface_bins"][key] or 0) for name, key in names.items()}
    return values | even | {"score": even["even_gender"] + even["even_age_bins"] - even["even_age_mae"] / 20}
