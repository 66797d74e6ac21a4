"""Recipe of a training run. Its defaults made the models that come with the program."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from models.cards import ModelError

Arch = Literal["mobilenet", "densenet121", "resnet50", "vgg16", "efficientnet_b0"]
ARCHS: tuple[Arch, ...] = get_args(Arch)
Share = Annotated[float, Meta(ge=0, le=1)]
NotNegative = Annotated[float, Meta(ge=0)]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run depends on besides its data. The record of a run keeps it."""

    arch: Arch = "mobilenet"
    init: str = "random"
    head: Literal["years", "original"] = "years"
    size_px: int = 144
    epochs: int = 12
    """Epochs at the most."""
    minutes: float = 0.0
    """Minutes after which the run ends at the latest, its learning rate annealed by then; 0: no limit."""
    batch: int = 64
    """Photos in each step."""
    learning_rate: NotNegative = 3e-4
    """Peak learning rate of the backbone (AdamW), after a rise over a quarter of an epoch. It falls by a cosine."""
    seed: int = 0

    scale: Annotated[float, Meta(ge=0.5, le=1.95)] = 1.2
    """Side of a crop in face boxes. Those that are cut once have 1.95."""
    head_rate: NotNegative = 4 / 3
    """Learning rate of the heads, in learning rates of the backbone."""
    weight_decay: NotNegative = 0.02
    """Weight decay of AdamW, for weights but not for biases."""
    balance_power: Share = 0.6
    """Power by which rare ages and ethnic groups are drawn more often: 0 as they come, 1 all alike."""
    spoil: Share = 0.5
    """Share (0 to 1) of the augmentations that imitate poor cameras, turned heads and covered faces."""
    remember_px: Annotated[int, Meta(ge=0, le=511)] = 192
    """Size of clean photos of which a mobilenet goes on to give the features that it gave at its start; 0: of none."""
    ema: Share = 0.998
    """Decay of the moving average of the weights, which is validated and saved; 0: the weights themselves."""

    @property
    def knows(self) -> bool:
        """True if the run starts from weights that have learnt something."""
        return self.init != "random"

    @property
    def remembers(self) -> bool:
        """True if the features that the start gives are learnt again from spoilt photos."""
        return self.knows and self.arch == "mobilenet" and self.remember_px > 0

    @property
    def features_px(self) -> int:
        """Size of the photos of which the start's features are computed."""
        return max(self.remember_px, self.size_px)

    def check(self) -> None:
        """Raise ModelError where `init` is no file."""
        if self.init not in ("random", "imagenet") and not Path(self.init).is_file():
            raise ModelError(f"--init {self.init}: no such file; give `random`, `imagenet` or a file of weights")


def recipe_of(options: dict[str, Any], changed: Iterable[str]) -> Recipe:
    """Make a recipe of options of the command line and of texts such as `spoil=0`. Raises ModelError."""
    fields = dict(options)
    for text in changed:
        name, _, value = text.partition("=")
        if name in options or name not in Recipe.__struct_fields__:
            free = ", ".join(sorted(set(Recipe.__struct_fields__) - set(options)))
            raise ModelError(f"--set {text}: give NAME=VALUE, where NAME is one of {free}")
        fields[name] = f"0{value}" if value.startswith(".") else value
    try:
        return msgspec.convert(fields, Recipe, strict=False)
    except msgspec.ValidationError as error:
        raise ModelError(f"--set {' '.join(changed)}: {error}") from error
