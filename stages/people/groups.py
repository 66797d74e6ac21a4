"""Overlap groups: which of the cameras that see the same people counts for all of them."""

from msgspec import Struct, field

HOLD_NS = 1_000_000_000
"""Time for which another camera must see more people than the one that leads before it leads."""


class _Group(Struct):
    """Cameras of one group: the people that each sees and until when that holds, who leads, since when it is beaten."""

    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    leader: str = ""
    beaten_ns: int | None = None


class Leaders:
    """The camera that leads each group: the one that sees most.

    It leads until another one has seen more people for a second, so that it does not change with every missed face. A
    camera that sees nobody gives way at once to one that sees somebody; so does one that is dark, or has stopped.
    """

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def leads(self, group: str, camera: str, people: int, at_ns: int, until_ns: int) -> bool:
        """Take in how many people a camera sees from `at_ns` to `until_ns`. Return whether it leads its group then."""
        mine = self._groups.setdefault(group, _Group())
        mine.seen[camera] = people, until_ns
        measured = {name: number for name, (number, until) in mine.seen.items() if until >= at_ns}
        if not measured:
            mine.leader = ""
            return False
        most = max(measured, key=lambda name: (measured[name], name == mine.leader, name == camera))
        led = measured.get(mine.leader)
        if led is None or measured[most] > led == 0:
            mine.leader, mine.beaten_ns = most, None
        elif measured[most] == led:
            mine.beaten_ns = None
        elif mine.beaten_ns is None:
            mine.beaten_ns = at_ns
        elif at_ns - mine.beaten_ns >= HOLD_NS:
            mine.leader, mine.beaten_ns = most, None
        return mine.leader == camera

    def keep(self, groups: dict[str, str]) -> None:
        """Forget all but these cameras, given by name with the group of each."""
        for name, group in list(self._groups.items()):
            for camera in [camera for camera in group.seen if groups.get(camera) != name]:
                del group.seen[camera]
            if not group.seen:
                del self._groups[name]
