"""Files and folders of campaigns that play no part: each is named once, with the reason."""

import json
import os
import unicodedata
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from players.ads.places import as_seen, ignored
from players.ads.watcher import CatalogueWatcher
from players.commands.campaigns import campaigns as campaigns_command
from tests.players.campaign_files import UTC, little, read

SYSTEM = [
    "._latte.png",
    ".DS_Store",
    "Thumbs.db",
    "desktop.ini",
    "Desktop.ini",
    "~$plan.xlsx",
    ".a.toml.swp",
    "~$a.toml",
]
SYSTEM_FOLDERS = [
    "__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found", ".Trash-1000", ".Spotlight-V100",
]  # fmt: skip


def picture(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 9)).save(path)
    return path


def unused(folder: Path) -> dict[str, str]:
    return dict(read(folder).unused)


def test_every_kind_of_file_and_folder_that_plays_no_part_is_named_with_the_reason(folder: Path) -> None:
    (folder / "a.toml").write_text(little("a"))
    (folder / "x.TOML").write_text(little("x"))
    for name in ("moka.toml.txt", "campaign.toml.bak", "plan.docx", "film.mp4.part"):
        (folder / name).write_text("")
    with zipfile.ZipFile(folder / "ads.zip", "w") as packed:
        packed.writestr("a.png", "")
    picture(folder / "spare.png")
    picture(folder / "20대 여성" / "ad.png")
    picture(folder / "old stuff" / "ad.png")
    picture(folder / "used" / "ad.png")
    picture(folder / "used" / "spare.png")
    (folder / "b.toml").write_text(little("b", file="used/ad.png"))
    (folder / "sub").mkdir()
    (folder / "sub" / "c.toml").write_text(little("c"))
    (folder / "nothing").mkdir()
    (folder / "nowhere.png").symlink_to("gone.png")
    (folder / "out").symlink_to("/usr")
    os.mkfifo(folder / "pipe")
    catalogue = read(folder)
    assert sorted(line.id for line in catalogue.lines) == ["a-line", "b-line", "x-line"]
    assert dict(catalogue.unused) == {
        "20대 여성": "a folder of a group is read only where there is no campaign file; name its media in lines",
        "ads.zip": "it is packed; unpack it here",
        "campaign.toml.bak": "its name ends in .toml.bak; rename it to end in .toml if it is to play, else remove it",
        "film.mp4.part": "it looks like an upload that has not ended; wait for it, or copy the file anew",
        "moka.toml.txt": "its name ends in .toml.txt; rename it to end in .toml if it is to play, else remove it",
        "nothing": "it is empty",
        "nowhere.png": "it is a link that leads nowhere; put the file itself there",
        "old stuff": "no line uses anything in it",
        "out": "it is a link out of the folder of the campaigns; copy what it leads to",
        "pipe": "it is not a regular file; remove it",
        "plan.docx": "it is neither a campaign file nor a picture or film",
        "spare.png": "no line uses it",
        "sub/c.toml": "it lies in a folder of its own; move it up",
        "used/spare.png": "no line uses it",
    }


def test_in_the_original_layout_folders_of_no_group_are_named_with_an_example(layout: Path) -> None:
    picture(layout / "신상품" / "ad.png")
    picture(layout / "beside.png")
    (layout / "30대").mkdir()
    found = unused(layout)
    assert found["신상품"].startswith("its name is no group of people; rename it such as 20's, F or 20대 여성")
    assert found["beside.png"].startswith("it lies beside the folders of groups; move it into one such as")
    assert found["30대"] == "it is empty"
    assert found["20's, F/notes.txt"] == "it is neither a campaign file nor a picture or film"
    assert len(found) == 5


@pytest.mark.parametrize("as_layout", [False, True])
def test_what_systems_leave_behind_is_ignored_everywhere(folder: Path, layout: Path, as_layout: bool) -> None:
    place = layout if as_layout else folder
    (folder / "a.toml").write_text(little("a"))
    before = read(place)
    for name in SYSTEM:
        (place / name).write_bytes(b"\0\5\26\7")
        for group in ("20's, F", "default") if as_layout else ():
            (place / group / name).write_bytes(b"\0\5\26\7")
    for name in SYSTEM_FOLDERS:
        picture(place / name / "latte.png")
        (place / name / "b.toml").write_text(little("b"))
    after = read(place)
    assert (after.version, after.problems, after.unused) == (before.version, before.problems, before.unused)
    if as_layout:
        done = CliRunner().invoke(campaigns_command, ["import", str(place)])
        assert done.exit_code == 0 and "3 lines, 4 ads" in done.output
        written = (place / "imported.toml").read_text()
        assert not any(name in written for name in (*SYSTEM, *SYSTEM_FOLDERS))


def test_check_names_what_is_unused_as_text_and_as_json(folder: Path) -> None:
    (folder / "a.toml").write_text(little("a"))
    (folder / "house.toml").write_text(little("house", "house = true"))
    (folder / "moka.toml.txt").write_text("")
    done = CliRunner().invoke(campaigns_command, ["check", str(folder)])
    assert done.exit_code == 0 and "Not used: moka.toml.txt: its name ends in .toml.txt; rename it" in done.output
    done = CliRunner().invoke(campaigns_command, ["check", "--json", str(folder)])
    (one,) = json.loads(done.stdout)["unused"]
    assert one["file"] == "moka.toml.txt" and one["why"].startswith("its name ends in .toml.txt")


def test_the_log_names_it_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a.toml").write_text(little("a"))
    (folder / "moka.toml.txt").write_text("")
    watcher = CatalogueWatcher(folder, UTC, 8.0)
    try:
        for _ in range(3):
            (folder / "a.toml").touch()
            watcher._look()
    finally:
        watcher.close()
    said = capsys.readouterr().err
    assert said.count("campaign_unused file=moka.toml.txt") == 1


@pytest.mark.parametrize("case", ["ignored", "layout"])
def test_the_cases_that_people_bring(shared_dir: Path, case: str) -> None:
    catalogue = read(shared_dir / "cases" / "campaigns" / case)
    if case == "ignored":
        assert [name for name, _ in catalogue.unused] == ["20's, F", "moka.toml.txt"]
    else:
        assert [line.target.text() for line in catalogue.lines] == ["F 20-29", "F 20-29"]
        assert catalogue.unused == () and len(catalogue.house) == 1


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    ("written", "on_disk"),
    [
        ("가.png", "가.png"),
        ("é.png", "é.PNG"),
        ("a.png", "a.png "),
        ("a b.png", "a\u00a0b.png"),
        ("묶음/가.png", "묶음/가.png"),
    ],
)
def test_names_are_compared_as_people_see_them(folder: Path, form: str, written: str, on_disk: str) -> None:
    other = "NFD" if form == "NFC" else "NFC"
    made = picture(folder / "x.png")
    place = folder / unicodedata.normalize(form, on_disk)  # type: ignore[arg-type]
    place.parent.mkdir(exist_ok=True)
    made.rename(place)
    (folder / "a.toml").write_text(little("a", file=unicodedata.normalize(other, written)))  # type: ignore[arg-type]
    catalogue = read(folder)
    assert catalogue.problems == () and catalogue.creatives[0].path == place


def test_two_names_that_look_the_same_are_named(folder: Path) -> None:
    one, two = "가.png", unicodedata.normalize("NFD", "가.png")
    picture(folder / one)
    picture(folder / two)
    (folder / "a.toml").write_text(little("a", file=one))
    assert unused(folder)[two].startswith("its name looks the same as that of a medium that is used")
    (folder / "a.toml").write_text(little("a", file="가.PNG"))
    assert "names look the same" in read(folder).problems[0]


TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="/"), min_size=1, max_size=20
)


@given(TEXT)
def test_the_forms_of_one_name_look_the_same(name: str) -> None:
    for form in ("NFC", "NFD"):
        assert as_seen(unicodedata.normalize(form, f"{name}.png")) == as_seen(f" {name}.PNG ")  # type: ignore[arg-type]


@given(TEXT)
def test_only_hidden_names_and_those_of_systems_are_ignored(name: str) -> None:
    assert ignored(f".{name}") and ignored(f"~${name}")
    assert not ignored(f"a{name}.png")
