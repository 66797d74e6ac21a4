"""Sound of films, as samples for SDL's mixer: two channels of 16 bits at RATE_HZ."""

from typing import BinaryIO

import av
import numpy as np

from pipeline.film import main_video, open_container
from pipeline.kinds import DECODERS, SCREEN_CODECS, SOUND_DECODERS
from players.decoding.order import Order
from players.decoding.sink import Sink
from players.screen.pcm import BYTES, RATE_HZ

_SLACK_S = 0.05
"""Largest difference of sound and picture that is left as it is, in s."""
_DECODERS = ",".join((*(name for codec in SCREEN_CODECS for name in DECODERS[codec]), *SOUND_DECODERS))


def decode(file: BinaryIO, order: Order, sink: Sink) -> None:
    """Decode the first audio track of a film, from its first picture on; pauses become silence.

    Gives one frame with all samples, none where the film has no sound.
    """
    target, filled = sink.slot(), 0
    with open_container(file, _DECODERS) as container:
        if not container.streams.audio:
            return
        starts_s = _first_s(container)
    with open_container(file, _DECODERS) as container:
        track = container.streams.audio[0]
        if track.codec_context is None or track.codec_context.codec.name not in SOUND_DECODERS:
            raise ValueError("the codec of its sound is not played; export it with AAC")
        resampler = av.AudioResampler("s16", "stereo", RATE_HZ)
        for frame in container.decode(track):
            lasts_s, heard_s = frame.samples / frame.sample_rate, filled / BYTES / RATE_HZ
            at_s = heard_s if frame.time is None else frame.time - starts_s
            if at_s + lasts_s <= 0:
                continue  # it is over before the first picture
            # Check before resampling: a frame of few samples a second would become gigabytes.
            if max(at_s, heard_s) + lasts_s > order.longest_s:
                break
            if at_s - heard_s > _SLACK_S:
                silence = BYTES * round((at_s - heard_s) * RATE_HZ)
                target[filled : filled + silence] = 0
                filled += silence
            for part in resampler.resample(frame):
                samples = np.frombuffer(memoryview(part.planes[0]), np.uint8)[: part.samples * BYTES]
                samples = samples[: max(0, len(target) - filled)]
                target[filled : filled + len(samples)] = samples
                filled += len(samples)
    sink.push(0.0, min(filled, len(target)))


def _first_s(container: av.container.InputContainer) -> float:
    """Return the time in s at which the first picture of a film is shown; 0 where there is none."""
    frame = next(container.decode(main_video(container)), None)
    return 0.0 if frame is None else frame.time or 0.0
