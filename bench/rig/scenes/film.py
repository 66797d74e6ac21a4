"""Scenes as films for the commands, with the truth in a file of lines beside them."""

from fractions import Fraction
from pathlib import Path

import av
import msgspec

from bench.rig.scenes.scene import Scene, Seen


class Line(msgspec.Struct, frozen=True):
    """Truth about one frame: its time in s, and everybody in it."""

    t_s: float
    truth: tuple[Seen, ...]


def write_film(scene: Scene, path: Path, crf: int = 18) -> list[Line]:
    """Write a scene as H.264 into `path` (.mp4), and its truth as lines of JSON beside it (.jsonl).

    `crf` is the strength of the compression, 0 to 51. Return the truth.
    """
    lines = []
    with av.open(str(path), "w") as container:
        rate = Fraction(scene.fps).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": str(crf)})
        (stream.width, stream.height), stream.pix_fmt = scene.size_px, "yuv420p"
        for frame in scene.frames():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame.image, format="bgr24")))
            lines.append(Line(frame.t_s, frame.truth))
        container.mux(stream.encode())
    path.with_suffix(".jsonl").write_bytes(msgspec.json.Encoder().encode_lines(lines))
    return lines


def read_truth(path: Path) -> list[Line]:
    """Read the truth beside a film."""
    return msgspec.json.Decoder(Line).decode_lines(path.with_suffix(".jsonl").read_bytes())
