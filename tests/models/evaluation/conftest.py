"""Photos to measure models on."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip with photos in images/, one missing, one broken, one without a face, odd columns, both suffixes."""
    path = tmp_path_factory.mktemp("photos") / "photos.zip"
    rng = np.random.default_rng(1)
    lines = ["File,Sex,AGE,note"]
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(6):
            picture = cv2.resize(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8), (90 + i, 120))
            suffix = (".jpg", ".png")[i % 2]
            archive.writestr(f"images/p{i}{suffix}", cv2.imencode(suffix, picture)[1].tobytes())
            lines.append(f"p{i}{suffix},{'MF'[i % 2]},{10 * i},x")
        archive.writestr("images/broken.jpg", b"broken")
        archive.writestr("images/p6.png", cv2.imencode(".png", picture)[1].tobytes())
        lines += ["broken.jpg,M,3,", "missing.jpg,F,30,", "p0.jpg,robot,30,", "images/p6.png,F,,"]
        archive.writestr("labels.csv", "\n".join(lines))
    return path
