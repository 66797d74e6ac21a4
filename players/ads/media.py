"""Examination of media files in throwaway processes with limits.

An `Examiner` (examiner.py) starts this file as a program, which forks once a media file. A file that crashes, hangs or
swallows memory ends only its own process. The program imports of ours only what reads media, and never follows a
playlist. It does not outlive the process that asked.

A file is opened once. Its hashes are taken first; then what is decoded are blocks that still have them.
"""

import base64
import json
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

VIDEOS = (".mp4", ".m4v", ".mov", ".webm", ".mkv")
"""Endings of the names of films, in small letters."""
PLAYED = ("mp4", "matroska")
"""Kinds of films that are played (`kinds.FILMS`): .mp4 and .mov, .mkv and .webm."""
HEAD_BYTES = 4096
"""Length of the beginning of a file that says of what kind it is."""
IMAGE_BYTES_MAX, VIDEO_BYTES_MAX = 64 << 20, 4 << 30
SIDE_PX_MAX = 16384
DURATION_MS_MIN, DURATION_MS_MAX = 1000, 600_000
MEMORY_BYTES_MAX = 3 << 30
FRAMES_MAX = 240 * DURATION_MS_MAX // 1000
"""Largest number of frames of a film, whatever its header says: 240 a second for as long as an ad may last."""
STILL_CPU_S_MAX = 8.0
"""Longest processor time that a still picture may take to decode: each play of it takes as long again."""
CPU_S_MAX = 20
WALL_S_MAX = 40.0
QUICK_CPU_S, QUICK_WALL_S = 2, 10.0
"""Limits of a quick look, after which most media are examined."""
FILM_CPU_S_MAX, FILM_WALL_S_MAX = 120, 240.0
"""Limits of a film, whose frames are all decoded once."""
DECODING_CPU_S, DECODING_WALL_S = 60.0, 120.0
"""Times after which only the last TAIL_S of a long film are still decoded."""
TAIL_S = 3.0
ANSWER_BYTES_MAX = 1 << 20
"""Longest answer about one file; most of it are the hashes of its blocks."""
_ENDS_WITHIN_S = 2.0
_NICE = 10
_NAMED_PICTURE = "it is a film under the name of a picture; rename it to .mp4, .webm or .mkv"


def _is_film(path: Path) -> bool:
    return path.suffix.lower() in VIDEOS


def wall_s_max(path: Path) -> float:
    """Return the longest time for which a file is examined."""
    return FILM_WALL_S_MAX if _is_film(path) else WALL_S_MAX


def _serve(parent_pid: int) -> None:
    """Read paths as JSON lines and answer each with a JSON line.

    Every file is opened in a forked child only; what all children need is imported before. The priority is low, so that
    cameras do not wait for new media.
    """
    from pipeline.guard import go_first, keep_to_itself, tie_to_parent

    go_first()
    keep_to_itself()
    tie_to_parent(parent_pid)
    os.nice(_NICE)
    import PIL.Image
    import PIL.ImageCms

    import pipeline.film
    import pipeline.pictures  # noqa: F401

    PIL.Image.init()

    for line in sys.stdin:
        path, known, quick = json.loads(line)
        sys.stdout.write(json.dumps(_in_child(Path(path), known, quick)) + "\n")
        sys.stdout.flush()


def _in_child(path: Path, known: list[str], quick: bool) -> dict[str, Any]:
    """Examine a file in a process of its own, which tells what it finds part by part, in lines of JSON."""
    reader, writer = os.pipe()
    pid = os.getpid()
    child = os.fork()
    if child == 0:
        _examine_and_exit(pid, path, known, QUICK_CPU_S if quick else _cpu_s_max(path), writer)
    os.close(writer)
    try:
        until_s = time.monotonic() + (QUICK_WALL_S if quick else wall_s_max(path))
        parts, in_time = read_until(reader, until_s, ANSWER_BYTES_MAX)
    finally:
        os.close(reader)
    too_much = len(parts) >= ANSWER_BYTES_MAX
    if not in_time or too_much or not _has_ended(child):
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    cpu_s = round(usage.ru_utime + usage.ru_stime, 3)
    told = _told(parts)
    if quick and (not in_time or (status and cpu_s > QUICK_CPU_S - 0.2)):
        return {"slow": True, "cpu_s": cpu_s} | {name: told[name] for name in ("sha256",) if name in told}
    if not in_time:
        problem = f"it could not be read within {wall_s_max(path):g} s; save it smaller"
        told |= {"problem": problem, "unfinished": True}
    elif status and not {"kind", "problem"} & told.keys():  # else it has said all, and only its end was slow
        ended = "told more than there is to tell" if too_much else _how_it_ended(status, path)
        problem = f"reading it {ended}; save it anew with another program, or smaller"
        told |= {"problem": problem, "unfinished": True}
    if "problem" in told:
        told.pop("blocks", None)
    return told | {"cpu_s": cpu_s}


def _has_ended(child: int) -> bool:
    """Return whether a process that has no more to say ends within a moment."""
    pidfd = os.pidfd_open(child)
    try:
        return bool(select.select([pidfd], [], [], _ENDS_WITHIN_S)[0])
    finally:
        os.close(pidfd)


def _told(parts: bytes) -> dict[str, Any]:
    """Return what a child has told. What it said first holds: of the hashes, before any decoder saw the file.

    A decoder that a medium has taken over may say anything afterwards; what is no line of JSON is left out.
    """
    told: dict[str, Any] = {}
    for line in parts.splitlines():
        try:
            part = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(part, dict):
            told = part | told
    if "problem" in told:
        told["problem"] = " ".join(str(told["problem"]).split())[:300]
    return told


def read_until(fd: int, deadline_s: float, most_bytes: int, end: bytes = b"") -> tuple[bytes, bool]:
    """Return what is written to a pipe until it is closed, `end` comes, or it is too much, and True.

    False comes first at the deadline, a time of CLOCK_MONOTONIC.
    """
    told = bytearray()
    while len(told) < most_bytes and not (end and told.endswith(end)):
        ready, _, _ = select.select([fd], [], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            return bytes(told), False
        part = os.read(fd, min(65536, most_bytes - len(told)))
        if not part:
            break
        told += part
    return bytes(told), True


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


def _examine_and_exit(parent_pid: int, path: Path, known: list[str], cpu_s_max: int, writer: int) -> NoReturn:
    """Examine a file and write what is found to a pipe, the only descriptor of this process."""
    from pipeline.guard import FIRST_KEPT, limit_work, shut_in

    code = 1
    try:
        shut_in(parent_pid, [writer])
        limit_work(memory_mib=MEMORY_BYTES_MAX >> 20, cpu_s=cpu_s_max, file_bytes=0)
        with open(FIRST_KEPT, "w") as answers:
            for told in _answers(path, known):
                answers.write(json.dumps(told) + "\n")
                answers.flush()
        code = 0
    finally:
        os._exit(code)


def _answers(path: Path, known: list[str]) -> Iterator[dict[str, Any]]:
    """Yield what is found in a file, part by part; its hashes come before any decoder sees it.

    A content that is known ends there. Where a read fails, nothing is said of the content.
    """
    from pipeline.medium import Medium, MediumError, fingerprint, open_plain

    try:
        fd = open_plain(path)
        problem = _refused(path, fd)
        if problem:
            yield {"problem": problem}
            return
        hashes = fingerprint(fd)
        yield {"sha256": hashes.sha256, "bytes": os.fstat(fd).st_size}
        if hashes.sha256 in known:
            return
        yield {"blocks": base64.b64encode(hashes.blocks).decode()}
        medium = Medium(fd, hashes.blocks)
        found = _examine_whole(path, medium.buffered())
        yield {"problem": medium.trouble, "again": True} if medium.trouble else found
    except MediumError as error:
        yield {"problem": str(error), "again": True}
    except OSError as error:
        yield {"problem": f"it cannot be read now ({error.strerror or type(error).__name__})", "again": True}


def _examine_whole(path: Path, file: BinaryIO) -> dict[str, Any]:
    """Return what is found in an open file, or {problem}, whatever happens on the way."""
    try:
        return _examine(path, file)
    except MemoryError:
        return {"problem": "it needs too much memory; save it smaller"}
    except Exception as error:
        return {"problem": f"it cannot be decoded ({type(error).__name__}: {error})"}


def _is_picture(path: Path, head: bytes) -> bool:
    from pipeline.kinds import SUFFIXES, sniff

    return path.suffix.lower() in SUFFIXES or bool(sniff(head))


def _refused(path: Path, fd: int) -> str:
    """Return why an open file is not even looked into; empty where it is."""
    from pipeline.kinds import SUFFIXES, sniff, sniff_film

    size_bytes, head = os.fstat(fd).st_size, os.pread(fd, HEAD_BYTES, 0)
    is_picture, container = _is_picture(path, head), sniff_film(head)
    if not size_bytes:
        return "it is empty (0 bytes); copy it here again"
    if container and container not in PLAYED and not sniff(head):
        return f"it is a film in {container.split()[0]}, which is not played; export it as MP4 with H.264"
    if container and not sniff(head) and path.suffix.lower() in SUFFIXES:  # told before the content is hashed:
        return _NAMED_PICTURE  # under another name the same film is good
    if not is_picture and path.suffix.lower() not in VIDEOS:
        known = " ".join([*sorted(SUFFIXES), *VIDEOS])
        return f"unknown kind {path.suffix.lower()!r}; save it as one of {known}"
    most = IMAGE_BYTES_MAX if is_picture else VIDEO_BYTES_MAX
    return f"it is larger than {most >> 20} MiB; save it smaller" if size_bytes > most else ""


def _examine(path: Path, file: BinaryIO) -> dict[str, Any]:
    head = file.read(HEAD_BYTES)
    file.seek(0)
    return _image(file, head) if _is_picture(path, head) else _video(path, file)


def _image(file: BinaryIO, head: bytes) -> dict[str, Any]:
    """Decode the whole picture, every frame of an animated one, as the player will."""
    from pipeline.kinds import sniff_film
    from pipeline.pictures import NotAPictureError, Picture, PictureError

    began_s = time.process_time()
    try:
        with Picture(file) as picture:
            if picture.animated:
                for _ in picture.frames():
                    pass
                image = picture.pixels((0, 0, 0))
            else:
                image = picture.first((0, 0, 0))
    except NotAPictureError as error:
        return {"problem": _NAMED_PICTURE if sniff_film(head) else str(error)}
    except PictureError as error:
        return {"problem": str(error)}
    took_s = time.process_time() - began_s
    if not picture.animated and took_s > STILL_CPU_S_MAX:
        return {"problem": f"it takes {took_s:.0f} s of a processor to decode; save it anew, or smaller"}
    return {"kind": "image", "width_px": image.width, "height_px": image.height, "duration_ms": 0, "sound": False} | {
        "moves": picture.animated,
        "container": picture.kind.lower(),
        "codec": picture.kind.lower(),
        "notes": picture.notes,
    }


def _video(path: Path, file: BinaryIO) -> dict[str, Any]:
    import av

    try:
        found = _film(file)
        if "problem" not in found:
            found["duration_ms"] = _duration_ms(file)
    except av.FFmpegError:
        return {"problem": f"it cannot be decoded: it is damaged, or no {path.suffix} film; export or copy it anew"}
    except ValueError as error:
        return {"problem": str(error)}
    if "problem" in found:
        return found
    if DURATION_MS_MIN <= found["duration_ms"] <= DURATION_MS_MAX:
        damage = _damage(file, found["duration_ms"] / 1000)
        return {"problem": damage} if damage else found
    limits = f"at least {DURATION_MS_MIN // 1000}, at most {DURATION_MS_MAX // 1000}"
    advice = "save a still picture as .png or .jpg, or export a longer film"
    if found["duration_ms"] > DURATION_MS_MAX:
        advice = "cut it into parts"
    return {"problem": f"it lasts {found['duration_ms'] / 1000:g} s; {limits}; {advice}"}


def _film(file: BinaryIO) -> dict[str, Any]:
    """Return what the first frames of a film tell, or {problem}."""
    from pipeline.film import Film
    from pipeline.kinds import SCREEN_CODECS
    from pipeline.pictures import PIXELS_MAX

    with Film(file, codecs=SCREEN_CODECS, threads=1) as film:
        codec = film.stream.codec_context
        if film.stream.frames > FRAMES_MAX:
            return {"problem": f"it says that it has {film.stream.frames} frames; at most {FRAMES_MAX}: export it anew"}
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
            "moves": True,
            "container": film.kind,
            "codec": film.codec,
            "notes": film.notes(told),
        }


def _damage(file: BinaryIO, length_s: float) -> str:
    """Decode a film from its first frame to its last; return what is damaged, or nothing.

    Of a film that takes too long, what is left is passed over up to its last seconds.
    """
    import av

    from pipeline.film import Film
    from pipeline.kinds import SCREEN_CODECS

    until_cpu_s, until_s = time.process_time() + DECODING_CPU_S, time.monotonic() + DECODING_WALL_S
    at_s = 0.0
    try:
        with Film(file, codecs=SCREEN_CODECS, threads=1) as film:
            for at_s, _, frame in film.timed():
                if frame.is_corrupt:
                    return _damaged(at_s)
                if time.process_time() > until_cpu_s or time.monotonic() > until_s:
                    break
            else:
                return ""
        with Film(file, codecs=SCREEN_CODECS, threads=1) as film:
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


def _duration_ms(file: BinaryIO) -> int:
    from pipeline.film import Film
    from pipeline.kinds import SCREEN_CODECS

    with Film(file, codecs=SCREEN_CODECS) as film:
        return round(film.length_s(FRAMES_MAX) * 1000)


if __name__ == "__main__":
    sys.path.append(sys.argv[2])
    _serve(int(sys.argv[1]))
