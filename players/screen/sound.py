"""Sound of a film, where a campaign asks for it. It is decoded before the film begins, and played by SDL's mixer."""

from pathlib import Path

import pygame

from pipeline.log import skip

RATE_HZ = 48_000
LONGEST_S = 120
"""Longest sound that is decoded, at 192 kB a second. The rest of a longer film is silent."""
_SLACK_S = 0.05
"""Largest difference of sound and picture that is left as it is, in s."""
_BYTES = 4
"""Bytes of one moment of sound: two channels of 16 bits."""


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
    """Decode the first audio track of a film, from its first picture on; pauses become silence.

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
            starts_s = _first_s(path)
            resampler = av.AudioResampler("s16", "stereo", RATE_HZ)
            for frame in container.decode(container.streams.audio[0]):
                lasts_s, heard_s = frame.samples / frame.sample_rate, len(samples) / _BYTES / RATE_HZ
                at_s = heard_s if frame.time is None else frame.time - starts_s
                if at_s + lasts_s <= 0:
                    continue  # it is over before the first picture
                # Check before resampling: a frame of few samples a second would become gigabytes.
                if max(at_s, heard_s) + lasts_s > LONGEST_S:
                    break
                if at_s - heard_s > _SLACK_S:
                    samples += bytes(_BYTES * round((at_s - heard_s) * RATE_HZ))
                for part in resampler.resample(frame):
                    samples += bytes(part.planes[0])[: part.samples * _BYTES]
        return Sound(bytes(samples))
    except (pygame.error, av.FFmpegError, OSError, ValueError) as error:
        skip("no_sound", file=path, error=error)
        return None


def _first_s(path: Path) -> float:
    """Return the time in s at which the first picture of a film is shown; 0 where there is none."""
    import av

    from pipeline.film import main_video

    with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
        frame = next(container.decode(main_video(container)), None)
        return 0.0 if frame is None else frame.time or 0.0
