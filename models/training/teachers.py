"""Answers of other networks about a photo: features of larger photos, heads and networks fitted to other people."""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.assets import resolve
from models.cards import ModelError
from models.datasets.augment import view
from models.datasets.crops import CropCache
from models.datasets.index import Row
from models.datasets.splits import components
from models.session import MAX_BATCH, Classifier
from models.training.checkpoints import load, names_of
from models.training.losses import Batch, Targets, batch_of, loss_of
from models.training.networks import PREPROCESSING, YEARS, FaceNet, Heads, autocast, placed
from models.training.recipe import Recipe
from models.training.steps import cores
from models.training.validation import predict
from models.training.views import drawn, to_tensor

FOLDS = 5
"""Number of parts of the people, for `cross_fit`."""
_GENDER_OF = 0.4
"""Share of the model `gender_of` in a gender logit. docs/models-training.md says what it brought."""
_HEADS = 3
"""Number of heads fitted for each fold, each with other random draws: their mean is steadier."""
_EPOCHS = 12
"""Epochs in which heads are fitted to features if the recipe gives no `probe_epochs`."""


def features_of(
    net: FaceNet,
    cache: CropCache,
    rows: NDArray[np.int64],
    recipe: Recipe,
    pool: ThreadPoolExecutor,
) -> Tensor:
    """Compute the backbone's features, float32 [n, F], of clean photos at `mimic_px`, or else at `size_px`.

    They are the mean over a photo and its mirror image, which is a tenth of a year better than either.
    """
    device = next(net.parameters()).device
    size = recipe.mimic_px or recipe.size_px
    backbone = net.eval().backbone

    def part(start: int) -> Tensor:
        crops = np.stack([view(cache.crops[i], recipe.scale, size) for i in rows[start : start + recipe.batch]])
        images = to_tensor(torch.from_numpy(crops).to(device), PREPROCESSING[recipe.arch])
        with torch.inference_mode(), autocast(device):
            return (backbone(images).float() + backbone(images.flip(3)).float()) / 2

    return torch.cat(list(pool.map(part, range(0, len(rows), recipe.batch)))).clone()


def deviation_of(features: Tensor) -> Tensor:
    """Return a scale for differences of features [n, F]: the standard deviation of each, float32 [F].

    A tenth of the mean deviation is added, as some features are hardly ever active.
    """
    deviation = features.std(0)
    return deviation + 0.1 * deviation.mean()


def fit_heads(
    heads: Heads,
    features: Tensor,
    rows: NDArray[np.int64],
    targets: Targets,
    weights: NDArray[np.float64],
    recipe: Recipe,
    soft_targets: Tensor | None = None,
) -> None:
    """Fit heads to features [n, F] of rows [n], starting from their weights.

    Features are normalised for it, and the first layer is adapted before and after. Soft targets, float32
    [n, 1 + YEARS], replace exact labels wholly.
    """
    device = features.device
    mean, deviation = features.mean(0), deviation_of(features)
    features = (features - mean) / deviation
    hidden = heads.hidden
    with torch.no_grad():
        hidden.bias.add_(hidden.weight @ mean)
        hidden.weight.mul_(deviation)
    heads.train()
    optimizer = torch.optim.AdamW(heads.parameters(), 1e-3, weight_decay=0.05)
    rng = np.random.default_rng(recipe.seed)
    batch = min(256, len(rows))
    none = torch.empty(batch, 0)
    steps = max(1, (recipe.probe_epochs or _EPOCHS) * len(rows) // batch)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
        picked, counts = drawn(rng, weights, recipe.balance, batch)
        some = features[torch.from_numpy(picked)]
        soft = none if soft_targets is None else soft_targets[torch.from_numpy(picked)]
        labels = batch_of(some, rows[picked], targets, torch.from_numpy(counts), none, soft)
        labels = Batch(*(getattr(labels, name).to(device) for name in Batch.__struct_fields__))
        loss = loss_of(heads(labels.images), labels, share=1.0)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hidden.weight.div_(deviation)
        hidden.bias.sub_(hidden.weight @ mean)


def folds_of(rows: Sequence[Row], seed: int) -> NDArray[np.int64]:
    """Assign each row [n] to one of `FOLDS` parts at random. All rows of a person, and of a family, are in one part."""
    groups = components(rows)
    fold: NDArray[np.int64] = np.random.default_rng(seed).permutation(groups.max(initial=-1) + 1)[groups] % FOLDS
    return fold


def soft_targets_of(
    features: Tensor,
    rows: list[Row],
    numbers: NDArray[np.int64],
    targets: Targets,
    weights: NDArray[np.float64],
    recipe: Recipe,
) -> Tensor:
    """Compute probabilities float32 [n, 1 + YEARS] of a man and of each year by heads fitted to other people's rows.

    `features` are [n, F], `numbers` [n] those of the rows in the cache. Raises ModelError for too few people.
    """
    fold = folds_of(rows, recipe.seed)
    soft_targets = torch.zeros(len(rows), 1 + YEARS)
    for part in range(FOLDS):
        mine, others = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        if not len(mine) or not len(others):
            raise ModelError("--cross-fit: needs photos of more people")
        for number in range(_HEADS):
            drawn_anew = msgspec.structs.replace(recipe, seed=recipe.seed + part + FOLDS * number)
            torch.manual_seed(drawn_anew.seed)  # so that a resumed run gets the same
            heads = Heads(features.shape[1], "years").to(features.device)
            fit_heads(heads, features[torch.from_numpy(others)], numbers[others], targets, weights[others], drawn_anew)
            heads.eval()
            with torch.no_grad():
                gender, age = heads(features[torch.from_numpy(mine)])
                said = torch.cat([gender.sigmoid(), age.softmax(1)], 1).cpu()
            soft_targets[torch.from_numpy(mine)] += said / _HEADS
    return soft_targets


def soft_targets_of_teachers(
    cache: CropCache, rows: list[Row], numbers: NDArray[np.int64], recipe: Recipe, device: torch.device
) -> Tensor:
    """Compute probabilities float32 [n, 1 + YEARS] of a man and of each year by teachers not trained on a photo.

    They are the mean over the photo and its mirror image. `numbers` [n] are those of the rows in the cache. Raises
    ModelError for teachers of other photos or labels, and if a photo has none.
    """
    fold = folds_of(rows, recipe.seed)
    sums, count = torch.zeros(len(rows), 1 + YEARS), np.zeros(len(rows), np.int64)
    for path in recipe.teachers:
        net, then, index_sha256, photos = load(Path(path))
        if then.fold is None or then.seed != recipe.seed or then.head != "years":
            raise ModelError(f"--teacher {path}: give runs with --fold, --head years and --seed {recipe.seed}")
        if index_sha256 != cache.sha256:
            raise ModelError(f"--teacher {path}: is of other photos, labels or splits: train it on this --data")
        net = placed(net, device)
        mine = np.flatnonzero(fold == then.fold)
        if torch.isin(names_of(rows[i] for i in mine), photos).any():
            raise ModelError(f"--teacher {path}: was taught, or its start was, by photos that it is to speak of")
        for mirrored in (False, True):
            gender, age = (torch.from_numpy(v) for v in predict(net, cache, numbers[mine], then, mirrored=mirrored))
            sums[torch.from_numpy(mine)] += torch.cat([gender.sigmoid()[:, None], age.softmax(1)], 1)
        count[mine] += 2
    if not count.all():
        raise ModelError(f"--teacher: none for some photos; give one run for each --fold 0 to {FOLDS - 1}")
    return sums / torch.from_numpy(count)[:, None]


def with_gender_of(soft_targets: Tensor, name: str, cache: CropCache, numbers: NDArray[np.int64]) -> Tensor:
    """Return soft targets [n, 1 + YEARS] whose gender logits are partly those of the model `name`.

    The model sees each photo and its mirror image; `numbers` [n] are those of the photos in the cache. Raises
    ModelError.
    """
    classifier = Classifier(resolve(name, Path()), "cpu", cores())
    assert classifier.card.crop is not None
    scale, size_px = classifier.card.crop.scale, classifier.card.crop.size_px
    logits = []
    for start in range(0, len(numbers), MAX_BATCH):
        crops = np.stack([view(cache.crops[i], scale, size_px) for i in numbers[start : start + MAX_BATCH]])
        one, other = (torch.from_numpy(classifier.run(images).p_male) for images in (crops, crops[:, :, ::-1]))
        logits.append((one.logit(1e-3) + other.logit(1e-3)) / 2)
    gender = (1 - _GENDER_OF) * soft_targets[:, 0].cpu().logit(1e-4) + _GENDER_OF * torch.cat(logits)
    return torch.cat([gender.sigmoid()[:, None], soft_targets[:, 1:].cpu()], 1)
