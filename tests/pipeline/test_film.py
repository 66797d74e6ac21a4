"""Films: upright, in their makers' colours, every frame at its time, as long as they are."""

import contextlib
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.film import Film
from tests.films import (
    BLUE,
    GREEN,
    RED,
    TO_BT2020,
    TO_P3,
    WHITE,
    coded,
    corners,
    edit,
    give_aperture,
    give_edges,
    near,
    quarters,
    write_film,
    write_numbered,
)

QUARTERS = [RED, GREEN, BLUE, WHITE]
LOSSLESS = {"qp": "0"}


def first_picture(path: Path) -> NDArray[np.uint8]:
    """Return the first frame as it is seen, uint8 RGB [H, W, 3]."""
    with Film(path) as film:
        return film.pixels(next(film.frames()).frame)[..., ::-1]


def length_s(path: Path) -> float:
    with Film(path) as film:
        return film.length_s()


def shown(path: Path) -> list[tuple[float, float, int]]:
    """Return (start, end, mean level) of every frame."""
    with Film(path) as film:
        return [(one.at_s, one.until_s, round(film.pixels(one.frame).mean())) for one in film.frames()]


ORIENTATIONS = st.tuples(st.sampled_from([(1, 0), (0, 1)]), st.sampled_from([-1, 1]), st.sampled_from([-1, 1]))


@settings(max_examples=40)
@given(
    orientation=ORIENTATIONS,
    scale=st.floats(0.2, 4),
    lean=st.lists(st.floats(-0.3, 0.3), min_size=4, max_size=4),
    moved=st.tuples(st.integers(-500, 500), st.integers(-500, 500)),
    suffix=st.sampled_from([".mp4", ".mkv", ".mov"]),
)
def test_every_display_matrix_shows_its_picture_upright(
    tmp_path_factory: pytest.TempPathFactory,
    orientation: tuple[tuple[int, int], int, int],
    scale: float,
    lean: list[float],
    moved: tuple[int, int],
    suffix: str,
) -> None:
    """The eight turns and mirrors, of any size, moved, and leaning a little."""
    (straight, crossed), across, down = orientation
    step = np.array([[straight * across, crossed * across], [crossed * down, straight * down]])
    if suffix == ".mkv":  # it holds angles and mirrors only
        scale, lean, moved = 1.0, [0.0] * 4, (0, 0)
    (a, b), (c, d) = np.round(scale * (step + np.reshape(lean, (2, 2))) * 65536).astype(int)
    path = tmp_path_factory.mktemp("film") / f"film{suffix}"
    seen = quarters(64, 48)
    # The stored picture goes through the matrix to be seen: a step to the right becomes the step (a, b), and so on.
    stored = seen
    if across == -1:
        stored = stored[:, ::-1] if straight else stored[::-1]
    if down == -1:
        stored = stored[::-1] if straight else stored[:, ::-1]
    if crossed:
        stored = stored.swapaxes(0, 1)
    matrix = (a, b, 0, c, d, 0, moved[0] * 65536, moved[1] * 65536, 1 << 30)
    write_film(path, [coded(stored)] * 2, options=LOSSLESS, display_matrix=[int(part) for part in matrix])
    picture = first_picture(path)
    assert picture.shape == (48, 64, 3)
    assert near(corners(picture), QUARTERS)


TAGS = [
    # matrix that the film was made with, height, its tags
    (1, 720, (2, 0, 2, 2)),
    (1, 720, (2, 1, 1, 1)),
    (6, 718, (2, 0, 2, 2)),
    (6, 96, (2, 1, 2, 2)),
    (1, 96, (1, 0, 2, 2)),
    (5, 720, (5, 0, 2, 2)),
    (6, 720, (6, 1, 6, 6)),
    (7, 96, (7, 0, 2, 2)),
    (9, 96, (9, 1, 1, 1)),
]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "lines", "tags"), TAGS)
def test_a_matrix_and_a_range_are_those_of_the_tags_or_those_of_the_size(
    tmp_path: Path, matrix: int, lines: int, tags: tuple[int, int, int, int], full: bool
) -> None:
    tags = (tags[0], 2, *tags[2:]) if full else tags
    film = coded(quarters(96, lines), matrix, full_range=full)
    write_film(tmp_path / "film.mp4", [film] * 2, options=LOSSLESS, tags=tags)
    assert near(corners(first_picture(tmp_path / "film.mp4")), QUARTERS, 5)


@pytest.mark.parametrize("lines", [94, 720])
def test_a_film_stored_as_rgb_has_no_matrix(tmp_path: Path, lines: int) -> None:
    picture = av.VideoFrame.from_ndarray((255 * quarters(96, lines)).astype(np.uint8), format="rgb24")
    write_film(tmp_path / "film.mkv", [picture.reformat(format="gbrp")] * 2, "libvpx-vp9", options={"lossless": "1"})
    assert near(corners(first_picture(tmp_path / "film.mkv")), QUARTERS, 3)


def to_pq(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the PQ signal for linear light, 1 for 203 cd/m2 (ITU-R BT.2100)."""
    power = (203 * light / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def to_hlg(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the HLG signal for linear light, 1 for 203 cd/m2 on a display of 1000 (ITU-R BT.2100)."""
    scene = (0.203 * light) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def to_srgb(light: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def to_light(srgb: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


WIDE = {
    "PQ": (to_pq, TO_BT2020, 9, (9, 1, 9, 16)),
    "PQ of full range": (to_pq, TO_BT2020, 9, (9, 2, 9, 16)),
    "PQ without primaries and matrix": (to_pq, TO_BT2020, 9, (2, 1, 2, 16)),
    "HLG": (to_hlg, TO_BT2020, 9, (9, 1, 9, 18)),
    "HLG in P3": (to_hlg, TO_P3, 1, (1, 1, 12, 18)),
    "BT.2020 of SDR": (to_srgb, TO_BT2020, 9, (9, 1, 9, 14)),
    "Display P3": (to_srgb, TO_P3, 1, (1, 1, 12, 13)),
    "linear light": (lambda light: light, np.eye(3), 1, (1, 1, 1, 8)),
}


@pytest.mark.parametrize(
    ("size", "kind"),
    [
        *(((96, 64), kind) for kind in WIDE),
        ((1280, 720), "PQ without primaries and matrix"),
        *(pytest.param((1280, 720), kind, marks=pytest.mark.slow) for kind in WIDE if "without" not in kind),
    ],
)
def test_wide_colours_and_hdr_are_shown_as_an_ordinary_screen_shows_them(
    tmp_path: Path, kind: str, size: tuple[int, int]
) -> None:
    """Four quarters, then four of paler and darker colours, as their maker saw them in SDR."""
    encode, primaries, matrix, tags = WIDE[kind]
    for number, seen in enumerate((quarters(*size), 0.15 + 0.6 * quarters(*size))):
        signal = encode(to_light(seen) @ primaries.T)
        path = tmp_path / f"film{number}.mkv"
        write_film(
            path,
            [coded(signal, matrix, tags[1] == 2, 10)] * 2,
            "libx265",
            tags=tags,
            options={"x265-params": "log-level=0:lossless=1:bframes=0"},
        )
        with Film(path) as film:
            picture = film.pixels(next(film.frames()).frame)[..., ::-1]
        meant = [tuple(round(255 * part) for part in colour) for colour in corners_of(seen)]
        assert near(corners(picture), meant, 20), (kind, number)


def corners_of(picture: NDArray[np.float64]) -> list[tuple[float, ...]]:
    height, width = picture.shape[:2]
    return [tuple(picture[y, x]) for y in (height // 4, -height // 4) for x in (width // 4, -width // 4)]


@pytest.mark.parametrize("encode", [to_pq, to_hlg])
def test_light_beyond_white_is_white_and_black_is_black(tmp_path: Path, encode: object) -> None:
    light = np.ones((64, 96, 3)) * np.linspace(0, 4, 96)[None, :, None]
    light[:, :24] = 0
    tags = (9, 1, 9, 16 if encode is to_pq else 18)
    write_film(
        tmp_path / "film.mkv",
        [coded(encode(light), 9, bits=10)] * 2,
        "libx265",
        tags=tags,
        options={"x265-params": "log-level=0:bframes=0"},
    )  # type: ignore[operator]
    picture = first_picture(tmp_path / "film.mkv")
    assert picture[:, :20].max() <= 3
    assert picture[:, 50:].min() >= 252


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("codec", ["libvpx-vp9", "prores_ks"])
def test_a_transparent_film_lies_over_black(tmp_path: Path, codec: str, level: float) -> None:
    film = tmp_path / ("film.webm" if codec == "libvpx-vp9" else "film.mov")
    picture = av.VideoFrame.from_ndarray(
        np.dstack([(255 * quarters(96, 64)).astype(np.uint8), np.full((64, 96), round(255 * level), np.uint8)]),
        format="rgba",
    )
    pix_fmt, options = ("yuva420p", {}) if codec == "libvpx-vp9" else ("yuva444p10le", {"profile": "4444"})
    write_film(film, [picture.reformat(format=pix_fmt)] * 3, codec, options=options)
    meant = [tuple(round(level * part) for part in colour) for colour in QUARTERS]
    assert near(corners(first_picture(film)), meant, 8)
    with Film(film) as opened:
        assert opened.notes(next(opened.decoded())) == ["laid over black"]
        assert len(list(opened.frames())) >= 2


@pytest.mark.parametrize("size", [(63, 35), (64, 35), (35, 64), (17, 17), (2, 2)])
@pytest.mark.parametrize(
    "display_matrix", [None, (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30), (-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)]
)
def test_odd_sizes_are_shown_to_their_edges(
    tmp_path: Path, size: tuple[int, int], display_matrix: tuple[int, ...] | None
) -> None:
    picture = np.full((size[1], size[0], 3), 0.5)
    frame = av.VideoFrame.from_ndarray((255 * picture).astype(np.uint8), format="rgb24").reformat(format="yuv420p")
    write_film(tmp_path / "film.webm", [frame] * 2, "libvpx-vp9") if display_matrix is None else None
    if display_matrix is not None:
        write_film(tmp_path / "film.mkv", [frame] * 2, "libvpx-vp9", display_matrix=display_matrix)
    seen = first_picture(next(tmp_path.glob("film.*")))
    assert seen.shape[:2] in (size, size[::-1])
    assert np.abs(seen.astype(int) - 127).max() < 12


@pytest.mark.parametrize("ratio", [Fraction(2), Fraction(1, 2), Fraction(16, 11)])
@pytest.mark.parametrize("crossed", [False, True])
def test_pixels_that_are_not_square_are_made_square(tmp_path: Path, ratio: Fraction, crossed: bool) -> None:
    matrix = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30) if crossed else None
    write_film(tmp_path / "film.mp4", [coded(quarters(88, 64))] * 2, ratio=ratio, display_matrix=matrix)
    wide = round(88 * ratio)
    assert first_picture(tmp_path / "film.mp4").shape == ((wide, 64, 3) if crossed else (64, wide, 3))


@pytest.mark.parametrize("crossed", [False, True])
def test_edges_that_are_not_meant_to_be_seen_are_cut_off(tmp_path: Path, crossed: bool) -> None:
    """Quarters within a frame of grey: 8 px at the left, 24 at the right, 4 above, 12 below."""
    stored = np.full((64, 96, 3), 0.5)
    stored[4:52, 8:72] = quarters(64, 48)
    matrix = (0, 65536, 0, 65536, 0, 0, 0, 0, 1 << 30) if crossed else None
    write_film(tmp_path / "film.mp4", [coded(stored)] * 2, options=LOSSLESS, display_matrix=matrix)
    give_aperture(tmp_path / "film.mp4", b"avc1", (64, 48), (-8, -4))
    picture = first_picture(tmp_path / "film.mp4")
    assert picture.shape == ((64, 48, 3) if crossed else (48, 64, 3))
    assert near(corners(picture), [RED, BLUE, GREEN, WHITE] if crossed else QUARTERS)
    with Film(tmp_path / "film.mp4") as film:
        assert "cut to 64 x 48 px" in film.notes(next(film.decoded()))


def test_edges_of_a_matroska_film_are_cut_off_too(tmp_path: Path) -> None:
    stored = np.full((64, 96, 3), 0.5)
    stored[4:52, 32:] = quarters(64, 48)
    write_film(tmp_path / "film.mkv", [coded(stored)] * 2, options=LOSSLESS)
    give_edges(tmp_path / "film.mkv", 32, 4, 12)
    picture = first_picture(tmp_path / "film.mkv")
    assert picture.shape == (48, 64, 3)
    assert near(corners(picture), QUARTERS)


def between_lines(picture: NDArray[np.uint8]) -> float:
    """Return the mean difference of neighbouring lines."""
    return float(np.abs(np.diff(picture.astype(int), axis=0)).mean())


@pytest.mark.parametrize("top_first", [True, False])
def test_interlaced_frames_are_made_whole_and_others_left_alone(tmp_path: Path, top_first: bool) -> None:
    """A bar that moves 6 px a field, as its fields were taken; then the same film said to be progressive."""
    fields = []
    for n in range(24):
        field = np.full((128, 192), 40, np.uint8)
        field[:, 8 + 6 * n : 28 + 6 * n] = 200
        fields.append(field)
    frames = []
    for n in range(12):
        woven = fields[2 * n].copy()
        late = slice(1, None, 2) if top_first else slice(0, None, 2)
        woven[late] = fields[2 * n + 1][late]
        frames.append(av.VideoFrame.from_ndarray(np.dstack([woven] * 3), format="rgb24").reformat(format="yuv420p"))
    params = "tff=1" if top_first else "bff=1"
    write_film(tmp_path / "fields.mp4", frames, options={"crf": "1", "x264-params": params})
    write_film(tmp_path / "frames.mp4", frames, options={"crf": "1"})
    combed, whole = (pictures_of(tmp_path / name) for name in ("frames.mp4", "fields.mp4"))
    assert len(whole) == len(combed) == 12
    assert np.mean([between_lines(one) for one in whole]) < 0.3 * np.mean([between_lines(one) for one in combed])
    times = [time_s for one in shown(tmp_path / "fields.mp4") for time_s in one[:2]]
    assert times == pytest.approx([(n + end) / 10 for n in range(12) for end in (0, 1)], abs=0.002)
    with Film(tmp_path / "fields.mp4") as film:
        assert film.notes(next(film.decoded())) == ["deinterlaced"]


def pictures_of(path: Path) -> list[NDArray[np.uint8]]:
    with Film(path) as film:
        return [film.pixels(one.frame) for one in film.frames()]


TIMES_MS = st.lists(st.integers(20, 3000), min_size=1, max_size=12)


@settings(max_examples=25)
@given(gaps_ms=TIMES_MS, kind=st.sampled_from([(".mp4", "libx264"), (".mkv", "libx264"), (".webm", "libvpx-vp9")]))
def test_a_film_is_as_long_as_its_frames_at_any_times(
    tmp_path_factory: pytest.TempPathFactory, gaps_ms: list[int], kind: tuple[str, str]
) -> None:
    """Slides, one frame, variable rates: each gap is the time of one frame."""
    path = tmp_path_factory.mktemp("film") / f"film{kind[0]}"
    starts_ms = [sum(gaps_ms[:n]) for n in range(len(gaps_ms))]
    frame = coded(quarters(32, 32)).reformat(format="yuv420p")
    write_film(
        path,
        [frame] * len(gaps_ms),
        kind[1],
        times_s=[start / 1000 for start in starts_ms],
        last_s=gaps_ms[-1] / 1000,
        options={"bf": "0"} if kind[1] == "libx264" else {},
    )
    meant = [time / 1000 for start, gap in zip(starts_ms, gaps_ms, strict=True) for time in (start, start + gap)]
    assert length_s(path) == pytest.approx(sum(gaps_ms) / 1000, abs=0.002)
    assert [time_s for one in shown(path) for time_s in one[:2]] == pytest.approx(meant, abs=0.002)


PARTS = st.lists(st.tuples(st.integers(0, 35), st.integers(1, 10)), min_size=1, max_size=3)


@settings(max_examples=25)
@given(parts=PARTS, pause=st.integers(0, 20), b_frames=st.sampled_from(["0", "3"]))
def test_a_film_is_what_its_edit_list_shows_of_it(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int]], pause: int, b_frames: str
) -> None:
    """Any parts of a film of 40 frames, in any order, also again, with a pause before; a part may lack its end."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    write_numbered(path, 40, options={"crf": "1", "bf": b_frames, "g": "12"})
    edit(path, [*([(-1.0, pause / 10)] if pause else []), *((start / 10, length / 10) for start, length in parts)])
    meant = [20 + 2 * n for start, length in parts for n in range(start, min(start + length, 40))]
    found = shown(path)
    assert [level for _, _, level in found] == pytest.approx(meant, abs=1)
    assert length_s(path) == pytest.approx(len(meant) / 10, abs=0.01)
    if all(start + length <= 40 for start, length in parts):
        times = [time_s for one in found for time_s in one[:2]]
        assert times == pytest.approx([(n + end) / 10 for n in range(len(meant)) for end in (0, 1)], abs=0.002)


def test_a_part_may_begin_and_end_within_a_frame(tmp_path: Path) -> None:
    """Slides of 3 s; shown is from 1 s to 8 s, then 5 s of the first."""
    write_numbered(tmp_path / "film.mp4", 3, times_s=[0, 3, 6], last_s=3)
    edit(tmp_path / "film.mp4", [(1, 7), (0.5, 2)])
    assert length_s(tmp_path / "film.mp4") == pytest.approx(9, abs=0.01)
    assert np.array(shown(tmp_path / "film.mp4")) == pytest.approx(
        np.array([(0, 2, 19), (2, 5, 21), (5, 7, 23), (7, 9, 19)]), abs=1
    )


def test_a_slide_that_its_edit_list_cuts_short_is_as_long_as_the_list_says(tmp_path: Path) -> None:
    write_numbered(tmp_path / "film.mp4", 1, last_s=5)
    assert length_s(tmp_path / "film.mp4") == 5
    edit(tmp_path / "film.mp4", [(0, 2)])
    assert length_s(tmp_path / "film.mp4") == 2
    assert [one[:2] for one in shown(tmp_path / "film.mp4")] == [(0, 2)]


@pytest.mark.parametrize("factor", [10, 0.1])
def test_the_length_that_a_header_says_is_not_believed(tmp_path: Path, factor: float) -> None:
    write_numbered(tmp_path / "film.mp4", 40)
    film = bytearray((tmp_path / "film.mp4").read_bytes())
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = film.find(box) + offset
        film[at : at + 4] = struct.pack(">I", round(struct.unpack(">I", film[at : at + 4])[0] * factor))
    (tmp_path / "film.mp4").write_bytes(film)
    assert length_s(tmp_path / "film.mp4") == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize(
    ("suffix", "codec", "muxing"),
    [
        (".webm", "libvpx-vp9", {"live": "1"}),
        (".mkv", "libx264", {"live": "1"}),
        (".mp4", "libx264", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ],
)
def test_a_recording_without_a_length_is_as_long_as_its_frames(
    tmp_path: Path, suffix: str, codec: str, muxing: dict[str, str]
) -> None:
    """Browsers and broadcasting programs write such files."""
    write_numbered(tmp_path / f"film{suffix}", 40, codec, muxing=muxing)
    assert length_s(tmp_path / f"film{suffix}") == pytest.approx(4, abs=0.01)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_film_that_was_copied_by_half_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"film{suffix}"
    muxing = {"movflags": "faststart"} if suffix == ".mp4" else {}
    write_numbered(path, 40, "libvpx-vp9" if suffix == ".webm" else "libx264", muxing=muxing)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(ValueError, match="it ends in the middle"):
        length_s(path)


DAMAGES = st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=8)), max_size=6)


@settings(max_examples=60)
@given(kind=st.sampled_from([".mp4", ".mkv"]), places=DAMAGES, kept=st.floats(0.05, 1))
def test_a_damaged_film_is_an_error_that_is_known_or_plays(
    tmp_path_factory: pytest.TempPathFactory, kind: str, places: list[tuple[float, bytes]], kept: float
) -> None:
    path = tmp_path_factory.mktemp("film") / f"film{kind}"
    write_numbered(path, 5)
    if kind == ".mp4":
        edit(path, [(0.1, 0.2), (0.0, 0.3)])
    content = bytearray(path.read_bytes())
    for place, what in places:
        at = round(place * len(content))
        content[at : at + len(what)] = what
    path.write_bytes(content[: round(kept * len(content))])
    for look in (length_s, shown):
        with contextlib.suppress(av.FFmpegError, OSError, ValueError):
            look(path)


CASES = {
    # file: length in s, what is done to it, and its corners from the top left
    "browser_live.webm": (8.0, [], None),
    "half_second.mp4": (0.5, [], None),
    "hflip.mp4": (2.0, ["mirrored"], [GREEN, RED, WHITE, BLUE]),
    "vflip.mp4": (2.0, ["mirrored upside down"], [BLUE, WHITE, RED, GREEN]),
    "transpose.mp4": (2.0, ["turned by 90 degrees and mirrored"], [RED, BLUE, GREEN, WHITE]),
    "hlg2020.mp4": (2.0, ["HDR (HLG, BT.2020) shown as SDR, sRGB"], QUARTERS),
    "pq2020.mp4": (2.0, ["HDR (PQ, BT.2020) shown as SDR, sRGB"], QUARTERS),
    "real_interlaced.mp4": (1.2, ["deinterlaced"], None),
}


@pytest.mark.parametrize("name", CASES)
def test_films_that_people_brought(shared_dir: Path, name: str) -> None:
    path = shared_dir / "cases/films" / name
    length, done, colours = CASES[name]
    assert length_s(path) == pytest.approx(length, abs=0.01)
    with Film(path) as film:
        assert film.notes(next(film.decoded())) == done
    if colours is not None:
        assert near(corners(first_picture(path)), colours, 20)


def test_the_lines_of_a_real_interlaced_film_fit_together(shared_dir: Path) -> None:
    path = shared_dir / "cases/films/real_interlaced.mp4"
    with av.open(str(path)) as container:
        combed = [between_lines(frame.to_ndarray(format="bgr24")) for frame in container.decode(video=0)]
    whole = [between_lines(picture) for picture in pictures_of(path)]
    assert len(whole) == len(combed) == 30
    assert np.mean(whole) / np.mean(combed) < 0.65


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("shown", [0, 1])
def test_of_several_videos_the_one_is_shown_that_the_file_marks(tmp_path: Path, suffix: str, shown: int) -> None:
    levels = (60, 180)
    with av.open(str(tmp_path / f"film{suffix}"), "w") as file:
        streams = [file.add_stream("libx264", rate=10) for _ in levels]
        for number, stream in enumerate(streams):
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.disposition = Disposition.default if number == shown else Disposition(0)
        for stream, level in zip(streams, levels, strict=True):
            for n in range(10):
                grey = np.full((48, 64, 3), level, np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
                frame.pts = n
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
    assert first_picture(tmp_path / f"film{suffix}").mean() == pytest.approx(levels[shown], abs=4)
