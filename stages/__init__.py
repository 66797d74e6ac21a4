"""Stages of a frame: capture, detect, classify."""
