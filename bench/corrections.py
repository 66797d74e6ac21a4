"""Coverage of corrected counts: crowds of labelled faces, replayed with what the model said of them.

    python -m bench.corrections [--crowds 200]

The faces are those of the default card's confusion table. For each crowd they are parted anew: one half makes the
matrix, and the crowd is drawn from the other, nobody twice. Printed is how often the 95 % interval holds the truth.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.cards import find_card, read_card
from pipeline.people import FEWEST_PEOPLE
from players.reports.correction import SAID_GROUPS, TRUE_DECADES, TRUE_GROUPS, correct, matrix_of

MIXES = {"even": 50.0, "as streets are": 1.0, "lopsided": 0.3}
"""Kinds of crowds by the concentration of the Dirichlet distribution of which their 16 groups are drawn."""
SIZES = (100, 300, 1000)


class Crowds(Struct):
    """Results of crowds: whether each figure's interval held the truth, and errors of raw and corrected numbers.

    Figures of fewer than 10 people, which no report tells, are NaN in `held`.
    """

    held: list[NDArray[np.float64]]
    raw: list[NDArray[np.float64]]
    corrected: list[NDArray[np.float64]]


def default_faces() -> NDArray[np.int64]:
    """Return the default card's faces by what they are and what was said of them, [16, 30]."""
    card, _ = read_card(find_card("default", Path.cwd()))
    assert card.confusion is not None
    return matrix_of(card.confusion.said).astype(np.int64)


def crowd(
    faces: NDArray[np.int64], size: int, evenness: float, seed: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return a crowd, [16] by what they are and [30] by what was said, and the matrix of other faces, [16, 30]."""
    rng = np.random.default_rng(seed)
    matrix = np.array([rng.multivariate_hypergeometric(row, int(row.sum()) // 2) for row in faces])
    others = faces - matrix
    wanted = rng.multinomial(size, rng.dirichlet(np.full(len(faces), evenness)))
    true = np.minimum(wanted, others.sum(1))
    said = sum(rng.multivariate_hypergeometric(row, number) for row, number in zip(others, true, strict=True))
    return true, np.asarray(said), matrix.astype(float)


def figures(people: NDArray[Any]) -> NDArray[Any]:
    """Return numbers by gender, by decade and by both, [..., 26], of numbers by TRUE_GROUPS, [..., 16]."""
    cells = people.reshape(*people.shape[:-1], 2, len(TRUE_DECADES))
    return np.concatenate([cells.sum(-1), cells.sum(-2), people], -1)


def as_said(said: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return raw numbers of SAID_GROUPS by TRUE_GROUPS' figures; who is unknown in part counts for the known part."""
    raw = np.zeros(2 + len(TRUE_DECADES) + len(TRUE_GROUPS), np.int64)
    for group, number in zip(SAID_GROUPS, said, strict=True):
        gender, decade = group.replace("70-79", "70+").replace("80+", "70+").split(" ")
        if gender in "MF":
            raw["MF".index(gender)] += number
        if decade in TRUE_DECADES:
            raw[2 + TRUE_DECADES.index(decade)] += number
        if f"{gender} {decade}" in TRUE_GROUPS:
            raw[2 + len(TRUE_DECADES) + TRUE_GROUPS.index(f"{gender} {decade}")] += number
    return raw


def run(crowds: int) -> Iterator[tuple[int, str, Crowds]]:
    """Replay so many crowds of each size, of all mixes in turn; the last of a size has them all."""
    faces = default_faces()
    for size in SIZES:
        every = Crowds([], [], [])
        for turn, (mix, evenness) in enumerate(MIXES.items()):
            result = Crowds([], [], [])
            for number in range(turn, crowds, len(MIXES)):
                true, said, matrix = crowd(faces, size, evenness, (number, size))
                draws, truth = figures(correct(said, matrix)), figures(true)
                low, high = np.quantile(draws, [0.025, 0.975], axis=0)
                holds = (low <= truth) & (truth <= high)
                result.held.append(np.where(draws.mean(0) >= FEWEST_PEOPLE, holds, np.nan))
                result.raw.append(abs(as_said(said) - truth))
                result.corrected.append(abs(draws.mean(0) - truth))
            for mine, all_ in zip(msgspec.structs.astuple(result), msgspec.structs.astuple(every), strict=True):
                all_.extend(mine)
            yield size, mix, result
        yield size, "all", every


@click.command()
@click.option("--crowds", default=200, show_default=True, help="Crowds of each size, a third of each mix.")
def main(crowds: int) -> None:
    """Print how often the intervals of corrected counts hold the truth, and how far raw and corrected ones are off."""
    parts = {"gender": slice(2), "decade": slice(2, 2 + len(TRUE_DECADES)), "both": slice(2 + len(TRUE_DECADES), None)}
    click.echo("| people | mix | held: gender | decade | both | all | off, raw / corrected: gender | decade | both |")
    click.echo("|---|---|---|---|---|---|---|---|---|")
    for size, mix, result in run(crowds):
        held, raw, better = (np.array(each) for each in (result.held, result.raw, result.corrected))
        shares = [f"{100 * np.nanmean(held[:, part]):.1f} %" for part in (*parts.values(), slice(None))]
        off = [f"{raw[:, part].mean():.1f} / {better[:, part].mean():.1f}" for part in parts.values()]
        click.echo(f"| {size} | {mix} | {' | '.join([*shares, *off])} |")


if __name__ == "__main__":
    main()
