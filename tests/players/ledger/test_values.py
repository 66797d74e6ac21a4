"""Values in a file: texts and eligible lines, and the space that a day of plays takes."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.messages import DECADES, Person
from pipeline.settings import Policy
from players.ads.campaigns import DEMO, load_catalogue
from players.ads.catalogue import Catalogue
from players.ads.lines import Target
from players.audience.present import Present, of
from players.choice.choose import Moment, Rules, choose
from players.choice.history import History
from players.ledger.ledger import Ledger
from players.ledger.schema import SCHEMAS, migrate
from players.ledger.shown import Shown
from players.ledger.values import from_file, pack_eligible, read_texts, to_file, unpack_eligible
from tests.ads import S, catalogue, frame, line, tally_of
from tests.players.ledger.plays import STATION, sound, table

PLAYS_A_DAY = 10_800
"""Plays of 8 s in a day."""


@pytest.fixture(scope="module")
def db() -> Iterator[sqlite3.Connection]:
    """A ledger in memory."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db)
    yield db
    db.close()


@given(st.dictionaries(st.text(max_size=9), st.floats(1e-9, 1), max_size=40))
def test_eligible_lines_are_kept_with_their_odds_to_one_in_2048(
    db: sqlite3.Connection, eligible: dict[str, float]
) -> None:
    try:
        rounded, packed = pack_eligible(db, eligible.items())
    except UnicodeEncodeError:
        return  # half of a surrogate pair is no text
    kept = unpack_eligible(packed, read_texts(db))
    assert kept == rounded
    assert {name for name, _ in kept} == {*eligible}
    for name, odds in kept:
        assert odds == pytest.approx(eligible[name], rel=1 / 2048, abs=3e-8)


@pytest.mark.parametrize("name", ["station", "play_id", "reason", "eligible"])
@given(value=st.sampled_from(["", "ab", "AB", "abc", "12 34", "3", "0" * 64, "ä", "\x00"]))
def test_a_text_comes_back_as_it_was(db: sqlite3.Connection, name: str, value: str) -> None:
    schema = SCHEMAS[2]
    kept = to_file(db, schema, name, value)
    db.execute("CREATE TEMP TABLE IF NOT EXISTS one (value TEXT)")
    db.execute("DELETE FROM one")
    db.execute("INSERT INTO one VALUES (?)", (kept,))
    (back,) = db.execute("SELECT value FROM one").fetchone()
    assert from_file(schema, name, back, read_texts(db)) == value


@pytest.mark.parametrize(
    "data", [b"", b"\x92", b"\x92\x91\xcd\x7f\xff\xc4\x02\x00<", b"\x92\x92\x01\x01\xc4\x06\x00<\x00<\x00<"]
)
def test_what_are_no_eligible_lines_is_a_value_error(db: sqlite3.Connection, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"eligible lines|zip\(\)"):
        unpack_eligible(data, read_texts(db))


def face(rng: np.random.Generator, age: float, **more: Any) -> Person:
    """Make a face of somebody of that age, classified as unsteadily as faces are."""
    years = float(np.clip(age + rng.normal(0, 3), 0, 99))
    odds = np.exp(-0.5 * ((np.arange(len(DECADES)) * 10 + 5 - years) / 9) ** 2) + rng.uniform(0, 0.01, 9)
    p_male = float(rng.beta(0.4, 0.4))
    return Person(
        box_px=(0.0, 0.0, 80.0, float(rng.uniform(60, 200))),
        score=0.9,
        gender="M" if p_male > 0.6 else "F" if p_male < 0.4 else "unknown",
        p_male=p_male,
        age_years=years,
        decade=int(odds.argmax()),
        p_decade=tuple((odds / odds.sum()).tolist()),
        **more,
    )


@pytest.fixture(scope="module")
def passers() -> list[Present]:
    """60 audiences: 2.4 people on average, a third of whom look; nobody in a fifth of them."""
    rng = np.random.default_rng(1)
    audiences = []
    for _ in range(60):
        ages = [rng.uniform(3, 80) for _ in range(rng.choice([0, 0, 1, 1, 2, 2, 3, 4, 5, 6]))]
        people = (face(rng, age, looking=bool(rng.random() < 0.3), attention_ms=2000) for age in ages)
        audiences.append(of([frame(10 * S, *people, model_sha256="ab" * 32)], measured=1.0))
    return audiences


def of_200_lines() -> Catalogue:
    """Make a catalogue of 200 lines for 14 kinds of people, of three weights."""
    ages = ((), ((0, 19),), ((20, 29),), ((30, 39),), ((40, 59),), ((60, 120),), ((25, 44),))
    targets = [Target(gender=gender, ages=ages[n]) for gender in ("F", "M") for n in range(len(ages))]
    more = {"price": Decimal("0.12"), "currency": "EUR"}
    return catalogue(
        *(line(f"advertiser-{n}-spring", targets[n % 14], weight=(0.5, 1.0, 2.0)[n % 3], **more) for n in range(200))
    )


@pytest.mark.parametrize(
    ("policy", "lines"),
    [
        ("majority", 12),
        ("weighted", 200),
        *(pytest.param(*more, marks=pytest.mark.slow) for more in (("weighted", 12), ("majority", 200))),
    ],
)
def test_a_day_of_plays_stays_under_10_mb(path: Path, passers: list[Present], policy: Policy, lines: int) -> None:
    """The day is reckoned up from how much the file grows from the 150th play to the 600th."""
    ads = load_catalogue(DEMO, ZoneInfo("UTC"), 8.0) if lines == 12 else of_200_lines()
    rng, rules, sizes = Random(1), Rules(policy=policy), []
    for plays in (150, 450):
        book = Ledger(path, STATION, "main")
        for n in range(plays):
            history, who = History(), rng.choice(passers)
            history.last = book.history.last
            chosen = choose(who, ads, history, Moment(datetime.now(UTC), n * 8 * S), rng, rules)
            assert chosen is not None
            play_id = book.start(chosen, planned_ms=8000)
            assert play_id is not None
            shown = Shown(
                frames_expected=480, frames_presented=479, status="played", shown_ms=8000, tally=tally_of(who)
            )
            book.end(play_id, shown)
        book.close()
        sizes.append(path.stat().st_size)
    assert sound(path).plays == 600
    rows = table(path)
    assert sum(len(row["eligible"]) for row in rows) > 1.3 * 600
    for row in rows:
        assert row["propensity"] <= dict(row["eligible"])[row["line"]] * 1.001
        assert sum(odds for _, odds in row["eligible"]) == pytest.approx(1, rel=0.01)
        assert sum(row["context"]["bins"].values()) == pytest.approx(row["context"]["people"], rel=0.01)
    a_play = (sizes[1] - sizes[0]) / 450
    print(f"\n{lines} lines, {policy}: {a_play:.0f} bytes a play, {a_play * PLAYS_A_DAY / 1e6:.1f} MB a day")
    assert sizes[0] + a_play * PLAYS_A_DAY < 10_000_000
