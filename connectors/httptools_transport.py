"""`Transport` on httptools: a tenth of what a general client costs, for the little that sources need of HTTP/1.1.

One request at a time on a connection, connections kept for the next one. Source: RFC 9110, RFC 9112.
"""

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, urlsplit

from connectors.addresses import Resolve, resolve_name
from connectors.errors import SourceUnavailableError
from connectors.httptools_connection import MalformedError, SourceConnection, StaleError
from connectors.places import Places
from connectors.transport import (
    KEEPALIVE_SECONDS,
    MAX_CONNECTIONS,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNAVAILABLE,
    WireReply,
    WireRequest,
    addresses_of,
    check_base_url,
    tls_context,
)

_ALWAYS_SENT = "Accept-Encoding: identity\r\nUser-Agent: kyosei-gateway\r\n"
_HAS_BODY = frozenset({"POST", "PUT", "PATCH"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_PATH_SAFE = "/%:@!$&'()*+,;=~"
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")
"""Source: RFC 3986 section 2.3."""
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")


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
        self._places = Places(max_connections)
        self._idle: list[SourceConnection] = []
        self._open: set[SourceConnection] = set()
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
            except MalformedError:
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
        await self._places.take(ends_at=ends_at)
        try:
            kept = self._kept()
            if kept is not None:
                try:
                    return await self._on(kept, raw, ends_at, max_bytes)
                except StaleError:
                    if not request.may_be_repeated:
                        raise
            async with asyncio.timeout_at(ends_at):
                connection = await self._connect()
            return await self._on(connection, raw, ends_at, max_bytes)
        finally:
            self._places.give_back()

    async def _on(self, connection: "SourceConnection", raw: bytes, ends_at: float, max_bytes: int) -> WireReply:
        try:
            return await connection.exchange(raw, ends_at, max_bytes)
        finally:
            if connection.is_usable and not self._is_closed:
                connection.idle_since = self._clock()
                self._idle.append(connection)
            else:
                connection.end()  # cancelled, too: whose reply comes later is nobody's

    def _kept(self) -> "SourceConnection | None":
        """The connection that was used last, if it is still good."""
        fresh_since = self._clock() - KEEPALIVE_SECONDS
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and connection.idle_since >= fresh_since:
                return connection
            connection.end()
        return None

    async def _connect(self) -> "SourceConnection":
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

    async def _connect_to(self, address: str) -> "SourceConnection":
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: SourceConnection(self._open),
            address,
            self._port,
            ssl=self._tls,
            server_hostname=self._host if self._tls is not None else None,
        )
        return connection

    def _encode(self, request: WireRequest) -> bytes:
        """The request as it stands on the wire. Raises MalformedError for what could be read as something else."""
        if not (_TOKEN.fullmatch(request.method) and request.path.startswith("/")):
            raise MalformedError("method or path")
        try:
            path = request.path
            target = self._prefix + (path if _PLAIN_PATH.fullmatch(path) else quote(path, safe=_PATH_SAFE))
            if request.query:
                target += "?" + "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in request.query])
        except UnicodeEncodeError as error:
            raise MalformedError("target") from error
        lines = [f"{request.method} {target} HTTP/1.1\r\n", self._host_line, _ALWAYS_SENT]
        for name, value in request.headers:
            if not (_TOKEN.fullmatch(name) and _VALUE.fullmatch(value)):
                raise MalformedError("header")
            lines.append(f"{name}: {value}\r\n")
        if request.body or request.method in _HAS_BODY:
            lines.append(f"Content-Length: {len(request.body)}\r\n")
        lines.append("\r\n")
        return "".join(lines).encode("latin-1") + request.body


def _quoted(text: str) -> str:
    """Percent-encoded as UTF-8; raises UnicodeEncodeError for half a character."""
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")
