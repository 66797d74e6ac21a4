"""Colours of films, told from their tags, and tables that turn them into those of an ordinary screen (sRGB).

Code points are those of ITU-T H.273. A film whose colours are those of an ordinary screen needs no table.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

WHITE_NITS = 203.0
"""Luminance of reference white in HDR films, in cd/m2 (ITU-R BT.2408). It becomes the white of the screen."""
HLG_PEAK_NITS, HLG_GAMMA = 1000.0, 1.2
"""Nominal peak in cd/m2, and system gamma at that peak, of a display for HLG (ITU-R BT.2100)."""
TABLE_POINTS = 33
"""Points along each axis of a table."""
HD_LINES = 720
"""Height in lines from which a film without tags is taken to be BT.709; a lower one is BT.601."""

_UNTAGGED = {0, 2, 3}
_BT709, _BT2020, _DCI_P3, _DISPLAY_P3 = 1, 9, 11, 12
_LINEAR, _PQ, _HLG = 8, 16, 18
_MATRICES = {1: "bt709", 4: "fcc", 5: "bt470", 6: "smpte170m", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""Names that FFmpeg's filter `scale` has for matrices."""
_UNKNOWN = {
    8: "YCgCo",
    11: "YDzDx",
    12: "a matrix derived from primaries",
    13: "a matrix derived from primaries",
    14: "ICtCp",
    15: "IPT-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}
_PRIMARIES = {
    _BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290)),
    _BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    _DCI_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3140, 0.3510)),
    _DISPLAY_P3: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}
"""Chromaticities x, y of red, green, blue and white (H.273, table 2)."""


class ColourError(ValueError):
    """A film whose colours cannot be told. The text says why, and what to do."""


class Colours(NamedTuple):
    """Colours of a frame: how it is stored, and what its numbers mean."""

    matrix: str
    """Name of FFmpeg's for the matrix of Y'CbCr; empty where red, green and blue are stored."""
    full_range: bool
    """True where black is 0 and white the largest number."""
    primaries: int
    """Code point of the primaries; those of SD films count as BT.709, from which they differ little."""
    transfer: int
    """Code point of the transfer function; all of SDR count as 1."""

    @property
    def ordinary(self) -> bool:
        """Return True where the frame needs no table."""
        return (self.primaries, self.transfer) == (_BT709, _BT709)

    @property
    def text(self) -> str:
        """Return the colours in a few words, such as `HDR (PQ, BT.2020)`."""
        gamut = {_BT2020: "BT.2020", _DCI_P3: "DCI-P3", _DISPLAY_P3: "Display P3"}.get(self.primaries, "BT.709")
        curve = {_PQ: "HDR (PQ, {})", _HLG: "HDR (HLG, {})", _LINEAR: "linear light ({})"}.get(self.transfer, "{}")
        return curve.format(gamut)


def colours_of(
    *, lines: int, is_rgb: bool, always_full: bool, matrix: int, range_: int, primaries: int, transfer: int
) -> Colours:
    """Return the colours of a frame with these tags; raise ColourError where they cannot be shown.

    `lines` is the height of the frame as stored. `always_full` is for pixel formats that have no other range.
    """
    wide = matrix in (9, 10) or transfer in (_PQ, _HLG)
    if primaries in _UNTAGGED:
        primaries = _BT2020 if wide else _BT709
    if is_rgb:
        name = ""
    elif matrix in _UNKNOWN:
        raise ColourError(f"its colours are stored as {_UNKNOWN[matrix]}, which is not shown; export it as BT.709")
    elif matrix in _MATRICES:
        name = _MATRICES[matrix]
    else:
        name = "bt2020" if primaries == _BT2020 else "bt709" if lines >= HD_LINES else "smpte170m"
    return Colours(
        name,
        range_ == 2 or (range_ == 0 and always_full) or is_rgb,
        primaries if primaries in _PRIMARIES else _BT709,
        transfer if transfer in (_LINEAR, _PQ, _HLG) else _BT709,
    )


@lru_cache(maxsize=4)
def table(primaries: int, transfer: int) -> str:
    """Return a table for these code points as the text of a .cube file, TABLE_POINTS points an axis.

    It maps R'G'B' of the film, 0 to 1, to R'G'B' of sRGB. Reference white becomes white, 1. What is brighter, or more
    colourful than the screen, lies below 0 or above 1: FFmpeg interpolates first, then cuts it off.
    """
    axis = np.linspace(0.0, 1.0, TABLE_POINTS)
    bgr = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)  # the table's red changes fastest
    coded = bgr[..., ::-1].reshape(-1, 3)
    shown = convert(coded, primaries, transfer)
    rows = "".join(f"{red:.5f} {green:.5f} {blue:.5f}\n" for red, green, blue in shown.tolist())
    return f"LUT_3D_SIZE {TABLE_POINTS}\n{rows}"


def convert(coded: Floats, primaries: int, transfer: int) -> Floats:
    """Return R'G'B' of sRGB, not cut off at 0 and 1, for R'G'B' of a film from 0 to 1; both float64 [N, 3]."""
    light = _TO_LIGHT.get(transfer, _from_srgb)(coded)
    if primaries != _BT709:
        light = light @ (np.linalg.inv(_to_xyz(_BT709)) @ _adapted(primaries)).T
    return np.asarray(np.sign(light) * _to_srgb(np.abs(light)), np.float64)


def _from_pq(coded: Floats) -> Floats:
    """Return linear light, 1 for reference white, by the EOTF of SMPTE ST 2084 (ITU-R BT.2100, table 4)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = coded ** (1 / m2)
    return np.asarray(10_000 / WHITE_NITS * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1), np.float64)


def _from_hlg(coded: Floats) -> Floats:
    """Return linear light, 1 for reference white, by the inverse OETF of HLG (ITU-R BT.2100, table 5).

    The system gamma is applied to each channel alone, as a screen for SDR does it: colours keep their strength.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    return np.asarray(HLG_PEAK_NITS / WHITE_NITS * scene**HLG_GAMMA, np.float64)


def _from_srgb(coded: Floats) -> Floats:
    """Return linear light by the curve of IEC 61966-2-1, which also stands for the other curves of SDR."""
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def _to_srgb(light: Floats) -> Floats:
    """Return the inverse of `_from_srgb`."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


_TO_LIGHT: dict[int, Callable[[Floats], Floats]] = {_PQ: _from_pq, _HLG: _from_hlg, _LINEAR: lambda coded: coded}


def _to_xyz(primaries: int) -> Floats:
    """Return the matrix from linear RGB to XYZ, float64 [3, 3] (SMPTE RP 177)."""
    x, y = np.array(_PRIMARIES[primaries]).T
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return np.asarray(xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3]), np.float64)


def _adapted(primaries: int) -> Floats:
    """Return the matrix from linear RGB to XYZ under the white of sRGB, by Bradford's adaptation."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    own, target = (bradford @ _to_xyz(points).sum(axis=1) for points in (primaries, _BT709))
    return np.asarray(np.linalg.inv(bradford) @ np.diag(target / own) @ bradford @ _to_xyz(primaries), np.float64)
