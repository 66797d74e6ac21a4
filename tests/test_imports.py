"""Imports that are hidden in strings, where import-linter cannot see them, are those that are known."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ("pipeline", "stages", "players", "models")
FOLDERS = (*PRODUCT, "bench")

TABLES = {
    "pipeline/cli.py": "the command table: a command's folder is imported when it is called",
    "pipeline/graph.py": "the stage table: a stage is imported in its own process only",
    "pipeline/operator/doctor.py": "the table of other folders' checks, each made in a process of its own",
}
LOADERS = {
    "bench/child.py": "loads a benchmark of the table in bench/questions.py",
    "bench/peers/mosec.py": "looks whether the package mosec is installed",
    "pipeline/cli.py": "loads a command of the command table",
    "pipeline/operator/doctor.py": "loads a check of its table",
    "pipeline/stage.py": "loads the stage that its Spec names",
}
_NAME = re.compile(rf"\b({'|'.join(FOLDERS)})((?:\.[a-z_][a-z0-9_]*)+)\b")
_CODE = re.compile(rf"\b(?:from|import)\s+({'|'.join(FOLDERS)})\b")


def names_in_strings(source: str) -> Iterator[str]:
    """Yield the modules of ours that string literals name, or import in code that they hold; docstrings are left out.

    A name counts if there is such a module: `models.toml` is a file.
    """
    tree = ast.parse(source)
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            for match in _NAME.finditer(node.value):
                place = ROOT / match[0].replace(".", "/")
                if place.is_dir() or place.with_suffix(".py").is_file():
                    yield match[0]
            yield from _CODE.findall(node.value)


def loaders(source: str) -> Iterator[str]:
    """Yield the functions called that import a module by a name made at run time."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__", "find_spec", "run_module", "exec", "resolve_name"):
                yield name


def modules(folders: tuple[str, ...]) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_only_the_tables_name_modules_of_other_folders_in_strings() -> None:
    found = {}
    for path in modules(PRODUCT):
        place = path.relative_to(ROOT)
        others = [name for name in names_in_strings(path.read_text()) if not name.startswith(place.parts[0])]
        if others:
            found[str(place)] = others
    assert found.keys() == TABLES.keys(), found


def test_modules_are_loaded_by_name_only_where_it_is_known() -> None:
    found = {str(path.relative_to(ROOT)): names for path in modules(FOLDERS) if (names := [*loaders(path.read_text())])}
    assert found.keys() == LOADERS.keys(), found


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('run(["python", "-m", "models.session"])', ["models.session"]),
        ('load("players.player:Player")', ["players.player"]),
        ('run("-c", "from models import session")', ["models"]),
        ('run(f"import players, {x}")', ["players"]),
        ('"""The docstring of models.session."""', []),
        ('say("see models.toml")', []),
    ],
)
def test_an_import_in_a_string_is_found(source: str, names: list[str]) -> None:
    assert list(names_in_strings(source)) == names


def test_a_loader_is_found() -> None:
    assert list(loaders("importlib.import_module(x); __import__(y)")) == ["import_module", "__import__"]
