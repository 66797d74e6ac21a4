"""Standard streams that never hold up a station, whatever they lead to."""

import codecs
import contextlib
import errno
import io
import json
import os
import queue
import stat
import sys
import threading
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from pipeline.clean import clean, clean_lines
from pipeline.errors import UserError
from pipeline.log import stream_name, to_journal
from pipeline.system import plain


class CleanStream:
    """Text stream in which everything that is written is clean, whoever writes it; see `pipeline.clean`."""

    def __init__(self, out: Any) -> None:
        self.out = out

    def __getattr__(self, name: str) -> Any:
        return getattr(self.out, name)

    def write(self, text: str) -> int:
        self.out.write(clean_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


class Terminal(Console):
    """Console of rich whose text is clean. Only its own colours and moves of the cursor reach the terminal."""

    def __init__(self, file: Any = None, *, stderr: bool = False, **options: Any) -> None:
        """Write to a file; without one to standard output, or to standard error if `stderr`."""
        super().__init__(file=_without_cleaning(file or (sys.stderr if stderr else sys.stdout)), **options)

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(clean_lines(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for part in super().render(renderable, options):
            yield part if part.control else Segment(clean_lines(part.text), part.style)


def _without_cleaning(stream: Any) -> Any:
    """Return the stream that a CleanStream writes to, and any other as it is."""
    return stream.out if isinstance(stream, CleanStream) else stream


class Stream:
    """Stream that never blocks its writers. A thread of its own writes to it, and what it does not take is lost.

    A stream may stand still (Ctrl-S, a connection that hangs, a pipe that nobody reads) or close while a station runs.
    """

    def __init__(self, out: Any) -> None:
        self._out = _without_cleaning(out)
        self._waiting: queue.Queue[str | None] = queue.Queue(256)
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._out, name)

    def write(self, text: str) -> int:
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: the thread keeps nothing back."""

    def close(self) -> None:
        """Wait at most two seconds until everything is written."""
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=1)
            self._thread.join(timeout=1)

    def _pump(self) -> None:
        while (text := self._waiting.get()) is not None:
            data = text.encode(self._out.encoding or "utf-8", "backslashreplace")
            with contextlib.suppress(OSError):  # a disk that is full may have room again
                while data:  # not through the stream: it could not be closed while a write to it hangs
                    data = data[os.write(self._out.fileno(), data) :]


@contextlib.contextmanager
def standard_error() -> Iterator[None]:
    """Let standard error hold up nothing meanwhile."""
    with (
        contextlib.closing(Stream(sys.stderr)) as stream,
        contextlib.redirect_stderr(cast(TextIO, CleanStream(stream))),
    ):
        yield


@contextlib.contextmanager
def standard_output() -> Iterator[Terminal]:
    """Give a console on standard output that neither ends nor holds up the station."""
    if not sys.stdout.isatty():
        yield Terminal()
        return
    with contextlib.closing(Stream(sys.stdout)) as terminal:
        yield Terminal(terminal)


@contextlib.contextmanager
def log_lines() -> Iterator[int]:
    """Give a file descriptor for the children's stderr: its lines go where ours do, and block no child."""
    read_fd, write_fd = os.pipe()
    before = os.environ.get("JOURNAL_STREAM", "")
    if to_journal:  # the children's lines get there too
        os.environ["JOURNAL_STREAM"] = stream_name(write_fd)

    def pump() -> None:
        with os.fdopen(read_fd, errors="replace") as lines:
            for text in lines:
                sys.stderr.write(clean(text.rstrip("\n")) + "\n")

    thread = threading.Thread(target=pump, daemon=True)
    thread.start()
    try:
        yield write_fd
    finally:
        os.close(write_fd)
        thread.join(timeout=1)
        if to_journal:
            os.environ["JOURNAL_STREAM"] = before


@contextlib.contextmanager
def open_streams() -> Iterator[None]:
    """Let standard streams that were closed lead nowhere, the others take any letter, and keep them clean meanwhile.

    A stream that was closed would give its place to the next file that is opened, here and in the children. A letter
    that the locale's encoding lacks is written as an escape such as `\\ubaa8`. ASCII is what a machine without a locale
    says, and is taken for UTF-8, as Python itself does for the locale C.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            fd = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is the stream's own
            os.set_inheritable(fd, True)
            setattr(sys, name, os.fdopen(fd, mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            stream.reconfigure(encoding="utf-8" if is_ascii else None, errors="backslashreplace")
    sys.excepthook = _tell
    out, err = cast(TextIO, CleanStream(sys.stdout)), cast(TextIO, CleanStream(sys.stderr))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an error that nobody has caught as Python does, but clean."""
    sys.stderr.write(clean_lines("".join(traceback.format_exception(kind, error, trace))))


def speak_utf_8() -> None:
    """Start this program anew in Python's UTF-8 mode where the locale's encoding is another.

    Names of files are UTF-8 on Linux whatever the locale says, and Python could not open most of them. What is written
    to the standard streams keeps the locale's encoding, but for ASCII, which is no choice of a person.
    """
    if sys.getfilesystemencoding() == "utf-8" or sys.flags.ignore_environment:
        return
    encoding = getattr(sys.stdout or sys.stderr, "encoding", "ascii")
    if codecs.lookup(encoding).name != "ascii":
        os.environ["PYTHONIOENCODING"] = encoding
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606


def machine_output() -> TextIO:
    """Return standard output for what programs read (csv, JSON): UTF-8 with line ends as written, in any locale.

    Nothing is cleaned here: csv and JSON have to be clean themselves.
    """
    stdout: TextIO = _without_cleaning(sys.stdout)
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(encoding="utf-8", newline="")
    return stdout


def json_text(value: Any, **options: Any) -> str:
    """Return a value as clean JSON in the letters of its texts. `options` are those of `json.dumps`."""
    return clean_lines(json.dumps(value, ensure_ascii=False, **options))


def is_new_file(stream: TextIO) -> bool:
    """Return whether a stream leads to a file in which nothing stands yet, as `>` makes one."""
    try:
        info = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(info.st_mode) and os.lseek(stream.fileno(), 0, os.SEEK_CUR) == 0 == info.st_size


@contextlib.contextmanager
def new_file(path: Path, *, binary: bool = False) -> Iterator[Any]:
    """Give a stream to a file, which appears whole at its place or not at all; text is UTF-8 as it is written.

    Raises UserError where the file cannot be written. A device or a pipe is written to as it is.
    """
    options: dict[str, Any] = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": ""}
    part = path
    try:
        if (not path.exists() or path.is_file()) and os.access(path.resolve().parent, os.W_OK):
            path = path.resolve()  # a link stays one
            part = path.with_name(f".{path.name}.{os.getpid()}.part")
            if path.exists() and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, "")
        with part.open(**options) as stream:
            yield stream
        if part != path:
            if path.exists():
                part.chmod(stat.S_IMODE(path.stat().st_mode))
            part.replace(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {plain(error)}") from None
    finally:
        if part != path:
            part.unlink(missing_ok=True)
