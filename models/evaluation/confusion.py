"""The confusion table of a card: what a model says of held-out faces, by gender and decade, `unknown` included."""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from msgspec.structs import replace

from models.cards import DECADE_EDGES, DECADES, TRUE_DECADES, Confusion, ModelCard, ModelError, read_card
from models.datasets.index import Row
from models.estimate import Estimate
from pipeline.text import read_text


def true_group(row: Row) -> str | None:
    """Return what a labelled face is, such as `M 70+`; None where gender or decade are unknown or not one."""
    if row.gender is None or row.age_lo is None or row.age_hi is None:
        return None
    first, last = (int(np.digitize(age, DECADE_EDGES[1 : len(TRUE_DECADES)])) for age in (row.age_lo, row.age_hi))
    return f"{row.gender} {TRUE_DECADES[first]}" if first == last else None


def confusion_of(estimates: Sequence[Estimate], rows: Sequence[Row], data: str) -> Confusion:
    """Count what was said of labelled faces. Faces whose labels are no one group are left out."""
    said: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row, estimate in zip(rows, estimates, strict=True):
        if group := true_group(row):
            decade = "unknown" if estimate.decade is None else DECADES[estimate.decade]
            said[group][f"{estimate.gender} {decade}"] += 1
    return Confusion(data=data, said={group: dict(sorted(row.items())) for group, row in sorted(said.items())})


def evenly(rows: Sequence[Row], most: int, seed: int = 0) -> list[Row]:
    """Draw at most `most` rows of each group at random, in their order; rows of no one group are left out."""
    of_group: defaultdict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        if group := true_group(row):
            of_group[group].append(i)
    rng = np.random.default_rng(seed)
    chosen = [int(i) for numbers in of_group.values() for i in rng.permutation(numbers)[:most]]
    return [rows[i] for i in sorted(chosen)]


def write_confusion(card: Path, confusion: Confusion) -> None:
    """Put a confusion table into the file of a card, in place of the one that is there.

    Everything else in the file stays as it is. Raises ModelError or UserError for a table without faces, and where the
    file cannot be written, is no card, or would say something else afterwards.
    """
    if not confusion.faces:
        raise ModelError(
            f"{card}: its table of whom it takes for whom stays as it is: {confusion.data} has no photo "
            "labelled by gender and by one decade"
        )
    card = card.resolve()  # a link stays one
    before = read_card(card)[0]
    kept, inside = [], False
    for line in read_text(card).split("\n"):
        if (heading := line.replace(" ", "")).startswith("["):
            inside = heading.startswith("[confusion")
        if not inside:
            kept.append(line)
    lines = ["", "[confusion]", f"data = {json.dumps(confusion.data, ensure_ascii=False)}", "", "[confusion.said]"]
    for group, row in confusion.said.items():
        counts = ", ".join(f'"{name}" = {count}' for name, count in row.items())
        lines.append(f'"{group}" = {{ {counts} }}')
    part = card.with_suffix(".part")
    try:
        part.write_text("\n".join([*"\n".join(kept).rstrip().split("\n"), *lines, ""]), "utf-8")
        if not _says(part, replace(before, confusion=confusion)):
            raise ModelError(
                f"{card}: [confusion begins a line of a text, too, or is not how the old table begins; mend that line"
            )
        part.replace(card)
    except OSError as error:
        raise ModelError(f"{card}: the card cannot be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def _says(path: Path, card: ModelCard) -> bool:
    try:
        return read_card(path)[0] == card
    except ModelError:
        return False
