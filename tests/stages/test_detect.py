"""Face detection on real pictures and clips: what is found, what is not made up, and that nothing is sent anywhere."""

import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import matplotlib
import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from bench.rig.faces import found, make_scene
from models.assets import resolve
from models.cards import ModelError
from models.detector import FaceDetector
from models.images import ImageError, read_frames, read_image
from models.photos import detect
from tests.conftest import HANG_S
from tests.films import edit, write_film, write_numbered

HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
FACE_PX = (166, 130, 199, 199)
RUNTIMES = ["litert", "mediapipe"]


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd())) as found:
        yield found


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (x, y, w, h)."""
    x = max(0.0, min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0]))
    y = max(0.0, min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1]))
    return x * y / (one[2] * one[3] + other[2] * other[3] - x * y)


def test_a_face_its_box_and_its_eyes(detector: FaceDetector) -> None:
    (face,) = detector.detect(read_image(HOPPER))
    assert overlap(face.box_px, FACE_PX) > 0.9
    assert face.score > 0.8
    right_eye, left_eye, nose, mouth, right_ear, left_ear = face.keypoints_px
    assert right_ear[0] < right_eye[0] < nose[0] < left_eye[0] < left_ear[0]
    assert right_eye[1] < nose[1] < mouth[1]


@pytest.mark.parametrize("size", [(1080, 1920), (1081, 1919), (480, 640), (1920, 1080), (300, 201)])
def test_boxes_are_in_pixels_of_the_image_whatever_its_size(detector: FaceDetector, size: tuple[int, int]) -> None:
    height, width = size
    hopper = read_image(HOPPER)
    scale = 0.6 * min(height / hopper.shape[0], width / hopper.shape[1])
    small = cv2.resize(hopper, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = np.full((height, width, 3), 90, np.uint8)
    top, left = height - small.shape[0], width - small.shape[1]
    image[top:, left:] = small
    (face,) = detector.detect(image)
    x, y, w, h = (value * scale for value in FACE_PX)
    assert overlap(face.box_px, (left + x, top + y, w, h)) > 0.8


@pytest.mark.parametrize("size", [(1, 1), (1, 2000), (2000, 1), (7, 5)])
def test_tiny_and_thin_images_are_no_trouble(detector: FaceDetector, size: tuple[int, int]) -> None:
    assert detector.detect(np.zeros((*size, 3), np.uint8)) == []


def test_nothing_is_found_in_noise(detector: FaceDetector) -> None:
    rng = np.random.default_rng(3)
    assert detector.detect(rng.integers(0, 256, (1080, 1920, 3), np.uint8)) == []


def test_of_too_many_faces_the_largest_are_kept(detector: FaceDetector) -> None:
    hopper, image = read_image(HOPPER), np.full((720, 1280, 3), 90, np.uint8)
    image[:, 666:] = cv2.GaussianBlur(cv2.resize(hopper, (614, 720)), (0, 0), 14)
    image[100:490, 50:383] = cv2.resize(hopper, (333, 390), interpolation=cv2.INTER_AREA)
    best, largest = detector.detect(image)
    assert best.score > largest.score and best.box_px[2] < largest.box_px[2]
    with FaceDetector(resolve("mediapipe-full-range", Path.cwd()), max_faces=1) as one:
        assert one.detect(image) == [largest]


def test_three_people_stand_in_the_clip(detector: FaceDetector, shared_dir: Path) -> None:
    clip = next((shared_dir / "clips").glob("face-demographics-walking-and-pause*.mp4"))
    counts = [len(detector.detect(image)) for _, image in read_frames(clip, every=2)]
    assert counts.count(3) >= 0.9 * len(counts)
    assert max(counts) == 3


def test_backs_of_heads_are_no_faces(detector: FaceDetector, shared_dir: Path) -> None:
    clip = shared_dir / "clips" / "one-by-one-person-detection.mp4"
    counts = [len(detector.detect(image)) for _, image in read_frames(clip, every=10)]
    assert len(counts) == 140
    assert sum(counts) <= 0.05 * len(counts)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_import_is_quiet_and_brings_neither_plots_nor_audio(runtime: str) -> None:
    code = (
        "import sys; from pathlib import Path; from models.assets import resolve; from models.detector import *\n"
        "import numpy as np\n"
        f"with FaceDetector(resolve('mediapipe-full-range', Path.cwd()), runtime='{runtime}') as d:\n"
        "    d.detect(np.zeros((9, 9, 3), np.uint8), 0.4)\n"
        "print([m for m in ('matplotlib', 'matplotlib.pyplot', 'sounddevice') if m in sys.modules])\n"
        "import matplotlib.pyplot; print(matplotlib.pyplot.figure.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=HANG_S)
    assert done.stdout == "[]\nfigure\n"
    assert done.stderr == ""


# --- files ---


def run(*arguments: object) -> Result:
    return CliRunner().invoke(detect, [str(argument) for argument in arguments])


def rows(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_detect_prints_one_line_a_frame() -> None:
    result = run(HOPPER, "--json")
    assert result.exit_code == 0
    (row,) = rows(result)
    assert set(row) == {"file", "frame", "faces", "ms"}
    assert (row["file"], row["frame"]) == (str(HOPPER), 0)
    (face,) = row["faces"]
    assert set(face) == {"box", "score", "keypoints"}
    assert overlap(tuple(face["box"]), FACE_PX) > 0.9
    assert len(face["keypoints"]) == 6


def test_detect_reaches_far_if_asked_to(tmp_path: Path) -> None:
    scene = make_scene(40, 2, 3)
    cv2.imwrite(str(tmp_path / "far.png"), scene.image)
    ways = (), ("--reach", "near"), ("--reach", "far")
    lines = [CliRunner().invoke(detect, [str(tmp_path / "far.png"), "--json", *way]).stdout for way in ways]
    near, also_near, far = ([tuple(face["box"]) for face in json.loads(line)["faces"]] for line in lines)
    assert near == also_near
    assert not any(found(face, near) for face in scene.faces)
    assert len(far) == 2
    assert all(found(face, far) for face in scene.faces)


def test_detect_reads_videos(shared_dir: Path) -> None:
    clip = next((shared_dir / "clips").glob("head-pose*.mp4"))
    result = run(clip, "--json", "--every", 20)
    assert [row["frame"] for row in rows(result)] == [0, 20, 40, 60]
    assert all(len(row["faces"]) == 1 for row in rows(result))


def test_a_bad_file_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "cut.jpg").write_bytes(HOPPER.read_bytes()[:20000])
    (tmp_path / "empty.png").write_bytes(b"")
    files = [tmp_path / name for name in ("gone.jpg", "text.jpg", "cut.jpg", "empty.png", ".")]
    result = run(*files, HOPPER, "--json")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == len(files)
    for file, line in zip(files, lines, strict=True):
        assert line.startswith(f"stationcast: error: {file}: ")
    assert len(rows(result)) == 1


def test_a_damaged_video_is_named(shared_dir: Path, tmp_path: Path) -> None:
    clip = (shared_dir / "clips" / "one-by-one-person-detection.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(clip[: len(clip) // 2])
    with pytest.raises(ImageError, match=r"cut\.mp4: "):
        list(read_frames(tmp_path / "cut.mp4", every=1000))


def test_a_video_turned_by_its_maker_is_upright(shared_dir: Path, tmp_path: Path) -> None:
    clip = next((shared_dir / "clips").glob("head-pose*.mp4"))
    plain, quarter = (
        struct.pack(">9i", *matrix)
        for matrix in (
            (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30),
            (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30),
        )
    )
    data = clip.read_bytes()
    header = data.index(b"tkhd")
    turned = tmp_path / "turned.mp4"
    turned.write_bytes(data[:header] + data[header:].replace(plain, quarter, 1))
    _, before = next(read_frames(clip))
    _, after = next(read_frames(turned))
    assert np.array_equal(after, np.rot90(before, -1))


@pytest.mark.parametrize("kind", ["grey", "rgba", "palette", "grey16", "cmyk", "exif", "unicode", "webp"])
def test_any_picture_shows_the_same_face(kind: str, tmp_path: Path) -> None:
    image = Image.open(HOPPER)
    names = {"cmyk": "a.jpg", "exif": "a.jpg", "unicode": "사진 ü 📷.jpg", "webp": "a.webp"}
    path = tmp_path / names.get(kind, "a.png")
    if kind == "grey":
        image.convert("L").save(path)
    elif kind == "rgba":
        image.convert("RGBA").save(path)
    elif kind == "palette":
        image.quantize(128).save(path)
    elif kind == "grey16":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(path)
    elif kind == "cmyk":
        image.convert("CMYK").save(path)
    elif kind == "exif":
        turned = image.transpose(Image.Transpose.ROTATE_90)
        exif = Image.Exif()
        exif[0x0112] = 6
        turned.save(path, exif=exif)
    else:
        image.save(path)
    (row,) = rows(run(path, "--json"))
    assert row["file"] == str(path)
    (face,) = row["faces"]
    assert overlap(tuple(face["box"]), FACE_PX) > 0.85


def test_a_film_of_which_an_edit_list_shows_a_part_is_not_damaged(tmp_path: Path) -> None:
    write_numbered(tmp_path / "film.mp4", 40)
    edit(tmp_path / "film.mp4", [(1, 0.5), (3, 0.5)])
    result = run(tmp_path / "film.mp4", "--json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["frame"] for line in result.stdout.splitlines()] == list(range(10))


MIRRORED = {"mirrored": (1, 0, 0, -1), "on its head": (-1, 0, 0, -1), "on its side, mirrored": (0, 1, 1, 0)}


@pytest.mark.parametrize("matrix", MIRRORED.values(), ids=MIRRORED)
def test_the_face_of_a_film_that_is_stored_in_another_way_is_found(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    a, b, c, d = matrix
    seen = read_image(HOPPER)[..., ::-1]
    stored = seen.swapaxes(0, 1) if b else seen[::d, ::a]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored[: len(stored) // 2 * 2]), format="rgb24")
    sides = [65536 * part for part in (a, b, c, d)]
    display = (sides[0], sides[1], 0, sides[2], sides[3], 0, 0, 0, 1 << 30)
    write_film(tmp_path / "film.mp4", [frame.reformat(format="yuv420p")] * 2, display_matrix=display)
    result = run(tmp_path / "film.mp4", "--json")
    assert result.exit_code == 0, result.output
    for row in map(json.loads, result.stdout.splitlines()):
        assert [overlap(face["box"], FACE_PX) > 0.8 for face in row["faces"]] == [True]


def test_the_faces_of_a_film_mirrored_upside_down_are_found(shared_dir: Path) -> None:
    result = run(shared_dir / "cases/films/face_up_by_vflip.mp4", "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) == 10
    assert {len(row["faces"]) for row in rows} == {2}


def test_a_table_for_people() -> None:
    result = run(HOPPER)
    assert result.exit_code == 0
    assert "0.86" in result.stdout


def test_a_score_that_is_no_number_is_refused() -> None:
    result = CliRunner().invoke(detect, [str(HOPPER), "--min-score", "nan"])
    assert result.exit_code == 2 and "'--min-score': nan is no number." in result.output


def test_an_unknown_detector_is_named() -> None:
    with pytest.raises(ModelError, match="model 'yolo' is unknown"):
        CliRunner().invoke(detect, [str(HOPPER), "--detector", "yolo"], standalone_mode=False, catch_exceptions=False)


# --- nothing leaves the machine ---

COMMAND = [sys.executable, "-m", "pipeline.cli", "detect", str(HOPPER), "--json", "--runtime"]


def faces_seen_by(command: list[str]) -> list[dict]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["faces"]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_detection_is_the_same_without_a_network(runtime: str) -> None:
    alone = ["unshare", "--map-root-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a network namespace: the run without a network did not happen")
    assert faces_seen_by([*alone, *COMMAND, runtime]) == faces_seen_by([*COMMAND, runtime])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_detection_opens_no_connection(tmp_path: Path, runtime: str) -> None:
    trace = tmp_path / "trace"
    strace = ["strace", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(trace)]
    try:
        works = subprocess.run([*strace, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        works = False
    if not works:
        pytest.skip("strace is missing or may not trace here: nobody looked for connections")
    assert len(faces_seen_by([*strace, *COMMAND, runtime])) == 1
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []
