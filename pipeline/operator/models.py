"""The models that a station names: whether they are there. `stationcast models` is asked in processes of its own."""

import json
import subprocess
import sys
from pathlib import Path

from pipeline.errors import TemporaryError, UserError
from pipeline.settings import Station


def check_models(station_file: Path | None, station: Station) -> None:
    """Check that the models are built-in ones or readable cards, and do their task. UserError: one does not.

    Processes of their own are asked, so that this one stays small.
    """
    place = f"{station_file}: " if station_file else ""
    listed = _models("list", "--json")
    if listed.returncode:
        return  # `doctor` says what is wrong with the models themselves
    known = {"default": "classify"} | {card["name"]: card["task"] for card in json.loads(listed.stdout)}
    for task, model in (("detect", station.detect.model), ("classify", station.classify.model)):
        if model.endswith(".toml"):
            shown = _models("show", "--json", str(station.folder / model))
            if shown.returncode:
                raise UserError(f"{place}{task}.model: {shown.stderr.strip().removeprefix('stationcast: error: ')}")
            known[model] = json.loads(shown.stdout)["task"]
        if known.get(model) != task:
            names = ", ".join(name for name, does in known.items() if does == task)
            raise UserError(f"{place}{task}.model: no model {model!r} that can {task}; there are {names}")


def research_only(model: str, folder: Path) -> str | None:
    """Return the licence of a classifier with which no business may be done; None for any other."""
    shown = _models("show", "--json", str(folder / model) if model.endswith(".toml") else model)
    card = json.loads(shown.stdout) if not shown.returncode else {}
    return card["licence"] if card.get("research_only") else None


def research_models() -> dict[str, str]:
    """Return the names of the built-in models with which no business may be done, by the sha256 of their cards."""
    listed = _models("list", "--json")
    cards = json.loads(listed.stdout) if not listed.returncode else []
    return {card["sha256"]: card["name"] for card in cards if card["research_only"]}


def warn_of_licence(station: Station) -> None:
    """Say on stderr that a model is for research only, where ads of the operator's own are aimed by it."""
    if station.station.mode != "target" or station.ads.campaigns == "demo":
        return
    if licence := research_only(station.classify.model, station.folder):
        where = f"classify.model {station.classify.model!r}"
        print(f"stationcast: warning: {where} may not be used where money is made: {licence}", file=sys.stderr)


def _models(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command of `stationcast models` in a process of its own."""
    command = [sys.executable, "-P", "-m", "pipeline.cli", "models", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def pull_models(station: Station) -> None:
    """Fetch what the station's models need, in a process of its own, so that this one stays small.

    UserError: it cannot be; a TemporaryError where that may pass, as without a network.
    """
    names = {"count": [station.detect.model], "off": []}.get(
        station.station.mode, [station.detect.model, station.classify.model]
    )
    named = [name for name in names if not name.endswith(".toml")]
    if not named:
        return
    code = subprocess.run([sys.executable, "-P", "-m", "pipeline.cli", "models", "pull", *named]).returncode
    if code:
        kind = TemporaryError if code == TemporaryError.exit_code else UserError
        raise kind("the models are not there; see the message above")
