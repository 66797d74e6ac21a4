"""Tracks: who is whom from frame to frame, at any rate, and for how long."""

import numpy as np
import pytest

from models.detector import DetectedFace
from stages.detect.tracks import Tracks
from tests.stages.detect import walkers

SIZE_PX = (walkers.WIDTH_PX, walkers.HEIGHT_PX)
SECOND_NS = 1_000_000_000


def face(x_px: float, y_px: float = 500, width_px: float = 50, score: float = 0.9) -> DetectedFace:
    """A face with its middle at (x, y)."""
    return DetectedFace((x_px - width_px / 2, y_px - width_px / 2, width_px, width_px), score, ())


def scored(fps: float = 10, **simulation: float) -> walkers.Score:
    tracks = Tracks(fps)
    return walkers.score(
        lambda frame, t_ns: tracks.follow(frame.found, t_ns, SIZE_PX),
        walkers.frames(fps=fps, **simulation),  # type: ignore[arg-type]
    )


def test_three_walkers_are_counted_once_each_for_as_long_as_they_are_there() -> None:
    score = scored(people=3, seconds=150)
    assert score.tracked == score.people > 60
    assert score.switches <= score.people / 20
    assert 0.95 <= score.ids / score.people <= 1.05
    assert score.dwell_right >= 0.95


def test_ten_walkers_who_cross_all_the_time_are_counted_right() -> None:
    score = scored(people=10, seconds=60)
    assert score.people - 1 <= score.tracked and score.people > 80
    assert 0.95 <= score.ids / score.people <= 1.05
    assert score.switches <= score.people / 4


def test_what_is_never_more_than_likely_a_face_is_nobody() -> None:
    """The back of a head, which the detector takes for a face of little certainty in frame after frame."""
    tracks = Tracks()
    scores = [0.6, 0.65, 0.55, 0.67, 0.66, 0.6]
    for i, score in enumerate(scores):
        [somebody] = tracks.follow([face(900, score=score)], 1 + i * SECOND_NS // 10, SIZE_PX)
        assert somebody and not somebody.believed
    [somebody] = tracks.follow([face(900, score=0.8)], 1 + len(scores) * SECOND_NS // 10, SIZE_PX)
    assert somebody and somebody.believed


@pytest.mark.parametrize(("fps", "away_s"), [(30, 1.4), (10, 1.4), (2, 1.0)])
def test_somebody_who_is_not_found_for_a_while_keeps_his_id(fps: float, away_s: float) -> None:
    tracks = Tracks(fps)
    times_ns = [int(i / fps * SECOND_NS) + 1 for i in range(int(2 * fps))]
    for t_ns in times_ns:
        [before] = tracks.follow([face(900 + 100 * t_ns / SECOND_NS)], t_ns, SIZE_PX)
    back_ns = times_ns[-1] + int(away_s * SECOND_NS)
    [after] = tracks.follow([face(900 + 100 * back_ns / SECOND_NS)], back_ns, SIZE_PX)
    assert before and after is before and before.believed


def test_somebody_who_is_not_found_for_longer_is_somebody_else_when_he_comes_back() -> None:
    tracks = Tracks()
    for i in range(10):
        [before] = tracks.follow([face(900)], 1 + i * SECOND_NS // 10, SIZE_PX)
    for i in range(10, 26):
        tracks.follow([], 1 + i * SECOND_NS // 10, SIZE_PX)
    [after] = tracks.follow([face(900)], 1 + 26 * SECOND_NS // 10, SIZE_PX)
    assert before and after and after.id != before.id


def test_who_stands_where_he_stood_is_the_same_at_one_frame_in_ten_seconds_and_others_are_others() -> None:
    tracks = Tracks(0.1)
    [first] = tracks.follow([face(900)], 1, SIZE_PX)
    second = tracks.follow([face(1400), face(910)], 1 + 10 * SECOND_NS, SIZE_PX)
    third = tracks.follow([face(915), face(600)], 1 + 20 * SECOND_NS, SIZE_PX)
    assert first and first.believed and second[1] is first is third[0]
    assert len({track.id for track in (*second, *third) if track}) == 3


def test_a_face_is_not_believed_in_at_once_because_the_camera_was_away() -> None:
    tracks = Tracks()
    for i in range(20):
        tracks.follow([], 1 + i * SECOND_NS // 10, SIZE_PX)
    for i in range(3):
        [somebody] = tracks.follow([face(300 + 500 * i, score=0.75)], (3600 + i) * SECOND_NS // 10, SIZE_PX)
        assert somebody and not somebody.believed


def test_two_frames_a_second_are_seldom_also_where_they_come_unevenly() -> None:
    tracks = Tracks(2)
    for i in range(20):
        tracks.follow([], 1 + i * SECOND_NS // 2 + i % 2 * SECOND_NS // 50, SIZE_PX)
        assert tracks.seldom


def test_a_rate_that_falls_is_taken_in() -> None:
    tracks = Tracks()
    for i in range(20):
        tracks.follow([], 1 + i * SECOND_NS, SIZE_PX)
    [somebody] = tracks.follow([face(900)], 20 * SECOND_NS, SIZE_PX)
    assert somebody and somebody.believed


def test_two_who_cross_keep_their_ids() -> None:
    tracks = Tracks()
    for i in range(20):
        left, right = 600 + 40.0 * i, 1400 - 40.0 * i
        # while they pass each other the nearer one, whose face is larger, hides the other
        seen = [face(left, 500, 60)] + ([face(right, 492, 52)] if abs(left - right) > 60 else [])
        followed = tracks.follow(seen, 1 + i * SECOND_NS // 10, SIZE_PX)
        if i == 0:
            first = followed
    assert [track.id for track in followed if track] == [track.id for track in first if track]


def test_a_face_that_seems_smaller_while_it_turns_away_is_the_same_when_it_turns_back() -> None:
    """The widths and scores of a face of 41 px that turned by 69 degrees in a scene."""
    tracks = Tracks()
    away = [(29, 0.51), (23, 0.32), (22, 0.39), (32, 0.47), (22, 0.43), (23, 0.47), (29, 0.34)]
    whose = [
        tracks.follow([face(900, 500, width_px, score)], 1 + i * SECOND_NS // 10, SIZE_PX)
        for i, (width_px, score) in enumerate([(41, 0.85)] * 10 + away + [(38, 0.8)])
    ]
    assert whose[-1] == whose[0]


def test_who_stops_before_another_is_still_himself_and_leaves_the_other_his_id() -> None:
    """The middles and widths of faces in a scene: one walks up to another who stands, and covers him."""
    tracks = Tracks()
    walks = [(792, 71), (730, 73), (668, 72), (606, 73), (544, 73), (482, 77), (419, 66), (357, 72), (294, 70)]
    stands = [(252, 78), (253, 75), (250, 65), (251, 74), (251, 72)]
    nearer = []
    for i, (near_px, width_px) in enumerate(walks + stands):
        seen = [face(near_px, 272, width_px, 0.75)] + ([face(257, 268, 57)] if i < len(walks) else [])
        nearer.append(tracks.follow(seen, 1 + i * SECOND_NS // 10, SIZE_PX)[0])
    assert nearer[0] and nearer == [nearer[0]] * len(nearer)


def test_a_poor_face_beside_that_of_somebody_who_has_turned_away_is_not_his() -> None:
    tracks = Tracks()
    for i in range(10):
        [before] = tracks.follow([face(900)], 1 + i * SECOND_NS // 10, SIZE_PX)
    for i in range(10, 15):
        tracks.follow([], 1 + i * SECOND_NS // 10, SIZE_PX)
    coat, poor = face(880, 520, 34, score=0.4), face(905, 502, 46, score=0.4)
    assert before and before not in tracks.follow([coat], 1 + 15 * SECOND_NS // 10, SIZE_PX)
    assert before in tracks.follow([poor], 1 + 16 * SECOND_NS // 10, SIZE_PX)


def test_what_looks_like_a_face_now_and_then_is_nobody_and_a_face_that_is_missed_now_and_then_is_somebody() -> None:
    for found_in, believed in (((0,), False), ((0, 1, 3), True)):
        tracks = Tracks()
        for i in range(40):
            seen = [face(900, score=0.7)] if i % 4 in found_in else []
            tracks.follow(seen, 1 + i * SECOND_NS // 10, SIZE_PX)
        assert tracks.people == believed


def test_one_poor_face_is_nobody_yet() -> None:
    tracks = Tracks()
    [track] = tracks.follow([face(900, score=0.55)], 1, SIZE_PX)
    assert track and not track.believed
    [track] = tracks.follow([face(900, score=0.55)], 1 + SECOND_NS // 10, SIZE_PX)
    assert track and not track.believed
    [track] = tracks.follow([face(900, score=0.85)], 1 + 2 * SECOND_NS // 10, SIZE_PX)
    assert track and track.believed and track.since_ns == 1


def test_a_second_box_of_one_face_is_nobody() -> None:
    tracks = Tracks()
    first, second = tracks.follow([face(900), face(908, 506, 58, 0.6)], 1, SIZE_PX)
    assert first and second is None


def test_whoever_leaves_the_picture_leaves_his_id_to_nobody() -> None:
    tracks = Tracks()
    for i in range(10):
        [before] = tracks.follow([face(1900 - 50 * (9 - i))], 1 + i * SECOND_NS // 10, SIZE_PX)
    tracks.follow([], 1 + SECOND_NS, SIZE_PX)
    [after] = tracks.follow([face(1890)], 1 + 11 * SECOND_NS // 10, SIZE_PX)
    assert before and after and after.id != before.id


def test_ids_are_random() -> None:
    ids = set()
    for _ in range(50):
        [track] = Tracks().follow([face(900)], 1, SIZE_PX)
        assert track
        ids.add(track.id)
    assert len(ids) == 50 and len(np.unique([len(each) for each in ids])) == 1
