"""Training: two heads on any of the networks, from an index of photos, resumable, every run with its record."""

import json
import math
import os
import platform
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import cv2
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models.cards import ModelError
from models.datasets.augment import augment, view
from models.datasets.crops import CropCache
from models.datasets.index import Row
from models.losses import Batch, Targets, batch_of, loss_of
from models.networks import PREPROCESSING, YEARS, Arch, FaceNet, Heads, MobileNet, Preprocessing, build

AGE_BINS = (0, 3, 10, 20, 30, 40, 50, 60, 70, 121)
"""Photos are drawn evenly (to a power) over these ranges of age."""
MIMIC_WEIGHT = 3.0
"""Of a squared deviation of the features, at first; it falls to 0 with the run."""
FOLDS = 5
"""Of the photos, for `cross_fit`."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run depends on besides its data; kept in its record."""

    arch: Arch = "mobilenet"
    init: str = "random"
    head: Literal["years", "original"] = "years"
    size_px: int = 144
    scale: float = 1.3
    epochs: int = 16
    batch: int = 64
    learning_rate: float = 4e-4
    head_learning_rate: float = 1.5e-3
    weight_decay: float = 0.02
    probe_epochs: int = 0
    """First fit the heads to features of photos as they are, computed once: a minute that a fine-tuning with too large
    steps does not catch up with in forty (measured)."""
    warmup_epochs: float = 1.0
    """Heads only, the backbone frozen."""
    freeze: int = 0
    """First convolutions of a mobilenet that stay as they came: 9 of 27 halve the time of a step."""
    grow: bool = False
    """Start at 0.7 of the size and end at all of it: the same accuracy in less time."""
    balance: Literal["sample", "weight", "none"] = "sample"
    """Rare ages and groups: drawn more often, weighted in the loss, or left as they are."""
    balance_power: float = 0.6
    natural: tuple[str, ...] = ()
    """Data sets whose rows are drawn evenly all the same, as the people that they stand for are spread like that."""
    augment: bool = True
    spoil: float = 1.0
    """How often photos are spoilt on purpose, beside the usual."""
    mimic_px: int = 0
    """Also learn to say of a spoilt photo at `size_px` what the backbone, as it came, says of the clean one at this
    size: weights learnt at 224 px know less at 144. 0: no."""
    cross_fit: float = 0.0
    """Share of a label that gives way to what heads fitted to the features of other people's photos say of this one, so
    that a label that is off is not learnt by heart (cross-fitted distillation: Dao et al., ICLR 2021)."""
    teachers: tuple[str, ...] = ()
    """best.pt of runs with `fold` that say it instead of those heads."""
    fold: int | None = None
    """Leave out this one of `FOLDS` parts of the people, so that the run can be a teacher of theirs."""
    age_groups: tuple[tuple[int, int], ...] = ()
    """Ages are only taught as these ranges (first and last year), as the original project merged its classes."""
    patience: int = 0
    """Stop after so many epochs without a better validation score; 0: never."""
    minutes: float = 0.0
    """Anneal and stop by then at the latest; 0: no limit."""
    ema: float = 0.998
    seed: int = 0


def balance_weights(rows: list[Row], power: float, natural: tuple[str, ...] = ()) -> NDArray[np.float64]:
    """Weight of each row, mean 1: (rows in its data set, age range, gender and group) to the minus `power`; within the
    data sets `natural` all weigh the same."""

    def rarity(keys: list[Any], strength: float) -> NDArray[np.float64]:
        _, where, counts = np.unique(np.array([str(key) for key in keys]), return_inverse=True, return_counts=True)
        return (counts / counts.mean())[where] ** -strength

    ages = np.digitize([((row.age_lo or 0) + (row.age_hi or 0)) / 2 for row in rows], AGE_BINS)
    weights = rarity([(row.data, age, row.gender) for row, age in zip(rows, ages, strict=True)], power)
    weights *= rarity([(row.data, row.race) for row in rows], power / 2)
    for name in natural:
        mine = np.array([row.data == name for row in rows])
        if mine.any():
            weights[mine] = weights[mine].mean()
    return weights / weights.mean()


def to_tensor(crops: NDArray[np.uint8] | Tensor, preprocessing: Preprocessing) -> Tensor:
    """uint8 RGB [N, S, S, 3] -> float32 [N, 3, S, S] as the network wants it, where the crops are."""
    images = torch.as_tensor(crops)
    images = (images.flip(3) if preprocessing.channels == "BGR" else images).float()
    mean, std = (torch.tensor(values, device=images.device) for values in (preprocessing.mean, preprocessing.std))
    return ((images - mean) / std).permute(0, 3, 1, 2)


class Views(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Item n is what step n learns from: photos as the network sees them, uint8 RGB [N, S, S, 3]; their places in
    `rows`, int64 [N]; and how much each counts, float32 [N].

    A generator of its own for every step: a resumed run sees what an uninterrupted one would have seen.
    """

    def __init__(self, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, weights: NDArray[np.float64]) -> None:
        self._cache, self._rows, self._recipe, self._weights = cache, rows, recipe, weights
        self._now = torch.tensor([float(recipe.size_px), 1.0]).share_memory_()

    def set(self, size_px: int, strength: float) -> None:
        """From now on, in every worker process: the size of a view and how often it is spoilt, 0 to 1."""
        self._now.copy_(torch.tensor([float(size_px), strength]))

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        recipe, cache = self._recipe, self._cache
        cv2.setNumThreads(1)
        rng = np.random.default_rng((recipe.seed, step))
        size, strength = int(self._now[0]), float(self._now[1])
        picked, weight = _drawn(rng, self._weights, recipe.balance, recipe.batch)
        rows = self._rows[picked]
        others = rng.choice(self._rows, recipe.batch)
        views = np.stack(
            [
                augment(cache.crops[row], cache.corners[row], recipe.scale, size, cache.crops[other], rng, strength)
                if recipe.augment
                else view(cache.crops[row], recipe.scale, size)
                for row, other in zip(rows, others, strict=True)
            ]
        )
        return torch.from_numpy(views), torch.from_numpy(picked), torch.from_numpy(weight)


def features_of(
    net: FaceNet, cache: CropCache, rows: NDArray[np.int64], recipe: Recipe, pool: ThreadPoolExecutor
) -> Tensor:
    """The backbone's features, float32 [n, F], of unspoilt photos at `mimic_px` or else `size_px`: the mean of a photo
    and its mirror image, which says more than either (a tenth of a year)."""
    device = next(net.parameters()).device
    size = recipe.mimic_px or recipe.size_px
    net.eval()

    def part(start: int) -> Tensor:
        crops = np.stack([view(cache.crops[i], recipe.scale, size) for i in rows[start : start + recipe.batch]])
        images = to_tensor(torch.from_numpy(crops).to(device), PREPROCESSING[recipe.arch])
        with torch.inference_mode(), _autocast(device):
            return (net.backbone(images).float() + net.backbone(images.flip(3)).float()) / 2

    return torch.cat(list(pool.map(part, range(0, len(rows), recipe.batch)))).clone()


def fit_heads(
    heads: Heads,
    features: Tensor,
    rows: NDArray[np.int64],
    targets: Targets,
    weights: NDArray[np.float64],
    recipe: Recipe,
) -> None:
    """Fit the heads to features [n, F] of rows [n]. The features are brought to mean 0 and deviation 1 for it, and the
    first layer then takes that over."""
    device = features.device
    mean, deviation = features.mean(0), features.std(0) + 1e-3
    features = (features - mean) / deviation
    heads.train()
    optimizer = torch.optim.AdamW(heads.parameters(), 1e-3, weight_decay=0.05)
    rng = np.random.default_rng(recipe.seed)
    batch = min(256, len(rows))
    none = torch.empty(batch, 0), torch.empty(batch, 0)
    steps = max(1, recipe.probe_epochs * len(rows) // batch)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
        picked, counts = _drawn(rng, weights, recipe.balance, batch)
        some = features[torch.from_numpy(picked)]
        labels = batch_of(some, rows[picked], targets, torch.from_numpy(counts), *none)
        labels = Batch(*(getattr(labels, name).to(device) for name in Batch.__struct_fields__))
        loss = loss_of(heads(labels.images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        hidden = heads.hidden
        hidden.weight.div_(deviation)
        hidden.bias.sub_(hidden.weight @ mean)


def folds_of(rows: Sequence[Row], seed: int) -> NDArray[np.int64]:
    """Which of `FOLDS` parts each row [n] is in, at random; the rows of a person or family are in one."""
    people = [f"{row.data}/{row.family or row.person}" if row.family or row.person else row.file for row in rows]
    _, person = np.unique(np.array(people), return_inverse=True)
    fold: NDArray[np.int64] = np.random.default_rng(seed).permutation(person.max() + 1)[person] % FOLDS
    return fold


def opinions_of(
    features: Tensor,
    rows: list[Row],
    numbers: NDArray[np.int64],
    targets: Targets,
    weights: NDArray[np.float64],
    recipe: Recipe,
) -> Tensor:
    """Probabilities float32 [n, 1 + YEARS] of a man and of each year, of rows [n] (`numbers` in the cache) with
    features [n, F], by heads that were fitted to the rows of other people."""
    fold = folds_of(rows, recipe.seed)
    opinions = torch.empty(len(rows), 1 + YEARS)
    for part in range(FOLDS):
        mine, others = np.flatnonzero(fold == part), np.flatnonzero(fold != part)
        if not len(mine) or not len(others):
            raise ModelError("--cross-fit: needs photos of more people")
        torch.manual_seed(recipe.seed + part)  # a resumed run is told the same
        heads = Heads(features.shape[1], "years").to(features.device)
        fit_heads(heads, features[torch.from_numpy(others)], numbers[others], targets, weights[others], recipe)
        heads.eval()
        with torch.no_grad():
            gender, age = heads(features[torch.from_numpy(mine)])
            opinions[torch.from_numpy(mine)] = torch.cat([gender.sigmoid(), age.softmax(1)], 1).cpu()
    return opinions


def opinions_of_teachers(
    cache: CropCache, rows: list[Row], numbers: NDArray[np.int64], recipe: Recipe, device: torch.device
) -> Tensor:
    """Probabilities float32 [n, 1 + YEARS] of a man and of each year, of rows [n] (`numbers` in the cache): the mean of
    what the teachers that were not trained on a photo say of it and of its mirror image. Raises ModelError."""
    fold = folds_of(rows, recipe.seed)
    sums, count = torch.zeros(len(rows), 1 + YEARS), np.zeros(len(rows), np.int64)
    for path in recipe.teachers:
        net, then = load(Path(path))
        if then.fold is None or then.seed != recipe.seed or then.head != "years":
            raise ModelError(f"--teacher {path}: give runs with --fold, --head years and --seed {recipe.seed}")
        net = _placed(net, device)
        mine = np.flatnonzero(fold == then.fold)
        for mirrored in (False, True):
            gender, age = (torch.from_numpy(v) for v in predict(net, cache, numbers[mine], then, mirrored=mirrored))
            sums[torch.from_numpy(mine)] += torch.cat([gender.sigmoid()[:, None], age.softmax(1)], 1)
        count[mine] += 2
    if not count.all():
        raise ModelError(f"--teacher: none for some photos; give one run for each --fold 0 to {FOLDS - 1}")
    return sums / torch.from_numpy(count)[:, None]


def predict(
    net: FaceNet,
    cache: CropCache,
    rows: NDArray[np.int64],
    recipe: Recipe,
    batch: int = 64,
    mirrored: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Gender logits [n] (positive is male) and age logits [n, YEARS] of rows, or of their mirror images; of the
    original head, its own nine split in the same way: man minus woman, and seven decades."""
    device = next(net.parameters()).device
    net.eval()
    gender: list[Tensor] = []
    age: list[Tensor] = []
    with torch.inference_mode():
        for start in range(0, len(rows), batch):
            views = np.stack([view(cache.crops[i], recipe.scale, recipe.size_px) for i in rows[start : start + batch]])
            images = to_tensor(torch.from_numpy(views).to(device), PREPROCESSING[recipe.arch])
            with _autocast(device):
                out = net(images.flip(3) if mirrored else images)
            if isinstance(out, Tensor):
                gender.append((out[:, 0] - out[:, 1]).float().cpu())
                age.append(out[:, 2:].float().cpu())
            else:
                gender.append(out[0][:, 0].float().cpu())
                age.append(out[1].float().cpu())
    return torch.cat(gender).numpy(), torch.cat(age).numpy()


def score(
    gender: NDArray[np.float32], age: NDArray[np.float32], targets: Targets, rows: NDArray[np.int64]
) -> dict[str, float]:
    """Gender accuracy, age error in years and accuracy of AGE_BINS, over all rows with such a label and evenly over the
    bins; 0 where there is none."""
    lo, hi = targets.age_lo[rows], targets.age_hi[rows]
    has_gender, has_age = targets.male_weight[rows] > 0, targets.age_weight[rows] > 0
    right = (gender > 0) == (targets.male[rows] > 0.5)
    p = np.exp(age - age.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    middles = np.arange(YEARS) if age.shape[1] == YEARS else np.arange(age.shape[1]) * 10 + 4.5
    expected = p @ middles
    error = np.maximum(lo - expected, 0) + np.maximum(expected - hi, 0)
    bins = np.where(has_age, np.digitize((lo + hi) / 2, AGE_BINS), 0)
    same = bins == np.digitize(expected, AGE_BINS)
    scores: dict[str, float] = {}
    for name, values, known in (
        ("gender", right, has_gender),
        ("age_mae", error, has_age),
        ("age_bins", same, has_age),
    ):
        evenly = [values[known & (bins == b)].mean() for b in np.unique(bins[known])]
        scores[name] = float(values[known].mean()) if known.any() else 0.0
        scores[f"even_{name}"] = float(np.mean(evenly)) if evenly else 0.0
    return scores


def train(
    cache: CropCache,
    recipe: Recipe,
    out: Path,
    device: str = "auto",
    leaking: Sequence[str] = (),
    workers: int | None = None,
) -> dict[str, Any]:
    """Train, going on with what `out` holds of the same recipe (its length may differ); returns the run's record.

    `out` gets last.pt (to go on from), best.pt (weights of the best validation score), record.json, curves.png. Rows
    of the split `train` train, rows of the split `val` steer. `workers` processes cut and spoil the photos, if not
    None: by default one a core beside a graphics card, and one for four cores without.
    """
    out.mkdir(parents=True, exist_ok=True)
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError("--device cuda: PyTorch finds none; give `auto` or `cpu`")
    where = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    torch.backends.cudnn.benchmark = True
    cv2.setNumThreads(1)
    if workers is None:
        workers = cores() - 1 if where.type == "cuda" else cores() // 4
    splits = np.array([row.split for row in cache.rows])
    train_rows, val_rows = np.flatnonzero(splits == "train"), np.flatnonzero(splits == "val")
    if recipe.fold is not None:
        train_rows = train_rows[folds_of([cache.rows[i] for i in train_rows], recipe.seed) != recipe.fold]
    if not len(train_rows) or not len(val_rows):
        raise ModelError(f"{cache.folder}: needs rows of both splits `train` and `val`")
    targets = Targets(cache.rows, recipe.age_groups)
    plain_targets = Targets(cache.rows)
    for rows in (train_rows, val_rows):
        if not (targets.male_weight[rows].any() and targets.age_weight[rows].any()):
            raise ModelError(f"{cache.folder}: needs photos with gender and photos with age in both splits")
    net = _begun(recipe, where)
    ema = _placed(build(recipe.arch, recipe.size_px, "random", recipe.head), where)
    ema.load_state_dict(net.state_dict())
    optimizer = _optimizer(net, recipe)
    steps_an_epoch = max(1, len(train_rows) // recipe.batch)
    state = _resume(out / "last.pt", recipe, net, ema, optimizer, where)
    history: list[dict[str, float]] = state["history"]
    step, spent_s = state["step"], state["spent_s"]
    people = [cache.rows[i] for i in train_rows]
    weights = balance_weights(people, recipe.balance_power, recipe.natural)
    halves = _Halves(where, recipe)
    features, opinions = (torch.empty(len(train_rows), 0, device=where) for _ in range(2))
    if recipe.mimic_px or (recipe.cross_fit and not recipe.teachers) or (recipe.probe_epochs and step == 0):
        origin = net if step == 0 else _begun(recipe, where)
        features = features_of(origin, cache, train_rows, recipe, halves.pool)
    if recipe.probe_epochs and step == 0:
        fit_heads(net.heads, features, train_rows, targets, weights, recipe)
        ema.load_state_dict(net.state_dict())
    if recipe.teachers:
        opinions = opinions_of_teachers(cache, people, train_rows, recipe, where).to(where)
    elif recipe.cross_fit:
        opinions = opinions_of(features, people, train_rows, targets, weights, recipe).to(where)
    deviation = torch.empty(0)
    if recipe.mimic_px:  # a floor under it, as some features hardly ever speak
        deviation = features.std(0) + 0.1 * features.std(0).mean()
    else:
        features = features[:, :0]
    views = Views(cache, train_rows, recipe, weights)
    views.set(recipe.size_px, recipe.spoil)
    last_step = recipe.epochs * steps_an_epoch
    batches = iter(
        DataLoader(
            views,
            batch_size=None,
            sampler=range(step, last_step),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            multiprocessing_context="spawn" if workers else None,
        )
    )
    floats = [name for name, value in ema.state_dict().items() if value.is_floating_point()]
    averages, currents = ([each.state_dict()[name] for name in floats] for each in (ema, net))
    started = time.monotonic() - spent_s
    best = max((entry["score"] for entry in history), default=-math.inf)
    since_best = next((n for n, entry in enumerate(reversed(history)) if entry["score"] == best), 0)
    try:
        while len(history) < recipe.epochs and not (recipe.patience and since_best >= recipe.patience):
            losses: list[Tensor] = []
            begun = time.monotonic()
            net.train()
            for _ in range(steps_an_epoch):
                progress = step / last_step
                if recipe.minutes:
                    progress = max(progress, (time.monotonic() - started) / 60 / recipe.minutes)
                if progress >= 1:
                    break
                # At the end, photos mostly as they are: the model settles on what it will see most.
                size_px = _size_now(recipe, progress)
                views.set(size_px, recipe.spoil * min(1.0, 1.6 - 1.2 * progress))
                images, picked, weight = next(batches)
                there = picked.to(where)
                batch = batch_of(images, train_rows[picked.numpy()], targets, weight, features[there], opinions[there])
                losses.append(
                    _train_step(
                        net, optimizer, batch, recipe, where, step / steps_an_epoch, progress, halves, deviation
                    )
                )
                keep = min(recipe.ema, 1 - 1 / (1 + step / steps_an_epoch * 100))
                with torch.no_grad():
                    torch._foreach_lerp_(averages, currents, 1 - keep)
                step += 1
                if len(losses) % 50 == 0:
                    speed = recipe.batch * len(losses) / (time.monotonic() - begun)
                    print(
                        f"epoch {len(history) + 1} step {len(losses)}/{steps_an_epoch} loss "
                        f"{torch.stack(losses[-50:]).mean():.3f} size {size_px} {speed:.0f} faces/s {progress:.1%}",
                        file=sys.stderr,
                        flush=True,
                    )
            if not losses:
                break
            gender, age = predict(ema, cache, val_rows, recipe)
            entry = score(gender, age, plain_targets, val_rows)
            for name in sorted({cache.rows[i].data for i in val_rows}):
                part = np.array([cache.rows[i].data == name for i in val_rows])
                entry |= {
                    f"{name}.{k}": v for k, v in score(gender[part], age[part], plain_targets, val_rows[part]).items()
                }
            entry |= {
                "loss": float(torch.stack(losses).mean()),
                "size_px": size_px,
                "seconds": time.monotonic() - begun,
                "score": entry["even_gender"] + entry["even_age_bins"] - entry["even_age_mae"] / 20,
            }
            history.append(entry)
            print(json.dumps({k: round(v, 4) for k, v in entry.items()}), file=sys.stderr, flush=True)
            since_best += 1
            if entry["score"] > best:
                best, since_best = entry["score"], 0
                _save(out / "best.pt", {"weights": ema.state_dict(), "recipe": msgspec.to_builtins(recipe)})
            _save(
                out / "last.pt",
                {
                    "weights": net.state_dict(),
                    "ema": ema.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "history": history,
                    "step": step,
                    "spent_s": time.monotonic() - started,
                    "recipe": msgspec.to_builtins(recipe),
                },
            )
    finally:
        del batches  # and so its processes end
        halves.close()
    if not history:
        raise ModelError(f"--minutes {recipe.minutes:g}: no time for a single step")
    record: dict[str, Any] = {"leaking_split": list(leaking)} if leaking else {}
    record |= {
        "recipe": msgspec.to_builtins(recipe),
        "data": {"train": len(train_rows), "val": len(val_rows), "index_sha256": cache.sha256},
        "versions": {name: version(name) for name in ("torch", "keras", "numpy", "opencv-python")}
        | {"python": platform.python_version()},
        "device": str(where),
        "seconds": round(time.monotonic() - started, 1),
        "history": history,
    }
    (out / "record.json").write_text(json.dumps(record, indent=1))
    draw_curves(history, out / "curves.png")
    return record


def load(path: Path) -> tuple[FaceNet, Recipe]:
    """The network of a best.pt, ready to answer."""
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        recipe = msgspec.convert(saved["recipe"], Recipe)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except Exception as error:  # whatever torch makes of a file of another kind
        raise ModelError(f"{path}: is not what `stationcast models train` saves") from error
    net = build(recipe.arch, recipe.size_px, "random", recipe.head)
    net.load_state_dict(saved["weights"])
    return net.eval(), recipe


def draw_curves(history: list[dict[str, float]], path: Path) -> None:
    """Loss, gender accuracy and age error over the epochs, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.2), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axis, key, title in zip(
        axes,
        ("loss", "gender", "age_mae"),
        ("training loss", "gender accuracy (validation)", "age error, years (validation)"),
        strict=True,
    ):
        axis.plot(epochs, [entry[key] for entry in history], marker="o", markersize=3, color="#1f5fa8")
        axis.set_title(title)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _train_step(
    net: FaceNet,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    recipe: Recipe,
    device: torch.device,
    epoch: float,
    progress: float,
    halves: "_Halves",
    deviation: Tensor,
) -> Tensor:
    """One step; returns the mean loss, a scalar that may still be on its way on the graphics card."""
    warm = epoch < recipe.warmup_epochs
    rise = min(1.0, (epoch if warm else epoch - recipe.warmup_epochs) * 4 + 0.02)
    fall = 0.5 * (1 + math.cos(math.pi * progress)) + 0.005
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * fall * (rise if warm == group["heads"] else float(group["heads"]))
    for parameter in net.learned:
        parameter.requires_grad_(not warm)
    trained = [p for p in net.parameters() if p.requires_grad]

    def gradients(part: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        with _autocast(device):
            features = net.backbone(to_tensor(part.images, PREPROCESSING[recipe.arch]))
            outputs = net.heads(features)
        loss = loss_of(outputs, part, recipe.cross_fit)
        if part.features.numel():
            apart = ((features.float() - part.features) / deviation).square().mean(1)
            loss = loss + MIMIC_WEIGHT * (1 - progress) * (apart * part.weight).mean()
        return loss.detach(), torch.autograd.grad(loss, trained, allow_unused=True)

    parts = [
        Batch(*(getattr(batch, name)[half :: halves.count].to(device) for name in Batch.__struct_fields__))
        for half in range(halves.count)
    ]
    results = list(halves.pool.map(gradients, parts)) if halves.count > 1 else [gradients(parts[0])]
    for parameter, *each in zip(trained, *(grads for _, grads in results), strict=True):
        if each[0] is None:
            parameter.grad = None
            continue
        mean = each[0] if len(each) == 1 else sum(each[1:], each[0]) / len(each)
        # The fused optimizer pairs elements by their place in memory: a gradient has to lie as its parameter does.
        alike = mean.stride() == parameter.stride()
        parameter.grad = mean if alike else torch.empty_like(parameter).copy_(mean)
    torch.nn.utils.clip_grad_norm_(trained, 5.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return torch.stack([loss for loss, _ in results]).mean()


def cores() -> int:
    """Of this machine, as far as this process may use them."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Halves:
    """Threads that each compute the gradients of a part of the batch on a core of their own.

    On a processor that other programs use too, threads inside every operation wait for the slowest one hundreds of
    times a step (measured: 34 faces/s instead of 110); these wait once. The Keras networks run too much Python for it:
    two threads of an EfficientNetB0 made 36 faces/s, one 60.
    """

    def __init__(self, device: torch.device, recipe: Recipe) -> None:
        alone = device.type != "cpu" or recipe.arch != "mobilenet"
        self.count = 1 if alone else min(cores(), max(1, recipe.batch // 16))
        if self.count > 1:
            torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(self.count, "gradients")

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()


def _optimizer(net: FaceNet, recipe: Recipe) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = []
    for heads, module in ((False, net.backbone), (True, net.heads)):
        peak = recipe.head_learning_rate if heads else recipe.learning_rate
        for decays in (False, True):
            chosen = [p for p in module.parameters() if (p.ndim > 1) == decays]
            decay = recipe.weight_decay if decays else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "peak": peak, "heads": heads, "lr": 0.0})
    return torch.optim.AdamW(groups, fused=True)


def _drawn(
    rng: np.random.Generator, weights: NDArray[np.float64], balance: str, batch: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which rows make the next batch, and how much each counts: rare ones drawn more often, weighted, or neither."""
    picked = rng.choice(len(weights), batch, p=weights / weights.sum() if balance == "sample" else None)
    return picked, weights[picked].astype(np.float32) if balance == "weight" else np.ones(batch, np.float32)


def _size_now(recipe: Recipe, progress: float) -> int:
    if not recipe.grow:
        return recipe.size_px
    share = 0.7 if progress < 0.5 else 0.8 if progress < 0.8 else 1.0
    return int(recipe.size_px * share) // 16 * 16 if share < 1 else recipe.size_px


def _placed(net: FaceNet, device: torch.device) -> FaceNet:
    if isinstance(net.backbone, MobileNet):  # Keras turns the kernels of the others itself
        for parameter in net.backbone.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net.to(device)


def _begun(recipe: Recipe, device: torch.device) -> FaceNet:
    """The network as a run begins with it: weights of `init`, which may be an earlier run's best.pt, and the layers
    that stay."""
    torch.manual_seed(recipe.seed)
    earlier = recipe.init.endswith(".pt")
    net = _placed(build(recipe.arch, recipe.size_px, "random" if earlier else recipe.init, recipe.head), device)
    if earlier:
        start, then = load(Path(recipe.init))
        if (then.arch, then.head) != (recipe.arch, recipe.head):
            raise ModelError(f"--init {recipe.init}: is a {then.arch} with the head `{then.head}`")
        net.load_state_dict(start.state_dict())
    if isinstance(net.backbone, MobileNet):
        net.backbone.frozen = recipe.freeze
    elif recipe.freeze or recipe.mimic_px:
        raise ModelError("--freeze and --mimic are for mobilenet only")
    if recipe.cross_fit and recipe.head != "years":
        raise ModelError("--cross-fit needs --head years")
    if recipe.cross_fit and not recipe.teachers and (recipe.init == "random" or not recipe.probe_epochs):
        raise ModelError("--cross-fit needs --teacher, or --init with weights and --probe-epochs")
    if recipe.teachers and not recipe.cross_fit:
        raise ModelError("--teacher needs --cross-fit, the share of a label that it decides")
    if 0 < recipe.mimic_px < recipe.size_px:
        raise ModelError(f"--mimic {recipe.mimic_px}: give --size {recipe.size_px} or more, or 0")
    return net


def _autocast(device: torch.device) -> Any:
    """bfloat16 where the processor or card computes in it; emulated, it makes a step twenty times as long."""
    native = device.type != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=bool(native))


def _resume(
    path: Path, recipe: Recipe, net: FaceNet, ema: FaceNet, optimizer: torch.optim.Optimizer, device: torch.device
) -> dict[str, Any]:
    if not path.is_file():
        return {"history": [], "step": 0, "spent_s": 0.0}
    saved: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    then, now = (
        {key: value for key, value in what.items() if key not in ("epochs", "minutes", "patience")}
        for what in (msgspec.to_builtins(msgspec.convert(saved["recipe"], Recipe)), msgspec.to_builtins(recipe))
    )
    if then != now:
        raise ModelError(f"{path}: was made by another recipe; give another --out or remove the folder")
    net.load_state_dict(saved["weights"])
    ema.load_state_dict(saved["ema"])
    optimizer.load_state_dict(saved["optimizer"])
    return saved


def _save(path: Path, what: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    torch.save(what, part)
    part.replace(path)
