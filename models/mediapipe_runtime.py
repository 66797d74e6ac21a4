"""MediaPipe's face detectors run by MediaPipe Tasks: the reference for models/litert_runtime.py.

MediaPipe 0.10.33 is the last release without usage logging. 0.10.35 looks up play.googleapis.com once a detector is
made (seen with strace; https://github.com/google-ai-edge/mediapipe/issues/6291). From 1.0 on logging is announced.
It has no wheel for Arm. It moves a box that begins left of the picture or above it to the edge, which LiteRT does not.
"""

import sys
import types
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.cards import ModelError
from models.face import DetectedFace
from models.quiet import without_noise

VERSION = "0.10.33"


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
if _mp.__version__ != VERSION:
    raise ModelError(
        f"mediapipe {_mp.__version__} is installed, which may report on its use to its maker: "
        "install the one of this version again: .ci/setup"
    )
from mediapipe.tasks.metadata.schema_py_generated import Model as _TfliteModel  # noqa: E402
from mediapipe.tasks.python import BaseOptions  # noqa: E402
from mediapipe.tasks.python import vision as _vision  # noqa: E402

_ENLARGED = 4
"""Times that each pixel is repeated across and down, as MediaPipe's boxes are in whole pixels. It samples the first."""


class MediaPipeRuntime:
    """Detectors of MediaPipe Tasks, one for each least score asked for. Raises ModelError if a model does not load."""

    def __init__(self, data: bytes, name: str, min_score: float) -> None:
        self._data, self._name = data, name
        self._detectors: dict[float, _vision.FaceDetector] = {}
        self._detector(min_score)
        self.input_px = _input_px(data)

    def find(self, square: NDArray[np.uint8], min_score: float) -> list[DetectedFace]:
        """Return the faces of a picture, uint8 RGB [input_px, input_px, 3], in its pixels, best first."""
        side = self.input_px * _ENLARGED
        large = cv2.resize(square, (side, side), interpolation=cv2.INTER_NEAREST)
        result = self._detector(min_score).detect(_picture(large))
        faces = []
        for found in result.detections:
            box = found.bounding_box
            whole = DetectedFace(
                box_px=(box.origin_x + 0.5, box.origin_y + 0.5, box.width + 0.5, box.height + 0.5),  # they are cut off
                score=min(1.0, max(0.0, found.categories[0].score)),
                keypoints_px=tuple((point.x * side, point.y * side) for point in found.keypoints),
            )
            faces.append(whole.mapped(1 / _ENLARGED, 1 / _ENLARGED, 0, 0))
        return sorted(faces, key=lambda face: -face.score)

    def close(self) -> None:
        """Free the model. Otherwise MediaPipe's own clean-up prints a traceback when the interpreter ends."""
        for detector in self._detectors.values():
            detector.close()

    def _detector(self, min_score: float) -> _vision.FaceDetector:
        if min_score not in self._detectors:
            base = BaseOptions(model_asset_buffer=self._data)
            options = _vision.FaceDetectorOptions(base_options=base, min_detection_confidence=min_score)
            try:
                with without_noise():
                    self._detectors[min_score] = _vision.FaceDetector.create_from_options(options)
                    self._detectors[min_score].detect(_picture(np.zeros((64, 64, 3), np.uint8)))
            except OSError as error:  # a system library that MediaPipe links to, mostly OpenGL ES
                raise ModelError(f"MediaPipe does not load: {error}; see `stationcast doctor`") from error
            except (RuntimeError, ValueError) as error:
                raise ModelError(f"{self._name}: MediaPipe refuses it: {' '.join(str(error).split())}") from error
        return self._detectors[min_score]


def _picture(rgb: NDArray[Any]) -> Any:
    return _mp.Image(image_format=_mp.ImageFormat.SRGB, data=rgb)


def _input_px(data: bytes) -> int:
    """Return the side of the square that a model file takes, which MediaPipe does not tell."""
    graph = _TfliteModel.GetRootAsModel(data, 0).Subgraphs(0)
    return int(graph.Tensors(graph.Inputs(0)).Shape(1))
