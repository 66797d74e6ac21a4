"""Words of `campaigns check` about orders and their money: what ledgers say that lines have spent."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipeline.errors import UserError
from pipeline.settings import Station
from players.ads.catalogue import Catalogue
from players.ads.lines import Line, budget_part, money
from players.ads.money import as_text
from players.choice.choose import moment_in
from players.choice.held import Held, held_by_money
from players.choice.history import History, OrderKey
from players.ledger.past import read_spend
from players.ledger.paths import ledger_path
from players.ledger.snapshot import reading


class Spend(NamedTuple):
    """Millionths that a ledger says each order has spent; `where` names the ledger where there are several."""

    where: str
    by_order: dict[OrderKey, int]


def known_spend(station: Station, ledger_files: tuple[Path, ...], own: bool) -> Iterator[Spend | UserError]:
    """Yield what lines have spent by each ledger named, or else by each screen's, or why a ledger cannot be read.

    A screen that has no ledger yet spent nothing, and so did every screen where `own` ledgers are not asked for.
    """
    paths = ledger_files or [ledger_path(station.station, screen.name, station.folder) for screen in station.screens]
    for path in paths:
        if not ledger_files and not (own and path.exists()):
            yield Spend("", {})
            continue
        try:
            with reading([path], proven=False) as db:
                by_order = read_spend(db)
        except UserError as error:
            yield error
        else:
            yield Spend(f" ({path.name})" if len(paths) > 1 else "", by_order)


class MoneyWords(NamedTuple):
    """Words about lines and their money by one ledger; `held` are all that cannot play, problems ask for an answer."""

    held: dict[str, Held]
    notes: list[str]
    problems: list[str]


def money_words(catalogue: Catalogue, spend: Spend, screens: int) -> MoneyWords:
    """Return why lines do not play now by what they have spent on one of `screens`, and which changed currency."""
    history = History()
    history.committed = spend.by_order
    parts = tuple(
        line if line.budget is None else msgspec.structs.replace(line, budget=budget_part(line.budget, screens))
        for line in catalogue.lines
    )
    words = MoneyWords(held_by_money(Catalogue(parts, (), catalogue.zone), history, moment_in(0.0)), [], [])
    spent = {line.id for line in parts if history.committed_by(line)}
    for line, (kind, why) in words.held.items():
        if kind == "overspent":
            words.problems.append(f"line {line}: budget: {why}{spend.where}")
        elif line in spent:  # `unaffordable` tells of the others
            words.notes.append(f"Not played: {line}: {why}{spend.where}.")
    currencies = {line.key: line.currency for line in parts}
    for (*key, code), micro in spend.by_order.items():
        line, present = key[2], currencies.get((key[0], key[1], key[2]))
        if micro and present and code != present:
            amount = as_text(money(micro), code)
            words.notes.append(f"{line}: {amount} were billed before it changed to {present}{spend.where}.")
    return words


def unaffordable(lines: tuple[Line, ...], screens: int) -> Iterator[str]:
    """Yield one line of text for each line that never plays, as a screen's part of its budget does not pay one play."""
    for line in lines:
        price = line.reserve(max(1, line.target.min_watchers))
        if line.budget is not None and line.budget / screens < price:
            shared = f", shared by {screens} screens," if screens > 1 else ""
            yield (
                f"line {line.id}: budget: {as_text(line.budget, line.currency)}{shared} does not pay one play at "
                f"{as_text(price, line.currency)}; raise it"
            )
