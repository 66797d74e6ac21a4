"""The command `stationcast calibrate count`: compare an hour counted by hand with what the station counted."""

from datetime import datetime, timedelta
from pathlib import Path

import click

from pipeline.errors import UserError
from pipeline.state import state_dir
from pipeline.streams import machine_output
from players.commands.shared import load_station, station_option, write_text, zone_of
from players.reports import by_hand
from players.statistics.counts import counts_path
from players.statistics.reading import reading_counts


@click.command("count")
@click.argument("file", metavar="FILE.csv", type=click.Path(path_type=Path), required=False)
@station_option
@click.option("--form", is_flag=True, help="Print a form to fill in: an hour, in rows of five minutes.")
@click.option(
    "--begins", type=click.DateTime(["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]), help="When the hour of the form begins."
)
@click.option("--out", type=click.Path(path_type=Path), help="Write the form into a file.")
@click.option("--place", help="Camera or group of cameras where you counted; needed where there are several.")
def count_command(
    file: Path | None,
    station_file: Path | None,
    form: bool,
    begins: datetime | None,
    out: Path | None,
    place: str | None,
) -> None:
    """Find by how much the station's counts are off: somebody counts an hour by hand.

    --form prints the form. FILE.csv is the form filled in: how many people passed, and how many of them looked at the
    screen. The factors are kept, and every report names them.
    """
    station = load_station(station_file)
    zone = zone_of(station)
    if form == bool(file):
        raise UserError("calibrate count: give --form, or the file of a form that is filled in")
    if form:
        now = datetime.now(zone).replace(tzinfo=None, minute=0, second=0, microsecond=0)
        text = by_hand.form(begins or now + timedelta(hours=1))
        if out:
            write_text(out, text)
            click.echo(out)
        else:
            machine_output().write(text)
        return
    assert file
    periods = by_hand.read_form(file, zone)
    with reading_counts(counts_path(station.station, station.folder)) as db:
        found = by_hand.compare(db, periods, place, zone)
    by_hand.keep_count(state_dir(station.station, station.folder), found)
    click.echo(f"{found.basis.place}: {by_hand.in_words(found)}, each with its 95 % interval.")
    click.echo("Reports name it as long as model, screen's place and zone stay as they are.")
