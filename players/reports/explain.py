"""One play in plain words: why this ad, who was there and looked, why it was billed or not, and what was not known.

It is raw evidence as an export of the ledger is: numbers of people are exact, and for the operator.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from players.ads.money import as_text
from players.ledger.schema import MEASURED_SINCE
from players.reports.by_hand import HandCount, in_words

_NAMED = 5
"""Largest number of other lines that are named."""
_LEVELS = {
    "viewable/OTS": "people who could see it are billed: level Viewable/OTS of the Media Rating Council (MRC)",
    "watchers": "people who looked are billed: more than level Viewable/OTS of the Media Rating Council (MRC)",
}


def explain(play: dict[str, Any], zone: ZoneInfo, model: str, by_hand: Sequence[HandCount] = ()) -> list[str]:
    """Return lines about a play as `read_plays` gives it.

    `model` is the name of its model, empty if not known; `by_hand` are the counts by hand that hold for the play.
    """
    parts = {
        "Why this ad": _why(play),
        "Who was there": _there(play),
        "Who looked": _looked(play),
        "The bill": _bill(play),
        "What was not known": _unknown(play),
        "What this rests on": _rests_on(play, model, by_hand),
    }
    title = f"Play {play['play_id']}: {play['creative']} of {play['advertiser']}"
    lines = [title, *_shown(play, zone)]
    for heading, sentences in parts.items():
        lines += ["", heading, *(f"- {sentence}" for sentence in sentences)]
    return lines


def _shown(play: dict[str, Any], zone: ZoneInfo) -> Iterator[str]:
    begun = datetime.fromisoformat(play["started_utc"]).astimezone(zone)
    yield f"line {play['line']}, campaign {play['campaign']}; screen {play['screen']} of station {play['station']}"
    when = f"{begun:%Y-%m-%d %H:%M:%S} {zone.key}"
    if play["status"] is None:
        yield f"begun {when}; it has not ended"
    elif play["shown_ms"] is None:
        yield f"begun {when}; {play['status']}: {play['stop_reason']}"
    else:
        why = f": {play['stop_reason']}" if play["stop_reason"] else ""
        shown = f"{play['shown_ms'] / 1000:.1f} of {play['planned_ms'] / 1000:.1f} s"
        frames = f"{play['frames_presented']} of {play['frames_expected']} frames"
        yield f"begun {when}, on for {shown}, {frames} presented; {play['status']}{why}"


def _why(play: dict[str, Any]) -> Iterator[str]:
    yield {
        "target": f"It was aimed at people who were there: {play['target']}.",
        "schedule": "It was due, and is for anyone.",
        "fallback": "It is a house ad: no paid ad fitted.",
    }[play["trigger"]]
    yield f"The rule `{play['policy']}` said: {play['reason']}."
    yield f"This ad was drawn with probability {play['propensity']:.3g}."
    others = sorted((odds, name) for name, odds in play["eligible"] or () if name and name != play["line"])[::-1]
    if others:
        named = ", ".join(f"{name} ({odds:.3g})" for odds, name in others[:_NAMED])
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        yield f"It could have been {named}{more} as well."
    elif play["eligible"] is not None:
        yield "No other line could have been drawn."
    if (context := play["context"]) is not None:
        groups = ", ".join(f"{number:g} {name}" for name, number in context["bins"].items())
        look = f"{sum(context['looking'].values()):g} of them looked"
        people = f"{_people(context['people'])} ({groups}), {look}" if context["people"] else "nobody"
        yield f"When it was chosen, there were {people}."


def _there(play: dict[str, Any]) -> Iterator[str]:
    if play["schema"] < MEASURED_SINCE:
        if play["watchers"] is None:
            yield "The play has no count of it."
        else:
            yield f"At most {_people(play['watchers'])} at once; nobody was followed by the version that wrote it."
    elif not play["measured_share"]:
        yield "It was not measured."
    else:
        yield f"{_people(play['ots_1s'])} for at least 1 s of it (opportunities to see), {play['most_people']} at once."
        yield f"All time that people were there is {_s(play['presence_ms'])}."
        yield f"Of those there for 1 s, the target fits {play['matched_ots']}."


def _looked(play: dict[str, Any]) -> Iterator[str]:
    if play["schema"] < MEASURED_SINCE or not play["measured_share"]:
        yield "It was not measured."
        return
    yield f"{_people(play['watchers_looked'])} looked, {play['watchers_2s']} of them for 2 s on end."
    if play["watchers_looked"]:
        yield f"They were there for {_s(play['dwell_ms'])} and looked for {_s(play['attention_ms'])}."
        yield f"The target fits {play['matched_looked']} of them, who looked for {_s(play['matched_attention_ms'])}."


def _bill(play: dict[str, Any]) -> Iterator[str]:
    if play["bill_reason"] is None:
        yield "It has not ended: it is not billed yet."
        return
    yield f"{play['bill_reason'][0].upper()}{play['bill_reason'][1:]}."
    if play["trigger"] == "fallback":
        return
    rate = play["rate"] if play["price_per"] else play["price"]
    yield f"The price is {as_text(rate, play['currency'])} per {play['price_per'] or 'play'}."
    if play["bill_on"]:
        did = "looked" if play["bill_on"] == "watched" else "were there for 1 s"
        yield f"It is billed only where people of the target {did}, as many as it asks for."
    if play["reserved"] is not None:
        yield f"It reserved {as_text(play['reserved'], play['currency'])} when it began."
    yield f"It costs {as_text(play['cost'], play['currency'])}."


def _unknown(play: dict[str, Any]) -> Iterator[str]:
    """Yield what was not known; faces that look away are never known."""
    yield "Whoever did not face the camera was not found, and is in no number here."
    if play["schema"] < MEASURED_SINCE:
        yield f"The row is of schema {play['schema']}: who looked, and for how much of it cameras told, is not kept."
    elif play["status"] is None:
        yield "The play has not ended: nothing of it is measured yet."
    elif play["status"] == "aborted":
        yield "The play was aborted: nothing of it is measured."
    elif play["measured_share"] is None:
        yield "No camera belongs to the screen."
    elif not play["measured_share"] and not play["frames_presented"]:
        yield "The ad was never on a display that works."
    elif play["measured_share"] < 1:
        yield f"For {100 * (1 - play['measured_share']):.3g} % of it no camera told who was there."
    if play["ots_unknown"]:
        yield f"Of {play['ots_unknown']} of those who were there, gender or age is unknown."
    if play["p_minor_max"] is not None:
        yield f"Whoever is likeliest to be a minor (`classify.minor_years`) is one at {play['p_minor_max']:.0%}."
    if not play["clock_synced"]:
        yield "The machine's clock was not known to be right."


def _rests_on(play: dict[str, Any], model: str, by_hand: Sequence[HandCount]) -> Iterator[str]:
    sha256 = play["model_sha256"]
    yield f"Model: {f'{model}, ' if model else ''}{f'sha256 {sha256}' if sha256 else 'none told when it was chosen'}."
    if play["measured_share"] is not None:
        yield f"Cameras told who was there for {100 * play['measured_share']:.3g} % of the play."
    if play["exposure_zone"]:
        yield f"People count in: {play['exposure_zone']}."
    if play["calibration"]:
        yield f"A head within these angles looks at the screen: {play['calibration']}. The eyes are not judged."
    for count in by_hand:
        yield f"{count.basis.place}: {in_words(count)}. The bill is not corrected by it."
    if play["measure_level"]:
        yield f"Measure level: {_LEVELS[play['measure_level']]}."
    yield f"Written by stationcast {play['app_version']}, schema {play['schema']}; `ledger verify` proves the row."


def _people(number: float) -> str:
    return f"{number:g} {'person' if number == 1 else 'people'}"


def _s(ms: int) -> str:
    return f"{ms / 1000:.1f} s"
