"""Heads that keep in a trained network what the weights it started from knew."""

import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import onnxruntime
import torch

from models.cards import ModelError
from models.datasets.crops import CropCache
from models.datasets.index import Row
from models.training.checkpoints import Trained, joined, network_of
from models.training.losses import Targets
from models.training.networks import YEARS, FaceNet, MobileNet, placed
from models.training.steps import cores
from models.training.teachers import features_of, fit_heads
from models.training.views import balance_weights

_HEADS = 5
"""Number of heads fitted to the start's features, each with other random draws; their mean is steadier."""
_OWN_HEADS_SHARE = 0.2
"""Share of the start's own heads in the age logits, beside the fitted heads."""


def keep(trained: Trained, start: Path, share: float, cache: CropCache) -> Trained:
    """Add heads to a trained mobilenet that answer as its start would, and count for `share` (0 to 1) of the logits.

    `start` is the ONNX file of the mobilenet that the training started from. New heads are fitted to its features of
    the photos of the split `train`; a little of its own heads' answers is added. Heads on the trained backbone
    then learn to give these answers (Li & Hoiem, Learning without Forgetting, ECCV 2016): only one network has to run.

    Fine-tuning improves a network on its own photos and harms it on those of other data sets (Kumar et al.,
    ICLR 2022). The mean of both heads is as good on the former and better on the latter: docs/models-training.md.
    Raises ModelError.
    """
    recipe = trained.recipe
    if recipe.arch != "mobilenet" or recipe.head != "years":
        raise ModelError(f"--keep {start}: is for mobilenets that say years")
    backbone = MobileNet()
    own = backbone.load_onnx(start)
    if own is None:
        raise ModelError(f"--keep {start}: has no heads that know a gender and years")
    rows = np.array([i for i, row in enumerate(cache.rows) if row.split == "train"])
    recipe = msgspec.structs.replace(recipe, mimic_px=recipe.size_px, mimic_of=str(start), probe_epochs=0)
    [image] = onnxruntime.InferenceSession(str(start), providers=["CPUExecutionProvider"]).get_inputs()
    size_px = max(side for side in image.shape if isinstance(side, int))
    at_start = msgspec.structs.replace(recipe, size_px=size_px, mimic_px=size_px)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(cores()) as pool:
            then = features_of(placed(FaceNet(backbone, own), torch.device("cpu")), cache, rows, at_start, pool)
            now = features_of(placed(trained.net, torch.device("cpu")), cache, rows, recipe, pool)
    finally:
        torch.set_num_threads(threads)

    targets = Targets(cache.rows, recipe.age_groups)
    weights = balance_weights([cache.rows[i] for i in rows], recipe.balance_power, recipe.natural)
    own.eval()
    with torch.no_grad():
        gender, age = torch.zeros(len(rows), 1), own(then)[1].log_softmax(1) * _OWN_HEADS_SHARE
    for number in range(_HEADS):
        torch.manual_seed(recipe.seed + number)
        heads = copy.deepcopy(own)
        fit_heads(heads, then, rows, targets, weights, msgspec.structs.replace(recipe, seed=recipe.seed + number))
        heads.eval()
        with torch.no_grad():
            of_gender, of_age = heads(then)
            gender += of_gender / _HEADS
            age += of_age.log_softmax(1) * ((1 - _OWN_HEADS_SHARE) / _HEADS)
    said = torch.cat([gender.sigmoid(), age.softmax(1)], 1)

    middles = (said[:, 1:] @ torch.arange(YEARS, dtype=torch.float32)).tolist()
    labels = [Row(file="", gender="M", age_lo=middle, age_hi=middle) for middle in middles]
    torch.manual_seed(recipe.seed)
    kept = copy.deepcopy(own)
    fit_heads(kept, now, np.arange(len(rows)), Targets(labels), np.ones(len(rows)), recipe, said)
    state = trained.net.state_dict() | joined([trained.net.heads, kept], [1 - share, share])
    return trained._replace(net=network_of(state, recipe).eval())
