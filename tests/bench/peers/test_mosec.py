"""mosec, the server to compare with."""

import socket

import pytest

from bench.peers import mosec
from pipeline.errors import UserError


def test_a_server_that_does_not_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosec, "_ANSWER_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(UserError, match="for too long"):
            mosec.drive(port, b"crop", 2, 0.1)
    with pytest.raises(UserError, match="Connect"):
        mosec.drive(port, b"crop", 2, 0.1)
