"""Script that wrote `ledger-v1.sqlite`. It runs with the code of commit 243b5b7, the last that wrote schema 1.

    git worktree add /tmp/v1 243b5b7 && cp ledger_v1.py /tmp/v1/make.py && cd /tmp/v1 && python make.py ledger-v1.sqlite

The ledger lives twice: the first life leaves a play open, which the second ends as aborted; the second leaves
another one open, for today's code to end.
"""

import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.settings import StationTable
from players.ads.catalogue import Target
from players.choice.choose import NOBODY, Decision, Present
from players.ledger.exposure import Exposure, Shown
from players.ledger.ledger import Ledger
from tests.ads import F20, F30, HOUSE, M30, MS, UNKNOWN, decision, line, pick, present

STATION = StationTable(name="stop-7", venue_type="outdoor.bus_shelters", lat=37.5, lon=127, timezone="Asia/Seoul")
WOMEN = line("women", Target(gender="F", ages=((20, 29),)), price=Decimal("0.12"), currency="EUR", advertiser="aurelle")
MEN = line("men", Target(gender="M"), price=Decimal("350"), currency="KRW", advertiser="halden", ads=2)
CROWD = line("crowd", Target(min_watchers=2), cpm=Decimal("9.5"), currency="EUR", advertiser="aurelle")


def play(
    ledger: Ledger, chosen: Decision, who: Present, status: Any = "played", shown: float = 1.0, why: str = ""
) -> None:
    play_id = ledger.start(chosen, planned_ms=8000, model_sha256="ab" * 32)
    assert play_id is not None
    exposure = Exposure(chosen)
    exposure.add(who, 0)
    exposure.add(who, 8000 * MS)
    ledger.end(
        play_id,
        Shown(
            frames_expected=round(480 * (shown if status == "partial" else 1)),
            frames_presented=round(480 * shown),
            status=status,
            stop_reason=why,
            shown_ms=round(8000 * (shown if status == "partial" else 1)),
            exposure=exposure,
        ),
    )


def main(path: Path) -> None:
    first = Ledger(path, STATION, "main")
    for second in range(120):
        first.measure(present(F20, F20, M30, UNKNOWN) if second % 8 < 4 else NOBODY, second * 1000 * MS)
    play(first, pick(present(F20), WOMEN, MEN, HOUSE), present(F20))
    play(first, pick(present(M30), WOMEN, MEN, HOUSE), present(M30))
    play(first, pick(present(F20, F30), CROWD, HOUSE), present(F20, F30, M30))
    play(first, pick(NOBODY, WOMEN, MEN, HOUSE), NOBODY)
    first.start(decision(WOMEN), planned_ms=8000)
    first.close()

    second_life = Ledger(path, STATION, "main")
    play(second_life, decision(WOMEN), present(F20), "partial", 0.9, "the station stopped")
    play(second_life, decision(WOMEN), present(F20), "partial", 0.25, "the station stopped")
    play(second_life, decision(WOMEN), present(M30))
    play(second_life, decision(MEN), present(M30), "failed", 0.0, "torn file")
    play(second_life, decision(MEN), present(M30), "failed", 0.0)
    play(second_life, decision(MEN), present(M30, F20))
    play(second_life, decision(HOUSE), present(UNKNOWN), "partial", 0.5)
    time.sleep(0.01)
    second_life.start(decision(MEN), planned_ms=8000)
    second_life.close()


main(Path(sys.argv[1]))
