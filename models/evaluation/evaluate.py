"""Figures of a model on labelled photos, each with its 95 % interval, by gender, decade and ethnic group."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from models.assets import resolve
from models.cards import DECADE_EDGES, DECADES, FAIRFACE_EDGES, FAIRFACE_RANGES, ModelError
from models.crop import crop_face
from models.datasets.crops import Located, portraits
from models.datasets.index import MAX_AGE, Photos, Row, parse_split, text_of
from models.datasets.splits import leaks
from models.detector import FaceDetector
from models.estimate import Estimate
from models.evaluation.conditions import CONDITIONS
from models.evaluation.confusion import confusion_of, evenly
from models.evaluation.younger import younger_figures
from models.session import MAX_BATCH, Classifier, Outputs

ADULT = 20
SEVEN_EDGES = (0, 10, 20, 30, 40, 50, 60, 121)
"""Bounds of the original project's seven decades; 60 and more are one."""
_MIN_GROUP = 20
"""Least number of faces of an ethnic group that counts for the gap between groups."""

Figures = dict[str, Any]


class Truth(Struct, frozen=True):
    """Labels of n faces as arrays [n]: man or not, first and last year, which of them are known, ethnic group."""

    male: NDArray[np.bool_]
    has_gender: NDArray[np.bool_]
    age_lo: NDArray[np.float64]
    age_hi: NDArray[np.float64]
    has_age: NDArray[np.bool_]
    group: NDArray[np.str_]


def truth_of(rows: Sequence[Row]) -> Truth:
    """Put the labels of rows into arrays."""
    return Truth(
        male=np.array([row.gender == "M" for row in rows], bool),
        has_gender=np.array([row.gender is not None for row in rows], bool),
        age_lo=np.array([0.0 if row.age_lo is None else row.age_lo for row in rows]),
        age_hi=np.array([0.0 if row.age_hi is None else row.age_hi for row in rows]),
        has_age=np.array([row.age_lo is not None and row.age_hi is not None for row in rows], bool),
        group=np.array([row.race for row in rows], str),
    )


def figures(outputs: Outputs, truth: Truth) -> Figures:
    """Compute all figures of n faces. A figure without faces is None.

    A label that is a range of ages is scored as a range. The error is the distance to its nearer end. A decade, or one
    of FairFace's nine ranges, is right if it is the likeliest and overlaps the label.
    """
    men = outputs.p_male > 0.5
    gender_right = men == truth.male
    error = np.maximum(truth.age_lo - outputs.age_years, 0) + np.maximum(outputs.age_years - truth.age_hi, 0)
    decade, fairface = outputs.p_decade.argmax(1), outputs.p_fairface.argmax(1)
    decade_right = overlapping(decade, DECADE_EDGES, truth)
    g, a = truth.has_gender, truth.has_age
    both = g & a
    exact = a & (truth.age_lo == truth.age_hi)
    one = a & (_bin(truth.age_lo, DECADE_EDGES) == _bin(truth.age_hi, DECADE_EDGES))
    result: Figures = {
        "n_gender": int(g.sum()),
        "n_age": int(a.sum()),
        "gender_accuracy": _share(gender_right[g]),
        "adult_gender_accuracy": _share(gender_right[both & (truth.age_lo >= ADULT)]),
        "per_gender_recall": {"M": _share(gender_right[g & truth.male]), "F": _share(gender_right[g & ~truth.male])},
        "age_mae": _mean(error[a], 0),
        "age_bias": _mean((outputs.age_years - truth.age_lo)[exact], -MAX_AGE),
        "decade_accuracy": _share(decade_right[a]),
        "decade_within_one": _share(overlapping(decade, DECADE_EDGES, truth, slack=1)[a]),
        "seven_decade_accuracy": _share(overlapping(_seven(outputs.p_decade).argmax(1), SEVEN_EDGES, truth)[a]),
        "fairface_bin_accuracy": _share(overlapping(fairface, FAIRFACE_EDGES, truth)[a]),
        "fairface_bin_within_one": _share(overlapping(fairface, FAIRFACE_EDGES, truth, slack=1)[a]),
        # Categorical accuracy of its two-hot labels: the largest of man, woman and seven decades must be the gender.
        "original_project_measure": _share(_original(outputs, truth)[both]),
        "joint_accuracy": _share((gender_right & decade_right)[both]),
        "gender_calibration_error": calibration_error(
            np.where(men, outputs.p_male, 1 - outputs.p_male)[g], gender_right[g]
        ),
        # Only for labels within one decade: confidence says how sure one decade is, and longer ranges are easier.
        "decade_calibration_error": calibration_error(outputs.p_decade.max(1)[one], decade_right[one]),
        "gender_confusion": _confusion(np.where(men, 0, 1), np.where(truth.male, 0, 1), ("M", "F"), g),
    }
    for name, said, edges, labels in (
        ("decade", decade, DECADE_EDGES, DECADES),
        ("fairface_bin", fairface, FAIRFACE_EDGES, FAIRFACE_RANGES),
    ):
        inside = a & (_bin(truth.age_lo, edges) == _bin(truth.age_hi, edges))
        true = np.where(inside, _bin(truth.age_lo, edges), -1)
        result |= {
            f"per_{name}_recall": {label: _share((said == i)[true == i]) for i, label in enumerate(labels)},
            f"per_{name}_gender_accuracy": {
                label: _share(gender_right[g & (true == i)]) for i, label in enumerate(labels)
            },
            f"{name}_confusion": _confusion(said, true, labels, inside),
            f"n_age_over_several_{name}s": int((a & ~inside).sum()),
        }
    middles = np.where(a, _bin((truth.age_lo + truth.age_hi) / 2, FAIRFACE_EDGES), -1)
    result["mean_over_fairface_bins"] = {
        "gender_accuracy": _even(gender_right, middles, g),
        "age_mae": _even(error, middles, a),
        "fairface_bin_accuracy": _even(overlapping(fairface, FAIRFACE_EDGES, truth), middles, a),
    }
    result["younger_than"] = younger_figures(outputs.p_younger[a], truth.age_lo[a], truth.age_hi[a])
    if len(set(truth.group.tolist()) - {""}) > 1:
        result["groups"] = _by_group(gender_right, error, decade_right, truth)
    return result


def calibration_error(confidence: NDArray[Any], right: NDArray[np.bool_], bins: int = 15) -> float | None:
    """Return the mean distance between confidence and accuracy over `bins` equally full bins."""
    if not len(right):
        return None
    order = np.argsort(confidence)
    parts = np.array_split(order, min(bins, len(order)))
    return round(float(sum(abs(confidence[p].mean() - right[p].mean()) * len(p) for p in parts) / len(order)), 4)


def evaluate(
    models: Sequence[str],
    data: Path,
    detector: str | None = "mediapipe-full-range",
    labels: Path | None = None,
    split: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    condition: str | None = None,
    per_group: int | None = None,
) -> list[Figures]:
    """Measure models (`default`, names or paths of cards) on a folder or zip with labels.csv. Return their reports.

    Faces are found once and cropped as each model needs. A photo without a found face is cropped where the faces of
    the others are, and counts like any other. Photos and lines that cannot be read are counted and left out. Leaks of
    a `split` come first in the report. A `condition`, one of CONDITIONS, spoils all crops. With `per_group`, so many
    photos at most of each gender and decade are drawn, always the same ones. Raises ModelError.
    """
    measured = [_Measured(Classifier(resolve(name, Path.cwd()), "cpu"), condition) for name in models]
    kept: list[Row] = []
    counts: Counter[str] = Counter()
    with Photos(data) as photos, contextlib.ExitStack() as stack:
        rows, left_out = photos.labels(labels)
        leaking = leaks(rows) if split else []
        if split:
            rows = [row for row in rows if row.split == parse_split(split)]
        if per_group:
            rows = evenly(rows, per_group)
        if not rows:
            why = "".join(f"; left out {count}: {reason}" for reason, count in left_out.most_common(3))
            raise ModelError(f"{data}: no row to evaluate{f' in the split {split!r}' if split else ''}{why}")
        finder = FaceDetector(resolve(detector, Path.cwd()), min_score=0.3) if detector else None
        if finder:
            stack.enter_context(finder)
        for row, image, face in portraits(photos, rows, finder, counts, progress):
            for each in measured:
                each.add(image, face)
            kept.append(row)
        if not kept:
            raise ModelError(f"{data}: none of its {len(rows)} photos can be read: {photos.why_not(rows[0].file)}")
    truth = truth_of(kept)
    name = text_of(data.absolute().name)
    measured_on = f"{'leaking ' if leaking else ''}{parse_split(split)} split of {name}" if split else name
    reports = []
    for each in measured:
        outputs = each.outputs()
        report: Figures = {"leaking_split": leaking} if leaking else {}
        report |= {
            "model": each.classifier.card.name,
            "card_sha256": each.classifier.sha256,
            "data": name,
            "detector": detector or "none",
            "condition": condition or "as they are",
            "n": len(kept),
            "faces_found": counts["found"] if detector else None,
            "photos_unreadable": counts["unreadable"],
            "rows_left_out": dict(left_out),
        }
        estimates = each.classifier.decide(outputs)
        report |= figures(outputs, truth) | coverage(estimates, truth)
        report["confusion"] = msgspec.to_builtins(confusion_of(estimates, kept, measured_on))
        reports.append(report | time_faces(each.classifier, each.last))
    return reports


class _Measured:
    """Model with its answers to the faces added so far. It classifies them in batches."""

    def __init__(self, classifier: Classifier, condition: str | None) -> None:
        self.classifier = classifier
        self._condition = CONDITIONS[condition] if condition else None
        self.last = np.empty((0, classifier.size_px, classifier.size_px, 3), np.uint8)
        self._crops: list[NDArray[np.uint8]] = []
        self._said: list[Outputs] = []

    def add(self, image: NDArray[np.uint8], face: Located) -> None:
        """Add a face of a photo, uint8 BGR [H, W, 3]."""
        spec = self.classifier.card.crop
        assert spec is not None
        crop = crop_face(image, face.box_px, face.keypoints_px, spec)[..., ::-1]
        self._crops.append(self._condition(crop, spec.scale) if self._condition else crop)
        if len(self._crops) == MAX_BATCH:
            self._classify()

    def outputs(self) -> Outputs:
        """Return the answers to all faces, in their order. Raises ModelError if one is no number."""
        if self._crops:
            self._classify()
        names = Outputs.__struct_fields__
        said = Outputs(*(np.concatenate([getattr(part, name) for part in self._said]) for name in names))
        if lost := int((~np.isfinite(said.p_male + said.age_years)).sum()):
            name = self.classifier.card.name
            raise ModelError(f"{name}: gives no number for {lost} of {len(said.p_male)} faces; export it again")
        return said

    def _classify(self) -> None:
        self.last = np.stack(self._crops)
        self._said.append(self.classifier.run(self.last))
        self._crops.clear()


def plain(report: Figures) -> Figures:
    """Make the report plain for JSON: figures become numbers, and `intervals_95` has their bounds and n by name."""

    def number(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return value["value"] if _measured(value) else {name: number(item) for name, item in value.items()}

    def bounds(value: Figures) -> Figures:
        if _measured(value):
            return {name: value[name] for name in ("low", "high", "n")}
        inside = {name: bounds(item) for name, item in value.items() if isinstance(item, dict)}
        return {name: item for name, item in inside.items() if item}

    return number(report) | {"intervals_95": bounds(report)}


def coverage(estimates: Sequence[Estimate], truth: Truth) -> Figures:
    """Return the shares of faces answered with the card's thresholds, and how often these answers are right."""
    said = np.array([e.gender != "unknown" for e in estimates]) & truth.has_gender
    right = np.array([e.gender == "M" for e in estimates]) == truth.male
    aged = np.array([e.decade is not None for e in estimates]) & truth.has_age
    decade = np.array([-1 if e.decade is None else e.decade for e in estimates])
    return {
        "gender_answered": _share(said[truth.has_gender]),
        "gender_accuracy_when_answered": _share(right[said]),
        "decade_answered": _share(aged[truth.has_age]),
        "decade_accuracy_when_answered": _share(overlapping(decade, DECADE_EDGES, truth)[aged]),
    }


def time_faces(classifier: Classifier, crops: NDArray[np.uint8], rounds: int = 5) -> dict[str, float]:
    """Measure milliseconds a face on one core, median of `rounds`, with the preparation of crops.

    `ms_per_face` is one by one, `ms_per_face_at_32` in batches of 32.
    """
    times: dict[str, float] = {}
    for name, batch in (("ms_per_face", 1), ("ms_per_face_at_32", 32)):
        chosen = np.ascontiguousarray(np.resize(crops, (batch, *crops.shape[1:])))
        classifier.run(chosen)
        durations = []
        for _ in range(rounds if batch > 1 else rounds * 6):
            start = time.perf_counter()
            classifier.run(chosen)
            durations.append((time.perf_counter() - start) / batch * 1e3)
        times[name] = round(float(np.median(durations)), 3)
    return times


def table(report: Figures) -> Table:
    """Format the report as a table for a terminal."""
    shown = Table(title=escape(f"{report['model']} on {report['data']}: {report['n']} photos"))
    for column in ("figure", "value", "95 % interval", "n"):
        shown.add_column(column)

    def add(name: str, value: Any) -> None:
        if isinstance(value, dict) and _measured(value):
            bounds = f"{value['low']:g} to {value['high']:g}"
            shown.add_row(escape(name), f"{value['value']:g}", bounds, str(value["n"]))
        elif isinstance(value, dict):
            for key, item in value.items():
                if key not in ("labels", "rows_true_columns_said", "reliability"):
                    add(f"{name} {key}", item)
        elif isinstance(value, int | float):
            shown.add_row(escape(name), f"{value:g}", "", "")

    for name, value in report.items():
        if name != "confusion":
            add(name, value)
    return shown


def _measured(value: Figures) -> bool:
    """Tell whether this is one figure with its interval, and not a table of ethnic groups, one named `value`."""
    return isinstance(value.get("value"), float)


def _share(right: NDArray[Any]) -> Figures | None:
    """Return a proportion with Wilson's 95 % interval."""
    n = len(right)
    if n == 0:
        return None
    p, z = float(right.mean()), 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    return {"value": round(p, 4), "low": round(low, 4), "high": round(high, 4), "n": n}


def _mean(values: NDArray[Any], least: float) -> Figures | None:
    """Return a mean of years with its normal 95 % interval, within `least` and MAX_AGE; of one face, all between."""
    n = len(values)
    if n == 0:
        return None
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / n**0.5 if n > 1 else 2.0 * MAX_AGE
    low, high = max(float(least), mean - half), min(float(MAX_AGE), mean + half)
    return {"value": round(mean, 3), "low": round(low, 3), "high": round(high, 3), "n": n}


def _bin(ages: NDArray[Any], edges: tuple[int, ...]) -> NDArray[np.intp]:
    return np.clip(np.digitize(ages, edges) - 1, 0, len(edges) - 2)


def _seven(p_decade: NDArray[np.float32]) -> NDArray[np.float32]:
    seven: NDArray[np.float32] = np.column_stack([p_decade[:, :6], p_decade[:, 6:].sum(1)])
    return seven


def _original(outputs: Outputs, truth: Truth) -> NDArray[np.bool_]:
    nine = np.column_stack([outputs.p_male, 1 - outputs.p_male, _seven(outputs.p_decade)])
    return nine.argmax(1) == np.where(truth.male, 0, 1)


def overlapping(said: NDArray[np.intp], edges: tuple[int, ...], truth: Truth, slack: int = 0) -> NDArray[np.bool_]:
    """Tell which of n labels overlap the range of ages of their number in `said` [n], or one up to `slack` away."""
    first, last = _bin(truth.age_lo, edges), _bin(truth.age_hi, edges)
    return (said >= first - slack) & (said <= last + slack)


def _confusion(
    said: NDArray[np.intp], true: NDArray[np.intp], labels: Sequence[str], known: NDArray[np.bool_]
) -> Figures:
    counts = np.zeros((len(labels), len(labels)), int)
    np.add.at(counts, (true[known], said[known]), 1)
    return {"labels": list(labels), "rows_true_columns_said": counts.tolist()}


def _even(values: NDArray[Any], bins: NDArray[np.intp], known: NDArray[np.bool_]) -> float | None:
    """Return the mean of the means of those ranges of age (`bins`) that have faces."""
    means = [values[known & (bins == i)].mean() for i in np.unique(bins[known & (bins >= 0)])]
    return round(float(np.mean(means)), 4) if means else None


def _by_group(
    gender_right: NDArray[np.bool_], error: NDArray[Any], decade_right: NDArray[np.bool_], truth: Truth
) -> Figures:
    groups: Figures = {}
    adult = truth.has_age & (truth.age_lo >= ADULT)
    for name in sorted(set(truth.group.tolist()) - {""}):
        mine = truth.group == name
        groups[name] = {
            "n": int(mine.sum()),
            "gender_accuracy": _share(gender_right[mine & truth.has_gender]),
            "adult_gender_accuracy": _share(gender_right[mine & truth.has_gender & adult]),
            "age_mae": _mean(error[mine & truth.has_age], 0),
            "decade_accuracy": _share(decade_right[mine & truth.has_age]),
        }
    gaps = {}
    for key in ("gender_accuracy", "adult_gender_accuracy", "age_mae", "decade_accuracy"):
        values = [g[key]["value"] for g in groups.values() if g[key] and g[key]["n"] >= _MIN_GROUP]
        gaps[key] = round(max(values) - min(values), 4) if len(values) > 1 else None
    return {"by_group": groups, "gap": gaps}
