"""Scenes whose faces are known."""

import numpy as np

from bench.rig import faces


def test_scenes_know_their_faces() -> None:
    scene = faces.make_scene(120, 2, seed=4)
    assert scene.image.shape == (1080, 1920, 3)
    assert np.array_equal(scene.image, faces.make_scene(120, 2, seed=4).image)
    assert [round(w) for _, _, w, _ in scene.faces] == [120, 120]
    x, y, w, h = scene.faces[0]
    assert faces.found(scene.faces[0], [(x + 10, y - 10, w, h)])
    assert not faces.found(scene.faces[0], [(x + w, y, w, h), (x, y, 3 * w, 3 * h)])
