"""The commands `stationcast campaigns ...`."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import inf, isfinite
from pathlib import Path
from random import Random
from typing import Any

import click
import msgspec
from rich.table import Table

from pipeline.clean import clean, first_unseen
from pipeline.errors import UserError
from pipeline.settings import Policy, Station
from pipeline.streams import json_text
from players.ads.campaign_file import CampaignFile, parse, to_toml
from players.ads.catalogue import Catalogue
from players.ads.folders import folder_campaign
from players.ads.lines import WEEKDAYS, Line
from players.ads.money import as_text
from players.ads.names import alike, foreign_letter, in_words
from players.ads.places import is_text
from players.ads.unused import unused
from players.choice.choose import Rules
from players.choice.held import PASSING, Held
from players.choice.policies import POLICIES
from players.choice.terms import together, unmet_terms
from players.commands.orders import known_spend, money_words, unaffordable
from players.commands.shared import (
    Output,
    ledgers_option,
    load_catalogue_of,
    load_station,
    output_options,
    print_table,
    show,
    station_option,
    write_text,
    zone_of,
)
from players.ledger.clock import utc_bound


@click.group()
def campaigns() -> None:
    """Check, simulate and import what may be shown."""


@campaigns.command("check")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@station_option
@ledgers_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object: lines with their creatives, remarks, problems.")
def check(folder: Path | None, station_file: Path | None, ledger_files: tuple[Path, ...], as_json: bool) -> None:
    """List the lines of a folder of campaigns (or of a station), and every problem in one line each.

    The ledgers of the station, or those named, say what each line has spent.
    """
    station = load_station(station_file)
    catalogue = load_catalogue_of(station, folder)
    held = unmet_terms(catalogue, datetime.now(UTC), _rules(station), people_seen=station.station.mode != "off")
    remarks = list(_remarks(catalogue, station, held))
    problems = [*catalogue.problems, *unaffordable(catalogue.lines, len(station.screens))]
    by_money = []
    for spend in known_spend(station, ledger_files, own=folder is None or station_file is not None):
        if isinstance(spend, UserError):
            problems.append(f"paid lines do not play: {spend}")
            continue
        words = money_words(catalogue, spend, len(station.screens))
        by_money.append(words.held)
        remarks += words.notes
        problems += words.problems
    everywhere = by_money[0].keys() if by_money else ()
    held = together(held, {name: by_money[0][name] for name in everywhere if all(name in one for one in by_money)})
    if as_json:
        unused = [{"file": name, "why": why} for name, why in catalogue.unused]
        lines = [_line_facts(line, held) for line in _all_lines(catalogue)]
        told = {"lines": lines, "remarks": remarks, "unused": unused, "problems": problems}
        click.echo(json_text(told, indent=1))
    else:
        print_table(_lines_table(catalogue, held))
        for remark in remarks:
            click.echo(remark)
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise UserError(f"{count}; what is named above is left out")


def _all_lines(catalogue: Catalogue) -> tuple[Line, ...]:
    return (*catalogue.lines, *catalogue.unplayable, *catalogue.house)


def _rules(station: Station) -> Rules:
    """Return the rules of the choice that a station sets."""
    minors, targeting = station.choose.minors == "target", station.station.mode == "target"
    chosen = station.choose
    return Rules(
        policy=chosen.policy,
        minors=minors,
        targeting=targeting,
        max_priority=chosen.max_priority,
        max_weight=chosen.max_weight or inf,
    )


def _lines_table(catalogue: Catalogue, held: dict[str, Held]) -> Table:
    table = Table(title=f"{len(catalogue.lines)} lines, {len(catalogue.house)} house lines", header_style="bold")
    for name in ("line", "advertiser", "target", "when", "priority", "weight", "price", "budget", "ads", "now"):
        table.add_column(name, justify="right" if name in ("priority", "weight", "ads") else "left")
    for line in _all_lines(catalogue):
        table.add_row(
            line.id,
            line.advertiser,
            _target(line),
            _when(line),
            str(line.priority),
            f"{line.weight:g}",
            _price(line),
            "" if line.budget is None else as_text(line.budget, line.currency),
            str(len(line.creatives)),
            _NOW[held[line.id].kind] if line.id in held else "plays",
        )
    return table


_NOW = {
    "media": "no medium",
    "over": "over",
    "mode": "mode",
    "minors": "minors",
    "future": "later",
    "hours": "closed",
    "overspent": "overspent",
    "spent": "spent",
    "short": "no money",
    "pacing": "paced",
}
"""Word of each reason in the table."""


def _remarks(catalogue: Catalogue, station: Station, held: dict[str, Held]) -> Iterator[str]:
    """Yield a line for whatever does not play or is changed before it plays, though nothing is wrong."""
    if station.choose.minors == "target":
        yield 'choose.minors = "target": ads ARE aimed at children and teenagers here (people under 20).'
    by_reason: dict[Held, list[str]] = {}
    for name, why in held.items():
        by_reason.setdefault(why, []).append(name)
    for reason, names in by_reason.items():
        yield f"{'Not now' if reason.kind in PASSING else 'Not played'}: {', '.join(names)}: {reason.why}."
    for name, words in catalogue.unused:
        yield f"Not used: {clean(name)}: {words}."
    yield from _look_alikes(_all_lines(catalogue))
    if not catalogue.house:
        yield "There is no house line: where nothing fits, the built-in slate is shown."
    for creative in catalogue.creatives:
        if creative.notes:
            yield f"Creative {creative.id}: {'; '.join(creative.notes)}."


def _look_alikes(lines: tuple[Line, ...]) -> Iterator[str]:
    """Yield a line for each name that people may take for one of another advertiser."""
    for name, other in alike(line.advertiser for line in lines):
        yield f"Look-alike: advertiser {in_words(name)} is not {in_words(other)}, and is billed apart."
    for name, other in alike(line.separation for line in lines if line.separation):
        yield f"Look-alike: separation {in_words(name)} is not {in_words(other)}, and keeps nobody apart from it."
    owners = {line.campaign: line.advertiser for line in lines}
    for name, other in alike(owners):
        if owners[name] != owners[other]:
            yield f"Look-alike: campaign {name!r} is of {owners[name]!r}, {other!r} is of {owners[other]!r}."


def _line_facts(line: Line, held: dict[str, Held]) -> dict[str, Any]:
    """Return what `check --json` says of a line: amounts as text, times in ms, sizes in px as seen."""
    return {
        "line": line.id,
        "campaign": line.campaign,
        "advertiser": line.advertiser,
        "house": line.house,
        "target": _target(line),
        "when": _when(line),
        "priority": line.priority,
        "weight": line.weight,
        "currency": line.currency,
        "price": str(line.price),
        "per": line.per,
        "bill_on": line.bill_on,
        "budget": None if line.budget is None else str(line.budget),
        "held": held[line.id].why if line.id in held else "",
        "creatives": [
            {
                "creative": creative.id,
                "file": creative.path.name,
                "kind": creative.kind,
                "codec": creative.codec,
                "width_px": creative.width_px,
                "height_px": creative.height_px,
                "duration_ms": creative.duration_ms,
                "sound": creative.sound,
                "notes": list(creative.notes),
            }
            for creative in line.creatives
        ],
    }


@campaigns.command("simulate")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@station_option
@click.option("--audience", "audience_file", type=click.Path(path_type=Path), help="JSON lines of at_s and people.")
@click.option(
    "--hours", type=click.FloatRange(0.1, 24 * 31), default=24.0, show_default=True, help="A made-up audience."
)
@click.option("--begin", metavar="TIME", help="Local time to begin at; without it the coming midnight.")
@click.option("--policy", type=click.Choice(list(POLICIES)))
@click.option("--seed", type=int, default=0, show_default=True)
@output_options("table", "csv", "json", default="table")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it, as a PNG or SVG file.")
def simulate_command(
    folder: Path | None,
    station_file: Path | None,
    audience_file: Path | None,
    hours: float,
    begin: str | None,
    policy: Policy | None,
    seed: int,
    output: Output,
    plot: Path | None,
) -> None:
    """Show what one screen would play to an audience, what it would deliver and earn."""
    from players.choice import simulate
    from players.reports import plots
    from players.reports.delivery import delivery

    if not isfinite(hours):
        raise UserError(f"--hours: {hours} is no number of hours; give 0.1 to 744")
    station = load_station(station_file)
    zone = zone_of(station)
    begin = begin or (datetime.now(zone).date() + timedelta(days=1)).isoformat()
    start = datetime.fromisoformat(utc_bound(begin, zone)).astimezone(zone)
    if not 1970 <= start.year < 9000:
        raise UserError(f"--begin: {begin} is out of reach; write such as 2026-05-01 or 2026-05-01T08:00")
    crowds = (
        simulate.read_audience(audience_file) if audience_file else simulate.make_audience(hours, start, Random(seed))
    )
    catalogue = load_catalogue_of(station, folder, len(station.screens))
    for problem in catalogue.problems:
        click.echo(f"problem: {problem}", err=True)
    if not (catalogue.lines or catalogue.house):
        raise UserError("there is nothing to simulate: no campaign plays")
    rules = msgspec.structs.replace(_rules(station), policy=policy or station.choose.policy)
    simulation = simulate.simulate(catalogue, crowds, start, rules, seed)
    show(delivery(simulation), output)
    if plot:
        plots.plot_simulation(simulation, plot)


@campaigns.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--advertiser", default="imported", show_default=True, help="Whose ads they are.")
@click.option("--force", is_flag=True, help="Write over a campaign file that is there already.")
def import_command(folder: Path, advertiser: str, force: bool) -> None:
    """Write a campaign file for a folder laid out as `20's, F/*.jpg`, beside its pictures."""
    if not 1 <= len(advertiser) <= 200 or not is_text(advertiser):
        raise UserError("--advertiser: give a name of 1 to 200 letters, in one line")
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder; name the one that holds folders such as "20\'s, F"')
    problems: list[str] = []
    campaign = folder_campaign(folder, problems, advertiser)
    taken = [creative.file for line in campaign.lines for creative in line.creatives] if campaign else []
    problems += [f"{name}: {why}" for name, why in unused(folder, {f"{folder.resolve()}/{file}" for file in taken})]
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    if campaign is None:
        raise UserError(f'{folder}: no folder in it is named such as "20\'s, F"; nothing to import')
    target = folder / f"{campaign.campaign}.toml"
    if target.exists() and not force:
        raise UserError(f"{target}: is there already; remove it, or give --force")
    text = to_toml(campaign)
    _readable(text, target.name, campaign)
    write_text(target, text)
    ads = sum(len(line.creatives) for line in campaign.lines)
    click.echo(f"{target}: {len(campaign.lines)} lines, {ads} ads")


def _readable(text: str, name: str, campaign: CampaignFile) -> None:
    """Raise UserError where a station would refuse the text of a campaign as a file of that name."""
    with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
        draft = Path(folder) / name
        write_text(draft, text)
        try:
            parse(str(draft), Path(folder))
        except UserError as error:
            why = str(error).removesuffix("; correct it").removesuffix("; split the campaign")
            raise UserError(f"not written, as it would be refused: {why}; {_remedy(campaign)}") from None


def _remedy(campaign: CampaignFile) -> str:
    """Return what to do where a campaign of a folder would be refused: for a name in it, else for its size."""
    if _deceives(campaign.advertiser):
        return "name another with --advertiser"
    files = (creative.file for line in campaign.lines for creative in line.creatives)
    odd = next(filter(_deceives, files), None)
    return f"rename {odd!a}" if odd else "import fewer pictures at once"


def _deceives(name: str) -> bool:
    return bool(first_unseen(name) or foreign_letter(name))


def _target(line: Line) -> str:
    return "house" if line.house else line.target.text()


def _when(line: Line) -> str:
    """Return the days and hours of a line in words; `always` without limits."""
    days = f"{line.starts or ''}..{line.ends or ''}" if line.starts or line.ends else ""
    if len(line.weekdays) < len(WEEKDAYS):
        days = f"{days} {','.join(WEEKDAYS[day] for day in sorted(line.weekdays))}".lstrip()
    hours = ["{:02}:{:02}-{:02}:{:02}".format(*divmod(a, 60), *divmod(b, 60)) for a, b in line.dayparts]
    return " ".join([part for part in (days, *hours) if part and part != "00:00-24:00"]) or "always"


def _price(line: Line) -> str:
    """Return the price in words, and for what it is where that is not a play."""
    price = as_text(line.price, line.currency) if line.price else ""
    return price if line.per == "play" else f"{price} per {line.per}"
