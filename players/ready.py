"""Ads that are ready to be shown: loading them, and a record of what happened to each on the screen."""

import time

import pygame

from pipeline.log import skip
from pipeline.medium import MediumError
from pipeline.pictures import PictureError
from players.ads.lines import Creative
from players.audience.tally import Tally
from players.choice.choose import Decision
from players.choice.slow import LEAD_S
from players.decoding.decoders import FIRST_FRAME_TIMEOUT_S, SOUND_TIMEOUT_S, Decoders, unshown
from players.decoding.decoding import Decoding
from players.decoding.moving import Moving
from players.screen import sound as sounds
from players.screen.layout import Layout
from players.screen.sound import Sound


class ReadyAd:
    """An ad that is ready to be shown, and a record of what happened to it on the screen."""

    def __init__(
        self, decision: Decision, picture: pygame.Surface, video: Moving | None = None, sound: Sound | None = None
    ) -> None:
        self.decision = decision
        self.picture = picture
        """The picture, or the first frame of a moving one, as a surface of the whole screen."""
        self.video = video
        """The film or animated picture; None for a still picture."""
        self._sound = sound
        self.play_id: str | None = None
        """Id of the row in the ledger. None for a house ad that plays while the ledger cannot be written."""
        self.tally = Tally()
        """Record of who was there while the ad was on the display."""
        self.planned_s = decision.creative.duration_ms / 1000
        """Time for which the ad is meant to be on."""
        self.began_s = 0.0
        """Time of its first flip, in seconds of CLOCK_MONOTONIC."""
        self.presented = 0
        """Number of frames that were shown while somebody could see them."""
        self.failure = ""
        """Reason why the ad cannot go on; empty where it can."""

    @property
    def creative(self) -> Creative:
        """The creative that is shown."""
        return self.decision.creative

    def expected_by(self, now_s: float, tick_hz: float) -> int:
        """Number of frames that should have been presented by `now_s`: ticks of a picture, frames of a film."""
        ticks = round((now_s - self.began_s) * tick_hz)
        return ticks if self.video is None else min(max(ticks, 1), self.video.expected(now_s - self.began_s))

    def begin(self, now_s: float) -> None:
        """Start the film and its sound; the ad is on from `now_s` (CLOCK_MONOTONIC)."""
        self.began_s = now_s
        if self.video:
            self.video.begin(now_s)
        if self._sound:
            self._sound.begin()

    def release(self) -> None:
        """Stop the film's decoder and its sound."""
        if self.video:
            self.video.close()
        if self._sound:
            self._sound.stop()


def load(decision: Decision, layout: Layout, decoders: Decoders, begins_s: float) -> ReadyAd:
    """Load the picture or film of a decision, which may begin at a time of CLOCK_MONOTONIC.

    Sound that is not ready then is left out: nobody waits for it longer than LEAD_S.
    Raises PictureError, MediumError or OSError where it cannot be shown, or is not the one that was examined.
    """
    creative = decision.creative
    sound_until_s = max(begins_s, time.monotonic() + LEAD_S)
    if not creative.moves:
        return ReadyAd(decision, decoders.still(creative, layout))
    hearing = _begin_sound(creative, layout, decoders)
    video: Moving | None = None
    try:
        video = decoders.moving(creative, layout)
        try:
            first = video.wait(FIRST_FRAME_TIMEOUT_S)
        finally:
            decoders.took_s = video.took_s
        if first is None:
            raise unshown(creative, video.error)
        return ReadyAd(decision, first, video, _sound(creative, hearing, sound_until_s) if hearing else None)
    except BaseException:
        if video:
            video.close()
        raise
    finally:
        if hearing:
            hearing.close()


def _begin_sound(creative: Creative, layout: Layout, decoders: Decoders) -> Decoding | None:
    """Begin to decode the sound of a film, where it is wanted and can be played."""
    if not creative.sound or creative.kind != "video":
        return None
    try:
        sounds.prepare()
    except pygame.error as error:
        skip("no_sound", file=creative.path, error=error)
        return None
    return decoders.sound(creative, layout)


def _sound(creative: Creative, hearing: Decoding, until_s: float) -> Sound | None:
    """Return the sound of a film; None where it has none. Where it cannot be had, logs why and returns None."""
    try:
        hearing.wait(min(SOUND_TIMEOUT_S, max(0.0, until_s - time.monotonic())))
        if hearing.error:
            raise PictureError(hearing.error)
        return Sound(hearing.frames.view(0)) if hearing.frames.written else None
    except (pygame.error, PictureError, MediumError) as error:
        skip("no_sound", file=creative.path, error=error)
        return None
