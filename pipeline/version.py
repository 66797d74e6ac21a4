"""Version of this installation, with the commit where it runs from a checkout."""

import importlib.metadata
import shutil
import subprocess
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_GIT_S = 5.0


def version() -> str:
    """Return such as `0.1.0` or, from a checkout, `0.1.0 (commit 1626fb5a9c21)`."""
    number = importlib.metadata.version("stationcast")
    checked_out = commit(_ROOT)
    return f"{number} (commit {checked_out})" if checked_out else number


def commit(checkout: Path) -> str:
    """Return the commit of a git checkout, with `-dirty` where tracked files differ from it; "" where there is none.

    A folder inside somebody else's checkout, such as an environment's site-packages, is none itself.
    """
    git = shutil.which("git")
    if git is None or not (checkout / ".git").exists():
        return ""
    command = [git, "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=_GIT_S, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
