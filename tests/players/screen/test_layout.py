"""Geometry of screens: where pictures lie."""

from hypothesis import given
from hypothesis import strategies as st

from players.screen.layout import Layout


@given(
    screen=st.tuples(st.integers(64, 4000), st.integers(64, 4000)),
    picture=st.tuples(st.integers(1, 9000), st.integers(1, 9000)),
    rotation=st.sampled_from([0, 90, 180, 270]),
    overscan=st.floats(0, 20, allow_subnormal=False),  # ONNX Runtime may have turned subnormal numbers off
    scaling=st.sampled_from(["fit", "fill", "stretch"]),
)
def test_any_picture_lies_inside_any_screen(screen, picture, rotation, overscan, scaling) -> None:  # type: ignore[no-untyped-def]
    layout = Layout(*screen, rotation, overscan, scaling)
    size, (crop_x, crop_y, crop_w, crop_h), (at_x, at_y) = layout.place(*picture)
    left, top, area_w, area_h = layout.area
    shown_w, shown_h = (crop_h, crop_w) if rotation in (90, 270) else (crop_w, crop_h)
    assert left <= at_x and at_x + shown_w <= left + area_w
    assert top <= at_y and at_y + shown_h <= top + area_h
    assert crop_x >= 0 and crop_x + crop_w <= size[0] and crop_y >= 0 and crop_y + crop_h <= size[1]
    if scaling == "fit":
        assert (crop_w, crop_h) == size and (crop_w == layout.upright[0] or crop_h == layout.upright[1])
    else:
        assert (crop_w, crop_h) == layout.upright
