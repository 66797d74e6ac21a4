"""The process of one benchmark: `python -m bench.child WHAT PLAN [ARGUMENT...]`; JSON lines on standard output."""

import importlib
import json
import os
import signal
import sys
from typing import Any

import click
import msgspec

from bench.harness import Findings, Plan


def main() -> int:
    """Run the benchmark; 0 also where it says why it cannot."""
    what, plan, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(**said: Any) -> None:
        answers.write(json.dumps(said) + "\n")

    module = importlib.import_module(f"bench.{what}")
    try:
        found = module.run(msgspec.json.decode(plan, type=Plan), lambda text: answer(say=text), *arguments)
        for findings in (found,) if isinstance(found, Findings) else found:
            answer(findings=msgspec.to_builtins(findings))
    except click.ClickException as error:
        answer(error=error.message)
    except OSError as error:
        if not error.filename:
            raise
        answer(error=str(error))
    else:
        answer(done=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
