"""The work of a station in one process, one step after the other.

The process is `python -m bench.peers.sequential KIND SECONDS THREADS FOLDER`; the folder is for its pictures. Kinds:
- `bare`: capture, detect, crop and classify by library calls, nothing else.
- `loop`: the same and the choice of an ad.
- `habits`: the same and the habits of the original project: models loaded and pictures written and read each round.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Literal
from zoneinfo import ZoneInfo

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from bench.rig.processes import peer
from models.assets import resolve
from models.crop import crop_face
from models.detector import FaceDetector
from models.estimate import Estimate
from models.face import DetectedFace
from models.session import Classifier
from pipeline.errors import UserError
from pipeline.messages import Audience, Person
from players.ads.campaigns import DEMO, load_catalogue
from players.audience.present import Cameras
from players.choice.choose import Moment, Rules, choose
from players.choice.history import History
from stages.capture import sample

SCENE_STEP_S = 0.37
"""Scene time from frame to frame, s: 81 frames show the whole round, so every second has its share of faces."""

Kind = Literal["bare", "loop", "habits"]
Picture = NDArray[np.uint8]


class Pace(Struct, frozen=True):
    """Pace of a loop.

    `rate` is frames per second, `faces` faces per frame. CPU times are ms per frame: all, detection with the crops, and
    classification. `times_ms` are the times of the whole frames.
    """

    rate: float
    faces: float
    cpu_ms: float
    detect_cpu_ms: float
    classify_cpu_ms: float
    times_ms: list[float]


def run_loops(kind: Kind, seconds: float, *, processes: int = 1, threads: int = 1) -> Pace:
    """Run so many loops at once, each in a process of its own. Return one pace: rates added up, the rest as means."""
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as folder:
        loops = [peer(__name__, kind, str(seconds), str(threads), folder) for _ in range(processes)]
        try:
            for loop in loops:
                assert loop.stdout
                if loop.stdout.readline().strip() != "ready":
                    raise UserError("a sequential loop did not start")
            for loop in loops:
                print("go", file=loop.stdin, flush=True)
            answers: list[dict[str, Any]] = [json.loads(loop.communicate()[0]) for loop in loops]
        finally:
            for loop in loops:
                loop.kill()
                loop.communicate()

    def mean(key: str) -> float:
        return sum(answer[key] for answer in answers) / len(answers)

    return Pace(
        rate=sum(answer["rate"] for answer in answers),
        faces=mean("faces"),
        cpu_ms=mean("cpu_ms"),
        detect_cpu_ms=mean("detect_cpu_ms"),
        classify_cpu_ms=mean("classify_cpu_ms"),
        times_ms=[time_ms for answer in answers for time_ms in answer["times_ms"]],
    )


class Estimator:
    """Estimate the people of frames by bare calls. `detect_s` and `classify_s` add up their CPU time."""

    def __init__(self, threads: int) -> None:
        self.detect_s = self.classify_s = 0.0
        self._detector = FaceDetector(resolve("mediapipe-full-range", Path()))
        self._classifier = Classifier(resolve("default", Path()), threads=threads)
        assert self._classifier.card.crop
        self._crop = self._classifier.card.crop

    def estimate(self, image: Picture) -> tuple[list[DetectedFace], list[Estimate]]:
        """Return the faces of a frame, uint8 BGR [height, width, 3], and the estimate of each."""
        began_s = time.process_time()
        faces = self._detector.detect(image)
        crops = [crop_face(image, face.box_px, face.keypoints_px, self._crop)[..., ::-1] for face in faces]
        found_s = time.process_time()
        people = self._classifier.classify(np.stack(crops)) if crops else []
        self.detect_s += found_s - began_s
        self.classify_s += time.process_time() - found_s
        return faces, people

    def close(self) -> None:
        self._detector.close()


class Chooser:
    """Choose an ad for the people, as the player does."""

    def __init__(self) -> None:
        self._catalogue = load_catalogue(DEMO, ZoneInfo("UTC"), 8.0)
        self._cameras, self._history, self._random = Cameras(), History(), Random(1)

    def choose(self, faces: list[DetectedFace], estimates: list[Estimate]) -> None:
        """Add the faces to the audience and choose an ad."""
        now_ns = time.monotonic_ns()
        people = tuple(
            Person(
                box_px=face.box_px,
                score=face.score,
                gender=estimate.gender,
                p_male=estimate.p_male,
                age_years=estimate.age_years,
                decade=estimate.decade,
                p_decade=estimate.p_decade,
            )
            for face, estimate in zip(faces, estimates, strict=True)
        )
        self._cameras.add(
            Audience(
                camera="bench",
                seq=0,
                captured_ns=now_ns,
                width_px=sample.WIDTH_PX,
                height_px=sample.HEIGHT_PX,
                detected_ns=now_ns,
                classified_ns=now_ns,
                people=people,
            )
        )
        present, moment = self._cameras.present(now_ns), Moment(datetime.now(UTC), now_ns)
        choose(present, self._catalogue, self._history, moment, self._random, Rules())


def make_loop(kind: Kind, estimator: Estimator | None, threads: int, folder: Path) -> Callable[[Picture], int]:
    """Return a function from a frame to its number of faces. Without an estimator, each round makes its own."""
    chooser = Chooser() if kind != "bare" else None

    def round_trip(image: Picture) -> int:
        at_work = estimator
        if at_work is None:
            at_work = Estimator(threads)
            cv2.imwrite(str(folder / "frame.jpg"), image)
            image = np.asarray(cv2.imread(str(folder / "frame.jpg")), np.uint8)
        faces, estimates = at_work.estimate(image)
        if estimator is None:
            for i, face in enumerate(faces):
                x, y, w, h = (max(0, int(value)) for value in face.box_px)
                cv2.imwrite(str(folder / f"face{i}.jpg"), image[y : y + h, x : x + w])
            at_work.close()
        if chooser:
            chooser.choose(faces, estimates)
        return len(faces)

    return round_trip


def main() -> None:
    """Print `ready`, wait for a line, loop, and print the pace as JSON."""
    kind, seconds, threads, folder = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    cv2.setNumThreads(threads)
    estimator = Estimator(threads) if kind != "habits" else None
    round_trip = make_loop(kind, estimator, threads, folder)  # type: ignore[arg-type]
    for i in range(3):
        round_trip(sample.render("cam0", i * SCENE_STEP_S))
    print("ready", flush=True)
    sys.stdin.readline()
    if estimator:
        estimator.detect_s = estimator.classify_s = 0.0
    times_ms, faces, n, started_s, cpu_before_s = [], 0, 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - started_s < seconds:
        frame_s = time.perf_counter()
        faces += round_trip(sample.render("cam0", n * SCENE_STEP_S))
        times_ms.append((time.perf_counter() - frame_s) * 1e3)
        n += 1
    rate = n / (time.perf_counter() - started_s)
    cpu_ms = (time.process_time() - cpu_before_s) / n * 1e3
    answer: dict[str, Any] = {"rate": rate, "faces": faces / n, "cpu_ms": cpu_ms, "times_ms": times_ms}
    answer["detect_cpu_ms"] = 1e3 * estimator.detect_s / n if estimator else 0.0
    answer["classify_cpu_ms"] = 1e3 * estimator.classify_s / n if estimator else 0.0
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
