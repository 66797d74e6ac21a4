"""The record of a training run: its indexes of labels, its figures as JSON, its curves as a picture."""

import json
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from models.datasets.crops import CropCache
from models.datasets.index import write_index
from models.training.recipe import Recipe


def write_indexes(cache: CropCache, folder: Path) -> None:
    """Write the labels of each data set, with their splits, as one CSV file into `folder`."""
    folder.mkdir(exist_ok=True)
    for name in sorted({row.data for row in cache.rows}):
        file = re.sub(r"[^\w.-]+", "-", name) or "photos"
        write_index((row for row in cache.rows if row.data == name), folder / f"{file}.csv")


def write_record(
    out: Path,
    cache: CropCache,
    recipe: Recipe,
    leaking: Sequence[str],
    rows: dict[str, int],
    device: str,
    seconds: float,
    history: list[dict[str, float]],
) -> dict[str, Any]:
    """Write record.json and curves.png into `out` and return the record. Leaks of the split are its first entry.

    `rows` are the numbers of photos in each split, `history` has the figures of each epoch.
    """
    record: dict[str, Any] = {"leaking_split": list(leaking)} if leaking else {}
    record |= {
        "recipe": msgspec.to_builtins(recipe),
        "data": rows | {"index_sha256": cache.sha256},
        "versions": {name: version(name) for name in ("torch", "keras", "numpy", "opencv-contrib-python")}
        | {"python": platform.python_version()},
        "device": device,
        "seconds": round(seconds, 1),
        "history": history,
    }
    (out / "record.json").write_text(json.dumps(record, indent=1))
    draw_curves(history, out / "curves.png")
    return record


def draw_curves(history: list[dict[str, float]], path: Path) -> None:
    """Draw training loss, gender accuracy and age error of all epochs as a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axis, key, title in zip(
        axes,
        ("loss", "gender", "age_mae"),
        ("training loss", "gender accuracy (validation)", "age error, years (validation)"),
        strict=True,
    ):
        axis.plot(epochs, [entry[key] for entry in history], marker="o", markersize=3, color="#1f5fa8")
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
