"""The tally of a play: who was there and looked while the ad was on, from stories whose truth is known.

The words of a story are those of a camera of 10 frames a second, as the people stage tells them.
"""

from collections.abc import Callable, Iterator

import pytest

from pipeline.messages import Audience, Person
from players.ads.lines import Line, Target
from players.audience.present import Cameras
from players.audience.tally import Tally
from players.choice.measures import Measures
from tests.ads import F20, M30, MS, frame, line, person

ANYONE = line("anyone", Target())
WOMEN = line("women", Target(gender="F"))
PLAY = range(10_000, 18_000)
"""Times in ms at which the ad is on."""
FRAME_MS = 100
Look = tuple[int, int]
Story = Callable[[int], tuple[Person, ...]]


def someone(
    track: int, came_ms: int, left_ms: int, *looks: Look, who: tuple[str, float | None] = F20, **more: float
) -> Story:
    """Tell of one person, who is found until he leaves and bridged for 1.5 s after that."""

    def at(now_ms: int) -> tuple[Person, ...]:
        if not came_ms <= now_ms <= left_ms + 1500:
            return ()
        seen_ms = min(now_ms, left_ms)
        begun = [(begin, min(end, seen_ms)) for begin, end in looks if begin <= seen_ms]
        looking = next((begin for begin, end in looks if begin <= seen_ms < end), None)
        return (
            person(
                *who,
                track=f"{track:016x}",
                since_ns=came_ms * MS,
                seen_ns=seen_ms * MS,
                looking=looking is not None,
                looking_since_ns=None if looking is None else looking * MS,
                attention_ms=sum(end - begin for begin, end in begun if end - begin >= 250),
                **more,
            ),
        )

    return at


def words(*people: Story, camera: str = "cam", until_ms: int = 20_000, **more: object) -> list[Audience]:
    return [
        frame(at_ms * MS, *(one for tell in people for one in tell(at_ms)), camera=camera, **more)
        for at_ms in range(8_000, until_ms, FRAME_MS)
    ]


def measured(
    *cameras: list[Audience], groups: dict[str, str] | None = None, ad: Line = ANYONE, play: range = PLAY
) -> Measures:
    """Play the ad while these cameras tell what they see, as a player does."""
    watched = Cameras(groups or {"cam": ""})
    tally: Tally | None = None
    for word in sorted((word for camera in cameras for word in camera), key=lambda word: word.captured_ns):
        at_ms = word.captured_ns // MS
        if tally is None and at_ms >= play.start:
            tally = begin(watched, play)
        if at_ms > play.stop:
            break
        place = watched.add(word)
        if place and tally:
            tally.show(word.captured_ns)
            tally.add(place, word)
    tally = tally or begin(watched, play)
    tally.show(play.stop * MS)
    return Measures.of(tally, ad, minors=False)


def begin(cameras: Cameras, play: range) -> Tally:
    tally = Tally(cameras.places)
    for place, word in cameras.counting(play.start * MS).items():
        tally.add(place, word)
    tally.show(play.start * MS)
    return tally


def test_who_was_there_for_a_second_had_the_opportunity_to_see_and_who_was_there_for_less_had_not() -> None:
    short, long = someone(1, 9_000, 10_900), someone(2, 16_900, 30_000)
    made = measured(words(short, long))
    assert (made.ots_1s, made.presence_ms, made.most_people, made.measured_share) == (1, 900 + 1100, 1, 1.0)
    assert measured(words(short)).ots_1s == 0


def test_who_was_there_for_less_than_a_second_is_no_watcher_however_long_he_had_looked_before() -> None:
    gone, stays = someone(1, 8_000, 10_900, (8_000, 10_900)), someone(2, 16_900, 30_000, (17_000, 30_000))
    made = measured(words(gone, stays), ad=WOMEN)
    assert (made.ots_1s, made.watchers_looked, made.attention_ms, made.dwell_ms) == (1, 1, 1000, 1100)
    assert (made.matched_ots, made.matched_looked, made.matched_attention_ms) == (1, 1, 1000)
    nobody = measured(words(gone), ad=WOMEN)
    assert (nobody.watchers_looked, nobody.matched_looked, nobody.attention_ms, nobody.presence_ms) == (0, 0, 0, 900)


@pytest.mark.parametrize(("look_ms", "watchers"), [(200, 0), (300, 1)])
def test_a_watcher_looked_for_a_quarter_of_a_second(look_ms: int, watchers: int) -> None:
    made = measured(words(someone(1, 9_000, 30_000, (11_000, 11_000 + look_ms))))
    assert (made.watchers_looked, made.attention_ms) == (watchers, watchers * look_ms)


def test_what_lies_before_and_after_the_play_is_not_part_of_it() -> None:
    before, after = someone(1, 8_000, 9_990), someone(2, 18_010, 30_000)
    made = measured(words(before, after))
    assert (made.ots_1s, made.presence_ms, made.most_people) == (0, 0, 0)


def test_a_watcher_looked_and_one_of_2_s_looked_for_2_s_on_end() -> None:
    brief, long = someone(1, 9_000, 30_000, (11_000, 12_900)), someone(2, 9_000, 30_000, (11_000, 13_100))
    twice = someone(3, 9_000, 30_000, (11_000, 12_500), (13_500, 15_000))
    made = measured(words(brief, long, twice, someone(4, 9_000, 30_000)))
    assert (made.ots_1s, made.watchers_looked, made.watchers_2s) == (4, 3, 1)
    assert (made.attention_ms, made.dwell_ms) == (1900 + 2100 + 3000, 3 * 8000)


def test_of_a_look_counts_the_part_that_is_in_the_play() -> None:
    early, late = someone(1, 8_000, 30_000, (8_100, 11_000)), someone(2, 9_000, 30_000, (15_500, 29_000))
    made = measured(words(early, late))
    assert (made.watchers_looked, made.watchers_2s, made.attention_ms) == (2, 1, 1000 + 2500)


def test_a_look_whose_part_in_the_play_confirms_nothing_makes_no_watcher() -> None:
    made = measured(words(someone(1, 8_000, 30_000, (8_000, 10_200), (12_000, 12_200))))
    assert (made.watchers_looked, made.attention_ms, made.dwell_ms) == (0, 0, 0)


def test_attention_is_at_most_the_time_that_the_watcher_was_there() -> None:
    made = measured(words(someone(1, 9_000, 13_000, (9_500, 13_000))))
    assert (made.dwell_ms, made.attention_ms) == (3000, 3000)


def test_a_person_whom_two_cameras_see_counts_once_also_when_the_other_one_takes_over() -> None:
    """The left camera leads until 14 s, sees both, and loses one of them at 13 s whom the right one still sees."""
    groups = {"left": "stop", "right": "stop"}
    leads = [words(someone(1, 9_000, 30_000), someone(2, 11_000, 13_000), camera="left", group="stop", until_ms=14_000)]
    leads += [
        [
            frame(at * MS, *(x for tell in theirs for x in tell(at)), camera=name, group="stop", leads=lead)
            for at in range(first, last, FRAME_MS)
        ]
        for name, lead, first, last, theirs in (
            ("right", False, 8_050, 14_000, [someone(3, 9_200, 30_000), someone(4, 11_200, 16_000)]),
            ("right", True, 14_050, 20_000, [someone(3, 9_200, 30_000), someone(4, 11_200, 16_000)]),
            ("left", False, 14_000, 20_000, [someone(1, 9_000, 30_000)]),
        )
    ]
    made = measured(*leads, groups=groups)
    assert (made.ots_1s, made.most_people, made.measured_share) == (2, 2, 1.0)
    assert made.presence_ms == 8000 + 2000 + 2100, "the time before the change is told by the left camera"


def test_a_look_that_another_camera_goes_on_telling_is_one_look() -> None:
    groups, look = {"left": "stop", "right": "stop"}, (12_000, 15_000)
    left = words(someone(1, 9_000, 30_000, look), camera="left", group="stop", until_ms=13_000)
    right = words(someone(2, 9_000, 30_000, look), camera="right", group="stop")
    right = [word for word in right if word.captured_ns >= 13_000 * MS]
    made = measured(left, right, groups=groups)
    assert (made.ots_1s, made.watchers_2s, made.attention_ms) == (1, 1, 3000)


def test_more_people_of_the_camera_that_takes_over_are_more_people() -> None:
    groups = {"left": "stop", "right": "stop"}
    left = words(someone(1, 9_000, 30_000), camera="left", group="stop", until_ms=12_000)
    right = words(*(someone(n, 9_000, 30_000) for n in (2, 3, 4)), camera="right", group="stop")
    made = measured(left, [word for word in right if word.captured_ns >= 12_000 * MS], groups=groups)
    assert (made.ots_1s, made.most_people) == (3, 3)


def test_people_of_cameras_that_see_other_places_add_up() -> None:
    made = measured(
        words(someone(1, 9_000, 30_000), camera="left"),
        words(someone(2, 9_000, 30_000), camera="right"),
        groups={"left": "", "right": "", "roof": ""},
    )
    assert (made.ots_1s, made.most_people, made.measured_share) == (2, 2, pytest.approx(2 / 3))


def test_of_a_camera_that_goes_dark_half_way_only_the_measured_part_counts_and_the_share_says_so() -> None:
    """A dark camera tells nobody, and that nothing holds (stages/people/view.py)."""
    stays = someone(1, 9_000, 30_000, (12_000, 17_000))
    light = words(stays, someone(2, 13_500, 30_000), until_ms=14_000)
    dark = [frame(at_ms * MS, lasts_ms=0) for at_ms in range(14_000, 20_000, FRAME_MS)]
    made = measured(light, dark)
    assert (made.measured_share, made.ots_1s, made.watchers_2s) == (0.5, 1, 0)
    assert made.presence_ms == 4000 + 500 - 2 * FRAME_MS, "nobody is told to stay from the last light frame on"
    assert made.attention_ms == 2000 - FRAME_MS


def test_what_was_not_measured_is_none_and_never_0() -> None:
    for made in (measured([frame(9_000 * MS, lasts_ms=0)]), measured([])):
        assert made == Measures(measured_share=0.0)
    assert Measures.of(Tally(), ANYONE, minors=False) == Measures(measured_share=None)


def test_a_camera_that_ends_counts_for_as_long_as_its_last_word_holds() -> None:
    made = measured(words(someone(1, 9_000, 30_000), until_ms=12_100))
    assert (made.measured_share, made.presence_ms) == (0.5, 4000)


def test_between_the_frames_of_a_slow_camera_whoever_is_found_in_both_is_there() -> None:
    def slow() -> Iterator[Audience]:
        for at_ms in (6_000, 11_000, 16_000, 21_000):
            yield frame(at_ms * MS, *someone(1, 6_000, 13_000)(at_ms), lasts_ms=7500)

    assert measured(list(slow())).ots_1s == 1


def test_the_unknown_and_the_likeliest_minor_are_told() -> None:
    people = [someone(n, 9_000, 30_000, who=who) for n, who in enumerate((F20, M30, ("unknown", 30.0), ("F", None)))]
    minor = someone(9, 9_000, 30_000, p_minor=0.2)
    made = measured(words(*people, minor, someone(10, 9_000, 30_000, p_minor=0.05)))
    assert (made.ots_1s, made.ots_unknown, made.p_minor_max) == (6, 2, 0.2)


def test_the_target_is_met_by_those_whom_it_fits() -> None:
    her = someone(1, 9_000, 30_000, (11_000, 12_000))
    late, him = someone(2, 17_500, 30_000), someone(3, 9_000, 30_000, (11_000, 15_000), who=M30)
    made = measured(words(her, late, him), ad=WOMEN)
    assert (made.ots_1s, made.matched_ots, made.matched_looked, made.matched_attention_ms) == (2, 1, 1, 1000)


def test_a_family_is_an_adult_and_a_minor_who_were_both_there() -> None:
    ad = line("family", Target(family=True))
    mother, child = someone(1, 9_000, 30_000, (12_000, 13_000)), someone(2, 9_000, 30_000, who=("M", 8.0))
    made = measured(words(mother, child), ad=ad)
    assert (made.matched_ots, made.matched_looked) == (1, 1)
    assert measured(words(mother), ad=ad).matched_ots == 0
    assert measured(words(mother, someone(2, 9_000, 10_500, who=("M", 8.0))), ad=ad).matched_ots == 0
    alone, later = someone(1, 9_000, 13_000), someone(2, 14_900, 30_000, who=("M", 8.0))
    made = measured(words(alone, later), ad=ad)
    assert (made.ots_1s, made.matched_ots) == (2, 0)
    assert measured(words(alone, someone(2, 11_500, 30_000, who=("M", 8.0))), ad=ad).matched_ots == 1


def test_time_in_which_nobody_can_see_the_display_does_not_count() -> None:
    tally = Tally([("", "cam")])
    for at_ms in range(10_000, 18_000, 100):
        tally.show(at_ms * MS, visible=not 11_000 <= at_ms < 17_000)
        tally.add(("", "cam"), frame(at_ms * MS, *someone(1, 9_000, 30_000, (9_500, 20_000))(at_ms)))
    made = Measures.of(tally, ANYONE, minors=False)
    assert (made.presence_ms, made.watchers_looked, made.watchers_2s) == (900 + 900, 1, 0)


def test_faces_that_nobody_follows_are_nobody() -> None:
    loose = [frame(at_ms * MS, person(*F20, seen_ns=at_ms * MS)) for at_ms in range(8_000, 20_000, FRAME_MS)]
    assert measured(loose).presence_ms == 0


def test_a_track_that_comes_again_is_one_person_with_two_stays() -> None:
    first, again = someone(1, 9_000, 11_000, (9_500, 10_500)), someone(1, 14_000, 16_000, (14_500, 15_500))
    made = measured([word for word in words(first, again) if word.people])
    assert (made.ots_1s, made.presence_ms, made.attention_ms) == (1, 1000 + 2000, 500 + 1000)
