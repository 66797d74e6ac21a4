"""Acceptance by the operator of a ledger that is not what the player left: a loss, a backup, another's file."""

from pathlib import Path

from pipeline.errors import UserError
from players.ledger import damage, outside
from players.ledger.chain import proving
from players.ledger.paths import screen_of


def accept(folder: Path, station: str) -> list[Path]:
    """Let paid plays begin again with what lies in a station's folder; return what is kept and counts no more.

    A damaged ledger is kept as `.lost-<time>`, and so is a mark that a ledger contradicts; another is made for the
    ledger as it is. UserError: a ledger is unsound. OSError: a file cannot be renamed or written.
    """
    ledgers = {*folder.glob("ledger-*.sqlite"), *(mark.with_suffix(".sqlite") for mark in folder.glob("ledger-*.mark"))}
    replaced: list[tuple[Path, outside.Mark | None]] = []
    for path in sorted(ledgers):
        now = None
        if path.exists():
            with proving(path) as (db, verdict):
                if verdict.problem:
                    why = f"the chain is broken: {verdict.problem}"
                    raise UserError(f"{path}: {why}; put back a backup, or move it away")
                if not outside.problem(db, station, screen_of(path)):
                    continue
                now = outside.Mark.of(db)
        replaced.append((path, now))
    kept = damage.accept(folder)  # nothing is accepted where a ledger is unsound
    for path, now in replaced:
        marks = outside.MarkFile(path)
        old = marks.put_away(f"lost-{damage.stamp()}")
        if now:
            marks.write(now, durable=True)
        kept.append(old or path)
    return kept
