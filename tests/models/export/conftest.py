"""Fixtures of the tests of exported models: those of training."""

from tests.models.training.conftest import (
    collect_ignore_glob,
    faces,
    pytest_collection_modifyitems,
    semaphores_tracked,
)

__all__ = ["collect_ignore_glob", "faces", "pytest_collection_modifyitems", "semaphores_tracked"]
