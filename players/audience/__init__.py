"""The people in front of the screen, as numbers."""
