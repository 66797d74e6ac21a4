"""Beginning of every child of the supervisor: `python -m pipeline.entry PARENT_PID`, its Spec on standard input.

A child ties its life to its parent's before it loads anything that takes time. During a second of imports, nobody would
end an orphan. Nothing in it is written to a core dump.
"""

import signal
import sys

from pipeline.guard import keep_to_itself, tie_to_parent


def main() -> int:
    """Become the process that standard input describes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_to_itself()
    tie_to_parent(int(sys.argv[1]))
    from pipeline import stage

    return stage.main()


if __name__ == "__main__":
    raise SystemExit(main())
