"""The most cameras carried."""

from bench.rig import station
from bench.scale import most_carried


def test_the_most_cameras_carried() -> None:
    one, two = (station.Run([], processes) for processes in (1, 2))
    assert most_carried([(1, one, True), (2, two, False)]) == (1, one, "1")
    assert most_carried([(1, one, True), (2, two, True)]) == (2, two, "2 or more")
    assert most_carried([(1, one, False)]) == (0, one, "0")
