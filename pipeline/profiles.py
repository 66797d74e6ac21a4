"""Colours of pictures, told from their ICC profiles and tags, and turned into those of an ordinary screen (sRGB).

Little CMS, which Pillow brings, does the conversion. Colours that a picture tells by numbers (PNG's gAMA and cHRM, the
code points of ITU-T H.273) become a profile first. HDR is brought to SDR as in films, by `pipeline.colours`. No other
module of ours is imported, so that `models` may use this one.
"""

import struct
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.colours import colours_of, convert

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float64]
XY = tuple[float, float]

D50 = np.array([0.9642, 1.0, 0.8249])
"""White of the space in which profiles are written (ICC.1, 6.3.4.3), as XYZ."""
D65 = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}
"""Pillow's mode for the colour space of a profile."""

_TABLE_POINTS = 65
"""Points along each axis of a table for HDR: the most that Pillow takes."""


class ProfileError(ValueError):
    """A profile that cannot be used. The text says why."""


class Primaries(NamedTuple):
    """Chromaticities x, y of red, green, blue and white."""

    red: XY
    green: XY
    blue: XY
    white: XY


BT709 = Primaries((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65)
ADOBE_RGB = Primaries((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), D65)
"""Primaries of Adobe RGB (1998); its gamma is 563/256."""
ADOBE_GAMMA = 563 / 256
_CODED = {
    1: BT709,
    4: Primaries((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: Primaries((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),
    6: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    7: Primaries((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),
    9: Primaries((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),
    11: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: Primaries((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),
}
"""Primaries by code point (H.273, table 2)."""
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
"""Gamma by code point of the transfer function (H.273, table 3). Others of SDR count as the curve of sRGB."""
HDR = {16: "PQ", 18: "HLG"}
"""Names of the transfer functions of HDR, by code point."""


class Coded(NamedTuple):
    """Code points of H.273 that a picture carries."""

    primaries: int
    transfer: int


def to_srgb(image: "Image.Image", profile: bytes) -> "Image.Image":
    """Return the picture, of mode L, RGB, CMYK or LAB, in sRGB: mode RGB, 8 bits.

    Raises ProfileError where the profile is damaged or is for another kind of picture.
    """
    from PIL import ImageCms

    try:
        space = _SPACES.get(_parsed(profile).profile.xcolor_space)
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if space != image.mode:
            raise ProfileError("it is for another kind of picture")
        converted = ImageCms.applyTransform(image, _transform(profile, image.mode))
    except ProfileError:
        raise
    except (OSError, ImageCms.PyCMSError, TypeError, ValueError) as error:
        raise ProfileError("it is damaged") from error
    if converted is None:
        raise ProfileError("it is damaged")
    return converted


def lab_to_srgb(image: "Image.Image") -> "Image.Image":
    """Return a picture of mode LAB, under the light of D50, in sRGB: mode RGB."""
    from PIL import ImageCms

    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    return to_srgb(image, lab.tobytes())


@lru_cache(maxsize=16)
def _parsed(profile: bytes) -> Any:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(BytesIO(profile))


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> Any:
    from PIL import ImageCms

    parsed = _parsed(profile)
    intent = ImageCms.Intent(ImageCms.getDefaultIntent(parsed))
    return ImageCms.buildTransform(parsed, ImageCms.createProfile("sRGB"), mode, "RGB", intent)


def hdr_to_srgb(image: "Image.Image", colours: Coded) -> "Image.Image":
    """Return an HDR picture of mode RGB in sRGB; reference white becomes white, as `pipeline.colours` says."""
    return image.filter(_hdr_table(colours))


@lru_cache(maxsize=4)
def _hdr_table(colours: Coded) -> Any:
    from PIL import ImageFilter

    known = colours_of(
        lines=0, is_rgb=True, always_full=True, matrix=0, range_=2, primaries=colours[0], transfer=colours[1]
    )
    axis = np.linspace(0.0, 1.0, _TABLE_POINTS)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")
    coded = np.stack([red, green, blue], axis=-1).reshape(-1, 3)
    return ImageFilter.Color3DLUT(_TABLE_POINTS, convert(coded, known.primaries, known.transfer).ravel())


def coded_profile(colours: Coded) -> bytes | None:
    """Return a profile for code points; None where they are those of sRGB, or where nothing is known of them."""
    primaries, gamma = _CODED.get(colours.primaries, BT709), _GAMMAS.get(colours.transfer)
    return None if primaries == BT709 and gamma is None else matrix_profile(primaries, gamma)


@lru_cache(maxsize=16)
def matrix_profile(primaries: Primaries, gamma: float | None) -> bytes:
    """Return an ICC profile (version 4.3) of a display with these primaries.

    Light is the number to the power of `gamma`; None is the curve of sRGB. Raises ProfileError for impossible numbers.
    """
    try:
        to_xyz = _to_d50(primaries)
    except (ValueError, ZeroDivisionError, FloatingPointError, np.linalg.LinAlgError) as error:
        raise ProfileError("its numbers are impossible") from error
    if not np.isfinite(to_xyz).all() or np.abs(to_xyz).max() > 100 or not 0.1 <= (gamma or 1.0) <= 10:
        raise ProfileError("its numbers are impossible")
    curve = (
        struct.pack(">4sIHHi", b"para", 0, 0, 0, round(gamma * 65536))
        if gamma is not None
        else struct.pack(">4sIHH5i", b"para", 0, 3, 0, *(round(v * 65536) for v in _SRGB_CURVE))
    )
    tags = [(b"wtpt", _xyz(D50))]
    tags += [(name, _xyz(column)) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), to_xyz.T, strict=True)]
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body = struct.pack(">I", len(tags)), b""
    for name, data in tags:
        table += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    header = struct.pack(
        ">I4sI4s4s4s12x4s4s", 132 + len(table) - 4 + len(body), b"", 0x04300000, b"mntr", b"RGB ", b"XYZ ", b"acsp", b""
    )
    header += bytes(24) + struct.pack(">I3i", 0, *(round(v * 65536) for v in D50))
    return header.ljust(128, b"\0") + table + body


_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Parameters of IEC 61966-2-1 for a parametric curve of kind 3 (ICC.1, 10.18)."""


def _xyz(values: Floats) -> bytes:
    return struct.pack(">4sI3i", b"XYZ ", 0, *(round(float(value) * 65536) for value in values))


def _to_d50(primaries: Primaries) -> Floats:
    """Return the matrix from linear RGB to XYZ under D50, float64 [3, 3] (SMPTE RP 177 and Bradford's adaptation)."""
    x, y = np.array(primaries, np.float64).T
    if (y <= 0).any():
        raise ValueError("y is not positive")
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    white = xyz[:, 3]
    own = xyz[:, :3] * np.linalg.solve(xyz[:, :3], white)
    cones, wanted = _BRADFORD @ white, _BRADFORD @ D50
    return np.asarray(np.linalg.inv(_BRADFORD) @ np.diag(wanted / cones) @ _BRADFORD @ own, np.float64)


def png_code_points(data: bytes) -> Coded | None:
    """Return what the chunk cICP of a PNG file says, of which `data` is the beginning; None where it has none."""
    at = 8
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind in (b"IDAT", b"IEND"):
            return None
        if kind == b"cICP" and length == 4:
            return Coded(data[at + 8], data[at + 9])
        at += length + 12
    return None


def heif_code_points(data: bytes) -> Coded | None:
    """Return the first code points in an AVIF or HEIC file, of which `data` is the beginning; None where it has none.

    The boxes are those of ISO/IEC 14496-12: meta, iprp, ipco, colr.
    """
    path = [b"meta", b"iprp", b"ipco"]
    at, end = 0, len(data)
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        size = size or end - at
        if size < 8:
            return None
        if path and kind == path[0]:
            at, end = at + 8 + 4 * (kind == b"meta"), min(end, at + size)
            path.pop(0)
            continue
        if not path and kind == b"colr" and data[at + 8 : at + 12] == b"nclx" and at + 16 <= end:
            return Coded(*struct.unpack_from(">HH", data, at + 12))
        at += size
    return None
