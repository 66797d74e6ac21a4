"""Helpers of the ledger's tests: plays, what a ledger holds, and a player in a process of its own."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.settings import StationTable
from players.ads.lines import Line, Target
from players.audience.present import Present
from players.ledger.chain import Verdict, verify
from players.ledger.export import read_plays
from players.ledger.ledger import Ledger
from players.ledger.shown import Shown
from players.ledger.snapshot import reading
from tests.ads import F20, decision, line, present, tally_of

ROOT = Path(__file__).parents[3]
STATION = StationTable(name="stop-7", venue_type="outdoor.bus_shelters", lat=37.5, lon=127, timezone="Asia/Seoul")


AD = line("f20", Target(gender="F", ages=((20, 29),)), price=Decimal("0.12"), currency="EUR")


def play(
    book: Ledger, ad: Line = AD, who: Present | None = None, shown: float = 1.0, status: Any = "played", **more: Any
) -> str | None:
    """One whole play of 480 frames, in front of `who`."""
    chosen = decision(ad)
    play_id = book.start(chosen, planned_ms=0)
    if play_id is not None:
        tally = tally_of(who or present(F20))
        frames = round(480 * shown)
        book.end(play_id, Shown(frames_expected=480, frames_presented=frames, status=status, tally=tally, **more))
    return play_id


def table(path: Path) -> list[dict[str, Any]]:
    with reading([path]) as db:
        return list(read_plays(db))


def alter(path: Path, sql: str) -> None:
    """Change ended plays in spite of their trigger."""
    db = sqlite3.connect(path)
    (trigger,) = db.execute("SELECT sql FROM sqlite_master WHERE name = 'ended_stays'").fetchone()
    db.executescript(f"DROP TRIGGER ended_stays; {sql}; {trigger}")
    db.close()


def sound(path: Path) -> Verdict:
    verdict = verify(path)
    assert not verdict.problem
    return verdict


CHILD = """
import sys, random
from decimal import Decimal
from pathlib import Path
from pipeline.settings import StationTable
from players.ads.lines import Target
from players.ledger.shown import Shown
from players.ledger.ledger import Ledger
from tests.ads import F20, HOUSE, decision, line, pick, present, tally_of

rng = random.Random(int(sys.argv[2]))
ads = [line(f"ad{n}", Target(gender="F"), price=Decimal("0.07"), budget=Decimal(sys.argv[3]), currency="EUR")
       for n in range(3)] + [HOUSE]
book = Ledger(Path(sys.argv[1]), StationTable(), "main")
who = present(F20)
print("open", flush=True)
while True:
    chosen = decision(rng.choice(ads))
    play_id = book.start(chosen, planned_ms=0)
    if play_id is None:
        print("refused", chosen.line.id, flush=True)
        continue
    print("started", play_id, flush=True)
    tally = tally_of(who)
    book.end(play_id, Shown(frames_expected=480, frames_presented=480, status="played", tally=tally))
    print("ended", play_id, flush=True)
"""


def run_script(script: str, path: Path, *wrapper: str) -> "subprocess.CompletedProcess[str]":
    """Run a Python script about a ledger to its end in a process of its own, under a `wrapper` command if given."""
    command = [*wrapper, sys.executable, "-c", script, str(path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)


def run_child(path: Path, seed: int, budget: str, until: Callable[[int, list[str]], bool]) -> list[str]:
    """Let a real player's loop run until `until(lines so far, line)`, then kill -9; everything it acknowledged."""
    command = [sys.executable, "-c", CHILD, str(path), str(seed), budget]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    ) as child:
        assert child.stdout is not None
        said: list[str] = []
        for text in child.stdout:
            said.append(text.strip())
            if until(len(said), said):
                break
        child.send_signal(signal.SIGKILL)
        said += [text.strip() for text in child.stdout.read().splitlines() if text.strip()]
    return said


def fill(path: Path) -> None:
    """Take all the space there is."""
    with path.open("ab", buffering=0) as stream:
        for block in (1 << 20, 4096):
            try:
                while stream.write(b"x" * block) == block:
                    pass
            except OSError:
                continue
