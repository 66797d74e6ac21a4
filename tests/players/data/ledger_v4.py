"""Script that wrote `ledger-v4.sqlite`. It runs with the code of commit edb795e, the last that wrote schema 4.

    git worktree add /tmp/v4 edb795e && cp ledger_v4.py /tmp/v4/make.py && cd /tmp/v4 && python make.py ledger-v4.sqlite

The last play is left open, for today's code to end.
"""

import shutil
import sys
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.settings import StationTable
from players.ads.lines import Target
from players.audience.present import NOBODY, Present
from players.choice.choose import Decision
from players.ledger.export import read_plays, write_plays
from players.ledger.exposure import Exposure, Shown
from players.ledger.ledger import Ledger
from players.ledger.snapshot import reading
from tests.ads import F20, F30, HOUSE, M30, MS, UNKNOWN, line, person, pick, present

STATION = StationTable(name="stop-7", venue_type="outdoor.bus_shelters", lat=37.5, lon=127, timezone="Asia/Seoul")
WOMEN = line("women", Target(gender="F"), price=Decimal("0.12"), currency="EUR", advertiser="aurelle")
CROWD = line("crowd", Target(min_watchers=2), cpm=Decimal("9.5"), currency="EUR", advertiser="aurelle")
MEN = line("men", Target(gender="M"), price=Decimal("350"), currency="KRW", advertiser="halden")


def play(ledger: Ledger, chosen: Decision, who: Present, shown: float = 1.0, status: Any = "played") -> None:
    play_id = ledger.start(chosen, planned_ms=8000)
    assert play_id is not None
    exposure = Exposure(chosen)
    exposure.add(who, 0)
    exposure.add(who, 8000 * MS)
    frames = round(480 * shown)
    ledger.end(
        play_id,
        Shown(frames_expected=480, frames_presented=frames, status=status, shown_ms=8000, exposure=exposure),
    )


def main(path: Path) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder) / "ledger-main.sqlite"
        ledger = Ledger(place, STATION, "main")
        for second in range(120):
            ledger.measure(present(F20, M30, UNKNOWN) if second % 8 < 4 else NOBODY, second * 1000 * MS)
        looks = present(person(*F20, looking=True, attention_ms=2000, p_minor=0.1))
        for _ in range(3):
            play(ledger, pick(looks, WOMEN, MEN), looks)
        play(ledger, pick(present(M30), WOMEN, MEN), present(M30))
        play(ledger, pick(present(F20, F30), CROWD), present(F20, F30, M30))
        play(ledger, pick(present(F20), WOMEN), present(M30))
        play(ledger, pick(present(F20), WOMEN), present(F20), 0.5, "partial")
        play(ledger, pick(NOBODY, WOMEN, HOUSE), NOBODY)
        assert ledger.start(pick(present(M30), MEN), planned_ms=8000)
        ledger.close()
        shutil.copyfile(place, path)
        with reading([place]) as db, path.with_suffix(".jsonl").open("w") as out:
            write_plays(read_plays(db), "jsonl", out)


main(Path(sys.argv[1]))
