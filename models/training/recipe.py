"""Options of a training run, and which of them go together."""

from pathlib import Path
from typing import Literal, get_args

import msgspec

from models.cards import ModelError, find_card, read_card

Arch = Literal["mobilenet", "densenet121", "resnet50", "vgg16", "efficientnet_b0"]
ARCHS: tuple[Arch, ...] = get_args(Arch)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run depends on besides its data. The record of a run keeps it."""

    arch: Arch = "mobilenet"
    init: str = "random"
    heads: str = ""
    """Weights file of a mobilenet whose heads replace those of `init`, or new ones."""
    head: Literal["years", "original"] = "years"
    size_px: int = 144
    scale: float = 1.3
    """Side of a crop in face boxes."""
    epochs: int = 16
    batch: int = 64
    """Photos in each step."""
    learning_rate: float = 4e-4
    """Peak learning rate of the backbone (AdamW). It falls by a cosine to the end."""
    head_learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    """Weight decay of AdamW, for weights but not for biases."""
    probe_epochs: int = 0
    """Epochs in which the heads are first fitted to features of clean photos, computed once.

    It takes a minute. Without it, fine-tuning with large steps does not catch up in forty minutes (measured).
    """
    warmup_epochs: float = 1.0
    """Epochs at first in which only the heads learn."""
    freeze: int = 0
    """Number of first convolutions of a mobilenet that do not learn. 9 of 27 halve the time of a step."""
    grow: bool = False
    """Start with photos of 0.7 of the size and end with the whole size: the same accuracy in less time."""
    balance: Literal["sample", "weight", "none"] = "sample"
    """Treatment of rare ages and ethnic groups: drawn more often, weighted in the loss, or left as they are."""
    balance_power: float = 0.6
    natural: tuple[str, ...] = ()
    """Data sets whose rows are drawn evenly all the same, as their people are spread like the real ones."""
    augment: bool = True
    spoil: float = 1.0
    """Share (0 to 1) of the augmentations that imitate poor cameras, turned heads and covered faces."""
    mimic_px: int = 0
    """Size of clean photos whose features the backbone also learns to reproduce from spoilt ones; 0: none.

    The features are those of the backbone as the run begins. Weights trained at 224 px lose accuracy at 144 px.
    """
    mimic_of: str = ""
    """Weights file of a mobilenet whose features are reproduced instead: that of the first of several runs, say."""
    cross_fit: float = 0.0
    """Share (0 to 1) of a label that is replaced by the answer of heads fitted to photos of other people.

    Wrong labels are then not learnt by heart (cross-fitted distillation: Dao et al., ICLR 2021).
    """
    teachers: tuple[str, ...] = ()
    """Files best.pt of runs with `fold` whose answers are taken instead of those heads'."""
    gender_of: str = ""
    """Model (name or path of a card) trained on photos of its own, which gives two fifths of these gender answers."""
    fold: int | None = None
    """Part of the people, of `FOLDS`, that this run leaves out, so that it can be their teacher."""
    age_groups: tuple[tuple[int, int], ...] = ()
    """Ranges (first and last year) into which ages are merged, as the original project merged its classes."""
    patience: int = 0
    """Number of epochs without a better validation score after which the run stops; 0: never."""
    minutes: float = 0.0
    """Minutes after which the run ends at the latest, its learning rate annealed by then; 0: no limit."""
    ema: float = 0.998
    """Decay of the moving average of the weights, which is validated and saved."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise ModelError for options that do not go together."""
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
        """Return (option, path) for each option that names a file of weights."""
        init = "" if self.init in ("random", "imagenet") else self.init
        named = ("--init", init), ("--heads", self.heads), ("--mimic-of", self.mimic_of)
        return [(option, path) for option, path in (*named, *(("--teacher", path) for path in self.teachers)) if path]

    def check_files(self) -> None:
        """Raise ModelError for files of weights, teachers or models that are not there."""
        for option, path in self.files():
            if not Path(path).is_file():
                raise ModelError(f"{option} {path}: no such file")
        if self.gender_of and read_card(find_card(self.gender_of, Path()))[0].task != "classify":
            raise ModelError(f"--gender-of {self.gender_of}: finds faces: give a model that classifies them")
