"""One connection to a source: a request, its reply, and nothing that could be taken for another's reply.

Whatever is not plainly the reply to what was asked ends the connection with it. Source: RFC 9110, RFC 9112.
"""

import asyncio
from typing import Any, cast

import httptools

from connectors.deadline import Deadline
from connectors.errors import SourceUnavailableError
from connectors.transport import MAX_HEADER_BYTES, WireReply, check_head, too_large

_MAX_BYTES_BESIDE_BODY = MAX_HEADER_BYTES + 4 * 1024
"""Of a head with its separators and status line, of a trailer, and between two pieces of a body."""


class MalformedError(Exception):
    """What is sent or came back is not the HTTP that it should be."""


class StaleError(OSError):
    """The source had closed the connection, and not a byte of a reply came."""


class SourceConnection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, open_connections: "set[SourceConnection]") -> None:
        self._all = open_connections
        self._loop = asyncio.get_running_loop()
        self._deadline = Deadline(self._loop, lambda: self._fail(TimeoutError()))
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._answered: asyncio.Future[WireReply] | None = None
        self._is_complete = False
        self._max_bytes = 0
        self._bytes_beside_body = 0
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._has_begun = False
        self._has_head = False
        self._was_used = False
        self.is_usable = True
        self.idle_since = 0.0

    async def exchange(self, raw: bytes, ends_at: float, max_bytes: int) -> WireReply:
        """Send a request and read its reply, in time (on the event loop's clock). Raises SourceUnavailableError,
        MalformedError or OSError, of which TimeoutError is one."""
        if self._transport is None or not self.is_usable or self._transport.is_closing():
            raise StaleError("the connection was closed")
        self._deadline.set(ends_at)
        self._answered = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._max_bytes, self._bytes_beside_body = max_bytes, 0
        self._body = bytearray()
        self._has_begun = self._has_head = self._is_complete = False
        try:
            self._transport.write(raw)
            return await self._answered
        finally:
            self._deadline.lift()
            if not self._is_complete:
                self.is_usable = False
            self._answered = None
            self._was_used = True

    def end(self) -> None:
        """Close it, and whatever is under way with it."""
        self.is_usable = False
        self._fail(OSError("the connection was closed"))
        if self._transport is not None:
            self._transport.abort()

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._all.add(self)

    def data_received(self, data: bytes) -> None:
        if self._answered is None or self._is_complete:
            self.is_usable = False  # nobody asked for this: it must not become the reply to what is asked next
            self._close()
            return
        self._has_begun = True
        self._bytes_beside_body += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(MalformedError("reply"))
            return
        if not self._is_complete and self._bytes_beside_body > _MAX_BYTES_BESIDE_BODY:
            self._fail(too_large())

    def eof_received(self) -> bool:
        self.is_usable = False
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.is_usable = False
        self._deadline.end()
        self._all.discard(self)
        if self._answered is None or self._answered.done():
            return
        if error is None and self._has_head and not self._is_framed():
            self._complete()  # its end is where the connection ends
        elif not self._has_begun and self._was_used:
            self._fail(StaleError("closed"))
        elif isinstance(error, OSError):
            self._fail(error)
        else:
            self._fail(MalformedError("it ended before it was complete"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._headers = {}
        if self._is_complete:
            self.is_usable = False  # another reply, which nobody asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:
            return  # a trailer says nothing that we ask for. Source: RFC 9110 section 6.5.1
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]}, {text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        if self._is_complete:
            return
        self._bytes_beside_body = 0
        if self._is_interim():
            return
        self._has_head = True
        if self._headers.get("transfer-encoding", "chunked").lower() != "chunked":
            self._fail(MalformedError("transfer encoding"))
            return
        try:
            parser = self._parser
            check_head(parser.get_http_version(), parser.get_status_code(), self._headers, self._max_bytes)
        except SourceUnavailableError as error:
            self._fail(error)

    def on_body(self, body: bytes) -> None:
        if self._is_complete:
            self.is_usable = False
            return
        self._bytes_beside_body = 0
        self._body += body
        if len(self._body) > self._max_bytes:
            self._fail(too_large())

    def on_message_complete(self) -> None:
        if self._has_head and not self._is_complete:
            self.is_usable = self.is_usable and self._is_framed() and self._parser.should_keep_alive()
            self._complete()

    def _is_interim(self) -> bool:
        """Whether this is a head before the reply's own. Source: RFC 9110 section 15.2. A switch of protocols, which
        nobody asked for, is none."""
        status: int = self._parser.get_status_code()
        return 100 <= status < 200 and status != 101

    def _is_framed(self) -> bool:
        return "content-length" in self._headers or "transfer-encoding" in self._headers

    def _complete(self) -> None:
        self._is_complete = True
        if self._answered is not None and not self._answered.done():
            headers = self._headers
            self._answered.set_result(
                WireReply(
                    status=self._parser.get_status_code(),
                    content_type=headers.get("content-type", ""),
                    retry_after=headers.get("retry-after"),
                    body=bytes(self._body),
                )
            )

    def _fail(self, error: Exception) -> None:
        self.is_usable = False
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
        self._close()

    def _close(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
