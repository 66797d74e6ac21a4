"""Creatives that failed: who is to blame, and who is not."""

from pathlib import Path

import msgspec

from pipeline.medium import CHANGED
from players.ads.quarantine import Quarantine
from players.choice.failures import Failures
from tests.ads import line


def test_who_changes_his_copy_of_a_rivals_film_while_it_is_on_puts_no_film_of_the_rival_away(tmp_path: Path) -> None:
    path = tmp_path / "copy.mp4"
    path.write_bytes(b"changed")
    shown = line("evil", advertiser="Evil")
    copy = msgspec.structs.replace(shown.creatives[0], path=path)
    quarantine = Quarantine()
    Failures(quarantine).fail(copy, shown, f"MediumError: {CHANGED}", shown=True)
    assert not quarantine.held([(copy.sha256, "Moka"), (copy.sha256, "Evil")])
    Failures(quarantine).fail(copy, shown, "it broke", shown=True)
    assert quarantine.held([(copy.sha256, "Evil")])
