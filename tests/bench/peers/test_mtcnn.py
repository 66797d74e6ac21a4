"""MTCNN, the detector to compare with."""

import numpy as np

from bench.peers import mtcnn
from bench.rig import faces


def test_mtcnn_finds_faces_of_any_size() -> None:
    detector = mtcnn.Mtcnn(min_face_px=40)
    for width_px in (200, 60):
        scene = faces.make_scene(width_px, 2, seed=width_px)
        boxes = [(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2, _ in detector.detect(scene.image).tolist()]
        assert all(faces.found(face, boxes) for face in scene.faces)
    assert len(detector.detect(np.full((200, 300, 3), 90, np.uint8))) == 0
