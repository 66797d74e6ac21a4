"""Reports of results: JSON, tables, Markdown, plots, and comparisons with older results."""

import math
import os
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.markup import escape
from rich.table import Table as RichTable

from bench.findings import Curve, Goal, Measure, Result
from pipeline.errors import UserError
from pipeline.streams import Terminal

FIGURES = "<!-- figures -->"


class Change(Struct, frozen=True, kw_only=True):
    """Measure then and now. `worse` is a ratio: above 1 it is worse now, below 1 better."""

    name: str
    then: Measure
    now: Measure
    worse: float

    def regressed(self, threshold: float) -> bool:
        """Return whether it is worse by more than the threshold and by more than both spreads explain."""
        apart = abs(self.now.median - self.then.median) > self.now.spread + self.then.spread
        return self.worse > threshold and apart


def compare(old: list[Result], new: list[Result]) -> list[Change]:
    """Return the changes of all measures that both have and that have a better direction, worst first."""
    then = {(result.what, measure.name): measure for result in old for measure in result.findings.measures}
    changes = [
        Change(name=f"{result.what}: {now.name}", then=before, now=now, worse=_worse(before, now))
        for result in new
        for now in result.findings.measures
        if now.better != "neither" and (before := then.get((result.what, now.name))) and before.unit == now.unit
    ]
    return sorted(changes, key=lambda change: -change.worse)


def _worse(then: Measure, now: Measure) -> float:
    good, bad = (now.median, then.median) if now.better == "higher" else (then.median, now.median)
    if good == bad:
        return 1.0
    if min(good, bad) > 0:
        return bad / good
    return math.inf if bad > good else 0.0


def unlike(old: list[Result], new: list[Result]) -> list[str]:
    """Return a line for each thing that a comparison cannot show: other machines or sizes, measures now gone."""
    then, compared = {result.what: result for result in old}, {change.name for change in compare(old, new)}
    lines = []
    for result in new:
        before = then.get(result.what)
        if before is None:
            lines.append(f"{result.what}: there are no older results")
            continue
        if any(before.machine.get(key) != result.machine.get(key) for key in ("processor", "cores", "gpu")):
            lines.append(f"{result.what}: another machine then: {where(before)}")
        if before.size != result.size:
            lines.append(f"{result.what}: a {before.size} run then, a {result.size} one now")
        measures = [x.name for x in before.findings.measures if x.better != "neither"]
        gone = [name for name in measures if f"{result.what}: {name}" not in compared]
        if gone:
            lines.append(f"{result.what}: measured then, not now: {len(gone)} of {len(measures)}, such as {gone[0]}")
    return lines


def load(folder: Path) -> list[Result]:
    """Return all results of a folder. UserError: a JSON file in it is not a result."""
    results = []
    for path in sorted(folder.glob("*.json")):
        try:
            results.append(msgspec.json.decode(path.read_bytes(), type=Result))
        except msgspec.DecodeError as error:
            raise UserError(f"{path}: not a result of `stationcast bench`: {error}") from error
    return results


def number(value: float) -> str:
    """Return a figure for people: three significant digits, no decimals from 100 on."""
    if not math.isfinite(value):
        return str(value)
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(digits, 6)}f}"


def figure(measure: Measure) -> str:
    """Return the median of a measure, and its spread where there is one."""
    return f"{number(measure.median)} +- {spread(measure)}".removesuffix(" +- -")


def spread(measure: Measure) -> str:
    """Return half the range of a measure, or `-` where it was measured only once."""
    return number(measure.spread) if len(measure.values) > 1 else "-"


def show(result: Result, console: Terminal) -> None:
    """Print a result's tables and goals."""
    console.print(f"\n[b]{result.what}[/], {result.took_s:.0f} s: {result.command}", highlight=False)
    if result.busy_elsewhere > 0.5:
        busy = f"other programs used {result.busy_elsewhere} cores meanwhile; measure again when they rest"
        console.print(f"[yellow]{busy}[/]", highlight=False)
    table = RichTable()
    for column in ("what", "median", "+-", "unit"):
        table.add_column(column, justify="right" if column in ("median", "+-") else "left")
    listed = [measure for measure in result.findings.measures if measure.listed]
    for measure in listed:
        table.add_row(measure.name, number(measure.median), spread(measure), measure.unit)
    if listed:
        console.print(table)
    for extra in result.findings.tables:
        shown = RichTable(title=extra.title, title_justify="left")
        for column in extra.columns:
            shown.add_column(column)
        for row in extra.rows:
            shown.add_row(*row)
        console.print(shown)
    for goal in result.findings.goals:
        mark = "[green]met[/]" if goal.met else "[red]missed[/]"
        console.print(f"{mark} {goal.text}: {number(goal.value)} ({_limit(goal)})")
    for note in result.findings.notes:
        console.print(f"[dim]{escape(note)}[/]", highlight=False)


def _limit(goal: Goal) -> str:
    return f"{'>=' if goal.at_least else '<='} {number(goal.limit)}"


def show_comparison(old: list[Result], new: list[Result], threshold: float, console: Terminal) -> int:
    """Print the changes. Return the number of measures that regressed past the threshold."""
    changes = compare(old, new)
    table = RichTable(title="beside the older results (over 1: worse)", title_justify="left")
    for column in ("what", "then", "now", "unit", "times worse", ""):
        table.add_column(column)
    for change in changes:
        mark = "[red]regressed[/]" if change.regressed(threshold) else ""
        then, now = number(change.then.median), number(change.now.median)
        table.add_row(change.name, then, now, change.now.unit, f"{change.worse:.2f}", mark)
    console.print(table)
    for line in unlike(old, new):
        console.print(line, markup=False, highlight=False)
    return sum(change.regressed(threshold) for change in changes)


def write(result: Result, folder: Path) -> None:
    """Write WHAT.json, WHAT.md and a PNG for each curve."""
    (folder / f"{result.what}.json").write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n")
    for name, curve in _pictures(result).items():
        plot(curve, folder / name)
    (folder / f"{result.what}.md").write_text(markdown(result))


def fill_page(page: Path, folder: Path) -> None:
    """Replace all text after the line FIGURES of a Markdown page by the results of a folder, goals first."""
    results = load(folder)
    where_from = Path(os.path.relpath(folder, page.parent))
    lines = ["## Goals", "", "| benchmark | goal | limit | measured | |", "|---|---|---|---|---|"]
    lines += [f"| {x.what} {_row(goal)}" for x in results for goal in x.findings.goals]
    text = page.read_text() if page.exists() else f"# Performance\n\n{FIGURES}\n"
    kept = text.partition(FIGURES)[0] + FIGURES
    sections = [markdown(result, f"{where_from.as_posix()}/") for result in results]
    page.write_text("\n".join([kept, "", *lines, "", *sections]).rstrip() + "\n")


def _pictures(result: Result) -> dict[str, Curve]:
    """Return the curves by the name of their file."""
    curves = result.findings.curves
    numbered = {f"{result.what}-{i}.png": curve for i, curve in enumerate(curves, 1)}
    return numbered if len(curves) > 1 else {f"{result.what}.png": curve for curve in curves}


def _row(goal: Goal) -> str:
    return f"| {goal.text} | {_limit(goal)} | {number(goal.value)} | {'met' if goal.met else '**missed**'} |"


def markdown(result: Result, folder: str = "") -> str:
    """Return the result as Markdown; its pictures lie in `folder`, which ends with a slash."""
    lines = [
        f"## {result.what}",
        "",
        f"`{result.command}`, {result.started}, {result.took_s:.0f} s; {where(result)}",
        "",
    ]
    findings = result.findings
    if findings.goals:
        lines += ["| goal | limit | measured | |", "|---|---|---|---|"]
        lines += [_row(goal) for goal in findings.goals]
        lines.append("")
    for table in findings.tables:
        lines += [f"**{table.title}**", "", "| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows] + [""]
    listed = [measure for measure in findings.measures if measure.listed]
    if listed:
        lines += ["| what | median | +- | unit |", "|---|---:|---:|---|"]
        lines += [f"| {m.name} | {number(m.median)} | {spread(m)} | {m.unit} |" for m in listed] + [""]
    for name, curve in _pictures(result).items():
        lines += [f"![{curve.title}]({folder}{name})", ""]
    lines += [f"{note}\n" for note in findings.notes]
    return "\n".join(lines)


def where(result: Result) -> str:
    """Return one line on the machine and how busy it was."""
    m = result.machine
    gpu = "" if m["gpu"] == "none" else f", {m['gpu']}"
    return (
        f"{m['cores']} x {m['processor']}{gpu}, Python {m['python']}; other programs used {result.busy_elsewhere} cores"
    )


def plot(curve: Curve, path: Path) -> None:
    """Draw a curve into a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    colours = ("#1f5f8b", "#c8553d", "#588157", "#8f5f9f", "#b08900", "#4a4a4a", "#2a9d8f", "#e07a9f")
    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    for colour, (label, points) in zip(colours * 4, curve.lines.items(), strict=False):
        xs, ys = zip(*points, strict=True) if points else ((), ())
        marker = "o" if len(points) <= 24 else ""
        axes.plot(xs, ys, marker=marker, markersize=4.5, linewidth=1.8, color=colour, label=label)
    for label, value in curve.marks.items():
        axes.axhline(value, color="#999999", linestyle="--", linewidth=1.2)
        axes.annotate(label, (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", color="#666666")
    axes.set(title=curve.title, xlabel=curve.x, ylabel=curve.y)
    axes.set_xscale("log", base=2) if curve.log_x else None
    axes.set_yscale("log") if curve.log_y else axes.set_ylim(bottom=0)
    if curve.log_x:
        ticks = sorted({x for points in curve.lines.values() for x, _ in points})
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if len(curve.lines) > 1:
        figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
