"""Training runs: they can be stopped and go on, and each writes a record."""

import json
import math
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from models.cards import ModelError
from models.datasets.crops import CropCache
from models.datasets.index import write_indexes
from models.training.checkpoints import features_in, is_for_research, network_of, resume, save, weights_of
from models.training.losses import labels_of
from models.training.networks import build, placed
from models.training.recipe import Recipe
from models.training.remembered import deviation_of, features_of
from models.training.steps import Steps, cores
from models.training.validation import validate
from models.training.views import Views, balance_weights
from pipeline.streams import new_file


def train(
    cache: CropCache,
    recipe: Recipe,
    out: Path,
    device: torch.device,
    leaking: Sequence[str] = (),
    workers: int | None = None,
) -> dict[str, Any]:
    """Train a network and return the record of the run. A run of the same recipe found in `out` goes on.

    Only the length of that recipe (epochs, minutes) may differ. `out` gets:
    - last.pt: the state to go on from,
    - best.pt: the weights with the best validation score,
    - record.json: leaks of the split, recipe, versions and figures of each epoch,
    - index/: the labels of each data set with their splits, to evaluate by,
    - features.pt: the features that the start gives of the photos to train on.

    Rows of the split `train` train; rows of the split `val` are for validation. `workers` processes cut and augment
    photos. Default: one a core beside a graphics card, else one for four cores. Raises ModelError.
    """
    torch.backends.cudnn.benchmark = True
    cv2.setNumThreads(1)
    if workers is None:
        workers = cores() - 1 if device.type == "cuda" else cores() // 4
    run = _Run(cache, recipe, out, device)
    write_indexes(cache.rows, out / "index")
    try:
        run.go(workers)
    finally:
        run.steps.close()
    if not run.history:
        raise ModelError(f"--minutes {recipe.minutes:g}: no time for a single step")
    versions = {name: version(name) for name in ("torch", "keras", "numpy", "opencv-contrib-python")}
    record: dict[str, Any] = {"leaking_split": list(leaking)} if leaking else {}
    record |= {
        "recipe": msgspec.to_builtins(recipe),
        "data": {"train": len(run.train_rows), "val": len(run.val_rows), "index_sha256": cache.sha256},
        "versions": versions | {"python": platform.python_version()},
        "device": str(device),
        "seconds": round(run.spent_s(), 1),
        "history": run.history,
    }
    with new_file(out / "record.json") as stream:
        stream.write(json.dumps(record, indent=1))
    return record


class _Run:
    """Networks, labels and progress of one training."""

    def __init__(self, cache: CropCache, recipe: Recipe, out: Path, device: torch.device) -> None:
        self._cache, self._recipe, self._out, self._device = cache, recipe, out, device
        splits = np.array([row.split for row in cache.rows])
        self.train_rows, self.val_rows = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "val")
        _check_labels(cache, splits)
        learnt = [cache.rows[i] for i in self.train_rows]
        self._labels = labels_of(learnt)
        self._weights = balance_weights(learnt, recipe.balance_power)
        self._steps_an_epoch = max(1, len(learnt) // recipe.batch)
        self._files, self._for_research = weights_of(recipe), is_for_research(recipe)
        self._saved = resume(out, recipe, cache.sha256, device)
        self._net = placed(build(recipe), device)
        if self._saved and self._saved["weights"]["heads.hidden.weight"].shape != self._net.heads.hidden.weight.shape:
            raise ModelError(f"{out}: was begun by a version that started with other heads; give another --out")
        self._ema = placed(network_of(self._net.state_dict(), recipe), device)
        self.steps = Steps(self._net, recipe, device)
        self._features, self._deviation = torch.empty(len(learnt), 0), torch.empty(0)
        self.history: list[dict[str, float]] = []
        self._step = 0
        self._started = time.monotonic()

    def spent_s(self) -> float:
        """Return the seconds of training so far, those before a stop included."""
        return time.monotonic() - self._started

    def go(self, workers: int) -> None:
        """Train until the epochs or the minutes are used up. Time counts after the preparation."""
        recipe = self._recipe
        if recipe.remembers:
            self._remember()
        self._started = time.monotonic()
        if self._saved:
            self._net.load_state_dict(self._saved["weights"])
            self._ema.load_state_dict(self._saved["ema"])
            self.steps.optimizer.load_state_dict(self._saved["optimizer"])
            self.history, self._step = self._saved["history"], self._saved["step"]
            self._started -= self._saved["spent_s"]
        batches = iter(
            DataLoader(
                Views(self._cache, self.train_rows, recipe, self._weights),
                batch_size=None,
                sampler=self._plan(),
                num_workers=workers,
                prefetch_factor=4 if workers else None,
                multiprocessing_context="spawn" if workers else None,
            )
        )
        try:
            while self._step < self._steps_an_epoch * recipe.epochs:
                begun_s = self.spent_s()
                losses = self._epoch(batches)
                if not losses:
                    break
                loss = float(torch.stack(losses).mean())
                if not math.isfinite(loss):
                    raise ModelError(f"{self._out}: the loss is no number any more: --set a lower learning_rate")
                self._keep({"loss": loss, "seconds": self.spent_s() - begun_s})
                self._save()
        finally:
            del batches  # this ends its processes

    def _remember(self) -> None:
        """Compute the features that the start gives, or read them where the run goes on.

        The backbone learns to go on giving them, of photos as it sees them.
        """
        kept = self._out / "features.pt"
        if self._saved and kept.is_file():
            self._features = features_in(kept, self._device)
        else:
            self._features = features_of(self._net, self._cache, self.train_rows, self._recipe, self.steps.pool)
            save(kept, self._features)
        self._deviation = deviation_of(self._features)

    def _progress(self, step: int) -> float:
        """Return the share of the run that is over, 0 to 1: the larger one of its steps' and its minutes'."""
        by_steps = step / (self._steps_an_epoch * self._recipe.epochs)
        return max(by_steps, self.spent_s() / 60 / self._recipe.minutes) if self._recipe.minutes else by_steps

    def _plan(self) -> Iterator[tuple[int, float]]:
        """Yield (number, share of augmented photos) of each step to come.

        Towards the end photos are mostly clean, so that the model adapts to what it will see most.
        """
        for step in range(self._step, self._steps_an_epoch * self._recipe.epochs):
            progress = self._progress(step)
            yield step, self._recipe.spoil * min(1.0, max(0.0, 1.6 - 1.2 * progress))

    def _epoch(self, batches: Iterator[Any]) -> list[Tensor]:
        """Run the steps that are left of an epoch, or as many as time allows. Return their losses."""
        recipe = self._recipe
        number, done = divmod(self._step, self._steps_an_epoch)
        floats = [name for name, value in self._ema.state_dict().items() if value.is_floating_point()]
        averages, currents = ([net.state_dict()[name] for name in floats] for net in (self._ema, self._net))
        losses: list[Tensor] = []
        begun_s = self.spent_s()
        self._net.train()
        for step in range(done + 1, self._steps_an_epoch + 1):
            epoch, progress = self._step / self._steps_an_epoch, self._progress(self._step)
            if progress >= 1:
                break
            images, picked = next(batches)
            features = self._features[picked.to(self._features.device)]
            torch.manual_seed(recipe.seed + self._step)  # dropout is the same after a stop, if one thread draws it
            labels = self._labels.of(picked)
            losses.append(self.steps.take(images, labels, features, self._deviation, epoch, progress))
            with torch.no_grad():
                torch._foreach_lerp_(averages, currents, 1 - min(recipe.ema, 1 - 1 / (1 + epoch * 100)))
            self._step += 1
            if len(losses) % 50 == 0:
                speed = recipe.batch * len(losses) / (self.spent_s() - begun_s)
                print(
                    f"epoch {number + 1} step {step}/{self._steps_an_epoch} loss "
                    f"{torch.stack(losses[-50:]).mean():.3f} {speed:.0f} faces/s {progress:.1%}",
                    file=sys.stderr,
                    flush=True,
                )
        return losses

    def _keep(self, trained: dict[str, float]) -> None:
        """Validate the averaged weights, note the figures of the epoch, and save the weights if they are the best."""
        entry = validate(self._ema, self._cache, self.val_rows, self._recipe) | trained
        best = max((earlier["score"] for earlier in self.history), default=-math.inf)
        self.history.append(entry)
        print(json.dumps({k: round(v, 4) for k, v in entry.items()}), file=sys.stderr, flush=True)
        if entry["score"] > best:
            state = {
                "weights": self._ema.state_dict(),
                "recipe": msgspec.to_builtins(self._recipe),
                "research_only": self._for_research,
                "index_sha256": self._cache.sha256,
            }
            save(self._out / "best.pt", state)

    def _save(self) -> None:
        state = {
            "weights": self._net.state_dict(),
            "ema": self._ema.state_dict(),
            "optimizer": self.steps.optimizer.state_dict(),
            "history": self.history,
            "step": self._step,
            "spent_s": self.spent_s(),
            "recipe": msgspec.to_builtins(self._recipe),
            "index_sha256": self._cache.sha256,
            "files": self._files,
        }
        save(self._out / "last.pt", state)


def _check_labels(cache: CropCache, splits: NDArray[np.str_]) -> None:
    """Raise ModelError if a split to train or to validate on is missing, or lacks men, women or ages."""
    for split in ("train", "val"):
        rows = [cache.rows[i] for i in np.flatnonzero(splits == split)]
        where = f"{cache.folder}: the split `{split}`"
        if not rows:
            raise ModelError(f"{where} is empty: it needs more people, or another column `split`")
        if len({row.gender for row in rows} - {None}) < (2 if split == "train" else 1):
            raise ModelError(f"{where} has too few genders: it needs photos of men and of women")
        if all(row.age_lo is None or row.age_hi is None for row in rows):
            raise ModelError(f"{where} has no ages: it needs photos with an age, or a range")
