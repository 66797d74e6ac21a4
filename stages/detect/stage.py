"""The detect stage: find the people of each frame, follow them, and cut out the crops worth asking about.

It also notes in a camera's ring how faces lie, for the camera to turn its frames or to tell the operator.
"""

from collections.abc import Callable, Iterator

import cv2

from models.assets import resolve
from models.cards import ModelError
from models.crop import CropSpec
from models.detector import FaceDetector
from models.lying import LyingWatch
from models.reach.searcher import Searcher
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.log import skip
from pipeline.messages import MAX_FACES, Faces, Frame
from pipeline.ring import Lying, Ring
from pipeline.settings import Camera, Station
from stages.detect.follower import Follower, Search


class Detect:
    """Stage that makes one `Faces` of each frame that can still be read."""

    def __init__(self, job: Job) -> None:
        station = job.station
        cv2.setNumThreads(station.detect.threads)
        try:
            model = resolve(station.detect.model, station.folder)
            wanted = station.detect
            self._detector = FaceDetector(
                model, wanted.min_score, min(wanted.max_faces, MAX_FACES), runtime=wanted.runtime
            )
            self._crop = None if station.station.mode == "count" else crop_spec(station)
        except ModelError as error:
            raise UserError(str(error)) from error
        self._budget = station.detect.budget
        self._rings = {name: Ring.at(ref) for name, ref in job.rings.items()}
        self._watches = {name: LyingWatch(self._detector) for name in job.rings}
        self._cameras = job.cameras
        self._followers = {name: self._follower(job.cameras[name]) for name in job.rings}
        self.status = {
            "model": model.card.name,
            "device": "cpu",
            "runtime": self._detector.runtime,
            "card_sha256": model.card_sha256,
        }

    def step(self, batch: list[Frame]) -> Iterator[Faces]:
        """Yield the people of one frame after the other; skip a frame that was overwritten meanwhile."""
        for frame in batch:
            ring = self._rings.get(frame.camera)
            image = ring.read(frame.slot, frame.version, frame.height_px, frame.width_px) if ring else None
            if ring is None or image is None:
                skip("torn_frame" if ring else "unknown_camera", camera=frame.camera)
                continue
            seen = self._followers[frame.camera].look(image, frame.captured_ns)
            yield Faces.of(frame, seen.faces, seen.crops, self._crop.size_px if self._crop else 0, seen.asked)
            watch = self._watches[frame.camera]  # after the frame has left, which the search would hold up
            turned_deg = ring.turned_deg
            if watch.look(image, seen.found, frame.captured_ns, turned_deg):
                ring.lying = Lying(turned_deg=turned_deg, turn_deg=watch.turn_deg, times=watch.times)

    def alive_by(self, beat: Callable[[], object]) -> None:
        """Call `beat` before each run of the model: a slow machine may take many seconds to sweep a frame."""
        self._detector.on_run = beat

    def update(self, job: Job) -> None:
        """Take in the cameras' tables: who is followed goes on being followed."""
        before, self._cameras = self._cameras, job.cameras
        for name, follower in self._followers.items():
            camera = job.cameras.get(name)
            if camera and camera != before[name]:
                follower.min_face_px = camera.min_face_px
                follower.search = self._search(camera)

    def close(self) -> None:
        """Free the model and unmap the rings."""
        self._detector.close()
        for ring in self._rings.values():
            ring.close()

    def _follower(self, camera: Camera) -> Follower:
        return Follower(self._search(camera), self._crop, fps=camera.fps, min_face_px=camera.min_face_px)

    def _search(self, camera: Camera) -> Search:
        """Return a search for people as far off as the camera's table says."""
        searcher = Searcher(self._detector, camera.reach, self._budget, camera.fps)
        return lambda *frame: searcher.search(*frame).faces


def crop_spec(station: Station) -> CropSpec:
    """Return the kind of crop that the station's classifier wants. ModelError: the model finds faces instead."""
    card = resolve(station.classify.model, station.folder).card
    if card.crop is None:
        raise ModelError(f"classify.model: {card.name} finds faces: give a model that classifies them")
    return card.crop
