"""The commands `campaigns`, `ledger` and `report`."""

import json
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from math import isfinite
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import click
from msgspec import Struct
from rich.console import Console
from rich.table import Table

from pipeline.settings import SettingsError, Station, load
from players.ads.campaign_file import folder_campaign, is_text, listed, parse, to_toml
from players.ads.campaigns import load_catalogue, minor_lines, open_folder
from players.ads.catalogue import WEEKDAYS, Catalogue, Line
from players.ads.money import as_text
from players.choice.choose import Rules
from players.ledger import chain
from players.ledger.ledger import state_dir
from players.reports import openrtb, queries
from players.reports.queries import Report

DEMO_STATION = Path(__file__).parents[2] / "pipeline" / "demo.toml"

_station = click.option(
    "--station", "station_file", type=click.Path(path_type=Path), help="Station file; without it the demo station."
)
_ledgers = click.option(
    "--ledger", "ledger_files", type=click.Path(path_type=Path), multiple=True,
    help="Ledger file, instead of those of the station; may be repeated.",
)  # fmt: skip
_since = click.option("--since", metavar="DAY", help="From this day or time of the station on, such as 2026-05-01.")
_until = click.option("--until", metavar="DAY", help="Up to and with this day (a time is left out itself).")


def _period(command: Callable[..., Any]) -> Callable[..., Any]:
    return _since(_until(command))


class Asked(Struct, frozen=True):
    """What a report is asked of: a station, its ledgers (or those named), a span of time as the ledger writes it."""

    station: Station
    zone: ZoneInfo
    paths: list[Path]
    named: bool
    span: tuple[str | None, str | None]


def _reported(draw: str) -> Callable[[Callable[..., Report]], Callable[..., None]]:
    """Make a command of a function (db, asked, its own options) -> Report; `draw` names its picture in plots.py."""

    def wrap(make: Callable[..., Report]) -> Callable[..., None]:
        @_station
        @_ledgers
        @_period
        @click.option("--format", "shape", type=click.Choice(["table", "csv", "json"]), default="table")
        @click.option("--plot", type=click.Path(path_type=Path), help="Draw it, as a PNG or SVG file.")
        def command(
            station_file: Path | None,
            ledger_files: tuple[Path, ...],
            since: str | None,
            until: str | None,
            shape: str,
            plot: Path | None,
            **own: Any,
        ) -> None:
            station = _load(station_file)
            span = _span(station, since, until)
            asked = Asked(station, _zone(station), _paths(station, ledger_files), bool(ledger_files), span)
            with chain.reading(asked.paths) as db:
                made = make(db, asked, **own)
            _show(made, shape)
            if plot:
                from players.reports import plots

                getattr(plots, draw)(made, plot)

        command.__doc__ = make.__doc__
        return command

    return wrap


@click.group()
def campaigns() -> None:
    """Check, simulate and import what may be shown."""


@campaigns.command("check")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@_station
def check(folder: Path | None, station_file: Path | None) -> None:
    """List the lines of a folder of campaigns (or of a station), and every problem in one line each."""
    station = _load(station_file)
    catalogue = _catalogue(station, folder)
    table = Table(title=f"{len(catalogue.lines)} lines, {len(catalogue.house)} house lines", header_style="bold")
    for name in ("line", "advertiser", "target", "when", "priority", "weight", "price", "budget", "ads"):
        table.add_column(name, justify="right" if name in ("priority", "weight", "ads") else "left")
    for line in (*catalogue.lines, *catalogue.house):
        table.add_row(
            line.id,
            line.advertiser,
            "house" if line.house else line.target.text(),
            _when(line),
            str(line.priority),
            f"{line.weight:g}",
            _price(line),
            "" if line.budget is None else as_text(line.budget, line.currency),
            str(len(line.creatives)),
        )
    _print(table)
    minors = minor_lines(catalogue)
    if station.choose.minors == "target":
        click.echo('choose.minors = "target": ads ARE aimed at children and teenagers here (people under 20).')
    elif minors:
        click.echo(
            f"Not played: {', '.join(minors)}: aimed at people under 20, whom this station only counts; "
            'choose.minors = "target" in the station file would allow it.'
        )
    over = _over(catalogue)
    if over:
        click.echo(f"Not played: {', '.join(over)}: starts, ends and weekdays leave no time from now on.")
    place = folder or open_folder(station.ads.campaigns, station.folder)
    for path in (path for group in listed(place) for path in listed(group) if path.suffix.lower() == ".toml"):
        click.echo(f"Not read: {str(path.relative_to(place))!r}: it lies in a folder of its own; move it up.")
    if not catalogue.house:
        click.echo("There is no house line: where nothing fits, the built-in slate is shown.")
    problems = [*catalogue.problems, *_too_poor(catalogue.lines, len(station.screens))]
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise SettingsError(f"{count}; what is named above is left out")


@campaigns.command("simulate")
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@_station
@click.option("--audience", "audience_file", type=click.Path(path_type=Path), help="JSON lines of at_s and people.")
@click.option(
    "--hours", type=click.FloatRange(0.1, 24 * 31), default=24.0, show_default=True, help="A made-up audience."
)
@click.option("--begin", metavar="TIME", help="Local time to begin at; without it the coming midnight.")
@click.option("--policy", type=click.Choice(["majority", "weighted", "random"]))
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--format", "shape", type=click.Choice(["table", "csv", "json"]), default="table")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it, as a PNG or SVG file.")
def simulate_command(
    folder: Path | None,
    station_file: Path | None,
    audience_file: Path | None,
    hours: float,
    begin: str | None,
    policy: Any,
    seed: int,
    shape: str,
    plot: Path | None,
) -> None:
    """Show what one screen would play to an audience, what it would deliver and earn."""
    from players.choice import simulate
    from players.reports import plots

    if not isfinite(hours):
        raise SettingsError(f"--hours: {hours} is no number of hours; give 0.1 to 744")
    station = _load(station_file)
    zone = _zone(station)
    midnight = datetime.now(zone).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    start = midnight if begin is None else datetime.fromisoformat(chain.utc_bound(begin, zone)).astimezone(zone)
    if not 1970 <= start.year < 9000:
        raise SettingsError(f"--begin: {begin} is out of reach; write such as 2026-05-01 or 2026-05-01T08:00")
    catalogue = _catalogue(station, folder, len(station.screens))
    for problem in catalogue.problems:
        click.echo(f"problem: {problem}", err=True)
    if not (catalogue.lines or catalogue.house):
        raise SettingsError("there is nothing to simulate: no campaign plays")
    scenes = simulate.read_scenes(audience_file) if audience_file else simulate.make_scenes(hours, start, Random(seed))
    rules = Rules(
        policy=policy or station.choose.policy,
        minors=station.choose.minors == "target",
        targeting=station.station.mode == "target",
    )
    simulation = simulate.simulate(catalogue, scenes, start, rules, seed)
    _show(simulate.delivery(simulation), shape)
    if plot:
        plots.plot_simulation(simulation, plot)


@campaigns.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--advertiser", default="imported", show_default=True, help="Whose ads they are.")
@click.option("--force", is_flag=True, help="Write over a campaign file that is there already.")
def import_command(folder: Path, advertiser: str, force: bool) -> None:
    """Write a campaign file for a folder laid out as `20's, F/*.jpg`, beside its pictures."""
    if not 1 <= len(advertiser) <= 200 or not is_text(advertiser):
        raise SettingsError("--advertiser: give a name of 1 to 200 letters, in one line")
    if not folder.is_dir():
        raise SettingsError(f'{folder}: no such folder; name the one that holds folders such as "20\'s, F"')
    problems: list[str] = []
    campaign = folder_campaign(folder, problems, advertiser)
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    if campaign is None:
        raise SettingsError(f'{folder}: no folder in it is named such as "20\'s, F"; nothing to import')
    target = folder / f"{campaign.campaign}.toml"
    if target.exists() and not force:
        raise SettingsError(f"{target}: is there already; remove it, or give --force")
    text = to_toml(campaign)
    _readable(text, target.name)
    _write(target, text)
    ads = sum(len(line.creatives) for line in campaign.lines)
    click.echo(f"{target}: {len(campaign.lines)} lines, {ads} ads")


@click.group("ledger")
def ledger() -> None:
    """Prove, export and sign what was played."""


@ledger.command("verify")
@_station
@_ledgers
@click.option(
    "--signed", type=click.Path(path_type=Path, exists=True), help="A statement of `ledger sign` to hold it to."
)
def verify_command(station_file: Path | None, ledger_files: tuple[Path, ...], signed: Path | None) -> None:
    """Follow the chain of every ledger; name the first bad row."""
    paths = _paths(_load(station_file), ledger_files)
    if signed:
        _only(paths)
    for path in paths:
        verdict = chain.verify(path)
        if verdict.problem:
            raise SettingsError(f"{path}: the chain is broken: {verdict.problem}")
        click.echo(
            f"{path}: sound: {verdict.plays} plays, {verdict.billable} billable, {verdict.links} links, "
            f"head {verdict.head}"
        )
        if signed:
            statement = _read_json(signed)
            chain.check_statement(path, statement)
            click.echo(f"{path}: holds what was signed in {signed} by the key {statement['public_key']}")


@ledger.command("export")
@_station
@_ledgers
@_period
@click.option("--campaign", help="Only this campaign's plays.")
@click.option("--format", "shape", type=click.Choice(["csv", "jsonl", "parquet"]), default="csv", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), help="Write to a file instead of the terminal.")
def export_command(
    station_file: Path | None,
    ledger_files: tuple[Path, ...],
    since: str | None,
    until: str | None,
    campaign: str | None,
    shape: str,
    out: Path | None,
) -> None:
    """Write every column of every play."""
    station = _load(station_file)
    span = _span(station, since, until)
    with chain.reading(_paths(station, ledger_files)) as db:
        plays = chain.rows(db, *span, campaign)
        count = chain.export(plays, shape, out or sys.stdout)
    if out:
        click.echo(f"{out}: {count} plays")


@ledger.command("sign")
@_station
@_ledgers
@click.option("--key", type=click.Path(path_type=Path), help="Ed25519 key (PEM); made where there is none.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to a file instead of the terminal.")
def sign_command(station_file: Path | None, ledger_files: tuple[Path, ...], key: Path | None, out: Path | None) -> None:
    """Sign what a ledger holds now, for handing over; `ledger verify --signed` holds it to that later."""
    station = _load(station_file)
    path = _only(_paths(station, ledger_files))
    key_path = key or path.with_name("signing-key.pem")
    is_new = not key_path.exists()
    signed = chain.sign(path, key_path)
    if is_new:
        click.echo(f"made the key {key_path}: back it up; its public half is {signed['public_key']}", err=True)
    statement = json.dumps(signed, indent=2)
    if out:
        _write(out, statement + "\n")
        click.echo(f"{out}: signed")
    else:
        click.echo(statement)


@click.group()
def report() -> None:
    """Bill advertisers, and show what was played and to whom."""


@report.command("billing")
@_reported("plot_billing")
def billing_command(db: sqlite3.Connection, asked: Asked) -> Report:
    """Contracted against delivered, and invoice lines, exact to the cent."""
    contracts: tuple[Line, ...] = ()
    if not asked.named:
        catalogue = _catalogue(asked.station, None)
        for problem in catalogue.problems:
            click.echo(f"problem: {problem}", err=True)
        contracts = catalogue.lines + catalogue.unplayable
    return queries.billing(db, contracts, asked.span)


@report.command("plays")
@click.option("--by", default="line,creative", show_default=True, help=f"Some of {','.join(queries.PLAYS_BY)}.")
@_reported("plot_plays")
def plays_command(db: sqlite3.Connection, asked: Asked, by: str) -> Report:
    """What was shown, how often, and how much of it."""
    return queries.plays(db, _names(by), asked.zone, asked.span)


@report.command("audience")
@click.option("--by", default="gender,decade", show_default=True, help=f"Some of {','.join(queries.AUDIENCE_BY)}.")
@_reported("plot_audience")
def audience_command(db: sqlite3.Connection, asked: Asked, by: str) -> Report:
    """How many people came, and who; cells under 10 people are hidden."""
    return queries.audience(db, _names(by), asked.zone, asked.span)


@report.command("openrtb")
@_station
@_ledgers
@click.option("--screen", "screen_name", help="Name of the screen; without it the first.")
def openrtb_command(station_file: Path | None, ledger_files: tuple[Path, ...], screen_name: str | None) -> None:
    """Print the `dooh`, `device` and `imp.qty` objects that an OpenRTB 2.6 bid request for a screen needs."""
    station = _load(station_file)
    screen = next((screen for screen in station.screens if screen_name in (None, screen.name)), None)
    if screen is None:
        raise SettingsError(
            f"--screen: no screen {screen_name!r}; there are {', '.join(s.name for s in station.screens)}"
        )
    with chain.reading(_paths(station, ledger_files)) as db:
        objects = openrtb.bid_objects(db, station.station, screen)
    click.echo(json.dumps(objects, indent=2, ensure_ascii=False))


def _load(station_file: Path | None) -> Station:
    return load(station_file or DEMO_STATION)


def _zone(station: Station) -> ZoneInfo:
    return ZoneInfo(station.station.timezone)


def _catalogue(station: Station, folder: Path | None, screens: int = 1) -> Catalogue:
    place = folder or open_folder(station.ads.campaigns, station.folder)
    return load_catalogue(place, _zone(station), station.ads.default_duration_s, screens=screens)


def _paths(station: Station, ledger_files: tuple[Path, ...]) -> list[Path]:
    if ledger_files:
        return list(ledger_files)
    found = sorted(state_dir(station.station, station.folder).glob("ledger-*.sqlite"))
    if not found:
        place = state_dir(station.station, station.folder)
        raise SettingsError(f"{place}: there is no ledger yet; let the station play first, or name one with --ledger")
    return found


def _only(paths: list[Path]) -> Path:
    """The one ledger that a signed statement is about: each screen has its own."""
    if len(paths) != 1:
        raise SettingsError(f"there are {len(paths)} ledgers; name one with --ledger")
    return paths[0]


def _span(station: Station, since: str | None, until: str | None) -> tuple[str | None, str | None]:
    zone = _zone(station)
    first = None if since is None else chain.utc_bound(since, zone)
    stop = None if until is None else chain.utc_bound(chain.next_day(until), zone)
    if first is not None and stop is not None and stop <= first:
        raise SettingsError(f"--until: {until} is not after --since {since}; swap them")
    return first, stop


def _names(by: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in by.split(",") if name.strip())


def _show(made: Report, shape: str) -> None:
    if shape == "table":
        _print(queries.as_table(made))
    else:
        click.echo(queries.as_csv(made) if shape == "csv" else queries.as_json(made), nl=shape == "json")


def _print(table: Table) -> None:
    """To the terminal, letter by letter as it is written; wide where it goes into a file or a pipe."""
    width = None if Console().is_terminal else 160
    Console(width=width, markup=False, emoji=False).print(table)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, OSError, RecursionError):
        raise SettingsError(f"{path}: not a signed statement; make one with `stationcast ledger sign`") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}; name another place") from None


def _readable(text: str, name: str) -> None:
    """SettingsError where a station would refuse the text as a campaign file of that name."""
    with tempfile.TemporaryDirectory(prefix="stationcast-") as folder:
        draft = Path(folder) / name
        _write(draft, text)
        try:
            parse(str(draft), Path(folder))
        except SettingsError as error:
            why = str(error).removesuffix("; correct it")
            raise SettingsError(f"not written, as it would be refused: {why}; import fewer pictures at once") from None


def _too_poor(lines: tuple[Line, ...], screens: int) -> Iterator[str]:
    """Lines that never play: what each screen may spend does not pay one play."""
    for line in lines:
        price = line.play_price(max(1, line.target.min_watchers))
        if line.budget is not None and line.budget / screens < price:
            shared = f", shared by {screens} screens," if screens > 1 else ""
            yield (
                f"line {line.id}: budget: {as_text(line.budget, line.currency)}{shared} does not pay one play at "
                f"{as_text(price, line.currency)}; raise it"
            )


def _over(catalogue: Catalogue) -> list[str]:
    """Ids of the paid lines whose time is over, or that never have any."""
    now = datetime.now(catalogue.zone)
    share = catalogue.arrays.elapsed_share(now.date(), 60 * now.hour + now.minute)
    in_all = catalogue.arrays.elapsed_share(date.max, 0)
    return [
        line.id
        for line, gone, ever in zip(catalogue.lines, share, in_all, strict=True)
        if line.ends not in (None, date.max) and gone == ever
    ]


def _when(line: Line) -> str:
    days = f"{line.starts or ''}..{line.ends or ''}" if line.starts or line.ends else ""
    if len(line.weekdays) < len(WEEKDAYS):
        days = f"{days} {','.join(WEEKDAYS[day] for day in sorted(line.weekdays))}".lstrip()
    hours = ["{:02}:{:02}-{:02}:{:02}".format(*divmod(a, 60), *divmod(b, 60)) for a, b in line.dayparts]
    return " ".join([part for part in (days, *hours) if part and part != "00:00-24:00"]) or "always"


def _price(line: Line) -> str:
    if line.cpm is not None:
        return f"{as_text(line.cpm, line.currency)} cpm"
    return as_text(line.price, line.currency) if line.price else ""
