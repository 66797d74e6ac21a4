"""Reader of picture files: upright, in the colours of an ordinary screen (sRGB), still or animated.

The screen, the examination of media, `detect`, training and folders of images as cameras all read pictures here. What a
file is, its content says, not its name. This module imports of ours only others that read media, so that `models` may
use it.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np

from pipeline.kinds import JPEG_SCAN, REFUSED, TAKEN, sniff
from pipeline.medium import MediumError, opened
from pipeline.profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    BT709,
    HDR,
    Coded,
    Primaries,
    ProfileError,
    coded_profile,
    hdr_to_srgb,
    heif_code_points,
    lab_to_srgb,
    matrix_profile,
    png_code_points,
    to_srgb,
)
from pipeline.system import plain

if TYPE_CHECKING:
    from PIL import Image

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

PIXELS_MAX = 50_000_000
"""Largest number of pixels of a picture for a screen."""
ANIMATED_PIXELS_MAX = 10_000_000
"""Largest number of pixels of one frame of an animated picture: somewhat more than 4K."""
ANIMATION_PIXELS_MAX = 400_000_000
"""Largest number of pixels of all frames of an animated picture together."""
SCANS_MAX = 200
"""Largest number of scans of a JPEG file. Programs write about ten; each takes as long as a picture to decode."""
HEAD_BYTES = 1 << 20
"""Length of a file's beginning in which its kind and its code points of colour are looked for."""
DELAY_MS_MIN, DELAY_MS_INSTEAD = 10, 100
"""Frames of an animation that ask for at most the first number of ms get the second, as in every browser."""

_ANIMATED = ("GIF", "WEBP", "PNG", "AVIF")
_DAMAGED = "it is damaged or was not copied whole; copy it again, or save it anew with a picture program"
_NO_HEIC = "it is a HEIC photograph; save it as JPEG, or install the reader: .ci/setup heic"
_ORIENTATION, _INTEROP, _SUBFILE, _DNG_VERSION = 0x0112, 0xA005, 0x00FE, 0xC612
_ADOBE_INTEROP = "R03"
_IN_8_BITS = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)
"""Number of 8 bits for each number of 16 bits."""


class PictureError(Exception):
    """A picture that cannot be read. The text says why and what to do, without the file's name."""


class NotAPictureError(PictureError):
    """A file that is not a picture at all; it may be a film."""


class Picture:
    """Picture file that was opened. `first` gives a still picture, `frames` and `pixels` go through an animated one.

    Raises PictureError where it cannot be read, is damaged, or has more than `pixels_max` pixels. NotAPictureError is
    raised where it is none. Use it in a `with` statement.
    """

    notes: list[str]
    """Changes made to the picture, or things ignored in it, in a few words each. Complete once a frame was read."""

    def __init__(self, source: Path | BinaryIO, pixels_max: int = PIXELS_MAX) -> None:
        self.notes = []
        self.ignored: list[str] = []
        """Notes on what is broken in the picture and was ignored; they are in `notes` too."""
        self._pixels_max = pixels_max
        self._own: BinaryIO | None = None
        if isinstance(source, Path):
            try:
                source = self._own = opened(source)
            except OSError as error:
                raise PictureError(plain(error)) from error
            except MediumError as error:
                raise PictureError(str(error)) from None
        self._stream = source
        try:
            self._image = self._open()
            self._find_out()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file if this object has opened it."""
        if self._own is not None:
            self._own.close()

    @property
    def animated(self) -> bool:
        """True where the picture moves."""
        return self.frame_count > 1

    def first(self, ground: Colour) -> "Image.Image":
        """Return the picture or first frame: mode RGB, upright, in sRGB, over `ground` where it is clear."""
        with _plain_words(self._pixels_max):
            self._image.load()
        return self.pixels(ground)

    def frames(self) -> Iterator[float]:
        """Go through the frames of one round of an animation. For each, yield the time in s for which it is on.

        `pixels` gives the frame that was yielded last. Each call begins anew.
        """
        for number in range(self._skipped, self._skipped + self.frame_count):
            with _plain_words(self._pixels_max):
                self._image.seek(number)
                self._check_size()
                self._image.load()
            delay_ms = float(self._image.info.get("duration") or 0)
            yield (delay_ms if delay_ms > DELAY_MS_MIN else DELAY_MS_INSTEAD) / 1000

    def pixels(self, ground: Colour) -> "Image.Image":
        """Return the present frame: mode RGB, upright, in sRGB, over `ground` where it is clear."""
        from PIL import Image

        with _plain_words(self._pixels_max):
            image, alpha = _parted(self._image)
            image = self._in_srgb(image)
            if alpha is not None:
                below = Image.new("RGB", image.size, ground)
                below.paste(image, mask=alpha)
                image = below
            turn = self._turn()
            return image if turn is None else image.transpose(turn)

    def _open(self) -> "Image.Image":
        from PIL import Image

        with _plain_words(self._pixels_max):
            self._head = self._stream.read(HEAD_BYTES)
            self._stream.seek(0)
        if not self._head:
            raise PictureError("it is empty (0 bytes); copy it here again")
        self.kind = sniff(self._head[:4096])
        if self.kind in REFUSED:
            raise PictureError(REFUSED[self.kind])
        if not self.kind:
            raise NotAPictureError(f"it is no picture that is played; known: {TAKEN}")
        if self.kind == "HEIF" and not _can_read_heic():
            raise PictureError(_NO_HEIC)
        _silence()
        with _plain_words(self._pixels_max):
            if self.kind == "JPEG":
                self._check_scans()
            return Image.open(self._stream, formats=("JPEG", "MPO") if self.kind == "JPEG" else (self.kind,))

    def _find_out(self) -> None:
        """Read what the header tells: frames, rounds and colours."""
        self._check_size()
        info = self._image.info
        with _plain_words(self._pixels_max):
            count = int(getattr(self._image, "n_frames", 1))
        self._skipped = 1 if info.get("default_image") and count > 1 else 0
        self.frame_count = count - self._skipped if self.kind in _ANIMATED else 1
        self.plays = 0
        """Number of times that an animation plays before it stops on its last frame; 0 if it goes on for ever."""
        if self.kind == "GIF":
            self.plays = 1 if "loop" not in info else info["loop"] + 1 if info["loop"] else 0
        elif self.kind in ("WEBP", "PNG"):
            self.plays = int(info.get("loop", 0))
        if self.kind == "TIFF" and _is_raw(self._image):
            raise PictureError("it is a raw photograph; save it as JPEG with the camera's program")
        if self.kind == "TIFF" and count > 1:
            self._note(f"only the first of its {count} pages is shown")
        if self.animated:
            pixels = self._image.width * self._image.height
            if pixels > ANIMATED_PIXELS_MAX or pixels * self.frame_count > ANIMATION_PIXELS_MAX:
                raise PictureError(
                    f"its {self.frame_count} frames of {self._image.width}x{self._image.height} pixels are too many "
                    "for an animated picture; save it as a film (MP4), or smaller"
                )
        self._coded = self._code_points()

    def _code_points(self) -> Coded | None:
        """Return the colours that the file tells by code points. In PNG they go before a profile, else after it."""
        reader = {"PNG": png_code_points, "AVIF": heif_code_points, "HEIF": heif_code_points}.get(self.kind)
        if reader is None or (self.kind != "PNG" and self._image.info.get("icc_profile")):
            return None
        return reader(self._head)

    def _check_size(self) -> None:
        width_px, height_px = self._image.size
        if width_px * height_px > self._pixels_max:
            raise _too_many(f"{width_px}x{height_px} pixels", self._pixels_max)

    def _check_scans(self) -> None:
        """Refuse a JPEG that goes over its pixels again and again: each scan takes as long as a picture.

        Within pixels, and within most notes of a camera, the mark of a scan cannot occur.
        """
        count = 0
        for part in iter(lambda: self._stream.read(HEAD_BYTES), b""):
            count += part.count(JPEG_SCAN)
        self._stream.seek(0)
        if count > SCANS_MAX:
            raise PictureError(
                f"it is a JPEG in {count} passes; at most {SCANS_MAX}: save it anew with a picture program"
            )

    def _in_srgb(self, image: "Image.Image") -> "Image.Image":
        """Return a picture of mode L, RGB, CMYK or LAB as RGB in sRGB, by its profile or tags where it has such."""
        if self._coded is not None and self._coded.transfer in HDR:
            self._note(f"HDR ({HDR[self._coded.transfer]}) is shown in SDR")
            return hdr_to_srgb(image.convert("RGB"), self._coded)
        try:
            profile = self._profile()
            if profile is not None:
                before, image = image, to_srgb(image, profile)
                if before.mode != "RGB" or _differ(before, image):
                    self._note("its colours are turned into those of the screen (sRGB), as its profile says")
        except ProfileError as error:
            self._note(f"its colour profile is ignored: {error}", ignored=True)
        if image.mode == "LAB":
            return lab_to_srgb(image)
        return image if image.mode == "RGB" else image.convert("RGB")

    def _profile(self) -> bytes | None:
        """Return the profile that the file holds or tells by numbers; None where its colours are those of sRGB."""
        info = self._image.info
        if self._coded is not None:
            return coded_profile(self._coded)
        if info.get("icc_profile"):
            return bytes(info["icc_profile"])
        if "icc_profile" in info:
            raise ProfileError("it is damaged")
        if self.kind == "PNG" and "srgb" not in info and ("gamma" in info or "chromaticity" in info):
            return self._png_profile(info)
        if self.kind == "JPEG" and self._interop() == _ADOBE_INTEROP:
            return matrix_profile(ADOBE_RGB, ADOBE_GAMMA)
        return None

    def _png_profile(self, info: dict[Any, Any]) -> bytes | None:
        """Return a profile for PNG's chunks gAMA and cHRM; None where they say sRGB, as near as they can."""
        primaries, gamma = BT709, None
        if "chromaticity" in info:
            if len(info["chromaticity"]) != 8:
                raise ProfileError("its numbers are impossible")
            white_x, white_y, *rest = info["chromaticity"]
            primaries = Primaries(rest[0:2], rest[2:4], rest[4:6], (white_x, white_y))
            primaries = Primaries(*((float(x), float(y)) for x, y in primaries))
            if np.abs(np.array(primaries) - np.array(BT709)).max() < 0.001:
                primaries = BT709
        if "gamma" in info and abs(info["gamma"] - 0.45455) > 0.0005:
            if info["gamma"] <= 0:
                raise ProfileError("its numbers are impossible")
            gamma = 1 / info["gamma"]
        return None if primaries == BT709 and gamma is None else matrix_profile(primaries, gamma)

    def _interop(self) -> str:
        """Return what a camera says of its colour space beside its profile (DCF 2.0): `R03` for Adobe RGB."""
        with suppress(Exception):  # damaged notes of a camera make Pillow raise any exception
            return str(self._image.getexif().get_ifd(_INTEROP).get(1, "")).strip("\0 ")
        return ""

    def _turn(self) -> "Image.Transpose | None":
        """Return how the picture is turned to be upright, as its camera has noted; None where it is upright."""
        from PIL.Image import Transpose

        try:
            orientation = self._image.getexif().get(_ORIENTATION)
        except Exception:  # damaged notes of a camera make Pillow raise any exception
            self._note("its camera's notes (EXIF) are damaged and are ignored", ignored=True)
            return None
        turns = {
            2: Transpose.FLIP_LEFT_RIGHT,
            3: Transpose.ROTATE_180,
            4: Transpose.FLIP_TOP_BOTTOM,
            5: Transpose.TRANSPOSE,
            6: Transpose.ROTATE_270,
            7: Transpose.TRANSVERSE,
            8: Transpose.ROTATE_90,
        }
        return turns.get(orientation) if isinstance(orientation, int) else None

    def _note(self, text: str, *, ignored: bool = False) -> None:
        if text not in self.notes:
            self.notes.append(text)
            self.ignored += [text] * ignored


def _differ(before: "Image.Image", after: "Image.Image") -> bool:
    """Return True where one picture's numbers differ from the other's by more than rounding, at 256 x 256 places."""
    from PIL import Image

    places = [
        np.asarray(image.resize((256, 256), Image.Resampling.NEAREST)).astype(np.int16) for image in (before, after)
    ]
    return bool(np.abs(places[0] - places[1]).max() > 3)


def _parted(image: "Image.Image") -> "tuple[Image.Image, Image.Image | None]":
    """Return the colours of a picture, mode L, RGB, CMYK or LAB, and its alpha, mode L; None where all is opaque."""
    from PIL import Image

    if image.mode.startswith("I"):
        clear = image.info.get("transparency")
        numbers = np.asarray(image).clip(0, 65535).astype(np.uint16)
        alpha = None if clear is None else Image.fromarray(np.where(numbers == clear, np.uint8(0), np.uint8(255)))
        return Image.fromarray(_IN_8_BITS[numbers]), alpha
    if image.mode == "F":
        raise PictureError("its numbers are not whole ones (32-bit float); save it with 8 or 16 bits")
    if image.has_transparency_data or image.mode in ("RGBa", "La"):
        if image.mode in ("RGBa", "La"):
            image = image.convert(image.mode.upper())
        if image.mode not in ("RGBA", "LA"):
            image = image.convert("LA" if image.mode in ("1", "L") else "RGBA")
        return image.convert("L" if image.mode == "LA" else "RGB"), image.getchannel("A")
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image, None
    return image.convert("L" if image.mode == "1" else "RGB"), None


def _is_raw(image: Any) -> bool:
    """Return True for a TIFF that is a camera's raw file: a DNG, or one whose first page is a small copy of another."""
    return _DNG_VERSION in image.tag_v2 or bool(image.tag_v2.get(_SUBFILE, 0) & 1)


def _silence() -> None:
    """Keep Pillow's own warnings, which are words of a library, off the standard error."""
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logger = logging.getLogger("PIL")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())


def _can_read_heic() -> bool:
    """Make Pillow read HEIC by the optional library; return False where it is not installed."""
    try:
        import pi_heif
    except ImportError:
        return False
    pi_heif.register_heif_opener()
    return True


@contextmanager
def _plain_words(pixels_max: int) -> Iterator[None]:
    """Turn any error of a decoder into a PictureError without the library's words."""
    from PIL import Image

    try:
        yield
    except (PictureError, MemoryError, MediumError):
        raise
    except Image.DecompressionBombError as error:
        pixels = next((int(word) for word in str(error).replace("(", "").split() if word.isdigit()), 0)
        raise _too_many(f"{pixels // 10**6} million pixels", pixels_max) from error
    except Exception as error:  # damaged files make decoders raise any exception
        if isinstance(error, OSError) and error.errno is not None:  # the disk, not the picture
            raise PictureError(plain(error)) from error
        raise PictureError(_DAMAGED) from error


def _too_many(pixels: str, pixels_max: int) -> PictureError:
    most = pixels_max // 10**6
    return PictureError(f"{pixels} are too many; at most {most} million: save it smaller, 3840 pixels wide are enough")
