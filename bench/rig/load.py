"""Classification workers of a real station, offered faces at a given rate."""

import os
from collections import Counter
from pathlib import Path

from bench.rig.station import Run, make_station, make_table, run_station
from models.assets import resolve
from models.session import Device
from pipeline.messages import Faces
from pipeline.supervisor import Supervisor

BATCH = 16
"""Largest batch of a classification worker, if nothing else is asked for."""


def under_load(
    rate: float,
    wait_ms: float,
    seconds: float,
    *,
    model: str = "default",
    sources: int = 2,
    workers: int = 1,
    batch: int = BATCH,
    device: Device = "cpu",
) -> tuple[Run, dict[int, int]]:
    """Offer so many faces per second. Return the run and the number of batches of each size."""
    crop = resolve(model, Path()).card.crop
    assert crop
    os.environ |= {"BENCH_FACES_PER_S": str(rate / sources), "BENCH_CROP_PX": str(crop.size_px)}
    station = make_station(sources, 1, classify=workers, batch_wait_ms=wait_ms, model=model, batch=batch, device=device)
    sizes: dict[str, dict[int, int]] = {}

    def count(supervisor: Supervisor) -> None:
        for child in supervisor.children:
            if child.role == "classify":
                batches = child.cell.status().get("batches", {})
                sizes[child.worker] = {int(size): n for size, n in batches.items()} or sizes.get(child.worker, {})

    stages = {"capture": "bench.rig.stages:CropCamera", "classify": "bench.rig.stages:CountingClassify"}
    table = make_table(stages, without=("player", "detect"), cameras_give=Faces)
    run = run_station(station, table, settle_s=1.0, seconds=seconds, during=count)
    total: Counter[int] = Counter()
    for counted in sizes.values():
        total.update(counted)
    return run, dict(total)
