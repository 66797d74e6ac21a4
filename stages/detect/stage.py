"""The detect stage: find the faces of each frame and cut out the crops that the classifier wants.

It also notes in a camera's ring how faces lie, for the camera to turn its frames or to tell the operator.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from models.assets import resolve
from models.cards import ModelError
from models.crop import CropSpec, crop_face
from models.detector import DetectedFace, FaceDetector
from models.lying import LyingWatch
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.log import skip
from pipeline.messages import MAX_FACES, Face, Faces, Frame
from pipeline.ring import Lying, Ring
from pipeline.settings import Station

_FARTHEST_PX = 65536.0


class Detect:
    """Stage that makes one `Faces` of each frame that can still be read.

    Crops are uint8 RGB [size, size, 3]; there are none in mode `count`.
    """

    def __init__(self, job: Job) -> None:
        station = job.station
        cv2.setNumThreads(station.detect.threads)
        try:
            model = resolve(station.detect.model, station.folder)
            self._detector = FaceDetector(model, station.detect.min_score, min(station.detect.max_faces, MAX_FACES))
            self._crop = None if station.station.mode == "count" else crop_spec(station)
        except ModelError as error:
            raise UserError(str(error)) from error
        self._rings = {name: Ring.at(ref) for name, ref in job.rings.items()}
        self._watches = {name: LyingWatch(self._detector) for name in job.rings}
        self.status = {"model": model.card.name, "device": "cpu", "card_sha256": model.card_sha256}

    def step(self, batch: list[Frame]) -> Iterator[Faces]:
        """Yield the faces of one frame after the other; skip a frame that was overwritten meanwhile."""
        for frame in batch:
            ring = self._rings.get(frame.camera)
            image = ring.read(frame.slot, frame.version, frame.height_px, frame.width_px) if ring else None
            if ring is None or image is None:
                skip("torn_frame" if ring else "unknown_camera", camera=frame.camera)
                continue
            found = [face for face in self._detector.detect(image) if _in_bounds(face)]
            yield self._faces(frame, image, found)
            watch = self._watches[frame.camera]  # after the frame has left, which the search would hold up
            turned_deg = ring.turned_deg
            if watch.look(image, found, frame.captured_ns, turned_deg):
                ring.lying = Lying(turned_deg=turned_deg, turn_deg=watch.turn_deg, times=watch.times)

    def close(self) -> None:
        """Free the model and unmap the rings."""
        self._detector.close()
        for ring in self._rings.values():
            ring.close()

    def _faces(self, frame: Frame, image: NDArray[np.uint8], found: list[DetectedFace]) -> Faces:
        crops: list[bytes] = []
        if self._crop:
            for face in found:
                crop = crop_face(image, face.box_px, face.keypoints_px, self._crop)
                crops.append(crop[..., ::-1].tobytes())
        faces = tuple(Face(box_px=f.box_px, score=f.score, keypoints_px=f.keypoints_px) for f in found)
        return Faces.of(frame, faces, tuple(crops), self._crop.size_px if self._crop else 0)


def crop_spec(station: Station) -> CropSpec:
    """Return the kind of crop that the station's classifier wants. ModelError: the model finds faces instead."""
    card = resolve(station.classify.model, station.folder).card
    if card.crop is None:
        raise ModelError(f"classify.model: {card.name} finds faces: give a model that classifies them")
    return card.crop


def _in_bounds(face: DetectedFace) -> bool:
    """Return whether every number of the face is small enough to be sent."""
    numbers = (*face.box_px, *(value for point in face.keypoints_px for value in point))
    return all(abs(number) <= _FARTHEST_PX for number in numbers)
