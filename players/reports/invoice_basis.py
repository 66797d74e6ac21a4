"""Basis of each line of an invoice: what its price is for, measure level, model, zone and calibration."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Hashable
from typing import Any


class InvoiceBasis:
    """Bases of billed plays by invoice line; plays until schema 4 have none but the model."""

    columns = ("per", "level", "model")

    def __init__(self, model_in_words: Callable[[str], str]) -> None:
        """Begin without plays; `model_in_words` tells of a model by its sha256."""
        self._model_in_words = model_in_words
        self._seen: dict[Hashable, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
        self._names: dict[Hashable, str] = {}

    def add(self, key: Hashable, row: sqlite3.Row) -> None:
        """Add a billed play to the line of the invoice that `key` names."""
        self._names[key] = row["line"]
        for name in ("price_per", "measure_level", "model_sha256", "exposure_zone", "calibration"):
            if row[name]:
                self._seen[key][name][row[name]] = None

    def row(self, key: Hashable) -> dict[str, Any]:
        """Return the columns of an invoice line; models by the beginning of their sha256."""
        seen = self._seen[key]
        models = ", ".join(sha256[:12] for sha256 in seen["model_sha256"])
        level = ", ".join(level.removeprefix("viewable/") for level in seen["measure_level"])
        return {"per": ", ".join(seen["price_per"]), "level": level, "model": models}

    def notes(self) -> tuple[str, ...]:
        """Return sentences on models, zones and calibrations, and on the lines that were billed on more than one."""
        every: dict[str, dict[str, None]] = defaultdict(dict)
        changed = []
        for key, seen in self._seen.items():
            for name, values in seen.items():
                every[name] |= values
            different = [word for name, word in _WORDS.items() if len(seen[name]) > 1]
            if different:
                changed.append(
                    f"{self._names[key]}: {', '.join(different)} changed between plays that are billed here; what was "
                    "counted before and after is not alike."
                )
        models = [self._model_in_words(sha256) for sha256 in every["model_sha256"]]
        said = [f"{model[0].upper()}{model[1:]}." for model in models]
        said += [f"People count in: {zone}." for zone in every["exposure_zone"]]
        said += [f"A head within these angles looks: {angles}." for angles in every["calibration"]]
        return (*said, *changed)


_WORDS = {
    "price_per": "what the price is for",
    "measure_level": "measure level",
    "model_sha256": "model",
    "exposure_zone": "zone",
    "calibration": "the screen's place",
}
