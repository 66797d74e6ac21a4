"""Models are guests: nothing outside their file is theirs, and one that takes all time or memory is refused."""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from models.assets import cache_dir, resolve
from models.cards import ModelError
from models.detector import FaceDetector, RuntimeName
from models.onnx_file import what_is_outside
from models.session import Classifier
from models.trial import MEMORY_BYTES, ensure_tried
from tests.pipeline.test_private import SOMEBODY, as_root

onnx = pytest.importorskip("onnx", reason="without onnx (the extra `dev`) no model can be made to test with")
make, numpy_helper, FLOAT, INT64 = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
SIZE_PX = 8


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STATIONCAST_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a trial 3 s of a processor."""
    monkeypatch.setattr("models.trial.CPU_S", 3)


def model_of(nodes: list[Any], weights: tuple[Any, ...] = ()) -> Any:
    """Return a model whose nodes make `gender` [n, 1] and `age` [n, 2] of `image` [n, 3, 8, 8]."""
    image = make.make_tensor_value_info("image", FLOAT, ["n", 3, SIZE_PX, SIZE_PX])
    heads = [make.make_tensor_value_info(name, FLOAT, None) for name in ("gender", "age")]
    graph = make.make_graph(nodes, "toy", [image], heads, list(weights))
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)


def constant(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.array(values), name)


HARMLESS = (
    make.make_node("GlobalAveragePool", ["image"], ["mean4"]),
    make.make_node("Flatten", ["mean4"], ["mean"]),
    make.make_node("MatMul", ["mean", "to_gender"], ["gender"]),
    make.make_node("MatMul", ["mean", "to_age"], ["age"]),
)
WEIGHTS = (constant("to_gender", np.zeros((3, 1), np.float32)), constant("to_age", np.zeros((3, 2), np.float32)))


def write(folder: Path, data: bytes, path: str = "") -> None:
    """Write a model and its card `guest.toml`, whose golden answers are those of a model that answers nothing but 0."""
    (folder / "guest.onnx").write_bytes(data)
    (folder / "guest.toml").write_text(f"""
name = "guest"
task = "classify"
title = "guest"
licence = "MIT"
source = "this test"
intended_use = "this test"
limits = "knows nothing"
crop = {{ size_px = {SIZE_PX} }}
unknown = {{ gender = 0.5, decade = 0.0 }}
golden = {{ p_male = [0.5, 0.5], age_years = [30.0, 30.0] }}
[[files]]
name = "guest.onnx"
path = "{path}"
sha256 = "{hashlib.sha256(data).hexdigest()}"
size_bytes = {len(data)}
[[networks]]
file = "guest.onnx"
input = {{ name = "image", size_px = {SIZE_PX} }}
gender = {{ output = "gender", values = "logits", order = "M" }}
age = {{ output = "age", values = "logits", edges = [0, 31, 60] }}
""")


def load(folder: Path) -> Classifier:
    return Classifier(resolve("guest.toml", folder), "cpu")


def refused(folder: Path) -> str:
    with pytest.raises(ModelError) as error:
        load(folder)
    assert "\n" not in error.value.message and "guest.toml" in error.value.message
    return error.value.message


def _loop(times: str, body: list[Any], weights: tuple[Any, ...] = ()) -> list[Any]:
    """Return a loop that carries `carried` on, [1] float, from `one`."""
    more, number = (
        make.make_tensor_value_info("more", onnx.TensorProto.BOOL, []),
        make.make_tensor_value_info("i", INT64, []),
    )
    inside = make.make_graph(
        [*body, make.make_node("Identity", ["more"], ["more_out"])],
        "body",
        [number, more, make.make_tensor_value_info("carried", FLOAT, None)],
        [
            make.make_tensor_value_info("more_out", onnx.TensorProto.BOOL, []),
            make.make_tensor_value_info("next", FLOAT, None),
        ],
        list(weights),
    )
    return [make.make_node("Loop", [times, "yes", "one"], ["looped"], body=inside)]


def _endless_at_load() -> Any:
    """A loop of constants only, which is computed while the model is optimised."""
    body = [make.make_node("Sin", ["carried"], ["next"])]
    use = [make.make_node("Mul", ["looped", "none"], ["zero"]), make.make_node("Add", ["gender0", "zero"], ["gender"])]
    start = [make.make_node("MatMul", ["mean", "to_gender"], ["gender0"])]
    nodes = [*_loop("times", body), *HARMLESS[:2], *start, *use, HARMLESS[3]]
    more = constant("times", np.int64(1 << 60)), constant("yes", True), constant("one", np.ones(1, np.float32))
    return model_of(nodes, (*WEIGHTS, *more, constant("none", np.zeros(1, np.float32))))


def _endless_at_the_golden_input() -> Any:
    """A loop as often as a pixel says, which nothing can compute beforehand."""
    body = [make.make_node("Sin", ["carried"], ["next"])]
    count = [
        make.make_node("ReduceMax", ["image"], ["highest"], keepdims=0),
        make.make_node("Mul", ["highest", "huge"], ["often"]),
        make.make_node("Cast", ["often"], ["times"], to=INT64),
    ]
    use = [make.make_node("Mul", ["looped", "none"], ["zero"]), make.make_node("Add", ["gender0", "zero"], ["gender"])]
    start = [make.make_node("MatMul", ["mean", "to_gender"], ["gender0"])]
    nodes = [*count, *_loop("times", body), *HARMLESS[:2], *start, *use, HARMLESS[3]]
    more = constant("huge", np.float32(1e15)), constant("yes", True), constant("one", np.ones(1, np.float32))
    return model_of(nodes, (*WEIGHTS, *more, constant("none", np.zeros(1, np.float32))))


def _memory(times: int) -> Any:
    """A tensor of more memory than there may be, made of one number; at the golden input, as it needs a pixel."""
    nodes = [
        make.make_node("ReduceMax", ["image"], ["highest"], keepdims=0),
        make.make_node("Expand", ["highest", "shape"], ["wide"]),
        make.make_node("ReduceMean", ["wide"], ["mean0"], keepdims=0),
        make.make_node("Mul", ["mean0", "none"], ["zero"]),
        make.make_node("MatMul", ["mean", "to_gender"], ["gender0"]),
        make.make_node("Add", ["gender0", "zero"], ["gender"]),
    ]
    more = constant("shape", np.array([times, 1 << 30], np.int64)), constant("none", np.float32(0))
    return model_of([*HARMLESS[:2], *nodes, HARMLESS[3]], (*WEIGHTS, *more))


@pytest.mark.parametrize(
    "made",
    [_endless_at_load, _endless_at_the_golden_input, lambda: _memory(2 * MEMORY_BYTES >> 32), lambda: _memory(1 << 20)],
    ids=["endless at load", "endless at the golden input", "too much memory", "more memory than any machine has"],
)
@pytest.mark.usefixtures("hasty")
def test_a_model_without_end_or_measure_is_refused(made: Callable[[], Any], tmp_path: Path) -> None:
    write(tmp_path, made().SerializeToString())
    said = refused(tmp_path)
    assert "takes more than" in said or "fails on the golden input" in said


@pytest.mark.usefixtures("hasty")
def test_the_hostile_example_is_refused(shared_dir: Path) -> None:
    with pytest.raises(ModelError, match=r"loop\.toml: loading its model takes more than .*; refused: export it again"):
        Classifier(resolve("loop.toml", shared_dir / "hostile" / "inputs"), "cpu")


def test_what_has_passed_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, model_of(list(HARMLESS), WEIGHTS).SerializeToString())
    assert len(load(tmp_path).classify(np.zeros((3, SIZE_PX, SIZE_PX, 3), np.uint8))) == 3
    [passed] = (cache_dir() / "passed").iterdir()
    assert oct(passed.stat().st_mode & 0o777) == "0o600"
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    load(tmp_path)
    for change in (lambda: passed.unlink(), lambda: passed.symlink_to("/etc/passwd")):
        change()
        with pytest.raises(FileNotFoundError, match="nowhere"):  # it would be tried
            load(tmp_path)
    passed.unlink()
    passed.touch()
    load(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ensure_tried(resolve("guest.toml", tmp_path), "onnxruntime 99")


@as_root
def test_what_another_account_says_has_passed_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, model_of(list(HARMLESS), WEIGHTS).SerializeToString())
    load(tmp_path)
    [passed] = (cache_dir() / "passed").iterdir()
    os.chown(passed, SOMEBODY, -1)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load(tmp_path)


def test_a_cache_into_which_others_may_write_is_refused_in_one_line(tmp_path: Path) -> None:
    write(tmp_path, model_of(list(HARMLESS), WEIGHTS).SerializeToString())
    cache_dir().mkdir(parents=True)
    cache_dir().chmod(0o777)
    with pytest.raises(ModelError, match="chmod go-w; mend that, or set STATIONCAST_CACHE") as error:
        load(tmp_path)
    assert "\n" not in error.value.message


def _external(tensor: Any, location: str = "/etc/passwd") -> Any:
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.ClearField("raw_data")
    return tensor


def _in_a_weight(location: str) -> Any:
    return model_of(list(HARMLESS), (WEIGHTS[0], _external(constant("to_age", np.zeros((3, 2), np.float32)), location)))


def _in_a_constant() -> Any:
    value = _external(constant("value", np.zeros((3, 2), np.float32)))
    return model_of([make.make_node("Constant", [], ["to_age"], value=value), *HARMLESS], WEIGHTS[:1])


def _in_a_branch() -> Any:
    value = _external(constant("inner", np.zeros((3, 2), np.float32)))
    out = make.make_tensor_value_info("inner", FLOAT, None)
    branch = make.make_graph([], "branch", [], [out], [value])
    choice = make.make_node("If", ["yes"], ["to_age"], then_branch=branch, else_branch=branch)
    return model_of([choice, *HARMLESS], (WEIGHTS[0], constant("yes", True)))


def _in_a_sparse_weight() -> Any:
    model = model_of(list(HARMLESS), WEIGHTS[:1])
    values = _external(constant("to_age", np.zeros(1, np.float32)))
    model.graph.sparse_initializer.append(
        make.make_sparse_tensor(values, constant("", np.array([0], np.int64)), [3, 2])
    )
    return model


def _in_a_function() -> Any:
    model = _in_a_constant()
    inside = make.make_function("own", "F", [], ["y"], [model.graph.node[0]], [make.make_opsetid("", 17)])
    model.functions.append(inside)
    del model.graph.node[0]
    return model


def _location_only() -> Any:
    model = model_of(list(HARMLESS), WEIGHTS)
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
    return model


def _key_only() -> Any:
    model = model_of(list(HARMLESS), WEIGHTS)
    model.graph.initializer[0].external_data.add(key="location", value="x")
    return model


def _compiled() -> Any:
    node = make.make_node(
        "EPContext", ["image"], ["gender", "age"], domain="com.microsoft", ep_cache_context="/etc/passwd"
    )
    return model_of([node])


OUTSIDE: dict[str, Callable[[], Any]] = {
    "in a constant": _in_a_constant,
    "in a branch": _in_a_branch,
    "in a sparse weight": _in_a_sparse_weight,
    "in a function": _in_a_function,
    "location only": _location_only,
    "key only": _key_only,
    "compiled": _compiled,
    **{place: lambda place=place: _in_a_weight(place) for place in ("weights.bin", "../weights.bin", "/dev/zero")},
}


@pytest.mark.parametrize("made", OUTSIDE.values(), ids=OUTSIDE.keys())
def test_a_model_of_which_something_is_elsewhere_is_refused(made: Callable[[], Any], tmp_path: Path) -> None:
    data = made().SerializeToString()
    assert what_is_outside(data)
    (tmp_path / "weights.bin").write_bytes(bytes(24))
    write(tmp_path, data)
    said = refused(tmp_path)
    assert ("another file" in said or "compiled" in said) and "all of it in one ONNX file" in said


def test_what_is_no_onnx_file_is_refused() -> None:
    whole = model_of(list(HARMLESS), WEIGHTS).SerializeToString()
    assert what_is_outside(whole) == ""
    nested = b""
    for _ in range(100):
        nested = _field(1, _field(5, _field(6, nested)))
    rng = np.random.default_rng(7)
    noise = [rng.bytes(size) for size in (1, 10, 100, 5000)]
    cut = [whole[:size] for size in (1, 9, len(whole) // 2, len(whole) - 1)]
    for data in (b"", b"ORTM" + bytes(100), b"\x00\x00\x00\x00ORTM" + bytes(100), _field(7, nested), *noise, *cut):
        assert what_is_outside(data)


def _field(number: int, data: bytes) -> bytes:
    size, length = len(data), b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


@pytest.mark.parametrize("path", ["/etc/passwd", "../guest.onnx", "a/../../guest.onnx", "~/guest.onnx"])
def test_a_path_out_of_the_cards_folder_is_refused(path: str, tmp_path: Path) -> None:
    write(tmp_path, model_of(list(HARMLESS), WEIGHTS).SerializeToString(), path)
    assert "leads out of the card's folder" in refused(tmp_path)


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_out_of_the_cards_folder_is_refused(linked: str, tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    for folder in (place, elsewhere):
        folder.mkdir()
    write(
        elsewhere, model_of(list(HARMLESS), WEIGHTS).SerializeToString(), "in/guest.onnx" if linked == "folder" else ""
    )
    (elsewhere / "guest.toml").rename(place / "guest.toml")
    if linked == "file":
        (place / "guest.onnx").symlink_to(elsewhere / "guest.onnx")
    else:
        (place / "in").symlink_to(elsewhere)
    with pytest.raises(ModelError, match="a link leads out of the card's folder; refused: copy the file itself there"):
        load(place)


def write_detector(tmp_path: Path, data: bytes) -> None:
    write(tmp_path, data)
    card = (tmp_path / "guest.toml").read_text().replace('"classify"', '"detect"')
    card = card.partition("[[networks]]")[0]
    for key in ("crop", "unknown", "golden"):
        card = "\n".join(line for line in card.splitlines() if not line.startswith(key))
    (tmp_path / "guest.toml").write_text(card)


@pytest.mark.parametrize("runtime", get_args(RuntimeName))
def test_a_detector_of_others_is_tried_too(tmp_path: Path, runtime: RuntimeName) -> None:
    write_detector(tmp_path, os.urandom(5000))
    with pytest.raises(ModelError):
        FaceDetector(resolve("guest.toml", tmp_path), runtime=runtime)
    assert not (cache_dir() / "passed").exists()


def test_a_detector_of_others_is_tried_by_each_runtime_that_runs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as usual:
        usual.delenv("STATIONCAST_CACHE")
        model = resolve("mediapipe-full-range", tmp_path)
        write_detector(tmp_path, model.read(model.card.files[0].name))
    for passed, runtime in enumerate(("litert", "mediapipe", "litert")):
        FaceDetector(resolve("guest.toml", tmp_path), runtime=runtime).close()  # type: ignore[arg-type]
        assert len(list((cache_dir() / "passed").iterdir())) == min(passed + 1, 2)
