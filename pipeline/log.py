"""One structured line an event on stderr; `skip` counts trouble, says it once a reason and lets the station go on."""

import contextlib
import sys
import time
from collections import Counter
from typing import Any

_process = "stationcast"
skipped: Counter[str] = Counter()


def name_process(name: str) -> None:
    """Set the name that every later line of this process carries."""
    global _process
    _process = name


def log(event: str, **fields: Any) -> None:
    """Write `time process event key=value ...` to stderr; a log that nobody takes any more stops nothing."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    pairs = "".join(f" {key}={_plain(value)}" for key, value in fields.items())
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{stamp}Z {_process} {event}{pairs}\n")
        sys.stderr.flush()


def skip(reason: str, **fields: Any) -> None:
    """Count something that was passed over; log it the first time it happens in this process."""
    skipped[reason] += 1
    if skipped[reason] == 1:
        log("skipped", reason=reason, **fields)


def _plain(value: Any) -> str:
    text = " ".join(str(value).split())
    return repr(text) if " " in text or not text else text
