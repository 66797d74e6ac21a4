"""The people stage: who is there in each camera, from faces and answers."""

from collections.abc import Iterator

from models.cards import ModelError, find_card, read_card
from models.estimate import NOTHING_KNOWN, Estimate, estimate
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.messages import Answered, Audience, Face, Person


class People:
    """Stage that makes one `Audience` of each `Answered`."""

    def __init__(self, job: Job) -> None:
        try:
            card, _ = read_card(find_card(job.station.classify.model, job.station.folder))
        except ModelError as error:
            raise UserError(str(error)) from error
        self._unknown = card.unknown
        self.update(job)

    def update(self, job: Job) -> None:
        """Take in the cameras' tables."""
        self._cameras = job.cameras

    def step(self, batch: list[Answered]) -> Iterator[Audience]:
        """Yield who is there in one frame after the other."""
        for message in batch:
            known = dict.fromkeys(range(len(message.faces)), NOTHING_KNOWN)
            for answer in message.answers:
                assert self._unknown, "only a card of a classifier leads to answers"
                known[answer.face] = estimate(answer.p_male, answer.age_years, answer.p_decade, self._unknown)
            people = tuple(map(_person, message.faces, known.values()))
            camera = self._cameras.get(message.camera)
            yield Audience.of(message, people, group=camera.group if camera else "")

    def close(self) -> None:
        """Release nothing."""


def _person(face: Face, known: Estimate) -> Person:
    return Person(
        box_px=face.box_px,
        score=face.score,
        gender=known.gender,
        p_male=known.p_male,
        age_years=known.age_years,
        decade=known.decade,
        p_decade=known.p_decade,
        track=face.track,
        since_ns=face.since_ns,
    )
