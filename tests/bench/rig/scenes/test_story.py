"""Stories of scenes: who comes, walks and turns."""

import pytest

from bench.rig.scenes.story import Kind, Street, Visit, visits

STREET = Street(1920, 1080, (24, 60, 120), 3, ("pass", "stop", "two pass", "two stop", "cross", "cover"))


def test_no_more_people_are_there_than_wanted_and_all_have_gone_by_the_end() -> None:
    told = visits(STREET, 120, seed=1)
    assert len(told) > 10 and max(visit.to_s for visit in told) <= 120
    most = max(sum(visit.from_s <= t / 4 <= visit.to_s for visit in told) for t in range(480))
    assert most == 3
    assert told == visits(STREET, 120, seed=1) != visits(STREET, 120, seed=2)


@pytest.mark.parametrize("kind", STREET.kinds)
def test_people_come_from_outside_the_frame_and_leave_it(kind: Kind) -> None:
    street = Street(1920, 1080, (60,), 2, (kind,))
    for visit in visits(street, 60, seed=5):
        for t_s in (visit.from_s, visit.to_s):
            x, _ = visit.place(t_s)
            assert x < -visit.width_px or x > 1920 + visit.width_px
        middle, _ = visit.place((visit.from_s + visit.to_s) / 2)
        assert 0 < middle < 1920


def test_walkers_move_as_people_do() -> None:
    [visit] = visits(Street(1920, 1080, (60,), 1, ("pass",)), 9, seed=2)[:1]
    way = abs(visit.place(visit.from_s + 2)[0] - visit.place(visit.from_s + 1)[0])
    assert 4.5 < way / visit.width_px < 9, "face widths a second"


def test_a_head_turns_smoothly_and_stays() -> None:
    visit = Visit("stop", 60, ((0, 0, 0), (9, 0, 0)), ((0, 30, 0), (2, 0, 0), (5, -40, 10)))
    assert visit.angles(1) == (30, 0) and visit.angles(4) == (0, 0) and visit.angles(8) == (-40, 10)
    assert 5 < visit.angles(2.17)[0] < 25


def test_those_who_stand_look_at_the_screen_and_away() -> None:
    turns = [turn for visit in visits(STREET, 200, seed=3) if visit.kind == "stop" for turn in visit.turns]
    assert sum(abs(yaw) <= 10 for _, yaw, _ in turns) >= 5 and sum(abs(yaw) >= 35 for _, yaw, _ in turns) >= 5
