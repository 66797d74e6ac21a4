"""`stationcast detect` and `stationcast classify`: the station's own eyes, on pictures and videos in files."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.assets import Model, resolve
from models.cards import DECADES, DEFAULT_DETECTOR, MIN_SCORE
from models.crop import CropSpec, crop_face
from models.detector import DetectedFace, FaceDetector
from models.images import ImageError, read_frames
from models.options import Number

Look = Callable[[NDArray[np.uint8]], list[dict[str, Any]]]


def _shared(command: Callable[..., None]) -> Callable[..., None]:
    options = (
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
        click.option("--json", "as_json", is_flag=True, help="One JSON object a frame, one a line."),
        click.option("--min-score", type=Number(0, 1), default=MIN_SCORE, show_default=True),
        click.option("--every", type=click.IntRange(1), default=1, help="Of a video, look at every so many frames."),
        click.option("--detector", default=DEFAULT_DETECTOR, show_default=True, help="Name or card of the detector."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_shared
def detect(files: tuple[Path, ...], as_json: bool, min_score: float, every: int, detector: str) -> None:
    """Find the faces in FILES, pictures or videos."""
    with FaceDetector(resolve(detector, Path.cwd()), min_score) as found:
        _go_through(files, every, as_json, lambda image: [_as_dict(face) for face in found.detect(image)])


@click.command()
@_shared
@click.option("--model", default="default", show_default=True, help="Name or card of the classifier.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True)
def classify(
    files: tuple[Path, ...],
    as_json: bool,
    min_score: float,
    every: int,
    detector: str,
    model: str,
    device: Any,
    threads: int,
) -> None:
    """Find the faces in FILES, pictures or videos, and estimate gender and age of each."""
    from models.session import Classifier  # ONNX Runtime takes 0.25 s, which `detect` need not wait for

    resolved = resolve(model, Path.cwd())
    classifier = Classifier(resolved, device, threads)
    spec = _crop_spec(resolved)

    with FaceDetector(resolve(detector, Path.cwd()), min_score) as found:

        def look(image: NDArray[np.uint8]) -> list[dict[str, Any]]:
            faces = found.detect(image)
            crops = [crop_face(image, face.box_px, face.keypoints_px, spec)[..., ::-1] for face in faces]
            estimates = classifier.classify(np.stack(crops)) if crops else []
            return [
                _as_dict(face)
                | {
                    "gender": estimate.gender,
                    "age": None if estimate.age_years is None else round(estimate.age_years, 1),
                    "decade": None if estimate.decade is None else DECADES[estimate.decade],
                    "p_male": round(estimate.p_male, 4),
                    "p_decade": [round(p, 4) for p in estimate.p_decade],
                }
                for face, estimate in zip(faces, estimates, strict=True)
            ]

        _go_through(files, every, as_json, look)


def _crop_spec(model: Model) -> CropSpec:
    assert model.card.crop is not None  # the Classifier has refused such a card
    return model.card.crop


def _as_dict(face: DetectedFace) -> dict[str, Any]:
    return {
        "box": [round(value, 1) for value in face.box_px],
        "score": round(face.score, 4),
        "keypoints": [[round(x, 1), round(y, 1)] for x, y in face.keypoints_px],
    }


def _go_through(files: tuple[Path, ...], every: int, as_json: bool, look: Look) -> None:
    """Print what `look` sees in each file. A bad file is named on stderr, the others are still done; then exit 2."""
    bad = False
    for path in files:
        rows: list[dict[str, Any]] = []
        try:
            for row in _frames(path, every, look):
                if as_json:
                    click.echo(json.dumps(row, ensure_ascii=False))
                else:
                    rows.append(row)
        except ImageError as error:
            error.show()
            bad = True
        if rows:
            _print(path, rows)
    if bad:
        raise SystemExit(2)


def _frames(path: Path, every: int, look: Look) -> Iterator[dict[str, Any]]:
    for number, image in read_frames(path, every):
        started_s = time.perf_counter()
        faces = look(image)
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
            cells = [*(f"{value:.0f}" for value in face["box"]), f"{face['score']:.2f}"]
            if classified:
                age = "unknown" if face["age"] is None else f"{face['age']:.0f}"
                cells += [face["gender"], f"{face['p_male']:.2f}", age, face["decade"] or "unknown"]
            table.add_row(*frame, *cells)
            frame = ["", ""]
    Console().print(table)
