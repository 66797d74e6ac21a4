"""Files of a run: best.pt has weights to serve or to start from, last.pt a run to go on with."""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from torch import Tensor

from models.cards import ModelError
from models.datasets.index import Row
from models.training.networks import FaceNet, MobileNet, build, placed
from models.training.recipe import Recipe


class Trained(NamedTuple):
    """Content of a best.pt. Its network is in evaluation mode."""

    net: FaceNet
    recipe: Recipe
    index_sha256: str
    """Hash of the index of the photos that it was trained on."""
    photos: Tensor
    """Hashes of the photos that taught it, or the run it started from: `names_of` makes them."""


def load(path: Path) -> Trained:
    """Read a best.pt. Raises ModelError if it is anything else."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        recipe = msgspec.convert(saved["recipe"], Recipe)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # torch raises many classes for a file of another kind
        raise ModelError(f"{path}: is not what `stationcast models train` saves") from error
    if "optimizer" in saved:
        raise ModelError(f"{path}: is a run to go on with, and no result; give the best.pt beside it")
    try:
        net = network_of(saved["weights"], recipe)
    except (LookupError, TypeError, RuntimeError) as error:
        raise ModelError(f"{path}: was trained by a version whose networks were others: train it again") from error
    photos = saved.get("photos", torch.empty(0, dtype=torch.int64))
    return Trained(net.eval(), recipe, saved.get("index_sha256", ""), photos)


def names_of(rows: Iterable[Row]) -> Tensor:
    """Return a hash of each photo's data set and file name, int64 [n], the same in every run."""
    digests = (hashlib.blake2b(f"{row.data}/{row.file}".encode(), digest_size=8).digest() for row in rows)
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=torch.int64)


def taught(rows: Iterable[Row], photos: Tensor, what: str) -> list[str]:
    """Return one text for each held-out row whose photo is among `photos`, those that taught `what`."""
    held_out = [row for row in rows if row.split != "train"]
    seen = torch.isin(names_of(held_out), photos).tolist()
    return [f"photo {row.data}/{row.file} of the split {row.split} taught {what}"
            for row, known in zip(held_out, seen, strict=True) if known]  # fmt: skip


def taught_before(recipe: Recipe, rows: Iterable[Row]) -> list[str]:
    """Return one text for each held-out photo that taught the run which this one starts from."""
    return taught(rows, load(Path(recipe.init)).photos, f"--init {recipe.init}") if recipe.init.endswith(".pt") else []


def initial_network(recipe: Recipe, device: torch.device) -> FaceNet:
    """Build the network with which a run begins: weights of `init`, which may be a best.pt, and frozen layers.

    Raises ModelError.
    """
    torch.manual_seed(recipe.seed)
    if recipe.init.endswith(".pt"):
        start = load(Path(recipe.init))
        if (start.recipe.arch, start.recipe.head) != (recipe.arch, recipe.head):
            raise ModelError(f"--init {recipe.init}: is a {start.recipe.arch} with the head `{start.recipe.head}`")
        net = network_of(start.net.state_dict(), recipe)
    else:
        net = build(recipe.arch, recipe.size_px, recipe.init, recipe.head)
    if recipe.knows and recipe.arch == "mobilenet":
        net.freeze(recipe.freeze)
    return placed(net, device)


def check_weights(recipe: Recipe) -> None:
    """Raise ModelError if the file that the recipe names does not hold weights of its kind."""
    recipe.check()
    if recipe.init.endswith(".pt"):
        load(Path(recipe.init))
    elif recipe.arch == "mobilenet" and recipe.init not in ("random", "imagenet"):
        MobileNet().load_onnx(Path(recipe.init))


def network_of(weights: dict[str, Any], recipe: Recipe) -> FaceNet:
    """Build the recipe's network with these weights. The number of hidden units follows from them.

    Raises LookupError, TypeError or RuntimeError if the weights are those of another network.
    """
    net = build(recipe.arch, recipe.size_px, "random", recipe.head, len(weights["heads.hidden.bias"]))
    net.load_state_dict(weights)
    return net


def weights_of(recipe: Recipe) -> dict[str, str]:
    """Return the sha256 of the file that the run starts from, by its path, to notice if it changes later."""
    path = Path(recipe.init)
    return {recipe.init: hashlib.sha256(path.read_bytes()).hexdigest()} if path.is_file() else {}


def resume(out: Path, recipe: Recipe, index_sha256: str, device: torch.device) -> dict[str, Any] | None:
    """Read the last.pt in `out`, a run to go on with; None if there is none.

    Recipe (but for its length), labels and start must be those that the run began with; else ModelError.
    """
    path = out / "last.pt"
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        earlier = msgspec.convert(saved["recipe"], Recipe)
    except Exception as error:  # torch raises many classes for a file of another kind
        raise ModelError(f"{path}: is not of a run of `stationcast models train`; remove it to start anew") from error
    alike = ("epochs", "minutes")
    then, now = (
        {key: value for key, value in msgspec.to_builtins(each).items() if key not in alike}
        for each in (earlier, recipe)
    )
    if then != now:
        names = ", ".join(name for name in now if now[name] != then[name])
        raise ModelError(f"{path}: was made by another recipe ({names}); give another --out or remove the folder")
    weights = weights_of(recipe)
    if others := [name for name, sha256 in saved.get("files", weights).items() if weights[name] != sha256]:
        raise ModelError(f"{path}: {others[0]} was another file then; give another --out or remove the folder")
    if not (out / "best.pt").is_file():
        raise ModelError(f"{out}: has a last.pt, but no best.pt any more; remove the folder to start anew")
    if saved.get("index_sha256", index_sha256) != index_sha256:
        raise ModelError(
            f"{out}: its last.pt was taught by other photos, labels or splits; give another --out or remove the folder"
        )
    return saved


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
