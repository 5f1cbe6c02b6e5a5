"""What is written to a connection is read in time, or the connection ends."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.responses import Response

from gateway.http.reading_deadline import READING_SECONDS, ReadConnection
from gateway.http.server import listening_socket, served

QUICK_SECONDS = 0.5
"""Instead of the deadline of a real connection."""


@pytest.fixture
def quickly() -> Iterator[None]:
    """A deadline that a test can wait for."""
    ReadConnection.reading_seconds = QUICK_SECONDS
    yield
    ReadConnection.reading_seconds = READING_SECONDS


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("connection", ["keep-alive", "close"])
async def test_an_answer_that_nobody_reads_ends_its_connection(connection: str) -> None:
    listener, size = listening_socket("127.0.0.1", 0), 50_000_000
    async with served(Response(b"x" * size), listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        writer.write(f"GET / HTTP/1.1\r\nHost: gateway\r\nConnection: {connection}\r\n\r\n".encode())
        await asyncio.sleep(4 * QUICK_SECONDS)
        async with asyncio.timeout(4 * QUICK_SECONDS):
            assert len(await reader.read()) < size
        writer.close()


@pytest.mark.usefixtures("quickly")
async def test_an_answer_that_is_read_in_time_leaves_whole() -> None:
    listener, size = listening_socket("127.0.0.1", 0), 20_000_000
    async with served(Response(b"x" * size), listener):
        reader, writer = await asyncio.open_connection(*listener.getsockname())
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: gateway\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"200 OK" in head
            assert len(await reader.readexactly(size)) == size
            await asyncio.sleep(2 * QUICK_SECONDS)
        writer.close()
