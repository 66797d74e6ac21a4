"""Examination of media files in throwaway processes with limits.

`probe(paths)` starts this file as a program, which forks once a media file. A file that crashes, hangs or swallows
memory ends only its own process. The program imports of ours only what reads media, and never follows a playlist. It
does not outlive the process that asked.
"""

import ctypes
import hashlib
import json
import os
import resource
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

VIDEOS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm", ".mkv": "matroska"}
"""Endings of the names of films, in small letters, and FFmpeg's names of their containers."""
CODECS = ("h264", "hevc", "vp9", "av1", "prores")
IMAGE_BYTES_MAX, VIDEO_BYTES_MAX = 64 << 20, 4 << 30
SIDE_PX_MAX = 16384
DURATION_MS_MIN, DURATION_MS_MAX = 1000, 600_000
MEMORY_BYTES_MAX = 3 << 30
CPU_S_MAX = 20
WALL_S_MAX = 40.0
FILM_CPU_S_MAX, FILM_WALL_S_MAX = 120, 240.0
"""Limits of a film, whose frames are all decoded once."""
DECODING_CPU_S, DECODING_WALL_S = 60.0, 120.0
"""Times after which only the last TAIL_S of a long film are still decoded."""
TAIL_S = 3.0
_NICE = 10
_PR_SET_PDEATHSIG = 1
_ROOT = Path(__file__).resolve().parents[2]
"""Folder of our packages."""
_READERS = ("colours", "film", "frames", "kinds", "matroska", "mp4", "pictures", "profiles")
"""Modules of `pipeline` that read media."""


def examiner() -> str:
    """Return a hash of the files that examine. When one changes, every medium is examined again."""
    files = (Path(__file__), *(_ROOT / "pipeline" / f"{name}.py" for name in _READERS))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def probe(paths: Iterable[Path]) -> dict[Path, dict[str, Any]]:
    """Return for each file what was found in it, or {problem}: one line of text.

    Found are kind, codec, width_px and height_px as seen, duration_ms, sound and sha256. `notes` say what is done to
    the medium, each in a few words.
    """
    wanted = list(dict.fromkeys(paths))
    answers: dict[Path, dict[str, Any]] = {}
    while len(answers) < len(wanted):
        left = [path for path in wanted if path not in answers]
        command = [sys.executable, "-I", str(Path(__file__).resolve()), str(os.getpid()), str(_ROOT)]
        try:
            done = subprocess.run(
                command,
                input="".join(json.dumps(str(path)) + "\n" for path in left),
                capture_output=True,
                text=True,
                timeout=sum(map(_wall_s_max, left)) + 60,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return answers | {
                path: {"problem": f"it cannot be examined now ({type(error).__name__})", "again": True} for path in left
            }
        lines = done.stdout.splitlines()
        for path, line in zip(left, lines, strict=False):
            answers[path] = json.loads(line)
        if len(lines) < len(left):
            answers[left[len(lines)]] = {
                "problem": "it cannot be examined: the examining process died; save it anew with another program"
            }
    return answers


def _is_film(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def _wall_s_max(path: Path) -> float:
    """Return the longest time for which a file is examined."""
    return FILM_WALL_S_MAX if _is_film(path) else WALL_S_MAX


def _tie_to(parent_pid: int) -> None:
    """Let this process die with its parent, whatever kills that."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def _serve(parent_pid: int) -> None:
    """Read paths as JSON lines and answer each with a JSON line.

    Every file is opened in a forked child only; what all children need is imported before. The priority is low, so that
    cameras do not wait for new media.
    """
    _tie_to(parent_pid)
    os.nice(_NICE)
    import PIL.Image
    import PIL.ImageCms

    import pipeline.film
    import pipeline.pictures  # noqa: F401

    PIL.Image.init()

    for line in sys.stdin:
        sys.stdout.write(json.dumps(_in_child(Path(json.loads(line)))) + "\n")
        sys.stdout.flush()


def _in_child(path: Path) -> dict[str, Any]:
    reader, writer = os.pipe()
    parent_pid = os.getpid()
    child = os.fork()
    if child == 0:
        _tie_to(parent_pid)
        os.close(reader)
        _examine_and_exit(path, writer)
    os.close(writer)
    try:
        answer = _read_all(reader, time.monotonic() + _wall_s_max(path))
    finally:
        os.close(reader)
    if answer is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if answer is None:
        return {"problem": f"it could not be read within {_wall_s_max(path):g} s; save it smaller", "again": True}
    try:
        return dict(json.loads(answer))
    except ValueError:
        return {"problem": f"reading it {_how_it_ended(status, path)}; save it anew with another program, or smaller"}


def _read_all(fd: int, deadline_s: float) -> bytes | None:
    """Return all that is written to the pipe; None where it is still open at the deadline (CLOCK_MONOTONIC)."""
    answer = b""
    while True:
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            return None
        part = os.read(fd, 65536)
        if not part:
            return answer
        answer += part


def _how_it_ended(status: int, path: Path) -> str:
    """Return in words how the process of a child ended that gave no answer."""
    if not os.WIFSIGNALED(status):
        return f"ended the process that tried (exit {os.waitstatus_to_exitcode(status)})"
    name = signal.Signals(os.WTERMSIG(status)).name
    if name in ("SIGXCPU", "SIGKILL"):
        return f"took more than {_cpu_s_max(path)} s, or more memory than there is"
    return f"ended the process that tried ({name})"


def _cpu_s_max(path: Path) -> int:
    return FILM_CPU_S_MAX if _is_film(path) else CPU_S_MAX


def _examine_and_exit(path: Path, writer: int) -> NoReturn:
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for limit, most in (
            (resource.RLIMIT_AS, MEMORY_BYTES_MAX),
            (resource.RLIMIT_CPU, _cpu_s_max(path)),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(limit, (most, most))
        try:
            answer = _examine(path)
        except MemoryError:
            answer = {"problem": "it needs too much memory; save it smaller"}
        except Exception as error:
            answer = {"problem": " ".join(f"it cannot be decoded ({type(error).__name__}: {error})".split())[:300]}
        os.write(writer, json.dumps(answer).encode())
        code = 0
    finally:
        os._exit(code)


def _examine(path: Path) -> dict[str, Any]:
    from pipeline.kinds import SUFFIXES, sniff, sniff_film

    suffix = path.suffix.lower()
    info = path.stat()
    if not stat.S_ISREG(info.st_mode):
        return {"problem": "it is not a regular file"}
    with path.open("rb") as stream:
        head = stream.read(4096)
    is_picture = suffix in SUFFIXES or bool(sniff(head))
    if not info.st_size:
        return {"problem": "it is empty (0 bytes); copy it here again"}
    container = sniff_film(head)
    if container and container not in VIDEOS.values() and not sniff(head):
        return {"problem": f"it is a film in {container}, which is not played; export it as MP4 with H.264"}
    if not is_picture and suffix not in VIDEOS:
        known = " ".join([*sorted(SUFFIXES), *VIDEOS])
        return {"problem": f"unknown kind {suffix!r}; save it as one of {known}"}
    most = IMAGE_BYTES_MAX if is_picture else VIDEO_BYTES_MAX
    if info.st_size > most:
        return {"problem": f"it is larger than {most >> 20} MiB; save it smaller"}
    found = _image(path, head) if is_picture else _video(path, container or VIDEOS[suffix])
    if "problem" not in found:
        with path.open("rb") as stream:
            found["sha256"] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _image(path: Path, head: bytes) -> dict[str, Any]:
    """Decode the whole picture, every frame of an animated one, as the player will."""
    from pipeline.kinds import sniff_film
    from pipeline.pictures import NotAPictureError, Picture, PictureError

    try:
        with Picture(path) as picture:
            if picture.animated:
                for _ in picture.frames():
                    pass
                image = picture.pixels((0, 0, 0))
            else:
                image = picture.first((0, 0, 0))
    except NotAPictureError as error:
        if sniff_film(head):
            return {"problem": "it is a film under the name of a picture; rename it to .mp4, .webm or .mkv"}
        return {"problem": str(error)}
    except PictureError as error:
        return {"problem": str(error)}
    return {"kind": "image", "width_px": image.width, "height_px": image.height, "duration_ms": 0, "sound": False} | {
        "codec": picture.kind.lower(),
        "notes": picture.notes,
    }


def _video(path: Path, container_format: str) -> dict[str, Any]:
    import av

    try:
        found = _film(path, container_format)
        if "problem" not in found:
            found["duration_ms"] = _duration_ms(path, container_format)
    except av.FFmpegError:
        return {"problem": f"it cannot be decoded: it is damaged, or no {path.suffix} film; export or copy it anew"}
    except ValueError as error:
        return {"problem": str(error)}
    if "problem" in found:
        return found
    if DURATION_MS_MIN <= found["duration_ms"] <= DURATION_MS_MAX:
        damage = _damage(path, container_format, found["duration_ms"] / 1000)
        return {"problem": damage} if damage else found
    limits = f"at least {DURATION_MS_MIN // 1000}, at most {DURATION_MS_MAX // 1000}"
    advice = "save a still picture as .png or .jpg, or export a longer film"
    if found["duration_ms"] > DURATION_MS_MAX:
        advice = "cut it into parts"
    return {"problem": f"it lasts {found['duration_ms'] / 1000:g} s; {limits}; {advice}"}


def _film(path: Path, container_format: str) -> dict[str, Any]:
    """Return what the first frames of a film tell, or {problem}."""
    from pipeline.film import Film
    from pipeline.pictures import PIXELS_MAX

    with Film(path, container_format=container_format, threads=1) as film:
        codec = film.stream.codec_context
        if film.codec not in CODECS:
            known = ", ".join(CODECS)
            return {"problem": f"codec {film.codec} is not played; known: {known}; export it as h264"}
        if not 0 < codec.width * codec.height <= PIXELS_MAX or max(codec.width, codec.height) > SIDE_PX_MAX:
            return {"problem": f"a frame of {codec.width}x{codec.height} pixels cannot be played; export it smaller"}
        frames = list(islice(film.decoded(), 5))
        if not frames:
            return {"problem": "no frame of it can be decoded; export it again"}
        told = next((frame for frame in frames if frame.interlaced_frame), frames[0])
        width_px, height_px = film.upright_px(told)
        return {
            "kind": "video",
            "width_px": width_px,
            "height_px": height_px,
            "sound": bool(film.container.streams.audio),
            "codec": film.codec,
            "notes": film.notes(told),
        }


def _damage(path: Path, container_format: str, length_s: float) -> str:
    """Decode a film from its first frame to its last; return what is damaged, or nothing.

    Of a film that takes too long, what is left is passed over up to its last seconds.
    """
    import av

    from pipeline.film import Film

    until_cpu_s, until_s = time.process_time() + DECODING_CPU_S, time.monotonic() + DECODING_WALL_S
    at_s = 0.0
    try:
        with Film(path, container_format=container_format, threads=1) as film:
            for at_s, _, frame in film.timed():
                if frame.is_corrupt:
                    return _damaged(at_s)
                if time.process_time() > until_cpu_s or time.monotonic() > until_s:
                    break
            else:
                return ""
        with Film(path, container_format=container_format, threads=1) as film:
            base_s = float(film.stream.time_base or 1)
            begins = (film.stream.start_time or 0) * base_s
            at_s = max(at_s, length_s - TAIL_S)
            film.container.seek(round((begins + at_s) / base_s), stream=film.stream)
            for frame in film.decoded():
                if frame.is_corrupt and (frame.time or 0.0) >= begins + at_s:
                    return _damaged(frame.time or at_s)
    except av.FFmpegError:
        return _damaged(at_s)
    return ""


def _damaged(at_s: float) -> str:
    return f"its picture is damaged after {at_s:.1f} s; export or copy it anew"


def _duration_ms(path: Path, container_format: str) -> int:
    from pipeline.film import Film

    with Film(path, container_format=container_format) as film:
        return round(film.length_s() * 1000)


if __name__ == "__main__":
    sys.path.append(sys.argv[2])
    _serve(int(sys.argv[1]))
