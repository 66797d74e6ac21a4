"""Presence of people: since when, until when, how many at most."""

import secrets

import msgspec

from pipeline.messages import MAX_FACES
from tests.stages.people.sightings import (
    ANN,
    BEN,
    CEM,
    MS,
    S,
    answer,
    answered,
    camera_of,
    face,
    presence,
    told,
)


def test_a_person_is_there_since_he_was_first_found_and_until_he_is_missed_for_too_long() -> None:
    who = presence()
    (ann,) = told(who, 10_300 * MS, face(ANN, since_ns=10 * S))
    assert (ann.since_ns, ann.seen_ns) == (10 * S, 10_300 * MS)
    for n in range(15):
        (ann,) = told(who, 10_400 * MS + n * 100 * MS)
        assert (ann.track, ann.seen_ns) == (ANN, 10_300 * MS)
    assert told(who, 11_900 * MS) == []
    (visit,) = who.left()
    assert (visit.person.since_ns, visit.person.seen_ns, visit.found) == (10 * S, 10_300 * MS, 1)


def test_a_gap_that_is_bridged_ends_no_stay_and_a_longer_one_does() -> None:
    who = presence()
    told(who, 10 * S, face(ANN))
    told(who, 11 * S)
    (ann,) = told(who, 11_400 * MS, face(ANN))
    assert ann.since_ns == 10 * S and who.left() == []
    told(who, 13 * S)
    (ann,) = told(who, 13_100 * MS, face(ANN))
    assert ann.since_ns == 13_100 * MS


def test_two_people_are_two_and_each_has_the_answers_about_himself() -> None:
    who = presence()
    told(who, 10 * S, face(ANN), face(BEN), answers=[answer(1, p_male=0.95)])
    ann, ben = told(who, 10_100 * MS, face(ANN), face(BEN), answers=[answer(0)])
    assert (ann.gender, ann.decade, ann.answers) == ("F", 2, 1)
    assert (ben.gender, ben.decade, ben.answers) == ("M", 2, 1)
    assert ann.p_minor is not None and 0 < ann.p_minor < 0.1


def test_nobody_who_was_not_asked_about_is_known() -> None:
    (ann,) = told(presence(), 10 * S, face(ANN))
    assert (ann.gender, ann.age_years, ann.decade, ann.p_minor, ann.answers) == ("unknown", None, None, None, 0)


def test_a_frame_that_comes_late_tells_nothing_new_of_who_is_there_but_its_answers_count() -> None:
    who = presence()
    told(who, 10_200 * MS, face(ANN))
    assert who.take(answered(10_100 * MS, face(ANN), face(BEN), answers=[answer(0)])) is None
    people = told(who, 10_300 * MS, face(ANN))
    ann, ben = people
    assert (ann.gender, ann.since_ns) == ("F", 10_100 * MS)
    assert (ben.track, ben.seen_ns) == (BEN, 10_100 * MS)
    assert who.take(answered(8 * S, face(CEM))) is None
    assert len(told(who, 10_400 * MS, face(ANN))) == 2


def test_a_capture_process_that_begins_to_count_anew_loses_nobody() -> None:
    who = presence()
    told(who, 10 * S, face(ANN))
    again = answered(10_500 * MS, face(ANN))
    assert who.take(msgspec.structs.replace(again, seq=1))  # the time of a frame goes on, its number does not


def test_faces_that_nobody_follows_are_those_of_the_newest_frame() -> None:
    who = presence()
    assert len(told(who, 10 * S, face(""), face(""), answers=[answer(1)])) == 2
    (loose,) = told(who, 10_100 * MS, face(""), answers=[answer(0)])
    assert (loose.gender, loose.since_ns, loose.seen_ns) == ("F", 10_100 * MS, 10_100 * MS)
    assert told(who, 10_200 * MS) == []


def test_of_a_slow_camera_the_newest_frame_holds_until_the_next_is_overdue() -> None:
    who = presence(camera_of(fps=0.1))
    for n in range(3):
        audience = who.take(answered((10 + 10 * n) * S, face(ANN)))
        assert audience is not None and audience.lasts_ms == 15_000
    (ann,) = audience.people
    assert ann.since_ns == 10 * S
    assert told(who, 40 * S) == []


def test_a_camera_whose_frames_come_more_rarely_than_wanted_holds_longer_and_after_an_outage_does_not() -> None:
    who = presence(camera_of(fps=10))
    lasts = []
    for at_s in (10, 14, 18, 19, 20, 60, 60.1):
        audience = who.take(answered(round(at_s * S), face(ANN)))
        assert audience is not None
        lasts.append(audience.lasts_ms)
    assert lasts == [2000, 2000, 6000, 2000, 2000, 2000, 2000]


def test_where_a_search_takes_long_a_frame_holds_until_the_next_is_told() -> None:
    who = presence(camera_of(fps=10))
    for at_s in (10, 13, 16):
        frame = answered(at_s * S, face(ANN))
        audience = who.take(msgspec.structs.replace(frame, classified_ns=(at_s + 3) * S))
    assert audience is not None and audience.lasts_ms == 7500


def test_no_camera_holds_for_longer_than_a_minute() -> None:
    audience = presence(camera_of(fps=0.001)).take(answered(10 * S))
    assert audience is not None and audience.lasts_ms == 60_000


def test_of_too_many_people_those_found_last_are_kept_and_memory_stays_bounded() -> None:
    who = presence()
    for n in range(30):
        faces = [face(secrets.token_hex(8)) for _ in range(MAX_FACES)]
        people = told(who, 10 * S + n * 10 * MS, *faces)
        assert {person.track for person in people} == {each.track for each in faces}
    (view,) = who._views.values()
    assert len(view._people) == MAX_FACES
    assert len(who.left()) == 29 * MAX_FACES


def test_new_tables_lose_nobody_and_a_camera_that_is_gone_is_forgotten() -> None:
    who = presence(camera_of("kerb"), camera_of("shelter"))
    told(who, 10 * S, face(ANN), answers=[answer(0)])
    told(who, 10 * S, face(BEN), camera="shelter")
    who.update({"kerb": camera_of("kerb", group="both")})
    audience = who.take(answered(10_100 * MS, face(ANN)))
    assert audience is not None and audience.group == "both" and audience.leads
    (ann,) = audience.people
    assert (ann.since_ns, ann.answers) == (10 * S, 1)
    assert list(who._views) == ["kerb"]


def test_where_the_screen_is_holds_for_whoever_is_there_already() -> None:
    who = presence()
    looking = []
    for n in range(10):
        if n == 5:
            who.update({"kerb": camera_of(screen_yaw_deg=40)})
        (ann,) = told(who, 10 * S + n * 100 * MS, face(ANN, yaw_deg=40, pitch_deg=0))
        looking.append(ann.looking)
    assert looking[4] is False and looking[9] is True


def test_the_camera_of_a_group_that_sees_most_leads() -> None:
    who = presence(camera_of("kerb", group="stop"), camera_of("shelter", group="stop"), camera_of("roof"))
    leads: dict[str, bool] = {}
    for n in range(30):
        for name, faces in (("kerb", [face(ANN)]), ("shelter", [face(BEN), face(CEM)]), ("roof", [])):
            audience = who.take(answered(10 * S + n * 100 * MS, *faces, camera=name))
            assert audience is not None
            leads[name] = audience.leads
    assert leads == {"kerb": False, "shelter": True, "roof": True}


def test_at_the_end_all_who_are_there_have_left() -> None:
    who = presence()
    for n in range(10):
        told(who, 10 * S + n * 100 * MS, face(ANN, width_px=60 + 4 * n), answers=[answer(0)])
    (visit,) = who.close()
    assert (visit.camera, visit.found, visit.person.answers, visit.face_px) == ("kerb", 10, 10, 78)
    assert visit.person.seen_ns - visit.person.since_ns == 900 * MS
    assert who.close() == []


def test_somebody_counts_while_the_middle_of_the_face_is_in_the_zone_and_since_he_came_into_it() -> None:
    who = presence(camera_of(zone=((0.4, 0.0), (0.6, 0.0), (0.6, 1.0), (0.4, 1.0))))
    assert told(who, 10 * S, face(ANN, x=0.3, since_ns=5 * S), answers=[answer(0)]) == []
    (ann,) = told(who, 11 * S, face(ANN, x=0.45, since_ns=5 * S))
    assert (ann.since_ns, ann.gender) == (11 * S, "F")
    (ann,) = told(who, 12 * S, face(ANN, x=0.62, since_ns=5 * S))
    assert ann.seen_ns == 11 * S
    (ann,) = told(who, 12_200 * MS, face(ANN, x=0.55, since_ns=5 * S))
    assert (ann.since_ns, ann.seen_ns) == (11 * S, 12_200 * MS)
    assert told(who, 14 * S, face(ANN, x=0.7, since_ns=5 * S)) == []
    (visit,) = who.left()
    assert (visit.person.since_ns, visit.person.seen_ns, visit.found) == (11 * S, 12_200 * MS, 2)
    (ann,) = told(who, 15 * S, face(ANN, x=0.5, since_ns=5 * S))
    assert (ann.since_ns, ann.gender, ann.attention_ms) == (15 * S, "F", 0)


def test_somebody_who_appears_in_the_zone_is_there_since_he_was_first_found() -> None:
    who = presence(camera_of(zone=((0.4, 0.0), (0.6, 0.0), (0.6, 1.0), (0.4, 1.0))))
    (ann,) = told(who, 10 * S, face(ANN, since_ns=9_700 * MS))
    assert ann.since_ns == 9_700 * MS
    _, ben = told(who, 10_100 * MS, face(ANN, since_ns=9_700 * MS), face(BEN, since_ns=5 * S))
    assert ben.since_ns == 10_100 * MS


def test_somebody_who_was_found_outside_a_moment_ago_is_there_since_he_came_into_the_zone() -> None:
    who = presence(camera_of(zone=((0.4, 0.0), (0.6, 0.0), (0.6, 1.0), (0.4, 1.0))))
    for n in range(12):
        assert told(who, 10 * S + n * 100 * MS, face(ANN, x=0.2, since_ns=10 * S)) == []
    (ann,) = told(who, 11_200 * MS, face(ANN, x=0.5, since_ns=10 * S))
    assert ann.since_ns == 11_200 * MS


def test_who_looks_since_when_and_for_how_long_is_told() -> None:
    who = presence()
    for n in range(31):
        looks = face(ANN, yaw_deg=2.0 if 5 <= n <= 24 else 60.0, pitch_deg=0.0)
        ann, ben = told(who, 10 * S + n * 100 * MS, looks, face(BEN))
        assert (ben.looking, ben.watched, ben.attention_ms) == (None, False, 0)
        if n == 20:
            assert ann.looking and ann.watched and ann.looking_since_ns is not None
            assert abs(ann.looking_since_ns - 10_500 * MS) <= 200 * MS
    assert (ann.looking, ann.looking_since_ns, ann.watched) == (False, None, True)
    assert 1700 <= ann.attention_ms <= 2200
    first, second = who.close()
    assert first.person.watched and first.person.attention_ms == first.longest_look_ms == ann.attention_ms
    assert second.longest_look_ms == 0


def test_a_camera_that_has_been_dark_for_longer_than_people_are_bridged_is_not_measured_and_does_not_lead() -> None:
    who = presence(camera_of("kerb", group="stop"), camera_of("shelter", group="stop"))
    said: dict[str, list[tuple[bool, int]]] = {"kerb": [], "shelter": []}
    for n in range(40):
        for name in said:
            frame = answered(10 * S + n * 100 * MS, *([face(ANN)] if n < 10 else []), camera=name)
            audience = who.take(msgspec.structs.replace(frame, dark=name == "kerb" and n >= 10))
            assert audience is not None
            said[name].append((audience.leads, audience.lasts_ms))
    assert said["kerb"][:24] == [(True, 2000)] * 24
    assert said["kerb"][26:] == [(False, 0)] * 14
    assert said["shelter"][0] == (False, 2000) and said["shelter"][26:] == [(True, 2000)] * 14
    alone = presence().take(msgspec.structs.replace(answered(10 * S), dark=True))
    assert alone is not None and alone.lasts_ms == 0
