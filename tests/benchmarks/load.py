"""A caller that is quick enough to overload a gateway: HTTP/1.1 over plain sockets, without waiting for answers."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httptools

MAX_CONNECTIONS = 400
BACK_OFF_SECONDS = 0.02
UNSENT = -1


@dataclass(slots=True)
class Sample:
    """One request: when it was due, how long its answer took, and its status (0: none came; UNSENT: all connections
    were taken)."""

    due_at: float
    seconds: float
    status: int
    has_data: bool


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._body = b""
        self._answered: asyncio.Future[tuple[int, bytes]] | None = None
        self.is_usable = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_usable = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_result((0, b""))

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.is_usable = self.is_usable and self._parser.should_keep_alive()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result((self._parser.get_status_code(), self._body))

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        self._answered = asyncio.get_running_loop().create_future()
        if self.transport is None or self.transport.is_closing():
            return 0, b""
        self.transport.write(request)
        return await self._answered


@dataclass(slots=True)
class LoadCaller:
    """Sends requests to one gateway, each over a connection that is free, or a new one. `marker`: what stands in a
    response that has data."""

    host: str
    port: int
    samples: list[Sample] = field(default_factory=list)
    marker: bytes = b'"answer":{'
    _free: deque[_Connection] = field(default_factory=deque)
    _open: int = 0

    async def send(self, request: bytes, due_at: float) -> Sample:
        """One request and what came of it, measured from when it was due."""
        connection = await self._connection()
        if connection is None:
            sample = Sample(due_at, time.perf_counter() - due_at, UNSENT, has_data=False)
        else:
            status, body = await connection.exchange(request)
            sample = Sample(due_at, time.perf_counter() - due_at, status, has_data=self.marker in body)
            if connection.is_usable:
                self._free.append(connection)
            else:
                self._open -= 1
        self.samples.append(sample)
        return sample

    async def _connection(self) -> _Connection | None:
        while self._free:
            connection = self._free.pop()
            if connection.is_usable:
                return connection
            self._open -= 1
        if self._open >= MAX_CONNECTIONS:
            return None
        self._open += 1
        _, made = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        return made

    async def at_rate(self, per_second: float, seconds: float, make: Callable[[int], bytes]) -> list[Sample]:
        """Open loop: requests at a steady rate for so long, whatever becomes of those before."""
        began_at, sending, number = time.perf_counter(), set[asyncio.Task[Sample]](), 0
        first = len(self.samples)
        while (due_at := began_at + number / per_second) < began_at + seconds:
            await asyncio.sleep(max(0.0, due_at - time.perf_counter()))  # be it late: answers want to be read too
            task = asyncio.create_task(self.send(make(number), due_at))
            sending.add(task)
            task.add_done_callback(sending.discard)
            number += 1
        await asyncio.gather(*sending)
        return self.samples[first:]

    async def through(self, requests: Sequence[bytes], connections: int) -> list[Sample]:
        """All of these, in order, so many at a time."""
        left, first = iter(requests), len(self.samples)

        async def one() -> None:
            for request in left:
                await self.send(request, time.perf_counter())

        await asyncio.gather(*(one() for _ in range(connections)))
        return self.samples[first:]

    async def closed_loop(self, callers: int, seconds: float, make: Callable[[int], bytes]) -> list[Sample]:
        """So many callers, each asking as soon as it is answered, and a little later where it was refused."""
        ends_at, first = time.perf_counter() + seconds, len(self.samples)

        async def one(caller: int) -> None:
            number = caller
            while time.perf_counter() < ends_at:
                sample = await self.send(make(number), time.perf_counter())
                number += callers
                if sample.status == 503:
                    await asyncio.sleep(BACK_OFF_SECONDS)

        await asyncio.gather(*(one(caller) for caller in range(callers)))
        return self.samples[first:]


def percentile(seconds: list[float], share: float) -> float:
    """The value below which this share lies, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
