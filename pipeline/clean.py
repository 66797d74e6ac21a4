"""Text that may be shown: whatever is not seen, or moves what is seen, becomes an escape such as `\\u202e`.

Names come from advertisers, cameras, files and models. All that is printed, logged, drawn or written into a report
passes here.
"""

import json
import re
import unicodedata

_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0100-\U000e01ef]"
)
"""Characters that show nothing and that Python calls printable: fillers, variation selectors, an empty Braille cell."""
_SHOWN_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
"""Format characters that are seen: signs of Arabic, Syriac and Kaithi that stand over or under numbers."""
_MARKS_MAX = 8
"""Largest number of marks on one letter; more of them would cover the lines above and below."""
_MAY_BE_HEAPED = re.compile(f"[^\0-\u02ff\u4e00-\u9fff\uac00-\ud7a3]{{{_MARKS_MAX + 1}}}")
"""Run of letters long enough that all of them may be marks: none of Latin, Chinese or Korean."""
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_JOINING = re.compile(r"^(ARABIC|SYRIAC|NKO|MONGOLIAN|MANDAIC|HANIFI ROHINGYA) ")
_EMOJI_SIGNS = "\u2194-\u21aa\u2300-\u27bf\u2934\u2935\u2b05-\u2b55\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_EMOJI = re.compile(f"[{_EMOJI_SIGNS}]")
_BEFORE_SELECTOR = re.compile(f"[#*0-9\u00a9\u00ae\u203c\u2049\u2122\u2139{_EMOJI_SIGNS}]")


def clean(text: str) -> str:
    """Return text of one line in which every character is seen and stays where it is written.

    Controls, escape sequences, line ends, marks of direction, characters without width, unassigned ones and halves of
    surrogates become escapes, as JSON writes them. Joiners stay where Arabic, Indic letters and emoji need them.
    """
    if text.isprintable() and (text.isascii() or not _BLANK.search(text)) and not _heaped(text):
        return text
    return "".join(json.dumps(letter)[1:-1] if is_unseen(text, place) else letter for place, letter in enumerate(text))


def clean_lines(text: str) -> str:
    """Return text of many lines, each clean; tabulators stay."""
    return "\n".join("\t".join(map(clean, line.split("\t"))) for line in text.split("\n"))


def first_unseen(text: str) -> str:
    """Return the first character of a text that is not seen; empty where there is none."""
    if clean(text) == text:
        return ""
    return next(letter for place, letter in enumerate(text) if is_unseen(text, place))


def is_unseen(text: str, place: int) -> bool:
    """Return whether the character at a place of a text is not seen, or moves what is."""
    letter = text[place]
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if _BLANK.match(letter):
        return not _selects(letter, before)
    if letter in (_ZWNJ, _ZWJ):
        return not _joins(letter, text[max(0, place - 4) : place], after)
    kind = unicodedata.category(letter)
    if kind == "Cn":  # an emoji that is newer than this Python is seen
        return not "\U0001f000" <= letter <= "\U0001faff"
    if kind[0] == "M":
        return place >= _MARKS_MAX and all(unicodedata.category(x)[0] == "M" for x in text[place - _MARKS_MAX : place])
    return kind in ("Cc", "Cs", "Co", "Zl", "Zp") or (kind == "Cf" and letter not in _SHOWN_FORMATS)


def _selects(letter: str, before: str) -> bool:
    """Return whether a variation selector chooses a form of the character before it, which has such forms."""
    if letter in "\ufe0e\ufe0f":
        return _BEFORE_SELECTOR.match(before) is not None
    name = unicodedata.name(before, "") if before else ""
    if "\u180b" <= letter <= "\u180f":
        return name.startswith("MONGOLIAN LETTER")
    return letter >= "\ufe00" and not "\uff00" < letter < "\U000e0000" and name.startswith("CJK UNIFIED")


def _joins(letter: str, before: str, after: str) -> bool:
    """Return whether a joiner stands where a script or an emoji needs it."""
    if not before or not after:
        return False
    last = before[-1]
    if letter == _ZWJ and _EMOJI.match(after):
        return _EMOJI.match(before.rstrip("\ufe0f")[-1:]) is not None
    is_letter = unicodedata.category(after)[0] in "LM"
    if unicodedata.combining(last) == 9:  # a virama, which joins two letters of an Indic script
        return is_letter
    return is_letter and all(_JOINING.match(unicodedata.name(x, "")) for x in (_base(before), after))


def _base(before: str) -> str:
    """Return the last character of a text that is no mark."""
    return next((x for x in reversed(before) if unicodedata.category(x)[0] != "M"), before[-1])


def _heaped(text: str) -> bool:
    """Return whether a letter has more marks than any script writes."""
    if not _MAY_BE_HEAPED.search(text):
        return False
    run = 0
    for letter in text:
        run = run + 1 if letter > "\u02ff" and unicodedata.category(letter)[0] == "M" else 0
        if run > _MARKS_MAX:
            return True
    return False
