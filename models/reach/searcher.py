"""Search of the frames of one camera, for faces near and far."""

import math
from collections.abc import Sequence
from heapq import nlargest
from typing import Literal

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.detector import FaceDetector
from models.face import DetectedFace
from models.reach.mosaic import Box, Expected, is_same, search_mosaic
from models.reach.motion import Motion
from models.reach.tiles import Tile, Turns, tiles_of

Reach = Literal["auto", "near", "far"]

FAR_FROM_PX = 1280
"""Longer side of the smallest frame in which `auto` looks far."""
ONE_FRAME_FPS = 0.2
"""Frames a second up to which each is searched as if it were the only one."""
_LOW_SCORE = 0.2
"""Least score of what looks like a face from afar, and is then looked at close up."""
_SURE, _SURE_PX = 0.75, 20.0
"""Score and width in the model's input of a face that needs no second look."""
_BELIEVED = 0.6
"""Share of the least score that is enough for somebody who is followed and believed in."""
_NEW = 1.2
"""Least mean of the scores of somebody new, in least scores. Nothing in 36 empty streets comes near it (.48 where .6 is
asked), and hardly a back of a head reaches it. It costs 1 in 10 of the looks that show a face."""
_THIRD_LOOKS = 3
"""Largest number of third looks for each call of close-ups. They may overdraw the budget; later frames pay back."""
_BESIDE = 0.8
"""Distance in face widths within which a face is that of the person who is followed there."""
_SAVED = 2.0
"""Calls that may be saved up, in budgets of a frame."""


class Found(Struct, frozen=True):
    """Result of the search of a frame."""

    faces: list[DetectedFace]
    """Faces in px of the frame, best first."""
    calls: int
    """Runs of the model that it took, each about as long as the search of a whole frame."""


class _Candidate(Struct, frozen=True):
    """Likeness of a face in a tile; `sure` if it needs no second look."""

    face: DetectedFace
    tile: Tile
    sure: bool


class _Cell(Struct, frozen=True):
    """Place of a close-up: of somebody followed, of a candidate with its score from afar, or of what moves."""

    box_px: Box
    known: Expected | None = None
    score: float | None = None


class Searcher:
    """Searcher of one camera's frames within a budget of calls a frame, on average."""

    def __init__(self, detector: FaceDetector, reach: Reach = "auto", budget: float = 3.0, fps: float = 10.0) -> None:
        self._detector, self._reach = detector, reach
        self._budget = math.inf if fps <= ONE_FRAME_FPS else budget
        self._calls = 0.0
        self._motion = Motion()
        self._turns: Turns | None = None
        self._size_px = (0, 0)
        self._first = 0

    def search(self, image: NDArray[np.uint8], followed: Sequence[Expected] = (), t_ns: int = 0) -> Found:
        """Find the faces of a frame, uint8 BGR [H, W, 3], taken at `t_ns`, those of whoever is `followed` too."""
        before = self._detector.runs
        if self._reach == "near" or (self._reach == "auto" and max(image.shape[:2]) < FAR_FROM_PX):
            faces = self._detector.detect(image)
        else:
            faces = self._far(image, followed, t_ns)
        return Found(faces, self._detector.runs - before)

    def _far(self, image: NDArray[np.uint8], followed: Sequence[Expected], t_ns: int) -> list[DetectedFace]:
        height, width = image.shape[:2]
        if self._turns is None or self._size_px != (width, height):
            self._size_px, self._turns = (width, height), Turns(tiles_of(width, height, self._detector.input_px))
        turns = self._turns
        self._motion.look(image, t_ns, [each.box_px for each in followed if each.believed])
        self._calls = min(self._calls + self._budget, _SAVED * max(self._budget, 1.0))
        if self._calls < (2 if self._budget < 2 else 1):  # one to look for the new, one for what was seen before
            return []
        if math.isinf(self._budget):
            tiles, close_ups = turns.tiles, math.inf
        else:
            close_ups = max(1, min(math.ceil((len(followed) + 1) / 4), int(self._calls) - 1))
            tiles = turns.next(self._motion.of(turns.tiles, width, height), int(self._calls) - int(close_ups))
        started = self._detector.runs
        candidates = self._candidates(image, tiles)
        sure = [each.face for each in candidates if each.sure]
        cells = self._cells(followed, sure, candidates, close_ups)
        faces = self._close_ups(image, cells, close_ups) + sure
        self._calls -= self._detector.runs - started
        kept = _merged(faces, self._detector.max_faces)
        for each in candidates:
            new = not any(is_same(each.face.box_px, known.box_px, _BESIDE) for known in followed)
            if new and any(is_same(each.face.box_px, face.box_px) for face in kept):
                turns.appeared(each.tile, t_ns)
        return kept

    def _candidates(self, image: NDArray[np.uint8], tiles: Sequence[Tile]) -> list[_Candidate]:
        """Search some tiles. Return one candidate for each face, best first."""
        height, width = image.shape[:2]
        found = []
        for tile in tiles:
            scale = max(tile.width, tile.height) / self._detector.input_px
            for face in self._detector.find(tile.of(image), _LOW_SCORE):
                face = face.mapped(1, 1, tile.left, tile.top)
                likely = face.score >= max(_SURE, self._detector.min_score)
                large = max(face.box_px[2:]) >= _SURE_PX * scale
                sure = likely and large and not tile.cuts(face, width, height)
                found.append(_Candidate(face, tile, sure))
        found.sort(key=lambda each: (not each.sure, -each.face.score))
        kept: list[_Candidate] = []
        for each in found:
            if not any(is_same(each.face.box_px, other.face.box_px) for other in kept):
                kept.append(each)
        return kept

    def _cells(
        self, followed: Sequence[Expected], sure: list[DetectedFace], candidates: list[_Candidate], close_ups: float
    ) -> list[_Cell]:
        """Choose the places of close-ups: those of the followed, in turns if need be, then the best candidates'."""
        seen = {i for i, each in enumerate(followed) if any(is_same(face.box_px, each.box_px) for face in sure)}
        turn = [(self._first + i) % len(followed) for i in range(len(followed))]
        due = [i for i in turn if i not in seen]
        most = 4 * close_ups if len(due) < 4 * close_ups else 9 * close_ups
        taken = due[: int(min(most, len(due)))]
        if len(taken) < len(due):
            self._first = due[len(taken)]
        cells = [_Cell(followed[i].box_px, followed[i]) for i in taken]
        for each in candidates:
            near = any(is_same(each.face.box_px, known.box_px, _BESIDE) for known in followed)
            if not each.sure and not near and len(cells) < most:
                cells.append(_Cell(each.face.box_px, score=each.face.score))
        free = int(min(4, max(0, 4 * close_ups - len(cells))))
        return cells + [_Cell(box) for box in self._motion.heads(*self._size_px)[:free]]

    def _close_ups(self, image: NDArray[np.uint8], cells: list[_Cell], close_ups: float) -> list[DetectedFace]:
        """Look at places close up. Return the faces that are found there.

        Whoever is not believed in is looked at a third time, from a little farther off. Somebody new is judged by all
        scores, and who was noticed before by the best.
        """
        a_side = 2 if len(cells) <= 4 * close_ups else 3
        least, third_looks = self._detector.min_score, 0
        new = min(_NEW * least, (1 + least) / 2)  # a high least score leaves little room above it
        faces: list[DetectedFace] = []
        for i in range(0, len(cells), a_side**2):
            part = cells[i : i + a_side**2]
            found = search_mosaic(self._detector, image, [cell.box_px for cell in part], a_side, _BELIEVED * least)
            for cell, near in zip(part, found, strict=True):
                for face in near:
                    known = cell.known if is_same(face.box_px, cell.box_px, _BESIDE) else None
                    if known and known.believed:
                        faces.append(face)
                    elif face.score >= least:
                        again = None
                        if third_looks < _THIRD_LOOKS * close_ups:
                            third_looks += 1
                            again = self._detector.confirm(image, face)
                        if known:
                            faces.append(again if again and again.score > face.score else face)
                        elif again:
                            scores = [face.score, again.score] + ([] if cell.score is None else [cell.score])
                            faces += [again] if np.mean(scores) >= new else []
        return faces


def _merged(faces: list[DetectedFace], most: int) -> list[DetectedFace]:
    """Return each face once, the first of its kind, best first. Of more than `most` the largest stay."""
    kept: list[DetectedFace] = []
    for face in faces:
        if not any(is_same(face.box_px, other.box_px) for other in kept):
            kept.append(face)
    return sorted(nlargest(most, kept, lambda face: face.box_px[2] * face.box_px[3]), key=lambda face: -face.score)
