"""Files of media: opened once without links, and read only as they were when their hashes were taken."""

import hashlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from models.images import read_frames
from pipeline.film import Film
from pipeline.medium import BLOCK_BYTES, Medium, MediumError, fingerprint, open_plain
from tests import hostile


def medium_of(path: Path) -> Medium:
    fd = open_plain(path)
    return Medium(fd, fingerprint(fd).blocks)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a file of three blocks and a half."""
    path = tmp_path / "medium"
    path.write_bytes(os.urandom(3 * BLOCK_BYTES + BLOCK_BYTES // 2))
    return path


def test_what_is_read_are_the_bytes_that_were_hashed(file: Path) -> None:
    content = file.read_bytes()
    fd = open_plain(file)
    hashes = fingerprint(fd)
    assert hashes.sha256 == hashlib.sha256(content).hexdigest()
    with Medium(fd, hashes.blocks).buffered() as reader:
        assert reader.read() == content
        for at in (0, 5, BLOCK_BYTES - 3, 3 * BLOCK_BYTES + 1):
            reader.seek(at)
            assert reader.read(100) == content[at : at + 100]
        assert reader.seek(0, os.SEEK_END) == len(content) and reader.read(1) == b""


def same_size_and_times(path: Path) -> None:
    info = path.stat()
    with path.open("r+b") as stream:
        stream.seek(2 * BLOCK_BYTES)
        byte = stream.read(1)[0]
        stream.seek(2 * BLOCK_BYTES)
        stream.write(bytes([byte ^ 1]))
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def grown(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


Change = Callable[[Path], None]
CHANGES: dict[str, Change] = {
    "one bit, with the size and times of before": same_size_and_times,
    "cut": lambda path: os.truncate(path, 2 * BLOCK_BYTES + 1),
    "cut at the edge of a block": lambda path: os.truncate(path, 2 * BLOCK_BYTES),
    "emptied": lambda path: os.truncate(path, 0),
    "grown": grown,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_was_changed_is_not_opened_or_breaks_off(file: Path, change: Change) -> None:
    content, fd = file.read_bytes(), open_plain(file)
    blocks = fingerprint(fd).blocks
    change(file)
    given = b""
    with pytest.raises(MediumError, match="has changed"), Medium(fd, blocks) as medium:
        while part := medium.read(BLOCK_BYTES):
            given += part
    assert content.startswith(given)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_of_a_file_that_changes_while_it_is_read_nothing_new_is_given_out(file: Path, change: Change) -> None:
    content, fd = file.read_bytes(), open_plain(file)
    with Medium(fd, fingerprint(fd).blocks) as medium:
        given = medium.read(10)
        change(file)
        if change is not grown:
            with pytest.raises(MediumError, match="has changed"):
                while part := medium.read(BLOCK_BYTES):
                    given += part
            medium.seek(2 * BLOCK_BYTES)
            with pytest.raises(MediumError):
                medium.read(1)
        else:
            while part := medium.read(BLOCK_BYTES):
                given += part
            assert given == content
    assert content.startswith(given)


def test_nothing_but_a_plain_file_in_its_own_place_is_opened(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (tmp_path / "in" / "link").symlink_to(secret)
    (tmp_path / "in" / "zero").symlink_to("/dev/zero")
    (tmp_path / "through").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "file").write_text("file")
    os.mkfifo(tmp_path / "in" / "fifo")
    places = ["in/link", "in/zero", "through/file", "in/../secret", "in/fifo", "in"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "in" / "socket"))
        for place in [*places, "in/socket"]:
            with pytest.raises(MediumError):
                os.close(open_plain(f"{tmp_path}/{place}"))
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "in" / "none")
    os.close(open_plain(tmp_path / "in" / "file"))
    os.close(open_plain(tmp_path / "in" / "link", follow=True))
    for device in ("/dev/zero", "/dev/null"):
        with pytest.raises(MediumError):
            open_plain(device, follow=True)


def test_a_file_with_two_films_in_it_is_the_same_film_to_all(tmp_path: Path) -> None:
    """FFmpeg, left to guess, finds the red one."""
    path = hostile.two_films(tmp_path / "film.mp4")
    with Film(path) as film, Film(medium_of(path).buffered()) as same:
        assert (film.kind, film.codec, same.codec) == ("mp4", "h264", "h264")
    _, picture = next(read_frames(path))
    blue, green, red = picture[20, 20].tolist()
    assert green > 120 and red < 60 and blue < 60
    with pytest.raises(ValueError, match="no film of a known kind"):
        Film(hostile.two_films(tmp_path / "other.mp4", b"abcd"))


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile 'a.mp4'\n", "#EXTM3U\n#EXTINF:1,\na.ts\n", "v=0\r\n"])
def test_a_list_of_other_files_is_no_film(tmp_path: Path, text: str) -> None:
    hostile.one_colour(tmp_path / "a.mp4", hostile.RED, "libx264", "mp4")
    (tmp_path / "film.mp4").write_text(text)
    with pytest.raises(ValueError, match="no film of a known kind"):
        Film(tmp_path / "film.mp4")
