"""An authority in trouble: sixteen ways to fail, each played on the same address as the one before.

Source of the list: reliability R6.
"""

import asyncio
import contextlib
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.interface import SourceAuthority
from connectors.labor.client import HEADER
from tests.connectors.certificates import certificate_for
from tests.connectors.scripted import Step, drip, drip_head, flood, head_of, raw, reply, scripted
from tests.connectors.sources import SOURCES, Source

LOOPBACK = "127.0.0.1"
SOURCE_OF = {source.authority: source for source in SOURCES}
METADATA = "http://169.254.169.254/latest/meta-data/"
_DEEP = 100_000

OTHER_SCHEMA = {
    SourceAuthority.IMMIGRATION: '<Envelope><Body><Income currency="JPY">51000</Income></Body></Envelope>',
    SourceAuthority.LABOR: ",".join(reversed(HEADER)) + "\r\n",
    SourceAuthority.TAX: '{"income": "51000", "valid": "false"}',
    SourceAuthority.INSURANCE: "<Members><Member/></Members>",
}

Listening = AbstractAsyncContextManager[object]


@dataclass(frozen=True)
class Place:
    """The address of an authority in trouble, and the certificates that it may show."""

    source: Source
    port: int
    certificate: Path
    right: ssl.SSLContext
    wrong: ssl.SSLContext

    @property
    def base_url(self) -> str:
        return f"https://{LOOPBACK}:{self.port}"

    def playing(self, last: Step) -> Listening:
        """The usual conversation, up to the reply that should carry the record."""
        return scripted(*self.source.steps(last), port=self.port, tls=self.right)


@contextlib.contextmanager
def a_place(folder: Path, authority: SourceAuthority) -> Iterator[Place]:
    """An address that nobody else gets: it is bound all the time, and listened on when something is played."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, 0))
        certificate, key = certificate_for(folder, LOOPBACK)
        yield Place(
            SOURCE_OF[authority],
            bound.getsockname()[1],
            certificate,
            right=_serving(certificate, key),
            wrong=_serving(*certificate_for(folder, "other.example.jp")),
        )


def _serving(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


@asynccontextmanager
async def nobody_listens() -> AsyncIterator[None]:
    """A connection is refused."""
    yield


@asynccontextmanager
async def black_hole(place: Place) -> AsyncIterator[None]:
    """Nobody accepts, and the queue of those who wait is full: what else wants to connect hears nothing."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, place.port))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await loop.sock_connect(waiting, (LOOPBACK, place.port))
        yield


def _ending(last: Callable[[Source], Step]) -> Callable[[Place], Listening]:
    return lambda place: place.playing(last(place.source))


def _good(source: Source) -> bytes:
    return source.body.encode(source.encoding)


def _with(source: Source, body: bytes, *headers: str, status: int = 200) -> Step:
    return reply(body, source.content_type, *headers, status=status)


def _deep(source: Source) -> bytes:
    return b"<a>" * _DEEP + b"</a>" * _DEEP if "xml" in source.content_type else b"[" * _DEEP + b"]" * _DEEP


def _shorter_than_announced(source: Source) -> Step:
    head = head_of(200, f"Content-Type: {source.content_type}", f"Content-Length: {len(_good(source)) + 1}")
    return raw(head + _good(source))


MODES: dict[str, Callable[[Place], Listening]] = {
    "500": _ending(lambda source: _with(source, b"", status=500)),
    "429-and-retry-after": _ending(lambda source: _with(source, b"", "Retry-After: 7", status=429)),
    "refused": lambda place: nobody_listens(),
    "black-hole": black_hole,
    "wrong-host-in-the-certificate": lambda place: scripted(*place.source.good(), port=place.port, tls=place.wrong),
    "slow-header": _ending(lambda source: drip_head()),
    "drip": _ending(lambda source: drip(_good(source), source.content_type)),
    "reset-in-the-body": _ending(lambda source: raw(head_of(200, "Content-Length: 1000") + b"<x>", then="reset")),
    "shorter-than-announced": _ending(_shorter_than_announced),
    "100-megabytes": _ending(lambda source: flood(100 * 2**20, source.content_type)),
    "gzip-bomb": _ending(lambda source: _with(source, gzip.compress(bytes(30 * 2**20)), "Content-Encoding: gzip")),
    "invalid-json": _ending(lambda source: _with(source, b'{"income":')),
    "deep": _ending(lambda source: _with(source, _deep(source))),
    "other-schema": _ending(lambda source: _with(source, OTHER_SCHEMA[source.authority].encode(source.encoding))),
    "redirect-to-metadata": _ending(lambda source: _with(source, b"", f"Location: {METADATA}", status=302)),
    "somebody-else": _ending(lambda source: _with(source, _good(source))),
}
"""Every mode by its name. The good reply of tests/connectors/sources.py is about somebody else than is asked for."""
