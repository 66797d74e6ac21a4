"""Steps of a run: gradients, on a processor by one thread for each core, and the optimizer."""

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import torch
from torch import Tensor

from models.training.losses import Labels, loss_of
from models.training.networks import PREPROCESSING, FaceNet, autocast
from models.training.recipe import Recipe
from models.training.views import to_tensor

REMEMBER_WEIGHT = 1.5
"""Weight of the squared deviation from the start's features in the loss."""


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Steps:
    """Optimizer and threads that take the steps of a run. Close it after use.

    On a processor, each of `count` threads computes the gradients of a part of the batch, and all wait for each other
    once a step. Threads inside operations wait hundreds of times a step, which is slow if other programs run
    (measured: 34 faces/s instead of 110). Keras networks get one thread, as they run much Python: two threads of an
    EfficientNetB0 made 36 faces/s, one made 60.
    """

    def __init__(self, net: FaceNet, recipe: Recipe, device: torch.device) -> None:
        self._net, self._recipe, self._device = net, recipe, device
        self.optimizer = optimizer_for(net, recipe)
        alone = device.type != "cpu" or recipe.arch != "mobilenet"
        self.count = 1 if alone else min(cores(), max(1, recipe.batch // 16))
        if self.count > 1:
            torch.set_num_threads(1)
        self.pool = ThreadPoolExecutor(self.count, "gradients")

    def take(
        self, images: Tensor, labels: Labels, remembered: Tensor, deviation: Tensor, epoch: float, progress: float
    ) -> Tensor:
        """Learn from photos, uint8 RGB [N, S, S, 3], after `epoch` epochs and at `progress` (0 to 1) of the run.

        The backbone also learns to give features `remembered`, [N, F] or [N, 0]; differences are divided by `deviation`
        [F]. Learning rates rise over a quarter of an epoch, and fall by a cosine to the end of the run. Return the mean
        loss, which a graphics card may not have finished yet.
        """
        rate = min(1.0, epoch * 4 + 0.02) * (0.5 * (1 + math.cos(math.pi * progress)) + 0.005)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        trained = [parameter for parameter in self._net.parameters() if parameter.requires_grad]
        columns = [
            [column[part :: self.count].to(self._device) for part in range(self.count)]
            for column in (images, remembered, *labels)
        ]
        gradients = partial(self._gradients, trained, deviation)
        results = list((self.pool.map if self.count > 1 else map)(gradients, *columns))
        for parameter, *each in zip(trained, *(each for _, each in results), strict=True):
            if each[0] is not None:
                # The fused optimizer pairs elements by place in memory: a gradient needs the layout of its parameter.
                parameter.grad = torch.empty_like(parameter).copy_(sum(each[1:], each[0]) / len(each))
        torch.nn.utils.clip_grad_norm_(trained, 5.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return torch.stack([loss for loss, _ in results]).mean()

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()

    def _gradients(
        self, trained: list[torch.nn.Parameter], deviation: Tensor, images: Tensor, remembered: Tensor, *labels: Tensor
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        with autocast(self._device, self._recipe.arch):
            features = self._net.backbone(to_tensor(images, PREPROCESSING[self._recipe.arch]))
            outputs = self._net.heads(features)
        loss = loss_of(outputs, Labels(*labels))
        if remembered.numel():
            loss = loss + REMEMBER_WEIGHT * ((features.float() - remembered) / deviation).square().mean(1).mean()
        return loss.detach(), torch.autograd.grad(loss, trained, allow_unused=True)


def optimizer_for(net: FaceNet, recipe: Recipe) -> torch.optim.Optimizer:
    """Make AdamW with four sets of parameters: backbone and heads, each with and without weight decay."""
    groups: list[dict[str, Any]] = []
    for heads, module in ((False, net.backbone), (True, net.heads)):
        peak = recipe.learning_rate * (recipe.head_rate if heads else 1)
        for decays in (False, True):
            chosen = [p for p in module.parameters() if (p.ndim > 1) == decays]
            decay = recipe.weight_decay if decays else 0.0
            groups.append({"params": chosen, "weight_decay": decay, "peak": peak, "lr": 0.0})
    return torch.optim.AdamW(groups, fused=True)
