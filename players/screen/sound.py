"""The sound of a film, where a campaign asks for it: decoded whole before the film begins, played by SDL's mixer."""

from pathlib import Path

import pygame

from pipeline.log import skip

RATE_HZ = 48_000
LONGEST_S = 120
"""Decoded it takes 192 kB a second; the rest of a longer film is silent."""


class Sound:
    """A film's sound, ready to be played from its beginning."""

    def __init__(self, samples: bytes) -> None:
        self._sound = pygame.mixer.Sound(buffer=samples)

    def begin(self) -> None:
        """Play it now."""
        self._sound.play()

    def stop(self) -> None:
        """Fade it out."""
        self._sound.fadeout(200)


def load(path: Path) -> Sound | None:
    """The first audio track; None, said once in the log, where there is none or nothing that could play it."""
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
                # Before it is resampled: a frame of few samples a second would be gigabytes.
                if len(samples) / 4 / RATE_HZ + frame.samples / frame.sample_rate > LONGEST_S:
                    break
                for part in resampler.resample(frame):
                    samples += bytes(part.planes[0])[: part.samples * 4]
        return Sound(bytes(samples))
    except (pygame.error, av.FFmpegError, OSError) as error:
        skip("no_sound", file=path, error=error)
        return None
