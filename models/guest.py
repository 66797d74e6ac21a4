"""Process in which a model is tried: `python -m models.guest PARENT_PID`, a `Guest` as JSON on standard input.

Exit code 0: it loads and gives its golden answers. 2: it is refused, and standard output says why. Anything else is the
work of a limit.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

import msgspec

from models.assets import Model
from models.cards import ModelError, read_card
from models.trial import REFUSED, Guest

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Load the model under limits."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        return 1
    with contextlib.suppress(OSError):  # where memory runs out, this process ends first
        Path("/proc/self/oom_score_adj").write_text("1000")
    guest = msgspec.json.decode(sys.stdin.buffer.read(), type=Guest)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (guest.cpu_s, guest.cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (guest.memory_bytes, guest.memory_bytes))
    try:
        card_path = Path(guest.card_path)
        card, sha256 = read_card(card_path)
        if sha256 != guest.card_sha256:
            raise ModelError(f"{card_path}: changes while it is read; start again")
        model = Model(card, card_path, sha256, {name: Path(path) for name, path in guest.paths.items()})
        if card.task == "classify":
            from models.session import Classifier

            Classifier(model, "cpu", tried=True)
        else:
            from models.detector import FaceDetector, RuntimeName

            name = msgspec.convert(guest.runtime.partition(" ")[0], RuntimeName)
            FaceDetector(model, runtime=name, tried=True).close()
    except ModelError as error:
        sys.stdout.write(" ".join(error.message.split()))
        return REFUSED
    except Exception as error:  # of whatever class a library makes of it, lack of memory among them
        why = " ".join(f"{type(error).__name__}: {error}".split())
        sys.stdout.write(f"{guest.card_path}: its model cannot be used ({why}); refused: export it again")
        return REFUSED
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
