"""Presence: the people in view of each camera, and the camera of each group that counts them.

Nothing of it is kept on a disk. It runs in a station's process (stages/people/stage.py), and in any other that is fed
with the same messages, such as `stationcast people`.
"""

from collections.abc import Mapping

from models.cards import Unknown
from pipeline.messages import Answered, Audience
from pipeline.settings import Camera
from stages.people.groups import Leaders
from stages.people.view import View, Visit


class Presence:
    """The people in view of all cameras."""

    def __init__(self, cameras: Mapping[str, Camera], unknown: Unknown | None) -> None:
        """Begin with nobody. `unknown` holds the thresholds of the classifier's card; None where it has none."""
        self._unknown = unknown
        self._views: dict[str, View] = {}
        self._leaders = Leaders()
        self.update(cameras)

    def update(self, cameras: Mapping[str, Camera]) -> None:
        """Take in the tables of all cameras. Of those that stay, nobody is lost."""
        self._cameras = dict(cameras)
        for name in [name for name in self._views if name not in cameras]:
            del self._views[name]
        for name, view in self._views.items():
            view.camera = cameras[name]
        self._leaders.keep({name: camera.group for name, camera in cameras.items()})

    def take(self, message: Answered) -> Audience | None:
        """Take in a frame. Return who is there; None where a later frame has told that already.

        Of a camera that has just gone, or of which nobody told yet, each frame stands for itself.
        """
        camera = self._cameras.get(message.camera)
        view = self._views.get(message.camera)
        if view is None:
            view = View(camera or Camera(name=message.camera, source=""), self._unknown)
            if camera:
                self._views[message.camera] = view
        if not view.take(message):
            return None
        people, until_ns, group = view.present(), view.until_ns, view.camera.group
        leads = not group or self._leaders.leads(group, message.camera, len(people), view.at_ns, until_ns)
        lasts_ms = max(0, until_ns - view.at_ns) // 1_000_000
        return Audience.of(message, people, group=group, leads=leads, lasts_ms=lasts_ms)

    def left(self) -> list[Visit]:
        """Return the stays that have ended since this was last asked, camera by camera."""
        return [visit for view in self._views.values() for visit in view.left()]

    def close(self) -> list[Visit]:
        """End all stays. Return those that were not told yet."""
        for view in self._views.values():
            view.close()
        return self.left()
