"""Text files that people edit, read as their editors save them: UTF-8 or UTF-16, with a byte order mark or without."""

import re
import unicodedata
from pathlib import Path

from pipeline.clean import first_unseen
from pipeline.errors import UserError
from pipeline.medium import content_of
from pipeline.system import plain

MAX_BYTES = 64 << 20
_REMEDY = "save it as UTF-8"
_SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"PK\x03\x04": "a zip archive, or a document of an office program",
    b"\xd0\xcf\x11\xe0": "a document of an office program",
    b"%PDF": "a PDF document",
    b"{\\rtf": "a document in rich text format (RTF)",
    b"SQLite format 3\0": "a database",
    b"\x1f\x8b": "a compressed file",
    b"\x7fELF": "a program",
}
_KANA, _HAN, _HANGUL = "\u3040-\u30ff", "\u4e00-\u9fff", "\uac00-\ud7a3"
_ENCODINGS = (
    ("cp949", "Korean CP949 (EUC-KR)", _HANGUL, _HANGUL),
    ("cp932", "Japanese Shift-JIS", _KANA, _KANA + _HAN),
    ("euc_jp", "Japanese EUC-JP", _KANA, _KANA + _HAN),
    ("gb18030", "Chinese GB18030", _HAN, _HAN),
    ("big5", "Chinese Big5", _HAN, _HAN),
    ("cp1251", "Cyrillic CP1251", "\u0400-\u04ff", "\u0400-\u04ff"),
)
"""Older encodings in the order in which they are tried: codec and name for people. A text in one has some of the
third's letters, and at least nine in ten of its letters are the fourth's."""


def read_text(path: Path) -> str:
    """Return the text of a file, with line ends of `\\n` and no mark. UserError: one line with file and remedy."""
    try:
        data = content_of(path, MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {plain(error)}") from None
    if len(data) > MAX_BYTES:
        raise UserError(f"{path}: it is larger than {MAX_BYTES >> 20} MiB; name a text file")
    try:
        return decode(data)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def decode(data: bytes) -> str:
    """Return the text of a file's bytes, with line ends of `\\n` and without a mark.

    UTF-8 and UTF-16 are read. Raises UserError, without the file's name, for everything else. It names the other
    encoding as far as that can be told, and the remedy.
    """
    encoding = _unicode_encoding(data)
    if encoding.startswith("utf-32"):
        raise UserError(f"it is in UTF-32; {_REMEDY}")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(_other(data, encoding, error.start)) from None
    for match in re.finditer("[\0-\x08\x0b\x0e-\x1f\x7f]", text):
        # An end-of-file sign that editors of DOS have left behind is no text.
        if match[0] != "\x1a" or text[match.end() :].strip("\x1a\r\n "):
            raise UserError(f"{_line(text, match.start())}{_control(data, match[0])}")
        text = text[: match.start()]
        break
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def describe(character: str) -> str:
    """Return what stands where only plain letters and signs may, and the remedy, such as `“: write straight quotes`."""
    shown = f"{character} ({_code(character)})" if character.isprintable() else _code(character)
    if character in "“”„‟«»‹›‘’‚‛「」『』〝〞〟＂＇`´′″":
        return f'it holds the quotation mark {shown}; write straight quotes: "'
    if character.isspace() or unicodedata.category(character) == "Zs":
        return f"it holds a blank of another kind ({_name(character)}, {_code(character)}); write plain blanks"
    if first_unseen(character):
        return f"it holds a sign that is not seen ({_name(character)}, {_code(character)}); remove it"
    plain_one = unicodedata.normalize("NFKC", character)
    plain_one = {"−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "、": ",", "。": ".", "×": "x"}.get(
        character, plain_one
    )
    if plain_one != character and plain_one.isascii():
        return f"it holds {shown}; write {plain_one} in its place"
    return f'it holds {shown} outside quotes; put text in straight quotes: "..."'


def _unicode_encoding(data: bytes) -> str:
    """Return the UTF that the bytes are in by their mark, else by where their zero bytes lie; else UTF-8."""
    if data.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    head = data[: 1 << 16]
    if b"\0" not in head or data.startswith(tuple(_SIGNATURES)):
        return "utf-8"
    zeros = [head[i::4].count(0) for i in range(4)]
    quarter = len(head) // 4
    if quarter and min(zeros[1:]) >= quarter * 3 // 4 and not zeros[0]:
        return "utf-32-le"
    if quarter and min(zeros[:3]) >= quarter * 3 // 4 and not zeros[3]:
        return "utf-32-be"
    low, high = zeros[1] + zeros[3], zeros[0] + zeros[2]
    if len(data) % 2 == 0 and low >= len(head) // 6 and low > 4 * high:
        return "utf-16-le"
    if len(data) % 2 == 0 and high >= len(head) // 6 and high > 4 * low:
        return "utf-16-be"
    return "utf-8"


def _other(data: bytes, encoding: str, start: int) -> str:
    """Return what bytes that are no UTF-8 seem to be, and the remedy."""
    for signature, what in _SIGNATURES.items():
        if data.startswith(signature):
            return f"it is {what}, not a text file; put a text file there"
    if encoding != "utf-8":
        return f"it begins as UTF-16 and is damaged; {_REMEDY}"
    if re.search(rb"[\0-\x08\x0e-\x19\x1b-\x1f]", data):
        return f"it is not a text file; put a text file there, or {_REMEDY}"
    line = _line(data.decode("latin-1"), start)
    longest = max(map(len, re.findall(rb"[\x80-\xff]+", data)))
    if longest > 1:  # one is a letter of Western Europe
        for codec, name, needed, letters in _ENCODINGS[: None if longest > 2 else 1]:
            try:
                text = data.decode(codec)
            except UnicodeDecodeError:
                continue
            foreign = re.findall(r"[^\0-\x7f\u2000-\u206f\u3000-\u303f\uff01-\uff60]", text)
            fitting = [one for one in foreign if re.match(f"[{letters}]", one)]
            if len(fitting) >= 0.9 * len(foreign) and re.search(f"[{needed}]", "".join(fitting)):
                return f"{line}it is not UTF-8 but looks like {name}; {_REMEDY}"
    return f"{line}it is not UTF-8 but looks like an older encoding such as CP1252 (ANSI, Western); {_REMEDY}"


def _control(data: bytes, character: str) -> str:
    for signature, what in _SIGNATURES.items():
        if data.startswith(signature):
            return f"it is {what}, not a text file; put a text file there"
    if character == "\0":
        return f"it holds a zero byte and is damaged, or not a text file; write it anew and {_REMEDY}"
    return f"it holds a control sign ({_code(character)}); remove it"


def _line(text: str, place: int) -> str:
    before = text[:place].replace("\r\n", "\n").replace("\r", "\n")
    return f"line {before.count(chr(10)) + 1}: "


def _code(character: str) -> str:
    return f"U+{ord(character):04X}"


def _name(character: str) -> str:
    return unicodedata.name(character, "without a name").lower()
