"""A station file: every mistake is one line that names the file, the key and the remedy."""

import os
from pathlib import Path

import pytest

from pipeline.errors import UserError
from pipeline.settings import demo_station, load

CAMERA = '[[cameras]]\nname = "a"\nsource = "sample"\n'

MISTAKES = {
    "not toml": ("x =", "not TOML"),
    "unknown key": (CAMERA + "fsp = 3", "cameras[0].fsp: unknown key; did you mean fps?"),
    "key without its unit": (CAMERA + "[classify]\nbatch_wait = 3", "classify.batch_wait: unknown key; did you mean"),
    "unknown table": (CAMERA + "[detct]", "detct: unknown key; did you mean detect?"),
    "nothing like it": (CAMERA + "qqqqq = 3", "cameras[0].qqqqq: unknown key; known here: name, source"),
    "too much": (CAMERA + "fps = 300", "cameras[0].fps: expected"),
    "text for a number": (CAMERA + 'fps = "10"', "cameras[0].fps: expected a number, got text; write it"),
    "a name with spaces": ('[[cameras]]\nname = "A b"\nsource = "x"', "cameras[0].name: expected a name of 1 to 32"),
    "a name of two lines": ('[[cameras]]\nname = "a\\n"\nsource = "x"', "cameras[0].name: expected a name of"),
    "no source": ('[[cameras]]\nname = "a"', "cameras[0]: source is missing; add source"),
    "no cameras": ("", "cameras: none; add"),
    "one table for a list": (
        '[cameras]\nname = "a"\nsource = "sample"',
        "cameras: expected a list, got a table; write [[",
    ),
    "no card": (CAMERA + '[classify]\nmodel = "mine.toml"', "classify.model: no card"),
    "two cameras of one name": (CAMERA + CAMERA, "cameras[1].name: 'a' is taken"),
    "a group named like a camera outside it": (
        CAMERA + '[[cameras]]\nname = "b"\nsource = "x"\ngroup = "a"',
        "cameras[1].group: 'a' is the name of a camera outside that group; add group = \"a\" to that camera, or",
    ),
    "two screens of one name": (CAMERA + "[[screens]]\n[[screens]]", "screens[1].name: 'main' is taken"),
    "two screens on one display": (
        CAMERA + '[[screens]]\nfullscreen = true\n[[screens]]\nname = "b"\nfullscreen = true',
        "screens[1].display: 0 is covered by another fullscreen screen",
    ),
    "two screens in one picture": (
        CAMERA + '[[screens]]\nscreenshot = "s.png"\n[[screens]]\nname = "b"\nscreenshot = "./s.png"',
        "s.png is another screen's; give each its own",
    ),
    "a screenshot over the station file": (
        CAMERA + '[[screens]]\nscreenshot = "station.toml"',
        "station.toml is no PNG; name a file that ends in .png",
    ),
    "a screenshot that is a folder": (CAMERA + '[[screens]]\nscreenshot = "/"', "screenshot: / is no PNG; name a file"),
    "a screenshot of too long a name": (
        f'{CAMERA}[[screens]]\nscreenshot = "{"s" * 300}.png"',
        f"{'s' * 300}.png: its name is too long; take a shorter one",
    ),
    "a card of too long a name": (
        f'{CAMERA}[classify]\nmodel = "{"c" * 300}.toml"',
        f"{'c' * 300}.toml: its name is too long; take a shorter one",
    ),
    "the root for a state folder": (
        CAMERA + '[station]\nstate_dir = "/"',
        "station.state_dir: / is there for all accounts; name a folder of the station's own",
    ),
    "a home of nobody": (
        CAMERA + '[station]\nstate_dir = "~nobody-of-this-name/x"',
        "station.state_dir: ~nobody-of-this-name/x: no home of such a user; write",
    ),
    "a zone that crosses itself": (
        CAMERA + "zone = [[0, 0], [1, 1], [1, 0], [0, 1]]",
        "cameras[0].zone: the side from [0.0, 0.0] to [1.0, 1.0] crosses",
    ),
    "a zone in pixels": (CAMERA + "zone = [[0, 0], [640, 0], [640, 480]]", "cameras[0].zone[1][0]: expected"),
    "a mask of two corners": (CAMERA + "masks = [[[0, 0], [1, 1]]]", "cameras[0].masks[0]: has 2 corners"),
    "a mask for a list of masks": (CAMERA + "masks = [[0, 0], [1, 0], [1, 1]]", "cameras[0].masks"),
    "masks over the whole picture": (
        CAMERA + "masks = [[[0, 0], [1, 0], [1, 1]], [[0, 0], [1, 1], [0, 1]]]",
        "cameras[0].masks: cover the whole picture, so nobody would ever be seen",
    ),
    "a mask over the whole zone": (
        CAMERA
        + "zone = [[0.2, 0.2], [0.4, 0.2], [0.4, 0.4], [0.2, 0.4]]\nmasks = [[[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]]",
        "cameras[0].masks: cover the whole zone",
    ),
    "masks of a camera that turns": (
        CAMERA + 'rotation_deg = "auto"\nmasks = [[[0, 0], [1, 0], [1, 1]]]',
        "cameras[0].masks: with rotation_deg = 'auto' they would lie elsewhere",
    ),
    "no screens": ("screens = []\n" + CAMERA, "screens: none; add"),
    "a zone of no country": (CAMERA + '[station]\ntimezone = "Mars/North"', "station.timezone: no zone 'Mars/North'"),
    "a venue of no list": (
        CAMERA + '[station]\nvenue_type = "outdoor.moon"',
        "station.venue_type: no venue 'outdoor.moon' in OpenOOH 1.1; write such as",
    ),
    "a mode of no kind": (
        CAMERA + '[station]\nmode = "spy"',
        "station.mode: 'spy' is not known; write one of off, count, measure, target",
    ),
    "a turn by no right angle": (
        CAMERA + "[[screens]]\nrotation_deg = 45",
        "screens[0].rotation_deg: 45 is not known; write one of 0, 90",
    ),
    "a camera of no name": (CAMERA + '[[screens]]\ncameras = ["b"]', "screens[0].cameras: no camera 'b'; there are a"),
    "no notice": (CAMERA + "[[screens]]\nnotice = false", "does not run without the on-screen notice"),
    "ads in a file": (CAMERA + '[ads]\ncampaigns = "station.toml"', "station.toml is no folder; name one, or 'demo'"),
    "a key of the program's own": ('folder = "/"\n' + CAMERA, "folder: unknown key"),
    "an endless number": (CAMERA + "fps = inf", "cameras[0].fps"),
    "no number": (CAMERA + "fps = nan", "cameras[0].fps"),
}


@pytest.mark.parametrize(("text", "complaint"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line_with_file_key_and_remedy(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "station.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and complaint in message and "\n" not in message


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(UserError, match="it is a folder; name a file"):
        load(tmp_path)
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"binary.toml: it begins as UTF-16 and is damaged; save it as UTF-8"):
        load(tmp_path / "binary.toml")


def test_a_small_file_is_enough_and_relative_paths_start_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(CAMERA)
    station = load(path)
    assert station.cameras[0].fps == 10.0 and station.folder == tmp_path and station.screens[0].name == "main"


def test_a_path_may_start_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home := tmp_path / "home"))
    (home / "ads").mkdir(parents=True)
    (home / "card.toml").touch()
    path = tmp_path / "station.toml"
    models = '[detect]\nmodel = "~/card.toml"\n[classify]\nmodel = "~/card.toml"\n'
    path.write_text(f'{CAMERA}{models}[[screens]]\nscreenshot = "~/screen.png"\n[ads]\ncampaigns = "~/ads"\n')
    station = load(path)
    assert station.detect.model == station.classify.model == f"{home}/card.toml"
    assert (station.screens[0].screenshot, station.ads.campaigns) == (f"{home}/screen.png", f"{home}/ads")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text(CAMERA, encoding="utf-8-sig")
    assert load(tmp_path / "station.toml").cameras[0].name == "a"


def test_a_folder_or_file_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    for file in (folder / "station.toml", tmp_path / os.fsdecode(b"\xff.toml")):
        file.write_text(CAMERA)
        with pytest.raises(UserError, match="not UTF-8; rename the folder or the file"):
            load(file)


def test_the_modes_need_what_they_say(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text('[station]\nmode = "off"')
    assert load(path).cameras == ()
    path.write_text(CAMERA + '[station]\nmode = "measure"\n[[screens]]\nnotice = false')
    assert not load(path).screens[0].notice


def test_the_demo_station_is_whole() -> None:
    station = demo_station()
    assert station.station.name == "demo" and len(station.cameras) == 2 and station.ads.campaigns == "demo"


def test_a_url_in_place_of_a_station_file_is_refused_without_a_word_of_it() -> None:
    with pytest.raises(UserError) as refused:
        load(Path("rtsp://admin:s3cret@camera/1"))
    assert "a URL is no station file" in str(refused.value)
    assert "s3cret" not in str(refused.value)
