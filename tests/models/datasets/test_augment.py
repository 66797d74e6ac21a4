"""Augmented views are reproducible."""

import numpy as np

from models.datasets.augment import CACHE_SPEC, augment, view
from tests.models.helpers import portrait


def test_augmented_views_are_reproducible_and_keep_their_shape() -> None:
    crop, other = portrait(1, CACHE_SPEC.size_px), portrait(2, CACHE_SPEC.size_px)
    corners = np.array([[60, 60], [180, 60], [180, 180], [60, 180]], np.float32)
    for seed in range(80):
        image = augment(crop, corners, 1.3, 64, other, np.random.default_rng(seed))
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        assert (image == augment(crop, corners, 1.3, 64, other, np.random.default_rng(seed))).all()
        assert augment(crop, corners, 1.3, 511, other, np.random.default_rng(seed)).shape == (511, 511, 3)
    assert view(crop, 1.3, 161).shape == (161, 161, 3)
