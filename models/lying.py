"""Watch for faces that lie on their side or upside down, which a detector does not find or finds only by chance.

Of the sample camera's faces, MediaPipe's full-range model finds all when upright, with scores from 0.81 on. It finds a
quarter of those turned by 90 degrees and one in twenty of those upside down, most with scores under 0.75. So one frame
in 2 s that shows no upright face is turned and searched once or twice more, for 10 ms each. Where faces were upright,
it is one in 10 s.
"""

import math

import numpy as np
from numpy.typing import NDArray

from models.crop import turned
from models.detector import FaceDetector
from models.face import DetectedFace

TURNS_DEG = (90, 270, 180)
"""Clockwise turns that are tried, in the order in which cameras are wont to be mounted."""
PROBE_NS = 2_000_000_000
"""Time between two judged frames of a camera."""
SELDOM_NS = 10_000_000_000
"""The same, once faces have been found upright: nothing changes but by a new mounting."""
_AT_EASE = 3
"""Judged frames with upright faces, after which they are known to be so."""
_TIMES_MAX, _AGAINST = 30, 3
_SURE = 0.75
_ROLL_MAX_DEG = 45.0


def roll_deg(face: DetectedFace) -> float:
    """Return how far a face leans clockwise, -180 to 180 degrees: 0 where the mouth is straight below the eyes."""
    (right_x, right_y), (left_x, left_y), _, (mouth_x, mouth_y), *_ = face.keypoints_px
    return math.degrees(math.atan2((right_x + left_x) / 2 - mouth_x, mouth_y - (right_y + left_y) / 2))


class LyingWatch:
    """Watch of the frames of one camera. One frame in 2 s is judged, by a turned search only if no face is upright."""

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._next_ns = 0
        self._tried, self._upright = 0, 0
        self._turned_deg = 0
        self.turn_deg = 0
        """Turn after which the faces found last stand upright; 0 while none lie."""
        self.times = 0
        """Number of judged frames with such faces, at most 30, less 3 for each that says otherwise."""

    def look(self, image: NDArray[np.uint8], found: list[DetectedFace], captured_ns: int, turned_deg: int = 0) -> bool:
        """Take in a frame, uint8 BGR [height, width, 3], and the faces found in it. Return whether anything is new.

        A turned search tries one turn: every second time the one that is suspected. Where it finds faces, the opposite
        turn and the suspected one are tried too. A lying face may pass for an upright one by chance.
        `turned_deg` is the turn that the camera's frames have already; when it changes, the watch begins anew.
        """
        if turned_deg != self._turned_deg:
            self._turned_deg, self.turn_deg, self.times, self._upright, self._next_ns = turned_deg, 0, 0, 0, captured_ns
        if captured_ns < self._next_ns:
            return False
        upright = _best_upright(found)
        turn_deg, score = 0, upright
        if upright < _SURE:
            suspected = self.times > 0 and self._tried % 2 == 0
            turn_deg = self.turn_deg if suspected else TURNS_DEG[self._tried % len(TURNS_DEG)]
            score = _best_upright(self._detector.detect(turned(image, turn_deg)))
        if score < _SURE:
            self._tried += 1
            self._wait(captured_ns)
            return False
        if turn_deg or self.times or self._upright < _AT_EASE:
            scores = {turn_deg: score, 0: upright}
            for other_deg in ((turn_deg + 180) % 360, self.turn_deg):
                if other_deg not in scores:
                    scores[other_deg] = _best_upright(self._detector.detect(turned(image, other_deg)))
            turn_deg = max(scores, key=lambda deg: scores[deg])
        self._upright = 0 if turn_deg else self._upright + 1
        return self._judged(turn_deg, captured_ns)

    def _judged(self, turn_deg: int, captured_ns: int) -> bool:
        """Take in that faces of a frame stand upright after this turn. Return whether anything is new."""
        before = self.turn_deg, self.times
        if turn_deg and turn_deg == self.turn_deg:
            self.times = min(_TIMES_MAX, self.times + 1)
        elif self.times > _AGAINST:
            self.times -= _AGAINST
        else:
            self.turn_deg, self.times = turn_deg, 1 if turn_deg else 0
        self._wait(captured_ns)
        return before != (self.turn_deg, self.times)

    def _wait(self, captured_ns: int) -> None:
        at_ease = self._upright >= _AT_EASE and not self.times
        self._next_ns = captured_ns + (SELDOM_NS if at_ease else PROBE_NS)


def _best_upright(faces: list[DetectedFace]) -> float:
    return max((face.score for face in faces if abs(roll_deg(face)) < _ROLL_MAX_DEG), default=0.0)
