"""Memory of earlier plays, read from the ledger: what was spent and shown, and totals for the operator."""

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from players.ads.folders import GROUPS
from players.ads.holders import Holder
from players.choice.history import HOUR_NS, History, LastPlay, OrderKey
from players.ledger import clock
from players.ledger.values import read_texts, text_of

ADS_LISTED = 200
"""Largest number of ads that totals list; those played least are summed under OTHER_ADS."""
OTHER_ADS = "(others)"
_PLAYS_A_DAY = 86_400
_DAY_NS = 24 * HOUR_NS


class Totals(Struct):
    """Numbers of plays of one run."""

    total: int = 0
    billable: int = 0
    by_ad: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """Return {"total", "billable", "by_ad": {creative: plays}}."""
        by_ad = dict(self.by_ad.most_common(ADS_LISTED))
        if rest := self.by_ad.total() - sum(by_ad.values()):
            by_ad[OTHER_ADS] = rest
        return {"total": self.total, "billable": self.billable, "by_ad": by_ad}


def first_of_run(db: sqlite3.Connection, run: str, next_seq: int) -> int:
    """Return the number of the first entry of a run, in the caller's transaction; a new run begins with `next_seq`.

    The numbers of the chain tell which plays are of the run, whatever was done to the wall clock meanwhile.
    """
    found = db.execute("SELECT first_seq FROM runs WHERE run = ?", (run,)).fetchone()
    if found is None:
        db.execute("DELETE FROM runs")
        db.execute("INSERT INTO runs VALUES (?, ?)", (run, next_seq))
    return int(found[0]) if found else next_seq


def totals_from(db: sqlite3.Connection, first_seq: int) -> Totals:
    """Count the plays whose start is that entry of the chain or a later one."""
    totals = Totals()
    for creative, plays, billable in db.execute(
        "SELECT creative, COUNT(*), SUM(COALESCE(billable, 0)) FROM plays WHERE started_seq >= ? GROUP BY 1",
        (first_seq,),
    ):
        totals.by_ad[creative] = plays
        totals.total += plays
        totals.billable += billable
    return totals


def read_spend(db: sqlite3.Connection) -> dict[OrderKey, int]:
    """Return the millionths billed to each order."""
    query = "SELECT advertiser, campaign, line, currency, SUM(COALESCE(cost_micro, price_micro)) FROM plays "
    query += "WHERE billable = 1 "
    query += "GROUP BY 1, 2, 3, 4"
    spend: Counter[OrderKey] = Counter()
    name = _campaigns(db)
    for advertiser, campaign, line, currency, micro in db.execute(query).fetchall():
        spend[advertiser, name(campaign), line, currency] += micro
    return dict(spend)


def read_holders(db: sqlite3.Connection) -> Iterator[tuple[str, str, Holder]]:
    """Yield who had each id of a campaign, line or creative as (kind, id, holder), those who played last at the end."""
    name = _campaigns(db)
    query = "SELECT advertiser, campaign, line, creative FROM plays GROUP BY 1, 2, 3, 4 ORDER BY MAX(started_seq)"
    for advertiser, campaign, line, creative in db.execute(query).fetchall():
        if advertiser != GROUPS:
            holder = Holder(advertiser, name(campaign))
            yield from (("campaign", holder.campaign, holder), ("line", line, holder), ("creative", creative, holder))


def _campaigns(db: sqlite3.Connection) -> Callable[[Any], str]:
    """Return a function that tells the name of a campaign as a file keeps it: as text, or as the number of one."""
    texts: dict[int, str] = {}

    def name(value: Any) -> str:
        if isinstance(value, bytes) and not texts:
            texts.update(read_texts(db))
        return str(text_of(value, texts))

    return name


def read_history(db: sqlite3.Connection) -> History:
    """Return money billed by order, starts of the last day on this process's monotonic clock, and the last play.

    Plays of this boot are timed by the monotonic clock: the newest ones, as far back as that clock falls. Earlier ones
    are timed by the wall clock. That may stand before the newest play until it is set; then that play is as if of now.
    """
    history = History()
    history.committed = read_spend(db)
    utc, mono_ns = clock.now(), time.monotonic_ns()
    after_ns, name = mono_ns, _campaigns(db)
    for *key, creative, started, started_ns in db.execute(
        "SELECT advertiser, campaign, line, creative, started_utc, started_mono_ns FROM plays "
        "ORDER BY started_seq DESC LIMIT ?",
        (_PLAYS_A_DAY,),
    ):
        line = key[0], name(key[1]), key[2]
        began = datetime.fromisoformat(started)
        if history.last is None:
            history.last = LastPlay(line, creative)
            utc = max(utc, began)
        after_ns = started_ns if started_ns <= after_ns else 0
        age_ns = mono_ns - after_ns if after_ns else max(0, round((utc - began).total_seconds() * 1e9))
        if age_ns < HOUR_NS or (age_ns < _DAY_NS and line not in history.starts_ns):
            history.starts_ns.setdefault(line, []).append(mono_ns - age_ns)
    for starts in history.starts_ns.values():
        starts.sort()
    return history
