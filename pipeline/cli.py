"""Command `stationcast`. Commands of other folders are named as strings and imported when they are called.

It is one file, as each command is a few lines around the module that does the work.
"""

import contextlib
import errno
import importlib
import json
import math
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import msgspec
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from pipeline import graph as graphs
from pipeline import streams
from pipeline.cameras import find_webcam, present_problem, validate_source
from pipeline.clean import clean
from pipeline.errors import UserError
from pipeline.operator.drawing import draw, rows
from pipeline.operator.models import check_models, pull_models, warn_of_licence
from pipeline.settings import Station, check, demo_station, load, need_campaigns
from pipeline.system import plain
from pipeline.version import version

if TYPE_CHECKING:
    from pipeline.supervisor import Supervisor

_ELSEWHERE = {
    "bench": "bench.commands:bench",
    "campaigns": "players.commands.campaigns:campaigns",
    "classify": "models.photos:classify",
    "detect": "models.photos:detect",
    "doctor": "pipeline.operator.doctor:doctor",
    "ledger": "players.commands.ledger:ledger",
    "models": "models.commands:models",
    "people": "stages.commands.people:people",
    "report": "players.commands.report:report",
}
"""Commands of other folders, as `module:function`."""
_CALIBRATE = {
    "count": "players.commands.count:count_command",
    "screen": "stages.commands.calibrate:command",
}
"""Commands `stationcast calibrate ...`, as `module:function`."""


class _LazyGroup(click.Group):
    """Group of commands, of which those `elsewhere` are imported only when they are asked for."""

    elsewhere = _ELSEWHERE

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *self.elsewhere])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.elsewhere:
            return super().get_command(ctx, cmd_name)
        module, _, name = self.elsewhere[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


class _CalibrateGroup(_LazyGroup):
    """Group of the commands of `_CALIBRATE`."""

    elsewhere = _CALIBRATE


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(f"stationcast, version {version()}")
        context.exit()


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def cli() -> None:
    """Play the ad that fits the people in front of the screen, and prove it."""


@cli.group(cls=_CalibrateGroup)
def calibrate() -> None:
    """Find where the screen is as seen from a camera, and by how much a station's counts are off."""


@cli.command()
@click.argument("station_file", type=click.Path(path_type=Path), required=False)
@click.option("--duration", "duration_s", type=click.FloatRange(min=0.1), help="Stop after so many seconds.")
@click.option("--headless", is_flag=True, help="No window: keep a screenshot file of what the screen shows.")
@click.option("--fullscreen", is_flag=True, help="Cover the whole display.")
@click.option("--summary", "summary_file", type=click.Path(path_type=Path), help="Write the run's figures as JSON.")
def run(
    station_file: Path | None, duration_s: float | None, headless: bool, fullscreen: bool, summary_file: Path | None
) -> None:
    """Run a station until Ctrl-C; without STATION_FILE the demo."""
    from pipeline.operator.summary import summarise
    from pipeline.operator.terminal import print_summary

    def with_options(station: Station) -> Station:
        screens = tuple(
            msgspec.structs.replace(x, headless=x.headless or headless, fullscreen=x.fullscreen or fullscreen)
            for x in station.screens
        )
        station = msgspec.structs.replace(station, screens=screens)
        check(station)  # again: the options may have two screens cover one display
        return station

    station = with_options(_station(station_file))
    if duration_s is not None and math.isnan(duration_s):
        raise UserError("--duration nan: give seconds, or leave it out to run until Ctrl-C")
    if summary_file is not None:
        _may_write("--summary", summary_file)
    pull_models(station)
    warn_of_licence(station)
    with streams.standard_error(), streams.standard_output() as console:
        supervisor = _run(station, station_file, lambda file: with_options(load(file)), duration_s, console)
        summary = summarise(supervisor.snapshot())
        if summary_file is not None:
            with streams.new_file(summary_file) as stream:
                stream.write(json.dumps(summary, indent=1) + "\n")
        print_summary(console, summary)


def _run(
    station: Station,
    station_file: Path | None,
    read: Callable[[Path], Station],
    duration_s: float | None,
    console: streams.Terminal,
) -> "Supervisor":
    """Run the station, shown live where there is a terminal. Return its supervisor when all has stopped.

    On SIGHUP it follows its changed station file; without a file, or where its terminal has closed, it stops.
    """
    from pipeline.guard import keep_to_itself
    from pipeline.hangup import Reloader
    from pipeline.operator.terminal import View
    from pipeline.supervisor import Supervisor

    keep_to_itself()
    with contextlib.ExitStack() as stack:
        live = None
        if console.file.isatty() and not console.is_dumb_terminal:  # whatever FORCE_COLOR says
            live = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=sys.stderr.isatty())
            stack.enter_context(live)
        stderr = stack.enter_context(streams.log_lines())
        file = str(station_file.absolute()) if station_file else ""
        supervisor = Supervisor(station, stderr=stderr, station_file=file, read=read)
        reloader = stack.enter_context(contextlib.closing(Reloader(supervisor, stderr)))
        handlers = {signal.SIGINT: supervisor.stop, signal.SIGTERM: supervisor.stop, signal.SIGHUP: reloader.hang_up}
        for number, handler in handlers.items():
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # as nohup wants it
                stack.callback(signal.signal, number, signal.signal(number, handler))
        view = View(live)

        def tick(it: "Supervisor") -> None:
            reloader.tick()
            view.tick(it.snapshot)

        supervisor.run(duration_s, tick)
    return supervisor


@cli.command("check")
@click.argument("station_file", type=click.Path(path_type=Path), required=False)
def check_command(station_file: Path | None) -> None:
    """Validate a station file and print its graph; without STATION_FILE the demo's."""
    station = _station(station_file)
    need_campaigns(station_file, station)
    check_models(station_file, station)
    warn_of_licence(station)
    table = Table(title=f"{station.station.name}: mode {station.station.mode}", title_justify="left")
    for name in ("process", "count", "takes", "gives"):
        table.add_column(name)
    for row in rows(graphs.build(station)):
        table.add_row(*row)
    console = streams.Terminal()
    console.print(table)
    for camera in station.cameras if station.station.mode != "off" else ():
        if problem := present_problem(camera, station.folder):
            console.print(f"[b yellow]cameras.{camera.name}[/]: {escape(problem)}", soft_wrap=True)
    if station.choose.minors == "target":
        console.print(
            "[b yellow]choose.minors = 'target'[/]: ads may be aimed at children and teenagers on this station."
        )
    if station.station.mode == "off":
        console.print("mode off: no camera is read; scheduled and house ads play.")


@cli.command()
@click.argument("station_file", type=click.Path(path_type=Path), required=False)
@click.option("--out", type=click.Path(path_type=Path), default=Path("graph.svg"), show_default=True)
def graph(station_file: Path | None, out: Path) -> None:
    """Draw a station's graph (svg, png or pdf, by the file's ending); without STATION_FILE the demo's."""
    if out.suffix not in (".svg", ".png", ".pdf"):
        raise UserError(f"--out {out}: unknown picture format; let the name end in .svg, .png or .pdf")
    _may_write("--out", out)
    draw(graphs.build(_station(station_file)), str(out))
    click.echo(out)


@cli.command()
@click.argument("stage")
@click.argument("workers", type=click.IntRange(1, 32))
@click.option("--station", "name", help="Name of the running station; needed where several run.")
def scale(stage: str, workers: int, name: str | None) -> None:
    """Change how many processes share a STAGE of a running station, such as detect or classify."""
    from pipeline.control import request_scale

    click.echo(request_scale(_running(name), stage, workers))


@cli.command()
@click.argument("name", metavar="STATION", required=False)
@click.option("--json", "as_json", is_flag=True, help="The whole snapshot as one JSON object.")
def status(name: str | None, as_json: bool) -> None:
    """Show the state of a running station; STATION is its name, needed where several run."""
    from pipeline.control import Status, ask
    from pipeline.operator.snapshot import Snapshot
    from pipeline.operator.terminal import render

    answer = ask(_running(name, "STATION"), Status())
    if as_json:
        streams.machine_output().write(f"{clean(answer)}\n")
        return
    console = streams.Terminal()
    console.print(render(msgspec.json.decode(answer, type=Snapshot), width=console.width))


@cli.command()
@click.argument("station_file", type=click.Path(path_type=Path), required=False)
@click.option("--station", "name", help="Name of the running station; needed where several run.")
def reload(station_file: Path | None, name: str | None) -> None:
    """Let a running station follow its changed station file; without STATION_FILE the one that it was started with.

    The file is checked first, as `check` does: a mistake in it changes nothing.
    """
    from pipeline.control import Reload, Status, ask
    from pipeline.operator.snapshot import Snapshot

    if station_file is None:
        name = _running(name)
        followed = msgspec.json.decode(ask(name, Status()), type=Snapshot).station_file
        if not followed:
            raise UserError(f"station {name!r} is the demo, which has no file; stop it and run a station file")
        station_file = Path(followed)
    station = _station(station_file)
    warn_of_licence(station)
    running = _running(name) if name else _running(station.station.name, "station.name")
    need_campaigns(station_file, station)
    check_models(station_file, station)
    pull_models(station)
    click.echo(ask(running, Reload(station_file=str(station_file.absolute()))))


@cli.command()
@click.option("--station", "name", help="Name of the running station; needed where several run.")
@click.option("--count", type=click.IntRange(min=1), help="Stop after so many messages.")
def tap(name: str | None, count: int | None) -> None:
    """Print a running station's messages as JSON lines until it ends, without crops.

    Each message goes to one reader only: several at a time miss what the others print.
    """
    import msgpack

    from pipeline.runtime import runtime_root
    from pipeline.tap import Tap

    left = count
    with Tap(runtime_root() / _running(name)) as messages:
        while left is None or left > 0:
            batch = messages.receive(patience_ms=250)
            if batch is None:
                return
            for data in batch[:left]:
                click.echo(json.dumps(msgpack.unpackb(data), separators=(",", ":")))
            left = None if left is None else left - len(batch)


def _may_write(option: str, path: Path) -> None:
    """Check now, before any work, that the file named by an option can be written. UserError: it cannot."""
    folder = path.resolve().parent
    if not folder.is_dir():
        raise UserError(f"{option} {path}: no folder {folder}; make it first")
    if path.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        raise UserError(f"{option} {path}: cannot be written; name a file of your own")


def _running(name: str | None, said: str = "--station") -> str:
    """Return the running station that is meant, or the only one there is. `said` is the argument that names it."""
    from pipeline.runtime import running_stations, runtime_root

    running = running_stations()
    names = ", ".join(running) or "none"
    if name is not None and name not in running:
        raise UserError(f"{said} {name}: is not running; running in {runtime_root()}: {names}")
    if not running:
        raise UserError(
            f"no station is running in {runtime_root()}; if it was started with another XDG_RUNTIME_DIR, set that"
        )
    if name is None and len(running) > 1:
        raise UserError(f"several stations run: {names}; name one with {said}")
    return name or running[0]


def _station(station_file: Path | None) -> Station:
    """Return the station of a file, or the demo. UserError: a stage of `[workers]` or a source is not there."""
    if station_file is None:
        station = demo_station()
        webcam = find_webcam()
        if webcam is not None:
            first = msgspec.structs.replace(station.cameras[0], source=webcam)
            station = msgspec.structs.replace(station, cameras=(first, *station.cameras[1:]))
        station = msgspec.structs.replace(station, folder=Path.cwd())
        check(station)
        return station
    station = load(station_file)
    try:
        graphs.build(station)
        for camera in station.cameras:
            validate_source(camera, station.folder)
    except UserError as error:
        raise UserError(f"{station_file}: {error}") from None
    return station


def main() -> None:
    """Run the command line. A mistake of the user is one line on stderr and exit code 2.

    Where the reader of the output has gone, as `head` does, the command ends without a word and with 141.
    """
    streams.speak_utf_8()
    with streams.open_streams():
        _main()


def _in_our_words(message: str) -> str:
    """Return what click says of an argument without the words of programmers."""
    for theirs, ours in (
        (
            r"(?:Path|File|Directory) ('.*') is not readable",
            r"\1: this user may not read it; change its rights (chmod)",
        ),
        (r"is not a valid integer(?: range)?", "is no whole number"),
        (r"is not a valid float(?: range)?", "is no number"),
        (r"is not in the range (\S+?)<=x<=(\S+?)\.?$", r"is out of reach; write \1 to \2"),
        (r"is not in the range x>=(\S+?)\.?$", r"is too small; write \1 or more"),
    ):
        message = re.sub(theirs, ours, message)
    return message.rstrip(".")


def _main() -> None:
    stdout = sys.stdout
    try:
        try:
            cli(prog_name="stationcast", standalone_mode=False)
        finally:
            sys.stdout.flush()
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and not isinstance(error, click.exceptions.NoArgsIsHelpError):
            place = error.ctx.command_path if error.ctx else "stationcast"
            error = UserError(f"{_in_our_words(error.format_message())}; see `{place} --help`")
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except SystemExit as ended:
        # Where the reader has gone, rich ends in the one way, and click in the other: with another sys.stdout.
        if isinstance(ended.__context__, BrokenPipeError) or sys.stdout is not stdout:
            _end_unread()
        raise
    except BrokenPipeError:
        _end_unread()
    except RuntimeError:
        if Path(os.path.expanduser("~")).is_absolute():  # noqa: PTH111 (which raises where there is none)
            raise
        UserError("HOME: this account has no home folder; set HOME to the path of a folder of its own").show()
        sys.exit(2)
    except OSError as error:
        if not error.filename:
            if error.errno == errno.ENOENT and not _is_anywhere():
                UserError("the folder that this was started in is gone: change to another one").show()
                sys.exit(2)
            if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO):
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer would fail once more at exit
        UserError(f"{error.filename or 'the output'}: {plain(error)}").show()
        sys.exit(2)


def _is_anywhere() -> bool:
    """Return False if the working folder has been removed."""
    try:
        return Path.cwd().is_absolute()
    except FileNotFoundError:
        return False


def _end_unread() -> NoReturn:
    """End as a command does whose reader has gone; what is left in the buffer goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(128 + signal.SIGPIPE)


if __name__ == "__main__":
    main()
