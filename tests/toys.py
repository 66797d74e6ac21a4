"""Small real stages for the tests of the machinery: they crash, hang, stall and slow down on demand."""

import math
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import numpy as np
from msgspec import Struct

from pipeline.graph import TABLE, Row
from pipeline.job import Job
from pipeline.messages import Answered, Audience, Face, FaceAnswer, Faces, Frame, Message
from pipeline.ring import Ring

CROP_PX = 32
P_DECADE = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)


class Camera:
    """Noise at the camera's own rate, a frame number in the first pixels."""

    def __init__(self, job: Job) -> None:
        self._camera = job.camera
        self._ring = Ring.at(job.rings[job.camera.name])
        self._image = np.zeros((job.camera.max_height_px, job.camera.max_width_px, 3), np.uint8)
        self._seq = 0
        self._next_s = time.monotonic()

    def step(self, batch: list[Message]) -> Iterable[Message]:
        self._next_s = max(self._next_s + 1 / self._camera.fps, time.monotonic() - 0.1)
        time.sleep(max(0.0, self._next_s - time.monotonic()))
        self._ring.expire()
        captured_ns = time.monotonic_ns()
        self._image[0, 0] = self._seq % 251
        slot, version = self._ring.write(self._image)
        self._seq += 1
        height_px, width_px = self._image.shape[:2]
        return [
            Frame(
                camera=self._camera.name,
                seq=self._seq - 1,
                captured_ns=captured_ns,
                slot=slot,
                version=version,
                width_px=width_px,
                height_px=height_px,
            )
        ]

    def close(self) -> None:
        self._ring.close()


class BrightCamera(Camera):
    """All its pixels are white."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._image[:] = 255


class Finder:
    """Detector of one face a frame, after TOY_STALL_MS of work.

    It refuses the first frame that it gets from number TOY_RAISE_AT on. It hangs, once in a test, on the first from
    number TOY_HANG_AT on. Any single frame may be dropped before it gets there.
    """

    def __init__(self, job: Job) -> None:
        self._rings = {name: Ring.at(ref) for name, ref in job.rings.items()}
        self._stall_s = float(os.environ.get("TOY_STALL_MS", "1")) / 1000
        self._raise_at = float(os.environ.get("TOY_RAISE_AT", "inf"))
        self._hung = Path(os.environ["XDG_RUNTIME_DIR"]) / "hung"
        self._hang_at = math.inf if self._hung.exists() else float(os.environ.get("TOY_HANG_AT", "inf"))

    def step(self, batch: list[Frame]) -> Iterable[Message]:
        for frame in batch:
            image = self._rings[frame.camera].read(frame.slot, frame.version, frame.height_px, frame.width_px)
            if image is None:
                continue
            assert image[0, 0, 0] == frame.seq % 251
            time.sleep(self._stall_s)
            if frame.seq >= self._raise_at:
                self._raise_at = math.inf
                raise ValueError("a bad frame")
            if frame.seq >= self._hang_at:
                self._hung.touch()
                time.sleep(3600)
            crop = bytes([frame.seq % 251]) * (CROP_PX * CROP_PX * 3)
            yield Faces.of(frame, (Face(box_px=(1.0, 2.0, 30.0, 40.0), score=0.9),), (crop,), CROP_PX)

    def close(self) -> None:
        for ring in self._rings.values():
            ring.close()


class Noting(Finder):
    """Detector that tells which cameras' frames it got in the last 3 s: the first worker to be up gets all at first."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.status: dict[str, object] = {}
        self._got: dict[str, float] = {}

    def step(self, batch: list[Frame]) -> Iterable[Message]:
        now_s = time.monotonic()
        self._got |= dict.fromkeys((frame.camera for frame in batch), now_s)
        self.status = {"got": sorted(name for name, at_s in self._got.items() if now_s - at_s < 3), "pid": os.getpid()}
        return super().step(batch)


class Namer:
    """Everybody is a woman of thirty-five, which takes it TOY_PONDER_MS to say."""

    def __init__(self, _job: Job) -> None:
        self.status = {"largest_batch": 0, "display": os.environ.get("DISPLAY", "")}

    def step(self, batch: list[Faces]) -> Iterable[Message]:
        self.status = self.status | {"largest_batch": max(self.status["largest_batch"], len(batch))}
        for message in batch:
            assert message.crops[0][0] == message.seq % 251
            time.sleep(float(os.environ.get("TOY_PONDER_MS", "0")) / 1000)
            answers = (FaceAnswer(face=i, p_male=0.1, age_years=35.0, p_decade=P_DECADE) for i in message.asked)
            yield Answered.of(message, tuple(answers))

    def close(self) -> None:
        pass


class OnlyOne(Namer):
    """A second one is killed while it loads, as where there is no memory for it."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        try:
            (job.station.folder / "taken").mkdir()
        except FileExistsError:
            os.kill(os.getpid(), signal.SIGKILL)


class SlowFinder(Finder):
    """Detector of which each frame takes TOY_SWEEP_S, and which tells meanwhile that it is alive."""

    def alive_by(self, beat: Callable[[], object]) -> None:
        self._beat = beat

    def step(self, batch: list[Frame]) -> Iterable[Message]:
        for frame in batch:
            found = list(super().step([frame]))
            ends_s = time.monotonic() + float(os.environ["TOY_SWEEP_S"])
            while time.monotonic() < ends_s:
                self._beat()
                time.sleep(0.05)
            yield from found


class Wall:
    """Counts whom it is shown, sends nothing, and knows how many screens there are."""

    def __init__(self, job: Job) -> None:
        self.status: dict[str, object] = {}
        self._seen: dict[str, int] = {}
        self._screens = job.screens

    def update(self, job: Job) -> None:
        self._screens = job.screens

    def step(self, batch: list[Audience]) -> Iterable[Message]:
        for message in batch:
            self._seen[message.camera] = message.seq
        self.status = {"seen": dict(self._seen), "plays": {"total": 1, "billable": 0, "by_ad": {"toy": 1}}}
        self.status |= {"display": os.environ.get("DISPLAY", ""), "screens": self._screens}
        time.sleep(0.005)
        return []

    def close(self) -> None:
        pass


class Headline(Wall):
    """Its ad's title looks like the markup of the live view."""

    def step(self, batch: list[Audience]) -> Iterable[Message]:
        super().step(batch)
        self.status["title"] = "[/b] all [red] shoes"
        return []


class OnlyLeft(Wall):
    """The other screens' never come up."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        if job.screen.name != "left":
            os.kill(os.getpid(), signal.SIGKILL)


class Broken(Struct):
    """A stage that the user's settings forbid."""

    settings: object

    def __post_init__(self) -> None:
        from pipeline.errors import UserError

        raise UserError("classify.model: no such thing")


class Passer:
    """Lets every `Faces` through, as a stage between two others."""

    def __init__(self, _job: Job) -> None:
        pass

    def step(self, batch: list[Faces]) -> Iterable[Message]:
        return batch

    def close(self) -> None:
        pass


_TOYS = {"capture": "Camera", "detect": "Finder", "classify": "Namer", "people": "", "player": "Wall"}
TOYS: tuple[Row, ...] = tuple(
    msgspec.structs.replace(row, stage=f"tests.toys:{_TOYS[row.name]}" if _TOYS[row.name] else row.stage)
    for row in TABLE
    if row.name in _TOYS
)
"""The stage table with toys in it, but for the real stage of people; stages that have none are left out."""
