"""The page about an operator's own photos, tried from its own text with UTKFace as his."""

import csv
import io
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import HANG_S

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "models-own.md").read_text(encoding="utf-8")
_BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
COMMANDS = [line.strip() for block in _BLOCKS for line in block.splitlines() if line.strip()]


@pytest.mark.slow
def test_the_page_leads_from_a_folder_of_photos_to_a_served_model(shared_dir: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    with zipfile.ZipFile(shared_dir / "data" / "utkface.zip") as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("labels.csv"))))[::230]
        for row in rows:
            (photos / row["file"]).write_bytes(archive.read(f"images/{row['file']}"))
    lines = [f"{row['file']},{row['gender']},{row['age']},p{number}" for number, row in enumerate(rows)]
    (photos / "labels.csv").write_text("\n".join(["file,gender,age,person", *lines]))
    (tmp_path / "models").symlink_to(ROOT / "models")
    (tmp_path / "station.toml").write_text(
        '[station]\nname = "own"\n[[cameras]]\nname = "door"\nsource = "sample"\n'
        '[classify]\nmodel = "served/our-model.toml"\n'
    )
    told = []
    for command in COMMANDS:
        words = shlex.split(command.replace("--minutes 60", "--epochs 1 --size 64"))
        assert words[0] == "stationcast"
        done = subprocess.run(
            [sys.executable, "-P", "-m", "pipeline.cli", *words[1:]],
            cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr)
        told.append(done.stdout)
    assert len(told) == 5 and "our-model" in told[3] and "stationcast-open" in told[3]
    assert (tmp_path / "served" / "our-model-fp16.onnx").is_file()
