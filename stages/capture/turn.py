"""Turn and mirror of a camera's pictures, set by the station file or found from how faces lie."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crop import turned
from pipeline.log import log
from pipeline.ring import Lying, Ring
from pipeline.settings import Camera

AUTO_TIMES = 3
"""Frames with lying faces, 2 s apart, after which `rotation_deg = "auto"` turns the pictures."""
ALERT_TIMES, ALERT_NS = 20, 120_000_000_000
"""Frames with lying faces, and the ns since the first of them, after which a camera with a fixed turn is named."""


def mounted(image: NDArray[np.uint8], turn_deg: int, *, mirror: bool) -> NDArray[np.uint8]:
    """Return the picture, uint8 BGR [height, width, 3], turned clockwise and then mirrored."""
    image = turned(image, turn_deg)
    return np.asarray(cv2.flip(image, 1), np.uint8) if mirror else image


class Turn:
    """Turn of one camera's pictures. Detection notes in the ring how faces lie; this reads it once a frame."""

    def __init__(self, camera: Camera, ring: Ring) -> None:
        self._camera, self._ring = camera, ring
        self._auto = camera.rotation_deg == "auto"
        self.deg = ring.turned_deg if camera.rotation_deg == "auto" else camera.rotation_deg
        """Clockwise turn of the pictures, in degrees. A new process of a camera goes on with the turn found before."""
        self.wanted_deg: int | None = None
        """Value for `rotation_deg` with which faces would stand upright; None while nothing is wrong."""
        self._since_ns = 0
        ring.turned_deg, ring.lying = self.deg, Lying()

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the picture, uint8 BGR [height, width, 3], turned and then mirrored."""
        return mounted(image, self.deg, mirror=self._camera.mirror)

    def update(self, now_ns: int) -> None:
        """Take in how faces lie: turn further pictures where the turn is `auto`, or say so where it lasts."""
        lying = self._ring.lying
        if not lying.turn_deg or lying.turned_deg != self.deg:
            self._since_ns, self.wanted_deg = 0, None
            return
        self._since_ns = self._since_ns or now_ns
        wanted_deg = (self.deg + (-lying.turn_deg if self._camera.mirror else lying.turn_deg)) % 360
        if self._auto:
            if lying.times >= AUTO_TIMES:
                self.deg = self._ring.turned_deg = wanted_deg
                log("camera_turned", severity="notice", camera=self._camera.name, rotation_deg=wanted_deg)
        elif lying.times >= ALERT_TIMES and now_ns - self._since_ns >= ALERT_NS:
            if wanted_deg != self.wanted_deg:
                log("faces_lie", severity="warning", camera=self._camera.name, remedy=f"rotation_deg = {wanted_deg}")
            self.wanted_deg = wanted_deg
