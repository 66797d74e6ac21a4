"""Log lines on stderr, one an event, and the count of what was passed over."""

import contextlib
import os
import sys
import time
from collections import Counter
from typing import Any, Literal

from pipeline.clean import clean
from pipeline.system import plain

Severity = Literal["debug", "info", "notice", "warning", "err"]
_LEVELS: dict[Severity, int] = {"err": 3, "warning": 4, "notice": 5, "info": 6, "debug": 7}
"""Levels of syslog, as journald reads them from the prefix `<N>` of a line."""

_REASONS_TOLD = 20
_process = "stationcast"
skipped: Counter[str] = Counter()
"""Number of times that each reason was given to `skip` in this process."""


def is_journal(fd: int, journal_stream: str) -> bool:
    """Tell whether a file descriptor leads to journald. `journal_stream` is JOURNAL_STREAM (systemd.exec(5))."""
    try:
        return stream_name(fd) == journal_stream
    except OSError:
        return False


def stream_name(fd: int) -> str:
    """Return `device:inode` of a file descriptor, as systemd writes it into JOURNAL_STREAM. OSError: it is closed."""
    status = os.fstat(fd)
    return f"{status.st_dev}:{status.st_ino}"


to_journal = is_journal(2, os.environ.get("JOURNAL_STREAM", ""))
"""True where this process's standard error leads to journald. Its lines then begin with their severity."""


def prefix(severity: Severity) -> str:
    """Return what a line of this severity begins with: `<N>` for journald, nothing for anybody else."""
    return f"<{_LEVELS[severity]}>" if to_journal else ""


def name_process(name: str) -> None:
    """Set the name that every later line of this process carries."""
    global _process
    _process = name


def log(event: str, *, severity: Severity = "info", **fields: Any) -> None:
    """Write `time process event key=value ...` to stderr. A stream that takes no more lines stops nothing."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    pairs = "".join(f" {key}={_plain(value)}" for key, value in fields.items())
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{prefix(severity)}{stamp}Z {_process} {event}{pairs}\n")
        sys.stderr.flush()


def skip(reason: str, *, severity: Severity = "warning", **fields: Any) -> None:
    """Count something that was passed over; log it the first time that it happens in this process."""
    skipped[reason] += 1
    if skipped[reason] == 1:
        log("skipped", severity=severity, reason=reason, **fields)


def skipped_status() -> dict[str, dict[str, int]]:
    """Return the commonest reasons of `skip` and how often each came, as a part of a process's status."""
    return {"skipped": dict(skipped.most_common(_REASONS_TOLD))} if skipped else {}


def _plain(value: Any) -> str:
    if isinstance(value, OSError):
        value = (f"{value.filename}: " if value.filename else "") + plain(value)
    text = clean(" ".join(str(value).split()))
    return repr(text) if " " in text or not text else text
