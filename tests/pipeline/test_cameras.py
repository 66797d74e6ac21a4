"""The sources that a station file may name, and what of them is shown."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.cameras import find_webcams, public_name, source_kind, validate_source
from pipeline.errors import UserError
from pipeline.settings import Camera


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("nowhere.mp4", "no such file"),
        (-1, "negative"),
        ("ftp://host/x", "scheme"),
        ("rtsp://user:secret@/x", "names no host"),
        ("http://host:99999/x", "ort"),
        ("empty", "no image"),
        ("", "is empty"),
        ("~nobody-of-this-name/v.mp4", "no home of such a user"),
        ("x" * 300, "too long"),
    ],
)
def test_mistakes_are_told_in_one_line(tmp_path: Path, source: str | int, word: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as error:
        validate_source(Camera(name="door", source=source), tmp_path)
    text = str(error.value)
    assert "cameras.door.source" in text
    assert word in text
    assert "\n" not in text
    assert "secret" not in text


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A file in the machine's memory, which lies below /dev and is no webcam."""
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".mp4") as file:
        yield Path(file.name)


def test_good_sources_pass(tmp_path: Path, in_memory: Path) -> None:
    (tmp_path / "v.mp4").touch()
    kinds = {"sample": "sample", 0: "webcam", "1": "webcam", "/dev/video7": "webcam", "rtsp://u:p@h/x": "url"}
    kinds |= {"v.mp4": "file", str(in_memory): "file"}
    for source, kind in kinds.items():
        camera = Camera(name="door", source=source)
        validate_source(camera, tmp_path)
        assert source_kind(camera, tmp_path) == kind


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://u:p@10.0.0.1:554/user=a&password=p?token=p#p", "rtsp://10.0.0.1:554"),
        ("rtsp://u:p/p@10.0.0.1/x", "rtsp://..."),
        ("http://cam/p?p", "http://cam"),
        ("sample", "sample"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert public_name(url) == shown


def test_webcams_are_devices_that_capture() -> None:
    assert all(Path(path).exists() for path in find_webcams())
