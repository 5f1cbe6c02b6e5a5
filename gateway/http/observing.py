"""Around everything that is asked: one line in the operator's log for each request, and its metrics.

Of a request only the fields of `Notes` are ever written, none of which is about a person. Source: security 3.4.
"""

import asyncio
import os
import time
from dataclasses import dataclass, field

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import PUBLIC_CODES, OverloadedError
from gateway.metrics import Metrics

NOTES = "kyosei.notes"
_ROUTES = ("graphql", "oauth", "livez", "readyz", "metrics", "explorer", "docs", "static", ".well-known")
CONNECTION = "connection"
"""The route of what is refused before it has one."""
PROBES = ("/livez", "/readyz", "/metrics")
"""Asked all the time, by machines: they need no place, and a line only where something is wrong."""

TOGETHER_SECONDS = 1.0

_log = structlog.get_logger("kyosei.request")


def new_request_id() -> str:
    """A random UUID in text, made for every request: the library's takes several times as long. Source: RFC 9562
    section 5.4."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


@dataclass(slots=True)
class Notes:
    """What is known of a request for the operator. `operation`: the start of its document's SHA-256.

    `refused_as`: the code with which its connection refused it, whatever else would have been said.
    """

    request_id: str = field(default_factory=new_request_id)
    code: str = ""
    refused_as: str = ""
    relying_party: str | None = None
    operation: str | None = None
    cost: int | None = None


def notes_of(scope: Scope) -> Notes:
    """The notes on a request; they are written when it has ended."""
    notes: Notes | None = scope.get(NOTES)
    if notes is None:
        notes = scope[NOTES] = Notes()
    return notes


class NoRoom:
    """Tells the operator for how many there was no room, once a second: a line each would cost more than the refusals
    do, when there is the least to spare."""

    def __init__(self) -> None:
        self._requests = 0

    def note(self) -> None:
        """One more."""
        if not self._requests:
            asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._write)
        self._requests += 1

    def _write(self) -> None:
        _log.warning("no_room", code=OverloadedError.default_code, requests=self._requests)
        self._requests = 0


class ConnectionRefusals:
    """Counts what connections refuse before anything is made of it, and tells the operator once a second how many
    there were, and of the first. With a line each, whoever sends what is no request would fill the log."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._requests = 0

    def note(self, code: str, request_id: str) -> None:
        """One more."""
        status = PUBLIC_CODES[code].status
        self._metrics.request(CONNECTION, status, code, 0.0)
        if not self._requests:
            asyncio.get_running_loop().call_later(TOGETHER_SECONDS, self._write, status, code, request_id)
        self._requests += 1

    def _write(self, status: int, code: str, request_id: str) -> None:
        _log.info(
            "refused", request_id=request_id, route=CONNECTION, status=status, code=code, requests=self._requests
        )
        self._requests = 0


class Observing:
    """ASGI middleware: counts every request, and logs it."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, no_room: NoRoom) -> None:
        self._app = app
        self._metrics = metrics
        self._no_room = no_room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        notes, began_at, status = notes_of(scope), time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except Exception:
            status, notes.code = 500, "INTERNAL"
            raise
        finally:
            self._note(scope, notes, status, time.perf_counter() - began_at)

    def _note(self, scope: Scope, notes: Notes, status: int, seconds: float) -> None:
        route = route_of(scope["path"])
        if notes.refused_as:
            status, notes.code = PUBLIC_CODES[notes.refused_as].status, notes.refused_as
        self._metrics.request(route, status, notes.code, seconds)
        if notes.code == OverloadedError.default_code:
            self._no_room.note()
            return
        write = _log.debug if scope["path"] in PROBES and status < 400 else _log.info
        write(
            "request",
            request_id=notes.request_id,
            route=route,
            method=scope["method"],
            status=status,
            code=notes.code,
            milliseconds=round(seconds * 1000, 1),
            relying_party=notes.relying_party,
            operation=notes.operation,
            cost=notes.cost,
        )


def route_of(path: str) -> str:
    """The first part of a path that is ours; a page's is `pages`. Codes and ids further right are never written."""
    first = path.removeprefix("/").partition("/")[0]
    return first if first in _ROUTES else "pages"
