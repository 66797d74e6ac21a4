"""The sources that a station file may name, and what of them is shown."""

import errno
import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cameras import (
    device_trouble,
    find_webcams,
    public_name,
    source_kind,
    validate_source,
    webcam_problem,
)
from pipeline.errors import UserError
from pipeline.settings import Camera
from tests.conftest import HANG_S, as_nobody

WRONG_FORMS = [
    "rtsp:/admin:{}@h/",
    "rtsp:admin:{}@h/",
    "admin:{}@h:554/live",
    "rtsp://admin:{}",
    "rtsp://h/live?password={}",
    "h/live?user=a&password={}",
    "rtsp://a@b:{}@h/",
    "admin:{}@h://x",
]


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
        ("rtsp://u:p@p/p@10.0.0.1/x", "rtsp://..."),
        ("rtsp://admin:p", "rtsp://..."),
        ("rtsp://[fe80::1%25eth0]:554/p", "rtsp://[fe80::1%25eth0]:554"),
        ("http://cam/p?p", "http://cam"),
        ("admin:p@cam/x", "..."),
        ("rtsp:/admin:p@cam/x", "..."),
        ("cam/x?user=a&password=p", "..."),
        ("p://p@cam", "..."),
        ("sample", "sample"),
        ("films/a 12:30.mp4", "films/a 12:30.mp4"),
    ],
)
def test_no_password_is_shown(url: str, shown: str) -> None:
    assert public_name(url) == shown


@pytest.mark.parametrize(
    ("password", "escape"),
    [
        ("s3cr#t", "# as %23"),
        ("se/cret", "/ as %2F"),
        ("s[cr]t", "[ as %5B, write ] as %5D"),
        ("12#34", "# as %23"),
        ("12/34", "/ as %2F"),
        ("12?34", "? as %3F"),
        ("se@cret", "@ as %40"),
        ("100%sure", "% as %25"),
        ("se cret", "a blank as %20"),
        ("se\u00a0cret", "a character that is not seen as %C2%A0"),
    ],
)
@pytest.mark.parametrize("command", ["check", "graph", "run"])
def test_a_password_that_must_be_escaped_is_refused_and_shown_nowhere(
    tmp_path: Path, password: str, escape: str, command: str
) -> None:
    station = tmp_path / "s.toml"
    station.write_text(f"[[cameras]]\nname = 'door'\nsource = 'rtsp://admin:{password}@h/'\n", encoding="utf-8")
    more = {"graph": ["--out", str(tmp_path / "graph.svg")]}.get(command, [])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pipeline.cli", command, str(station), *more],
        capture_output=True,
        text=True,
        timeout=HANG_S,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line == (
        f"stationcast: error: {station}: cameras.door.source: rtsp://...: in its user name or password write {escape}; "
        "after the host, write @ as %40"
    )


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("rtsp://u:secret@h/live ", "begins or ends with a blank; take it out"),
        (" rtsp://u:secret@h/live", "begins or ends with a blank; take it out"),
        ("rtsp://h/?password=se#cret", "after the host write # as %23"),
        ("http://h/my camera?password=secret", "after the host write a blank as %20"),
    ],
)
def test_a_url_that_no_camera_would_understand_is_refused(tmp_path: Path, url: str, word: str) -> None:
    with pytest.raises(UserError) as error:
        validate_source(Camera(name="door", source=url), tmp_path)
    assert word in str(error.value)
    assert "secret" not in str(error.value)


PASSWORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1)


@given(PASSWORDS)
def test_no_password_leaks_raw_or_escaped(password: str) -> None:
    """The message depends only on which characters must be escaped, so it tells nothing else of a password."""
    raw = f"rtsp://admin:{password}@h:554/live"
    wrong = {c for c in password if c in "#/?[]@" or c.isspace() or not c.isprintable()}
    wrong |= {"%"} if re.search("%(?![0-9a-fA-F]{2})", password) else set()
    try:
        validate_source(Camera(name="door", source=raw), Path("/"))
    except UserError as error:
        assert wrong
        with pytest.raises(UserError) as other:
            validate_source(Camera(name="door", source=f"rtsp://x:{''.join(sorted(wrong))}@h"), Path("/"))
        assert str(error) == str(other.value)
        assert public_name(raw) == "rtsp://..."
    else:
        assert not wrong
        assert public_name(raw) == "rtsp://h:554"
    escaped = f"rtsp://admin:{quote(password, safe='')}@h:554/live"
    validate_source(Camera(name="door", source=escaped), Path("/"))
    assert public_name(escaped) == "rtsp://h:554"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=8, max_size=12), st.sampled_from(WRONG_FORMS))
def test_urls_written_wrongly_show_no_password(password: str, form: str) -> None:
    source = form.format(password)
    shown = public_name(source)
    try:
        validate_source(Camera(name="door", source=source), Path("/"))
    except UserError as error:
        shown += str(error)
    assert password not in shown and quote(password) not in shown


def test_webcams_are_devices_that_capture() -> None:
    assert all(Path(path).exists() for path in find_webcams())


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (63, "no such device: /dev/video63; there is no webcam here; plug it in"),
        ("/dev/video63", "no such device"),
        ("/dev/null", "/dev/null is no camera"),
        ("/dev/shm", "/dev/shm is no camera"),
    ],
)
def test_why_a_webcam_does_not_open_is_said(source: str | int, why: str) -> None:
    assert (why if not find_webcams() else why.partition(";")[0]) in webcam_problem(source)


def test_a_device_that_the_user_may_not_open_is_named_with_the_remedy() -> None:
    device = Path("/dev/video62")
    try:
        os.mknod(device, 0o600 | stat.S_IFCHR, os.makedev(1, 3))  # the device of /dev/null
    except OSError:
        pytest.skip("only root may make a device: no device without permission was tried")
    try:
        code = f"from pipeline.cameras import webcam_problem; print(webcam_problem({str(device)!r}))"
        done = as_nobody([sys.executable, "-c", code])
        assert done.stdout == f"no permission to use {device}; sudo usermod -aG video $USER, then log in again\n"
    finally:
        device.unlink()


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.EBUSY, "/dev/video0 is busy: another program uses it; end that (`fuser -v /dev/video0` names it)"),
        (errno.EACCES, "no permission"),
        (errno.ENXIO, "no such device"),
        (errno.ENOTTY, "is no camera"),
        (errno.EIO, "unplug it"),
    ],
)
def test_the_system_s_word_for_a_device_is_put_plainly(number: int, word: str) -> None:
    assert word in device_trouble(Path("/dev/video0"), OSError(number, os.strerror(number)), "plug it in")


def test_check_says_which_sources_cannot_be_opened_now(tmp_path: Path) -> None:
    station = tmp_path / "s.toml"
    station.write_text(
        "[[cameras]]\nname = 'door'\nsource = '/dev/video63'\n[[cameras]]\nname = 'demo'\nsource = 'sample'\n"
    )
    command = [sys.executable, "-P", "-m", "pipeline.cli", "check", str(station)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert done.returncode == 0, done.stderr
    assert "cameras.door: no such device: /dev/video63; " in done.stdout
    assert "cameras.demo" not in done.stdout


def test_a_file_that_the_user_may_not_read_is_a_problem_now(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    (tmp_path / "v.mp4").touch(0o000)
    camera = "Camera(name='hall', source='v.mp4')"
    code = (
        "from pathlib import Path\nfrom pipeline.cameras import present_problem\nfrom pipeline.settings import Camera\n"
        f"print(present_problem({camera}, Path({str(tmp_path)!r})))"
    )
    remedy = "let the station's user read it (chmod a+rX)"
    assert as_nobody([sys.executable, "-c", code]).stdout == f"no permission to read {tmp_path}/v.mp4; {remedy}\n"
