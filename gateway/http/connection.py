"""One HTTP connection: uvicorn's, with a limit on headers and without a buffer for slow readers."""

import asyncio

from starlette.requests import Request
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from gateway.http.response import plain_refusal

MAX_HEADER_BYTES = 32 * 1024
"""For request line and headers together, and for the trailers of a body. Source: RFC 6585 section 5."""
_SLICE_BYTES = 4 * 1024
LINGER_SECONDS = 2.0
MAX_LINGER_BYTES = 8 * 1024 * 1024
"""What a refused caller may still send while the refusal reaches it. Source: RFC 9112 section 9.6."""


class GatewayConnection(HttpToolsProtocol):
    """Reads no headers without end, and keeps no answer back for a slow reader.

    A slow reader's next answer waits, and its lease discards it.
    """

    _bytes_unread = 0
    """Received since the parser last had a whole head or a piece of a body to show for it."""
    _bytes_after_refusal: int | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        """Feed the parser in slices, so that it never holds more of a header than may be sent.

        Exact for the first head of a connection; one that follows another request may be a slice longer.
        """
        start = 0
        while start < len(data) and not self.transport.is_closing():
            if self._bytes_after_refusal is not None:
                self._discard(len(data) - start)
                return
            piece = data[start : start + min(_SLICE_BYTES, MAX_HEADER_BYTES - self._bytes_unread)]
            start += len(piece)
            self._bytes_unread += len(piece)
            super().data_received(piece)
            if self._bytes_unread >= MAX_HEADER_BYTES:
                self._refuse()

    def on_headers_complete(self) -> None:
        self._bytes_unread = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes_unread = 0
        super().on_body(body)

    def _refuse(self) -> None:
        """Answer 431 where it is this request's turn; what was asked before it is still answered."""
        if self.transport.is_closing():
            return
        self._bytes_after_refusal = 0
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_refusal())
            if self.transport.can_write_eof():
                self.transport.write_eof()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)
        elif self.cycle.more_body:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def _discard(self, count: int) -> None:
        """Closing with bytes unread would reset the connection, and the refusal with it."""
        self._bytes_after_refusal = (self._bytes_after_refusal or 0) + count
        if self._bytes_after_refusal > MAX_LINGER_BYTES:
            self.transport.close()


def _refusal() -> bytes:
    response = plain_refusal("HEADERS_TOO_LARGE")(Request({"type": "http"}), Exception())
    headers = [*response.raw_headers, (b"connection", b"close")]
    head = b"".join(b"%s: %s\r\n" % row for row in headers)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
