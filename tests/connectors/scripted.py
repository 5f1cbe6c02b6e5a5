"""A source that does what a test says, on a real socket: well-formed, broken, slow or hostile, byte by byte."""

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

DRIP_SECONDS = 0.02
TLS_GOODBYE_SECONDS = 0.05
"""For so long a closing server waits for the other side, which reads nothing while its connection is idle."""

Step = Callable[["Connection"], Awaitable[None]]
"""What happens on one request, once it was read."""


@dataclass
class Connection:
    """One accepted connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def hang(self) -> None:
        """Wait until the other side goes away."""
        while await self.reader.read(65536):
            pass

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class ScriptedSource:
    """A server that plays its steps in turn, one a request; the last one is repeated."""

    steps: Sequence[Step]
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    open_connections: int = 0
    base_url: str = ""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open_connections += 1
        try:
            while request := await _read_request(reader):
                step = self.steps[min(len(self.requests), len(self.steps) - 1)]
                self.requests.append(request)
                await step(Connection(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_connections -= 1
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def scripted(*steps: Step, port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedSource]:
    """A running source; all its connections are gone when the block is left. `port` 0 takes a free one."""
    source = ScriptedSource(steps)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(asyncio.CancelledError):
            await source._serve(reader, writer)

    server = await asyncio.start_server(
        serve, "127.0.0.1", port, ssl=tls, ssl_shutdown_timeout=TLS_GOODBYE_SECONDS if tls else None
    )
    source.base_url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield source
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


def head_of(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} Scripted", *headers, "", ""]).encode()


def reply(body: bytes, content_type: str, *headers: str, status: int = 200) -> Step:
    """An ordinary reply."""
    head = head_of(status, f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *headers)

    async def step(connection: Connection) -> None:
        await connection.send(head + body)

    return step


def raw(octets: bytes, *, then: str = "close") -> Step:
    """Exactly these bytes, and then close, reset or hang."""

    async def step(connection: Connection) -> None:
        await connection.send(octets)
        match then:
            case "reset":
                await asyncio.sleep(0.02)  # a reset overtakes what was sent: let the head arrive first
                connection.reset()
            case "hang":
                await connection.hang()
            case _:
                connection.writer.close()

    return step


def drip(body: bytes, content_type: str) -> Step:
    """A reply whose body comes one byte at a time."""

    async def step(connection: Connection) -> None:
        await connection.send(head_of(200, f"Content-Type: {content_type}", f"Content-Length: {len(body)}"))
        for octet in body:
            await connection.send(bytes([octet]))
            await asyncio.sleep(DRIP_SECONDS)

    return step


def drip_head() -> Step:
    """A reply whose header never ends."""

    async def step(connection: Connection) -> None:
        await connection.send(b"HTTP/1.1 200 Scripted\r\nX-Slow: ")
        while True:
            await connection.send(b"x")
            await asyncio.sleep(DRIP_SECONDS)

    return step


def flood(total_bytes: int, content_type: str) -> Step:
    """A chunked reply of this many bytes, as far as the other side reads it."""

    async def step(connection: Connection) -> None:
        await connection.send(head_of(200, f"Content-Type: {content_type}", "Transfer-Encoding: chunked"))
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        for _ in range(total_bytes // 0x10000):
            await connection.send(chunk)
        await connection.send(b"0\r\n\r\n")

    return step


def trailer_flood(piece: bytes) -> Step:
    """A small chunked reply, and a trailer that repeats a piece without end."""

    async def step(connection: Connection) -> None:
        await connection.send(head_of(200, "Transfer-Encoding: chunked") + b"4\r\ngood\r\n0\r\nX: ")
        while True:
            await connection.send(piece)

    return step


def continue_flood() -> Step:
    """Interim replies without end."""

    async def step(connection: Connection) -> None:
        while True:
            await connection.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            await asyncio.sleep(0.001)

    return step


async def hang(connection: Connection) -> None:
    """Say nothing at all."""
    await connection.hang()


async def reset(connection: Connection) -> None:
    """Reset without an answer."""
    connection.reset()


async def eventually(condition: Callable[[], bool], *, seconds: float = 1.0) -> None:
    """Wait until the condition holds; TimeoutError if it does not in time."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what is waited for has no event of its own
            await asyncio.sleep(0.005)
