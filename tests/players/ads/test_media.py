"""Media: what is found in them, and hostile ones."""

import hashlib
import json
import os
import shutil
import struct
import sys
import zlib
from pathlib import Path
from random import Random
from typing import Any

import av
import numpy as np
import psutil
import pytest
from PIL import Image

from players.ads import media
from players.ads.examiner import probe
from tests import hostile
from tests.ads import BROKEN_EXIF
from tests.conftest import lives, wait_for
from tests.films import coded, edit, quarters, write_film, write_numbered
from tests.players.campaign_files import fast_start, film, little, read


def test_a_film_lasts_as_long_as_it_is_and_no_longer_than_asked(folder: Path) -> None:
    film(folder / "film.mp4", frames=90)
    film(folder / "film.webm", frames=90, codec="libvpx-vp9")
    creatives = "".join(
        f'[[lines.creatives]]\nid = "{name}"\nfile = "{file}"\n{more}\n'
        for name, file, more in (
            ("whole", "film.mp4", ""),
            ("part", "film.mp4", "duration_s = 2"),
            ("beyond", "film.webm", "duration_s = 9\nsound = true"),
        )
    )
    (folder / "f.toml").write_text('advertiser = "f"\ncampaign = "f"\n[[lines]]\nid = "f"\n' + creatives)
    catalogue = read(folder)
    assert catalogue.problems == ()
    ads = {ad.id: ad for ad in catalogue.creatives}
    assert {name: ad.duration_ms for name, ad in ads.items()} == {"whole": 3000, "part": 2000, "beyond": 3000}
    assert {ad.kind for ad in ads.values()} == {"video"}
    assert ads["beyond"].sound


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_film_that_was_cut_out_of_a_longer_one_lasts_as_long_as_its_picture(folder: Path, suffix: str) -> None:
    film(folder / f"part{suffix}", frames=60, first=150)
    (folder / "f.toml").write_text(little(file=f"part{suffix}"))
    (ad,) = read(folder).creatives
    assert ad.duration_ms == 2000


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_a_film_whose_sound_lasts_longer_lasts_as_long_as_its_picture(folder: Path, suffix: str) -> None:
    film(folder / f"loud{suffix}", frames=60, codec="libvpx-vp9", sound_s=5)
    (folder / "f.toml").write_text(little(file=f"loud{suffix}"))
    (ad,) = read(folder).creatives
    assert ad.duration_ms == 2000


@pytest.mark.parametrize("suffix", [".mov", ".MOV"])
def test_a_film_of_a_telephone_plays(folder: Path, suffix: str) -> None:
    """Name .mov, stored on its side, and cut at its beginning."""
    turned = (0, 65536, 0, -65536, 0, 0, 64 << 16, 0, 1 << 30)
    write_film(folder / "film.mov", [coded(quarters(96, 64))] * 40, display_matrix=turned)
    edit(folder / "film.mov", [(1.5, 2.0)])
    (folder / "film.mov").rename(folder / f"phone{suffix}")
    (folder / "a.toml").write_text(little(file=f"phone{suffix}"))
    catalogue = read(folder)
    assert catalogue.problems == ()
    (ad,) = catalogue.creatives
    assert (ad.duration_ms, ad.width_px, ad.height_px, ad.codec) == (2000, 64, 96, "h264")
    assert ad.notes == ("turned by 90 degrees",)


LENGTHS = {"browser_live.webm": 8000, "pq2020.mp4": 2000, "real_interlaced.mp4": 1200}


def test_films_that_people_brought_last_as_long_as_their_frames(folder: Path, shared_dir: Path) -> None:
    for name in LENGTHS:
        shutil.copy(shared_dir / "cases/films" / name, folder / name)
        (folder / f"{name}.toml").write_text(little(name.partition(".")[0].replace("_", "-"), file=name))
    catalogue = read(folder)
    assert catalogue.problems == ()
    assert {ad.path.name: ad.duration_ms for ad in catalogue.creatives} == LENGTHS


def test_one_frame_that_stays_is_a_film_and_one_that_does_not_is_better_a_picture(folder: Path) -> None:
    frame = coded(quarters()).reformat(format="yuv420p")
    write_film(folder / "stays.mp4", [frame], last_s=5)
    write_film(folder / "flash.webm", [frame], "libvpx-vp9", last_s=0.04)
    (folder / "a.toml").write_text(little("a", file="stays.mp4"))
    (folder / "b.toml").write_text(little("b", file="flash.webm"))
    catalogue = read(folder)
    assert [ad.duration_ms for ad in catalogue.creatives] == [5000]
    assert "it lasts 0.04 s; at least 1, at most 600; save a still picture as .png" in catalogue.problems[0]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_film_that_was_copied_by_half_never_reaches_the_screen(folder: Path, suffix: str) -> None:
    codec = "libx264" if suffix == ".mp4" else "libvpx-vp9"
    muxing = {"movflags": "faststart"} if suffix == ".mp4" else {}
    write_numbered(folder / f"film{suffix}", 40, codec, muxing=muxing)
    content = (folder / f"film{suffix}").read_bytes()
    (folder / f"film{suffix}").write_bytes(content[: len(content) * 2 // 3])
    (folder / "a.toml").write_text(little(file=f"film{suffix}"))
    catalogue = read(folder)
    assert not catalogue.creatives
    assert "copy it" in catalogue.problems[0]


@pytest.mark.parametrize("place", [0.5, 0.97])
@pytest.mark.parametrize("decoding_s", [60.0, 0.0])
def test_a_film_that_is_damaged_in_the_middle_or_at_its_end_never_reaches_the_screen(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: float, decoding_s: float
) -> None:
    """Its packets are whole, and what is in them is not. A long film is looked at up to a time, and at its end."""
    content = bytearray(fast_start(folder / "film.mp4", seconds=8))
    at = round(place * len(content))
    content[at : at + len(content) // 50] = np.random.default_rng(1).bytes(len(content) // 50)
    (folder / "film.mp4").write_bytes(content)
    program = folder.parent / "impatient.py"
    times = "DECODING_CPU_S, DECODING_WALL_S = "
    program.write_text(Path(media.__file__).read_text().replace(f"{times}60.0", f"{times}{decoding_s}"))
    monkeypatch.setattr(media, "__file__", str(program))
    (found,) = probe([folder / "film.mp4"]).values()
    if decoding_s or place > 0.9:
        assert "its picture is damaged after" in found["problem"]
    else:
        assert "problem" not in found


@pytest.mark.parametrize("matrix", [8, 14])
def test_colours_that_cannot_be_told_are_refused_with_what_to_do(folder: Path, matrix: int) -> None:
    write_film(folder / "film.mkv", [coded(quarters())] * 20, tags=(matrix, 1, 2, 2))
    (folder / "a.toml").write_text(little(file="film.mkv"))
    (problem, _) = read(folder).problems
    assert "its colours are stored as" in problem and "export it as BT.709" in problem


@pytest.mark.parametrize(
    ("suffix", "name"), [(".mp4", "a.webm"), (".webm", "a.mp4"), (".mkv", "a.MOV"), (".mov", "a.m4v")]
)
def test_a_film_plays_under_the_name_of_another_kind(folder: Path, suffix: str, name: str) -> None:
    """Its content says what it is, as for pictures."""
    write_numbered(folder / f"film{suffix}", 20, "libvpx-vp9" if suffix == ".webm" else "libx264")
    (folder / f"film{suffix}").rename(folder / name)
    (folder / "a.toml").write_text(little(file=name))
    catalogue = read(folder)
    assert not catalogue.problems
    (creative,) = catalogue.creatives
    assert creative.kind == "video"


@pytest.mark.parametrize("name", ["a.mp4", "a.png", "a.avi", "a.ts"])
@pytest.mark.parametrize(
    ("container", "word"), [("avi", "AVI"), ("mpegts", "MPEG"), ("mpeg", "MPEG"), ("flv", "FLV"), ("asf", "WMV")]
)
def test_a_film_in_a_container_that_is_not_played_is_refused_with_what_to_do(
    folder: Path, container: str, word: str, name: str
) -> None:
    codec = {"mpegts": "libx264", "mpeg": "mpeg1video", "flv": "flv", "asf": "mpeg4", "avi": "mpeg4"}[container]
    with av.open(str(folder / name), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(40):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode())
    (folder / "a.toml").write_text(little(file=name))
    assert f"it is a film in {word}, which is not played; export it as MP4 with H.264" in read(folder).problems[0]


BAD_MEDIA = [
    ("none.png", "there is no file 'none.png'"),
    ("../secret.png", "'../secret.png' leads out of the folder"),
    ("sub/../../secret.png", "leads out of the folder"),
    ("/etc/passwd", "'/etc/passwd' is not a path beside the campaign file"),
    ("link.png", "'link.png' leads out of the folder"),
    ("linked/secret.png", "leads out of the folder"),
    ("loop.png", "'loop.png' is a link that leads nowhere"),
    ("x" * 300 + ".png", "or too long a name"),
    (".", "there is no file '.'"),
    ("latte.txt", "unknown kind '.txt'"),
    ("empty.png", "it is empty (0 bytes); copy it here again"),
    ("empty.mp4", "it is empty (0 bytes); copy it here again"),
    ("page.mp4", "it is a web page, no picture and no film"),
    ("raw.jpg", "it is a raw photograph; save it as JPEG with the camera's program"),
    ("picture.tga", "unknown kind '.tga'; save it as one of"),
    ("really.png", "it is no picture that is played"),
    ("drawing.png", "it is a drawing (SVG); export it as PNG"),
    ("bomb.png", "3600 million pixels are too many; at most 50 million: save it smaller"),
    ("half.png", "it is damaged or was not copied whole; copy it again"),
    ("fifo.png", "there is no file"),
    ("playlist.mp4", "it cannot be decoded"),
    ("half.mp4", "it cannot be decoded"),
    ("old.mp4", "codec mpeg4 is not played"),
    ("flash.mp4", "it lasts 0.1 s; at least 1, at most 600"),
]


def test_a_medium_that_cannot_be_shown_is_one_line(folder: Path) -> None:
    make_bad_media(folder)
    creatives = "".join(
        f'[[lines.creatives]]\nid = "bad-{n}"\nfile = "{file}"\n' for n, (file, _) in enumerate(BAD_MEDIA)
    )
    (folder / "bad.toml").write_text('advertiser = "a"\ncampaign = "a"\n[[lines]]\nid = "a"\n' + creatives)
    (folder / "good.toml").write_text(little("good"))
    catalogue = read(folder)
    assert [line.id for line in catalogue.lines] == ["good-line"]
    assert len(catalogue.problems) == len(BAD_MEDIA)
    for n, (file, says) in enumerate(BAD_MEDIA):
        (problem,) = (text for text in catalogue.problems if text.startswith(f"bad.toml: creative bad-{n}: "))
        assert says in problem, file
        assert "\n" not in problem


def test_two_films_in_one_file_are_one_to_who_examines_and_none_to_who_guesses(folder: Path) -> None:
    hostile.two_films(folder / "film.mp4")
    hostile.two_films(folder / "other.mp4", b"abcd")
    answers = {path.name: found for path, found in probe([folder / "film.mp4", folder / "other.mp4"]).items()}
    assert (answers["film.mp4"]["container"], answers["film.mp4"]["codec"]) == ("mp4", "h264")
    assert "no film of a known kind" in answers["other.mp4"]["problem"]


def test_a_picture_that_is_slow_by_design_is_refused_at_once(folder: Path) -> None:
    """Decoding it would take 15 s; it has less than 300 KB."""
    path = hostile.slow_jpeg(folder / "latte.jpg", 2400)
    used_s = os.times().children_user
    (found,) = probe([path]).values()
    assert "it is a JPEG in 2401 passes; at most 200: save it anew" in found["problem"]
    assert found["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), "whoever remembers refusals needs it"
    assert os.times().children_user - used_s < 5


def test_a_link_put_in_after_a_file_was_found_is_not_followed(folder: Path) -> None:
    outside = folder.parent / "secret.png"
    Image.new("RGB", (8, 8)).save(outside)
    (folder / "link.png").symlink_to(outside)
    (folder / "inner").symlink_to(folder)
    os.mkfifo(folder / "fifo.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    names = ["link.png", "inner/latte.png", "fifo.png", "zero.png", "latte.png"]
    answers = probe(folder / name for name in names)
    assert ["problem" in answers[folder / name] for name in names] == [True] * 4 + [False]
    assert all(answers[folder / name].get("again") for name in names[:4])
    assert "sha256" not in answers[folder / "link.png"]


def make_bad_media(folder: Path) -> None:
    outside = folder.parent / "secret.png"
    Image.new("RGB", (8, 8)).save(outside)
    (folder / "sub").mkdir()
    (folder / "link.png").symlink_to(outside)
    (folder / "linked").symlink_to(folder.parent)
    (folder / "loop.png").symlink_to(folder / "loop.png")
    (folder / "latte.txt").write_text("hello")
    (folder / "empty.png").touch()
    (folder / "empty.mp4").touch()
    (folder / "page.mp4").write_text("<!DOCTYPE html><html>404</html>")
    (folder / "raw.jpg").write_bytes(b"\0\0\0\x18ftypcrx \0\0\0\1crx isom" + bytes(200))
    Image.new("RGB", (8, 8)).save(folder / "picture.tga")
    (folder / "really.png").write_text("#!/bin/sh\nrm -rf /\n")
    (folder / "drawing.png").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"/>')
    bomb = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    for kind, content in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000_000))), (b"IEND", b"")):
        bomb += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    (folder / "bomb.png").write_bytes(bomb)
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "whole.png")
    (folder / "half.png").write_bytes((folder / "whole.png").read_bytes()[:30_000])
    os.mkfifo(folder / "fifo.png")
    (folder / "playlist.mp4").write_text(f"ffconcat version 1.0\nfile '{outside}'\n")
    film(folder / "whole.mp4")
    (folder / "half.mp4").write_bytes((folder / "whole.mp4").read_bytes()[:200])
    film(folder / "old.mp4", codec="mpeg4")
    film(folder / "flash.mp4", frames=3)


def test_a_file_that_kills_or_hangs_its_examiner_takes_nothing_along(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the place of the decoders: it eats memory, hangs or crashes, as a hostile file might make it."""
    hostile = (
        Path(media.__file__)
        .read_text()
        .replace(
            "def _examine(path: Path, file: BinaryIO) -> dict[str, Any]:",
            "def _examine(path: Path, file: BinaryIO) -> dict[str, Any]:\n"
            "    if 'memory' in path.name: bytearray(64 << 30)\n"
            "    if 'crash' in path.name: os.kill(os.getpid(), signal.SIGSEGV)\n"
            "    if 'hang' in path.name: time.sleep(60)\n"
            "    if 'spin' in path.name:\n"
            "        while True: pass\n"
            "    if 'write' in path.name: open('/tmp/stationcast-written', 'wb').write(b'x' * 9999)\n",
        )
    )
    program = folder.parent / "hostile.py"
    hostile = hostile.replace("WALL_S_MAX = 40.0", "WALL_S_MAX = 12.0").replace("CPU_S_MAX = 20", "CPU_S_MAX = 3")
    program.write_text(hostile)
    monkeypatch.setattr(media, "__file__", str(program))
    names = ["memory", "crash", "hang", "spin", "write", "fine"]
    for name in names:
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    answers = probe(folder / f"{name}.png" for name in names)
    said = {path.stem: answer.get("problem", "") for path, answer in answers.items()}
    assert said["memory"] == "it needs too much memory; save it smaller"
    assert "SIGSEGV" in said["crash"]
    assert "could not be read within 12 s" in said["hang"]
    assert any(end in said["spin"] for end in ("took more than 3 s", "within 12 s"))
    assert "cannot be decoded (OSError" in said["write"]
    assert said["fine"] == ""


def examining(place: Path, monkeypatch: pytest.MonkeyPatch, instead: str) -> dict[str, Any]:
    """Return the answer about a picture where `instead` runs in the place of its decoder."""
    signature = "def _examine(path: Path, file: BinaryIO) -> dict[str, Any]:"
    program = Path(media.__file__).read_text().replace(signature, f"{signature}\n    {instead}")
    (place / "taken.py").write_text(program)
    Image.new("RGB", (8, 8)).save(place / "a.png")
    monkeypatch.setattr(media, "__file__", str(place / "taken.py"))
    return probe([place / "a.png"])[place / "a.png"]


def test_who_examines_a_file_is_shut_in_like_who_decodes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = """
    import ctypes, fcntl, resource
    is_open = [fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}")]
    return {"problem": json.dumps({
        "dumpable": ctypes.CDLL(None).prctl(3),
        "inherited": [fd for fd in is_open if fd > 2 and not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC],
        "open": len(is_open),
        "unfit": open("/proc/self/oom_score_adj").read().strip(),
        "core": resource.getrlimit(resource.RLIMIT_CORE), "written": resource.getrlimit(resource.RLIMIT_FSIZE),
    })}
    """
    told = json.loads(examining(tmp_path, monkeypatch, facts)["problem"])
    assert told.pop("open") == 5, "nothing, three times; its pipe; the file"
    assert told == {"dumpable": 0, "inherited": [], "unfit": "1000", "core": [0, 0], "written": [0, 0]}


LIES = {
    "another content": ("told = {'problem': 'x', 'sha256': '0' * 64, 'cpu_s': -9.0}; return told", "x"),
    "no facts": ("return {'kind': 'image', 'width_px': -1}", "makes no sense"),
    "no answer at all": ("os.write(3, b'[1]\\n' + b'[' * 9999 + b'\\n\\xff\\n{')", "makes no sense"),
    "an end that is none": ("os.close(3); time.sleep(300)", "reading it"),
    "too much": ("[os.write(3, bytes(4096)) for _ in iter(int, 1)]", "told more than there is to tell"),
    "a long story": ("return {'problem': 'x ' * 9999}", "x x x"),
}


@pytest.mark.parametrize("lie", LIES)
def test_whatever_a_decoder_says_that_was_taken_over_is_of_its_own_medium_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    instead, says = LIES[lie]
    found = examining(tmp_path, monkeypatch, instead + "\n    os._exit(0)")
    assert found["sha256"] == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()
    assert says in found["problem"] and len(found["problem"]) < 400 and found["cpu_s"] >= 0
    assert "blocks" not in found


def test_a_read_that_fails_says_nothing_of_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = examining(tmp_path, monkeypatch, "os.close(file.raw._fd); file.raw._kept.clear()")
    assert found["again"] and found["problem"].startswith("it cannot be read now (Bad file descriptor)")


def test_who_examines_a_file_dies_with_who_asked(folder: Path) -> None:
    program = folder.parent / "hangs.py"
    signature = "def _examine(path: Path, file: BinaryIO) -> dict[str, Any]:"
    program.write_text(Path(media.__file__).read_text().replace(signature, f"{signature}\n    time.sleep(60)"))
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    ask = (
        "import sys; from pathlib import Path; from players.ads import examiner, media; media.__file__ = sys.argv[1]; "
    )
    ask += "examiner.probe([Path(sys.argv[2])])"
    command = [sys.executable, "-c", ask, str(program), str(folder / "a.png")]
    asks = psutil.Popen(command, cwd=Path(media.__file__).parents[2])
    wait_for(lambda: len(asks.children(recursive=True)) == 2, "a file that is being examined")
    examine = asks.children(recursive=True)
    asks.kill()
    asks.wait()
    wait_for(lambda: not any(map(lives, examine)), "the end of those who examine it")


def test_a_photograph_with_more_pictures_behind_it_is_a_jpeg(folder: Path) -> None:
    depth = Image.new("L", (16, 9))
    Image.new("RGB", (160, 90)).save(folder / "phone.jpg", "MPO", save_all=True, append_images=[depth])
    (folder / "a.toml").write_text(little(file="phone.jpg"))
    catalogue = read(folder)
    assert catalogue.problems == ()
    assert (catalogue.creatives[0].kind, catalogue.creatives[0].width_px) == ("image", 160)


def test_a_photograph_is_examined_upright_even_if_its_other_notes_are_damaged(folder: Path) -> None:
    Image.new("RGB", (40, 30)).save(folder / "latte.png", exif=BROKEN_EXIF)
    (folder / "a.toml").write_text(little())
    (ad,) = read(folder).creatives
    assert (ad.width_px, ad.height_px) == (30, 40)


def test_what_a_picture_is_its_content_says_and_not_its_name(folder: Path) -> None:
    for name, kind in (("a.png", "JPEG"), ("b.jpg", "AVIF"), ("c.jpg", "PNG"), ("d.mp4", "GIF"), ("e.dat", "WEBP")):
        Image.new("RGB", (16, 9)).save(folder / name, kind)
    film(folder / "film.mp4")
    (folder / "film.mp4").rename(folder / "film.gif")
    answers = {path.name: answer for path, answer in probe(sorted(folder.iterdir())).items()}
    assert {answer["kind"] for name, answer in answers.items() if name != "film.gif"} == {"image"}
    assert answers["film.gif"]["problem"].endswith("rename it to .mp4, .webm or .mkv")
    assert "sha256" not in answers["film.gif"], "under its own name it is good: nothing is remembered of its content"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_corrupted_media_are_refused_or_played_but_never_fatal(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    for suffix in (".png", ".jpg", ".webp", ".gif", ".avif", ".tif"):
        Image.fromarray(noise).save(folder / f"whole{suffix}")
    film(folder / "whole.mp4")
    film(folder / "whole.webm", codec="libvpx-vp9")
    rng = Random(5)
    paths = []
    for whole in sorted(folder.glob("whole.*")):
        content = whole.read_bytes()
        for n in range(60):
            harmed = bytearray(content)
            for _ in range(rng.randrange(1, 20)):
                harmed[rng.randrange(len(harmed))] = rng.randrange(256)
            path = folder / f"harmed-{n}{whole.suffix}"
            path.write_bytes(harmed[: rng.randrange(1, len(harmed))] if n % 3 == 0 else harmed)
            paths.append(path)
    answers = probe(paths)
    assert len(answers) == len(paths)
    assert all("problem" in answer or answer["sha256"] for answer in answers.values())
