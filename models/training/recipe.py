"""What a run is: its options, and which of them go together."""

from pathlib import Path
from typing import Literal, get_args

import msgspec

from models.cards import ModelError, find_card, read_card

Arch = Literal["mobilenet", "densenet121", "resnet50", "vgg16", "efficientnet_b0"]
ARCHS: tuple[Arch, ...] = get_args(Arch)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run depends on besides its data; kept in its record."""

    arch: Arch = "mobilenet"
    init: str = "random"
    heads: str = ""
    """Weights file of a mobilenet whose heads are taken, instead of those of `init` or new ones."""
    head: Literal["years", "original"] = "years"
    size_px: int = 144
    scale: float = 1.3
    """Side of a crop, in face boxes."""
    epochs: int = 16
    batch: int = 64
    """Photos a step."""
    learning_rate: float = 4e-4
    """Peak of the backbone's, AdamW; it falls by a cosine to the end."""
    head_learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    """AdamW's, of weights that are no biases."""
    probe_epochs: int = 0
    """First fit the heads to features of photos as they are, computed once: a minute that a fine-tuning with too large
    steps does not catch up with in forty (measured)."""
    warmup_epochs: float = 1.0
    """Heads only, the backbone frozen."""
    freeze: int = 0
    """First convolutions of a mobilenet that stay as they came: 9 of 27 halve the time of a step."""
    grow: bool = False
    """Start at 0.7 of the size and end at all of it: the same accuracy in less time."""
    balance: Literal["sample", "weight", "none"] = "sample"
    """Rare ages and groups: drawn more often, weighted in the loss, or left as they are."""
    balance_power: float = 0.6
    natural: tuple[str, ...] = ()
    """Data sets whose rows are drawn evenly all the same, as the people that they stand for are spread like that."""
    augment: bool = True
    spoil: float = 1.0
    """How often photos are spoilt on purpose, beside the usual."""
    mimic_px: int = 0
    """Also learn to say of a spoilt photo at `size_px` what the backbone, as it came, says of the clean one at this
    size: weights learnt at 224 px know less at 144. 0: no."""
    mimic_of: str = ""
    """Weights file of a mobilenet whose backbone says it instead: that of the first of several runs, say."""
    cross_fit: float = 0.0
    """Share of a label that gives way to what heads fitted to the features of other people's photos say of this one, so
    that a label that is off is not learnt by heart (cross-fitted distillation: Dao et al., ICLR 2021)."""
    teachers: tuple[str, ...] = ()
    """best.pt of runs with `fold` that say it instead of those heads."""
    gender_of: str = ""
    """A model (a name or a card's path) that learnt gender from photos of its own: two fifths of what they say."""
    fold: int | None = None
    """Leave out this one of `FOLDS` parts of the people, so that the run can be a teacher of theirs."""
    age_groups: tuple[tuple[int, int], ...] = ()
    """Ages are only taught as these ranges (first and last year), as the original project merged its classes."""
    patience: int = 0
    """Stop after so many epochs without a better validation score; 0: never."""
    minutes: float = 0.0
    """Anneal and stop by then at the latest; 0: no limit."""
    ema: float = 0.998
    """Share that the averaged weights, which are validated and saved, keep of themselves at each step."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises ModelError for options that do not go together."""
        if self.arch != "mobilenet" and (self.freeze or self.mimic_px or self.heads or self.grow):
            raise ModelError("--freeze, --mimic, --heads and --grow are for mobilenet only")
        if self.heads and self.head != "years":
            raise ModelError("--heads needs --head years")
        if 0 < self.mimic_px < self.size_px:
            raise ModelError(f"--mimic {self.mimic_px}: give --size {self.size_px} or more, or 0")
        if self.mimic_of and not self.mimic_px:
            raise ModelError("--mimic-of needs --mimic, the size of the photos of which it speaks")
        if self.mimic_px and self.init == "random" and not self.mimic_of:
            raise ModelError("--mimic needs weights whose features tell something: --init, --mimic-of")
        if self.cross_fit and self.head != "years":
            raise ModelError("--cross-fit needs --head years")
        if self.cross_fit and not self.teachers and self.init == "random" and not self.mimic_of:
            raise ModelError(
                "--cross-fit needs --teacher, or weights whose features tell something: --init, --mimic-of"
            )
        if self.teachers and not self.cross_fit:
            raise ModelError("--teacher needs --cross-fit, the share of a label that it decides")
        if self.teachers and self.fold is not None:
            raise ModelError("--fold makes a teacher, --teacher a run that they teach: give one of the two")
        if self.gender_of and not self.cross_fit:
            raise ModelError("--gender-of needs --cross-fit, of which it is a part")

    def files(self) -> list[tuple[str, str]]:
        """Options that name weights by a path, and the paths."""
        init = "" if self.init in ("random", "imagenet") else self.init
        named = ("--init", init), ("--heads", self.heads), ("--mimic-of", self.mimic_of)
        return [(option, path) for option, path in (*named, *(("--teacher", path) for path in self.teachers)) if path]

    def check_files(self) -> None:
        """Raises ModelError for weights to start from, teachers or models that are not there."""
        for option, path in self.files():
            if not Path(path).is_file():
                raise ModelError(f"{option} {path}: no such file")
        if self.gender_of and read_card(find_card(self.gender_of, Path()))[0].task != "classify":
            raise ModelError(f"--gender-of {self.gender_of}: finds faces: give a model that classifies them")
