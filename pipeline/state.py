"""The folder in which a station keeps what outlives it, and the cards of the models that counted there."""

import hashlib
from pathlib import Path

import platformdirs

from pipeline.private import own_folder, replacing
from pipeline.settings import StationTable


def state_dir(station: StationTable, folder: Path) -> Path:
    """Return `station.state_dir`, else a folder named after the station in the user's data directory.

    `folder` is the station file's.
    """
    if station.state_dir:
        return folder / Path(station.state_dir).expanduser()
    return Path(platformdirs.user_data_dir("stationcast")) / station.name


def keep_card(state: Path, text: bytes) -> None:
    """Keep the text of a model's card: its numbers can be told and corrected when the model is gone. Raises OSError."""
    path = _card_path(state, hashlib.sha256(text).hexdigest())
    if not path.exists():
        own_folder(state)
        own_folder(path.parent)
        with replacing(path) as stream:
            stream.write(text)


def kept_card(state: Path, sha256: str) -> bytes | None:
    """Return the text of a card that was kept; None where it is not there, or is not that of the hash."""
    try:
        text = _card_path(state, sha256).read_bytes()
    except OSError:
        return None
    return text if hashlib.sha256(text).hexdigest() == sha256 else None


def _card_path(state: Path, sha256: str) -> Path:
    return state / "cards" / f"{sha256}.toml"
