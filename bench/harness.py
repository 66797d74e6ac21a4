"""The run of a benchmark in a process of its own, from its start to its result."""

import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

import msgspec

from bench.findings import Findings, Plan, Result, Say
from bench.rig.machine import busy_s, children_s, machine
from bench.rig.processes import tied
from pipeline.errors import UserError

_STOP_S = 60.0


def run_benchmark(what: str, plan: Plan, say: Say, keep: Callable[[Result], object] = lambda _: None) -> Result:
    """Run one benchmark in a process of its own and return its result; raise UserError if it failed.

    `keep` also gets the result, as far as it has come, whenever there is more of it.
    """
    started_s, busy_before = time.monotonic(), busy_s()
    own_before = children_s()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())

    def result(findings: Findings) -> Result:
        took_s = time.monotonic() - started_s
        busy_elsewhere_s = busy_s() - busy_before - (children_s() - own_before)
        return Result(
            what=what,
            command=plan.command(what),
            size=plan.size,
            started=stamp,
            took_s=round(took_s, 1),
            busy_elsewhere=round(max(0.0, busy_elsewhere_s / took_s), 2),
            machine=machine(),
            findings=findings,
        )

    whole = result(in_child(what, plan, say, keep=lambda findings: keep(result(findings))))
    keep(whole)  # once more: the CPU time of the process is known only now that it has ended
    return whole


def in_child(
    what: str,
    plan: Plan,
    say: Say,
    *arguments: str,
    limit_s: float | None = None,
    keep: Callable[[Findings], object] = lambda _: None,
) -> Findings:
    """Call `run(plan, say, *arguments)` of a benchmark in a process of its own and return its findings.

    `keep` gets the findings of each step as they come. UserError: it failed, or took longer than the limit.
    """
    until_s = time.monotonic() + (limit_s or math.inf)
    with tempfile.TemporaryFile() as stderr:
        child = subprocess.Popen(
            tied(sys.executable, "-m", "bench.child", what, msgspec.json.encode(plan).decode(), *arguments),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        assert child.stdout
        clock = threading.Timer(limit_s or 0.0, _stop, [child])
        if limit_s:
            clock.start()
        findings = None
        try:
            for line in child.stdout:
                answer = json.loads(line)
                if "say" in answer:
                    say(answer["say"])
                elif "error" in answer:
                    raise UserError(f"bench {what}: {answer['error']}")
                elif "findings" in answer:
                    findings = msgspec.convert(answer["findings"], Findings)
                    keep(findings)
                elif findings is not None:
                    return findings
            child.wait()
            if time.monotonic() >= until_s:
                raise UserError(f"bench {what}: not done after {limit_s:g} s")
            stderr.seek(0)
            last = stderr.read().decode(errors="replace").strip().splitlines()[-12:]
            raise UserError(f"bench {what}: ended with {child.returncode}:\n" + "\n".join(last))
        except BaseException:
            child.terminate()
            raise
        finally:
            clock.cancel()
            _end(child)
            child.stdout.close()


def _stop(child: "subprocess.Popen[str]") -> None:
    """Ask a child to stop what it started and to remove its folders; kill it if it does not."""
    child.terminate()
    _end(child)


def _end(child: "subprocess.Popen[str]") -> None:
    """Give a child time to end by itself, then kill it and all processes of its group."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_STOP_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
