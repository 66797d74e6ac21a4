"""Cameras that see the same people: the one that sees most leads, and does not flap."""

from stages.people.groups import Leaders
from tests.stages.people.sightings import MS, S


class Group:
    """Two or more cameras that say, ten times a second, how many people they see."""

    def __init__(self) -> None:
        self.leaders, self.now_ns = Leaders(), 10 * S

    def told(self, seconds: float = 0.1, **people: int) -> list[str]:
        """Let these cameras speak for so long; return who leads at the end of each round."""
        led = []
        for _ in range(round(seconds * 10)):
            self.now_ns += 100 * MS
            says = [
                name
                for name, number in people.items()
                if self.leaders.leads("g", name, number, self.now_ns, self.now_ns + 2 * S)
            ]
            led += says[-1:]
        return led


def test_the_camera_that_sees_most_leads_once_it_has_done_so_for_a_second() -> None:
    group = Group()
    assert set(group.told(1.0, left=2, right=2)) == {"left"}
    assert set(group.told(0.9, left=2, right=3)) == {"left"}
    assert group.told(0.4, left=2, right=3)[-1] == "right"


def test_missed_faces_make_nobody_else_lead() -> None:
    group = Group()
    group.told(1.0, left=3, right=2)
    led = [name for n in range(100) for name in group.told(left=3 if n % 4 else 2, right=3 if n % 3 else 2)]
    assert set(led) == {"left"}


def test_a_camera_that_sees_nobody_gives_way_at_once() -> None:
    group = Group()
    group.told(1.0, left=0, right=0)
    assert group.told(0.2, left=0, right=1)[-1] == "right"
    assert set(group.told(2.0, left=1, right=1)) == {"right"}


def test_a_camera_whose_frames_have_stopped_does_not_lead() -> None:
    group = Group()
    assert set(group.told(3.0, left=3, right=1)) == {"left"}
    assert group.told(1.9, right=1) == []
    assert group.told(0.3, right=1)[-1] == "right"


def test_a_camera_that_is_gone_is_forgotten_and_one_that_changed_its_group_too() -> None:
    group = Group()
    group.told(1.0, left=3, right=1)
    group.leaders.keep({"right": "g", "left": "other"})
    assert group.told(0.1, right=1) == ["right"]
    group.leaders.keep({})
    assert group.leaders._groups == {}


def test_two_groups_have_each_their_leader() -> None:
    leaders = Leaders()
    assert leaders.leads("one", "a", 1, S, 3 * S)
    assert leaders.leads("two", "b", 0, S, 3 * S)
    assert not leaders.leads("one", "c", 1, S, 3 * S)
