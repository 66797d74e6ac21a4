"""Names that pass for others: letters of two scripts in one word, and names that people read as the same."""

import re
import unicodedata
from collections.abc import Iterable

_LOOKS = {
    "а": "a", "ɑ": "a", "α": "a", "ⲁ": "a", "ꭺ": "a", "ᴀ": "a", "Ꭺ": "a", "ꓮ": "a",
    "в": "b", "ь": "b", "ъ": "b", "ƅ": "b", "Ᏼ": "b", "ꓐ": "b", "ʙ": "b", "Ь": "b",
    "с": "c", "ϲ": "c", "ⲥ": "c", "Ꮯ": "c", "ꓚ": "c", "ᴄ": "c", "ς": "c",
    "ԁ": "d", "ժ": "d", "Ꭰ": "d", "ꓓ": "d", "ᴅ": "d", "đ": "d",
    "е": "e", "ҽ": "e", "ε": "e", "є": "e", "Ꭼ": "e", "ꓰ": "e", "ᴇ": "e", "ҿ": "e", "ə": "e",
    "ғ": "f", "ƒ": "f", "ϝ": "f", "ꓝ": "f", "ք": "f",
    "ɡ": "g", "ց": "g", "ԍ": "g", "Ꮐ": "g", "ꓖ": "g", "ɢ": "g",
    "һ": "h", "հ": "h", "н": "h", "ћ": "h", "ђ": "h", "Ꮋ": "h", "ꓧ": "h", "ʜ": "h",
    "і": "l", "ι": "l", "ı": "l", "ɩ": "l", "ӏ": "l", "ⅼ": "l", "ǀ": "l", "ן": "l", "Ꮖ": "l", "ꓲ": "l", "ɪ": "l",
    "ї": "l", "ϊ": "l", "ו": "l", "١": "l", "۱": "l", "l": "l", "i": "l", "1": "l", "|": "l", "Ꭵ": "l", "Ӏ": "l",
    "ʟ": "l", "Ꮮ": "l", "ꓡ": "l", "լ": "l", "¡": "l",
    "ј": "j", "ϳ": "j", "յ": "j", "Ꭻ": "j", "ꓙ": "j", "ᴊ": "j",
    "к": "k", "κ": "k", "ĸ": "k", "ҝ": "k", "қ": "k", "Ꮶ": "k", "ꓗ": "k", "ᴋ": "k", "ⲕ": "k", "ӄ": "k",
    "м": "m", "Ꮇ": "m", "ꓟ": "m", "ᴍ": "m", "ϻ": "m", "ⲙ": "m",
    "п": "n", "η": "n", "ո": "n", "ռ": "n", "и": "n", "ɴ": "n", "ꓠ": "n", "ν": "v", "ⲛ": "n",
    "о": "o", "ο": "o", "օ": "o", "σ": "o", "ס": "o", "ه": "o", "०": "o", "0": "o", "ᴏ": "o", "ꓳ": "o", "ⲟ": "o",
    "٥": "o", "۵": "o", "ഠ": "o", "ө": "o", "θ": "o", "Ꮎ": "o", "〇": "o", "○": "o", "ю": "lo",
    "р": "p", "ρ": "p", "ⲣ": "p", "Ꮲ": "p", "ꓑ": "p", "ᴘ": "p", "þ": "p",
    "ԛ": "q", "գ": "q", "զ": "q",
    "г": "r", "ᴦ": "r", "ʀ": "r", "ɼ": "r", "ꓣ": "r", "Ꮢ": "r", "я": "r", "ɾ": "r",
    "ѕ": "s", "ƽ": "s", "Ꮪ": "s", "ꓢ": "s", "ꜱ": "s",
    "т": "t", "τ": "t", "Ꭲ": "t", "ꓔ": "t", "ᴛ": "t", "ⲧ": "t", "ҭ": "t",
    "υ": "u", "ս": "u", "ц": "u", "ʋ": "u", "ᴜ": "u", "ꓴ": "u", "џ": "u",
    "ѵ": "v", "ᴠ": "v", "Ꮩ": "v", "ꓦ": "v", "ט": "v",
    "ԝ": "w", "ш": "w", "щ": "w", "ω": "w", "ա": "w", "Ꮃ": "w", "Ꮤ": "w", "ꓪ": "w", "ᴡ": "w", "ѡ": "w",
    "х": "x", "χ": "x", "ҳ": "x", "ꓫ": "x", "×": "x", "ⲭ": "x",
    "у": "y", "γ": "y", "ү": "y", "ч": "y", "Ꮍ": "y", "ꓬ": "y", "ʏ": "y", "ⲩ": "y", "ў": "y",
    "ᴢ": "z", "ζ": "z", "Ꮓ": "z", "ꓜ": "z", "ʐ": "z", "з": "3", "ʒ": "3", "ӡ": "3", "б": "6",
}  # fmt: skip
"""Letters that look like Latin ones, small as `casefold` writes them, and the sign that stands for all of a look."""
_CAPITALS = dict(zip(map(ord, "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ"), "abezhlkmnoptyx", strict=True))
"""Greek capitals, which look like other Latin letters than their small ones do."""
_LOOKS_FOLDED = {ord(letter.casefold()): look for letter, look in _LOOKS.items() if len(letter.casefold()) == 1}
_NAMED_LATIN = re.compile(r"LATIN (?:SMALL|CAPITAL)(?: LETTER(?: SMALL CAPITAL)?) ([A-Z])(?: WITH .*)?")
_SCRIPTS = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "HEBREW", "DESERET", "OSAGE", "WARANG")
"""Scripts of letters that pass for Latin ones, as the names of their letters begin."""


_OWN_LOOK = frozenset("ΓΔΘΛΞΠΣΦΨΩ")
"""Greek capitals that look like no Latin letter, though their small ones may."""


MAY_DECEIVE = re.compile(
    "[\u0370-\u058f\u05d0-\u05ea\u13a0-\u13ff\u1c80-\u1c8f\u1d26-\u1d2b"
    "\u1f00-\u1fff\u2c80-\u2dff\ua4d0-\uabbf\U00010400-\U000118ff]"
)
"""Letters of the scripts that may pass for Latin ones, and some others."""


def look(name: str) -> str:
    """Return what is the same for names that people read as one.

    Case, accents, blanks, signs, widths and the scripts of letters do not matter.
    """
    capitals = unicodedata.normalize("NFKD", name).translate(_CAPITALS)
    plain = unicodedata.normalize("NFKD", capitals.casefold())
    letters = (_look(letter) for letter in plain if unicodedata.category(letter)[0] in "LN" or letter == "|")
    return "".join(letters).replace("rn", "m").replace("vv", "w")


def alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Return (name, the first other name that looks the same) for each name that looks like one before it."""
    first: dict[str, str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        other = first.setdefault(look(name), name)
        if other != name:
            pairs.append((name, other))
    return pairs


def foreign_letter(text: str) -> str:
    """Return the first letter of another script that passes for a Latin one within a Latin word; empty without one."""
    if text.isascii():
        return ""
    for word in re.findall(r"[^\W\d_]+", text):
        if not any(unicodedata.name(letter, "").startswith("LATIN") for letter in word):
            continue
        for letter in word:
            looks = ord(letter) in _CAPITALS or (letter not in _OWN_LOOK and ord(letter.casefold()[0]) in _LOOKS_FOLDED)
            if looks and unicodedata.name(letter, "").startswith(_SCRIPTS):
                return letter
    return ""


def in_words(name: str) -> str:
    """Return a name with the code of each of its letters that is no ASCII: `Мoka (U+041C)`."""
    codes = ", ".join(dict.fromkeys(f"U+{ord(letter):04X}" for letter in name if not letter.isascii()))
    return f"{name!r} ({codes})" if codes else repr(name)


def _look(letter: str) -> str:
    known = _LOOKS_FOLDED.get(ord(letter))
    if known is None:
        named = _NAMED_LATIN.fullmatch(unicodedata.name(letter, ""))
        known = named[1].lower() if named and not letter.isascii() else letter
        if len(known) == 1 and known != letter:
            known = _LOOKS_FOLDED.get(ord(known), known)
    return known
