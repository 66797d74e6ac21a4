"""Scenes with truth: labelled people walk, stop, turn away and cover each other before a camera, frame by frame."""
