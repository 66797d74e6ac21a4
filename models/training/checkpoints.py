"""Files of a run: best.pt has weights to serve or to start from, last.pt a run to go on with."""

import copy
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.cards import ModelError, find_card, read_card
from models.datasets.index import Row
from models.training.networks import FaceNet, Heads, MobileNet, build, placed
from models.training.recipe import Recipe

M = TypeVar("M", bound=nn.Module)


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


def blend(run: Path, earlier: Sequence[Path]) -> Trained:
    """Merge the best.pt of a run and those of runs that it started from into one network.

    Backbones are averaged (Wortsman et al., Model soups, ICML 2022), and so are heads that started from one another.
    Other heads are put side by side, and their logits averaged. The result costs hardly more than one network.
    Raises ModelError.
    """
    last, *others = runs = [load(path) for path in (run, *earlier)]
    for path, other in zip(earlier, others, strict=True):
        keys = ("arch", "head", "size_px", "scale")
        alike = all(getattr(other.recipe, key) == getattr(last.recipe, key) for key in keys)
        if not alike or not torch.isin(other.photos, last.photos).all():
            raise ModelError(f"{path}: is no run of the same kind whose photos taught {run}, too")
    if not others:
        return last
    if last.recipe.arch != "mobilenet":
        raise ModelError(f"{run}: only mobilenets can be blended; the others count on batch norms of their own")
    backbone = _mean([each.net.backbone for each in runs]).state_dict()
    lines: list[list[Heads]] = []  # heads that went on from one another
    for heads in (each.net.heads for each in runs):
        for line in lines:
            if _alike(line[0], heads):
                line.append(heads)
                break
        else:
            lines.append([heads])
    state = {f"backbone.{name}": value for name, value in backbone.items()}
    state |= joined([_mean(line) for line in lines], [len(line) / len(runs) for line in lines])
    return last._replace(net=network_of(state, last.recipe).eval())


def _alike(one: Heads, other: Heads) -> bool:
    """Tell whether two heads started from the same weights.

    Training moves weights little (cosine .99 after 39 epochs), while independent weights are at right angles.
    """
    ours, theirs = one.hidden.weight.detach(), other.hidden.weight.detach()
    return ours.shape == theirs.shape and bool(functional.cosine_similarity(ours.ravel(), theirs.ravel(), 0) > 0.5)


def _mean(modules: Sequence[M]) -> M:
    """Return a module whose weights are the mean of those of `modules`."""
    mean = copy.deepcopy(modules[0])
    states = [module.state_dict() for module in modules]
    mean.load_state_dict({name: torch.stack([each[name] for each in states]).mean(0) for name in states[0]})
    return mean


def joined(heads: Sequence[Heads], shares: Sequence[float]) -> dict[str, Tensor]:
    """Put heads side by side: return the state of one head whose logits are the weighted sum of theirs.

    Keys are those of a FaceNet's state.
    """
    weights = [share * each.out.weight.detach() for share, each in zip(shares, heads, strict=True)]
    biases = [share * each.out.bias.detach() for share, each in zip(shares, heads, strict=True)]
    return {
        "heads.hidden.weight": torch.cat([each.hidden.weight.detach() for each in heads]),
        "heads.hidden.bias": torch.cat([each.hidden.bias.detach() for each in heads]),
        "heads.out.weight": torch.cat(weights, dim=1),
        "heads.out.bias": torch.stack(biases).sum(0),
    }


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
    """Build the network with which a run begins: weights of `init`, heads of `heads`, frozen layers.

    `init` may be the best.pt of an earlier run. Raises ModelError.
    """
    torch.manual_seed(recipe.seed)
    if recipe.init.endswith(".pt"):
        start = load(Path(recipe.init))
        if (start.recipe.arch, start.recipe.head) != (recipe.arch, recipe.head):
            raise ModelError(f"--init {recipe.init}: is a {start.recipe.arch} with the head `{start.recipe.head}`")
        net = network_of(start.net.state_dict(), recipe)
    else:
        net = build(recipe.arch, recipe.size_px, recipe.init, recipe.head)
    if recipe.heads:
        net.heads = _heads_of(recipe)
    net.freeze(recipe.freeze)
    return placed(net, device)


def _heads_of(recipe: Recipe) -> Heads:
    known = MobileNet().load_onnx(Path(recipe.heads))
    if known is None:
        raise ModelError(f"--heads {recipe.heads}: has none that know a gender and years")
    return known


def check_weights(recipe: Recipe) -> None:
    """Raise ModelError if a file that the recipe names does not hold weights of its kind."""
    for option, path in recipe.files():
        if option == "--teacher" or (option == "--init" and path.endswith(".pt")):
            load(Path(path))
        elif option == "--heads":
            _heads_of(recipe)
        elif recipe.arch == "mobilenet":
            MobileNet().load_onnx(Path(path))


def network_of(weights: dict[str, Any], recipe: Recipe) -> FaceNet:
    """Build the recipe's network with these weights. The number of hidden units follows from them.

    Raises LookupError, TypeError or RuntimeError if the weights are those of another network.
    """
    net = build(recipe.arch, recipe.size_px, "random", recipe.head, len(weights["heads.hidden.bias"]))
    net.load_state_dict(weights)
    return net


def weights_of(recipe: Recipe) -> dict[str, str]:
    """Return the sha256 of every file of weights that the recipe names, to notice if one changes later."""
    hashes = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for _, path in recipe.files()}
    if recipe.gender_of:
        card, _ = read_card(find_card(recipe.gender_of, Path()))
        hashes[recipe.gender_of] = " ".join(file.sha256 for file in card.files)
    return hashes


def resume(out: Path, recipe: Recipe, index_sha256: str, device: torch.device) -> dict[str, Any] | None:
    """Read the last.pt in `out`, a run to go on with; None if there is none.

    Recipe (but for its length), labels and named files must be those that the run began with; else ModelError.
    """
    path = out / "last.pt"
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        earlier = msgspec.convert(saved["recipe"], Recipe)
    except Exception as error:  # torch raises many classes for a file of another kind
        raise ModelError(f"{path}: is not of a run of `stationcast models train`; remove it to start anew") from error
    alike = ("epochs", "minutes", "patience")
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


def save(path: Path, what: dict[str, Any]) -> None:
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
