"""Small numbers of people are hidden, also from subtraction."""

import itertools
from collections import defaultdict
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from players.audience.present import NOBODY
from players.ledger.clock import utc_bound
from players.ledger.snapshot import reading
from players.reports import queries
from players.reports.privacy import HIDDEN, hide
from tests.ads import BERLIN, F20, HOUSE, M30, present
from tests.players.recording import MOKA, Record, at, crowd


def test_small_numbers_are_hidden_and_one_more_so_that_the_total_does_not_tell(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], crowd())
    with reading([path]) as db:
        made = queries.audience(db, ("hour", "gender"), BERLIN)
    people = {(row["hour"], row["gender"]): row["people"] for row in made.rows}
    assert people[10, "M"] == HIDDEN
    assert people[9, "M"] == HIDDEN
    assert people["total", ""] == 40
    hidden = [row for row in made.rows if row["people"] == HIDDEN]
    assert len(hidden) == 3
    assert all(row["mean_s"] == row["share_pct"] == row["person_hours"] == HIDDEN for row in hidden)


def test_an_audience_under_ten_is_hidden_altogether(record: Record) -> None:
    path = record([(at(4, 12), HOUSE, NOBODY, 1.0)], [(at(4, 9), [present(F20)])] * 9)
    with reading([path]) as db:
        made = queries.audience(db, ("gender",), BERLIN)
    assert {row["people"] for row in made.rows} == {HIDDEN}


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 1)), st.integers(0, 40), max_size=18)
)
def test_no_margin_gives_a_small_number_away(counts: dict[tuple[Any, ...], int]) -> None:
    hidden = hide(counts, 3)
    assert {key for key, number in counts.items() if number < 10} <= hidden
    for margin in itertools.chain.from_iterable(itertools.combinations(range(3), size) for size in range(3)):
        slices: dict[tuple[Any, ...], list[tuple[Any, ...]]] = defaultdict(list)
        for key in counts:
            slices[tuple(key[i] for i in margin)].append(key)
        for keys in slices.values():
            secret = [key for key in keys if key in hidden]
            if secret and len(secret) < len(keys):
                assert len(secret) >= 2
                assert sum(counts[key] for key in secret) >= 10
    if all(number >= 10 for number in counts.values()):
        assert not hidden


def test_few_watchers_of_plays_are_hidden_too(record: Record) -> None:
    her, him = present(F20), present(M30)
    path = record(
        [(at(4, 9, n), HOUSE, her, 1.0) for n in range(12)] + [(at(4, 9 + n), MOKA, him, 1.0) for n in (1, 2)]
    )
    with reading([path]) as db:
        by_line = queries.plays(db, ("line",), BERLIN)
        one_line = queries.plays(db, ("line",), BERLIN, (utc_bound("2026-05-04T10:00", BERLIN), None))
    assert [(row["line"], row["plays"], row["watchers"]) for row in by_line.rows] == [
        ("house", 12, HIDDEN),
        ("moka", 2, HIDDEN),
        ("total", 14, 14),
    ]
    assert {row["watchers"] for row in one_line.rows} == {HIDDEN}
    assert "2 rows are hidden" in by_line.notes[0]
