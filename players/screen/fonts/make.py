"""Cut the notice's font out of Noto Sans CJK: `python -m players.screen.fonts.make NotoSansCJK-Bold.ttc`."""

import sys

from fontTools import subset  # type: ignore[import-untyped]

from players.screen.notice import CARD_TEXTS, FONT, TEXTS

ASCII = "".join(map(chr, range(32, 127)))
KOREAN_FACE = 1


def main(source: str) -> None:
    """Write `notice.FONT` with the letters of every text in players/screen/notice.py and of ASCII."""
    texts = [line for modes in TEXTS.values() for pair in modes.values() for line in pair]
    subset.main(
        [
            source,
            f"--font-number={KOREAN_FACE}",
            "--text=" + ASCII + "".join(texts) + "".join(CARD_TEXTS.values()),
            f"--output-file={FONT}",
            "--layout-features=kern",
            "--name-IDs=0,1,2,3,4,5,6,13,14",
        ]
    )


if __name__ == "__main__":
    main(sys.argv[1])
