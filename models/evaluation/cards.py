"""Parts of a card that are measured: the figures of a model, and its answers to the golden pictures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from models.assets import Model
from models.cards import Golden, Metric, ModelCard
from models.evaluation.evaluate import Figures
from models.evaluation.younger import MAX_STRADDLING
from models.session import Classifier, Outputs, golden_crops


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


def golden_of(card: ModelCard, folder: Path) -> Golden:
    """Return the answers of a card's model to the golden pictures, and how far those of other machines may differ.

    Other processors round INT8 layers otherwise, and so does this one without fused operations. Two and a half times
    that difference is allowed. (Noise of .05 in the pictures makes up to 1.4 times the difference.)
    """
    paths = {file.name: folder / file.name for file in card.files}

    def said(optimization: Literal["basic", "all"]) -> Outputs:
        networks = tuple(msgspec.structs.replace(network, optimization=optimization) for network in card.networks)
        tried = msgspec.structs.replace(card, networks=networks)
        classifier = Classifier(Model(tried, folder / f"{card.name}.toml", "", paths), "cpu", golden=False)
        return classifier.run(golden_crops(classifier.size_px))

    now, otherwise = said("all"), said("basic")
    apart, apart_years = (
        2.5 * float(np.abs(getattr(now, name) - getattr(otherwise, name)).max()) for name in ("p_male", "age_years")
    )
    return Golden(
        p_male=tuple(round(float(p), 4) for p in now.p_male),
        age_years=tuple(round(float(a), 2) for a in now.age_years),
        tolerance=round(min(0.05, max(0.01, apart)), 3),
        tolerance_years=round(min(3.0, max(0.3, apart_years)), 2),
    )
