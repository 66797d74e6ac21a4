"""`stationcast models index`: labels of a data set."""

from collections import Counter
from pathlib import Path
from typing import Any

import click

from models.cards import ModelError
from models.commands.shared import FILE, FOLDER, echo_left_out, progress_bar, warn_of_leaks
from models.datasets.formats import FORMATS
from models.options import Number


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--format", "data_format", type=click.Choice(FORMATS), required=True)
@click.option("--out", type=FILE, default=Path("labels.csv"), show_default=True, help="The index to write.")
@click.option("--check", is_flag=True, help="Open every image: drop unreadable ones, find one photo under two names.")
@click.option("--studio", is_flag=True, help="AI-Hub: keep the _CAM studio pictures.")
@click.option("--val", type=Number(0, 0.9), default=0.08, show_default=True, help="Share to steer by.")
@click.option("--test", type=Number(0, 0.9), default=0.08, show_default=True, help="Share to report on.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--force", is_flag=True, help="Write a split that leaks; the first line says so.")
def index(
    folder: Path,
    data_format: Any,
    out: Path,
    check: bool,
    studio: bool,
    val: float,
    test: float,
    seed: int,
    force: bool,
) -> None:
    """Write labels.csv for the data set in FOLDER, from names and labels alone; persons and families stay together."""
    from models.datasets.formats import index_folder
    from models.datasets.index import is_index, write_index
    from models.datasets.splits import assign, check_photos, components, leaks

    if val + test > 0.9:
        raise ModelError(f"--val {val:g} and --test {test:g} leave too little to train on; give less than .9 together")
    if not out.parent.is_dir():
        raise ModelError(f"--out {out}: there is no folder {out.parent}")
    if out.is_file() and not is_index(out):
        raise ModelError(f"--out {out}: is a table of yours, no index written before; give another --out")
    rows, left_out = index_folder(folder, data_format, studio, out)
    duplicates: list[tuple[int, int]] = []
    if check:
        with progress_bar("opening photos") as progress:
            rows, duplicates = check_photos(folder, rows, left_out, progress)
    given = any(row.split == "test" for row in rows)  # then the rest is to train and to steer
    rows = assign(rows, components(rows, duplicates), val, 0.0 if given else test, seed)
    leaking = leaks(rows)
    if leaking and not force:
        raise ModelError(f"{folder}: its split leaks in {len(leaking)} cases: {leaking[0]}; give --force to write it")
    write_index(rows, out)
    counts = Counter(row.split for row in rows)
    persons = len({(row.data, row.person) for row in rows if row.person})
    warn_of_leaks(leaking)
    said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    click.echo(f"{out}: {len(rows)} photos ({said}), {persons} known persons, {len(duplicates)} pairs of one photo")
    echo_left_out(left_out)
