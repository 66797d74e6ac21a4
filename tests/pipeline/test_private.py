"""Files and folders stay this account's alone, whatever another account made or linked there before."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.private import (
    NotPrivateError,
    check_folder,
    make_folders,
    open_file,
    own_folder,
    replacing,
    secure_file,
)

SOMEBODY = 54321
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="not root: nothing of another account can be made")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def _link(place: Path, other: Path) -> None:
    other.write_bytes(b"precious")
    place.symlink_to(other)


def _dangling_link(place: Path, other: Path) -> None:
    place.symlink_to(other)


def _hard_link(place: Path, other: Path) -> None:
    other.write_bytes(b"precious")
    place.hardlink_to(other)


def _fifo(place: Path, _other: Path) -> None:
    os.mkfifo(place)


def _folder(place: Path, _other: Path) -> None:
    place.mkdir()


def _of_another_account(place: Path, _other: Path) -> None:
    place.write_bytes(b"theirs")
    os.chown(place, SOMEBODY, -1)


planted = pytest.mark.parametrize(
    "plant",
    [_link, _dangling_link, _hard_link, _fifo, _folder, pytest.param(_of_another_account, marks=as_root)],
)
"""Makers of what another account may have put at the place of a file."""


@planted
def test_a_planted_file_is_neither_read_nor_written(plant: Callable[[Path, Path], None], tmp_path: Path) -> None:
    place, other = tmp_path / "place", tmp_path / "other"
    plant(place, other)
    before = other.read_bytes() if other.exists() else None
    for flags in (os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with pytest.raises(OSError):
            os.close(open_file(place, flags))
    assert (other.read_bytes() if other.exists() else None) == before


@planted
def test_a_file_takes_the_place_of_what_was_planted_there(plant: Callable[[Path, Path], None], tmp_path: Path) -> None:
    place, other = tmp_path / "place", tmp_path / "other"
    plant(place, other)
    before = other.read_bytes() if other.exists() else None
    if plant is _folder:
        with pytest.raises(IsADirectoryError), replacing(place) as draft:
            draft.write(b"ours")
    else:
        with replacing(place) as draft:
            draft.write(b"ours")
        assert place.read_bytes() == b"ours" and mode_of(place) == 0o600
        assert (other.read_bytes() if other.exists() else None) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"place", "other"}


@given(mode=st.integers(0, 0o777), umask=st.integers(0, 0o77))
def test_files_and_folders_of_ours_become_private_whatever_they_were(
    mode: int, umask: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("of") / "ours"
    folder.mkdir()
    file = folder / "file"
    file.touch()
    file.chmod(mode | 0o400)
    folder.chmod(mode | 0o700)
    before = os.umask(umask)
    try:
        own_folder(folder)
        secure_file(file)
        os.close(open_file(folder / "new"))
        with replacing(folder / "draft") as draft:
            draft.write(b"x")
        make_folders(folder / "a" / "b")
    finally:
        os.umask(before)
    assert {mode_of(path) for path in (folder, folder / "a", folder / "a" / "b")} == {0o700}
    assert {mode_of(path) for path in (file, folder / "new", folder / "draft")} == {0o600}


def test_a_folder_that_is_there_for_all_stays_so(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    with pytest.raises(NotPrivateError, match="for all accounts"):
        own_folder(shared)
    assert mode_of(shared) == 0o1777
    own_folder(shared / "ours")


@as_root
def test_a_folder_of_another_account_is_refused(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, SOMEBODY, -1)
    for use in (own_folder, check_folder):
        with pytest.raises(NotPrivateError, match="another account"):
            use(theirs)


@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777, 0o1777])
def test_a_cache_into_which_others_may_write_is_refused(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(NotPrivateError, match="other accounts may write there; run: chmod go-w"):
        check_folder(folder)
    folder.chmod(0o755)
    check_folder(folder)


def test_a_draft_that_fails_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.write_bytes(b"before")
    with pytest.raises(RuntimeError), replacing(place) as draft:
        draft.write(b"half")
        raise RuntimeError
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]
