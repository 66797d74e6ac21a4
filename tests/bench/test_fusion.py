"""The measurement of fused answers, on the two people of the sample camera."""

from pathlib import Path

import cv2
import numpy as np

from bench.fusion import figures, see
from bench.rig.sightings import FACE_PX, sightings
from models.crop import CropSpec
from stages.capture import sample


def test_people_of_labelled_photos_are_seen_again_and_again_and_answered(tmp_path: Path) -> None:
    for person, name in ((sample.HOPPER, "hopper"), (sample.COLLINS, "collins")):
        cutout = sample.cutout(person)
        x, y, w, h = (round(value) for value in person.face)
        photo = cutout[max(0, y - h) : y + 2 * h, max(0, x - w) : x + 2 * w, :3]
        cv2.imwrite(str(tmp_path / f"{name}.png"), photo)
    (tmp_path / "labels.csv").write_text("file,gender,age\nhopper.png,F,77\ncollins.png,F,38\n")
    seen = see(tmp_path, people=10, views=4)
    assert sorted(one.row.file for one in seen) == ["collins.png", "hopper.png"]
    assert all(len(one.answers) == 4 for one in seen)
    fused = figures(seen, 0.7, 0, 4)
    assert 0 <= fused.gender_right <= 1 and 0 <= fused.decade_right <= 1
    assert fused.age_error_years < 40 and fused.minor_loss < 3


def test_views_of_one_person_differ_and_are_as_large_as_the_model_wants() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (240, 240, 3), np.uint8)
    looks = sightings(wide, CropSpec(240, 1.95), CropSpec(144, 1.5), 6, np.random.default_rng(1))
    assert {look.crop.shape for look in looks} == {(144, 144, 3)}
    assert len({look.crop.tobytes() for look in looks}) == 6
    assert all(FACE_PX[0] <= look.face_px <= FACE_PX[1] for look in looks)
