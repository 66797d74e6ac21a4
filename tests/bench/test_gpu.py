"""Steps on a graphics card, as far as a machine without one can test them."""

from pathlib import Path

import pytest

from bench import gpu, gpu_step
from bench.findings import Plan
from bench.harness import in_child
from bench.timing import call_rate
from pipeline.errors import UserError


def test_a_step_on_a_card_that_fails_or_hangs_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    steps = [("default", "no such step"), ("no-such-model", "copy to the card")]
    first, second = gpu.in_turn(steps, 60, Plan(size="tiny"), said.append, ["Card: toy."])
    assert said == ["default: no such step", "no-such-model: copy to the card"]
    assert first.notes[-1] == "1 of 2 steps done."
    assert [note.partition(":")[0] for note in second.notes[:-1]] == ["Card", *(", ".join(step) for step in steps)]
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(UserError, match="not done after 3 s"):
        in_child("soak", Plan(soak_s=60), said.append, limit_s=3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["default", "stationcast-open-fp16"])
def test_a_bound_call_computes(name: str) -> None:
    session, tensor = gpu_step._first_network(name, ["CPUExecutionProvider"])
    call = gpu_step.bound_call(session, tensor[:3], "cpu")
    assert call_rate(call, 0.2) > 0
    with pytest.raises(UserError):
        gpu_step._first_network(name, [("NoSuchProvider", {}), "CPUExecutionProvider"])
