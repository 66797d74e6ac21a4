"""The classify stage: answer for each crop what gender and age the model sees in it."""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from models.assets import resolve
from models.cards import LAW_YEARS, ModelError
from models.session import Classifier
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.log import skip
from pipeline.messages import Answered, FaceAnswer, Faces
from pipeline.state import keep_card, state_dir

_MAX_AGE_YEARS = 120.0
_FACES_MAX = 64
"""Largest number of faces per model run. Larger batches are no faster and need more memory."""


class Classify:
    """Stage that makes one `Answered` of each `Faces`. The crops of many messages go through the model together."""

    def __init__(self, job: Job) -> None:
        wanted = job.station.classify
        try:
            model = resolve(wanted.model, job.station.folder)
            self._classifier = Classifier(model, wanted.device, wanted.threads)
        except ModelError as error:
            raise UserError(str(error)) from error
        self._law = LAW_YEARS.index(wanted.minor_years)
        self._card_to_keep: Path | None = model.card_path
        self._state = state_dir(job.station.station, job.station.folder)
        self.status = {
            "model": model.card.name,
            "device": self._classifier.device,
            "card_sha256": self._classifier.sha256,
        }

    def step(self, batch: list[Faces]) -> Iterator[Answered]:
        """Answer every crop of the right size, skip the others, and let all faces through."""
        while batch:
            faces = accumulate(len(message.crops) for message in batch)
            count = max(1, sum(so_far <= _FACES_MAX for so_far in faces))
            yield from self._classify_batch(batch[:count])
            batch = batch[count:]

    def _classify_batch(self, batch: list[Faces]) -> Iterator[Answered]:
        size_px = self._classifier.size_px
        usable: list[list[int]] = []
        crops = []
        for message in batch:
            usable.append([])
            for face, crop in zip(message.asked, message.crops, strict=True):
                if len(crop) != size_px * size_px * 3:
                    skip("wrong_crop", camera=message.camera, bytes=len(crop))
                    continue
                usable[-1].append(face)
                crops.append(np.frombuffer(crop, np.uint8).reshape(size_px, size_px, 3))
        answers = self._answers(crops)
        for message, faces in zip(batch, usable, strict=True):
            told = []
            for face in faces:
                answer = next(answers)
                if answer is None:
                    skip("no_number", camera=message.camera)
                    continue
                told.append(msgspec.structs.replace(answer, face=face))
            yield Answered.of(message, tuple(told), self._classifier.sha256)

    def _answers(self, crops: list[NDArray[np.uint8]]) -> Iterator[FaceAnswer | None]:
        """Yield the answer about each crop, as about face 0; None where it is no numbers."""
        if not crops:
            return
        if self._card_to_keep:
            self._keep_card(self._card_to_keep)
        outputs = self._classifier.run(np.stack(crops))
        p_male = np.clip(outputs.p_male, 0, 1)
        age_years = np.clip(outputs.age_years, 0, _MAX_AGE_YEARS)
        p_decade = np.clip(outputs.p_decade, 0, 1)
        p_minor = np.clip(outputs.p_younger[:, self._law], 0, 1)
        finite = np.isfinite(p_male + age_years + p_decade.sum(axis=1) + p_minor)
        for i, ok in enumerate(finite):
            yield (
                FaceAnswer(
                    face=0,
                    p_male=float(p_male[i]),
                    age_years=float(age_years[i]),
                    p_decade=tuple(map(float, p_decade[i])),
                    p_minor=float(p_minor[i]),
                )
                if ok
                else None
            )

    def _keep_card(self, path: Path) -> None:
        """Keep the card of the model that counts beside what it counted; where that fails, say so once."""
        self._card_to_keep = None
        try:
            keep_card(self._state, path.read_bytes())
        except OSError as error:
            skip("card_not_kept", error=error)

    def close(self) -> None:
        """Release nothing."""


class Count:
    """Stage of mode `count`: people are counted, nobody is classified."""

    def __init__(self, _job: Job) -> None:
        self.status = {"model": "", "device": "", "card_sha256": ""}

    def step(self, batch: list[Faces]) -> Iterator[Answered]:
        """Let all faces through, without an answer."""
        for message in batch:
            yield Answered.of(message)

    def close(self) -> None:
        """Release nothing."""
