"""Follower of one camera: from frames to the people in them, and to the crops that are worth asking about."""

from collections.abc import Callable, Sequence
from heapq import nlargest
from weakref import WeakKeyDictionary

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.crop import CropSpec, crop_face
from models.detector import DetectedFace
from models.pose import head_pose
from models.reach.mosaic import Expected
from pipeline.messages import MAX_FACES, Face
from stages.detect.asking import Asked, quality
from stages.detect.tracks import Track, Tracks

Search = Callable[[NDArray[np.uint8], Sequence[Expected], int], list[DetectedFace]]
"""Search for the faces of a frame, uint8 BGR [height, width, 3]. It is told where the faces of people who are followed
are expected, and the frame's time in ns."""
_FARTHEST_PX = 65536.0


class Followed(Struct, frozen=True):
    """People found in one frame. `crops[i]` is uint8 RGB [size_px, size_px, 3] of the face with number `asked[i]`."""

    faces: tuple[Face, ...]
    asked: tuple[int, ...]
    crops: tuple[bytes, ...]
    found: list[DetectedFace]
    """All faces that were found, also of whom nobody is sure yet."""


class Follower:
    """Follower of the people in one camera's frames. It finds them by `search` and works in any process."""

    def __init__(
        self,
        search: Search,
        crop: CropSpec | None,
        *,
        fps: float = 10.0,
        max_faces: int = MAX_FACES,
        min_face_px: float = 0.0,
    ) -> None:
        """Begin with nobody. Without `crop` nobody is asked about. Of more than `max_faces` the largest stay."""
        self.search = search
        self._crop = crop
        self._max_faces = min(max_faces, MAX_FACES)
        self.min_face_px = min_face_px
        """Width below which a face does not count."""
        self._tracks = Tracks(fps)
        self._asked: WeakKeyDictionary[Track, Asked] = WeakKeyDictionary()

    @property
    def people(self) -> int:
        """Number of people who are being followed, also of those who are not found just now."""
        return self._tracks.people

    def look(self, image: NDArray[np.uint8], t_ns: int) -> Followed:
        """Return who is in a frame, uint8 BGR [height, width, 3], that was captured at a time, ns."""
        expected = [Expected(track.box_px, track.believed) for track in self._tracks.expected(t_ns)]
        found = [face for face in self.search(image, expected, t_ns) if self._counts(face)]
        found = nlargest(self._max_faces, found, lambda face: face.box_px[2] * face.box_px[3])
        boxes_px = [face.box_px for face in found]
        height_px, width_px = image.shape[:2]
        faces: list[Face] = []
        asked: list[int] = []
        crops: list[bytes] = []
        for face, track in zip(found, self._tracks.follow(found, t_ns, (width_px, height_px)), strict=True):
            if not track or not track.believed:
                continue
            worth = 0.0
            if self._crop:
                worth = quality(image, face, track.width_px, boxes_px)
                asks = self._asked.setdefault(track, Asked())
                if asks.wants(worth, track.since_ns, t_ns, seldom=self._tracks.seldom):
                    asked.append(len(faces))
                    crop = crop_face(image, face.box_px, face.keypoints_px, self._crop)
                    crops.append(crop[..., ::-1].tobytes())
            pose = head_pose(face.box_px, face.keypoints_px, face.score)
            faces.append(
                Face(
                    box_px=face.box_px,
                    score=face.score,
                    keypoints_px=face.keypoints_px,
                    track=track.id,
                    since_ns=track.since_ns,
                    yaw_deg=pose.yaw_deg if pose else None,
                    pitch_deg=pose.pitch_deg if pose else None,
                    quality=worth,
                )
            )
        return Followed(tuple(faces), tuple(asked), tuple(crops), found)

    def _counts(self, face: DetectedFace) -> bool:
        """Return whether a face is wide enough, and every number of it small enough to be sent."""
        numbers = (*face.box_px, *(value for point in face.keypoints_px for value in point))
        return face.box_px[2] >= self.min_face_px and all(abs(number) <= _FARTHEST_PX for number in numbers)
