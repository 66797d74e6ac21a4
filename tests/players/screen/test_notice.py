"""The notice and the house card: they fit every screen and can be read."""

import pygame
import pytest
from fontTools.ttLib import TTFont

from players.screen import notice
from tests.players.screen.surfaces import pixels


@pytest.mark.parametrize("language", sorted(notice.TEXTS))
def test_the_font_has_every_letter_of_the_notice(language: str) -> None:
    with TTFont(notice.FONT) as font:
        letters = set(font.getBestCmap())
    texts = [line for pair in notice.TEXTS[language].values() for line in pair] + [notice.CARD_TEXTS[language]]
    assert {letter for text in texts for letter in text if ord(letter) not in letters} == set()


@pytest.mark.parametrize("language", sorted(notice.TEXTS))
@pytest.mark.parametrize("mode", ["target", "measure", "count"])
@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (3840, 2160), (640, 360), (320, 240), (64, 64)])
def test_the_notice_fits_every_screen_and_can_be_read(language: str, mode: str, size: tuple[int, int]) -> None:
    panel = notice.render(*size, mode, language)  # type: ignore[arg-type]
    if min(size) >= 240:
        assert panel.get_width() <= size[0] and panel.get_height() <= size[1] * 0.2
    if min(size) >= 1080:
        assert panel.get_height() >= 0.06 * min(size)
    alpha = pygame.surfarray.array_alpha(panel)
    assert alpha[panel.get_width() // 2, 1:3].min() > 150
    assert pixels(panel).max() >= 245


def test_the_house_card_is_never_black() -> None:
    for language in notice.CARD_TEXTS:
        card = pixels(notice.house_card(640, 360, language))
        assert card.max(axis=2).min() > 40
