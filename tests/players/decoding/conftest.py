"""Decoders that the tests of one file share: their server is started once."""

from collections.abc import Iterator

import pytest

from players.decoding.decoders import Decoders


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    """Start the server of one player."""
    decoders = Decoders()
    yield decoders
    decoders.close()
