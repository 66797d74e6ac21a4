"""Models for a station from a training run: FP32, INT8 and FP16 files, each calibrated and with a card."""

import hashlib
import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.assets import Model, resolve
from models.cards import (
    CardName,
    File,
    GenderHead,
    Golden,
    Input,
    ModelCard,
    ModelError,
    Network,
    Text,
    Unknown,
    Younger,
    read_card,
)
from models.crop import CropSpec
from models.datasets.augment import view
from models.datasets.crops import CropCache
from models.datasets.splits import leaks
from models.evaluation.calibration import fit_temperatures
from models.evaluation.cards import golden_of, metrics_of
from models.evaluation.conditions import CONDITIONS
from models.evaluation.confusion import confusion_of, write_confusion
from models.evaluation.evaluate import Figures, figures, truth_of
from models.evaluation.younger import fit_younger
from models.export.quantize import convert_fp16, quantize_int8
from models.export.to_onnx import AGE, GENDER, INPUT, export_onnx, session_of
from models.session import AgeDecoder, Classifier, Outputs
from models.training.checkpoints import Trained
from models.training.networks import PREPROCESSING
from models.training.recipe import Recipe
from models.training.validation import age_head
from models.training.views import to_tensor

Precision = Literal["fp32", "int8", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("int8", "fp32", "fp16")
CALIBRATION_FACES = 512
FAR = ("face-60px", "face-40px", "face-24px")
"""Conditions for which the ages of laws are calibrated, beside faces as they are."""


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """Name of a model, texts of its card, and costs of the answer `unknown`: only people can say them.

    Costs are compared with 1 for a wrong answer. With calibrated confidences, answering is cheaper from a confidence
    of 1 - cost on. That is the threshold.
    """

    name: CardName
    title: Text
    licence: Text
    source: Text
    intended_use: Text
    limits: Text
    research_only: bool
    unknown_gender_cost: float
    unknown_decade_cost: float


def words_of(said: dict[str, Any]) -> Words:
    """Check what people said. Raises ModelError for texts that no card may have."""
    for key, text in said.items():
        if isinstance(text, str) and text != text.encode(errors="replace").decode():
            raise ModelError(f"--{key.replace('_', '-')}: is no text in UTF-8; write it in letters that are")
    try:
        msgspec.convert(said | {"name": f"{said['name']}-fp32"}, Words)  # the longest name of its files
    except msgspec.ValidationError as error:
        key = str(error).rpartition("$.")[2].strip("`")
        raise ModelError(f"--{key.replace('_', '-')} {said[key]!r}: {error}") from error
    return Words(**said)


def package(cache: CropCache, trained: Trained, out: Path, words: Words) -> dict[str, Figures]:
    """Write NAME.onnx (INT8), NAME-fp32.onnx, NAME-fp16.onnx and their cards into `out`. Return their figures.

    INT8 ranges come from the split `train`, temperatures from `val`, and figures from `test`, or from `val` if there
    is no `test`. Files of an earlier export stay until all are made. Raises ModelError, also for crops whose split is
    not the one by which the network was taught.
    """
    if trained.index_sha256 not in ("", cache.sha256):
        raise ModelError(
            f"{cache.folder}: has other photos, labels or splits than those that taught best.pt: train again"
        )
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as folder:
        reports = _made(cache, trained, Path(folder), words)
        for made in sorted(Path(folder).iterdir()):
            made.replace(out / made.name)
    return reports


def _made(cache: CropCache, trained: Trained, out: Path, words: Words) -> dict[str, Figures]:
    """Make the files and cards in an empty folder."""
    recipe = trained.recipe
    splits = np.array([row.split for row in cache.rows])
    held_out = "test" if (splits == "test").any() else "val"
    train, val, test = (np.flatnonzero(splits == split) for split in ("train", "val", held_out))
    rows = [cache.rows[i] for i in test]
    measured_on = f"{'leaking ' if leaks(cache.rows) else ''}{held_out} split of the training data"
    if held_out == "val":
        measured_on += ", which chose and calibrated the model"
    words = msgspec.structs.replace(words, research_only=words.research_only or trained.research_only)
    names = {precision: words.name if precision == "int8" else f"{words.name}-{precision}" for precision in PRECISIONS}
    paths = {precision: out / f"{name}.onnx" for precision, name in names.items()}
    parity = export_onnx(trained, paths["fp32"])
    shown = np.random.default_rng(0).permutation(train)[:CALIBRATION_FACES]
    quantize_int8(paths["fp32"], paths["int8"], images_of(cache, shown, recipe))
    convert_fp16(paths["fp32"], paths["fp16"])
    reports: dict[str, Figures] = {}
    for precision, name in names.items():
        path = paths[precision]
        if precision != "fp16":  # which answers as FP32 does, five times as slowly on a processor
            calibration = _calibrate(path, cache, val, recipe)
        card = _card(name, precision, path, recipe, words, calibration)
        card = msgspec.structs.replace(card, golden=golden_of(card, out))
        served = Classifier(_write(out, card), "cpu")
        outputs = answers(served, cache, test, recipe)
        report = figures(outputs, truth_of(rows))
        reports[precision] = report | {"parity": parity, "size_bytes": path.stat().st_size}
        _write(out, msgspec.structs.replace(card, metrics=metrics_of(report, measured_on)))
        if (said := confusion_of(served.decide(outputs), rows, measured_on)).faces:
            write_confusion(out / f"{name}.toml", said)
    return reports


def to_serve(reports: dict[str, Figures]) -> Precision:
    """Choose INT8, or FP32 if rounding costs more than .02 of gender accuracy or a year of age error."""
    gender, age = (
        [report[key]["value"] for report in (reports["fp32"], reports["int8"]) if report[key] is not None]
        for key in ("gender_accuracy", "age_mae")
    )
    spoilt = (len(gender) == 2 and gender[0] - gender[1] > 0.02) or (len(age) == 2 and age[1] - age[0] > 1)
    return "fp32" if spoilt else "int8"


def crops_of(cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, condition: str = "") -> NDArray[np.uint8]:
    """Cut the views of cached crops that the network takes, uint8 RGB [n, S, S, 3], spoilt by one of CONDITIONS."""
    views = [view(cache.crops[i], recipe.scale, recipe.size_px) for i in rows]
    return np.stack([CONDITIONS[condition](each, recipe.scale) for each in views] if condition else views)


def images_of(cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, condition: str = "") -> NDArray[np.float32]:
    """Return the same as the network's input, float32 [n, 3, S, S]."""
    images = to_tensor(crops_of(cache, rows, recipe, condition), PREPROCESSING[recipe.arch])
    return np.asarray(images.contiguous().numpy())


def logits_of(
    path: Path, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, condition: str = ""
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return gender logits [n, 1] and age logits [n, classes] of rows. Few photos are in memory at a time."""
    session = session_of(path)
    parts = [
        session.run([GENDER, AGE], {INPUT: images_of(cache, rows[i : i + 64], recipe, condition)})
        for i in range(0, len(rows), 64)
    ]
    gender, age = (np.concatenate(of_head).astype(np.float32) for of_head in zip(*parts, strict=True))
    return gender, age


def answers(served: Classifier, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe) -> Outputs:
    """Return what the served model answers to rows. Few photos are in memory at a time."""
    parts = [served.run(crops_of(cache, rows[i : i + 64], recipe)) for i in range(0, len(rows), 64)]
    return Outputs(*(np.concatenate([getattr(part, name) for part in parts]) for name in Outputs.__struct_fields__))


class _Calibration(NamedTuple):
    of_gender: float
    of_age: float
    younger: Younger | None


def _calibrate(path: Path, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe) -> _Calibration:
    """Fit temperatures to rows, and the ages of laws to them as they are and as far ones."""
    truth = truth_of([cache.rows[i] for i in rows])
    gender, age = logits_of(path, cache, rows, recipe)
    of_gender, of_age = fit_temperatures(gender, age, age_head(recipe), truth)
    decoder = AgeDecoder(age_head(recipe, temperature=of_age))
    seen = [age, *(logits_of(path, cache, rows, recipe, condition)[1] for condition in FAR)]
    said = np.stack([decoder.decode(each)["p_younger"][truth.has_age] for each in seen])
    ages = (bound[truth.has_age] for bound in (truth.age_lo, truth.age_hi))
    return _Calibration(of_gender, of_age, fit_younger(said, *ages))


def _card(
    name: str, precision: Precision, path: Path, recipe: Recipe, words: Words, calibration: _Calibration
) -> ModelCard:
    """Make the card of a file. It has no golden answers and no figures yet."""
    data = path.read_bytes()
    preprocessing = PREPROCESSING[recipe.arch]
    taken = Input(
        name=INPUT,
        size_px=recipe.size_px,
        channels=preprocessing.channels,
        mean=preprocessing.mean,
        std=preprocessing.std,
    )
    gender = GenderHead(output=GENDER, order="M", values="logits", temperature=calibration.of_gender)
    return ModelCard(
        name=name,
        task="classify",
        title=f"{words.title} ({precision.upper()})",
        licence=words.licence,
        research_only=words.research_only,
        source=words.source,
        intended_use=words.intended_use,
        limits=words.limits,
        files=(File(name=path.name, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data)),),
        crop=CropSpec(size_px=recipe.size_px, scale=recipe.scale),
        networks=(Network(file=path.name, input=taken, gender=gender, age=age_head(recipe, AGE, calibration.of_age)),),
        unknown=Unknown(
            gender=max(0.5, round(1 - words.unknown_gender_cost, 6)), decade=round(1 - words.unknown_decade_cost, 6)
        ),
        younger=calibration.younger,
        golden=Golden(p_male=(), age_years=()),
    )


def _write(out: Path, card: ModelCard) -> Model:
    """Write a card, and read it again as a station does."""
    import tomli_w

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items() if item not in (None, [], ())}
        return [plain(item) for item in value] if isinstance(value, list | tuple) else value

    path = out / f"{card.name}.toml"
    part = path.with_suffix(".part")
    part.write_text(tomli_w.dumps(plain(msgspec.to_builtins(card))), encoding="utf-8")
    read_card(part)
    part.replace(path)
    return resolve(path.name, out)
