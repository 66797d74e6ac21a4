"""Sentences on what figures of people rest on: share measured, model, calibration, zone and measure level."""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from players.audience.basis import angles_in_words, by_camera
from players.reports.basis import Basis, Part, card_of
from players.reports.by_hand import HandCount, count_of, in_words

RestsOn = tuple[str, str | None, str | None]
"""Model (sha256), zone and calibration of a play, as its row in the ledger has them."""
LEVEL = "Measure level: opportunities to see (1 s in the zone) and watchers, of faces that were found."
_FIGURES = (("adult_gender_accuracy", "gender from 20"), ("gender_accuracy", "gender"), ("decade_accuracy", "decade"))


def rests_on(parts: dict[Basis, Part], zone: ZoneInfo, state: Path, by_hand: Sequence[HandCount]) -> tuple[str, ...]:
    """Return a sentence for each basis, one for the measure level, and one where a place has several bases."""
    said = []
    for basis, part in parts.items():
        whole_ms = 1000 * (part.last_s - part.first_s)
        days = " to ".join(
            dict.fromkeys(
                f"{datetime.fromtimestamp(at_s, UTC).astimezone(zone):%Y-%m-%d}"
                for at_s in (part.first_s, part.last_s - 1)
            )
        )
        said.append(
            f"{basis.place}, {days}: measured {100 * min(1, part.measured_ms / max(1, whole_ms)):.0f} % of the time; "
            f"{model_in_words(state, basis.model_sha256)}; "
            f"screen at {_of_cameras(basis.angles_deg, angles_in_words)} degrees; "
            f"{_of_cameras(basis.zone_sha256, lambda zone: f'zone {zone}' if zone else 'no zone')}; "
            f"{_by_hand_in_words(by_hand, basis)}."
        )
    places = [basis.place for basis in parts]
    for place in dict.fromkeys(place for place in places if places.count(place) > 1):
        said.append(f"{place}: model, screen's place or zone changed; what was counted before and after is not alike.")
    return (*said, LEVEL) if said else ()


def plays_rest_on(plays: Collection[RestsOn], model_in_words: Callable[[str], str]) -> list[str]:
    """Return a sentence for each model, zone and calibration of plays; `model_in_words` tells of a model."""
    models, zones, angles = (dict.fromkeys(one[i] for one in plays if one[i]) for i in range(3))
    said = [model_in_words(str(sha256)) for sha256 in models]
    return [
        *(f"{model[0].upper()}{model[1:]}." for model in said),
        *(f"People count in: {zone}." for zone in zones),
        *(f"A head within these angles looks: {one}." for one in angles),
    ]


def changed(plays: Collection[RestsOn]) -> list[str]:
    """Return what is not the same for all plays, in words."""
    names = ("model", "zone", "the screen's place")
    return [name for i, name in enumerate(names) if len({one[i] for one in plays if one[i]}) > 1]


def _of_cameras(of_place: str, in_words: Callable[[str], str]) -> str:
    """Return what holds for a place in words, camera by camera where it is not the same for all of its cameras."""
    values = by_camera(of_place, ("",)).items()
    return ", ".join(f"{f'{name}: ' if name else ''}{in_words(value)}" for name, value in values)


def _by_hand_in_words(by_hand: Sequence[HandCount], basis: Basis) -> str:
    if count := count_of(by_hand, basis):
        return in_words(count)
    if any(count.basis.place == basis.place for count in by_hand):
        return "counted by hand only before model, screen's place or zone changed: count again"
    return "never counted by hand"


def model_in_words(state: Path, sha256: str) -> str:
    """Return a model's name, hash and figures, with those of groups of people where its card has them."""
    if not sha256:
        return "no model: nobody was classified"
    card = card_of(state, sha256)
    if not card:
        return f"model {sha256[:12]}, whose card was not kept"
    metrics = card.get("metrics", [])
    by_name = {metric["measure"]: metric for metric in metrics if ", group " not in metric["data"]}
    figures = [f"{words} {by_name[name]['value']:.2f}" for name, words in _FIGURES if name in by_name]
    groups = [
        f"{metric['data'].partition(', group ')[2]} {metric['value']:.2f}"
        for metric in metrics
        if ", group " in metric["data"] and metric["measure"] == "gender_accuracy"
    ]
    by_group = f"; gender by group: {', '.join(groups)}" if groups else ""
    told = f" ({', '.join(figures)} right{by_group})"
    return f"model {card['name']}, {sha256[:12]}{told if figures else ''}"
