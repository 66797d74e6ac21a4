"""Folders of this user's running stations: where their sockets are, who runs, and who may start."""

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import socket
from pathlib import Path

import platformdirs

from pipeline.errors import TemporaryError
from pipeline.private import NotPrivateError, own_folder
from pipeline.system import plain

CONTROL = "control"
"""Name of the control socket in a station's folder."""
_LOGIN = Path(f"/run/user/{os.getuid()}")
_TEMPORARY = Path("/tmp")  # noqa: S108 (for names that cannot be guessed)
_TRIES = 5


def runtime_root() -> Path:
    """Return the folder of all running stations of this user: private (0700), on this machine only.

    It is the same for a service and at a login. The login's own XDG_RUNTIME_DIR is not used: a service lacks it, and
    a logout takes it away. TemporaryError: the folder cannot be made, or is somebody else's.
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or _LOGIN)
    root = base / "stationcast"
    try:
        if not base.is_dir() or base == _LOGIN:
            return _root_of_user(Path(platformdirs.user_data_dir("stationcast")) / ".runtime")
        _make_root(root)
    except OSError as error:
        place, why = error.filename or root, error.strerror
        raise TemporaryError(f"{place}: {why}; set XDG_RUNTIME_DIR to a folder of your own") from None
    return root


def _root_of_user(link: Path) -> Path:
    """Return the folder below /tmp to which a link in the user's own data leads; make both where they are missing.

    Its name is random. Nobody can take it beforehand, and where somebody takes it later there is a new one.
    """
    for _ in range(_TRIES):
        try:
            root = link.readlink()
        except FileNotFoundError:
            own_folder(link.parent)
            root = _TEMPORARY / f"stationcast-{os.getuid()}-{secrets.token_hex(6)}"
            with contextlib.suppress(FileExistsError):  # another process was faster: its link counts
                link.symlink_to(root)
            continue
        try:
            _make_root(root)
        except NotPrivateError:
            link.unlink(missing_ok=True)
            continue
        return root
    raise NotPrivateError("another account takes every name there", _TEMPORARY)


def _make_root(root: Path) -> None:
    if root.is_symlink():
        raise NotPrivateError("it is a link", root)
    own_folder(root)


def lock_path(folder: Path) -> Path:
    """Return the file that the process locks to which a station's folder belongs."""
    return folder.with_name(f"{folder.name}.lock")


def claim(name: str, stack: contextlib.ExitStack) -> Path:
    """Take the station's folder for this process and empty it of what a killed one left. Return its path.

    The folder is this process's until `stack` closes. TemporaryError: a station of that name runs already, or the
    folder cannot be made, as on a full disk.
    """
    folder = runtime_root() / name
    try:
        _claim(folder, name, stack)
    except OSError as error:
        raise TemporaryError(f"{error.filename or folder}: {plain(error)}") from None
    return folder


def _claim(folder: Path, name: str, stack: contextlib.ExitStack) -> None:
    path = lock_path(folder)
    while True:
        with contextlib.ExitStack() as attempt:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            attempt.callback(os.close, lock)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_ino == path.stat().st_ino:
                    stack.push(attempt.pop_all())
                    break
            except FileNotFoundError:
                continue
            except BlockingIOError:
                raise _taken(name) from None
    if is_running(folder):  # its lock was removed, such as by a cleaner of /tmp
        raise _taken(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    stack.callback(path.unlink, missing_ok=True)
    stack.callback(shutil.rmtree, folder, ignore_errors=True)


def _taken(name: str) -> TemporaryError:
    return TemporaryError(
        f"station.name: a station named {name!r} runs already, its sockets are in use; stop it or choose another name"
    )


def running_stations() -> list[str]:
    """Return the names of this user's running stations."""
    return sorted(path.parent.name for path in runtime_root().glob(f"*/{CONTROL}") if is_running(path.parent))


def is_running(runtime_dir: Path) -> bool:
    """Tell whether a supervisor still listens in this folder. One that was killed leaves its folder behind."""
    with socket.socket(socket.AF_UNIX) as knock:
        knock.setblocking(False)
        return knock.connect_ex(str(runtime_dir / CONTROL)) in (0, errno.EAGAIN)  # EAGAIN: many others wait too
