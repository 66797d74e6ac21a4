"""Mistakes of the user."""


class SettingsError(Exception):
    """A mistake in what the user wrote: its text is the whole message, one line."""

    exit_code = 2
