"""Around everything that is asked: one line in the operator's log for each request, and its metrics.

Of a request only the fields of `Notes` are ever written, none of which is about a person. Source: security 3.4.
"""

import time
import uuid
from dataclasses import dataclass, field

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import Metrics

NOTES = "kyosei.notes"
_ROUTES = ("graphql", "oauth", "livez", "readyz", "metrics", "explorer", "docs", "static", ".well-known")
PROBES = ("/livez", "/readyz", "/metrics")
"""Asked all the time, by machines: they need no place, and a line only where something is wrong."""

_log = structlog.get_logger("kyosei.request")


@dataclass(slots=True)
class Notes:
    """What is known of a request for the operator. `operation`: the start of its document's SHA-256."""

    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    code: str = ""
    relying_party: str | None = None
    operation: str | None = None
    cost: int | None = None


def notes_of(scope: Scope) -> Notes:
    """The notes on a request; they are written when it has ended."""
    notes: Notes = scope.setdefault(NOTES, Notes())
    return notes


class Observing:
    """ASGI middleware: counts and logs every request."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

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
            seconds = time.perf_counter() - began_at
            route = route_of(scope["path"])
            self._metrics.request(route, status, notes.code, seconds)
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
