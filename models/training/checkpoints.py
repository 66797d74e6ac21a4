"""Files of a run: best.pt has weights to serve, last.pt is a run to go on with."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor

from models.cards import ModelError, read_card, registry
from models.training.networks import FaceNet, build
from models.training.recipe import Recipe

_LAST = ("weights", "ema", "optimizer", "history", "step", "spent_s", "recipe", "index_sha256", "files")
"""Names of what a last.pt holds."""


class Trained(NamedTuple):
    """Content of a best.pt. Its network is in evaluation mode."""

    net: FaceNet
    recipe: Recipe
    research_only: bool
    """True if the weights that the run started from may be used in no business."""
    index_sha256: str
    """Hash of the cache of crops that taught it."""


@contextlib.contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Make the folder of a run, and hold it meanwhile. Raises ModelError if another process trains there."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ModelError(f"--out {out}: another training is at work there; wait, or give another --out") from None
        yield


def load(path: Path) -> Trained:
    """Read a best.pt. Raises ModelError if it is anything else."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        recipe = msgspec.convert(saved["recipe"], Recipe)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # torch raises many classes for a file of another kind
        raise ModelError(f"{path}: is not what `stationcast models train` saves") from error
    try:
        net = network_of(saved["weights"], recipe).eval()
        return Trained(net, recipe, bool(saved.get("research_only")), saved.get("index_sha256", ""))
    except (LookupError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path}: was trained by a version whose networks were others: train it again") from error


def network_of(weights: dict[str, Any], recipe: Recipe) -> FaceNet:
    """Build the recipe's network with these weights. The number of hidden units follows from them.

    Raises LookupError, TypeError or RuntimeError if the weights are those of another network.
    """
    net = build(msgspec.structs.replace(recipe, init="random"), len(weights["heads.hidden.bias"]))
    net.load_state_dict(weights)
    return net


def weights_of(recipe: Recipe) -> dict[str, str]:
    """Return the sha256 of the file that the run starts from, by its path, to notice if it changes later."""
    path = Path(recipe.init)
    return {recipe.init: hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}


def is_for_research(recipe: Recipe) -> bool:
    """Tell whether a card, built-in or beside it, says of the file to start from that no business may use it."""
    for sha256 in weights_of(recipe).values():
        for path in (*registry().values(), *sorted(Path(recipe.init).parent.glob("*.toml"))):
            with contextlib.suppress(ModelError):
                card, _ = read_card(path)
                if card.research_only and any(file.sha256 == sha256 for file in card.files):
                    return True
    return False


def resume(out: Path, recipe: Recipe, index_sha256: str, device: torch.device) -> dict[str, Any] | None:
    """Read the last.pt in `out`, a run to go on with; None if there is none.

    Recipe (but for its length), labels and start must be those that the run began with; else ModelError.
    """
    path = out / "last.pt"
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        saved = {name: saved[name] for name in _LAST}
        earlier = msgspec.convert(saved["recipe"], Recipe)
    except Exception as error:  # torch raises many classes for a file of another kind
        raise ModelError(f"{path}: is not of a run of `stationcast models train`; remove it to start anew") from error
    otherwise = "give another --out or remove the folder"
    now = msgspec.structs.replace(recipe, epochs=earlier.epochs, minutes=earlier.minutes)
    if names := [name for name in now.__struct_fields__ if getattr(now, name) != getattr(earlier, name)]:
        raise ModelError(f"{path}: was made by another recipe ({', '.join(names)}); {otherwise}")
    if saved["files"] != weights_of(recipe):
        raise ModelError(f"{path}: {recipe.init} was another file then; {otherwise}")
    if saved["index_sha256"] != index_sha256:
        raise ModelError(f"{path}: was taught by other photos, labels or splits; {otherwise}")
    if not (out / "best.pt").is_file():
        raise ModelError(f"{out}: has a last.pt, but no best.pt any more; remove the folder to start anew")
    return saved


def features_in(path: Path, device: torch.device) -> Tensor:
    """Read the features that a run has kept. Raises ModelError."""
    try:
        features: Tensor = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # torch raises many classes for a file of another kind
        raise ModelError(f"{path}: is damaged; remove it to have it computed again") from error
    return features


def save(path: Path, what: dict[str, Any] | Tensor) -> None:
    """Write a checkpoint to `path`, whole or not at all. Raises ModelError if the disk is full."""
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as opened:
            torch.save(what, opened)
            opened.flush()
            os.fsync(opened.fileno())
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
        part.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written ({' '.join(str(error).split())}): is the disk full?") from error
    part.replace(path)
