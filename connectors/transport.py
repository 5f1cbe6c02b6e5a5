"""The one way to reach a source over HTTP: one deadline, one size limit, nothing followed, nothing decoded.

Everything a connector sends and gets is a `WireRequest` and a `WireReply`. `HttpxTransport` is the reference
implementation of `Transport`, and the only place where httpx is known; `HttptoolsTransport` is the quick one.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from connectors.addresses import Addresses, Resolve, is_public_address, resolve_name
from connectors.errors import SourceUnavailableError
from connectors.value import Value

UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
UPSTREAM_PROTOCOL = "UPSTREAM_PROTOCOL"
UPSTREAM_TOO_LARGE = "UPSTREAM_TOO_LARGE"

MAX_CONNECTIONS = 16
KEEPALIVE_SECONDS = 3.0  # shorter than servers usually keep a connection, so that we do not write into a closed one
MAX_HEADER_BYTES = 16 * 1024
_PRIVATE_NAMES = frozenset({"localhost", "local", "internal", "lan", "home", "corp", "intranet"})
"""Top-level names that no public resolver knows. Source: RFC 6761, 6762; ICANN resolutions 2018 and 2024."""
_LIBRARY_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")


class WireRequest(Value, frozen=True):
    """What is sent. `path` starts with `/`; `query` is percent-encoded as UTF-8 when sent.

    `may_be_repeated`: it only looks, so that sending it twice does no more than sending it once.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    may_be_repeated: bool = False

    def __repr__(self) -> str:
        return f"WireRequest({self.method}, redacted)"


class WireReply(Value, frozen=True):
    """What came back, not decoded. `retry_after` is the header's text."""

    status: int
    content_type: str
    retry_after: str | None
    body: bytes

    def __repr__(self) -> str:
        return f"WireReply({self.status}, redacted)"


class Carrier(StrEnum):
    """The implementations of `Transport`: the quick one, and the reference."""

    HTTPTOOLS = "httptools"
    HTTPX = "httpx"


class Transport(Protocol):
    """Carries one request to one source and brings its reply back.

    `exchange` raises only `SourceUnavailableError`; cancelling the caller closes the connection. The deadline is
    for everything together: waiting for a free connection, connecting, sending, the whole body.
    """

    async def exchange(self, request: WireRequest, *, deadline_seconds: float, max_bytes: int) -> WireReply: ...

    async def close(self) -> None: ...


class HttpxTransport:
    """`Transport` over httpx, for one source.

    `base_url`: https, or http to a loopback address only; ValueError otherwise. `ca_file`: trust this authority
    instead of the system's. `client_certificate_file`, `client_key_file`: for sources that ask for mutual TLS.
    `allow_private`: a public name may mean a private address. A name's addresses come from `resolve`.
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
    ) -> None:
        check_base_url(base_url)
        _silence_library_logs()
        is_tls = base_url.lower().startswith("https:")
        self._http = httpx.AsyncClient(
            base_url=base_url,
            verify=tls_context(ca_file, client_certificate_file, client_key_file) if is_tls else False,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # noqa: S113  one total deadline around the exchange instead of one per read
            limits=httpx.Limits(
                max_connections=max_connections,
                max_keepalive_connections=max_connections,
                keepalive_expiry=KEEPALIVE_SECONDS,
            ),
            headers={"Accept-Encoding": "identity", "User-Agent": "kyosei-gateway"},
        )
        self._addresses = addresses_of(base_url, may_be_private=allow_private, resolve=resolve)

    async def exchange(self, request: WireRequest, *, deadline_seconds: float, max_bytes: int) -> WireReply:
        """Send and read the reply; see `Transport`. `max_bytes` limits the raw body as it arrives."""
        fault = UPSTREAM_TIMEOUT
        if deadline_seconds > 0:
            try:
                async with asyncio.timeout(deadline_seconds):
                    return await self._exchange(request, max_bytes)
            except TimeoutError:
                fault = UPSTREAM_TIMEOUT
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
                fault = _fault_of(error)
            except OSError:
                fault = UPSTREAM_UNAVAILABLE
        # Raised outside the handler: the library's errors carry the request, and with it the person's name.
        raise SourceUnavailableError("the source could not be reached or did not answer properly", fault=fault)

    async def close(self) -> None:
        """Close all connections; afterwards nothing can be exchanged."""
        await self._http.aclose()

    async def _exchange(self, request: WireRequest, max_bytes: int) -> WireReply:
        prepared = self._http.build_request(
            request.method,
            request.path,
            params=list(request.query) or None,
            headers=list(request.headers),
            content=request.body or None,
        )
        response = await self._send(prepared)
        try:
            check_head(response.http_version.removeprefix("HTTP/"), response.status_code, response.headers, max_bytes)
            return WireReply(
                status=response.status_code,
                content_type=response.headers.get("content-type", ""),
                retry_after=response.headers.get("retry-after"),
                body=await _read_body(response, max_bytes),
            )
        finally:
            await response.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Send to the first address that takes the connection; TLS still verifies the name."""
        if self._addresses is None:
            return await self._http.send(request, stream=True)
        request.extensions = {**request.extensions, "sni_hostname": request.url.raw_host.decode("ascii")}
        *others, last = await self._addresses.find()
        for address in others:
            request.url = request.url.copy_with(host=address)
            with suppress(httpx.ConnectError):  # nothing was sent
                return await self._http.send(request, stream=True)
        request.url = request.url.copy_with(host=last)
        return await self._http.send(request, stream=True)


def check_base_url(base_url: str) -> None:
    """Raise ValueError unless it is an https address, or an http address on this machine."""
    parts = urlsplit(base_url)
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("a source's base URL must be scheme, host and optional port and path, nothing else")
    if parts.scheme == "https":
        return
    if parts.scheme != "http" or not is_loopback(parts.hostname):
        raise ValueError("a source must be reached over https; http is only for loopback addresses")


def is_loopback_url(base_url: str) -> bool:
    """True for the address of a server on this machine."""
    return is_loopback(urlsplit(base_url).hostname or "")


def is_loopback(host: str) -> bool:
    """True for `localhost` and for the loopback addresses of IPv4 and IPv6."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private_url(base_url: str) -> bool:
    """True for an address that only means something inside a network: private, loopback, link-local, reserved.

    A number that is no dotted quad counts too: resolvers read `127.1` and `0x7f000001` as addresses.
    """
    host = (urlsplit(base_url).hostname or "").rstrip(".")
    try:
        return not is_public_address(host)
    except ValueError:
        last = host.rpartition(".")[2]
        return last in _PRIVATE_NAMES or last.isdigit() or last.startswith("0x") or "." not in host


def addresses_of(base_url: str, *, may_be_private: bool, resolve: Resolve) -> Addresses | None:
    """Where the name's addresses come from; None where the URL names an address itself."""
    parts = httpx.URL(base_url)
    with suppress(ValueError):
        ip_address(parts.host)
        return None
    host = parts.raw_host.decode("ascii")
    port = parts.port or {"https": 443, "http": 80}[parts.scheme]
    return Addresses(host, port, may_be_private=may_be_private or is_private_url(base_url), resolve=resolve)


def check_head(version: str, status: int, headers: Mapping[str, str], max_bytes: int) -> None:
    """Raise SourceUnavailableError for a reply that will not be read. `headers`: by their names in lower case."""
    if version not in ("1.0", "1.1"):
        raise SourceUnavailableError("the source answered in another HTTP", fault=UPSTREAM_PROTOCOL)
    if status < 200 or status in (204, 205, 206) or 300 <= status < 400:
        # A redirect's target is never looked at: the source's address is configured, not discovered.
        raise SourceUnavailableError(
            "the source answered with a status that carries no reply", fault=UPSTREAM_PROTOCOL
        )
    if "content-encoding" in headers:
        raise SourceUnavailableError("the source encoded its reply, which was not asked", fault=UPSTREAM_PROTOCOL)
    if sum(map(len, headers)) + sum(map(len, headers.values())) > MAX_HEADER_BYTES:
        raise SourceUnavailableError("the reply's header is too large", fault=UPSTREAM_TOO_LARGE)
    announced = headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > max_bytes:
        raise too_large()


async def _read_body(response: httpx.Response, max_bytes: int) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > max_bytes:
            raise too_large()
    return bytes(body)


def too_large() -> SourceUnavailableError:
    """What is wrong with a reply that is longer than it may be."""
    return SourceUnavailableError("the reply is too large", fault=UPSTREAM_TOO_LARGE)


def _fault_of(error: Exception) -> str:
    match error:
        case httpx.TimeoutException():
            return UPSTREAM_TIMEOUT
        case httpx.ProtocolError() | httpx.DecodingError() | httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return UPSTREAM_PROTOCOL
        case _:
            return UPSTREAM_UNAVAILABLE


def tls_context(ca_file: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """How a source's certificate is checked, and ours shown."""
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(str(certificate), str(key) if key else None)
    return context


def _only_warnings(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING


def _silence_library_logs() -> None:
    """The library logs each URL, and a query holds a name: a filter outlives any later change of level."""
    for name in _LIBRARY_LOGGERS:
        logging.getLogger(name).addFilter(_only_warnings)  # adding the same filter again changes nothing
