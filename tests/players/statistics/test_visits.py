"""Visits: whoever comes is counted once, at the minute of arrival, with the time spent and the looks."""

import pytest
from msgspec import structs

from pipeline.messages import Audience
from tests.players.statistics.crowds import ANN, BEN, CEM, DAN, KERB, Watch, looker, somebody, told

WOMAN, MAN, NOBODY_KNOWS = (1, 2), (0, 3), (2, 9)


def stay(track: str, since_s: float, until_s: float, step_s: float = 0.5, **more: object) -> list[Audience]:
    """Return what is told of one person's stay, frame by frame."""
    steps = round((until_s - since_s) / step_s)
    times = [since_s + step_s * n for n in range(steps)] + [until_s]
    return [told(at_s, somebody(track, since_s, at_s, **more)) for at_s in times]


def test_somebody_is_counted_when_he_came_and_where_his_time_was_spent() -> None:
    cells = Watch().tell(*stay(ANN, 50, 130)).cells()
    assert cells[0, *WOMAN] == {
        "visits": 1, "ots": 1, "watchers": 0, "watchers_2s": 0, "presence_ms": 10_000, "dwell_ms": 0, "attention_ms": 0,
    }  # fmt: skip
    assert [cells[minute, *WOMAN]["presence_ms"] for minute in (1, 2)] == [60_000, 10_000]
    assert sum(cell["visits"] for cell in cells.values()) == 1


@pytest.mark.parametrize(("length_s", "ots"), [(0.9, 0), (1.0, 1), (1.1, 1)])
def test_an_opportunity_to_see_takes_a_second(length_s: float, ots: int) -> None:
    assert Watch().tell(*stay(ANN, 5, 5 + length_s, 0.1)).total()["ots"] == ots


@pytest.mark.parametrize(("look_s", "watchers", "of_2s"), [(0.2, 0, 0), (1.9, 1, 0), (2.1, 1, 1)])
def test_a_watcher_of_2_s_has_looked_so_long_at_a_time(look_s: float, watchers: int, of_2s: int) -> None:
    watch = Watch()
    for n in range(round(10 * look_s) + 1):
        watch.tell(told(7 + n / 10, looker(ANN, 5, 7 + n / 10, 7)))
    watch.tell(told(12, somebody(ANN, 5, 12, attention_ms=round(1000 * look_s) if watchers else 0)))
    total = watch.total()
    assert (total["watchers"], total["watchers_2s"]) == (watchers, of_2s)
    assert total["dwell_ms"] == (7000 if watchers else 0)
    assert total["attention_ms"] == (round(1000 * look_s) if watchers else 0)


def test_who_was_there_for_less_than_a_second_is_no_watcher() -> None:
    total = Watch().tell(told(5.5, looker(ANN, 5, 5.5, 5)), told(5.9, looker(ANN, 5, 5.9, 5))).total()
    assert (total["visits"], total["ots"], total["watchers"], total["attention_ms"]) == (1, 0, 0, 0)


def test_an_hour_stays_as_reports_have_told_it_whoever_stays_on_and_looks_later() -> None:
    """She comes shortly before ten, is known at 10:04, looks at half past, and leaves at noon."""
    watch, told_then = Watch(), {}
    for at_s in range(3590, 3 * 3600 + 1, 10):
        known = {} if at_s > 3840 else {"gender": "unknown", "age": None, "answers": 0}
        watch.tell(told(at_s, somebody(ANN, 3590, at_s, attention_ms=2000 if at_s >= 5400 else 0, **known)))
        nine = {key: cell for key, cell in (watch.cells(at_s) if at_s % 60 == 0 else {}).items() if key[0] < 60}
        if at_s == 3900:
            told_then = nine
        assert at_s < 3900 or not nine or nine == told_then
    cells, total = watch.cells(), watch.total()
    assert told_then == {key: cell for key, cell in cells.items() if key[0] < 60}
    assert (total["visits"], total["ots"], total["watchers"], total["attention_ms"]) == (1, 1, 1, 2000)
    assert total["dwell_ms"] == total["presence_ms"] == 3 * 3_600_000 - 3_590_000
    assert cells[90, *NOBODY_KNOWS]["watchers"] == 1, "she is counted as a watcher when she looks"


def test_two_looks_of_1_s_make_no_watcher_of_2_s() -> None:
    looks = [told(6, looker(ANN, 5, 6, 5)), told(7, somebody(ANN, 5, 7, attention_ms=1000))]
    again = structs.replace(looker(ANN, 5, 9, 8), attention_ms=2000)
    total = Watch().tell(*looks, told(9, again)).total()
    assert (total["watchers"], total["watchers_2s"], total["attention_ms"]) == (1, 0, 2000)


def test_an_answer_that_comes_late_counts_from_the_beginning() -> None:
    """The file said `unknown` meanwhile, and says it no more."""
    watch = Watch().tell(*stay(ANN, 50, 70, gender="unknown", age=None, answers=0))
    assert set(watch.cells(70)) == {(0, *NOBODY_KNOWS), (1, *NOBODY_KNOWS)}
    cells = watch.tell(told(80, somebody(ANN, 50, 80))).cells()
    assert set(cells) == {(0, *WOMAN), (1, *WOMAN)}
    assert cells[1, *WOMAN]["presence_ms"] == 20_000


def test_who_stays_for_hours_is_one_visit_with_all_of_his_time() -> None:
    watch = Watch()
    for at_s in range(0, 3 * 3600 + 1, 30):
        watch.tell(told(at_s, somebody(ANN, 0, at_s)))
        watch.cells(at_s)
    total = watch.total()
    assert (total["visits"], total["presence_ms"]) == (1, 3 * 3_600_000)
    assert max(cell["presence_ms"] for cell in watch.cells().values()) == 60_000


def test_who_goes_out_of_the_zone_and_comes_again_is_two_visits() -> None:
    total = Watch().tell(*stay(ANN, 5, 8), told(9), *stay(ANN, 20, 23)).total()
    assert (total["visits"], total["presence_ms"]) == (2, 6000)


def test_faces_that_nobody_follows_are_no_visits() -> None:
    assert Watch().tell(told(5, somebody("", 5, 5))).cells() == {}


def test_when_another_camera_leads_only_those_beyond_the_former_number_are_new() -> None:
    watch = Watch().tell(*(told(at, somebody(ANN, 1, at), somebody(BEN, 1, at, "M", 35.0), **LEFT) for at in (1, 5)))
    people = somebody(CEM, 2, 6, "M", 35.0), somebody(DAN, 2, 6), somebody("e" * 16, 2, 6)
    watch.tell(told(6, *people, **RIGHT))
    watch.tell(told(8, somebody(CEM, 2, 8, "M", 35.0), somebody(DAN, 2, 8), somebody("e" * 16, 2, 8), **RIGHT))
    cells = watch.cells()
    assert {key[1:]: cell["visits"] for key, cell in cells.items()} == {WOMAN: 2, MAN: 1}
    assert cells[0, *MAN]["presence_ms"] == 7000
    assert cells[0, *WOMAN]["presence_ms"] == 7000 + 2000, "what a camera saw before it led counts for nobody"


def test_cameras_that_take_turns_count_nobody_twice() -> None:
    watch = Watch()
    for at in range(1, 30):
        side, track = (LEFT, ANN) if at // 5 % 2 else (RIGHT, BEN)
        watch.tell(told(at, somebody(track, 1, at), **side))
        watch.tell(
            told(
                at + 0.1,
                somebody(CEM, 1, at + 0.1),
                somebody(DAN, 1, at + 0.1),
                camera="third",
                group="both",
                leads=False,
            )
        )
    assert watch.total()["visits"] == 1


def test_looks_before_a_camera_led_are_not_counted_again() -> None:
    watch = Watch().tell(told(5, looker(ANN, 1, 5, 4), **LEFT))
    watch.tell(told(6, looker(BEN, 1, 6, 2), **RIGHT), told(7, looker(BEN, 1, 7, 2), **RIGHT))
    total = watch.total()
    assert (total["visits"], total["watchers"], total["attention_ms"]) == (1, 1, 2000)


def test_a_process_that_begins_anew_counts_nobody_again() -> None:
    """An earlier process has counted until 5 s; what it wrote last is in the file."""
    total = Watch(before_s=5).tell(*stay(ANN, 3, 10)[8:], *stay(BEN, 12, 14)).total()
    assert (total["visits"], total["ots"]) == (1, 1)
    assert total["presence_ms"] == 3000 + 2000


def test_time_is_measured_only_while_what_was_told_holds() -> None:
    watch = Watch().tell(
        *(told(at, lasts_ms=2000) for at in (1, 2, 3, 10, 11)), told(12, lasts_ms=0), told(13, lasts_ms=0)
    )
    assert watch.measured_s() == 2 + 2 + 1 + 1
    assert max(people for _, people in watch.pending.measured.values()) == 0


def test_most_people_at_once_are_noted_of_each_minute() -> None:
    watch = Watch().tell(told(5, somebody(ANN, 5, 5), somebody(BEN, 5, 5)), told(65, somebody(CEM, 65, 65)))
    assert [people for _, (_, people) in sorted(watch.pending.measured.items(), key=lambda item: item[0][0])] == [2, 1]
    assert {basis for _, basis in watch.pending.measured} == {KERB}


LEFT = {"camera": "left", "group": "both"}
RIGHT = {"camera": "right", "group": "both"}
