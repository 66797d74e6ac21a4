"""Parts that the commands share: options, loading and printing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from pipeline.errors import UserError
from pipeline.settings import Station, demo_station, load
from players.ads.campaigns import load_catalogue, open_folder
from players.ads.catalogue import Catalogue
from players.ledger.clock import next_day, utc_bound
from players.ledger.paths import state_dir
from players.reports.report import Report, as_csv, as_json, as_table

station_option = click.option(
    "--station", "station_file", type=click.Path(path_type=Path), help="Station file; without it the demo station."
)
ledgers_option = click.option(
    "--ledger", "ledger_files", type=click.Path(path_type=Path), multiple=True,
    help="Ledger file, instead of those of the station; may be repeated.",
)  # fmt: skip
_since = click.option("--since", metavar="DAY", help="From this day or time of the station on, such as 2026-05-01.")
_until = click.option("--until", metavar="DAY", help="Up to and with this day (a time is left out itself).")


def period_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options `--since` and `--until`."""
    return _since(_until(command))


def load_station(station_file: Path | None) -> Station:
    """Return the station of a file, or the demo station."""
    return load(station_file) if station_file else demo_station()


def zone_of(station: Station) -> ZoneInfo:
    """Return the time zone of a station."""
    return ZoneInfo(station.station.timezone)


def load_catalogue_of(station: Station, folder: Path | None, screens: int = 1) -> Catalogue:
    """Return the catalogue of a folder, or that of the station; each of `screens` has its part of the budgets."""
    place = folder or open_folder(station.ads.campaigns, station.folder)
    return load_catalogue(place, zone_of(station), station.ads.default_duration_s, screens=screens)


def ledger_paths(station: Station, ledger_files: tuple[Path, ...]) -> list[Path]:
    """Return the ledgers named, or all those of the station. UserError where there is none."""
    if ledger_files:
        return list(ledger_files)
    found = sorted(state_dir(station.station, station.folder).glob("ledger-*.sqlite"))
    if not found:
        place = state_dir(station.station, station.folder)
        raise UserError(f"{place}: there is no ledger yet; let the station play first, or name one with --ledger")
    return found


def span_of(station: Station, since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """Return a span of time as the ledger writes times: from, and up to but without; None where it is open."""
    zone = zone_of(station)
    first = None if since is None else utc_bound(since, zone)
    stop = None if until is None else utc_bound(next_day(until), zone)
    if first is not None and stop is not None and stop <= first:
        raise UserError(f"--until: {until} is not after --since {since}; swap them")
    return first, stop


def show(made: Report, shape: str) -> None:
    """Print a report as `table`, `csv` or `json`."""
    if shape == "table":
        print_table(as_table(made))
    else:
        click.echo(as_csv(made) if shape == "csv" else as_json(made), nl=shape == "json")


def print_table(table: Table) -> None:
    """Print a table, its text letter by letter as it is; 160 columns wide where it goes into a file or a pipe."""
    width = None if Console().is_terminal else 160
    Console(width=width, markup=False, emoji=False).print(table)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8. UserError where that is not possible."""
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}; name another place") from None
