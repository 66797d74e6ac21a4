"""Face detection by MediaPipe Tasks, on one image at a time. It prints nothing and sends nothing.

MediaPipe 0.10.33 is the last release without usage logging. 0.10.35 looks up play.googleapis.com once a detector is
made (seen with strace; https://github.com/google-ai-edge/mediapipe/issues/6291). From 1.0 on logging is announced.
"""

import math
import os
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from heapq import nlargest
from typing import Any

import cv2
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from models.assets import Model
from models.cards import ModelError
from models.crop import CropSpec, crop_face
from models.trial import ensure_tried

MEDIAPIPE = "0.10.33"


def _import_mediapipe() -> types.ModuleType:
    """Import MediaPipe without Matplotlib and PortAudio, in 0.30 s instead of 1.2 s, for fast restarts.

    `mediapipe` imports all its parts. Its drawing helpers import matplotlib.pyplot, which may build a font cache in
    the home directory. Its audio tasks open PortAudio, which complains on machines without sound. Nothing here uses
    either, so they are hidden during the import only.
    """
    if "mediapipe" not in sys.modules:
        names = ("matplotlib", "matplotlib.pyplot", "sounddevice")
        before = {name: sys.modules.get(name) for name in names}
        if before["matplotlib.pyplot"] is None:
            sys.modules["matplotlib"] = types.ModuleType("matplotlib")
            sys.modules["matplotlib.pyplot"] = types.ModuleType("matplotlib.pyplot")
            sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]  # type: ignore[attr-defined]
        if before["sounddevice"] is None:
            sys.modules["sounddevice"] = None  # type: ignore[assignment]
        try:
            import mediapipe  # noqa: F401
        finally:
            for name, module in before.items():
                if module is None:
                    sys.modules.pop(name, None)
                else:
                    sys.modules[name] = module
    return sys.modules["mediapipe"]


_mp = _import_mediapipe()
if _mp.__version__ != MEDIAPIPE:
    raise ModelError(
        f"mediapipe {_mp.__version__} is installed, which may report on its use to its maker: "
        "install the one of this version again: .ci/setup"
    )
from mediapipe.tasks.python import BaseOptions  # noqa: E402
from mediapipe.tasks.python import vision as _vision  # noqa: E402

_NOISE = (
    "INFO: Created TensorFlow Lite XNNPACK delegate",
    "WARNING: All log messages before absl::InitializeLog",
    "inference_feedback_manager.cc",
    "gl_context",
)


_INPUT_PX = 192
_SURE = 0.75
_CLOSE_UP = CropSpec(size_px=_INPUT_PX, scale=3.5, level_eyes=False)


class DetectedFace(Struct, frozen=True):
    """Face in pixels of the image. Box and key points may reach outside the image."""

    box_px: tuple[float, float, float, float]
    """Left, top, width and height."""
    score: float
    """Confidence of the detector, 0 to 1."""
    keypoints_px: tuple[tuple[float, float], ...]
    """Points (x, y): right eye, left eye, nose, mouth, right ear, left ear, left and right as the person has them."""


class FaceDetector:
    """Detector of faces in images of any size. Raises ModelError if the model does not load.

    Two steps improve on MediaPipe alone (full-range model; photographs pasted into 150 1080p frames):
    - The image is first made smaller by averaging, as MediaPipe interpolates linearly to its 192 px. That finds .53
      of 80 px faces instead of .44, and .69 of 100 px faces instead of .59. It takes 5.3 ms instead of 4.9 ms a frame.
    - A face with a score under 0.75 is detected once more, close up (4 ms), and must reach `min_score` there. This
      drops 19 in 20 of the backs of heads taken for faces, and 1 in 40 of the faces.
    """

    def __init__(self, model: Model, min_score: float = 0.5, max_faces: int = 64, *, tried: bool = False) -> None:
        """Load the model. `tried=True` skips the trial of one that does not come with the program."""
        if model.card.task != "detect":
            raise ModelError(f"{model.card.name} is a model that classifies faces: give one that finds them")
        if not tried:
            ensure_tried(model, f"mediapipe {MEDIAPIPE}")
        self._max_faces = max_faces
        data = model.read(model.card.files[0].name)
        options = _vision.FaceDetectorOptions(
            base_options=BaseOptions(model_asset_buffer=data), min_detection_confidence=min_score
        )
        with _without_noise():
            try:
                self._detector = _vision.FaceDetector.create_from_options(options)
            except OSError as error:  # a system library that MediaPipe links to, mostly OpenGL ES
                raise ModelError(f"MediaPipe does not load: {error}; see `stationcast doctor`") from error
            except (RuntimeError, ValueError) as error:
                raise ModelError(f"{model.card.name}: MediaPipe refuses it: {' '.join(str(error).split())}") from error
            self.detect(np.zeros((64, 64, 3), np.uint8))

    def detect(self, image: NDArray[np.uint8]) -> list[DetectedFace]:
        """Find the faces of an image, uint8 BGR [H, W, 3], best first. Of more than `max_faces` the largest stay."""
        whole = self._find(*_averaged(image))
        seen = (face if face.score >= _SURE else self._confirm(image, face) for face in whole)
        largest = nlargest(self._max_faces, (face for face in seen if face), lambda face: math.prod(face.box_px[2:]))
        return sorted(largest, key=lambda face: -face.score)

    def _find(self, image: NDArray[np.uint8], scale: float, left: float = 0, top: float = 0) -> list[DetectedFace]:
        """Find faces in a BGR image whose pixel (x, y) is (left + x * scale, top + y * scale) of the whole image."""
        rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
        height, width = rgb.shape[:2]
        result = self._detector.detect(_mp.Image(image_format=_mp.ImageFormat.SRGB, data=rgb))
        faces = []
        for found in result.detections:
            box = found.bounding_box
            face = DetectedFace(
                box_px=(left + box.origin_x * scale, top + box.origin_y * scale, box.width * scale, box.height * scale),
                score=min(1.0, max(0.0, found.categories[0].score)),
                keypoints_px=tuple(
                    (left + point.x * width * scale, top + point.y * height * scale) for point in found.keypoints
                ),
            )
            if _sane(face):
                faces.append(face)
        return faces

    def _confirm(self, image: NDArray[np.uint8], face: DetectedFace) -> DetectedFace | None:
        """Detect a face again close up. Return what is found there, or None."""
        x, y, w, h = face.box_px
        side = max(w, h) * _CLOSE_UP.scale
        left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
        close_up = crop_face(image, face.box_px, (), _CLOSE_UP)
        near = self._find(close_up, side / _CLOSE_UP.size_px, left, top)
        return max((again for again in near if _same(again, face)), key=lambda again: again.score, default=None)

    def close(self) -> None:
        """Free the model. Otherwise MediaPipe's own clean-up prints a traceback when the interpreter ends."""
        self._detector.close()

    def __enter__(self) -> "FaceDetector":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _averaged(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Remove detail that the model cannot see. Return the new image and the number of old pixels in one of its own.

    The image is halved by averaging down to 192..383 px, then enlarged up to 4 times, as MediaPipe's boxes are in whole
    pixels.
    """
    small: NDArray[Any] = image
    halvings = 0
    while max(small.shape[:2]) >= 2 * _INPUT_PX and min(small.shape[:2]) >= 2:
        height, width = small.shape[:2]
        small = cv2.resize(small, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        halvings += 1
    larger = min(4, 1 << halvings)
    if larger > 1:
        small = cv2.resize(small, None, fx=larger, fy=larger, interpolation=cv2.INTER_LINEAR)
    return small, image.shape[1] / small.shape[1]


def _same(one: DetectedFace, other: DetectedFace) -> bool:
    """Tell whether two boxes are of one face: their middles are near, their sizes alike."""
    (x, y, w, h), (u, v, s, t) = one.box_px, other.box_px
    near = 0.35 * max(s, t)
    return abs(x + w / 2 - u - s / 2) < near and abs(y + h / 2 - v - t / 2) < near and 0.5 < w / s < 2


def _sane(face: DetectedFace) -> bool:
    return min(face.box_px[2:]) >= 1 and all(math.isfinite(v) for point in face.keypoints_px for v in point)


@contextmanager
def _without_noise() -> Iterator[None]:
    """Swallow known lines that C++ code writes to stderr while a model loads. All others are passed on."""
    sys.stderr.flush()
    saved = os.dup(2)
    try:
        with os.fdopen(os.memfd_create("stderr"), "w+b") as caught:
            os.dup2(caught.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(saved, 2)
                caught.seek(0)
                for line in caught.read().decode(errors="replace").splitlines(keepends=True):
                    if not any(noise in line for noise in _NOISE):
                        sys.stderr.write(line)
    finally:
        os.close(saved)
