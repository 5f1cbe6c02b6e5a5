"""`Transport` on httptools: a tenth of what a general client costs, for the little that sources need of HTTP/1.1.

One request at a time on a connection, connections kept for the next one. Whatever is not plainly the reply to what
was asked ends the connection with it. Source: RFC 9110, RFC 9112.
"""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, urlsplit

import httptools

from connectors.addresses import Resolve, resolve_name
from connectors.errors import SourceUnavailableError
from connectors.transport import (
    KEEPALIVE_SECONDS,
    MAX_CONNECTIONS,
    MAX_HEADER_BYTES,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNAVAILABLE,
    WireReply,
    WireRequest,
    addresses_of,
    check_base_url,
    check_head,
    tls_context,
    too_large,
)

_ALWAYS_SENT = "Accept-Encoding: identity\r\nUser-Agent: kyosei-gateway\r\n"
_HAS_BODY = frozenset({"POST", "PUT", "PATCH"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_PATH_SAFE = "/%:@!$&'()*+,;=~"
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
"""Source: RFC 3986 section 2.3."""
_MAX_BYTES_BESIDE_BODY = MAX_HEADER_BYTES + 4 * 1024
"""Of a head with its separators and status line, of a trailer, and between two pieces of a body."""


class HttptoolsTransport:
    """`Transport` for one source; see `HttpxTransport` for what it is given.

    A reply that never began on a kept connection, since the source had closed it meanwhile, is asked for once more on
    a new one, if the request only looks.
    """

    def __init__(
        self,
        base_url: str,
        *,
        ca_file: Path | None = None,
        client_certificate_file: Path | None = None,
        client_key_file: Path | None = None,
        max_connections: int = MAX_CONNECTIONS,
        allow_private: bool = False,
        resolve: Resolve = resolve_name,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_base_url(base_url)
        parts = urlsplit(base_url)
        is_tls = parts.scheme == "https"
        self._host = (parts.hostname or "").encode("idna").decode()
        self._port = parts.port or (443 if is_tls else 80)
        self._tls = tls_context(ca_file, client_certificate_file, client_key_file) if is_tls else None
        self._addresses = addresses_of(base_url, may_be_private=allow_private, resolve=resolve)
        self._prefix = parts.path.rstrip("/")
        named = f"[{self._host}]" if ":" in self._host else self._host
        self._host_line = f"Host: {named}{f':{parts.port}' if parts.port else ''}\r\n"
        self._places = asyncio.Semaphore(max_connections)
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()
        self._is_closed = False
        self._clock = clock

    async def exchange(self, request: WireRequest, *, deadline_seconds: float, max_bytes: int) -> WireReply:
        """Send and read the reply; see `Transport`. `max_bytes` limits the raw body as it arrives."""
        fault = UPSTREAM_TIMEOUT
        if deadline_seconds > 0:
            try:
                return await self._exchange(request, asyncio.get_running_loop().time() + deadline_seconds, max_bytes)
            except TimeoutError:
                fault = UPSTREAM_TIMEOUT
            except OSError:
                fault = UPSTREAM_UNAVAILABLE
            except _MalformedError:
                fault = UPSTREAM_PROTOCOL
        # Raised outside the handler: an error's context could carry the request, and with it the person's name.
        raise SourceUnavailableError("the source could not be reached or did not answer properly", fault=fault)

    async def close(self) -> None:
        """Close all connections; afterwards nothing can be exchanged."""
        self._is_closed = True
        for connection in list(self._open):
            connection.end()
        self._idle.clear()

    async def _exchange(self, request: WireRequest, ends_at: float, max_bytes: int) -> WireReply:
        raw = self._encode(request)
        if self._places.locked():
            async with asyncio.timeout_at(ends_at):
                await self._places.acquire()
        else:
            await self._places.acquire()  # at once
        try:
            kept = self._kept()
            if kept is not None:
                try:
                    return await self._on(kept, raw, ends_at, max_bytes)
                except _StaleError:
                    if not request.may_be_repeated:
                        raise
            async with asyncio.timeout_at(ends_at):
                connection = await self._connect()
            return await self._on(connection, raw, ends_at, max_bytes)
        finally:
            self._places.release()

    async def _on(self, connection: "_Connection", raw: bytes, ends_at: float, max_bytes: int) -> WireReply:
        try:
            return await connection.exchange(raw, ends_at, max_bytes)
        finally:
            if connection.is_usable and not self._is_closed:
                connection.idle_since = self._clock()
                self._idle.append(connection)
            else:
                connection.end()  # cancelled, too: whose reply comes later is nobody's

    def _kept(self) -> "_Connection | None":
        """The connection that was used last, if it is still good."""
        fresh_since = self._clock() - KEEPALIVE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and connection.idle_since >= fresh_since:
                return connection
            connection.end()
        return None

    async def _connect(self) -> "_Connection":
        """A new connection, to the first address that takes it; TLS still verifies the name."""
        if self._is_closed:
            raise OSError("the transport is closed")
        *others, last = [self._host] if self._addresses is None else await self._addresses.find()
        for address in others:
            try:
                return await self._connect_to(address)
            except OSError:
                continue  # nothing was sent
        return await self._connect_to(last)

    async def _connect_to(self, address: str) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(self._open),
            address,
            self._port,
            ssl=self._tls,
            server_hostname=self._host if self._tls is not None else None,
        )
        return connection

    def _encode(self, request: WireRequest) -> bytes:
        """The request as it stands on the wire. Raises _MalformedError for what could be read as something else."""
        if not (_TOKEN.fullmatch(request.method) and request.path.startswith("/")):
            raise _MalformedError("method or path")
        try:
            target = self._prefix + _quoted(request.path, _PATH_SAFE)
            if request.query:
                target += "?" + "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in request.query])
        except UnicodeEncodeError as error:
            raise _MalformedError("target") from error
        lines = [f"{request.method} {target} HTTP/1.1\r\n", self._host_line, _ALWAYS_SENT]
        for name, value in request.headers:
            if not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
                raise _MalformedError("header")
            lines.append(f"{name}: {value}\r\n")
        if request.body or request.method in _HAS_BODY:
            lines.append(f"Content-Length: {len(request.body)}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1") + request.body


def _quoted(text: str, safe: str = "") -> str:
    """Percent-encoded as UTF-8, but for what is safe; raises UnicodeEncodeError for half a character."""
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe=safe)


class _MalformedError(Exception):
    """What is sent or came back is not the HTTP that it should be."""


class _StaleError(OSError):
    """The source had closed the connection, and not a byte of a reply came."""


class _Connection(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self, open_connections: "set[_Connection]") -> None:
        self._all = open_connections
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
        _MalformedError or OSError, of which TimeoutError is one."""
        if self._transport is None or not self.is_usable or self._transport.is_closing():
            raise _StaleError("the connection was closed")
        loop = asyncio.get_running_loop()
        overdue = loop.call_at(ends_at, self._fail, TimeoutError())
        self._answered = loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._max_bytes, self._bytes_beside_body = max_bytes, 0
        self._body = bytearray()
        self._has_begun = self._has_head = self._is_complete = False
        try:
            self._transport.write(raw)
            return await self._answered
        finally:
            overdue.cancel()
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
            self._fail(_MalformedError("reply"))
            return
        if not self._is_complete and self._bytes_beside_body > _MAX_BYTES_BESIDE_BODY:
            self._fail(too_large())

    def eof_received(self) -> bool:
        self.is_usable = False
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.is_usable = False
        self._all.discard(self)
        if self._answered is None or self._answered.done():
            return
        if error is None and self._has_head and not self._is_framed():
            self._complete()  # its end is where the connection ends
        elif not self._has_begun and self._was_used:
            self._fail(_StaleError("closed"))
        elif isinstance(error, OSError):
            self._fail(error)
        else:
            self._fail(_MalformedError("it ended before it was complete"))

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
            self._fail(_MalformedError("transfer encoding"))
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
