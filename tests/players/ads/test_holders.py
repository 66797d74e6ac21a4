"""Ids and who holds them: no order of files, renames and restarts gives them to somebody else."""

import sys
from types import FrameType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from players.ads import holders as holders_module
from players.ads.campaign_file import CampaignFile
from players.ads.holders import Holder, Holders, settle


def campaign(advertiser: str, name: str = "spring", line: str = "women", creative: str = "latte") -> CampaignFile:
    table = {"id": line, "creatives": [{"id": creative, "file": "a.png"}]}
    return msgspec.convert({"advertiser": advertiser, "campaign": name, "lines": [table]}, CampaignFile)


MOKA = campaign("Moka")
TAKERS = (
    campaign("Evil"),
    campaign("Evil", "own"),
    campaign("Evil", "own", "own"),
    campaign("Evil", "own", creative="own"),
    campaign("Moka ", "own"),
    campaign("MOKA"),
)
"""Campaigns of others that take one id of Moka's or more."""


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("a.toml", "m.toml", "z.toml", "")),
            st.dictionaries(st.sampled_from(("b.toml", "y.toml")), st.sampled_from(TAKERS)),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_whoever_had_an_id_first_keeps_it_over_every_order_of_files_renames_and_restarts(
    steps: list[tuple[str, dict[str, CampaignFile], bool]],
) -> None:
    holders = Holders()
    settled = settle({"m.toml": MOKA}, {}, holders, [], "")
    for moka_file, others, restarts in steps:
        files = others | ({moka_file: MOKA} if moka_file else {})
        problems: list[str] = []
        settled = settle(files, settled, holders, problems, "")
        assert settled == ({moka_file: MOKA} if moka_file else {})
        assert len(problems) == len(others)
        if restarts:
            kept = msgspec.msgpack.encode(holders.by_kind)
            holders = Holders(msgspec.msgpack.decode(kept, type=dict[str, dict[str, Holder]]))
            settled = {}


def test_a_file_that_is_overwritten_with_anothers_campaign_keeps_its_last_good_version() -> None:
    holders, problems = Holders(), list[str]()
    settled = settle({"m.toml": MOKA}, {}, holders, [], "")
    assert settle({"m.toml": campaign("Evil")}, settled, holders, problems, "") == {"m.toml": MOKA}
    assert problems == [
        "m.toml: campaign id 'spring': it is that of Moka, campaign spring; take another id; "
        "its last good version plays on"
    ]


def test_a_line_does_not_move_to_another_campaign_and_begin_its_budget_anew() -> None:
    holders, problems = Holders(), list[str]()
    settled = settle({"m.toml": MOKA}, {}, holders, [], "")
    assert settle({"m.toml": campaign("Moka", "summer")}, settled, holders, problems, "") == {"m.toml": MOKA}
    assert "line id 'women': it is that of Moka, campaign spring" in problems[0]
    assert settle({"m.toml": campaign("Moka", "summer", "women-2")}, settled, holders, [], "")["m.toml"] != MOKA


def test_who_copies_a_file_under_its_advertisers_name_gives_way_when_the_first_is_back() -> None:
    holders = Holders()
    settled = settle({"m.toml": MOKA}, {}, holders, [], "")
    copied = campaign("Moka", creative="other")
    settled = settle({"a.toml": copied}, settled, holders, [], "")
    assert settle({"a.toml": copied, "m.toml": MOKA}, settled, holders, [], "") == {"m.toml": MOKA}


def test_folders_of_groups_hold_no_ids() -> None:
    holders = Holders()
    settle({"/ads/folders": campaign("folders")}, {}, holders, [], "/ads/folders")
    assert settle({"/ads/a.toml": campaign("imported")}, {}, holders, [], "/ads/folders")


def test_a_flood_of_ids_makes_nobody_else_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders_module, "ABSENT_MAX", 300)
    holders = Holders()
    settle({"m.toml": MOKA}, {}, holders, [], "")
    for n in range(500):
        settle({"e.toml": campaign("Evil", f"c{n}", f"l{n}", f"p{n}")}, {}, holders, [], "")
    assert holders.other(TAKERS[0]) is not None
    assert sum(map(len, holders.by_kind.values())) <= 303


@given(st.lists(st.integers(0, 40), max_size=12), st.integers(0, 60))
def test_whoever_has_most_ids_loses_the_oldest_first_and_no_more_than_must_be(counts: list[int], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(holders_module, "ABSENT_MAX", most)
        ids = [
            (f"{number} {n}", Holder(f"A{number}", "c")) for number, count in enumerate(counts) for n in range(count)
        ]
        holders = Holders({"line": dict(ids)})
        holders.forget([])
    left = [sum(name.startswith(f"{number} ") for name in holders.by_kind["line"]) for number in range(len(counts))]
    cut = [after for before, after in zip(counts, left, strict=True) if after < before]
    assert sum(left) <= most
    assert sum(left) == sum(counts) or sum(left) > most - len(counts)
    assert (len(set(cut)) <= 1 and all(after <= max(cut, default=0) for after in left)) or not cut
    for number, (before, after) in enumerate(zip(counts, left, strict=True)):
        assert all(f"{number} {n}" in holders.by_kind["line"] for n in range(before - after, before))


def steps_to_forget(advertisers: int) -> int:
    """Count the lines of code that run while the ids of so many advertisers are forgotten, all but a tenth."""
    holders = Holders({"line": {f"{n}": Holder(f"A{n // 2}", "c") for n in range(2 * advertisers)}})
    count = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        holders.forget([])
    finally:
        sys.settrace(before)
    assert len(holders.by_kind["line"]) <= 100
    return count


def test_to_forget_twice_as_many_ids_takes_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holders_module, "ABSENT_MAX", 100)
    assert steps_to_forget(2000) < 2.5 * steps_to_forget(1000)
