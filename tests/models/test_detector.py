"""The runtimes of face detectors: LiteRT finds what MediaPipe finds, each in its own way of being there or not."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as tflite
from flatbuffers import Builder
from numpy.typing import NDArray

from bench.rig.faces import make_scene
from models.assets import resolve
from models.cards import ModelError
from models.detector import FaceDetector, RuntimeName, chosen_runtime
from models.face import DetectedFace, Letterbox
from models.images import read_frames, read_image
from models.litert_runtime import LiteRtRuntime
from stages.capture import sample
from tests.conftest import HANG_S

mediapipe = pytest.importorskip("models.mediapipe_runtime", reason="no MediaPipe here (Arm): nothing to compare with")
MODELS = ["mediapipe-full-range", "mediapipe-short-range"]
Find = Callable[[NDArray[np.uint8]], list[DetectedFace]]
HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
LEAST, SCORE_OFF, BOX_OFF_PX = 0.3, 0.02, 1.0


@pytest.fixture(scope="module", params=MODELS)
def both(request: pytest.FixtureRequest) -> Iterator[tuple[FaceDetector, FaceDetector]]:
    model = resolve(request.param, Path.cwd())
    with (
        FaceDetector(model, LEAST, runtime="litert") as litert,
        FaceDetector(model, LEAST, runtime="mediapipe") as reference,
    ):
        yield litert, reference


def frames(count: int) -> Iterator[NDArray[np.uint8]]:
    """Yield streets with up to three people whose faces are 40 to 400 px wide, and two people near, far and leaning."""
    random = np.random.default_rng(8)
    for i in range(count):
        if i % 3:
            yield make_scene(float(random.uniform(40, 400)), i % 4, seed=i).image
        else:
            turn = cv2.getRotationMatrix2D((640, 360), random.uniform(-40, 40), random.uniform(0.5, 3))
            yield np.asarray(cv2.warpAffine(sample.render("kerb", 0.7 * i), turn, (1280, 720)), np.uint8)


def squares(images: Iterable[NDArray[np.uint8]], detector: FaceDetector) -> Iterator[NDArray[np.uint8]]:
    return (Letterbox.of(image, detector.input_px).square for image in images)


def compare(pictures: Iterable[NDArray[np.uint8]], one: Find, other: Find) -> tuple[int, int]:
    """Compare what two ways find in pictures of the model's own size. Return how many pictures and faces."""
    seen = faces = 0
    for picture in pictures:
        pair = one(picture), other(picture)
        for here, there in (pair, pair[::-1]):
            for face in here:
                twin = min(there, key=lambda twin: off_px(face, twin), default=None)
                if twin is None or off_px(face, twin) > BOX_OFF_PX:
                    assert face.score < LEAST + SCORE_OFF, (seen, face, twin)
                else:
                    assert abs(face.score - twin.score) <= SCORE_OFF, (seen, face, twin)
        seen, faces = seen + 1, faces + len(pair[0])
    return seen, faces


def off_px(one: DetectedFace, other: DetectedFace) -> float:
    """Return the largest difference of two faces in an edge of the box, or in a key point."""
    return float(np.abs(np.subtract(numbers(one), numbers(other))).max())


def numbers(face: DetectedFace) -> list[float]:
    x, y, w, h = face.box_px
    x, y = max(0.0, x), max(0.0, y)  # MediaPipe moves a box that begins outside the picture to its edge
    return [x, y, x + w, y + h, *(value for point in face.keypoints_px for value in point)]


def test_litert_finds_the_faces_that_mediapipe_finds(both: tuple[FaceDetector, FaceDetector]) -> None:
    litert, reference = both
    assert (litert.runtime, reference.runtime) == ("litert", "mediapipe")
    assert litert.input_px == reference.input_px
    seen, faces = compare(squares(frames(40), litert), litert.find_in_square, reference.find_in_square)
    assert seen == 40 and faces > 20


@pytest.mark.slow
def test_litert_finds_the_faces_that_mediapipe_finds_in_2000_frames(both: tuple[FaceDetector, FaceDetector]) -> None:
    litert, reference = both
    seen, faces = compare(squares(frames(2000), litert), litert.find_in_square, reference.find_in_square)
    assert seen == 2000 and faces > 1000


def test_litert_finds_the_faces_of_real_clips(both: tuple[FaceDetector, FaceDetector], shared_dir: Path) -> None:
    litert, reference = both
    clips = sorted((shared_dir / "clips").glob("*.mp4"))
    images = (image for clip in clips for _, image in read_frames(clip, every=15))
    seen, faces = compare(squares(images, litert), litert.find_in_square, reference.find_in_square)
    assert seen > 50 and faces > 15


@pytest.mark.parametrize("size", [(192, 108), (108, 192), (192, 192), (150, 192), (192, 1)])
def test_an_image_lies_in_the_square_as_mediapipe_lays_it(size: tuple[int, int]) -> None:
    """MediaPipe itself is asked about images that need no scaling, so that only its borders and boxes are compared."""
    model = resolve("mediapipe-full-range", Path.cwd())
    base = mediapipe.BaseOptions(model_asset_buffer=model.read(model.card.files[0].name))
    options = mediapipe._vision.FaceDetectorOptions(base_options=base, min_detection_confidence=LEAST)
    face = cv2.resize(read_image(HOPPER)[80:400, 100:420], (90, 90), interpolation=cv2.INTER_AREA)
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    part = image[-95:-5, -97:-7]
    part[:] = face[: part.shape[0]]
    with (
        mediapipe.without_noise(),
        mediapipe._vision.FaceDetector.create_from_options(options) as plain,
        FaceDetector(model, LEAST, runtime="litert") as litert,
    ):

        def asked(image: NDArray[np.uint8]) -> list[DetectedFace]:
            rgb = mediapipe._mp.Image(image_format=mediapipe._mp.ImageFormat.SRGB, data=image[..., ::-1].copy())
            return [
                DetectedFace(
                    (box.origin_x + 0.5, box.origin_y + 0.5, box.width + 0.5, box.height + 0.5),
                    found.categories[0].score,
                    tuple((point.x * size[0], point.y * size[1]) for point in found.keypoints),
                )
                for found in plain.detect(rgb).detections
                for box in [found.bounding_box]
            ]

        _, faces = compare([image], litert.find, asked)
    assert faces == (size[1] > 1)


@pytest.mark.parametrize("runtime", ["litert", "mediapipe"])
def test_a_lower_score_for_one_call_finds_more_and_every_run_is_counted(runtime: RuntimeName) -> None:
    scene = make_scene(100, 2, seed=3).image
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd()), runtime=runtime) as detector:
        usual = detector.find(scene)
        assert len(detector.find(scene, 0.05)) > len(usual) == len(detector.find(scene, 0.5))
        assert detector.find(scene, 1) == []
        assert detector.runs == 4
        unsure = sum(face.score < 0.75 for face in usual)
        detector.detect(scene)
        assert detector.runs == 5 + unsure


@pytest.mark.parametrize("runtime", ["litert", "mediapipe"])
def test_a_face_is_found_in_a_part_of_an_image_and_among_regions_in_one_square(runtime: RuntimeName) -> None:
    scene = make_scene(60, 1, seed=12)
    x, y, w, _ = scene.faces[0]
    left, top = max(0, int(x - 90)), max(0, int(y - 70))
    region = scene.image[top : top + 200, left : left + 240]
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd()), runtime=runtime) as detector:
        (face,) = detector.find(region)
        found = face.mapped(1, 1, left, top).box_px
        assert np.abs(np.subtract(found, scene.faces[0])).max() < 0.25 * w
        square = np.zeros((detector.input_px, detector.input_px, 3), np.uint8)
        side = detector.input_px // 2
        for corner in (0, side):
            square[corner : corner + side, corner : corner + side] = Letterbox.of(region, side).square
        first, second = sorted(detector.find_in_square(square, 0.3), key=lambda face: face.box_px)
        assert second.mapped(1, 1, -side, -side).box_px == pytest.approx(first.box_px, abs=2)


def test_a_file_of_another_kind_is_refused() -> None:
    model = resolve("mediapipe-full-range", Path.cwd())
    graph = tflite.ModelT.InitFromPackedBuf(model.read(model.card.files[0].name))
    graph.subgraphs[0].outputs = graph.subgraphs[0].outputs[::-1]
    builder = Builder()
    builder.Finish(graph.Pack(builder), b"TFL3")
    with pytest.raises(ModelError, match=r"^mine: .*only files made like MediaPipe's two face detectors run here"):
        LiteRtRuntime(bytes(builder.Output()), "mine")


def without(package: str, folder: Path) -> dict[str, str]:
    """Return the environment of a Python that has all packages but one."""
    for item in Path(sysconfig.get_path("purelib")).iterdir():
        if not item.name.startswith(package) and item.suffix != ".pth":
            (folder / item.name).symlink_to(item)
    return os.environ | {"PYTHONPATH": f"{Path.cwd()}:{folder}"}


@pytest.mark.parametrize(
    ("package", "runtime", "says"),
    [
        ("mediapipe", "auto", "litert\n"),
        ("ai_edge_litert", "auto", "mediapipe\n"),
        (
            "mediapipe",
            "mediapipe",
            "detect.runtime is 'mediapipe', which is not installed (it has no wheel for Arm): take",
        ),
        ("ai_edge_litert", "litert", "detect.runtime is 'litert', which is not installed: run .ci/setup, or take"),
    ],
)
def test_without_one_runtime_the_other_is_taken_and_the_missing_one_is_named(
    package: str, runtime: str, says: str, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from models.assets import resolve; from models.detector import *\n"
        "try:\n"
        f"    with FaceDetector(resolve('mediapipe-full-range', Path.cwd()), runtime='{runtime}') as detector:\n"
        "        print(detector.runtime)\n"
        "except ModelError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=without(package, tmp_path),
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.stdout.startswith(says), done.stderr


def test_the_runtime_that_auto_means_is_the_faster_one() -> None:
    assert chosen_runtime("auto") == "litert"
