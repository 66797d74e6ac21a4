"""Speed of classification on a graphics card: batches, bare and served; copies to it; CUDA graphs; TensorRT.

Each step of each model is a process of its own with a time limit (bench/gpu_step.py): a crash or a hang ends that step
only. Without an NVIDIA card the benchmark says so and measures nothing.
"""

from collections.abc import Iterator

import msgspec

from bench.findings import Findings, Plan, Say
from bench.gpu_step import STEPS
from bench.harness import in_child
from bench.rig.classifiers import classifiers
from bench.rig.machine import gpu_name
from models.session import cuda_missing
from pipeline.errors import UserError

STEP_S = 180.0


def run(plan: Plan, say: Say) -> Iterator[Findings]:
    """Yield the findings so far after every step of every classifier; only a note where there is no card."""
    card, missing = gpu_name(), cuda_missing()
    if not card:
        yield Findings(notes=["No NVIDIA card on this machine: nothing was measured."])
    elif missing:
        yield Findings(notes=[f"Card: {card}. ONNX Runtime cannot use it: {missing}."])
    else:
        begun = Findings(notes=[f"Card: {card}."])
        steps = [(name, step) for name in classifiers(begun) for step in STEPS]
        yield from in_turn(steps, STEP_S, plan, say, begun.notes)


def in_turn(steps: list[tuple[str, str]], limit_s: float, plan: Plan, say: Say, notes: list[str]) -> Iterator[Findings]:
    """Run each (model, step) and yield the findings so far; a step that fails is a note."""
    found = Findings(notes=notes)
    for i, (name, step) in enumerate(steps, 1):
        say(f"{name}: {step}")
        try:
            part = in_child("gpu_step", plan, say, name, step, limit_s=limit_s)
        except UserError as error:
            part = Findings(notes=[f"{name}, {step}: {str(error).splitlines()[-1][:200]}"])
        found.measures += part.measures
        found.goals += part.goals
        found.tables += part.tables
        found.notes += part.notes
        yield msgspec.structs.replace(found, notes=[*found.notes, f"{i} of {len(steps)} steps done."])
