"""Turned heads of the sample camera's people: `python -m bench.rig.scenes.cutouts` writes their pictures anew."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.rig.scenes.heads import outline
from models.datasets.turned_heads import turned, turning
from stages.capture import sample

_EDGE = 0.52, 0.66, -0.03
"""Half axes of the oval that is head in these photos, to the side and down, and its middle; in face boxes."""

_LARGER = 1.1
"""Size of the turned head over that of those in scenes: it has to cover the straight one."""


def turned_cutout(person: sample.Person, yaw_deg: float) -> NDArray[np.uint8]:
    """Return a cut-out, uint8 BGRA [height, width, 4], whose head is turned on its shoulders."""
    whole = sample.cutout(person)
    x, y, w, h = person.face
    down, across = np.mgrid[: whole.shape[0], : whole.shape[1]].astype(np.float64)
    points = np.stack([(across - x - w / 2) / w, (down - y - h / 2) / w], -1)
    straight, (_, middle) = turning(0, 0)[1], turning(np.radians(yaw_deg), 0)
    points -= straight - middle
    source = turned(points, np.radians(yaw_deg), 0)
    out = np.maximum(np.hypot(source[..., 0] / _EDGE[0], (source[..., 1] - _EDGE[2]) / _EDGE[1]), 1)
    columns = source[..., 0] / out * w + x + w / 2
    rows = ((source[..., 1] - _EDGE[2]) / out + _EDGE[2]) * w + y + h / 2
    head = cv2.remap(whole, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)
    share = outline(middle + (points - middle) / _LARGER, yaw_deg, 0)[..., None] * (head[..., 3:] / 255)
    return np.asarray(head * share + whole * (1 - share), np.uint8)


def main() -> None:
    """Write the pictures beside those of the straight heads."""
    folder = Path(sample.__file__).with_name("sample_people")
    for person in (sample.HOPPER, sample.COLLINS):
        for yaw_deg in sample.TURNS_DEG[1:]:
            picture = turned_cutout(person, yaw_deg * person.turns)
            cv2.imwrite(str(folder / f"{person.name}_{yaw_deg}.webp"), picture, [cv2.IMWRITE_WEBP_QUALITY, 80])


if __name__ == "__main__":
    main()
