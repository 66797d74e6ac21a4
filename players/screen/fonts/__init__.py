"""Fonts under the SIL Open Font License (OFL.txt), cut out of Noto Sans CJK by make.py."""

from pathlib import Path

PLOT_FONT = Path(__file__).with_name("NotoSansCJKkr-Regular-subset.otf")
"""Font of plots: ASCII, and the 2,350 syllables of KS X 1001, in which nearly all Korean is written."""
