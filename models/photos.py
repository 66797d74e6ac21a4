"""`stationcast detect` and `stationcast classify`: a station's detector and classifier on pictures and videos."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click
import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from models.assets import resolve
from models.cards import DECADES, DEFAULT_DETECTOR, LAW_YEARS, MIN_SCORE
from models.crop import crop_face
from models.detector import FaceDetector, RuntimeName
from models.face import DetectedFace
from models.images import ImageError, read_frames
from models.options import Number
from models.reach.searcher import Reach, Searcher
from pipeline.streams import Terminal, json_text

if TYPE_CHECKING:
    from models.estimate import Estimate

_URL = re.compile(r"(?i)[a-z]+:/")
"""Beginning of a URL. A path has lost its second `/`."""
Examine = Callable[[NDArray[np.uint8]], list[dict[str, Any]]]
"""Function from an image, uint8 BGR [H, W, 3], to its faces as JSON objects."""


def _shared_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the arguments and options that both have."""
    options = (
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a frame, one a line."),
        click.option("--min-score", type=Number(0, 1), default=MIN_SCORE, show_default=True),
        click.option("--every", type=click.IntRange(1), default=1, help="Examine every so many frames of a video."),
        click.option("--detector", default=DEFAULT_DETECTOR, show_default=True, help="Name or card of the detector."),
        click.option("--runtime", type=click.Choice(get_args(RuntimeName)), default="auto", show_default=True),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_shared_options
@click.option(
    "--reach",
    type=click.Choice(["near", "far", "auto"]),
    default="near",
    show_default=True,
    help="far: small faces too, in 10 to 40 times the time; auto: far if a side has 1280 px or more.",
)
def detect(
    files: tuple[Path, ...],
    as_json: bool,
    min_score: float,
    every: int,
    detector: str,
    runtime: RuntimeName,
    reach: Reach,
) -> None:
    """Find the faces in FILES, pictures or videos, each frame by itself."""
    with FaceDetector(resolve(detector, Path.cwd()), min_score, runtime=runtime) as found:

        def examine(image: NDArray[np.uint8]) -> list[dict[str, Any]]:
            return [_face_as_json(face) for face in Searcher(found, reach, fps=0).search(image).faces]

        _go_through(files, every, as_json, examine)


@click.command()
@_shared_options
@click.option("--model", default="default", show_default=True, help="Name or card of the classifier.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True)
def classify(
    files: tuple[Path, ...],
    as_json: bool,
    min_score: float,
    every: int,
    detector: str,
    runtime: RuntimeName,
    model: str,
    device: Any,
    threads: int,
) -> None:
    """Find the faces in FILES, pictures or videos, and estimate gender and age of each."""
    from models.session import Classifier  # importing ONNX Runtime takes 0.25 s, for which `detect` need not wait

    resolved = resolve(model, Path.cwd())
    classifier = Classifier(resolved, device, threads)
    spec = resolved.card.crop
    assert spec is not None  # the Classifier has refused such a card
    with FaceDetector(resolve(detector, Path.cwd()), min_score, runtime=runtime) as found:

        def examine(image: NDArray[np.uint8]) -> list[dict[str, Any]]:
            faces = found.detect(image)
            crops = [crop_face(image, face.box_px, face.keypoints_px, spec)[..., ::-1] for face in faces]
            estimates = classifier.classify(np.stack(crops)) if crops else []
            pairs = zip(faces, estimates, strict=True)
            return [_face_as_json(face) | _estimate_as_json(estimate) for face, estimate in pairs]

        _go_through(files, every, as_json, examine)


def _face_as_json(face: DetectedFace) -> dict[str, Any]:
    return {
        "box": [round(value, 1) for value in face.box_px],
        "score": round(face.score, 4),
        "keypoints": [[round(x, 1), round(y, 1)] for x, y in face.keypoints_px],
    }


def _estimate_as_json(estimate: "Estimate") -> dict[str, Any]:
    return {
        "gender": estimate.gender,
        "age": None if estimate.age_years is None else round(estimate.age_years, 1),
        "decade": None if estimate.decade is None else DECADES[estimate.decade],
        "p_male": round(estimate.p_male, 4),
        "p_decade": [round(p, 4) for p in estimate.p_decade],
        "p_younger": {str(k): round(p, 4) for k, p in zip(LAW_YEARS, estimate.p_younger, strict=False)},
    }


def _go_through(files: tuple[Path, ...], every: int, as_json: bool, examine: Examine) -> None:
    """Print what `examine` finds in each file. Bad files are named on stderr, and the exit code is then 2."""
    bad = False
    for path in files:
        if _URL.match(str(path)):  # it may hold a password, so nothing of it is shown
            ImageError("a URL is no file; name it as a camera's source in a station file").show()
            bad = True
            continue
        rows: list[dict[str, Any]] = []
        try:
            for row in _frames(path, every, examine):
                if as_json:
                    click.echo(json_text(row))
                else:
                    rows.append(row)
        except ImageError as error:
            error.show()
            bad = True
        if rows:
            _print(path, rows)
    if bad:
        raise SystemExit(2)


def _frames(path: Path, every: int, examine: Examine) -> Iterator[dict[str, Any]]:
    for number, image in read_frames(path, every):
        started_s = time.perf_counter()
        faces = examine(image)
        ms = (time.perf_counter() - started_s) * 1e3
        yield {"file": str(path), "frame": number, "faces": faces, "ms": round(ms, 2)}


def _print(path: Path, rows: list[dict[str, Any]]) -> None:
    classified = any("gender" in face for row in rows for face in row["faces"])
    table = Table(title=escape(str(path)), title_justify="left")
    for name in ("frame", "ms", "x", "y", "w", "h", "score", *(("gender", "p(M)", "age", "decade") * classified)):
        table.add_column(name, justify="right")
    for row in rows:
        frame = [str(row["frame"]), f"{row['ms']:.1f}"]
        if not row["faces"]:
            table.add_row(*frame, *[""] * 4, "no face")
        for face in row["faces"]:
            values = [*(f"{value:.0f}" for value in face["box"]), f"{face['score']:.2f}"]
            if classified:
                age = "unknown" if face["age"] is None else f"{face['age']:.0f}"
                values += [face["gender"], f"{face['p_male']:.2f}", age, face["decade"] or "unknown"]
            table.add_row(*frame, *values)
            frame = ["", ""]
    Terminal().print(table)
