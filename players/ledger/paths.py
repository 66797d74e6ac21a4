"""Places of a station's ledgers."""

from pathlib import Path

from pipeline.private import own_folder, secure_file
from pipeline.settings import StationTable
from pipeline.state import state_dir


def ledger_path(station: StationTable, screen: str, folder: Path) -> Path:
    """Return the path of a screen's ledger; `folder` is the station file's. Each screen has a ledger of its own."""
    return state_dir(station, folder) / f"ledger-{screen}.sqlite"


def screen_of(ledger: Path) -> str:
    """Return the name of the screen after which a ledger's file is named."""
    return ledger.stem.removeprefix("ledger-")


def own_files(ledger: Path) -> None:
    """Make the folder of a ledger and the files that are there private. NotPrivateError: one is another account's."""
    own_folder(ledger.parent)
    for ending in ("", "-wal", "-shm", "-journal"):  # SQLite makes new ones as private as the file itself
        secure_file(ledger.with_name(ledger.name + ending))
