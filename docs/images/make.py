"""Makes the README's pictures with the program itself: the demo's screen and its live view."""

import re
import tempfile
import threading
import time
from io import StringIO
from pathlib import Path

import msgspec
from PIL import Image
from rich.console import Console

from pipeline.operator.snapshot import ScreenState, Snapshot
from pipeline.operator.terminal import render
from pipeline.settings import Station, demo_station
from pipeline.supervisor import Supervisor

HERE = Path(__file__).parent


def main() -> None:
    """Run the demo until an ad for somebody present is on, and keep what screen and terminal show."""
    with tempfile.TemporaryDirectory() as folder:
        supervisor = Supervisor(_demo(Path(folder)))
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        try:
            while True:
                before = supervisor.snapshot()
                time.sleep(3)  # the screenshot is written once a second
                now = supervisor.snapshot()
                first, screen = _screen(before), _screen(now)
                if first.trigger == "target" and first.plays.total > 2 and screen.since_ms == first.since_ms:
                    break
            console = Console(record=True, width=118, file=StringIO())
            named = msgspec.structs.replace(screen, screenshot="screen.png")  # not the path of a temporary folder
            console.print(render(msgspec.structs.replace(now, screens=(named,)), before, console.width))
            drawing = console.export_svg(title="stationcast run")
            without_remote_fonts = re.sub(r"@font-face {.*?}", "", drawing, flags=re.S)
            (HERE / "live.svg").write_text(without_remote_fonts)
            Image.open(Path(folder) / "screen.png").convert("RGB").save(HERE / "screen.jpg", quality=88)
        finally:
            supervisor.stop()
            thread.join()


def _demo(folder: Path) -> Station:
    station = demo_station()
    screen = msgspec.structs.replace(station.screens[0], headless=True, screenshot="screen.png")
    table = msgspec.structs.replace(station.station, state_dir=".")
    return msgspec.structs.replace(station, screens=(screen,), station=table, folder=folder)


def _screen(snapshot: Snapshot) -> ScreenState:
    return snapshot.screens[0] if snapshot.screens else ScreenState(name="")


if __name__ == "__main__":
    main()
