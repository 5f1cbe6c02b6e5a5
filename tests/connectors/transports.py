"""Each implementation of `Transport` in turn, for tests that both have to pass."""

from collections.abc import Iterator
from typing import Any

import pytest

from connectors.transport import Carrier, Transport
from gateway.sources import TRANSPORTS

_chosen = Carrier.HTTPTOOLS


def reach(base_url: str, **given: Any) -> Transport:
    """A transport to a source, of the implementation whose turn it is."""
    return TRANSPORTS[_chosen](base_url, **given)


@pytest.fixture(params=list(Carrier), ids=str)
def each_transport(request: pytest.FixtureRequest) -> Iterator[Carrier]:
    """Run a test once for each implementation."""
    global _chosen
    _chosen = request.param
    yield request.param
    _chosen = Carrier.HTTPTOOLS
