"""The commands `stationcast ledger ...`."""

import json
from pathlib import Path
from typing import Any

import click

from pipeline.errors import UserError
from players.commands.shared import (
    Output,
    ledger_paths,
    ledgers_option,
    load_station,
    output_options,
    period_options,
    span_of,
    station_option,
    write_text,
)
from players.ledger.chain import verify
from players.ledger.damage import accept
from players.ledger.export import read_plays, write_parquet, write_plays
from players.ledger.paths import state_dir
from players.ledger.signing import check_statement, sign
from players.ledger.snapshot import reading


@click.group("ledger")
def ledger() -> None:
    """Prove, export and sign what was played."""


@ledger.command("verify")
@station_option
@ledgers_option
@click.option("--signed", type=click.Path(path_type=Path), help="A statement of `ledger sign` to hold it to.")
def verify_command(station_file: Path | None, ledger_files: tuple[Path, ...], signed: Path | None) -> None:
    """Follow the chain of every ledger; name the first bad row."""
    paths = ledger_paths(load_station(station_file), ledger_files)
    if signed:
        _only(paths)
    for path in paths:
        verdict = verify(path)
        if verdict.problem:
            raise UserError(f"{path}: the chain is broken: {verdict.problem}")
        click.echo(
            f"{path}: sound: {verdict.plays} plays, {verdict.billable} billable, {verdict.entries} entries, "
            f"head {verdict.head}"
        )
        if signed:
            statement = _read_json(signed)
            check_statement(path, statement)
            click.echo(f"{path}: holds what was signed in {signed} by the key {statement['public_key']}")


@ledger.command("export")
@station_option
@ledgers_option
@period_options
@click.option("--campaign", help="Only this campaign's plays.")
@output_options("csv", "jsonl", "parquet", default="csv")
def export_command(
    station_file: Path | None,
    ledger_files: tuple[Path, ...],
    since: str | None,
    until: str | None,
    campaign: str | None,
    output: Output,
) -> None:
    """Write every column of every play."""
    if output.shape == "parquet" and output.out is None:
        raise UserError("parquet is not text; name a file with --out")
    station = load_station(station_file)
    span = span_of(station, since, until)
    with reading(ledger_paths(station, ledger_files)) as db:
        plays = read_plays(db, *span, campaign)
        if output.shape == "parquet" and output.out:
            count = write_parquet(plays, output.out)
        else:
            with output.stream() as stream:
                count = write_plays(plays, output.shape, stream, output.csv)
    if output.out:
        click.echo(f"{output.out}: {count} plays")


@ledger.command("sign")
@station_option
@ledgers_option
@click.option("--key", type=click.Path(path_type=Path), help="Ed25519 key (PEM); made where there is none.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to a file instead of the terminal.")
def sign_command(station_file: Path | None, ledger_files: tuple[Path, ...], key: Path | None, out: Path | None) -> None:
    """Sign what a ledger holds now, for handing over; `ledger verify --signed` holds it to that later."""
    station = load_station(station_file)
    path = _only(ledger_paths(station, ledger_files))
    key_path = key or path.with_name("signing-key.pem")
    is_new = not key_path.exists()
    signed = sign(path, key_path)
    if is_new:
        click.echo(f"made the key {key_path}: back it up; its public half is {signed['public_key']}", err=True)
    statement = json.dumps(signed, indent=2)
    if out:
        write_text(out, statement + "\n")
        click.echo(f"{out}: signed")
    else:
        click.echo(statement)


@ledger.command("accept-loss")
@station_option
def accept_command(station_file: Path | None) -> None:
    """Let paid ads play again after a ledger was damaged; its file stays, what it held is counted no more."""
    station = load_station(station_file)
    folder = state_dir(station.station, station.folder)
    kept = accept(folder)
    if not kept:
        raise UserError(f"{folder}: no ledger was damaged; there is nothing to accept")
    for file in kept:
        click.echo(f"{file}: kept, and counted no more; paid ads play within some seconds")


def _only(paths: list[Path]) -> Path:
    """Return the only path. UserError where there are more: a statement is about one ledger, that of one screen."""
    if len(paths) != 1:
        raise UserError(f"there are {len(paths)} ledgers; name one with --ledger")
    return paths[0]


def _read_json(path: Path) -> dict[str, Any]:
    """Read a statement of `ledger sign`. UserError where it is none."""
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError, OSError, RecursionError):
        raise UserError(f"{path}: not a signed statement; make one with `stationcast ledger sign`") from None
