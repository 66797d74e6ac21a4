"""The commands `stationcast ledger ...`."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import click

from pipeline.clean import clean
from pipeline.errors import UserError
from pipeline.medium import content_of
from pipeline.state import state_dir
from pipeline.system import plain
from players.commands.shared import (
    Output,
    ledger_paths,
    ledgers_option,
    load_station,
    output_options,
    own_name,
    period_options,
    span_of,
    station_option,
    tell_problems,
    write_text,
    zone_for,
    zone_of,
)
from players.ledger import outside, statements
from players.ledger.acceptance import accept
from players.ledger.chain import proving
from players.ledger.entries import Identity
from players.ledger.export import clear_people, find_play, read_plays, write_parquet, write_plays
from players.ledger.paths import screen_of
from players.ledger.signing import sign
from players.ledger.snapshot import reading
from players.reports.basis import card_of
from players.reports.by_hand import counts_of_play, kept_counts
from players.reports.explain import explain


@click.group("ledger")
def ledger() -> None:
    """Prove, export and sign what was played."""


@ledger.command("verify")
@station_option
@ledgers_option
@click.option("--signed", type=click.Path(path_type=Path), help="A statement of `ledger sign` to hold it to.")
@click.option("--statements", "kept", type=click.Path(path_type=Path), help="The statements of a key.")
@click.option("--public-key", "public", type=click.Path(path_type=Path), help="Key that must have signed (a file).")
def verify_command(
    station_file: Path | None,
    ledger_files: tuple[Path, ...],
    signed: Path | None,
    kept: Path | None,
    public: Path | None,
) -> None:
    """Follow the chain of every ledger, hold it to what is kept outside it, and name what is wrong first."""
    station = load_station(station_file)
    paths = ledger_paths(station, ledger_files)
    if signed:
        _only(paths)
    if kept and not kept.exists():
        raise UserError(f"{kept}: there are no statements; name the file that lies beside the key")
    known = statements.read_public(public) if public else ""
    for path in paths:
        signed_before = statements.kept(path, kept, known)
        with proving(path) as (db, verdict):
            if verdict.problem:
                raise UserError(f"{path}: the chain is broken: {verdict.problem}")
            click.echo(
                f"{path}: sound: {verdict.plays} plays, {verdict.billable} billable, {verdict.entries} entries, "
                f"head {verdict.head}"
            )
            click.echo(f"{path}: {_identity_words(db)}; no hash covers its counts of the audience")
            strange = outside.problem(db, "" if ledger_files else station.station.name, screen_of(path))
            strange = strange or statements.problem(db, signed_before)
            if strange:
                raise UserError(f"{path}: {strange}")
            if outside.MarkFile(path).read():
                click.echo(f"{path}: goes on from the mark beside it")
            else:
                click.echo(f"{path}: no mark is kept beside it; whether it was rolled back is not known")
            if signed:
                statement = _read_json(signed)
                trusted = known or statements.public_beside(path)
                statements.check_signature(statement, trusted)
                why = statements.holds(db, statement)
                if why:
                    raise UserError(f"{path}: {why}")
                click.echo(f"{path}: holds what was signed in {signed} by the key {statement['public_key']}")
                if not trusted:
                    click.echo(f"{path}: whose key that is was not checked; name the operator's with --public-key")


def _identity_words(db: sqlite3.Connection) -> str:
    """Return which ledger a file says it is."""
    identity = Identity.of(db)
    if identity is None:
        return "without identity, as it was begun before schema 4"
    return f"ledger {identity.ledger} of station {identity.station}, screen {identity.screen}"


@ledger.command("export")
@station_option
@ledgers_option
@period_options
@click.option("--campaign", help="Only this campaign's plays.")
@click.option("--without-people", is_flag=True, help="Leave out how many people were there, and who.")
@output_options("csv", "jsonl", "parquet", default="csv")
def export_command(
    station_file: Path | None,
    ledger_files: tuple[Path, ...],
    since: str | None,
    until: str | None,
    campaign: str | None,
    without_people: bool,
    output: Output,
) -> None:
    """Write every column of every play."""
    if output.shape == "parquet" and output.out is None:
        raise UserError("parquet is not text; name a file with --out")
    station = load_station(station_file)
    span_of(zone_of(station), since, until)  # a mistake is told before anything is read
    with reading(ledger_paths(station, ledger_files), station=own_name(station, ledger_files)) as db:
        tell_problems(db)
        plays = read_plays(db, *span_of(zone_for(station, station_file, db), since, until), campaign)
        if without_people:
            plays = map(clear_people, plays)
        if output.shape == "parquet" and output.out:
            count = write_parquet(plays, output.out)
        else:
            with output.stream() as stream:
                count = write_plays(plays, output.shape, stream, output.csv)
    if output.out:
        click.echo(f"{output.out}: {count} plays")


@ledger.command("explain")
@click.argument("play_id")
@station_option
@ledgers_option
def explain_command(play_id: str, station_file: Path | None, ledger_files: tuple[Path, ...]) -> None:
    """Tell one play in plain words: why this ad, who was there and looked, and why it was billed or not.

    PLAY_ID may be the beginning of the id. Numbers of people are exact, as in `ledger export`.
    """
    station = load_station(station_file)
    with reading(ledger_paths(station, ledger_files), station=own_name(station, ledger_files)) as db:
        tell_problems(db)
        play, zone = find_play(db, play_id.lower()), zone_for(station, station_file, db)
    state = state_dir(station.station, station.folder)
    model = card_of(state, play["model_sha256"]).get("name", "")
    groups = {camera.name: camera.group for camera in station.cameras}
    counts = () if ledger_files else kept_counts(state)
    by_hand = counts_of_play(counts, groups, play["model_sha256"], play["exposure_zone"], play["calibration"])
    click.echo("\n".join(clean(line) for line in explain(play, zone, model, by_hand)))


@ledger.command("sign")
@station_option
@ledgers_option
@click.option("--key", type=click.Path(path_type=Path), help="Ed25519 key (PEM); made where there is none.")
@click.option("--anew", is_flag=True, help="Sign though it does not go on from the last statement, and say so.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to a file instead of the terminal.")
def sign_command(
    station_file: Path | None, ledger_files: tuple[Path, ...], key: Path | None, anew: bool, out: Path | None
) -> None:
    """Sign what a ledger holds now, for handing over; `ledger verify --signed` holds it to that later."""
    station = load_station(station_file)
    path = _only(ledger_paths(station, ledger_files))
    key_path = key or statements.key_beside(path)
    is_new = not key_path.exists()
    try:
        signed = sign(path, key_path, station=own_name(station, ledger_files), screen=screen_of(path), anew=anew)
    finally:
        if is_new and key_path.exists():  # also where it signs nothing yet
            public = statements.public_text(statements.read_key(key_path))
            click.echo(f"made the key {key_path}: back it up; its public half is {public}", err=True)
    statement = json.dumps(signed, indent=2)
    if out:
        write_text(out, statement + "\n")
        click.echo(f"{out}: signed")
    else:
        click.echo(statement)


@ledger.command("accept-loss")
@station_option
def accept_command(station_file: Path | None) -> None:
    """Let paid ads play again after a ledger was damaged, lost or replaced; what is kept aside counts no more."""
    station = load_station(station_file)
    folder = state_dir(station.station, station.folder)
    try:
        kept = accept(folder, station.station.name)
    except OSError as error:
        raise UserError(f"{folder}: {plain(error)}") from None
    if not kept:
        raise UserError(f"{folder}: no ledger was damaged or replaced; there is nothing to accept")
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
        return dict(json.loads(content_of(path)))
    except (ValueError, TypeError, OSError, RecursionError):
        raise UserError(f"{path}: not a signed statement; make one with `stationcast ledger sign`") from None
