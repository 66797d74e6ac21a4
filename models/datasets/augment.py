"""Augmentation as by a station's camera: dim light, noise, blur, few pixels, JPEG, turned and covered faces."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crop import CropSpec
from models.datasets.turned_heads import turned_px

CACHE_SPEC = CropSpec(size_px=240, scale=1.95)
"""Crops in the cache. They are wider than a model sees, so that moved and turned views have real pixels."""

Image = np.ndarray
Maps = tuple[NDArray[np.float32], NDArray[np.float32]]


def view(crop: Image, scale: float, size_px: int) -> Image:
    """Cut the middle of a cached crop as a model of this `scale` and size sees it, uint8 [size_px, size_px, 3]."""
    return cv2.warpAffine(
        crop, _affine(scale, size_px), (size_px, size_px), flags=_INVERSE, borderMode=cv2.BORDER_REPLICATE
    )


def augment(
    crop: Image,
    corners: NDArray[np.float32],
    scale: float,
    size_px: int,
    other: Image,
    rng: np.random.Generator,
    strength: float = 1.0,
) -> Image:
    """Cut one random view of a cached crop, uint8 [size_px, size_px, 3]. `strength` (0 to 1) is how often it is spoilt.

    `corners` [4, 2] are the photo's corners in the crop. Outside of them is a repeated border. It is often replaced by
    a piece of `other`, a second cached crop, so that the surroundings of a face teach nothing.
    """
    matrix = _affine(
        scale * float(np.exp(rng.uniform(-0.2, 0.22))),
        size_px,
        angle_deg=float(np.clip(rng.normal(0, 9), -30, 30)) if rng.random() < 0.7 else 0.0,
        shift=rng.uniform(-0.06, 0.06, 2),
        stretch=float(np.exp(rng.uniform(-0.08, 0.08))),
        shear=float(rng.uniform(-0.1, 0.1)),
    )
    yaw_rad, pitch_rad = 0.0, 0.0
    if rng.random() < 0.6 * strength:
        yaw_rad, pitch_rad = rng.normal(0, (0.4, 0.2)).clip(-0.9, 0.9)
    if size_px > other.shape[0]:
        other = cv2.resize(other, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    where = _where(matrix, size_px, yaw_rad, pitch_rad)
    image = cv2.remap(crop, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if rng.random() < 0.5 * strength:
        _replace_border(image, where, corners, other, rng)
    if rng.random() < 0.5:
        image = cv2.flip(image, 1)
    if rng.random() < 0.2 * strength:
        _cover(image, other, rng)
    return _degrade(image, rng) if rng.random() < 0.75 * strength else image


_INVERSE = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


_NODE_PX = 4
"""Distance in px of the nodes at which places are computed. Between nodes they are nearly linear."""


def _affine(
    scale: float,
    size_px: int,
    angle_deg: float = 0.0,
    shift: NDArray[np.float64] | tuple[float, float] = (0.0, 0.0),
    stretch: float = 1.0,
    shear: float = 0.0,
) -> NDArray[np.float64]:
    """Return the matrix [2, 3] from pixels of the view to pixels of the cached crop."""
    step = scale / CACHE_SPEC.scale * CACHE_SPEC.size_px / size_px
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = step * np.array([[cos, -sin], [sin, cos]]) @ np.array([[stretch, shear], [0, 1 / stretch]])
    middle = np.array([(CACHE_SPEC.size_px - 1) / 2] * 2) + np.asarray(shift) * step * size_px
    return np.column_stack([turn, middle - turn @ np.array([(size_px - 1) / 2] * 2)])


def _where(matrix: NDArray[np.float64], size_px: int, yaw_rad: float, pitch_rad: float) -> Maps:
    """Return column and row in the cached crop, float32 [size_px, size_px] each, for each pixel of a view.

    The view is that of a head turned by these angles.
    """
    at = np.arange(-_NODE_PX, size_px + _NODE_PX, _NODE_PX) + (_NODE_PX - 1) / 2
    points = np.einsum("hwi,ji->hwj", np.stack(np.meshgrid(at, at), -1), matrix[:, :2]) + matrix[:, 2]
    if yaw_rad or pitch_rad:
        points = turned_px(points, CACHE_SPEC, yaw_rad, pitch_rad)
    fine = cv2.resize(points.astype(np.float32), None, fx=_NODE_PX, fy=_NODE_PX, interpolation=cv2.INTER_LINEAR)
    column, row = np.moveaxis(fine[_NODE_PX:, _NODE_PX:][:size_px, :size_px], 2, 0).astype(np.float32, order="C")
    return column, row


def _replace_border(
    image: Image, where: Maps, corners: NDArray[np.float32], other: Image, rng: np.random.Generator
) -> None:
    photo = np.zeros((CACHE_SPEC.size_px, CACHE_SPEC.size_px), np.uint8)
    cv2.fillConvexPoly(photo, np.clip(corners, -9999, 9999).astype(np.int32), 255)
    inside = cv2.remap(photo, *where, cv2.INTER_NEAREST)
    if rng.random() < 0.25:
        # Cut as tightly as the tightest data set does, whatever set the photo is from.
        margin = int(image.shape[0] * rng.uniform(0.05, 0.14))
        inside[:margin] = inside[-margin:] = 0
        inside[:, :margin] = inside[:, -margin:] = 0
    fill = np.empty_like(image)
    if rng.random() < 0.6:
        left, top = rng.integers(0, other.shape[0] - image.shape[0] // 2, 2)
        piece = other[top : top + image.shape[0] // 2, left : left + image.shape[0] // 2]
        fill = cv2.resize(piece, image.shape[:2], interpolation=cv2.INTER_LINEAR)
    else:
        fill[:] = rng.integers(0, 256, 3)
    np.copyto(image, fill, where=inside[..., None] == 0)


def _cover(image: Image, other: Image, rng: np.random.Generator) -> None:
    """Cover a part of the face as a mask, a hand, sunglasses or another head would."""
    size = image.shape[0]
    kind = rng.random()
    if kind < 0.3:
        left, top, width, height = 0.2, rng.uniform(0.55, 0.65), 0.6, 0.4
    elif kind < 0.5:
        left, top, width, height = 0.2, rng.uniform(0.32, 0.4), 0.6, rng.uniform(0.08, 0.14)
    else:
        width, height = rng.uniform(0.1, 0.45, 2)
        left, top = rng.uniform(-0.1, 0.9, 2)
    x0, y0 = int(max(0, left * size)), int(max(0, top * size))
    x1, y1 = int(min(size, (left + width) * size)), int(min(size, (top + height) * size))
    if x1 <= x0 or y1 <= y0:
        return
    if rng.random() < 0.5:
        image[y0:y1, x0:x1] = rng.integers(0, 256, 3)
    else:
        image[y0:y1, x0:x1] = other[y0:y1, x0:x1]


def _degrade(image: Image, rng: np.random.Generator) -> Image:
    size = image.shape[0]
    if rng.random() < 0.12:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    if rng.random() < 0.35:
        # The face box is about 1 / scale of the view, so 30 px of the view are a face of about 24 px.
        small = int(np.exp(rng.uniform(np.log(min(30, size)), np.log(size))))
        tiny = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            tiny = _jpeg(tiny, int(rng.integers(40, 96)))
        how = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
        image = cv2.resize(tiny, (size, size), interpolation=how)
    if rng.random() < 0.25:
        image = _blur(image, rng)
    if rng.random() < 0.8:
        image = _light(image, rng)
    if rng.random() < 0.25:
        channels = 1 if rng.random() < 0.5 else 3
        noise = rng.standard_normal((size, size, channels), np.float32) * float(rng.uniform(2, 14))
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        image = _jpeg(image, int(rng.integers(20, 90)))
    return image


def _blur(image: Image, rng: np.random.Generator) -> Image:
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.2)))
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    reach = (length - 1) / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(round((length - 1) / 2 + sign * float(value)) for value in reach) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _light(image: Image, rng: np.random.Generator) -> Image:
    """Change exposure, contrast and tint by one table for each channel, one time in five to the dark of an evening."""
    levels = np.arange(256, dtype=np.float32) / 255
    gamma = float(np.exp(rng.uniform(0.4, 0.9))) if rng.random() < 0.2 else float(np.exp(rng.normal(0, 0.2)))
    contrast, brightness = rng.uniform(0.7, 1.3), rng.uniform(-0.12, 0.12)
    tint = rng.normal(1, 0.06, 3)
    base = (levels**gamma - 0.5) * contrast + 0.5 + brightness
    table = np.clip(base[:, None] * tint[None] * 255, 0, 255).astype(np.uint8)
    return cv2.LUT(image, table[None])


def _jpeg(image: Image, quality: int) -> Image:
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = cv2.imdecode(data, cv2.IMREAD_COLOR) if done else None
    return image if back is None else back
