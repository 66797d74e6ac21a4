"""Frames to compare two machines by, and the comparison of what `stationcast detect --json` found in them on each."""

import json
import math
import sys
from pathlib import Path

import cv2

from bench.rig.faces import make_scene
from stages.capture import sample

FRAMES = 12
INPUT_PX = 192


def make(folder: Path) -> None:
    """Write streets with faces of 100 to 375 px, and frames of the sample camera."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(FRAMES):
        image = make_scene(100 + 25 * i, 1 + i % 3, seed=i).image if i % 2 else sample.render("kerb", 2.5 * i)
        cv2.imwrite(str(folder / f"{i:02}.png"), image)


def compare(here: Path, there: Path) -> None:
    """Tell how far the faces of two machines are apart. Raises SystemExit if they are not the same."""
    pairs = zip(
        *([json.loads(line) for line in path.read_text("utf-8").splitlines()] for path in (here, there)), strict=True
    )
    faces, box_px, score = 0, 0.0, 0.0
    for one, other in pairs:
        if len(one["faces"]) != len(other["faces"]):
            raise SystemExit(f"{one['file']}: {len(one['faces'])} faces here, {len(other['faces'])} there")
        for a in one["faces"]:
            b = min(other["faces"], key=lambda face: math.dist(face["box"], a["box"]))
            faces += 1
            box_px = max(box_px, *(abs(x - y) for x, y in zip(a["box"], b["box"], strict=True)))
            score = max(score, abs(a["score"] - b["score"]))
    print(f"{faces} faces, the same on both: scores within {score:.4f}, boxes within {box_px:.1f} px of the image")
    if not faces or score > 0.01 or box_px > 1920 / INPUT_PX / 10:
        raise SystemExit(1)


if __name__ == "__main__":
    _, command, *paths = sys.argv
    {"make": make, "compare": compare}[command](*map(Path, paths))
