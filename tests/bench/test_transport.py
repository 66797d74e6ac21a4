"""Hand-overs to another process."""

import subprocess
import threading
from typing import Any

import numpy as np
import pytest

from bench import transport
from bench.rig.processes import peer
from pipeline.errors import UserError


@pytest.mark.parametrize("way", ["ring", "tcp"])
def test_a_receiver_that_dies_is_an_error(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_SILENT_MS", 500)
    started: list[subprocess.Popen[str]] = []

    def doomed(*arguments: str, **options: Any) -> "subprocess.Popen[str]":
        started.append(peer(*arguments, **options))
        return started[-1]

    def send_to_the_doomed(*arguments: Any, **options: Any) -> tuple[float, float, int]:
        threading.Timer(0.5, started[0].kill).start()
        return send(*arguments, **options)

    send = transport._send
    monkeypatch.setattr(transport, "peer", doomed)
    monkeypatch.setattr(transport, "_send", send_to_the_doomed)
    with pytest.raises(UserError, match="has not answered"):
        transport.hand_over_rate(way, np.zeros((64, 64, 3), np.uint8), 60)
    assert started[0].poll() is not None
