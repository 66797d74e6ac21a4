"""Folders of this user's running stations: where their sockets are, who runs, and who may start."""

import contextlib
import fcntl
import os
import shutil
import socket
from pathlib import Path

from pipeline.errors import UserError

CONTROL = "control"
"""Name of the control socket in a station's folder."""
_LOGIN = Path(f"/run/user/{os.getuid()}")


def runtime_root() -> Path:
    """Return the folder of all running stations of this user: private (0700), on this machine only.

    It is the same for a service and at a login. The login's own XDG_RUNTIME_DIR is not used: a service lacks it, and
    a logout takes it away. UserError: the folder cannot be made, or is somebody else's.
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or _LOGIN)
    root = base / "stationcast" if base.is_dir() and base != _LOGIN else Path(f"/tmp/stationcast-{os.getuid()}")  # noqa: S108
    try:
        root.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UserError(f"{root}: {error.strerror}; set XDG_RUNTIME_DIR to a folder of your own") from None
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise UserError(f"{root}: belongs to somebody else; set XDG_RUNTIME_DIR to a folder of your own")
    root.chmod(0o700)
    return root


def lock_path(folder: Path) -> Path:
    """Return the file that the process locks to which a station's folder belongs."""
    return folder.with_name(f"{folder.name}.lock")


def claim(name: str, stack: contextlib.ExitStack) -> Path:
    """Take the station's folder for this process and empty it of what a killed one left. Return its path.

    The folder is this process's until `stack` closes. UserError: a station of that name runs already.
    """
    folder = runtime_root() / name
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
    return folder


def _taken(name: str) -> UserError:
    return UserError(
        f"station.name: a station named {name!r} runs already, its sockets are in use; stop it or choose another name"
    )


def running_stations() -> list[str]:
    """Return the names of this user's running stations."""
    return sorted(path.parent.name for path in runtime_root().glob(f"*/{CONTROL}") if is_running(path.parent))


def is_running(runtime_dir: Path) -> bool:
    """Tell whether a supervisor still listens in this folder. One that was killed leaves its folder behind."""
    with socket.socket(socket.AF_UNIX) as knock:
        return knock.connect_ex(str(runtime_dir / CONTROL)) == 0
