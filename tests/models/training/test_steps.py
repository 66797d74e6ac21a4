"""A step in several threads does what PyTorch's plain AdamW does."""

import contextlib

import pytest
import torch

from models.training.losses import Labels, loss_of
from models.training.networks import (
    PREPROCESSING,
    Arch,
    build,
    placed,
)
from models.training.recipe import Recipe
from models.training.steps import Steps, optimizer_for
from models.training.views import to_tensor


@pytest.mark.parametrize("arch", ["mobilenet", "efficientnet_b0"])
def test_a_step_is_that_of_plain_adamw(arch: Arch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, gradients taken by hand and the fused optimizer change nothing. Weights end where PyTorch's plain way
    leaves them, whatever the layout of a kernel in memory. In bfloat16, rounding would part them."""
    monkeypatch.setattr("models.training.steps.autocast", lambda device, arch: contextlib.nullcontext())
    recipe = Recipe(arch=arch, size_px=33, batch=32, learning_rate=1e-3)
    cpu = torch.device("cpu")
    torch.manual_seed(3)
    net, plain = (placed(build(recipe), cpu).eval() for _ in range(2))
    plain.load_state_dict(net.state_dict())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    n, age, one = recipe.batch, torch.linspace(1, 80, recipe.batch), torch.ones(recipe.batch)
    labels = Labels(torch.arange(n) % 2.0, one, age, age, one)
    photos = torch.randint(0, 256, (n, 33, 33, 3), dtype=torch.uint8)
    threads = torch.get_num_threads()
    steps = Steps(net, recipe, cpu)
    try:
        steps.take(photos, labels, torch.empty(n, 0), torch.empty(0), 0.5, 0.0)
    finally:
        steps.close()
        torch.set_num_threads(threads)

    reference = torch.optim.AdamW(
        [{"params": [p], "lr": group["lr"], "weight_decay": group["weight_decay"]}
         for theirs, group in zip(optimizer_for(plain, recipe).param_groups, steps.optimizer.param_groups, strict=True)
         for p in theirs["params"]],
        foreach=False,
    )  # fmt: skip
    loss_of(plain(to_tensor(photos, PREPROCESSING[arch])), labels).backward()
    torch.nn.utils.clip_grad_norm_(plain.parameters(), 5.0)
    reference.step()
    for name, theirs in plain.state_dict().items():
        moved, wanted = net.state_dict()[name] - before[name], theirs - before[name]
        # Adam's first step is a sign, of 1e-3: it may differ where a gradient is about zero, nowhere else.
        assert torch.isclose(moved, wanted, rtol=0.05, atol=1e-5).float().mean() > 0.97, name
