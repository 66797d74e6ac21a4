"""Outcome of showing one ad."""

from typing import Literal

from msgspec import Struct

from players.audience.tally import Tally


class Shown(Struct, frozen=True, kw_only=True):
    """Outcome of a play.

    `status` is `failed` if the medium could not be shown, and `partial` if the play was cut short. `shown_ms` is the
    time from its first flip to its last; None takes the time between the two commits.
    """

    frames_expected: int
    frames_presented: int
    status: Literal["played", "partial", "failed"]
    stop_reason: str = ""
    shown_ms: int | None = None
    tally: Tally
    exposure_zone: str | None = None
    """Part of each camera's picture in which people count, in words; None without cameras."""
    calibration: str | None = None
    """Angles of each camera within which a head looks at the screen, in words; None without cameras."""
