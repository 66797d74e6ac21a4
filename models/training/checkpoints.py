"""Networks and runs as files: best.pt (weights to serve or to start from) and last.pt (a run to go on with)."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch

from models.cards import ModelError
from models.training.networks import FaceNet, MobileNet, build, placed
from models.training.recipe import Recipe


class Trained(NamedTuple):
    """What a best.pt holds: a network, ready to answer, its recipe and the sha256 of the index it was trained on."""

    net: FaceNet
    recipe: Recipe
    index_sha256: str


def load(path: Path) -> Trained:
    """Read a best.pt. Raises ModelError."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        recipe = msgspec.convert(saved["recipe"], Recipe)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # whatever torch makes of a file of another kind
        raise ModelError(f"{path}: is not what `stationcast models train` saves") from error
    net = build(recipe.arch, recipe.size_px, "random", recipe.head)
    net.load_state_dict(saved["weights"])
    return Trained(net.eval(), recipe, saved.get("index_sha256", ""))


def initial_network(recipe: Recipe, device: torch.device) -> FaceNet:
    """The network as a run begins with it: weights of `init`, which may be an earlier run's best.pt, and the layers
    that stay."""
    torch.manual_seed(recipe.seed)
    earlier = recipe.init.endswith(".pt")
    net = placed(build(recipe.arch, recipe.size_px, "random" if earlier else recipe.init, recipe.head), device)
    if earlier:
        start = load(Path(recipe.init))
        if (start.recipe.arch, start.recipe.head) != (recipe.arch, recipe.head):
            raise ModelError(f"--init {recipe.init}: is a {start.recipe.arch} with the head `{start.recipe.head}`")
        net.load_state_dict(start.net.state_dict())
    if isinstance(net.backbone, MobileNet):
        net.backbone.frozen = recipe.freeze
    return net


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
    return saved


def save(path: Path, what: dict[str, Any]) -> None:
    """Write a checkpoint as a whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(what, part)
    part.replace(path)
