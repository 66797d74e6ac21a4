"""Ids and who holds them: no order of files, renames and restarts gives them to somebody else."""

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
