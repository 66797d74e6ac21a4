"""The commands `stationcast report corrected` and `report forecast`, from a station's file of counts."""

from datetime import UTC, datetime
from pathlib import Path

import click

from pipeline.state import state_dir
from players.commands.shared import (
    Output,
    load_station,
    output_options,
    period_options,
    show,
    span_of,
    station_option,
    zone_of,
)
from players.reports import forecast, groups
from players.statistics.counts import counts_path
from players.statistics.reading import reading_counts


@click.command("corrected")
@station_option
@click.option("--by", default="gender,decade", show_default=True, help=f"Some of {','.join(groups.BY)}.")
@period_options
@output_options("table", "csv", "json", default="table")
def corrected_command(station_file: Path | None, by: str, since: str | None, until: str | None, output: Output) -> None:
    """Show the people by gender and decade as counted, and corrected by the model's errors on held-out faces."""
    station = load_station(station_file)
    state = state_dir(station.station, station.folder)
    with reading_counts(counts_path(station.station, station.folder)) as db:
        made = groups.groups(db, _names(by), zone_of(station), span_of(station, since, until), state)
    show(made, output)


@click.command("forecast")
@station_option
@click.option("--by", default="day,hour", show_default=True, help=f"Some of {','.join(forecast.BY)}.")
@click.option(
    "--days", type=click.IntRange(1, forecast.LONGEST_DAYS), default=7, show_default=True, help="From tomorrow."
)
@output_options("table", "csv", "json", default="table")
def forecast_command(station_file: Path | None, by: str, days: int, output: Output) -> None:
    """Show what the next days will bring, by hour and group, with bounds that hold in 9 of 10 cases."""
    station = load_station(station_file)
    state = state_dir(station.station, station.folder)
    with reading_counts(counts_path(station.station, station.folder)) as db:
        made = forecast.forecast(db, _names(by), zone_of(station), days, state, datetime.now(UTC))
    show(made, output)


def _names(by: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in by.split(",") if name.strip())
