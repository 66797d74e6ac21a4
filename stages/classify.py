"""The classify stage: estimate gender and age of each face, as far as the model is sure."""

from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from models.assets import resolve
from models.cards import ModelError
from models.session import NOTHING_KNOWN, Classifier, Estimate
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.log import skip
from pipeline.messages import Audience, Face, Faces, Person

_MAX_AGE_YEARS = 120.0
_FACES_MAX = 64
"""Largest number of faces per model run. Larger batches are no faster and need more memory."""


class Classify:
    """Stage that makes one `Audience` of each `Faces`. The crops of many messages go through the model together."""

    def __init__(self, job: Job) -> None:
        wanted = job.station.classify
        try:
            model = resolve(wanted.model, job.station.folder)
            self._classifier = Classifier(model, wanted.device, wanted.threads)
        except ModelError as error:
            raise UserError(str(error)) from error
        self.status = {
            "model": model.card.name,
            "device": self._classifier.device,
            "card_sha256": self._classifier.sha256,
        }

    def step(self, batch: list[Faces]) -> Iterator[Audience]:
        """Classify every face that came with a crop of the right size; skip the others."""
        while batch:
            faces = accumulate(len(message.crops) for message in batch)
            count = max(1, sum(so_far <= _FACES_MAX for so_far in faces))
            yield from self._classify_batch(batch[:count])
            batch = batch[count:]

    def _classify_batch(self, batch: list[Faces]) -> Iterator[Audience]:
        size_px = self._classifier.size_px
        usable: list[list[Face]] = []
        crops = []
        for message in batch:
            usable.append([])
            for face, crop in zip(message.faces, message.crops, strict=False):
                if len(crop) != size_px * size_px * 3:
                    skip("wrong_crop", camera=message.camera, bytes=len(crop))
                    continue
                usable[-1].append(face)
                crops.append(np.frombuffer(crop, np.uint8).reshape(size_px, size_px, 3))
            for _ in range(len(message.faces) - len(message.crops)):
                skip("face_without_crop", camera=message.camera)
        estimates = iter(self._classifier.classify(np.stack(crops)) if crops else [])
        for message, faces in zip(batch, usable, strict=True):
            known = [next(estimates) for _ in faces]
            for _ in range(known.count(NOTHING_KNOWN)):
                skip("no_number", camera=message.camera)
            people = tuple(map(_person, faces, known))
            yield Audience.of(message, people, self._classifier.sha256)

    def close(self) -> None:
        """Release nothing."""


class Count:
    """Stage of mode `count`: people are counted, nobody is classified."""

    def __init__(self, _job: Job) -> None:
        self.status = {"model": "", "device": "", "card_sha256": ""}

    def step(self, batch: list[Faces]) -> Iterator[Audience]:
        """Yield one `Audience` of people of whom nothing is known for each `Faces`."""
        for message in batch:
            yield Audience.of(message, tuple(_person(face, NOTHING_KNOWN) for face in message.faces))

    def close(self) -> None:
        """Release nothing."""


def _person(face: Face, estimate: Estimate) -> Person:
    age_years = estimate.age_years
    return Person(
        box_px=face.box_px,
        score=face.score,
        gender=estimate.gender,
        p_male=min(1.0, max(0.0, estimate.p_male)),
        age_years=None if age_years is None else min(_MAX_AGE_YEARS, max(0.0, age_years)),
        decade=estimate.decade,
        p_decade=estimate.p_decade,
    )
