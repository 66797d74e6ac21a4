"""The commands `stationcast report ...`."""

import sqlite3
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click
from msgspec import Struct, structs

from pipeline.errors import UserError
from pipeline.operator.models import research_models
from pipeline.settings import Station
from pipeline.state import state_dir
from pipeline.streams import json_text, machine_output
from players.ads.lines import Line
from players.commands.people import corrected_command, forecast_command
from players.commands.shared import (
    Output,
    by_option,
    counts_of,
    draw,
    lacking,
    ledger_paths,
    ledgers_option,
    load_catalogue_of,
    load_station,
    output_options,
    own_name,
    period_options,
    plot_options,
    show,
    span_of,
    station_option,
    tell_problems,
    zone_for,
    zone_of,
)
from players.ledger.snapshot import reading
from players.reports import openrtb, queries
from players.reports.audience import AUDIENCE_BY, audience
from players.reports.basis import card_of, parts_of, span_s
from players.reports.by_hand import HandCount, counts_of_play, kept_counts
from players.reports.invoice_basis import InvoiceBasis
from players.reports.report import Report
from players.reports.rests_on import model_in_words, rests_on


class ReportRequest(Struct, frozen=True):
    """Request of a report: a station, whether its ledgers were `named`, and a span of time as the ledger writes it."""

    station: Station
    zone: ZoneInfo
    named: bool
    span: tuple[str | None, str | None]


def _reported(picture: str, *, needs_ledger: bool = True) -> Callable[[Callable[..., Report]], Callable[..., None]]:
    """Make a command of a function (db, request, its own options) -> Report; `picture` names its function of plots.py.

    Where there is no ledger, and none is needed, db is None.
    """

    def wrap(make: Callable[..., Report]) -> Callable[..., None]:
        @station_option
        @ledgers_option
        @period_options
        @output_options("table", "csv", "json", default="table")
        @plot_options
        def command(
            station_file: Path | None,
            ledger_files: tuple[Path, ...],
            since: str | None,
            until: str | None,
            output: Output,
            plot: Path | None,
            language: str | None,
            **own: Any,
        ) -> None:
            station = load_station(station_file)
            span_of(zone_of(station), since, until)  # a mistake is told before anything is read
            paths = ledger_paths(station, ledger_files, needed=needs_ledger)
            with reading(paths, station=own_name(station, ledger_files)) if paths else nullcontext() as db:
                problems = tell_problems(db) if db else ()
                zone = zone_for(station, station_file, db)
                request = ReportRequest(station, zone, bool(ledger_files), span_of(zone, since, until))
                made = make(db, request, **own)
            absent = [f"{file.name}: {why}" for file, why in ([] if ledger_files else lacking(station))]
            made = structs.replace(made, notes=(*made.notes, *problems, *absent))
            show(made, output)
            draw(picture, made, plot, language, station)

        command.__doc__ = make.__doc__
        return command

    return wrap


@click.group()
def report() -> None:
    """Bill advertisers, and show what was played and to whom."""


@report.command("billing")
@_reported("plot_billing")
def billing_command(db: sqlite3.Connection, request: ReportRequest) -> Report:
    """Compare contracted with delivered, with invoice lines exact to the cent."""
    contracts: tuple[Line, ...] = ()
    by_hand: tuple[HandCount, ...] = ()
    state = state_dir(request.station.station, request.station.folder)
    if not request.named:
        by_hand = kept_counts(state)
        catalogue = load_catalogue_of(request.station, None)
        for problem in catalogue.problems:
            click.echo(f"problem: {problem}", err=True)
        contracts = catalogue.lines + catalogue.unplayable
    groups = {camera.name: camera.group for camera in request.station.cameras}
    basis = InvoiceBasis(partial(model_in_words, state), lambda rests_on: counts_of_play(by_hand, groups, *rests_on))
    made = queries.billing(db, contracts, request.span, request.zone, basis)
    return structs.replace(made, notes=(*made.notes, *_licence_notes(db, request.span, state)))


def _licence_notes(db: sqlite3.Connection, span: tuple[str | None, str | None], state: Path) -> list[str]:
    """Return a note for each model that aimed plays which are billed here, and that no business may use.

    A card says so that the station kept, or that of a built-in model.
    """
    billed = queries.billed_by_model(db, span)
    names = research_models() if billed else {}
    kept = {sha256: card_of(state, sha256) for sha256 in billed}
    names |= {sha256: str(card["name"]) for sha256, card in kept.items() if card.get("research_only")}
    return [
        f"{plays} of the billed plays were aimed by {names[sha256]}, which is for research only: do not bill them"
        for sha256, plays in billed.items()
        if sha256 in names
    ]


@report.command("plays")
@by_option("line,creative", queries.PLAYS_BY)
@_reported("plot_plays")
def plays_command(db: sqlite3.Connection, request: ReportRequest, by: tuple[str, ...]) -> Report:
    """Show what was played, how often, and how much of it."""
    state = state_dir(request.station.station, request.station.folder)
    return queries.plays(db, by, request.zone, request.span, partial(model_in_words, state))


@report.command("audience")
@by_option("gender,decade", AUDIENCE_BY)
@_reported("plot_audience", needs_ledger=False)
def audience_command(db: sqlite3.Connection | None, request: ReportRequest, by: tuple[str, ...]) -> Report:
    """Count who came, who could see and who looked, and how long; rows of fewer than 10 people are not listed."""
    if request.named:
        return audience(db, by, request.zone, request.span)
    state = state_dir(request.station.station, request.station.folder)
    with counts_of(request.station, needed=db is None) as counts:
        made = audience(db, by, request.zone, request.span, counts)
        rests = rests_on(parts_of(counts, span_s(request.span)), request.zone, state, kept_counts(state))
    return structs.replace(made, notes=(*made.notes, *rests))


@report.command("openrtb")
@station_option
@ledgers_option
@click.option("--screen", "screen_name", help="Name of the screen; without it the first.")
def openrtb_command(station_file: Path | None, ledger_files: tuple[Path, ...], screen_name: str | None) -> None:
    """Print the `dooh`, `device` and `imp.qty` objects that an OpenRTB 2.6 bid request for a screen needs."""
    station = load_station(station_file)
    screen = next((screen for screen in station.screens if screen_name in (None, screen.name)), None)
    if screen is None:
        raise UserError(f"--screen: no screen {screen_name!r}; there are {', '.join(s.name for s in station.screens)}")
    with reading(ledger_paths(station, ledger_files), station=own_name(station, ledger_files)) as db:
        tell_problems(db)
        objects = openrtb.bid_objects(db, station.station, screen)
    machine_output().write(json_text(objects, indent=2) + "\n")


report.add_command(corrected_command)
report.add_command(forecast_command)
