"""Networks and runs as files: best.pt (weights to serve or to start from) and last.pt (a run to go on with)."""

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
    """What a best.pt holds: a network, ready to answer, its recipe, the sha256 of the index that it was trained on, and
    which photos taught it, as `names_of` gives them; those that taught what it started from, too."""

    net: FaceNet
    recipe: Recipe
    index_sha256: str
    photos: Tensor


def load(path: Path) -> Trained:
    """Read a best.pt. Raises ModelError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        recipe = msgspec.convert(saved["recipe"], Recipe)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # whatever torch makes of a file of another kind
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
    """The best.pt of a run and those of runs that it went on from, as one network that costs hardly more than one of
    them: the mean of their backbones (Wortsman et al., Model soups, ICML 2022), and of heads that went on from one
    another; others are served side by side, and their logits averaged. Raises ModelError."""
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
    """Whether heads come from the same: weights that training has moved by little point the same way (a cosine of .99
    after 39 epochs), others are at right angles."""
    ours, theirs = one.hidden.weight.detach(), other.hidden.weight.detach()
    return ours.shape == theirs.shape and bool(functional.cosine_similarity(ours.ravel(), theirs.ravel(), 0) > 0.5)


def _mean(modules: Sequence[M]) -> M:
    """One whose weights are the mean of theirs."""
    mean = copy.deepcopy(modules[0])
    states = [module.state_dict() for module in modules]
    mean.load_state_dict({name: torch.stack([each[name] for each in states]).mean(0) for name in states[0]})
    return mean


def joined(heads: Sequence[Heads], shares: Sequence[float]) -> dict[str, Tensor]:
    """Heads side by side as one, as a FaceNet's state holds them: its logits are theirs in these shares."""
    weights = [share * each.out.weight.detach() for share, each in zip(shares, heads, strict=True)]
    biases = [share * each.out.bias.detach() for share, each in zip(shares, heads, strict=True)]
    return {
        "heads.hidden.weight": torch.cat([each.hidden.weight.detach() for each in heads]),
        "heads.hidden.bias": torch.cat([each.hidden.bias.detach() for each in heads]),
        "heads.out.weight": torch.cat(weights, dim=1),
        "heads.out.bias": torch.stack(biases).sum(0),
    }


def names_of(rows: Iterable[Row]) -> Tensor:
    """Photos as numbers, int64 [n], that are the same in every run."""
    digests = (hashlib.blake2b(f"{row.data}/{row.file}".encode(), digest_size=8).digest() for row in rows)
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=torch.int64)


def taught(rows: Iterable[Row], photos: Tensor, what: str) -> list[str]:
    """Rows that are held out, but whose photos are among those that taught `what`."""
    held_out = [row for row in rows if row.split != "train"]
    seen = torch.isin(names_of(held_out), photos).tolist()
    return [f"photo {row.data}/{row.file} of the split {row.split} taught {what}"
            for row, known in zip(held_out, seen, strict=True) if known]  # fmt: skip


def taught_before(recipe: Recipe, rows: Iterable[Row]) -> list[str]:
    """Photos that are held out now, but taught the run that this one starts from."""
    return taught(rows, load(Path(recipe.init)).photos, f"--init {recipe.init}") if recipe.init.endswith(".pt") else []


def initial_network(recipe: Recipe, device: torch.device) -> FaceNet:
    """The network as a run begins with it: weights of `init`, which may be an earlier run's best.pt, heads of `heads`,
    and the layers that stay."""
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
    """Raises ModelError where the files that a recipe names hold no weights of the kind, before crops are cut."""
    for option, path in recipe.files():
        if option == "--teacher" or (option == "--init" and path.endswith(".pt")):
            load(Path(path))
        elif option == "--heads":
            _heads_of(recipe)
        elif recipe.arch == "mobilenet":
            MobileNet().load_onnx(Path(path))


def network_of(weights: dict[str, Any], recipe: Recipe) -> FaceNet:
    """A network of the recipe's kind and size of photos with these weights, which tell how many units its heads
    have. Raises LookupError, TypeError or RuntimeError where they are of another."""
    net = build(recipe.arch, recipe.size_px, "random", recipe.head, len(weights["heads.hidden.bias"]))
    net.load_state_dict(weights)
    return net


def weights_of(recipe: Recipe) -> dict[str, str]:
    """What a recipe names of weights, and their sha256: a path may hold others later."""
    hashes = {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for _, path in recipe.files()}
    if recipe.gender_of:
        card, _ = read_card(find_card(recipe.gender_of, Path()))
        hashes[recipe.gender_of] = " ".join(file.sha256 for file in card.files)
    return hashes


def resume(path: Path, recipe: Recipe, device: torch.device) -> dict[str, Any] | None:
    """What `save` left of a run of the same recipe (its length may differ), or None. Raises ModelError."""
    if not path.is_file():
        return None
    try:
        saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        earlier = msgspec.convert(saved["recipe"], Recipe)
    except Exception as error:  # whatever torch makes of a file of another kind
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
    return saved


def save(path: Path, what: dict[str, Any]) -> None:
    """Write a checkpoint as a whole or not at all."""
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as opened:
            torch.save(what, opened)
            opened.flush()
            os.fsync(opened.fileno())
    except (OSError, RuntimeError) as error:  # of a full disk, torch makes an error of its own
        part.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written ({' '.join(str(error).split())}): is the disk full?") from error
    part.replace(path)
