import numpy as np
import pytest

from models.datasets.turned_heads import Points, turned

GRID = np.stack(np.meshgrid(np.linspace(-0.9, 0.9, 181), np.linspace(-0.9, 0.9, 181)), -1)
NOSE, CHIN, EAR = (0.0, 0.07), (0.0, 0.6), (0.5, 0.0)
"""Places of a face, in boxes from the middle of its box."""


def seen_at(place: tuple[float, float], yaw_deg: float, pitch_deg: float) -> Points:
    """Return the point at which a turned head shows a place of the photo, or comes nearest to it."""
    away = np.linalg.norm(turned(GRID, np.radians(yaw_deg), np.radians(pitch_deg)) - place, axis=-1)
    return GRID[np.unravel_index(away.argmin(), away.shape)]


def test_a_head_that_is_not_turned_stays_as_it_is() -> None:
    assert np.allclose(turned(GRID, 0, 0), GRID, atol=1e-9)


@pytest.mark.parametrize(("yaw_deg", "pitch_deg", "axis"), [(30, 0, 0), (-30, 0, 0), (0, 20, 1), (0, -20, 1)])
def test_the_nose_goes_where_the_head_turns_and_the_box_follows(yaw_deg: int, pitch_deg: int, axis: int) -> None:
    way = np.sign(yaw_deg - pitch_deg)  # y runs down
    nose, chin = (seen_at(place, yaw_deg, pitch_deg) - place for place in (NOSE, CHIN))
    assert 0.06 < way * nose[axis] < 0.25  # it stands out further than what the box goes along with
    assert way * (nose - chin)[axis] > 0.05
    assert abs(nose[1 - axis]) < 0.03


def test_the_far_cheek_is_hidden_and_the_near_one_is_wide() -> None:
    photo = turned(GRID, np.radians(40), 0)[90, :, 0]  # along the line of the eyes
    shown = photo[(abs(photo) < 0.5)]
    assert (shown < 0).sum() > 1.5 * (shown > 0).sum()


def test_left_and_right_are_the_same_in_a_mirror() -> None:
    assert np.allclose(turned(GRID, 0.5, 0.2)[:, ::-1] * (-1, 1), turned(GRID, -0.5, 0.2), atol=1e-9)


@pytest.mark.parametrize("angles", [(0.6, 0.0), (0.0, -0.35), (0.9, 0.3)])
def test_the_surroundings_hold_on_to_the_head(angles: tuple[float, float]) -> None:
    """Along the near side, where nothing is hidden, neighbours in the picture are neighbours in the photo."""
    found = turned(GRID, *angles)
    steps = np.linalg.norm(np.diff(found, axis=1), axis=-1)
    assert np.isfinite(found).all()
    assert np.quantile(steps, 0.99) < 8 * 0.01
