"""Parts that the commands share: options, loading and printing."""

import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Any, Literal, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
from msgspec import Struct
from rich.console import RenderableType

from pipeline.errors import UserError
from pipeline.settings import Station, demo_station, load
from pipeline.state import state_dir
from pipeline.streams import Terminal, is_new_file, machine_output, new_file
from players.ads.campaigns import load_catalogue, open_folder
from players.ads.catalogue import Catalogue
from players.ads.holders import Holders
from players.ads.known import read_known
from players.ledger.clock import next_day, utc_bound
from players.ledger.damage import lost
from players.ledger.spreadsheet import Csv, Separator
from players.reports.queries import written_in
from players.reports.report import Report, as_csv, as_json, as_table, cleaned
from players.statistics.counts import counts_path
from players.statistics.reading import reading_counts

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


def by_option(default: str, names: Sequence[str]) -> Callable[..., Any]:
    """Give a command `--by` as a tuple of dimensions, some of `names`."""

    def split(_context: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
        return tuple(name.strip() for name in value.split(",") if name.strip())

    return click.option("--by", default=default, show_default=True, callback=split, help=f"Some of {','.join(names)}.")


def plot_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--plot` and `--language`; it gets them as `plot` and `language`."""
    plot = click.option("--plot", type=click.Path(path_type=Path), help="Draw it, as a PNG or SVG file.")
    languages = click.Choice(["en", "ko"])
    language = click.option("--language", type=languages, help="Language of the picture; else the first screen's.")
    return plot(language(command))


def load_station(station_file: Path | None) -> Station:
    """Return the station of a file, or the demo station."""
    return load(station_file) if station_file else demo_station()


def zone_of(station: Station) -> ZoneInfo:
    """Return the time zone of a station."""
    return ZoneInfo(station.station.timezone)


def zone_for(station: Station, station_file: Path | None, db: sqlite3.Connection | None) -> ZoneInfo:
    """Return the time zone of what is told of ledgers: the station's, or where no file names it that of all plays."""
    zones = written_in(db) if db and station_file is None else []
    if len(zones) == 1:
        with suppress(ZoneInfoNotFoundError, ValueError):
            return ZoneInfo(zones[0])
    return zone_of(station)


def load_catalogue_of(station: Station, folder: Path | None, screens: int = 1) -> Catalogue:
    """Return the catalogue of a folder, or that of the station; each of `screens` has its part of the budgets."""
    place = folder or open_folder(station.ads.campaigns, station.folder)

    def tell_holders(holders: Holders) -> None:
        for cache in sorted(state_dir(station.station, station.folder).glob("media-*.cache")):
            holders.add(read_known(cache).holders)

    holders = None if folder else tell_holders
    return load_catalogue(place, zone_of(station), station.ads.default_duration_s, screens=screens, holders=holders)


def ledger_paths(station: Station, ledger_files: tuple[Path, ...], *, needed: bool = True) -> list[Path]:
    """Return the ledgers named, or all those of the station. UserError where there is none and one is needed."""
    if ledger_files:
        return list(ledger_files)
    place = state_dir(station.station, station.folder)
    found = sorted(place.glob("ledger-*.sqlite"))
    for file, why in lacking(station):
        if needed and not found and file.suffix == ".sqlite":
            raise UserError(f"{file}: {why}")
        click.echo(f"problem: {file}: {why}", err=True)
    if needed and not found:
        raise UserError(f"{place}: there is no ledger yet; let the station play first, or name one with --ledger")
    return found


def lacking(station: Station) -> list[tuple[Path, str]]:
    """Return the ledgers of a station that no report can read, damaged ones first, and what is the matter with each."""
    place = state_dir(station.station, station.folder)
    found = {*place.glob("ledger-*.sqlite")}
    gone = [path for mark in sorted(place.glob("ledger-*.mark")) if (path := mark.with_suffix(".sqlite")) not in found]
    return [
        *((file, "a damaged ledger; what it held is in no report and no budget") for file in lost(place)),
        *((file, "it is gone; put it back, or say `stationcast ledger accept-loss`") for file in gone),
    ]


@contextmanager
def counts_of(station: Station, *, needed: bool = True) -> Iterator[sqlite3.Connection]:
    """Open a station's counts of people for reading. UserError where it has none and they are needed."""
    path = counts_path(station.station, station.folder)
    if needed and not path.exists():
        raise UserError(f"{path}: nobody was counted yet; let the station run first")
    with reading_counts(path) as db:
        yield db


def own_name(station: Station, ledger_files: tuple[Path, ...]) -> str:
    """Return the name of the station whose ledgers are read; empty where they are `ledger_files`, of whatever one."""
    return "" if ledger_files else station.station.name


def tell_problems(db: sqlite3.Connection) -> tuple[str, ...]:
    """Print what the files beside the ledgers that are read say against them, and return it."""
    problems = tuple(row[0] for row in db.execute("SELECT problem FROM ledgers"))
    for problem in problems:
        click.echo(f"problem: {problem}", err=True)
    return problems


def span_of(zone: ZoneInfo, since: str | None, until: str | None) -> tuple[str | None, str | None]:
    """Return a span of time as the ledger writes times: from, and up to but without; None where it is open."""
    first = None if since is None else utc_bound(since, zone)
    stop = None if until is None else utc_bound(next_day(until), zone)
    if first is not None and stop is not None and stop <= first:
        raise UserError(f"--until: {until} is not after --since {since}; swap them")
    return first, stop


class Output(Struct, frozen=True):
    """Shape, place and form of what a command says; without a place it goes to standard output."""

    shape: str
    out: Path | None
    csv: Csv

    @contextmanager
    def stream(self) -> Iterator[TextIO]:
        """Give the stream to write text to. UserError: the file cannot be written."""
        if self.out is None:
            yield machine_output() if self.shape != "table" else sys.stdout
        else:
            with new_file(self.out) as stream:
                yield stream


def output_options(*shapes: str, default: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command `--format`, `--out` and the options of csv; it gets them as one argument `output`."""

    def wrap(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option("--format", "shape", type=click.Choice(shapes), default=default, show_default=True)
        @click.option("--out", type=click.Path(path_type=Path), help="Write to a file instead of the terminal.")
        @click.option("--separator", type=click.Choice([",", ";", "tab"]), help="Between the columns of csv.")
        @click.option("--decimal", type=click.Choice([".", ","]), help="Decimal sign of csv.")
        @click.option("--mark/--no-mark", default=None, help="Byte order mark of csv; without either, in a file only.")
        @wraps(command)
        def wrapped(
            *arguments: Any,
            shape: str,
            out: Path | None,
            separator: Separator | None,
            decimal: Literal[".", ","] | None,
            mark: bool | None,
            **others: Any,
        ) -> Any:
            for option, value in (("--separator", separator), ("--decimal", decimal), ("--mark", mark)):
                if value is not None and shape != "csv":
                    raise UserError(f"{option}: it is of csv; add --format csv")
            if mark is None:
                mark = out is not None or is_new_file(sys.stdout)
            output = Output(shape, out, Csv(separator or ",", decimal or ".", mark))
            return command(*arguments, output=output, **others)

        return wrapped

    return wrap


def show(made: Report, output: Output) -> None:
    """Print a report as `table`, `csv` or `json`, or write it into a file."""
    made = cleaned(made)
    with output.stream() as stream:
        if output.shape == "table":
            print_table(as_table(made), stream)
        elif output.shape == "csv":
            as_csv(made, stream, output.csv)
        else:
            stream.write(as_json(made) + "\n")
    if output.out:
        click.echo(f"{output.out}: {len(made.parts)} rows")


def draw(name: str, made: Report, plot: Path | None, language: str | None, station: Station) -> None:
    """Draw a report, where a picture is wanted, by a function of players/reports/plots.py."""
    if plot:
        from players.reports import plots

        getattr(plots, name)(made, plot, language or station.screens[0].language)


def print_table(table: RenderableType, stream: TextIO | None = None) -> None:
    """Print a table, its text letter by letter as it is; 160 columns wide where it goes into a file or a pipe."""
    width = None if Terminal(stream).is_terminal else 160
    Terminal(stream, width=width, markup=False, emoji=False).print(table)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8. UserError where that is not possible."""
    with new_file(path) as stream:
        stream.write(text)
