"""The people stage: who is there in each camera, from faces and answers."""

from collections.abc import Iterator

from models.cards import ModelError, find_card, read_card
from pipeline.errors import UserError
from pipeline.job import Job
from pipeline.messages import Answered, Audience
from stages.people.presence import Presence


class People:
    """Stage that makes one `Audience` of each `Answered`, but for frames that come after a later one."""

    def __init__(self, job: Job) -> None:
        unknown = None
        if job.station.station.mode != "count":
            try:
                unknown = read_card(find_card(job.station.classify.model, job.station.folder))[0].unknown
            except ModelError as error:
                raise UserError(str(error)) from error
        self._presence = Presence(job.cameras, unknown)

    def update(self, job: Job) -> None:
        """Take in the cameras' tables. The people in view stay."""
        self._presence.update(job.cameras)

    def step(self, batch: list[Answered]) -> Iterator[Audience]:
        """Yield who is there in one frame after the other."""
        for message in batch:
            audience = self._presence.take(message)
            self._presence.left()
            if audience:
                yield audience

    def close(self) -> None:
        """Release nothing."""
