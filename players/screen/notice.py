"""Notice that a camera looks at the audience, shown over every ad in English or Korean; and the house card.

Both are drawn with the font in players/screen/fonts (SIL OFL), which holds the letters of these texts only.
"""

from pathlib import Path
from typing import Literal

import pygame
import pygame.font

FONT = Path(__file__).parent / "fonts" / "NotoSansCJKkr-Bold-subset.otf"

TEXTS: dict[str, dict[str, tuple[str, str]]] = {
    "en": {
        "target": (
            "A camera estimates age group and gender to choose this ad.",
            "No picture is stored or sent. Nobody is identified.",
        ),
        "measure": ("A camera counts viewers by age group and gender.", "No picture is stored or sent."),
        "count": ("A camera counts people here.", "No picture is stored or sent."),
    },
    "ko": {
        "target": (
            "카메라로 연령대와 성별을 추정해 광고를 고릅니다.",
            "영상은 저장하거나 전송하지 않으며, 누구인지 식별하지 않습니다.",
        ),
        "measure": ("카메라로 보는 사람의 연령대와 성별을 집계합니다.", "영상은 저장하거나 전송하지 않습니다."),
        "count": ("카메라로 사람 수를 셉니다.", "영상은 저장하거나 전송하지 않습니다."),
    },
}
"""Texts by language and mode: (what the camera does, what is not done)."""

PANEL = (12, 14, 20, 222)
INK = (255, 255, 255)
SOFT_INK = (196, 203, 216)
SIGNAL = (70, 211, 150)
OVERSAMPLE = 4
"""Round shapes are drawn this many times larger and then shrunk, which smooths their edges."""


def font(size_px: int) -> pygame.font.Font:
    """Return the typeface of the notice, about `size_px` high."""
    pygame.font.init()
    return pygame.font.Font(str(FONT), size_px)


def render(width_px: int, height_px: int, mode: Literal["target", "measure", "count"], language: str) -> pygame.Surface:
    """Return the notice for an upright screen of this size: a translucent panel, at most 94 % of the width.

    The text is as high as 2.6 % of the screen's shorter side, legible from about 4 m on a 55 inch panel.
    """
    what, what_not = TEXTS[language][mode]
    room_px = int(width_px * 0.94)
    size_px = max(9, round(min(width_px, height_px) * 0.026))
    while True:
        panel = _panel(what, what_not, size_px)
        if panel.get_width() <= room_px or size_px <= 7:
            return panel
        size_px -= 1


def _panel(what: str, what_not: str, size_px: int) -> pygame.Surface:
    first = font(size_px).render(what, True, INK)
    second = font(max(7, round(size_px * 0.86))).render(what_not, True, SOFT_INK)
    pad_px = round(size_px * 0.6)
    icon_px = round(size_px * 2.1)
    text_w = max(first.get_width(), second.get_width())
    text_h = round(size_px * 2.75)
    size = (pad_px * 3 + icon_px + text_w + round(size_px * 0.3), text_h + pad_px)
    panel = pygame.Surface(size, pygame.SRCALPHA, 32)
    panel.blit(_rounded(size, PANEL, round(size_px * 0.8)), (0, 0))
    panel.blit(_camera(icon_px), (pad_px, (size[1] - icon_px) // 2))
    x = pad_px * 2 + icon_px
    middle = size[1] // 2
    panel.blit(first, (x, middle - first.get_height() + round(first.get_height() * 0.14)))
    panel.blit(second, (x, middle - round(second.get_height() * 0.06)))
    return panel


def _rounded(size: tuple[int, int], colour: tuple[int, int, int, int], radius_px: int) -> pygame.Surface:
    large = pygame.Surface((size[0] * OVERSAMPLE, size[1] * OVERSAMPLE), pygame.SRCALPHA, 32)
    large.fill((*colour[:3], 0))
    pygame.draw.rect(large, colour, large.get_rect(), border_radius=radius_px * OVERSAMPLE)
    return pygame.transform.smoothscale(large, size)


def _camera(size_px: int) -> pygame.Surface:
    """Draw the icon: a camera in a ring."""
    n = size_px * OVERSAMPLE
    large = pygame.Surface((n, n), pygame.SRCALPHA, 32)
    large.fill((*SIGNAL, 0))
    pygame.draw.circle(large, SIGNAL, (n / 2, n / 2), n * 0.5)
    body = pygame.Rect(n * 0.20, n * 0.34, n * 0.60, n * 0.38)
    dark = PANEL[:3]
    pygame.draw.rect(large, dark, (n * 0.38, n * 0.26, n * 0.24, n * 0.16), border_radius=round(n * 0.04))
    pygame.draw.rect(large, dark, body, border_radius=round(n * 0.07))
    pygame.draw.circle(large, SIGNAL, body.center, n * 0.135)
    pygame.draw.circle(large, dark, body.center, n * 0.075)
    return pygame.transform.smoothscale(large, (size_px, size_px))


CARD_TEXTS = {"en": "The next ad is on its way", "ko": "곧 다음 광고가 이어집니다"}


def house_card(width_px: int, height_px: int, language: str) -> pygame.Surface:
    """Return the picture that an upright screen of this size shows when there is no ad. It needs only the font."""
    top, bottom = (26, 38, 74), (16, 110, 128)
    ramp = pygame.Surface((1, 2), 0, 32)
    ramp.set_at((0, 0), top)
    ramp.set_at((0, 1), bottom)
    card = pygame.transform.smoothscale(ramp, (width_px, height_px))
    unit = min(width_px, height_px)
    disc = pygame.Surface((unit * 2, unit * 2), pygame.SRCALPHA, 32)
    for share in (1.0, 0.74, 0.5):
        disc.fill((255, 255, 255, 0))
        pygame.draw.circle(disc, (255, 255, 255, 16), (unit, unit), unit * share)
        card.blit(disc, disc.get_rect(center=(width_px, height_px)))
    name = font(round(unit * 0.11)).render("stationcast", True, INK)
    line = font(round(unit * 0.042)).render(CARD_TEXTS[language], True, (190, 226, 228))
    left = round(width_px * 0.08)
    middle = height_px // 2
    pygame.draw.rect(card, SIGNAL, (left, middle - name.get_height(), round(unit * 0.14), max(2, round(unit * 0.012))))
    card.blit(name, (left, middle - round(name.get_height() * 0.85)))
    card.blit(line, (left, middle + round(name.get_height() * 0.25)))
    return card
