"""The commands `stationcast report corrected` and `report forecast`, from a station's file of counts."""

from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline.state import state_dir
from players.commands.shared import (
    Output,
    by_option,
    counts_of,
    draw,
    load_station,
    output_options,
    period_options,
    plot_options,
    show,
    span_of,
    station_option,
    zone_of,
)
from players.reports import corrected, forecast


@click.command("corrected")
@station_option
@by_option("gender,decade", corrected.BY)
@period_options
@output_options("table", "csv", "json", default="table")
def corrected_command(
    station_file: Path | None, by: tuple[str, ...], since: str | None, until: str | None, output: Output
) -> None:
    """Show the people by gender and decade as counted, and corrected by the model's errors on held-out faces."""
    station = load_station(station_file)
    state = state_dir(station.station, station.folder)
    with counts_of(station) as db:
        made = corrected.corrected(db, by, zone_of(station), span_of(zone_of(station), since, until), state)
    show(made, output)


@click.command("forecast")
@station_option
@by_option("day,hour", forecast.BY)
@click.option(
    "--days", type=click.IntRange(1, forecast.LONGEST_DAYS), default=7, show_default=True, help="From tomorrow."
)
@output_options("table", "csv", "json", default="table")
@plot_options
def forecast_command(
    station_file: Path | None, by: tuple[str, ...], days: int, output: Output, plot: Path | None, language: str | None
) -> None:
    """Show what the next days will bring, by hour and group, with bounds that hold in 9 of 10 cases."""
    station = load_station(station_file)
    state = state_dir(station.station, station.folder)
    with counts_of(station) as db:
        made = forecast.forecast(db, by, zone_of(station), days, state, datetime.now(UTC))
    show(made, output)
    draw("plot_forecast", made, plot, language, station)
