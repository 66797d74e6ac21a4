"""The player of a screen: campaigns, the choice of the ad, the screen, the ledger that proves plays, and reports."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
