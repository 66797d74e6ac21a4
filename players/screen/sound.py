"""Sound of a film, where a campaign asks for it. It is decoded before the film begins, and played by SDL's mixer."""

from pathlib import Path

import pygame

from pipeline.log import skip

RATE_HZ = 48_000
LONGEST_S = 120
"""Longest sound that is decoded, at 192 kB a second. The rest of a longer film is silent."""


class Sound:
    """Sound of one film, ready to be played from its beginning."""

    def __init__(self, samples: bytes) -> None:
        self._sound = pygame.mixer.Sound(buffer=samples)

    def begin(self) -> None:
        """Play the sound from now on."""
        self._sound.play()

    def stop(self) -> None:
        """Fade the sound out."""
        self._sound.fadeout(200)


def load(path: Path) -> Sound | None:
    """Decode the first audio track of a film.

    Returns None where the film has no sound. Where the sound cannot be decoded or played, logs why and returns None.
    """
    import av

    try:
        if pygame.mixer.get_init() is None:
            pygame.mixer.init(RATE_HZ, -16, 2, 1024, allowedchanges=0)
        samples = bytearray()
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                return None
            resampler = av.AudioResampler("s16", "stereo", RATE_HZ)
            for frame in container.decode(container.streams.audio[0]):
                # Check before resampling: a frame of few samples a second would become gigabytes.
                if len(samples) / 4 / RATE_HZ + frame.samples / frame.sample_rate > LONGEST_S:
                    break
                for part in resampler.resample(frame):
                    samples += bytes(part.planes[0])[: part.samples * 4]
        return Sound(bytes(samples))
    except (pygame.error, av.FFmpegError, OSError) as error:
        skip("no_sound", file=path, error=error)
        return None
