"""Fixtures of the tests of training and of export."""

import gc
import importlib.util
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import cv2
import numpy as np
import pytest

collect_ignore_glob = [] if importlib.util.find_spec("torch") else ["test_*.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of training and of export, so that `make test` leaves them out: they need PyTorch."""
    here = Path(__file__).parent
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in (here, here.parent / "export")):
            item.add_marker("train")


@pytest.fixture(scope="module", autouse=True)
def semaphores_tracked() -> Iterator[None]:
    """Python keeps a process that tracks the semaphores of spawned workers: here from the first test to the last."""
    resource_tracker.ensure_running()
    yield
    gc.collect()
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 "faces": the darker, the older; the bluer, the more male."""
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(5)
    lines = ["file,gender,age_lo,age_hi,person,split"]
    for i in range(48):
        male, age = i % 2, (i * 7) % 80
        picture = np.full((64, 64, 3), 230 - 2 * age, np.int16)
        picture[..., 0 if male else 2] += 40
        picture = picture + rng.integers(-12, 13, picture.shape)
        cv2.imwrite(str(folder / f"{i}.png"), np.clip(picture, 0, 255).astype(np.uint8))
        split = "val" if i % 6 == 5 else "test" if i % 6 == 4 else "train"
        last = age if i % 4 else min(age + 9, 80)
        lines.append(f"{i}.png,{'MF'[1 - male]},{age},{last},p{i},{split}")
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder
