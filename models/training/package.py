"""Models for a station from a training run: FP32, INT8 and FP16 files, each calibrated and with a card."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.assets import Model, resolve
from models.cards import (
    DECADES,
    AgeHead,
    CardName,
    File,
    GenderHead,
    Golden,
    Input,
    Metric,
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
from models.evaluation.conditions import CONDITIONS
from models.evaluation.confusion import confusion_of, write_confusion
from models.evaluation.evaluate import Figures, figures, truth_of
from models.evaluation.younger import MAX_STRADDLING, fit_younger
from models.session import AgeDecoder, Classifier, Outputs, golden_crops
from models.training.checkpoints import Trained, taught
from models.training.export import AGE, GENDER, INPUT, export_onnx, run_onnx
from models.training.networks import ORIGINAL_EDGES, PREPROCESSING, YEARS
from models.training.quantize import convert_fp16, quantize_int8
from models.training.recipe import Recipe
from models.training.views import to_tensor

Precision = Literal["fp32", "int8", "fp16"]
PRECISIONS: tuple[Precision, ...] = ("int8", "fp32", "fp16")
CALIBRATION_FACES = 512
_PHOTOS_IN_MEMORY = 512


class Costs(msgspec.Struct, frozen=True):
    """Costs of the answer `unknown`, compared with 1 for a wrong answer.

    With calibrated confidences, answering is cheaper from a confidence of 1 - cost on. That is the threshold.
    """

    unknown_gender: float = 0.3
    unknown_decade: float = 0.7


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """Texts of a card that only people can write."""

    title: str
    licence: str
    source: str
    intended_use: str
    limits: str


def package(cache: CropCache, trained: Trained, out: Path, name: str, words: Words, costs: Costs) -> dict[str, Figures]:
    """Write NAME.onnx (INT8), NAME-fp32.onnx, NAME-fp16.onnx and their cards into `out`. Return their figures.

    INT8 ranges come from the split `train`, temperatures from `val`, and figures from `test`, or from `val` if there
    is no `test`. Raises ModelError.
    """
    _check(name, words)
    out.mkdir(parents=True, exist_ok=True)
    splits = np.array([row.split for row in cache.rows])
    rng = np.random.default_rng(0)
    recipe, worst = trained.recipe, export_onnx(trained, out / f"{name}-fp32.onnx")
    train = np.flatnonzero(splits == "train")
    calibration = images_of(cache, rng.permutation(train)[:CALIBRATION_FACES], recipe)
    quantize_int8(out / f"{name}-fp32.onnx", out / f"{name}.onnx", calibration)
    convert_fp16(out / f"{name}-fp32.onnx", out / f"{name}-fp16.onnx")
    val = np.flatnonzero(splits == "val")
    held_out = "test" if (splits == "test").any() else "val"
    measured_on = f"{'leaking ' if leaking(cache, trained) else ''}{held_out} split of the training data"
    test = np.flatnonzero(splits == held_out)
    reports: dict[str, Figures] = {}
    temperatures, younger = (1.0, 1.0), None
    for precision in PRECISIONS:
        model = name if precision == "int8" else f"{name}-{precision}"
        path = out / f"{model}.onnx"
        if precision != "fp16":  # which answers as FP32 does, five times as slowly on a processor
            temperatures = fit_temperatures(*logits_of(path, cache, val, recipe), cache, val)
        card = _card(model, path, recipe, temperatures, words, costs, precision)
        younger = younger if precision == "fp16" else _younger(card, path, cache, val, recipe)
        card = msgspec.structs.replace(card, younger=younger)
        served = Classifier(_write(out, _with_golden(out, card)), "cpu")
        outputs = answers(served, cache, test, recipe)
        rows = [cache.rows[i] for i in test]
        report = figures(outputs, truth_of(rows))
        report |= {"parity": worst, "temperatures": temperatures, "size_bytes": path.stat().st_size}
        reports[precision] = report
        measured = metrics_of(report, measured_on)
        _write(out, msgspec.structs.replace(served.card, metrics=measured))
        write_confusion(out / f"{model}.toml", confusion_of(served.decide(outputs), rows, measured_on))
    return reports


def _younger(card: ModelCard, path: Path, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe) -> Younger | None:
    """Fit the card's probabilities of being younger than the ages of laws, to faces as they are and as far ones."""
    [head] = (network.age for network in card.networks if network.age)
    truth = truth_of([cache.rows[i] for i in rows])
    known = rows[truth.has_age]
    said = []
    for condition in (None, "face-60px", "face-40px", "face-24px"):
        _, age = logits_of(path, cache, known, recipe, condition)
        said.append(AgeDecoder(head).decode(age)["p_younger"])
    ages = (np.tile(bound[truth.has_age], len(said)) for bound in (truth.age_lo, truth.age_hi))
    return fit_younger(np.concatenate(said), *ages)


def leaking(cache: CropCache, trained: Trained) -> list[str]:
    """Return why figures on held-out photos are too good: leaks of the split, held-out photos that taught the run."""
    return leaks(cache.rows) + taught(cache.rows, trained.photos, "the run, or what it started from")


def _check(name: str, words: Words) -> None:
    """Raise ModelError for texts that no card may have, before anything is written."""
    names = [("name", each, CardName) for each in (name, f"{name}-fp32")]
    kinds = [*names, *((key, getattr(words, key), Text) for key in Words.__struct_fields__)]
    for option, value, kind in kinds:
        try:
            msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            raise ModelError(f"--{option.replace('_', '-')} {value!r}: {error}") from error


def to_serve(reports: dict[str, Figures]) -> Precision:
    """Choose INT8, or FP32 if rounding costs more than .02 of gender accuracy or a year of age error."""
    gender, age = (
        [report[key]["value"] for report in (reports["fp32"], reports["int8"]) if report[key] is not None]
        for key in ("gender_accuracy", "age_mae")
    )
    spoilt = (len(gender) == 2 and gender[0] - gender[1] > 0.02) or (len(age) == 2 and age[1] - age[0] > 1)
    return "fp32" if spoilt else "int8"


def images_of(
    cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, condition: str | None = None
) -> NDArray[np.float32]:
    """Cut the views of cached crops that the network takes, float32 [n, 3, S, S], spoilt by one of CONDITIONS."""
    views = [view(cache.crops[i], recipe.scale, recipe.size_px) for i in rows]
    crops = np.stack([CONDITIONS[condition](each, recipe.scale) for each in views] if condition else views)
    tensor: NDArray[np.float32] = to_tensor(crops, PREPROCESSING[recipe.arch]).contiguous().numpy()
    return tensor


def logits_of(
    path: Path, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, condition: str | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return gender logits [n, 1] and age logits [n, classes] of rows. Photos are read in parts, to save memory."""
    parts = [run_onnx(path, images_of(cache, some, recipe, condition)) for some in _parts(rows)]
    gender, age = (np.concatenate(of_head) for of_head in zip(*parts, strict=True))
    return gender, age


def _parts(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    return (rows[start : start + _PHOTOS_IN_MEMORY] for start in range(0, len(rows), _PHOTOS_IN_MEMORY))


def fit_temperatures(
    gender: NDArray[np.float32], age: NDArray[np.float32], cache: CropCache, rows: NDArray[np.int64]
) -> tuple[float, float]:
    """Fit the temperatures of gender and age, between .4 and 4, that make the labels of rows most likely.

    Labels of age count by decade (Guo et al., On calibration of modern neural networks, ICML 2017).
    """
    truth = truth_of([cache.rows[i] for i in rows])
    grid = np.exp(np.linspace(np.log(0.4), np.log(4), 93))
    sign = np.where(truth.male, 1.0, -1.0)[truth.has_gender]
    logits = gender[truth.has_gender, 0].astype(np.float64) * sign
    best_gender = min(grid, key=lambda t: float(np.logaddexp(0, -logits / t).mean()))
    years = np.minimum(np.arange(YEARS) // 10, len(DECADES) - 1) if age.shape[1] == YEARS else np.arange(age.shape[1])
    first, last = ((bound[truth.has_age] // 10)[:, None] for bound in (truth.age_lo, truth.age_hi))
    top = years.max()
    inside = (years >= np.minimum(first, top)) & (years <= np.minimum(last, top))
    logits = age[truth.has_age].astype(np.float64)

    def surprise(t: float) -> float:
        e = np.exp((logits - logits.max(1, keepdims=True)) / t)
        return float(-np.log(((e * inside).sum(1) / e.sum(1)).clip(1e-9)).mean())

    return round(float(best_gender), 3), round(float(min(grid, key=surprise)), 3)


def metrics_of(report: Figures, data: str) -> tuple[Metric, ...]:
    """Return the figures of a report as a card lists them, those of ethnic groups included."""
    keys = (
        "gender_accuracy",
        "adult_gender_accuracy",
        "age_mae",
        "decade_accuracy",
        "decade_within_one",
        "seven_decade_accuracy",
        "fairface_bin_accuracy",
        "joint_accuracy",
    )
    chosen = [(data, key, report[key]) for key in keys]
    chosen += [(data, f"per_gender_recall {who}", value) for who, value in report["per_gender_recall"].items()]
    for group, of_group in report.get("groups", {}).get("by_group", {}).items():
        for key in ("gender_accuracy", "adult_gender_accuracy", "age_mae"):
            chosen.append((f"{data}, group {group}", key, of_group[key]))
    measured = tuple(
        Metric(data=where, measure=key, value=v["value"], faces=v["n"], note=f"95 % interval {v['low']} to {v['high']}")
        for where, key, v in chosen
        if v
    )
    return measured + tuple(_of_laws(report["younger_than"], data))


def _of_laws(younger_than: Figures, data: str) -> Iterator[Metric]:
    """Yield how well the probabilities of being younger than an age are calibrated, each age with its curve.

    Ages of which many labels do not tell are left out: the others are those that are easy to tell.
    """
    for years, told in younger_than.items():
        if told["n_left_out"] > MAX_STRADDLING * told["n"]:
            continue
        curve = ", ".join(f"{said:.3f}: {true:.3f}" for said, true, _ in told["reliability"])
        yield Metric(
            data=data,
            measure=f"younger_than_{years}_calibration_error",
            value=told["calibration_error"],
            faces=told["n"],
            note=f"said: true, in tenths of the faces: {curve}",
        )


def answers(served: Classifier, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe) -> Outputs:
    """Return what the served model answers to rows. Photos are read in parts, to save memory."""
    parts = [
        served.run(np.stack([view(cache.crops[i], recipe.scale, served.size_px) for i in some]))
        for some in _parts(rows)
    ]
    names = Outputs.__struct_fields__
    return Outputs(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _card(
    name: str,
    path: Path,
    recipe: Recipe,
    temperatures: tuple[float, float],
    words: Words,
    costs: Costs,
    precision: Precision,
) -> ModelCard:
    data = path.read_bytes()
    preprocessing = PREPROCESSING[recipe.arch]
    ages: dict[str, Any] = {"edges": ORIGINAL_EDGES} if recipe.head == "original" else {"years": (0, YEARS - 1)}
    file = File(name=path.name, sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
    network = Network(
        file=path.name,
        input=Input(
            name=INPUT,
            size_px=recipe.size_px,
            channels=preprocessing.channels,
            mean=preprocessing.mean,
            std=preprocessing.std,
        ),
        gender=GenderHead(output=GENDER, order="M", values="logits", temperature=temperatures[0]),
        age=AgeHead(output=AGE, values="logits", temperature=temperatures[1], **ages),
    )
    return ModelCard(
        name=name,
        task="classify",
        title=f"{words.title} ({precision.upper()})",
        licence=words.licence,
        source=words.source,
        intended_use=words.intended_use,
        limits=words.limits,
        files=(file,),
        crop=CropSpec(size_px=recipe.size_px, scale=recipe.scale),
        networks=(network,),
        unknown=Unknown(gender=max(0.5, round(1 - costs.unknown_gender, 6)), decade=round(1 - costs.unknown_decade, 6)),
        golden=Golden(p_male=(), age_years=()),
    )


def _with_golden(out: Path, card: ModelCard) -> ModelCard:
    """Return the card with its model's answers to the golden pictures, and how far other machines may differ.

    Other processors round INT8 layers otherwise, and so does this one without fused operations. Two and a half times
    that difference is allowed. (Noise of .05 in the pictures makes up to 1.4 times the difference.)
    """

    def said(optimization: Literal["basic", "all"]) -> Outputs:
        networks = tuple(msgspec.structs.replace(network, optimization=optimization) for network in card.networks)
        tried = msgspec.structs.replace(card, networks=networks)
        model = Model(tried, out / f"{card.name}.toml", "", {file.name: out / file.name for file in card.files})
        return Classifier(model, "cpu", golden=False).run(golden_crops(card.crop.size_px if card.crop else 0))

    now, otherwise = said("all"), said("basic")
    apart, apart_years = (
        2.5 * float(np.abs(getattr(now, name) - getattr(otherwise, name)).max()) for name in ("p_male", "age_years")
    )
    golden = Golden(
        p_male=tuple(round(float(p), 4) for p in now.p_male),
        age_years=tuple(round(float(a), 2) for a in now.age_years),
        tolerance=round(min(0.05, max(0.01, apart)), 3),
        tolerance_years=round(min(3.0, max(0.3, apart_years)), 2),
    )
    return msgspec.structs.replace(card, golden=golden)


def _write(out: Path, card: ModelCard) -> Any:
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
