"""The version names the commit of a checkout, and of nothing else."""

import importlib.metadata
import subprocess
from pathlib import Path

from pipeline.version import commit, version


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_checkout_is_named_by_its_commit_and_whether_it_was_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "file").write_text("one")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "--quiet", "--message=first")
    git(tmp_path, "tag", "v9")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit(tmp_path) == head[:12]
    (tmp_path / "file").write_text("two")
    assert commit(tmp_path) == f"{head[:12]}-dirty"
    (tmp_path / "site-packages").mkdir()
    assert commit(tmp_path / "site-packages") == "", "that folder only lies in a checkout"


def test_no_checkout_and_one_without_commits_have_none(tmp_path: Path) -> None:
    assert commit(tmp_path) == ""
    git(tmp_path, "init", "--quiet")
    assert commit(tmp_path) == ""


def test_the_version_is_that_of_the_package(monkeypatch) -> None:
    number = importlib.metadata.version("stationcast")
    assert version().startswith(number)
    monkeypatch.setenv("PATH", "")
    assert version() == number
