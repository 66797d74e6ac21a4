# /// script
# requires-python = ">=3.11"
# dependencies = ["skia-python", "pillow", "font-manrope", "font-hanken-grotesk", "font-fredoka-one",
#                 "font-source-serif-pro", "font-source-sans-pro", "font-amatic-sc"]
# ///
"""Draws the demo ads (invented brands, 1920x1080) of players/demo: `uv run docs/images/demo_ads.py [NAME...]`.

It is one file, as a script that runs alone with its own packages. Everything is drawn from shapes here;
the fonts are under the SIL Open Font License.
One long file, since each ad is a drawing of its own that shares little with the others.
"""

# mypy: disable-error-code="import-not-found,import-untyped"

import io
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import font_amatic_sc
import font_fredoka_one
import font_hanken_grotesk
import font_manrope
import font_source_sans_pro
import font_source_serif_pro
import skia
from PIL import Image

W, H = 1920, 1080
SCALE = 2
LARGEST_BYTES = 150_000


def _files(module: ModuleType) -> Path:
    return Path(str(module.__file__)).parent / "files"


FONTS = {
    "hand": _files(font_amatic_sc) / "AmaticSC-Bold.ttf",
    "fun": _files(font_fredoka_one) / "FredokaOne-Regular.ttf",
    "grotesk": _files(font_hanken_grotesk) / "HankenGrotesk-Bold.otf",
    "grotesk-medium": _files(font_hanken_grotesk) / "HankenGrotesk-Medium.otf",
    "manrope": _files(font_manrope) / "Manrope-ExtraBold.ttf",
    "manrope-medium": _files(font_manrope) / "Manrope-Medium.ttf",
    "manrope-light": _files(font_manrope) / "Manrope-Light.ttf",
    "serif": _files(font_source_serif_pro) / "SourceSerifPro-Semibold.ttf",
    "serif-light": _files(font_source_serif_pro) / "SourceSerifPro-Light.ttf",
    "serif-italic": _files(font_source_serif_pro) / "SourceSerifPro-LightIt.ttf",
    "serif-black": _files(font_source_serif_pro) / "SourceSerifPro-Black.ttf",
    "sans-black": _files(font_source_sans_pro) / "SourceSansPro-Black.ttf",
    "sans": _files(font_source_sans_pro) / "SourceSansPro-Semibold.ttf",
}
ADS: dict[str, Callable[[skia.Canvas], None]] = {}


def ad(draw: Callable[[skia.Canvas], None]) -> Callable[[skia.Canvas], None]:
    """Register a drawing under its own name."""
    ADS[draw.__name__] = draw
    return draw


# Brushes -------------------------------------------------------------------------------------------------------------


def colour(code: str, alpha: float = 1.0) -> int:
    """`#rrggbb` as Skia's colour."""
    r, g, b = (int(code[i : i + 2], 16) for i in (1, 3, 5))
    return skia.Color(r, g, b, round(alpha * 255))


def paint(
    code: str = "#000000", alpha: float = 1.0, *, stroke: float = 0, blur: float = 0, cap: bool = True
) -> skia.Paint:
    """A flat brush; `stroke` px wide outlines, `blur` px soft."""
    brush = skia.Paint(AntiAlias=True, Color=colour(code, alpha), Dither=True)
    if stroke:
        brush.setStyle(skia.Paint.kStroke_Style)
        brush.setStrokeWidth(stroke)
        if cap:
            brush.setStrokeCap(skia.Paint.kRound_Cap)
            brush.setStrokeJoin(skia.Paint.kRound_Join)
    if blur:
        brush.setMaskFilter(skia.MaskFilter.MakeBlur(skia.kNormal_BlurStyle, blur))
    return brush


def linear(
    start: tuple[float, float], end: tuple[float, float], *codes: str, at: list[float] | None = None
) -> skia.Paint:
    """A straight gradient."""
    shader = skia.GradientShader.MakeLinear(
        points=[skia.Point(*start), skia.Point(*end)], colors=[colour(c) for c in codes], positions=at
    )
    return skia.Paint(AntiAlias=True, Shader=shader, Dither=True)


def glow(canvas: skia.Canvas, x: float, y: float, radius: float, code: str, alpha: float = 1.0) -> None:
    """Light that fades out from a point."""
    shader = skia.GradientShader.MakeRadial(
        center=skia.Point(x, y), radius=radius, colors=[colour(code, alpha), colour(code, 0)]
    )
    canvas.drawCircle(x, y, radius, skia.Paint(AntiAlias=True, Shader=shader, Dither=True))


def background(canvas: skia.Canvas, *codes: str, end: tuple[float, float] = (0, H)) -> None:
    """Fill the poster."""
    canvas.drawRect(skia.Rect.MakeWH(W, H), linear((0, 0), end, *codes))


def write(
    canvas: skia.Canvas,
    text: str,
    x: float,
    y: float,
    size: float,
    face: str,
    brush: skia.Paint | str,
    *,
    align: str = "left",
    spacing: float = 0,
) -> float:
    """One line of text on the baseline y; returns its width. `spacing` is extra px between letters."""
    type_ = skia.Font(skia.Typeface.MakeFromFile(str(FONTS[face])), size)
    type_.setEdging(skia.Font.Edging.kAntiAlias)
    type_.setSubpixel(True)
    brush = paint(brush) if isinstance(brush, str) else brush
    advances = [type_.measureText(letter) for letter in text] if spacing else [type_.measureText(text)]
    width = sum(advances) + spacing * (len(text) - 1 if spacing else 0)
    x -= {"left": 0, "center": width / 2, "right": width}[align]
    if not spacing:
        canvas.drawString(text, x, y, type_, brush)
        return width
    for letter, advance in zip(text, advances, strict=True):
        canvas.drawString(letter, x, y, type_, brush)
        x += advance + spacing
    return width


def pill(
    canvas: skia.Canvas, text: str, x: float, y: float, size: float, fill: str, ink: str, face: str = "manrope"
) -> None:
    """A rounded button with its left edge at x and its middle at y."""
    type_ = skia.Font(skia.Typeface.MakeFromFile(str(FONTS[face])), size)
    width = type_.measureText(text) + size * 1.8
    box = skia.Rect.MakeXYWH(x, y - size * 1.05, width, size * 2.1)
    canvas.drawRoundRect(box, size * 1.05, size * 1.05, paint(fill))
    write(canvas, text, x + size * 0.9, y + size * 0.36, size, face, ink)


def curve(*points: tuple[float, float]) -> skia.Path:
    """A smooth closed path through the points (Catmull-Rom)."""
    path = skia.Path()
    n = len(points)
    path.moveTo(*points[0])
    for i in range(n):
        p0, p1, p2, p3 = (points[(i + k) % n] for k in (-1, 0, 1, 2))
        path.cubicTo(
            p1[0] + (p2[0] - p0[0]) / 6,
            p1[1] + (p2[1] - p0[1]) / 6,
            p2[0] - (p3[0] - p1[0]) / 6,
            p2[1] - (p3[1] - p1[1]) / 6,
            *p2,
        )
    path.close()
    return path


def polygon(*points: tuple[float, float]) -> skia.Path:
    """A closed path of straight lines."""
    path = skia.Path()
    path.moveTo(*points[0])
    for point in points[1:]:
        path.lineTo(*point)
    path.close()
    return path


def ridge(seed: int, base: float, height: float, waves: tuple[float, ...]) -> skia.Path:
    """A line of hills from edge to edge, closed below the poster."""
    rng = random.Random(seed)
    phases = [rng.uniform(0, 2 * math.pi) for _ in waves]
    path = skia.Path()
    path.moveTo(-20, H + 20)
    for x in range(-20, W + 21, 10):
        y = sum(
            math.sin(x / W * wave * 2 * math.pi + p) / (i + 1)
            for i, (wave, p) in enumerate(zip(waves, phases, strict=True))
        )
        path.lineTo(x, base - height * y / 1.6)
    path.lineTo(W + 20, H + 20)
    path.close()
    return path


def shadow(
    canvas: skia.Canvas, x: float, y: float, rx: float, ry: float, alpha: float = 0.35, blur: float = 22
) -> None:
    """A soft shadow on the ground."""
    canvas.drawOval(skia.Rect.MakeLTRB(x - rx, y - ry, x + rx, y + ry), paint("#000000", alpha, blur=blur))


# Ads -----------------------------------------------------------------------------------------------------------------


@ad
def earbuds(canvas: skia.Canvas) -> None:
    """F 20-29: wireless earbuds on a violet to coral sky of sound."""
    background(canvas, "#4b1d8f", "#b02a8f", "#ff6f61", end=(W, H))
    glow(canvas, 1400, 520, 760, "#ffd3b8", 0.55)
    for i in range(9):
        canvas.drawCircle(1400, 520, 230 + i * 95, paint("#ffffff", 0.22 - i * 0.022, stroke=5))
    case = skia.Rect.MakeXYWH(1170, 560, 460, 330)
    shadow(canvas, 1400, 905, 270, 26, 0.4)
    canvas.drawRoundRect(case, 130, 130, linear((1170, 560), (1630, 890), "#ffffff", "#f1e2f4", "#cbaed6"))
    canvas.drawLine(1172, 690, 1628, 690, paint("#b793c4", 0.9, stroke=5))
    canvas.drawCircle(1400, 760, 13, paint("#5ce1a5"))
    canvas.drawCircle(1400, 760, 26, paint("#5ce1a5", 0.35, blur=10))
    for side in (-1, 1):
        canvas.save()
        canvas.translate(1400 + side * 118, 350)
        canvas.rotate(side * 14)
        stem = skia.Rect.MakeXYWH(-30, -10, 60, 230)
        canvas.drawRoundRect(stem, 30, 30, linear((-30, 0), (30, 0), "#fdf8ff", "#e9d5ee", "#bd9ccb"))
        canvas.drawOval(
            skia.Rect.MakeXYWH(-72 - side * 16, -92, 150, 140),
            linear((-70, -90), (80, 60), "#ffffff", "#f4e6f6", "#c3a3cf"),
        )
        canvas.drawOval(
            skia.Rect.MakeXYWH(-side * 78 - 30, -62, 60, 84), linear((0, -62), (0, 22), "#6b3c86", "#3b1850")
        )
        canvas.drawRoundRect(skia.Rect.MakeXYWH(-7, 172, 14, 32), 7, 7, paint("#6b3c86", 0.6))
        canvas.restore()
    write(canvas, "lumi", 130, 190, 84, "fun", "#ffffff")
    write(canvas, "Turn the", 124, 440, 168, "manrope", "#ffffff", spacing=-5)
    write(canvas, "city down.", 124, 616, 168, "manrope", "#ffffff", spacing=-5)
    write(canvas, "Earbuds with 40 hours of quiet.", 130, 716, 52, "manrope-medium", paint("#ffffff", 0.92))
    pill(canvas, "lumi air  ·  from €79", 130, 820, 40, "#ffffff", "#8b2390")


@ad
def serum(canvas: skia.Canvas) -> None:
    """F 30-39: a face serum, still life in cream and terracotta."""
    background(canvas, "#f7ebdf", "#f3ddca", end=(W, H))
    canvas.drawCircle(1390, 470, 400, linear((1100, 100), (1700, 900), "#f6b89a", "#d9714f"))
    canvas.drawPath(polygon((0, 850), (W, 850), (W, H), (0, H)), linear((0, 850), (0, H), "#ead0bb", "#dfbfa6"))
    shadow(canvas, 1430, 900, 330, 24, 0.28)
    canvas.drawOval(skia.Rect.MakeLTRB(1090, 820, 1690, 930), linear((1090, 0), (1690, 0), "#fff8f1", "#ecd8c6"))
    canvas.drawPath(
        polygon((1090, 875), (1690, 875), (1690, 1080), (1090, 1080)),
        linear((1090, 0), (1690, 0), "#fbf0e6", "#dcc1ab"),
    )
    canvas.drawOval(skia.Rect.MakeLTRB(1090, 820, 1690, 930), linear((1090, 0), (1690, 0), "#fffaf5", "#f0dfcf"))
    canvas.drawRoundRect(
        skia.Rect.MakeXYWH(1270, 430, 250, 440),
        46,
        46,
        linear((1270, 0), (1520, 0), "#7c3f22", "#c4774a", "#8c4a2a", "#5e2c15", at=[0, 0.28, 0.7, 1]),
    )
    canvas.drawRoundRect(skia.Rect.MakeXYWH(1296, 452, 26, 390), 13, 13, paint("#ffffff", 0.35, blur=3))
    canvas.drawRoundRect(skia.Rect.MakeXYWH(1290, 570, 210, 210), 8, 8, paint("#fff8f0"))
    write(canvas, "aurelle", 1395, 662, 50, "serif", "#6b3720", align="center")
    canvas.drawLine(1350, 690, 1440, 690, paint("#c4774a", stroke=3))
    write(canvas, "SERUM No 5", 1395, 736, 24, "sans", "#a1684a", align="center", spacing=4)
    canvas.drawRoundRect(
        skia.Rect.MakeXYWH(1330, 350, 130, 92),
        12,
        12,
        linear((1330, 0), (1460, 0), "#e9c48f", "#fdeccb", "#b98a4d", at=[0, 0.35, 1]),
    )
    canvas.drawRoundRect(
        skia.Rect.MakeXYWH(1352, 200, 86, 170),
        43,
        43,
        linear((1352, 0), (1438, 0), "#43221a", "#80503f", "#2f1610", at=[0, 0.35, 1]),
    )
    for x, y, angle, size in (
        (1632, 862, -12, 0.82),
        (1644, 862, 18, 0.95),
        (1620, 862, -34, 0.55),
        (1655, 862, 50, 0.7),
    ):
        canvas.save()
        canvas.translate(x, y)
        canvas.rotate(angle)
        canvas.scale(size, size)
        leaf = skia.Path()
        leaf.moveTo(0, 0)
        leaf.cubicTo(-78, -90, -60, -220, 0, -300)
        leaf.cubicTo(60, -220, 78, -90, 0, 0)
        canvas.drawPath(leaf, linear((-60, 0), (60, 0), "#7f9a71", "#4e6b49"))
        canvas.drawLine(0, 0, 0, -270, paint("#dfe9d3", 0.55, stroke=4))
        canvas.restore()
    write(canvas, "AURELLE", 130, 180, 46, "sans", "#8a4a2c", spacing=14)
    write(canvas, "Your skin,", 122, 440, 160, "serif-light", "#4a2415")
    write(canvas, "well rested.", 122, 610, 160, "serif-italic", "#c05f3c")
    write(canvas, "Overnight serum with rose hip and squalane.", 130, 705, 44, "sans", "#7a5140")
    pill(canvas, "Try it free this week", 130, 810, 38, "#c05f3c", "#fff7ef", "sans")


@ad
def ceramics(canvas: skia.Canvas) -> None:
    """F 40-49: an evening course at a pottery studio."""
    background(canvas, "#1f4e4a", "#173d3b", end=(W, H))
    canvas.drawPath(polygon((820, 0), (W, 0), (W, H), (700, H)), linear((820, 0), (W, H), "#e8b04b", "#d98a34"))
    canvas.drawRect(skia.Rect.MakeXYWH(760, 868, 1160, 26), linear((0, 868), (0, 894), "#7a4a26", "#5a3318"))
    canvas.drawRect(skia.Rect.MakeXYWH(760, 894, 1160, 14), paint("#000000", 0.18, blur=8))

    def pot(
        x: float,
        profile: list[tuple[float, float]],
        light: str,
        mid: str,
        dark: str,
        bands: list[tuple[float, float, str]],
    ) -> None:
        right = [(x + r, 868 - h) for r, h in profile]
        left = [(x - r, 868 - h) for r, h in reversed(profile)]
        path = skia.Path()
        path.moveTo(*right[0])
        for i in range(len(right) - 1):
            (x0, y0), (x1, y1) = right[i], right[i + 1]
            path.cubicTo(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, x1, y1)
        path.lineTo(*left[0])
        for i in range(len(left) - 1):
            (x0, y0), (x1, y1) = left[i], left[i + 1]
            path.cubicTo(x0, (y0 + y1) / 2, x1, (y0 + y1) / 2, x1, y1)
        path.close()
        widest = max(r for r, _ in profile)
        shadow(canvas, x + 24, 868, widest * 0.9, 12, 0.35, 12)
        canvas.drawPath(path, linear((x - widest, 0), (x + widest, 0), light, mid, dark, at=[0, 0.45, 1]))
        canvas.save()
        canvas.clipPath(path, doAntiAlias=True)
        for low, high, code in bands:
            canvas.drawRect(skia.Rect.MakeLTRB(x - widest, 868 - high, x + widest, 868 - low), paint(code, 0.85))
        canvas.drawOval(
            skia.Rect.MakeLTRB(x - widest * 0.72, 868 - profile[-1][1] * 0.9, x - widest * 0.42, 868 - 40),
            paint("#ffffff", 0.22, blur=14),
        )
        canvas.restore()
        rim, top = profile[-1]
        canvas.drawOval(
            skia.Rect.MakeLTRB(x - rim, 868 - top - rim * 0.16, x + rim, 868 - top + rim * 0.16), paint(dark)
        )
        canvas.drawOval(
            skia.Rect.MakeLTRB(x - rim * 0.88, 868 - top - rim * 0.10, x + rim * 0.88, 868 - top + rim * 0.13),
            paint("#2a1a12", 0.75),
        )

    for angle, length in ((-24, 300), (-8, 370), (9, 340), (25, 280)):
        canvas.save()
        canvas.translate(1075, 420)
        canvas.rotate(angle)
        canvas.drawLine(0, 0, 0, -length + 40, paint("#2f5d3a", stroke=7))
        for k in range(5):
            for side in (-1, 1):
                canvas.save()
                canvas.translate(0, -70 - k * (length - 90) / 5)
                canvas.rotate(side * 48)
                canvas.drawOval(skia.Rect.MakeLTRB(-15, -78, 15, 0), paint("#3f7a4b" if side > 0 else "#2f6a44"))
                canvas.restore()
        canvas.restore()
    pot(
        1075,
        [(88, 0), (170, 190), (74, 380), (98, 450)],
        "#f5ede1",
        "#e6d6c1",
        "#b59a7d",
        [(150, 176, "#1f4e4a"), (192, 200, "#1f4e4a"), (120, 128, "#1f4e4a")],
    )
    pot(1430, [(110, 0), (205, 150), (150, 300)], "#d8694a", "#b94a30", "#7c2a1b", [(205, 300, "#f3e3cf")])
    pot(
        1730,
        [(70, 0), (120, 120), (52, 300), (44, 420), (70, 470)],
        "#5b8f95",
        "#2f6a72",
        "#183f46",
        [(60, 74, "#e8b04b"), (86, 92, "#e8b04b")],
    )
    write(canvas, "kiln & co", 120, 185, 76, "serif-black", "#f3e3cf")
    write(canvas, "Make", 114, 430, 190, "serif-black", "#ffffff")
    write(canvas, "Thursdays", 118, 590, 124, "serif-black", "#e8b04b")
    write(canvas, "yours.", 114, 760, 190, "serif-black", "#ffffff")
    write(canvas, "Six pottery evenings. Clay included.", 120, 850, 40, "sans", "#c9dcd6")


@ad
def trails(canvas: skia.Canvas) -> None:
    """F 50-59: walking weeks in the hills at sunrise."""
    background(canvas, "#2d4a7c", "#e88a6a", "#ffd9a0", end=(0, 820))
    glow(canvas, 1600, 500, 620, "#fff1c9", 0.95)
    canvas.drawCircle(1600, 500, 118, paint("#fff6dc"))
    for seed, base, height, code in (
        (4, 600, 130, "#b98aa0"),
        (9, 690, 110, "#8a6f95"),
        (2, 780, 90, "#5b5885"),
        (13, 880, 70, "#36406a"),
        (5, 985, 46, "#1b2746"),
    ):
        canvas.drawPath(ridge(seed, base, height, (1.3, 2.9, 6.1)), paint(code))
    rng = random.Random(8)
    for _ in range(46):
        x = rng.choice((rng.uniform(0, 520), rng.uniform(1330, W)))
        tall = rng.uniform(90, 210)
        root = 1090 - rng.uniform(0, 30)
        for k in range(4):
            half = tall * (0.10 + 0.065 * (3 - k))
            top = root - tall * (0.3 + 0.235 * k)
            canvas.drawPath(
                polygon((x - half, top + tall * 0.26), (x, top - tall * 0.06), (x + half, top + tall * 0.26)),
                paint("#101a33"),
            )
    walker = paint("#141c38")
    for x, y, scale in ((1000, 800, 1.0), (1064, 806, 0.94)):
        canvas.save()
        canvas.translate(x, y)
        canvas.scale(scale, scale)
        canvas.drawCircle(0, -112, 13, walker)
        canvas.drawRoundRect(skia.Rect.MakeXYWH(-15, -96, 28, 52), 13, 13, walker)
        canvas.drawRoundRect(skia.Rect.MakeXYWH(-30, -94, 20, 42), 9, 9, walker)
        limb = paint("#141c38", stroke=10)
        canvas.drawLine(-4, -50, -16, -4, limb)
        canvas.drawLine(2, -50, 14, -6, limb)
        canvas.drawLine(4, -86, 26, -58, paint("#141c38", stroke=8))
        canvas.drawLine(27, -66, 34, 0, paint("#141c38", stroke=4))
        canvas.restore()
    write(canvas, "NORTHLIGHT WALKS", 130, 175, 44, "grotesk", "#ffffff", spacing=9)
    write(canvas, "Seven days.", 122, 350, 150, "serif", "#ffffff")
    write(canvas, "Nobody’s schedule.", 122, 505, 150, "serif-italic", "#ffffff")
    write(canvas, "Guided weeks for women, spring to autumn", 130, 592, 44, "grotesk-medium", "#ffffff")
    pill(canvas, "northlight.example", 1450, 165, 36, "#ffffff", "#2d4a7c", "grotesk")


@ad
def garden(canvas: skia.Canvas) -> None:
    """F 60 and over: a garden fair, flowers from edge to edge."""
    background(canvas, "#fdf6e9", "#f6ead2")
    rng = random.Random(21)
    petals = ("#d8436b", "#f07c5a", "#f2b134", "#8e5ba6", "#e86a92", "#4f83c4")

    def flower(x: float, y: float, size: float, code: str) -> None:
        count = rng.choice((6, 7, 8, 9))
        turn = rng.uniform(0, 360)
        for ring, (scale, alpha) in enumerate(((1.0, 0.92), (0.66, 1.0))):
            for i in range(count):
                canvas.save()
                canvas.translate(x, y)
                canvas.rotate(turn + ring * 180 / count + i * 360 / count)
                r = size * scale
                canvas.drawOval(skia.Rect.MakeLTRB(-r * 0.27, -r, r * 0.27, 0), paint(code, alpha))
                canvas.drawOval(skia.Rect.MakeLTRB(-r * 0.09, -r * 0.8, r * 0.09, -r * 0.1), paint("#ffffff", 0.16))
                canvas.restore()
        canvas.drawCircle(x, y, size * 0.2, paint("#6b3f1d"))
        canvas.drawCircle(x, y, size * 0.13, paint("#f6c945"))

    def leaf(x: float, y: float, size: float, angle: float, code: str) -> None:
        canvas.save()
        canvas.translate(x, y)
        canvas.rotate(angle)
        path = skia.Path()
        path.moveTo(0, 0)
        path.cubicTo(-size * 0.4, -size * 0.3, -size * 0.3, -size * 0.8, 0, -size)
        path.cubicTo(size * 0.3, -size * 0.8, size * 0.4, -size * 0.3, 0, 0)
        canvas.drawPath(path, paint(code))
        canvas.drawLine(0, -size * 0.05, 0, -size * 0.85, paint("#ffffff", 0.25, stroke=3))
        canvas.restore()

    for _ in range(190):
        edge = rng.choice("tlrb")
        x = (
            rng.uniform(-20, W + 20)
            if edge in "tb"
            else rng.choice((rng.uniform(-30, 230), rng.uniform(W - 230, W + 30)))
        )
        y = rng.uniform(-30, 120) if edge == "t" else rng.uniform(H - 150, H + 30) if edge == "b" else rng.uniform(0, H)
        leaf(x, y, rng.uniform(70, 150), rng.uniform(0, 360), rng.choice(("#2f6b4a", "#4b8a57", "#7aa765", "#24563f")))
    for _ in range(84):
        edge = rng.choice("tlrb")
        x = rng.uniform(0, W) if edge in "tb" else rng.choice((rng.uniform(0, 190), rng.uniform(W - 190, W)))
        y = rng.uniform(-10, 90) if edge == "t" else rng.uniform(H - 110, H + 10) if edge == "b" else rng.uniform(0, H)
        flower(x, y, rng.uniform(46, 98), rng.choice(petals))
    write(canvas, "The Meadowbank", W / 2, 330, 84, "serif-italic", "#2f6b4a", align="center")
    write(canvas, "GARDEN FAIR", W / 2, 560, 240, "hand", "#c22f5b", align="center", spacing=6)
    canvas.drawLine(760, 610, 1160, 610, paint("#2f6b4a", stroke=4))
    write(
        canvas, "400 old roses, seeds to swap, tea under the limes", W / 2, 690, 50, "serif", "#3c4a35", align="center"
    )
    write(canvas, "Every weekend in June · Line 4 to Meadowbank", W / 2, 775, 42, "sans", "#6b5a3a", align="center")


@ad
def arcade(canvas: skia.Canvas) -> None:
    """M 20-29: a racing game, neon at night."""
    background(canvas, "#0b0524", "#2a0b52", "#8a1c7c", end=(0, 700))
    rng = random.Random(3)
    for _ in range(160):
        canvas.drawCircle(
            rng.uniform(0, W), rng.uniform(0, 560), rng.uniform(0.8, 2.6), paint("#ffffff", rng.uniform(0.25, 0.9))
        )
    horizon = 660
    glow(canvas, W / 2, 560, 700, "#ff3d9a", 0.55)
    canvas.save()
    canvas.clipRect(skia.Rect.MakeWH(W, horizon))
    sun = skia.Path()
    sun.addCircle(W / 2, 610, 280)
    canvas.clipPath(sun, doAntiAlias=True)
    canvas.drawCircle(W / 2, 610, 280, linear((0, 330), (0, 760), "#ffe45e", "#ff8a3d", "#ff2e88"))
    for k in range(6):
        canvas.drawRect(skia.Rect.MakeXYWH(560, 490 + k * 29, 800, 5 + k * 2.6), paint("#5a1266"))
    canvas.restore()
    canvas.drawRect(skia.Rect.MakeLTRB(0, horizon, W, H), linear((0, horizon), (0, H), "#1b0638", "#07021a"))
    for i in range(-24, 25):
        canvas.drawLine(W / 2 + i * 34, horizon, W / 2 + i * 270, H + 30, paint("#25e8ff", 0.65, stroke=2.4))
    for k in range(11):
        y = horizon + (H - horizon) * (k / 10) ** 2.1
        canvas.drawLine(0, y, W, y, paint("#25e8ff", 0.65, stroke=2.4))
    canvas.drawLine(0, horizon, W, horizon, paint("#7df6ff", stroke=5))
    canvas.drawLine(0, horizon, W, horizon, paint("#25e8ff", 0.7, stroke=16, blur=10))
    canvas.save()
    canvas.translate(W / 2, 930)
    shadow(canvas, 0, 62, 300, 22, 0.8, 16)
    body = skia.Path()
    body.moveTo(-290, 50)
    body.cubicTo(-300, -30, -270, -62, -190, -76)
    body.cubicTo(-150, -150, -110, -176, 0, -176)
    body.cubicTo(110, -176, 150, -150, 190, -76)
    body.cubicTo(270, -62, 300, -30, 290, 50)
    body.close()
    canvas.drawPath(body, linear((0, -176), (0, 60), "#4a0d6e", "#1a0430"))
    window = skia.Path()
    window.moveTo(-160, -78)
    window.cubicTo(-130, -136, -100, -156, 0, -156)
    window.cubicTo(100, -156, 130, -136, 160, -78)
    window.close()
    canvas.drawPath(window, linear((0, -156), (0, -78), "#25e8ff", "#7a1fa2"))
    for side in (-1, 1):
        canvas.drawRoundRect(skia.Rect.MakeXYWH(side * 205 - 75, -36, 150, 26), 12, 12, paint("#ff2e63"))
        canvas.drawRoundRect(skia.Rect.MakeXYWH(side * 205 - 85, -46, 170, 46), 20, 20, paint("#ff2e63", 0.55, blur=16))
        canvas.drawRoundRect(skia.Rect.MakeXYWH(side * 232 - 46, 30, 92, 44), 16, 16, paint("#05010f"))
    canvas.drawRoundRect(skia.Rect.MakeXYWH(-80, -30, 160, 34), 8, 8, paint("#0b0220"))
    write(canvas, "NITE 88", 0, -4, 28, "manrope", "#ffe45e", align="center")
    canvas.drawPath(body, paint("#ff5fc8", 0.8, stroke=4))
    canvas.restore()
    write(
        canvas, "NITERUNNER", W / 2, 225, 190, "sans-black", paint("#ff2e88", 0.9, blur=26), align="center", spacing=14
    )
    write(
        canvas,
        "NITERUNNER",
        W / 2,
        225,
        190,
        "sans-black",
        linear((0, 85), (0, 225), "#ffffff", "#9df4ff", "#ff7ad9"),
        align="center",
        spacing=14,
    )
    write(
        canvas,
        "Race the last sunset. Out now on every console.",
        W / 2,
        302,
        48,
        "manrope-medium",
        "#ffd9f4",
        align="center",
    )


@ad
def car(canvas: skia.Canvas) -> None:
    """M 30-39: an electric car."""
    background(canvas, "#dfe9ef", "#b9cbd8")
    canvas.drawRect(skia.Rect.MakeLTRB(0, 720, W, H), linear((0, 720), (0, H), "#8fa5b4", "#5f7788"))
    glow(canvas, 1180, 600, 760, "#ffffff", 0.85)
    write(canvas, "0 to", 110, 260, 120, "manrope-light", "#21384a", spacing=-3)
    write(canvas, "silence", 330, 260, 120, "manrope", "#21384a", spacing=-4)
    write(canvas, "in 3.9 seconds.", 110, 390, 120, "manrope-light", "#21384a", spacing=-3)
    canvas.save()
    canvas.translate(430, 0)
    shadow(canvas, 700, 868, 640, 24, 0.5, 22)
    body = skia.Path()
    body.moveTo(90, 800)
    body.cubicTo(60, 720, 90, 660, 190, 636)
    body.cubicTo(300, 610, 380, 590, 470, 530)
    body.cubicTo(560, 470, 700, 452, 840, 462)
    body.cubicTo(980, 472, 1080, 540, 1190, 604)
    body.cubicTo(1290, 622, 1330, 650, 1340, 720)
    body.cubicTo(1346, 770, 1330, 810, 1310, 826)
    body.lineTo(130, 826)
    body.cubicTo(110, 822, 98, 814, 90, 800)
    body.close()
    canvas.drawPath(body, linear((0, 460), (0, 830), "#1f8fff", "#0d5fd0", "#07357f", at=[0, 0.55, 1]))
    canvas.save()
    canvas.clipPath(body, doAntiAlias=True)
    light = skia.Path()
    light.moveTo(60, 690)
    light.cubicTo(400, 640, 900, 660, 1360, 640)
    light.lineTo(1360, 668)
    light.cubicTo(900, 690, 400, 670, 60, 725)
    light.close()
    canvas.drawPath(light, paint("#9fd4ff", 0.75, blur=7))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 792, 1400, 830), paint("#041a40", 0.65))
    canvas.restore()
    glass = skia.Path()
    glass.moveTo(452, 606)
    glass.cubicTo(540, 520, 640, 488, 800, 490)
    glass.cubicTo(930, 492, 1010, 540, 1090, 600)
    glass.cubicTo(900, 612, 640, 616, 452, 606)
    glass.close()
    canvas.drawPath(glass, linear((452, 480), (1090, 620), "#0b1c30", "#34506b", "#0b1c30"))
    canvas.drawLine(770, 490, 748, 612, paint("#0d5fd0", stroke=14))
    canvas.drawLine(760, 640, 746, 790, paint("#04275e", 0.7, stroke=3))
    canvas.drawLine(480, 640, 470, 780, paint("#04275e", 0.7, stroke=3))
    canvas.drawRoundRect(skia.Rect.MakeXYWH(640, 660, 74, 10), 5, 5, paint("#04275e", 0.8))
    canvas.drawRoundRect(skia.Rect.MakeXYWH(1000, 660, 74, 10), 5, 5, paint("#04275e", 0.8))
    lamp = skia.Path()
    lamp.moveTo(112, 690)
    lamp.cubicTo(150, 660, 200, 652, 250, 652)
    lamp.cubicTo(220, 680, 170, 700, 108, 712)
    lamp.close()
    canvas.drawPath(lamp, paint("#ffffff"))
    canvas.drawPath(lamp, paint("#ffffff", 0.8, blur=18))
    canvas.drawRoundRect(skia.Rect.MakeXYWH(1262, 654, 72, 18), 9, 9, paint("#ff2f45"))
    for x in (330, 1090):
        canvas.drawCircle(x, 800, 104, paint("#06162c"))
        canvas.drawCircle(x, 800, 92, paint("#15191f"))
        canvas.drawCircle(x, 800, 66, linear((x - 60, 740), (x + 60, 860), "#f4f7fa", "#8b99a5"))
        for k in range(5):
            canvas.save()
            canvas.translate(x, 800)
            canvas.rotate(k * 72)
            canvas.drawPath(polygon((-12, -14), (12, -14), (20, -58), (-20, -58)), paint("#39444f"))
            canvas.restore()
        canvas.drawCircle(x, 800, 14, paint("#dfe6ec"))
    canvas.restore()
    write(canvas, "ORBIT", 1800, 190, 74, "manrope", "#0d5fd0", align="right", spacing=16)
    write(
        canvas,
        "The electric Orbit e2. Test drives in the city this week.",
        1800,
        960,
        42,
        "manrope-medium",
        "#ffffff",
        align="right",
    )


@ad
def watch(canvas: skia.Canvas) -> None:
    """M 40-49: a mechanical watch on black."""
    background(canvas, "#101418", "#060708", end=(W, H))
    cx, cy, radius = 1370, 520, 360
    glow(canvas, cx, cy, 820, "#3a5566", 0.55)
    for top in (True, False):
        canvas.save()
        canvas.translate(cx, cy)
        if not top:
            canvas.scale(1, -1)
        strap = polygon((-165, -300), (165, -300), (140, -640), (-140, -640))
        canvas.drawPath(strap, linear((-165, 0), (165, 0), "#3a1f12", "#7a4527", "#32190d"))
        for side in (-1, 1):
            canvas.drawLine(side * 148, -330, side * 126, -640, paint("#d8a878", 0.5, stroke=4))
        canvas.restore()
    canvas.drawRoundRect(
        skia.Rect.MakeXYWH(cx + radius + 10, cy - 34, 66, 68),
        14,
        14,
        linear((0, cy - 34), (0, cy + 34), "#f4f4f2", "#777b80", "#c8cbce"),
    )
    canvas.drawCircle(
        cx,
        cy,
        radius + 34,
        linear((cx - 300, cy - 300), (cx + 300, cy + 300), "#ffffff", "#7b8086", "#e9ebed", "#565b61"),
    )
    canvas.drawCircle(cx, cy, radius + 4, linear((cx + 300, cy + 300), (cx - 300, cy - 300), "#f3f5f6", "#5d6369"))
    canvas.drawCircle(cx, cy, radius - 10, linear((cx, cy - radius), (cx, cy + radius), "#1d4258", "#0c1f2d"))
    for minute in range(60):
        hour = minute % 5 == 0
        canvas.save()
        canvas.translate(cx, cy)
        canvas.rotate(minute * 6)
        if hour:
            canvas.drawRoundRect(
                skia.Rect.MakeXYWH(-9, -328, 18, 66), 4, 4, linear((-9, 0), (9, 0), "#ffffff", "#c6ccd0")
            )
        else:
            canvas.drawRect(skia.Rect.MakeXYWH(-2, -328, 4, 22), paint("#b9c7d0"))
        canvas.restore()
    canvas.drawCircle(cx, cy + 150, 82, paint("#0a1b27"))
    canvas.drawCircle(cx, cy + 150, 82, paint("#9fb4c0", 0.8, stroke=3))
    for k in range(12):
        a = k * math.pi / 6
        canvas.drawCircle(cx + 66 * math.sin(a), cy + 150 - 66 * math.cos(a), 3.4, paint("#dbe6ec"))
    canvas.drawLine(cx, cy + 150, cx + 38, cy + 112, paint("#f0b35a", stroke=5))
    write(canvas, "HALDEN", cx, cy - 130, 46, "serif", "#f3f6f8", align="center", spacing=6)
    write(canvas, "automatic", cx, cy - 92, 27, "serif-italic", "#bcd0da", align="center")
    for angle, length, wide in ((304, 200, 22), (60, 292, 16)):
        canvas.save()
        canvas.translate(cx, cy)
        canvas.rotate(angle)
        canvas.drawPath(
            polygon(
                (-wide / 2 + 6, 44),
                (-wide / 2 + 6, -length),
                (4, -length - 14),
                (wide / 2 + 6, -length),
                (wide / 2 + 6, 44),
            ),
            paint("#000000", 0.4, blur=6),
        )
        canvas.drawPath(
            polygon((-wide / 2, 44), (-wide / 2, -length), (0, -length - 16), (wide / 2, -length), (wide / 2, 44)),
            linear((-wide / 2, 0), (wide / 2, 0), "#ffffff", "#a8b0b6"),
        )
        canvas.restore()
    canvas.save()
    canvas.translate(cx, cy)
    canvas.rotate(213)
    canvas.drawLine(0, 80, 0, -310, paint("#f0b35a", stroke=5))
    canvas.restore()
    canvas.drawCircle(cx, cy, 17, paint("#f0b35a"))
    canvas.save()
    shine = skia.Path()
    shine.addCircle(cx, cy, radius - 10)
    canvas.clipPath(shine, doAntiAlias=True)
    canvas.drawPath(
        polygon((cx - 420, cy - 60), (cx - 60, cy - 420), (cx + 90, cy - 420), (cx - 420, cy + 90)),
        paint("#ffffff", 0.07),
    )
    canvas.restore()
    write(canvas, "HALDEN", 130, 185, 50, "serif", "#f0b35a", spacing=16)
    write(canvas, "Made to be", 122, 440, 138, "serif-light", "#ffffff")
    write(canvas, "handed down.", 122, 590, 138, "serif-italic", "#ffffff")
    write(canvas, "The Mariner 40. Wound by your day.", 130, 690, 44, "sans", "#a9bac4")
    canvas.drawLine(130, 770, 330, 770, paint("#f0b35a", stroke=5))


@ad
def bicycle(canvas: skia.Canvas) -> None:
    """M 50-59: a road bicycle."""
    background(canvas, "#ffcf33", "#ffb81f", end=(W, H))
    canvas.drawPath(polygon((0, 0), (760, 0), (420, H), (0, H)), paint("#16181d"))
    canvas.drawPath(polygon((760, 0), (800, 0), (460, H), (420, H)), paint("#e5352b"))
    rear, front = (960.0, 700.0), (1580.0, 700.0)
    shadow(canvas, 1270, 908, 520, 12, 0.3, 14)
    for x, y in (rear, front):
        canvas.drawCircle(x, y, 200, paint("#16181d", stroke=15))
        canvas.drawCircle(x, y, 186, paint("#5a5f68", stroke=6))
        for k in range(24):
            a = k * math.pi / 12
            canvas.drawLine(
                x + 14 * math.cos(a + 0.6),
                y + 14 * math.sin(a + 0.6),
                x + 184 * math.cos(a),
                y + 184 * math.sin(a),
                paint("#5a5f68", 0.75, stroke=2),
            )
        canvas.drawCircle(x, y, 18, paint("#16181d"))
    crank, seat, head, fork = (1200.0, 725.0), (1120.0, 420.0), (1480.0, 395.0), (1508.0, 470.0)
    tube = paint("#e5352b", stroke=24)
    canvas.drawLine(*rear, *crank, paint("#b3221a", stroke=15))
    canvas.drawLine(*rear, 1136, 478, paint("#b3221a", stroke=14))
    canvas.drawLine(*crank, *seat, tube)
    canvas.drawLine(1136, 478, *head, tube)
    canvas.drawLine(*crank, *fork, paint("#e5352b", stroke=30))
    canvas.drawLine(*head, *fork, paint("#e5352b", stroke=30))
    path = skia.Path()
    path.moveTo(*fork)
    path.cubicTo(1530, 560, 1560, 640, *front)
    canvas.drawPath(path, paint("#16181d", stroke=17))
    canvas.drawLine(*seat, 1106, 366, paint("#16181d", stroke=14))
    saddle = skia.Path()
    saddle.moveTo(1030, 350)
    saddle.cubicTo(1060, 330, 1120, 346, 1200, 352)
    saddle.cubicTo(1208, 366, 1160, 372, 1110, 372)
    saddle.cubicTo(1070, 376, 1040, 372, 1030, 350)
    saddle.close()
    canvas.drawPath(saddle, paint("#16181d"))
    bars = skia.Path()
    bars.moveTo(1470, 372)
    bars.lineTo(1545, 352)
    bars.cubicTo(1640, 330, 1660, 440, 1575, 452)
    canvas.drawPath(bars, paint("#16181d", stroke=17))
    canvas.drawCircle(*crank, 62, paint("#16181d", stroke=10))
    canvas.drawCircle(*crank, 40, paint("#5a5f68", stroke=5))
    canvas.drawLine(rear[0], 680, crank[0], 664, paint("#16181d", stroke=5))
    canvas.drawLine(rear[0], 720, crank[0], 786, paint("#16181d", stroke=5))
    canvas.drawLine(*crank, 1262, 818, paint("#16181d", stroke=13))
    canvas.drawRoundRect(skia.Rect.MakeXYWH(1232, 812, 76, 15), 7, 7, paint("#16181d"))
    write(canvas, "CADENZA", 1800, 190, 84, "sans-black", "#16181d", align="right", spacing=8)
    write(canvas, "Your", 110, 330, 150, "sans-black", "#ffffff")
    write(canvas, "second", 110, 480, 150, "sans-black", "#ffffff")
    write(canvas, "wind.", 110, 630, 150, "sans-black", "#ffcf33")
    write(canvas, "6.9 kg carbon.", 114, 730, 44, "sans", "#c9ccd2")
    write(canvas, "Fitted to you.", 114, 788, 44, "sans", "#c9ccd2")


@ad
def railway(canvas: skia.Canvas) -> None:
    """M 60 and over: a coastal railway, after the travel posters."""
    background(canvas, "#f6d7a0", "#f2b98a", end=(0, 560))
    canvas.drawCircle(430, 330, 130, paint("#fff3d0"))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 520, W, H), linear((0, 520), (0, 900), "#2f8f9d", "#1c5f7a"))
    rng = random.Random(5)
    for _ in range(70):
        x, y = rng.uniform(0, 1300), rng.uniform(540, 830)
        long = rng.uniform(30, 130) * (0.4 + (y - 520) / 400)
        canvas.drawLine(x, y, x + long, y, paint("#ffffff", 0.28, stroke=4))
    canvas.drawLine(300, 560, 560, 560, paint("#fff3d0", 0.6, stroke=7))
    for x, y, size in ((250, 600, 0.8), (720, 566, 0.55)):
        canvas.save()
        canvas.translate(x, y)
        canvas.scale(size, size)
        canvas.drawPath(polygon((0, -16), (0, -190), (110, -16)), paint("#fffaf0"))
        canvas.drawPath(polygon((-10, -16), (-10, -160), (-74, -16)), paint("#f0563f"))
        canvas.drawPath(polygon((-90, 0), (120, 0), (84, 36), (-58, 36)), paint("#7a2b20"))
        canvas.restore()
    cliff = skia.Path()
    cliff.moveTo(W, 250)
    cliff.cubicTo(1760, 230, 1680, 330, 1560, 350)
    cliff.cubicTo(1450, 370, 1420, 470, 1310, 500)
    cliff.cubicTo(1210, 520, 1200, 600, 1090, 640)
    cliff.lineTo(1010, 760)
    cliff.lineTo(W, 980)
    cliff.close()
    canvas.drawPath(cliff, linear((1100, 300), (W, 900), "#5d8a58", "#2f5f4c"))
    face = skia.Path()
    face.moveTo(1120, 740)
    face.cubicTo(1140, 800, 1080, 840, 1110, H)
    face.lineTo(W, H)
    face.lineTo(W, 740)
    face.close()
    canvas.drawPath(face, linear((0, 780), (0, 900), "#8a5f3a", "#c08a57"))
    for x, y, tall in (
        (1490, 372, 92),
        (1530, 356, 120),
        (1650, 330, 140),
        (1705, 306, 110),
        (1800, 268, 150),
        (1380, 460, 74),
    ):
        canvas.drawOval(skia.Rect.MakeLTRB(x - tall * 0.2, y - tall, x + tall * 0.2, y + 14), paint("#24493d"))
    for k in range(9):
        x = 980 + k * 122
        canvas.drawRect(skia.Rect.MakeXYWH(x, 800, 34, 300), linear((x, 0), (x + 34, 0), "#e6cfa7", "#a88658"))
    canvas.drawRect(skia.Rect.MakeLTRB(960, 770, W, 812), linear((0, 770), (0, 812), "#efdcb8", "#b8956a"))
    canvas.drawRect(skia.Rect.MakeLTRB(960, 806, W, 814), paint("#7a5b36", 0.6))
    train = skia.Path()
    train.moveTo(W + 20, 610)
    train.lineTo(1190, 610)
    train.cubicTo(1090, 612, 1030, 690, 1010, 744)
    train.cubicTo(1006, 758, 1012, 766, 1024, 766)
    train.lineTo(W + 20, 766)
    train.close()
    canvas.drawPath(train, linear((0, 610), (0, 766), "#fffaf0", "#f3e6cf"))
    canvas.save()
    canvas.clipPath(train, doAntiAlias=True)
    canvas.drawRect(skia.Rect.MakeLTRB(960, 706, W, 740), paint("#c7332b"))
    canvas.drawRect(skia.Rect.MakeLTRB(960, 740, W, 770), paint("#8d211c"))
    canvas.drawPath(
        polygon((1030, 706), (1100, 634), (1172, 634), (1172, 706)), linear((1030, 0), (1172, 0), "#23424f", "#5c8794")
    )
    for k in range(8):
        x = 1210 + k * 96
        canvas.drawRoundRect(
            skia.Rect.MakeXYWH(x, 636, 72, 52), 10, 10, linear((x, 636), (x + 72, 688), "#5c8794", "#23424f")
        )
    canvas.restore()
    for x in (1500,):
        canvas.drawLine(x, 612, x, 766, paint("#b59f7c", stroke=5))
    for x in (1110, 1180, 1420, 1570, 1640, 1860):
        canvas.drawCircle(x, 770, 17, paint("#2b2b2b"))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 900, W, H), paint("#12343f"))
    write(canvas, "SLOW COAST RAILWAY", 1000, 1000, 64, "sans-black", "#f6d7a0", spacing=6)
    write(canvas, "Tickets with a window seat, always", 1002, 1050, 36, "sans", "#9fc3c9")
    write(canvas, "Take the long", 700, 190, 132, "serif-black", "#7a2b20")
    write(canvas, "way home.", 700, 322, 132, "serif-black", "#c7332b")


@ad
def aquarium(canvas: skia.Canvas) -> None:
    """Families: an aquarium."""
    background(canvas, "#19c3e6", "#0a6ec0", "#0a2f7a")
    for k in range(6):
        canvas.drawPath(
            polygon((200 + k * 290, -10), (320 + k * 290, -10), (180 + k * 330, H), (-40 + k * 330, H)),
            paint("#ffffff", 0.055),
        )
    rng = random.Random(12)
    for _ in range(60):
        x, y, r = rng.uniform(0, W), rng.uniform(0, H), rng.uniform(5, 26)
        canvas.drawCircle(x, y, r, paint("#ffffff", 0.35, stroke=3))
        canvas.drawCircle(x - r * 0.3, y - r * 0.3, r * 0.2, paint("#ffffff", 0.6))
    for x, code in ((90, "#f25c8a"), (190, "#ff9b54"), (1650, "#8a5bd6"), (1770, "#f25c8a"), (1860, "#ff9b54")):
        for k in range(5):
            canvas.save()
            canvas.translate(x, H + 10)
            canvas.rotate(-40 + k * 20)
            canvas.drawRoundRect(skia.Rect.MakeXYWH(-17, -230 + abs(k - 2) * 36, 34, 240), 17, 17, paint(code))
            canvas.restore()

    def fish(x: float, y: float, size: float, body: str, stripe: str, face: int = 1) -> None:
        canvas.save()
        canvas.translate(x, y)
        canvas.scale(size * face, size)
        tail = skia.Path()
        tail.moveTo(-120, 0)
        tail.cubicTo(-190, -110, -250, -90, -230, 0)
        tail.cubicTo(-250, 90, -190, 110, -120, 0)
        canvas.drawPath(tail, paint(stripe))
        fin = skia.Path()
        fin.moveTo(-60, -80)
        fin.cubicTo(-30, -170, 60, -170, 70, -80)
        fin.close()
        canvas.drawPath(fin, paint(stripe))
        shape = skia.Path()
        shape.addOval(skia.Rect.MakeLTRB(-150, -102, 150, 102))
        canvas.drawPath(shape, paint(body))
        canvas.save()
        canvas.clipPath(shape, doAntiAlias=True)
        for sx in (-80, 10):
            canvas.drawRoundRect(skia.Rect.MakeXYWH(sx, -120, 44, 240), 22, 22, paint("#ffffff", 0.92))
        canvas.drawOval(skia.Rect.MakeLTRB(-150, 30, 150, 160), paint("#000000", 0.10))
        canvas.restore()
        canvas.drawCircle(92, -24, 26, paint("#ffffff"))
        canvas.drawCircle(98, -22, 14, paint("#14233d"))
        canvas.drawCircle(103, -28, 5, paint("#ffffff"))
        smile = skia.Path()
        smile.moveTo(100, 34)
        smile.cubicTo(112, 46, 126, 44, 134, 32)
        canvas.drawPath(smile, paint("#14233d", 0.8, stroke=6))
        canvas.restore()

    fish(1420, 420, 1.75, "#ff8a1f", "#e2611a", -1)
    fish(1660, 720, 0.85, "#ffd23f", "#f0a91b", -1)
    fish(1180, 760, 0.6, "#f25c8a", "#c93a6c", -1)
    fish(1740, 190, 0.5, "#ffd23f", "#f0a91b", -1)
    write(canvas, "OTTER BAY AQUARIUM", 120, 180, 52, "fun", "#fff2a8", spacing=5)
    write(canvas, "Say hello", 112, 420, 196, "fun", "#ffffff")
    write(canvas, "to Otto.", 112, 612, 196, "fun", "#ffffff")
    write(canvas, "2,000 fish, one shark, and ice cream.", 120, 716, 54, "fun", "#d7f4ff")
    pill(canvas, "Family day ticket €29", 120, 820, 44, "#ffd23f", "#0a2f7a", "fun")


@ad
def noodles(canvas: skia.Canvas) -> None:
    """Anyone 20-39: a noodle bar."""
    background(canvas, "#d7261e", "#a51414", end=(W, H))
    for k in range(40):
        a = k * math.pi / 20
        canvas.drawPath(
            polygon(
                (1370, 560),
                (1370 + 1600 * math.cos(a), 560 + 1600 * math.sin(a)),
                (1370 + 1600 * math.cos(a + 0.078), 560 + 1600 * math.sin(a + 0.078)),
            ),
            paint("#ffffff", 0.05),
        )
    shadow(canvas, 1370, 930, 430, 30, 0.45, 24)
    for x in (1290.0, 1390.0, 1480.0):
        steam = skia.Path()
        steam.moveTo(x, 350)
        steam.cubicTo(x - 60, 290, x + 60, 240, x, 180)
        steam.cubicTo(x - 50, 130, x + 40, 90, x + 6, 50)
        canvas.drawPath(steam, paint("#ffffff", 0.5, stroke=18, blur=8))
    canvas.drawLine(1560, 470, 1880, 150, paint("#3a2012", stroke=22))
    canvas.drawLine(1500, 470, 1800, 110, paint("#5a341d", stroke=22))
    canvas.drawOval(skia.Rect.MakeLTRB(930, 380, 1810, 620), linear((930, 0), (1810, 0), "#fff8ec", "#e6d3b5"))
    soup = skia.Path()
    soup.addOval(skia.Rect.MakeLTRB(965, 400, 1775, 600))
    canvas.drawPath(soup, linear((965, 400), (1775, 600), "#e09a3c", "#b8651c"))
    canvas.save()
    canvas.clipPath(soup, doAntiAlias=True)
    rng = random.Random(4)
    for _ in range(64):
        x, y = rng.uniform(960, 1480), rng.uniform(400, 600)
        strand = skia.Path()
        strand.moveTo(x, y)
        strand.cubicTo(
            x + 60, y - rng.uniform(20, 60), x + 110, y + rng.uniform(20, 60), x + 190, y + rng.uniform(-20, 20)
        )
        canvas.drawPath(strand, paint("#c98a2e", stroke=15))
        canvas.drawPath(strand, paint("#ffe3a1", stroke=11))
    for x, y in ((1560.0, 470.0), (1650.0, 515.0)):
        canvas.drawOval(skia.Rect.MakeLTRB(x - 84, y - 46, x + 84, y + 46), paint("#fffaf0"))
        canvas.drawOval(
            skia.Rect.MakeLTRB(x - 46, y - 26, x + 46, y + 26), linear((x, y - 26), (x, y + 26), "#ffb62e", "#f28a1c")
        )
    for _ in range(46):
        x, y = rng.uniform(1000, 1500), rng.uniform(420, 580)
        canvas.drawOval(skia.Rect.MakeLTRB(x - 15, y - 9, x + 15, y + 9), paint("#4c9a3f", stroke=6))
    canvas.drawPath(polygon((1130, 390), (1250, 380), (1270, 500), (1150, 512)), paint("#1f3b2b"))
    canvas.restore()
    bowl = skia.Path()
    bowl.moveTo(930, 500)
    bowl.cubicTo(940, 780, 1130, 900, 1240, 912)
    bowl.lineTo(1500, 912)
    bowl.cubicTo(1610, 900, 1800, 780, 1810, 500)
    bowl.cubicTo(1770, 570, 1590, 622, 1370, 622)
    bowl.cubicTo(1150, 622, 970, 570, 930, 500)
    bowl.close()
    canvas.drawPath(bowl, linear((930, 0), (1810, 0), "#24324f", "#3d5487", "#141d33"))
    canvas.save()
    canvas.clipPath(bowl, doAntiAlias=True)
    for row in range(3):
        for k in range(24):
            x = 900 + k * 80 + (row % 2) * 40
            y = 790 + row * 44
            for r in (38, 25, 12):
                canvas.drawCircle(x, y, r, paint("#ffffff", 0.5, stroke=5))
    canvas.restore()
    write(canvas, "UMI NOODLE BAR", 120, 185, 54, "sans-black", "#ffd9a0", spacing=8)
    write(canvas, "Slurp", 106, 440, 250, "sans-black", "#ffffff", spacing=-4)
    write(canvas, "loudly.", 106, 650, 250, "sans-black", "#ffffff", spacing=-4)
    write(canvas, "Hand-pulled. Ready in six minutes.", 120, 745, 48, "sans", "#ffd9c9")
    pill(canvas, "Exit 3, up the stairs", 120, 840, 42, "#ffd23f", "#7c0f0f", "sans-black")


@ad
def concert(canvas: skia.Canvas) -> None:
    """Anyone 70 and over: Sunday concerts."""
    background(canvas, "#f4efe6", "#e9e0d0", end=(W, H))
    canvas.drawRect(skia.Rect.MakeLTRB(1080, 0, W, H), linear((1080, 0), (W, H), "#7b1e2b", "#4a0f1a"))
    keys = 9
    wide = (W - 1080) / keys
    canvas.save()
    canvas.translate(1080, 560)
    for k in range(keys):
        canvas.drawRect(skia.Rect.MakeXYWH(k * wide, 0, wide - 3, 560), linear((0, 0), (0, 520), "#ffffff", "#efe7d8"))
    for k in (0, 1, 3, 4, 5, 7):
        canvas.drawRoundRect(
            skia.Rect.MakeXYWH((k + 1) * wide - 28, -8, 56, 320), 8, 8, linear((0, 0), (56, 320), "#3a3a3a", "#0b0b0b")
        )
    canvas.drawRect(skia.Rect.MakeXYWH(0, -16, W, 18), paint("#2a070d"))
    canvas.restore()
    gold = "#e9c074"
    for k in range(5):
        path = skia.Path()
        path.moveTo(1080, 180 + k * 42)
        path.cubicTo(1350, 60 + k * 42, 1600, 330 + k * 42, W, 170 + k * 42)
        canvas.drawPath(path, paint(gold, 0.85, stroke=4))
    for x, y, flag in ((1240, 222, True), (1400, 250, False), (1530, 330, True), (1660, 300, False), (1800, 262, True)):
        canvas.save()
        canvas.translate(x, y)
        canvas.drawLine(25, -6, 25, -128, paint(gold, stroke=7))
        if flag:
            tail = skia.Path()
            tail.moveTo(25, -128)
            tail.cubicTo(34, -84, 84, -84, 62, -30)
            canvas.drawPath(tail, paint(gold, stroke=9))
        canvas.rotate(-20)
        canvas.drawOval(skia.Rect.MakeLTRB(-32, -23, 32, 23), paint(gold))
        canvas.restore()
    write(canvas, "CITY ORCHESTRA", 120, 185, 46, "sans", "#7b1e2b", spacing=12)
    write(canvas, "Sundays", 112, 420, 200, "serif-black", "#2a1a1c")
    write(canvas, "sound better", 112, 580, 132, "serif-italic", "#7b1e2b")
    write(canvas, "at three.", 112, 726, 132, "serif-italic", "#7b1e2b")
    write(canvas, "Matinees, front stalls, home before dark.", 120, 820, 46, "sans", "#5c4a45")


@ad
def house_advertise(canvas: skia.Canvas) -> None:
    """House: this screen for sale."""
    background(canvas, "#12202f", "#0c3f4a", end=(W, H))
    glow(canvas, 1430, 470, 640, "#46d396", 0.28)
    screen = skia.Rect.MakeXYWH(1090, 210, 640, 420)
    canvas.drawRoundRect(screen, 34, 34, paint("#050b12"))
    canvas.drawRoundRect(
        skia.Rect.MakeXYWH(1112, 232, 596, 376),
        18,
        18,
        linear((1112, 232), (1708, 608), "#46d396", "#1fa3c4", "#7c5cff"),
    )
    canvas.drawRect(skia.Rect.MakeXYWH(1385, 630, 50, 250), linear((1385, 0), (1435, 0), "#334658", "#1a2836"))
    canvas.drawRoundRect(skia.Rect.MakeXYWH(1270, 870, 280, 26), 13, 13, paint("#334658"))
    write(canvas, "you", 1410, 470, 150, "fun", "#ffffff", align="center")
    for x, size, code in (
        (1010, 1.0, "#ffb454"),
        (1180, 0.86, "#ff6f91"),
        (1640, 0.9, "#8ad8ff"),
        (1800, 1.04, "#c9a6ff"),
    ):
        canvas.save()
        canvas.translate(x, 905)
        canvas.scale(size, size)
        canvas.drawCircle(0, -210, 52, paint(code))
        torso = skia.Path()
        torso.moveTo(-84, 0)
        torso.cubicTo(-88, -110, -60, -150, 0, -150)
        torso.cubicTo(60, -150, 88, -110, 84, 0)
        torso.close()
        canvas.drawPath(torso, paint(code))
        canvas.restore()
    write(canvas, "stationcast", 130, 185, 60, "manrope", "#46d396", spacing=-1)
    write(canvas, "The right ad,", 122, 420, 122, "manrope", "#ffffff", spacing=-4)
    write(canvas, "right here,", 122, 560, 122, "manrope", "#ffffff", spacing=-4)
    write(canvas, "right now.", 122, 700, 122, "manrope", "#46d396", spacing=-4)
    write(canvas, "Pay only when your audience was there.", 130, 795, 40, "manrope-medium", "#b8d3d8")


@ad
def house_seat(canvas: skia.Canvas) -> None:
    """House: offer your seat."""
    background(canvas, "#fbe9d0", "#f9dcb8")
    canvas.drawRect(skia.Rect.MakeLTRB(0, 850, W, H), paint("#2b3a67"))
    canvas.drawRect(skia.Rect.MakeLTRB(0, 850, W, 868), paint("#ff8552"))
    for x, code in ((1080, "#496a81"), (1330, "#ff8552"), (1580, "#496a81")):
        canvas.drawRoundRect(skia.Rect.MakeXYWH(x, 330, 210, 350), 46, 46, linear((x, 330), (x + 210, 680), code, code))
        canvas.drawRoundRect(skia.Rect.MakeXYWH(x - 10, 630, 230, 110), 36, 36, paint(code))
        canvas.drawRoundRect(skia.Rect.MakeXYWH(x - 10, 700, 230, 40), 20, 20, paint("#000000", 0.14))
        canvas.drawRect(skia.Rect.MakeXYWH(x + 30, 740, 22, 112), paint("#2b3a67"))
        canvas.drawRect(skia.Rect.MakeXYWH(x + 158, 740, 22, 112), paint("#2b3a67"))
        canvas.drawRoundRect(skia.Rect.MakeXYWH(x + 26, 356, 40, 250), 20, 20, paint("#ffffff", 0.13))
    heart = skia.Path()
    heart.moveTo(1435, 570)
    heart.cubicTo(1330, 490, 1360, 400, 1435, 452)
    heart.cubicTo(1510, 400, 1540, 490, 1435, 570)
    canvas.drawPath(heart, paint("#fff5e6"))
    canvas.drawRect(skia.Rect.MakeXYWH(1010, 190, 860, 16), paint("#2b3a67"))
    for x in (1185, 1435, 1685):
        canvas.drawLine(x, 200, x, 250, paint("#2b3a67", stroke=8))
        canvas.drawCircle(x, 276, 27, paint("#2b3a67", stroke=11))
    write(canvas, "Somebody", 118, 340, 146, "fun", "#2b3a67")
    write(canvas, "needs it more.", 118, 490, 120, "fun", "#ff8552")
    write(canvas, "Offer your seat.", 124, 620, 74, "fun", "#2b3a67")
    write(canvas, "A smile comes back with it.", 124, 700, 48, "sans", "#6a5a4c")


@ad
def house_library(canvas: skia.Canvas) -> None:
    """House: the public library."""
    background(canvas, "#213a2f", "#16281f")
    rng = random.Random(17)
    codes = ("#e4572e", "#f3a712", "#a8c686", "#669bbc", "#f1e3d3", "#c8553d", "#588b8b", "#ffd5c2", "#8e6c88")
    for base in (430, 830):
        canvas.drawRect(skia.Rect.MakeXYWH(960, base, 960, 30), linear((0, base), (0, base + 30), "#9a6a3c", "#6e4724"))
        canvas.drawRect(skia.Rect.MakeXYWH(960, base + 30, 960, 30), paint("#000000", 0.25, blur=12))
        x = 985.0
        while x < W:
            wide, tall = rng.uniform(34, 78), rng.uniform(190, 310)
            code = rng.choice(codes)
            lean = rng.random() < 0.1
            canvas.save()
            canvas.translate(x, base)
            if lean:
                canvas.rotate(-9)
                canvas.translate(-4, 4)
            canvas.drawRoundRect(skia.Rect.MakeXYWH(0, -tall, wide, tall), 5, 5, paint(code))
            canvas.drawRect(skia.Rect.MakeXYWH(wide * 0.78, -tall, wide * 0.22, tall), paint("#000000", 0.12))
            ink = "#2b2118" if code in ("#f1e3d3", "#ffd5c2", "#a8c686", "#f3a712") else "#fff6e6"
            canvas.drawRect(skia.Rect.MakeXYWH(0, -tall + 26, wide, 7), paint(ink, 0.75))
            canvas.drawRect(skia.Rect.MakeXYWH(0, -tall + 40, wide, 3), paint(ink, 0.75))
            canvas.drawRect(skia.Rect.MakeXYWH(0, -44, wide, 7), paint(ink, 0.75))
            canvas.restore()
            x += wide + (30 if lean else 3)
    write(canvas, "YOUR CITY LIBRARY", 120, 185, 46, "sans", "#a8c686", spacing=10)
    write(canvas, "Free.", 112, 400, 170, "serif-black", "#ffffff")
    write(canvas, "Quiet.", 112, 570, 170, "serif-black", "#ffffff")
    write(canvas, "Five minutes", 116, 700, 112, "serif-italic", "#f3a712")
    write(canvas, "from here.", 116, 815, 112, "serif-italic", "#f3a712")


def render(name: str) -> bytes:
    """The poster as a file of at most LARGEST_BYTES: a JPEG where that looks well, a WebP otherwise."""
    surface = skia.Surface(W * SCALE, H * SCALE)
    canvas = surface.getCanvas()
    canvas.scale(SCALE, SCALE)
    ADS[name](canvas)
    pixels = surface.makeImageSnapshot().toarray(colorType=skia.kRGBA_8888_ColorType)
    image = Image.fromarray(pixels).convert("RGB").resize((W, H), Image.Resampling.LANCZOS)
    for format_, quality in [*(("JPEG", q) for q in range(94, 83, -2)), *(("WEBP", q) for q in range(94, 60, -2))]:
        data = io.BytesIO()
        options = {"subsampling": 0, "optimize": True} if format_ == "JPEG" else {"method": 6}
        image.save(data, format_, quality=quality, **options)
        if data.tell() <= LARGEST_BYTES:
            return data.getvalue()
    raise ValueError(f"{name} does not fit {LARGEST_BYTES} bytes")


if __name__ == "__main__":
    for name in sys.argv[1:] or ADS:
        data = render(name)
        suffix = ".webp" if data[:4] == b"RIFF" else ".jpg"
        path = Path(__file__).parents[2] / "players" / "demo" / f"{name}{suffix}"
        path.write_bytes(data)
        print(f"{path.name} {len(data) // 1000} kB")
