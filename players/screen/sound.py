"""Sound of a film, where a campaign asks for it, played by SDL's mixer."""

import pygame

from players.screen.pcm import RATE_HZ


class Sound:
    """Sound of one film, ready to be played from its beginning."""

    def __init__(self, samples: memoryview) -> None:
        """Copy samples as pcm.py says. Raises pygame.error where no sound can be played."""
        prepare()
        self._sound = pygame.mixer.Sound(buffer=samples)

    def begin(self) -> None:
        """Play the sound from now on."""
        self._sound.play()

    def stop(self) -> None:
        """Fade the sound out."""
        self._sound.fadeout(200)


def prepare() -> None:
    """Take the device for sound. Raises pygame.error where there is none."""
    if pygame.mixer.get_init() is None:
        pygame.mixer.init(RATE_HZ, -16, 2, 1024, allowedchanges=0)
