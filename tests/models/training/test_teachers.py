"""Answers of other networks to a photo, as part of its label."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.assets import resolve
from models.cards import ModelError
from models.datasets.augment import view
from models.datasets.crops import CropCache
from models.datasets.index import Row
from models.session import Classifier
from models.training.checkpoints import load
from models.training.losses import Targets, age_loss, gender_loss
from models.training.networks import (
    YEARS,
    Heads,
)
from models.training.recipe import Recipe
from models.training.teachers import (
    FOLDS,
    fit_heads,
    folds_of,
    soft_targets_of,
    soft_targets_of_teachers,
    with_gender_of,
)
from models.training.validation import predict
from tests.models.helpers import invoke


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
    with pytest.raises(ModelError, match=r"^model 'nobody' is unknown; give default, "):
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
