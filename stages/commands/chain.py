"""The chain of one camera in one process: from frames to the people who are there, by the stages' own parts."""

from collections.abc import Sequence

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.assets import resolve
from models.cards import ModelError
from models.detector import DetectedFace, FaceDetector
from models.reach.mosaic import Expected
from models.reach.searcher import Searcher
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.messages import MAX_FACES, Audience, Faces, Frame
from pipeline.settings import Station
from stages.capture.stage import as_shared
from stages.classify import Classify
from stages.detect.follower import Follower
from stages.detect.stage import crop_spec
from stages.people.presence import Presence
from stages.people.view import Visit


class Calls(Struct):
    """Work that was done: frames seen, runs of the detector, and crops that were classified."""

    frames: int = 0
    detector: int = 0
    classifier: int = 0


class Chain:
    """Capture's geometry, detection, classification and presence of a station's first camera, frame by frame."""

    def __init__(self, station: Station) -> None:
        """Load the models that the station names. UserError: one of them cannot be used."""
        cv2.setNumThreads(station.detect.threads)
        self._camera = station.cameras[0]
        self.calls = Calls()
        try:
            model = resolve(station.detect.model, station.folder)
            self._detector = FaceDetector(
                model,
                station.detect.min_score,
                min(station.detect.max_faces, MAX_FACES),
                runtime=station.detect.runtime,
            )
            self._crop = crop_spec(station)
            unknown = resolve(station.classify.model, station.folder).card.unknown
        except ModelError as error:
            raise UserError(str(error)) from error
        self._classify = Classify(Job(station=station))
        self._searcher = Searcher(self._detector, self._camera.reach, station.detect.budget, self._camera.fps)
        self._follower = Follower(
            self._search,
            self._crop,
            fps=self._camera.fps,
            min_face_px=self._camera.min_face_px,
        )
        self._presence = Presence({self._camera.name: self._camera}, unknown)

    def look(self, image: NDArray[np.uint8], at_s: float) -> Audience:
        """Return who is there at `at_s` seconds, given the camera's picture then, uint8 BGR [height, width, 3]."""
        image = as_shared(image, self._camera)
        height_px, width_px = image.shape[:2]
        self.calls.frames += 1
        frame = Frame(
            camera=self._camera.name,
            seq=self.calls.frames,
            captured_ns=1 + round(at_s * 1e9),  # 0 is no time
            slot=0,
            version=0,
            width_px=width_px,
            height_px=height_px,
        )
        seen = self._follower.look(image, frame.captured_ns)
        faces = Faces.of(frame, seen.faces, seen.crops, self._crop.size_px, seen.asked)
        self.calls.classifier += len(seen.crops)
        [answered] = self._classify.step([faces])
        audience = self._presence.take(answered)
        assert audience, "frames come in their order"
        return audience

    def _search(self, image: NDArray[np.uint8], expected: Sequence[Expected], t_ns: int) -> list[DetectedFace]:
        found = self._searcher.search(image, expected, t_ns)
        self.calls.detector += found.calls
        return found.faces

    def left(self) -> list[Visit]:
        """Return the stays that have ended since this was last asked."""
        return self._presence.left()

    def end(self) -> list[Visit]:
        """Return all stays that were not told yet, as the camera's last picture has passed."""
        return self._presence.close()

    def close(self) -> None:
        """Free the models."""
        self._detector.close()
        self._classify.close()
