"""The capture stage: read the newest frame of a camera at the camera's own rate and write it into its ring.

A source that fails or vanishes is opened again for as long as the station runs, with growing pauses.
"""

import time
from typing import Any

import cv2
import numpy as np

from pipeline.cameras import public_name, source_kind, source_path
from pipeline.job import Job
from pipeline.log import log
from pipeline.messages import Frame
from pipeline.ring import Ring
from pipeline.settings import Camera
from stages.capture import sample
from stages.capture.light import is_dark
from stages.capture.live import SLICE_S
from stages.capture.masks import blanked
from stages.capture.network import Image
from stages.capture.sources import Source, open_source
from stages.capture.trouble import local_trouble
from stages.capture.turn import Turn, mounted

_RETRY_FIRST_S, _RETRY_LAST_S = 0.5, 30.0
_QUIET_NS = 60_000_000_000  # shortest time between two log lines about the loss of one source
_LOOK_AGAIN_NS = 2_000_000
_CATCH_UP_NS = 100_000_000


class Capture:
    """Stage of one camera. `status` holds the fields of `pipeline.operator.snapshot.CameraState`."""

    def __init__(self, job: Job) -> None:
        cv2.setNumThreads(1)
        self._camera, self._folder = job.camera, job.station.folder
        self._ring = Ring.at(job.rings[job.camera.name])
        self._turn = Turn(self._camera, self._ring)
        self._size_px, self._size_told = (0, 0), False
        self._period_ns = round(1e9 / job.camera.fps)
        self._due_ns = self._look_ns = time.monotonic_ns()
        self._seq = 0
        self._source: Source | None = None
        if source_kind(self._camera, self._folder) == "sample":
            sample.prepare()  # now, before heartbeats are expected: on a busy machine it can take seconds
        self._retry_s, self._retry_at_ns = _RETRY_FIRST_S, 0
        self._logged, self._quiet_until_ns = "", 0
        self.status: dict[str, Any] = {
            "source": public_name(job.camera.source),
            "state": "opening",
            "problem": "",
            "width_px": 0,
            "height_px": 0,
            "turned_deg": self._turn.deg,
            "rotation_wanted_deg": None,
            "dark": False,
        }

    def step(self, _batch: list[Any]) -> list[Frame]:
        """Sleep until the next frame is due, at most 0.4 s. Return [Frame], or [] if none is due or none is there."""
        self._ring.expire()
        early_s = (max(self._due_ns, self._look_ns) - time.monotonic_ns()) / 1e9
        time.sleep(min(max(early_s, 0.0), SLICE_S))
        try:
            source = self._open()
            if source is None:
                return []
            source.advance()
            shot = source.read() if early_s <= SLICE_S else None
            if source.ended:
                self._end()
        except (OSError, MemoryError, cv2.error) as error:
            self._lose(error)
            return []
        if shot is None:
            self._look_ns = time.monotonic_ns() + _LOOK_AGAIN_NS
            return []
        return [self._publish(*shot)]

    def close(self) -> None:
        """Release the camera and the ring's memory."""
        if self._source is not None:
            self._source.close()
        self._ring.close()

    def _open(self) -> Source | None:
        if self._source is None and self.status["state"] != "ended" and time.monotonic_ns() >= self._retry_at_ns:
            self._source = open_source(self._camera, self._folder)
        if self._source is None:
            self._look_ns = time.monotonic_ns() + int(SLICE_S / 2 * 1e9)
        return self._source

    def _publish(self, image: Image, captured_ns: int) -> Frame:
        now_ns = time.monotonic_ns()
        self._due_ns = max(self._due_ns + self._period_ns, now_ns - min(self._period_ns, _CATCH_UP_NS))
        self._note_size(image)
        self._turn.update(now_ns)
        image = self._turn.apply(fit(image, self._camera.max_width_px, self._camera.max_height_px))
        image = blanked(image, self._camera.masks)
        height_px, width_px = image.shape[:2]
        dark = is_dark(image)
        self._update_status(
            state="live",
            dark=dark,
            problem="",
            width_px=width_px,
            height_px=height_px,
            turned_deg=self._turn.deg,
            rotation_wanted_deg=self._turn.wanted_deg,
        )
        self._retry_s = _RETRY_FIRST_S
        slot, version = self._ring.write(image)
        self._seq += 1
        return Frame(
            camera=self._camera.name,
            seq=self._seq,
            captured_ns=captured_ns,
            slot=slot,
            version=version,
            width_px=width_px,
            height_px=height_px,
            dark=dark,
        )

    def _note_size(self, image: Image) -> None:
        """Log the first change of the pictures' size. Each frame carries its own size, so nothing is stretched."""
        height_px, width_px = image.shape[:2]
        before_px, self._size_px = self._size_px, (width_px, height_px)
        if before_px not in ((0, 0), self._size_px) and not self._size_told:
            self._size_told = True
            sizes = {"before_px": f"{before_px[0]}x{before_px[1]}", "now_px": f"{width_px}x{height_px}"}
            log("frame_size_changes", severity="notice", camera=self._camera.name, **sizes)

    def _end(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None
        self._update_status(state="ended")
        log("source_ended", severity="notice", camera=self._camera.name, source=self.status["source"])

    def _lose(self, error: Exception) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None
        problem = local_trouble(error, source_path(self._camera, self._folder))
        if self._logged != "lost" and time.monotonic_ns() >= self._quiet_until_ns:
            log(
                "source_lost",
                severity="warning",
                camera=self._camera.name,
                source=self.status["source"],
                why=problem,
                retry_s=self._retry_s,
            )
            self._logged, self._quiet_until_ns = "lost", time.monotonic_ns() + _QUIET_NS
        self._update_status(state="retrying", problem=problem)
        self._retry_at_ns = time.monotonic_ns() + int(self._retry_s * 1e9)
        self._retry_s = min(self._retry_s * 2, _RETRY_LAST_S)

    def _update_status(self, **facts: Any) -> None:
        if facts.get("state") == "live" and self._logged != "live":
            self._logged = "live"
            log("source_live", severity="notice", camera=self._camera.name, source=self.status["source"])
        if not facts.items() <= self.status.items():
            self.status = self.status | facts


def as_shared(image: Image, camera: Camera) -> Image:
    """Return a recorded picture of a camera, uint8 BGR [height, width, 3], as the camera's ring would have it.

    It is scaled, turned, mirrored and blanked as the camera's table says; `auto` is no turn.
    """
    turn_deg = 0 if camera.rotation_deg == "auto" else camera.rotation_deg
    image = mounted(fit(image, camera.max_width_px, camera.max_height_px), turn_deg, mirror=camera.mirror)
    return blanked(image, camera.masks)


def fit(image: Image, max_width_px: int, max_height_px: int) -> Image:
    """Return the picture, uint8 BGR [height, width, 3], scaled down to the limits if larger; its ratio is kept.

    Of one that is higher than wide, the larger limit is that of the height: a portrait keeps as many pixels.
    """
    height, width = image.shape[:2]
    if height > width:
        max_width_px, max_height_px = sorted((max_width_px, max_height_px))
    scale = min(max_width_px / width, max_height_px / height)
    if scale >= 1:
        return image
    size = (max(1, int(width * scale)), max(1, int(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
