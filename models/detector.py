"""Face detection on one image at a time. It prints nothing and sends nothing.

What runs the model is a runtime: LiteRT, or MediaPipe Tasks. Both get the same pictures and find the same faces.
"""

import math
from collections.abc import Callable
from heapq import nlargest
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from models.assets import Model
from models.cards import ModelError
from models.crop import CropSpec, crop_face
from models.face import DetectedFace, Letterbox
from models.trial import ensure_tried

RuntimeName = Literal["auto", "litert", "mediapipe"]
_PACKAGES = {"litert": "ai-edge-litert", "mediapipe": "mediapipe"}
"""Runtimes with the packages that they need, the fastest first."""
_SURE = 0.75
_CLOSE_UP = 3.5
"""Side of a close-up, in face widths."""


class Runtime(Protocol):
    """Library with a loaded model. A run takes milliseconds and one thread."""

    input_px: int
    """Side of the square picture that the model takes."""

    def find(self, square: NDArray[np.uint8], min_score: float) -> list[DetectedFace]:
        """Return the faces of a picture, uint8 RGB [input_px, input_px, 3], in its pixels, best first."""

    def close(self) -> None:
        """Free the model."""


class FaceDetector:
    """Detector of faces in images of any size. Raises ModelError if the model does not load.

    Two steps improve on MediaPipe alone (full-range model; photographs pasted into 150 1080p frames):
    - The image is made smaller by averaging, where MediaPipe interpolates at once. That finds .53 of 80 px faces
      instead of .44, and .69 of 100 px faces instead of .59.
    - A face with a score under 0.75 is detected once more, close up, and must reach `min_score` there. This drops 19
      in 20 of the backs of heads taken for faces, and 1 in 40 of the faces.
    """

    def __init__(
        self,
        model: Model,
        min_score: float = 0.5,
        max_faces: int = 64,
        *,
        runtime: RuntimeName = "auto",
        tried: bool = False,
    ) -> None:
        """Load the model. `tried=True` skips the trial of one that does not come with the program."""
        if model.card.task != "detect":
            raise ModelError(f"{model.card.name} is a model that classifies faces: give one that finds them")
        self.runtime = chosen_runtime(runtime)
        """Name of what runs the model: `litert` or `mediapipe`."""
        if not tried:
            ensure_tried(model, f"{self.runtime} {_installed(self.runtime)}")
        self.max_faces = max_faces
        """Largest number of faces of one image; of more, the largest stay."""
        self.min_score = min_score
        """Least score of a face where none other is named."""
        self._runtime = _load(self.runtime, model.read(model.card.files[0].name), model.card.name, min_score)
        self.input_px = self._runtime.input_px
        """Side of the square picture that the model takes."""
        self._close_up = CropSpec(size_px=self.input_px, scale=_CLOSE_UP, level_eyes=False)
        self.runs = 0
        """Number of runs of the model since it was loaded, the measure of what detection costs."""
        self.on_run: Callable[[], object] = lambda: None
        """Called before each run of the model: a search may take many."""

    def detect(self, image: NDArray[np.uint8], min_score: float | None = None) -> list[DetectedFace]:
        """Find the faces of an image, uint8 BGR [H, W, 3], best first, unsure ones by a second look close up.

        Of more than `max_faces` the largest stay. It takes one run of the model, and one for each unsure face.
        """
        least = self.min_score if min_score is None else min_score
        seen = (face if face.score >= _SURE else self.confirm(image, face, least) for face in self.find(image, least))
        largest = nlargest(self.max_faces, (face for face in seen if face), lambda face: math.prod(face.box_px[2:]))
        return sorted(largest, key=lambda face: -face.score)

    def find(self, image: NDArray[np.uint8], min_score: float | None = None) -> list[DetectedFace]:
        """Find what looks like a face in an image or a part of one, uint8 BGR [H, W, 3], by one run of the model."""
        letterbox = Letterbox.of(image, self.input_px)
        faces = map(letterbox.back, self.find_in_square(letterbox.square, min_score))
        return [face for face in faces if face.is_sane()]

    def find_in_square(self, square: NDArray[np.uint8], min_score: float | None = None) -> list[DetectedFace]:
        """Do the same with a picture of the model's own size, uint8 RGB [input_px, input_px, 3], as it is."""
        self.runs += 1
        self.on_run()
        return self._runtime.find(square, self.min_score if min_score is None else min_score)

    def confirm(
        self, image: NDArray[np.uint8], face: DetectedFace, min_score: float | None = None
    ) -> DetectedFace | None:
        """Look again at a face of an image, uint8 BGR, close up, by one run. Return what is found there, or None."""
        x, y, w, h = face.box_px
        side = max(w, h) * self._close_up.scale
        close_up = crop_face(image, face.box_px, (), self._close_up)
        scale = side / self.input_px
        left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
        near = (again.mapped(scale, scale, left, top) for again in self.find_in_square(close_up[..., ::-1], min_score))
        same = (again for again in near if again.is_sane() and _same(again, face))
        return max(same, key=lambda again: again.score, default=None)

    def close(self) -> None:
        """Free the model."""
        self._runtime.close()

    def __enter__(self) -> "FaceDetector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def chosen_runtime(name: RuntimeName) -> str:
    """Return the runtime that a name means here: `auto` is the first that is there. Raises ModelError: it is not."""
    installed = [runtime for runtime in _PACKAGES if _installed(runtime)]
    if name == "auto" and installed:
        return installed[0]
    if name in installed:
        return name
    if not installed:
        raise ModelError("nothing that runs face detectors is installed: .ci/setup")
    other = f"take detect.runtime = '{installed[0]}' or 'auto'"
    if name == "mediapipe":
        raise ModelError(f"detect.runtime is 'mediapipe', which is not installed (it has no wheel for Arm): {other}")
    raise ModelError(f"detect.runtime is '{name}', which is not installed: run .ci/setup, or {other}")


def _installed(runtime: str) -> str | None:
    """Return the version of what is installed of a runtime, or None."""
    try:
        return version(_PACKAGES[runtime])
    except PackageNotFoundError:
        return None


def _load(runtime: str, data: bytes, name: str, min_score: float) -> Runtime:
    """Load a model file. Only the runtime that is used is imported."""
    if runtime == "litert":
        from models.litert_runtime import LiteRtRuntime

        return LiteRtRuntime(data, name)
    from models.mediapipe_runtime import MediaPipeRuntime

    return MediaPipeRuntime(data, name, min_score)


def _same(one: DetectedFace, other: DetectedFace) -> bool:
    """Tell whether two boxes are of one face: their middles are near, their sizes alike."""
    (x, y, w, h), (u, v, s, t) = one.box_px, other.box_px
    near = 0.35 * max(s, t)
    return abs(x + w / 2 - u - s / 2) < near and abs(y + h / 2 - v - t / 2) < near and 0.5 < w / s < 2
