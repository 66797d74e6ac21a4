"""Mistakes of the user."""

from typing import IO, Any

import click

from pipeline.clean import clean
from pipeline.log import prefix


class UserError(click.ClickException):
    """Mistake of the user, told in one line that names the file, the key and the remedy. A command ends with code 2."""

    exit_code = 2

    def __init__(self, message: str) -> None:
        """Take the message; line ends become blanks, and characters that are not seen escapes."""
        super().__init__(clean(message.replace("\n", " ")))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message on stderr as every command of stationcast does; journald is told its severity."""
        click.echo(f"{prefix('err')}stationcast: error: {' '.join(self.message.split())}", file, err=file is None)


class TemporaryError(UserError):
    """Trouble that may pass without the user, such as a full disk. Code 75 (EX_TEMPFAIL) lets a service try again."""

    exit_code = 75
