"""Gain of fusing answers about one person, on labelled photos seen as a street camera sees them.

`python -m bench.fusion PHOTOS` prints figures of one view of each person, and of more. They say how often the answer is
right, how often one is given, and how far its confidence is off. PHOTOS is a folder or zip with labels.csv.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from msgspec import Struct
from rich.table import Table

from bench.rig.sightings import Sighting, sightings
from models.assets import resolve
from models.cards import DECADE_EDGES
from models.crop import crop_face
from models.datasets.augment import CACHE_SPEC
from models.datasets.crops import portraits
from models.datasets.index import Photos, Row
from models.detector import FaceDetector
from models.evaluation.evaluate import calibration_error
from models.session import Classifier
from pipeline.messages import FaceAnswer
from pipeline.streams import Terminal
from stages.people.fusion import Fused

_FULL_PX = 64.0
"""Width of a face from which a larger one tells the classifier no more."""


class Seen(Struct, frozen=True):
    """One person: the labels, and each view's answer with the quality of its crop."""

    row: Row
    answers: list[tuple[FaceAnswer, float]]


def see(data: Path, people: int, views: int, seed: int = 1) -> list[Seen]:
    """Classify so many views of so many people of a labelled set, drawn at random; those without a found face not."""
    classifier, random = Classifier(resolve("default", Path()), "cpu"), np.random.default_rng(seed)
    spec = classifier.card.crop
    assert spec is not None
    seen: list[Seen] = []
    with Photos(data) as photos, FaceDetector(resolve("mediapipe-full-range", Path()), 0.3) as detector:
        rows, _ = photos.labels(None)
        drawn = [rows[i] for i in random.permutation(len(rows))[:people]]
        for row, image, face in portraits(photos, drawn, detector, Counter()):
            if not face.found or row.gender is None or row.age_lo is None:
                continue
            wide = np.ascontiguousarray(crop_face(image, face.box_px, face.keypoints_px, CACHE_SPEC)[..., ::-1])
            looks = sightings(wide, CACHE_SPEC, spec, views, random)
            told = classifier.run(np.stack([look.crop for look in looks]))
            answers = [
                FaceAnswer(face=0, p_male=float(p_male), age_years=float(years), p_decade=tuple(map(float, p_decade)))
                for p_male, years, p_decade in zip(told.p_male, told.age_years, told.p_decade, strict=True)
            ]
            seen.append(Seen(row, [(answer, quality(look)) for answer, look in zip(answers, looks, strict=True)]))
    return seen


def quality(look: Sighting) -> float:
    """Return the worth of a view, 0 to 1, as detection judges it by the width of the face and the detector's score.

    No detector sees these views: its score is taken as .8.
    """
    return 0.8 * min(1.0, look.face_px / _FULL_PX)


class Figures(Struct, frozen=True):
    """Figures of one way to answer. Shares are of the people; errors of confidence are mean distances."""

    gender_right: float
    gender_answered: float
    right_when_answered: float
    gender_confidence_off: float
    decade_right: float
    decade_confidence_off: float
    age_error_years: float
    minor_loss: float
    """Mean negative logarithm of the probability given to being under 20, or to not being it, as it was."""


def figures(seen: Sequence[Seen], unknown_below: float, first: int, last: int) -> Figures:
    """Return the figures of answers fused from the views `first` to `last` of each person."""
    male, p_male, p_decade, years, p_minor = [], [], [], [], []
    for one in seen:
        fused = Fused()
        for answer, worth in one.answers[first:last]:
            fused.add(answer, worth)
        male.append(one.row.gender == "M")
        p_male.append(fused.p_male)
        p_decade.append(fused.p_decade)
        years.append(fused.age_years)
        p_minor.append(fused.p_minor or 0.0)
    men, p_men, decades = np.array(male), np.array(p_male), np.array(p_decade)
    low = np.array([one.row.age_lo or 0.0 for one in seen])
    high = np.array([one.row.age_hi or 0.0 for one in seen])
    said = np.array(years)
    first_bin, last_bin = (np.clip(np.digitize(ages, DECADE_EDGES) - 1, 0, 8) for ages in (low, high))
    likeliest = decades.argmax(1)
    decade_right = (likeliest >= first_bin) & (likeliest <= last_bin)
    confidence, right = np.maximum(p_men, 1 - p_men), (p_men > 0.5) == men
    answered = confidence >= unknown_below
    minor = np.clip(np.where(high < 20, p_minor, 1 - np.array(p_minor)), 1e-6, 1)
    return Figures(
        gender_right=float(right.mean()),
        gender_answered=float(answered.mean()),
        right_when_answered=float(right[answered].mean()),
        gender_confidence_off=calibration_error(confidence, right) or 0.0,
        decade_right=float(decade_right.mean()),
        decade_confidence_off=calibration_error(decades.max(1), decade_right) or 0.0,
        age_error_years=float((np.maximum(low - said, 0) + np.maximum(said - high, 0)).mean()),
        minor_loss=float(-np.log(minor[(high < 20) | (low >= 20)]).mean()),
    )


@click.command()
@click.argument("photos", type=click.Path(path_type=Path, exists=True))
@click.option("--people", type=click.IntRange(10), default=1000, show_default=True)
@click.option("--views", type=click.IntRange(1, 32), default=8, show_default=True, help="Views of each person.")
def main(photos: Path, people: int, views: int) -> None:
    """Print what fusing up to VIEWS answers about each of PEOPLE brings."""
    seen = see(photos, people, views)
    unknown = resolve("default", Path()).card.unknown
    assert unknown is not None
    names = Figures.__struct_fields__
    table = Table(title=f"{photos.name}: {len(seen)} people, {views} views of 24 to 60 px each", title_justify="left")
    for name in ("answers", *(name.replace("_", " ") for name in names)):
        table.add_column(name, justify="right")
    single = [figures(seen, unknown.gender, view, view + 1) for view in range(views)]
    mean = [float(np.mean([getattr(each, name) for each in single])) for name in names]
    table.add_row("1, any view", *(f"{value:.3f}" for value in mean))
    for count in (n for n in (2, 3, 4, 8, 16, 32) if n <= views):
        fused = figures(seen, unknown.gender, 0, count)
        table.add_row(str(count), *(f"{getattr(fused, name):.3f}" for name in names))
    Terminal().print(table)


if __name__ == "__main__":
    main()
