"""Four JSON sources in one process: as little as HTTP allows, so that what is measured is who asks them."""

import asyncio
from multiprocessing.connection import Connection as Line
from urllib.parse import parse_qs

import httptools
import uvloop

from connectors.interface import SourceAuthority
from tests.benchmarks.machine import pin
from tests.benchmarks.records import body_of

COUNT = b"/count"
DELAY = b"/delay"


class _Stub(asyncio.Protocol):
    """Answers `/<authority>?card=…`; `/count` with how many were; `/delay?seconds=…` sets how late."""

    answered = 0
    delay_seconds = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._target = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_message_complete(self) -> None:
        path, _, query = self._target.partition(b"?")
        if path == COUNT:
            self._write(b"%d" % _Stub.answered)
        elif path == DELAY:
            _Stub.delay_seconds = float(query.partition(b"=")[2])
            self._write(b"0")
        else:
            _Stub.answered += 1
            card = parse_qs(query.decode())["card"][0]
            body = body_of(SourceAuthority[path[1:].decode().upper()], card)
            if _Stub.delay_seconds:
                asyncio.get_running_loop().call_later(_Stub.delay_seconds, self._write, body)
            else:
                self._write(body)

    def _write(self, body: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        self._transport.write(head + body)  # type: ignore[attr-defined]  # a transport that writes


def run_stub(processor: int, line: Line) -> None:
    """Serve until the process is ended; tells its port first."""
    pin(processor)

    async def main() -> None:
        server = await asyncio.get_running_loop().create_server(_Stub, "127.0.0.1", 0)
        line.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())
