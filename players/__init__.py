"""What is shown, why, and the proof of it: campaigns, choice, screen, ledger, reports."""

import os

os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
