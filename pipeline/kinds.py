"""Kinds of picture files, told from their content; those that are not taken, and what to do about it.

This module imports none of ours, so that `models` may use it.
"""

FILMS = {
    "mp4": "mov",
    "matroska": "matroska",
    "AVI": "avi",
    "MPEG": "mpegts",
    "MPEG program": "mpeg",
    "MPEG video": "mpegvideo",
    "H.264": "h264",
    "H.265": "hevc",
    "FLV": "flv",
    "WMV": "asf",
    "Ogg": "ogg",
    "MXF": "mxf",
    "GIF": "gif",
}
"""Kinds of films that are read at all, and FFmpeg's demuxer of each. `mp4` stands for .mov too, `matroska` for WebM."""
SCREEN_CODECS = ("h264", "hevc", "vp9", "av1", "prores")
"""Codecs that screens play, by FFmpeg's names."""
DECODERS: dict[str, tuple[str, ...]] = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "av1"),
    "prores": ("prores",),
    **{
        name: (name,)
        for name in ("vp8", "mpeg1video", "mpeg2video", "mpeg4", "h263", "mjpeg", "wmv1", "wmv2", "wmv3", "vc1")
    },
    **{name: (name,) for name in ("msmpeg4v2", "theora", "dvvideo", "dnxhd", "ffv1", "rawvideo", "gif", "png")},
    "msmpeg4v3": ("msmpeg4",),
    "flv1": ("flv",),
}
"""Codecs that are read at all, and FFmpeg's decoders of each."""
SOUND_DECODERS = (
    *("aac", "mp3float", "mp3", "mp2float", "mp2", "opus", "libopus", "vorbis", "flac", "alac", "ac3"),
    *("eac3", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8"),
)
"""FFmpeg's decoders of the sound of films."""

SUFFIXES = frozenset(
    {".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".avif", ".avifs"}
    | {".tif", ".tiff", ".bmp", ".dib", ".heic", ".heif"}
)
"""Endings of names under which pictures are looked for in folders, in small letters."""
TAKEN = "PNG, JPEG, WebP, GIF, AVIF, TIFF, BMP"
_SAVE = "save it as PNG or JPEG"
REFUSED = {
    "SVG": "it is a drawing (SVG); export it as PNG, as wide as the screen",
    "PDF": "it is a document (PDF); export its page as PNG or JPEG, as wide as the screen",
    "EPS": "it is a drawing (EPS or AI); export it as PNG, as wide as the screen",
    "PSD": f"it is a working file of Photoshop (PSD); {_SAVE}",
    "XCF": f"it is a working file of GIMP (XCF); {_SAVE}",
    "ICO": f"it is an icon (ICO or CUR); {_SAVE}",
    "JPEG 2000": f"it is a JPEG 2000, which is not played; {_SAVE}",
    "JPEG XL": f"it is a JPEG XL, which is not played; {_SAVE}",
    "OpenEXR": f"it is an OpenEXR, which is not played; {_SAVE}",
    "HTML": "it is a web page, no picture and no film; download the picture or film itself",
    "raw": "it is a raw photograph; save it as JPEG with the camera's program",
    "ZIP": "it is packed (ZIP) or a document of an office program; unpack it, or export its page as PNG",
    "gzip": "it is packed (gzip); unpack it, or export it as PNG",
}
"""Kinds of pictures that are not taken, and what to do."""
_BEGINNINGS: dict[str, tuple[bytes, ...]] = {
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "JPEG": (b"\xff\xd8\xff",),
    "GIF": (b"GIF87a", b"GIF89a"),
    "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    "PDF": (b"%PDF",),
    "EPS": (b"%!PS", b"\xc5\xd0\xd3\xc6"),
    "PSD": (b"8BPS",),
    "XCF": (b"gimp xcf",),
    "JPEG 2000": (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),
    "JPEG XL": (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"),
    "OpenEXR": (b"v/1\1",),
    "ZIP": (b"PK\3\4",),
    "gzip": (b"\x1f\x8b",),
    "raw": (b"FUJIFILMCCD-RAW", b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"II*\0\x10\0\0\0CR"),
}
JPEG_SCAN = b"\xff\xda"
"""Mark with which each scan of a JPEG file begins."""
_TS = ((0, 188), (4, 192))
"""Place of the first sync byte 0x47 of an MPEG transport stream, and the length of its packets."""
_FILM_BEGINNINGS = {
    "MPEG program": (b"\0\0\1\xba",),
    "MPEG video": (b"\0\0\1\xb3",),
    "FLV": (b"FLV\1",),
    "WMV": (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",),
    "Ogg": (b"OggS",),
    "MXF": (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02",),
    "GIF": _BEGINNINGS["GIF"],
}
_MP4_BOXES = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"uuid", b"styp", b"sidx"))
"""Boxes with which .mp4 and .mov files begin."""


def sniff(head: bytes) -> str:
    """Return the kind of picture that begins with these bytes (64 or more); empty where it is none.

    The kinds that are read have Pillow's names: PNG, JPEG, WEBP, GIF, AVIF, TIFF, BMP, HEIF.
    """
    for kind in ("raw", *_BEGINNINGS):
        if head.startswith(_BEGINNINGS[kind]):
            return kind
    if head[:4] in (b"\0\0\1\0", b"\0\0\2\0") and head[4:6] != b"\0\0":  # no icons at all: a TGA
        return "ICO"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in (12, 40, 52, 56, 64, 108, 124):
        return "BMP"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp":
        brands = {head[at : at + 4] for at in range(8, min(len(head), int.from_bytes(head[:4])), 4)}
        if brands & {b"avif", b"avis"}:
            return "AVIF"
        if b"crx " in brands:
            return "raw"
        return "HEIF" if brands & {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"} else ""
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if text.startswith((b"<html", b"<!doctype html")):
        return "HTML"
    is_svg = text.startswith(b"<svg") or (text.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in text)
    return "SVG" if is_svg else ""


def sniff_film(head: bytes) -> str:
    """Return the kind of film that begins with these bytes (512 or more), a key of FILMS; empty where it is unknown."""
    if head[4:8] in _MP4_BOXES:
        return "mp4"
    if head.startswith(b"\x1aE\xdf\xa3"):
        return "matroska"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "AVI"
    if any(
        len(head) > first + 2 * step and {head[first + n * step] for n in range(3)} == {0x47} for first, step in _TS
    ):
        return "MPEG"
    begin = head[4 - (head[:4] != b"\0\0\0\1") :][:1] if head.startswith((b"\0\0\1", b"\0\0\0\1")) else b""
    if begin and begin[0] & 0x9F in (7, 9):  # an SPS or a delimiter (ITU-T H.264, 7.4.1)
        return "H.264"
    if begin and begin[0] in (0x40, 0x46):  # a VPS or a delimiter (ITU-T H.265, 7.4.2.2)
        return "H.265"
    return next((kind for kind, beginnings in _FILM_BEGINNINGS.items() if head.startswith(beginnings)), "")
