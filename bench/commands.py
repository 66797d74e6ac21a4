"""The command `stationcast bench`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bench import report
from bench.findings import Plan, Result
from bench.harness import run_benchmark
from bench.questions import LONG, QUESTIONS
from models.options import Number
from pipeline.errors import UserError
from pipeline.streams import Terminal

DEFAULT = tuple(what for what in QUESTIONS if what not in LONG)


@click.command()
@click.argument("what", nargs=-1, type=click.Choice(tuple(QUESTIONS)))
@click.option("--quick", is_flag=True, help="Two minutes in all instead of most of an hour; wider spreads.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON, Markdown and plots there.")
@click.option(
    "--compare",
    "old",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Earlier results to compare.",
)
@click.option("--threshold", type=Number(min=1), default=1.25, show_default=True, help="A worse ratio fails.")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="Put all results of --out on this page.")
@click.option("--soak-s", type=Number(min=1), help="How long `soak` runs; 600 s if not given.")
@click.option("--tiny", is_flag=True, hidden=True, help="For tests: everything runs, no figure means anything.")
def bench(
    what: tuple[str, ...],
    quick: bool,
    out: Path | None,
    old: Path | None,
    threshold: float,
    page: Path | None,
    soak_s: float | None,
    tiny: bool,
) -> None:
    """Measure WHAT (all but `screen` and `soak` if nothing is named) on this machine."""
    plan = Plan(size="tiny" if tiny else "quick" if quick else "full", soak_s=soak_s)
    what = what or DEFAULT
    before = report.load(old) if old else []  # now: --out may be the same folder
    if old and not {result.what for result in before} & set(what):
        raise UserError(f"--compare {old}: there are no results of {', '.join(what)}")
    if page is not None and (out is None or not page.resolve().parent.is_dir()):
        raise UserError(f"--page {page}: needs --out, whose results it shows, and a folder that is there")
    console = Terminal()
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        report.load(out)
    with _ended_in_order():
        results, failed = run_all(what, plan, console, out)
    for result in results:
        report.show(result, console)
    if out is not None:
        console.print(f"written to {out}")
        if page is not None:
            report.fill_page(page, out)
    worse = report.show_comparison(before, results, threshold, console) if old else 0
    raise SystemExit(1 if worse or failed else 0)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Unwind on SIGTERM and SIGHUP as on Ctrl-C: processes are stopped, folders are removed."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, lambda number, _: sys.exit(128 + number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_all(what: tuple[str, ...], plan: Plan, console: Terminal, out: Path | None) -> tuple[list[Result], int]:
    """Run benchmarks in turn and write each as it comes. Return the results and the number that could not run."""
    results: list[Result] = []
    failed = 0

    def keep(result: Result) -> None:
        if out is not None:
            report.write(result, out)

    columns = (
        SpinnerColumn(),
        TextColumn("[b]{task.fields[name]}[/]"),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Terminal(stderr=True)) as progress:
        for name in what:
            task = progress.add_task("starting", name=name, total=1)

            def say(text: str, task: object = task) -> None:
                progress.update(task, description=text)  # type: ignore[arg-type]

            try:
                result = run_benchmark(name, plan, say, keep)
            except UserError as error:
                failed += 1
                progress.update(task, description="could not run", completed=1)
                console.print(f"[red]{escape(str(error))}[/]", highlight=False)
                continue
            results.append(result)
            progress.update(task, description=f"done in {result.took_s:.0f} s", completed=1)
    return results, failed
