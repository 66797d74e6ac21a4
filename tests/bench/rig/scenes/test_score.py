"""Scores of chains, on tracks made by hand."""

import math

import pytest
from msgspec.structs import replace

from bench.rig.scenes.film import Line
from bench.rig.scenes.scene import Seen
from bench.rig.scenes.score import Followed, Score, Told, gender_right, joined, looking_right, recall, score

BOX = (100.0, 100.0, 40.0, 40.0)
SEEN = Seen(0, BOX, 1.0, 0, 0, "F", (20, 29))


def line(t_s: float, *seen: Seen) -> Line:
    return Line(t_s, seen)


def moved(box: tuple[float, float, float, float], x: float) -> tuple[float, float, float, float]:
    return (box[0] + x, *box[1:])


TWO = [line(t / 10, SEEN, replace(SEEN, person=1, box_px=moved(BOX, 300), gender="M")) for t in range(40)]
"""Two people who stand for four seconds."""
RIGHT = [Followed(each.t_s, str(seen.person), seen.box_px, True) for each in TWO for seen in each.truth]
TOLD = [
    Told(id="0", first_s=0, last_s=3.9, face_px=40, gender="F", p_male=0.1, age_years=25.0, attention_s=4.0),
    Told(id="1", first_s=0.5, last_s=3.9, face_px=40, gender="F", p_male=0.4, age_years=36.0, attention_s=3.0),
]


def test_a_chain_that_is_right_scores_so() -> None:
    told = [TOLD[0], replace(TOLD[0], id="1", gender="M", p_male=0.9)]
    right = score(TWO, RIGHT, told, classifier_calls=6, detector_calls=80)
    assert len(right.people) == 2 and right.ids_a_person == 1 and right.switches_of_20 == 0
    assert recall(right.people) == gender_right(right.people) == looking_right(right.people) == right.dwell_right == 1
    assert right.false_of_1000 == 0 and right.calls_a_person == 3 and right.detector_calls_a_frame == 2
    assert all(person.covered == 1 and person.age_error_years == 0 for person in right.people)
    assert [person.attention_error_s for person in right.people] == pytest.approx([0, 0])


def test_wrong_answers_about_a_person_are_counted() -> None:
    wrong = score(TWO, RIGHT, TOLD)
    first, second = wrong.people
    assert first.gender_answer is True and second.gender_answer is False and gender_right(wrong.people) == 0.5
    assert second.age_error_years == 6 and second.dwell_error_s == pytest.approx(-0.5) and wrong.dwell_right == 0.5
    unknown = score(TWO, RIGHT, [TOLD[0], replace(TOLD[1], gender="unknown", p_male=None)])
    assert unknown.people[1].gender_right is None and unknown.people[1].gender_answer is None
    nobody = score(TWO, RIGHT, [])
    assert nobody.dwell_right == 0 and math.isnan(gender_right(nobody.people))


def test_a_new_id_is_a_switch_and_one_more_person_counted() -> None:
    switched = [replace(face, id="2") if face.id == "1" and face.t_s >= 2 else face for face in RIGHT]
    got = score(TWO, switched, [])
    assert got.ids_a_person == 1.5 and got.switches_of_20 == 10 and got.people[1].ids == ("1", "2")
    swapped = [replace(face, id=str(1 - int(face.id))) if face.t_s >= 2 else face for face in RIGHT]
    got = score(TWO, swapped, [])
    assert got.ids_a_person == 1 and got.switches_of_20 == 20


def test_faces_where_nobody_is_are_false_and_count_as_people() -> None:
    ghost = [Followed(t / 10, "9", (800, 300, 40, 40)) for t in range(4)]
    got = score(TWO, [*RIGHT, *ghost], [])
    assert got.false_of_1000 == 100 and got.ids_a_person == 1.5
    huge = [Followed(t / 10, "9", (50, 50, 140, 140)) for t in range(4)]
    assert score(TWO, [*RIGHT, *huge], []).false_faces == 4
    alone = score([line(t / 10) for t in range(40)], ghost, [])
    assert alone.false_of_1000 == 100 and math.isnan(alone.ids_a_person)


def test_who_is_found_late_is_not_found_in_time() -> None:
    late = [face for face in RIGHT if face.t_s > 1.05]
    got = score(TWO, late, [])
    assert recall(got.people) == 0 and got.people[0].covered == pytest.approx(29 / 40)
    assert recall(score(TWO, [face for face in RIGHT if face.t_s == 0.7], []).people) == 1


def test_the_angle_of_a_person_is_that_of_the_second_after_coming_into_view() -> None:
    turned = [line(t / 10, replace(SEEN, yaw_deg=44 if t < 20 else 3)) for t in range(40)]
    assert score(turned, [], []).people[0].away_deg == pytest.approx(44)


def test_who_is_hardly_seen_is_neither_missed_nor_too_many() -> None:
    hidden = [line(each.t_s, *each.truth, replace(SEEN, person=2, box_px=moved(BOX, 600), yaw_deg=60)) for each in TWO]
    assert score(hidden, RIGHT, []).ids_a_person == 1
    also = [Followed(each.t_s, "2", moved(BOX, 600)) for each in hidden]
    got = score(hidden, [*RIGHT, *also], [])
    assert len(got.people) == 2 and got.ids_a_person == 1 and got.false_faces == 0


def test_looking_is_judged_where_it_is_clear_and_followed() -> None:
    turns = [line(t / 10, replace(SEEN, yaw_deg=0 if t < 10 else 18 if t < 20 else 40)) for t in range(40)]
    always = [Followed(each.t_s, "0", BOX, True) for each in turns]
    [person] = score(turns, always, []).people
    assert (person.looking_right, person.looking_asked) == (10, 30), "18 degrees are too near to the limit"
    unasked = [replace(face, looking=None) for face in always]
    assert score(turns, unasked, []).people[0].looking_asked == 0


def test_scores_add_up() -> None:
    one = score(TWO, RIGHT, TOLD, classifier_calls=4, detector_calls=10)
    both: Score = joined([one, one])
    assert len(both.people) == 4 and both.classifier_calls == 8 and both.frames == 80
    assert both.ids_a_person == one.ids_a_person == 1 and len(both.of_width(40)) == 4 and not both.of_width(60)
