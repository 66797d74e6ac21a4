"""The process of one benchmark: `python -m bench.child WHAT PLAN [ARGUMENT...]`; it answers in lines of JSON."""

import importlib
import json
import os
import signal
import sys
from typing import Any

import click
import msgspec

from bench.findings import Findings, Plan
from bench.questions import QUESTIONS, STEPS


def main() -> int:
    """Run the benchmark and return the exit code: 0 also where the answer says why it cannot run."""
    what, plan, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # so that nothing a library prints is taken for an answer

    def answer(**said: Any) -> None:
        answers.write(json.dumps(said) + "\n")

    module, _, function = (QUESTIONS | STEPS)[what].partition(":")
    run = getattr(importlib.import_module(module), function)
    try:
        found = run(msgspec.json.decode(plan, type=Plan), lambda text: answer(say=text), *arguments)
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
