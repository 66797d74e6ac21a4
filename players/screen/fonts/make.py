"""Cut fonts out of Noto Sans CJK: `python -m players.screen.fonts.make BOLD.ttc REGULAR.ttc`."""

import sys

from fontTools import subset  # type: ignore[import-untyped]

from players.screen.fonts import PLOT_FONT
from players.screen.notice import CARD_TEXTS, FONT, TEXTS

ASCII = "".join(map(chr, range(32, 127)))
KOREAN_FACE = 1


def main(bold: str, regular: str) -> None:
    """Write `notice.FONT` with the letters of every text in players/screen/notice.py and of ASCII; and PLOT_FONT."""
    texts = [line for modes in TEXTS.values() for pair in modes.values() for line in pair]
    cut(bold, ASCII + "".join(texts) + "".join(CARD_TEXTS.values()), str(FONT))
    cut(regular, ASCII + "·–…" + syllables(), str(PLOT_FONT))


def cut(source: str, letters: str, target: str) -> None:
    """Write a font with these letters of a collection's Korean face."""
    subset.main(
        [
            source,
            f"--font-number={KOREAN_FACE}",
            f"--text={letters}",
            f"--output-file={target}",
            "--layout-features=kern",
            "--name-IDs=0,1,2,3,4,5,6,13,14",
        ]
    )


def syllables() -> str:
    """Return the syllables of KS X 1001."""
    return "".join(bytes((row, cell)).decode("euc_kr") for row in range(0xB0, 0xC9) for cell in range(0xA1, 0xFF))


if __name__ == "__main__":
    main(*sys.argv[1:])
