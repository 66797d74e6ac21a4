"""The documents: they are true where a program can tell, and readable where it can count."""

import ast
import re
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from pipeline.cli import cli

ROOT = Path(__file__).parents[1]


def tracked(pattern: str) -> list[Path]:
    """The files in git whose path matches; a copy without git skips the test."""
    done = subprocess.run(["git", "ls-files", pattern], cwd=ROOT, capture_output=True, text=True, check=False)
    paths = [ROOT / line for line in done.stdout.splitlines()]
    return [path for path in paths if path.is_file()] or pytest.skip("this is not a checkout with git")


def prose() -> dict[str, str]:
    """The text of each page."""
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in tracked("*.md")}


def test_no_line_of_a_page_is_longer_than_160_characters() -> None:
    long = [
        f"{name}:{number}"
        for name, text in prose().items()
        for number, line in enumerate(text.splitlines(), 1)
        if len(line) > 160
    ]
    assert not long


def test_links_reach_what_they_name_and_every_page_is_reached() -> None:
    pages, reached = prose(), {ROOT / "README.md"}
    for name, text in pages.items():
        for link, heading in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", text):
            target = ((ROOT / name).parent / link).resolve() if link else ROOT / name
            assert target.exists(), f"{name}: {link}"
            reached |= {target, target / "README.md"}
            if heading:
                assert heading in headings(target.read_text(encoding="utf-8")), f"{name}: {link}#{heading}"
    assert {ROOT / name for name in pages} <= reached


def headings(text: str) -> set[str]:
    """The names by which links reach the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_page_of_settings_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "docs" / "make_settings.py"))["page"]()
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == page, "run `make docs`"


def commands(group: click.Group, name: str) -> Iterator[str]:
    """The full names of a group's commands, those of its groups included."""
    context = click.Context(group)
    for word in group.list_commands(context):
        command = group.get_command(context, word)
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {word}")
        else:
            yield f"{name} {word}"


def test_the_pages_name_every_command_and_no_other() -> None:
    text = " ".join(prose().values())
    known = list(commands(cli, "stationcast"))
    assert [name for name in known if not re.search(rf"\b{name.removeprefix('stationcast ')}\b", text)] == []
    for named in re.findall(r"^stationcast ([a-z]+(?:[ -][a-z]+)*)\b", code(text), re.M):
        assert any(f"stationcast {named} ".startswith(f"{name} ") for name in known), f"stationcast {named}"


def code(text: str) -> str:
    """The lines of a page's code blocks, and what stands in backticks, a line each."""
    blocks = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.M | re.S)
    return "\n".join([*(re.sub("^ +", "", block, flags=re.M) for block in blocks), *re.findall("`([^`\n]+)`", text)])


MOST_WORDS = 25
FRAGMENTS = {
    *("and", "as", "at", "because", "but", "by", "for", "from", "here", "how", "if", "in", "it", "more", "most", "not"),
    *("of", "on", "or", "since", "so", "such", "that", "there", "these", "they", "this", "those", "to", "until"),
    *("what", "when", "where", "whether", "which", "while", "who", "whom", "whose", "with"),
}


def docstrings(text: str) -> Iterator[tuple[int, str]]:
    """The docstrings of a module, its classes, functions and attributes, each with its line."""
    for node in ast.walk(ast.parse(text)):
        for line in node.body if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) else ():
            match line:
                case ast.Expr(value=ast.Constant(value=str(words))):
                    yield line.lineno, words


def sentences(text: str) -> Iterator[str]:
    """The sentences of a docstring; what stands in backticks counts as one word."""
    text = re.sub(r"`[^`]*`", "X", text)
    text = re.sub(r"\b(e\.g|i\.e|et al|vs|etc)\.", "X", text)
    for paragraph in re.split(r"\n\s*\n|\n\s*[-*|] ", text):
        yield from re.split(r'(?<=[.!?;:])\s+(?=["(A-ZX\d])|;\s', " ".join(paragraph.split()))


def faults(docstring: str) -> list[str]:
    """Name what makes a docstring hard to read: it begins as a fragment, or a sentence is too long."""
    first = re.match(r"\W*(\w+)", docstring)
    begins = [f"begins with {first[1]!r}"] if first and first[1].lower() in FRAGMENTS else []
    long = [f"{len(x.split())} words: {x}" for x in sentences(docstring) if len(x.split()) > MOST_WORDS]
    return begins + long


READABLE = ("bench", "docs", "models", "pipeline", "players", "stages", "tests")


@pytest.mark.parametrize("folder", READABLE)
def test_docstrings_begin_with_a_noun_or_a_verb_and_their_sentences_are_short(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {fault}"
        for path in tracked(f"{folder}/*.py")
        for line, docstring in docstrings(path.read_text(encoding="utf-8"))
        for fault in faults(docstring)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("docstring", "count"),
    [
        ("Return the newest frame.", 0),
        ("Of this program.", 1),
        ("Return x. " + "word " * 26, 1),
        ("Return x; " + "word " * 20 + "and. Raise `an error of many words`.", 0),
    ],
)
def test_the_check_of_docstrings_finds_fragments_and_long_sentences(docstring: str, count: int) -> None:
    assert len(faults(docstring)) == count


def test_the_package_holds_its_licences_and_of_the_demo_only_media(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling, which builds the package, is not installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as package:
        names = package.namelist()
    for name in ("LICENSE", "NOTICE", "players/screen/fonts/OFL.txt"):
        assert any(x.endswith(f".dist-info/licenses/{name}") for x in names)
    assert {Path(x).suffix for x in names if x.startswith("players/demo/")} == {".toml", ".jpg", ".webp"}
