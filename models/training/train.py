"""Training runs: they can be stopped and go on, and each writes a record."""

import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
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
from models.training.checkpoints import initial_network, load, names_of, network_of, resume, save, weights_of
from models.training.heads import deviation_of, features_of, fit_heads
from models.training.losses import Targets, batch_of
from models.training.networks import placed
from models.training.recipe import Recipe
from models.training.record import write_indexes, write_record
from models.training.steps import Steps, cores
from models.training.validation import predict, score
from models.training.views import Views, balance_weights

_SHARES = ((0.4, 0.7), (0.6, 0.9), (1.0, 1.0))
"""Sizes of the photos, as shares of the whole size, each with the share of the run at which it ends."""


def train(
    cache: CropCache,
    recipe: Recipe,
    out: Path,
    device: str = "auto",
    leaking: Sequence[str] = (),
    workers: int | None = None,
) -> dict[str, Any]:
    """Train a network and return the record of the run. A run of the same recipe found in `out` goes on.

    Only the length of that recipe (epochs, minutes) may differ. `out` gets:
    - last.pt: the state to go on from,
    - best.pt: the weights with the best validation score,
    - record.json and curves.png: recipe, versions and figures of each epoch,
    - index/: the labels of each data set with their splits, to evaluate by,
    - features.pt: the features that the start gives of the photos to train on.

    Rows of the split `train` train; rows of the split `val` are for validation. `workers` processes cut and augment
    photos. Default: one a core beside a graphics card, else one for four cores. Raises ModelError.
    """
    out.mkdir(parents=True, exist_ok=True)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("--device cuda: PyTorch finds none; give `auto` or `cpu`")
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    torch.backends.cudnn.benchmark = True
    cv2.setNumThreads(1)
    if workers is None:
        workers = cores() - 1 if where.type == "cuda" else cores() // 4
    run = _Run(cache, recipe, out, where)
    write_indexes(cache, out / "index")
    try:
        run.go(workers)
    finally:
        run.steps.close()
    if not run.history:
        raise ModelError(f"--minutes {recipe.minutes:g}: no time for a single step")
    rows = {"train": len(run.train_rows), "val": len(run.val_rows)}
    return write_record(out, cache, recipe, leaking, rows, str(where), run.spent_s(), run.history)


class _Run:
    """Networks, labels and progress of one training."""

    def __init__(self, cache: CropCache, recipe: Recipe, out: Path, device: torch.device) -> None:
        self._cache, self._recipe, self._out, self._device = cache, recipe, out, device
        self.train_rows, self.val_rows = _split_rows(cache)
        self._targets = Targets(cache.rows)
        _check_labels(self._targets, self.train_rows, self.val_rows, out)
        self._weights = balance_weights([cache.rows[i] for i in self.train_rows], recipe.balance_power)
        self._steps_an_epoch = max(1, len(self.train_rows) // recipe.batch)
        self._photos = names_of(cache.rows[i] for i in self.train_rows)
        if recipe.init.endswith(".pt"):
            self._photos = torch.cat([self._photos, load(Path(recipe.init)).photos]).unique()
        self._files = weights_of(recipe)
        self._saved = resume(out, recipe, cache.sha256, device)
        self._net = initial_network(recipe, device)
        if self._saved and self._saved["weights"]["heads.hidden.weight"].shape != self._net.heads.hidden.weight.shape:
            raise ModelError(f"{out}: was begun by a version that started with other heads; give another --out")
        self._ema = placed(network_of(self._net.state_dict(), recipe), device)
        self.steps = Steps(self._net, recipe, device)
        self._features, self._deviation = torch.empty(len(self.train_rows), 0), torch.empty(0)
        self.history: list[dict[str, float]] = []
        self._step = 0
        self._started = time.monotonic()

    def spent_s(self) -> float:
        """Return the seconds of training so far, those before a stop included."""
        return time.monotonic() - self._started

    def go(self, workers: int) -> None:
        """Train until the epochs or the minutes are used up. Time counts after the preparation."""
        recipe = self._recipe
        if recipe.knows:
            self._prepare()
        self._ema.load_state_dict(self._net.state_dict())  # whose heads may have been fitted now
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
        best = max((entry["score"] for entry in self.history), default=-math.inf)
        if not recipe.epochs:
            self.history.append(self._validated() | {"loss": math.nan, "size_px": recipe.size_px, "seconds": 0.0})
            self._save_best()
        try:
            while len(self.history) < recipe.epochs:
                begun_s = self.spent_s()
                losses, size_px = self._epoch(batches)
                if not losses:
                    break
                entry = self._validated() | {"loss": float(torch.stack(losses).mean()), "size_px": size_px}
                entry["seconds"] = self.spent_s() - begun_s
                if not math.isfinite(entry["loss"]):
                    raise ModelError(f"{self._out}: the loss is no number any more: give a lower --learning-rate")
                self.history.append(entry)
                print(json.dumps({k: round(v, 4) for k, v in entry.items()}), file=sys.stderr, flush=True)
                if entry["score"] > best:
                    best = entry["score"]
                    self._save_best()
                self._save()
        finally:
            del batches  # this ends its processes

    def _prepare(self) -> None:
        """Compute the start's features, or read them where the run goes on, and fit the heads to them at its beginning.

        The backbone learns to go on giving them, of photos as it sees them.
        """
        kept = self._out / "features.pt"
        if self._saved and kept.is_file():
            features = torch.load(kept, map_location=self._device, weights_only=True)
        else:
            features = features_of(self._net, self._cache, self.train_rows, self._recipe, self.steps.pool)
            save(kept, features)
        if not self._saved:
            rows = self.train_rows
            fit_heads(self._net.heads, features, rows, self._targets, self._weights, self._recipe)
        if self._recipe.remembers:
            self._features, self._deviation = features, deviation_of(features)

    def _progress(self, step: int) -> float:
        """Return the share of the run that is over, 0 to 1: the larger one of its steps' and its minutes'."""
        by_steps = step / (self._steps_an_epoch * self._recipe.epochs)
        return max(by_steps, self.spent_s() / 60 / self._recipe.minutes) if self._recipe.minutes else by_steps

    def _plan(self) -> Iterator[tuple[int, int, float]]:
        """Yield (number, size of photos in px, share of augmented photos) of each step to come.

        Towards the end photos are mostly clean, so that the model adapts to what it will see most.
        """
        for step in range(self._step, self._steps_an_epoch * self._recipe.epochs):
            progress = self._progress(step)
            yield step, _size_px(self._recipe, progress), self._recipe.spoil * min(1.0, max(0.0, 1.6 - 1.2 * progress))

    def _epoch(self, batches: Iterator[Any]) -> tuple[list[Tensor], int]:
        """Run the steps of an epoch, or as many as time allows. Return their losses and the last size of photos."""
        recipe = self._recipe
        floats = [name for name, value in self._ema.state_dict().items() if value.is_floating_point()]
        averages, currents = ([net.state_dict()[name] for name in floats] for net in (self._ema, self._net))
        losses: list[Tensor] = []
        size_px = recipe.size_px
        begun_s = self.spent_s()
        self._net.train()
        for _ in range(self._steps_an_epoch):
            epoch, progress = self._step / self._steps_an_epoch, self._progress(self._step)
            if progress >= 1:
                break
            images, picked = next(batches)
            size_px = images.shape[1]
            features = self._features[picked.to(self._features.device)]
            batch = batch_of(images, self.train_rows[picked.numpy()], self._targets, features)
            torch.manual_seed(recipe.seed + self._step)  # so that dropout is the same after a stop
            losses.append(self.steps.take(batch, epoch, progress, self._deviation))
            keep = min(recipe.ema, 1 - 1 / (1 + epoch * 100))
            with torch.no_grad():
                torch._foreach_lerp_(averages, currents, 1 - keep)
            self._step += 1
            if len(losses) % 50 == 0:
                speed = recipe.batch * len(losses) / (self.spent_s() - begun_s)
                print(
                    f"epoch {len(self.history) + 1} step {len(losses)}/{self._steps_an_epoch} loss "
                    f"{torch.stack(losses[-50:]).mean():.3f} size {size_px} {speed:.0f} faces/s {progress:.1%}",
                    file=sys.stderr,
                    flush=True,
                )
        return losses, size_px

    def _validated(self) -> dict[str, float]:
        """Score the averaged weights on the validation rows: all of them, and those of each data set."""
        rows, targets = self.val_rows, self._targets
        gender, age = predict(self._ema, self._cache, rows, self._recipe)
        entry = score(gender, age, targets, rows)
        entry["score"] = entry["even_gender"] + entry["even_age_bins"] - entry["even_age_mae"] / 20
        data = np.array([self._cache.rows[i].data for i in rows])
        for name in np.unique(data):
            part = data == name
            entry |= {f"{name}.{key}": v for key, v in score(gender[part], age[part], targets, rows[part]).items()}
        return entry

    def _save_best(self) -> None:
        state = {
            "weights": self._ema.state_dict(),
            "recipe": msgspec.to_builtins(self._recipe),
            "index_sha256": self._cache.sha256,
            "photos": self._photos,
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


def _split_rows(cache: CropCache) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the numbers of the rows to train on and of the rows to validate on. Raises ModelError."""
    splits = np.array([row.split for row in cache.rows])
    train_rows, val_rows = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "val")
    if not len(train_rows) or not len(val_rows):
        raise ModelError(
            f"{cache.folder}: needs rows of both splits `train` and `val`: more people, or another column `split`"
        )
    return train_rows, val_rows


def _size_px(recipe: Recipe, progress: float) -> int:
    """Return the size of photos, in px: a mobilenet begins with small ones, which makes half as many epochs again."""
    share = next(share for until, share in _SHARES if progress < until or until == 1)
    return recipe.size_px if share == 1 or recipe.arch != "mobilenet" else int(recipe.size_px * share) // 16 * 16


def _check_labels(targets: Targets, train_rows: NDArray[np.int64], val_rows: NDArray[np.int64], out: Path) -> None:
    """Raise ModelError if a split lacks men, women or ages."""
    for split, rows in (("train", train_rows), ("val", val_rows)):
        genders = targets.male[rows][targets.male_weight[rows] > 0]
        if len(set(genders.tolist())) < (2 if split == "train" else 1):
            raise ModelError(f"{out}: the split `{split}` has too few genders: it needs photos of men and of women")
        if not targets.age_weight[rows].any():
            raise ModelError(f"{out}: the split `{split}` has no ages: it needs photos with an age, or a range")
