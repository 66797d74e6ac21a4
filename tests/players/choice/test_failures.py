"""Creatives that failed: who is to blame, and who is not."""

from pathlib import Path

import msgspec

from pipeline.medium import CHANGED
from players.ads.quarantine import Quarantine
from players.choice.failures import Failures
from tests.ads import catalogue, line


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


def test_a_line_whose_media_are_slow_is_not_said_to_have_failed() -> None:
    slow, other = line("slow"), line("other")
    failures = Failures(Quarantine())
    failures.loaded(slow.creatives[0], slow, 4.0)
    seen = catalogue(slow, other)
    assert failures.rest(seen).lines == (other,)
    held = failures.lines_held(seen)
    assert held["slow"].why == "none of its media may play: slow-0: it is slow to load; it waits for 1 min"
    assert held.keys() == {"slow"}
