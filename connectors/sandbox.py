"""What the sandbox authorities share: records from a folder, misbehaviour on purpose, a counter, a real server.

They are real HTTP servers on loopback, so that a connector cannot tell them from an authority.
"""

import asyncio
import contextlib
import math
import random
import socket
import zlib
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import uvicorn
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from connectors.maintenance import MaintenanceWindow, closed_until
from connectors.profile import Behaviour, Fault

LOOPBACK = "127.0.0.1"
_P99 = 2.326  # standard deviations from the median of a normal distribution to its 99th percentile
_ERROR_PAGE = "<!DOCTYPE html><html><head><title>500</title></head><body>システムエラー</body></html>"
_CLOSED_PAGE = "<html><head><title>メンテナンス</title></head><body>ただいまサービス時間外です。</body></html>"

Endpoint = Callable[[Request], Awaitable[Response]]


class SandboxRecordsError(Exception):
    """A file of sandbox records is missing or broken; the message names the file and, if it can, the line."""


def read_records(people_folder: Path, name: str) -> bytes:
    """The bytes of one file of the folder."""
    path = people_folder / name
    try:
        return path.read_bytes()
    except OSError as error:
        raise SandboxRecordsError(f"{path}: {error.strerror or 'cannot be read'}") from error


def read_xml_records(people_folder: Path, name: str, tag: str) -> list[Element]:
    """All elements of this tag below the file's root."""
    body = read_records(people_folder, name)
    try:
        return [element for element in fromstring(body, forbid_dtd=True) if element.tag == tag]
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise SandboxRecordsError(f"{people_folder / name}: not well-formed XML: {error}") from error


class Sandbox:
    """One authority's manner: counts calls, waits, errs and closes as its `Behaviour` says."""

    def __init__(self, behaviour: Behaviour, *, now: Callable[[], datetime], seed: int | None) -> None:
        self.behaviour = behaviour
        self.calls: Counter[str] = Counter(calls=0)
        self.random = random.Random(seed)  # noqa: S311  chance for a sandbox, no secret
        self._now = now
        self._recent: deque[float] = deque()

    def route(self, path: str, endpoint: Endpoint, *, method: str, counted_as: str | None = None) -> Route:
        """A route whose calls are counted, delayed and sometimes spoilt before `endpoint` sees them."""
        if counted_as:
            self.calls[counted_as] = 0

        async def answer(request: Request) -> Response:
            self.calls["calls"] += 1
            if counted_as:
                self.calls[counted_as] += 1
            await asyncio.sleep(self._latency_seconds())
            return self._refusal() or await endpoint(request)

        return Route(path, answer, methods=[method])

    def app(self, *routes: Route) -> Starlette:
        """The authority's ASGI app, with `GET /_sandbox/calls` beside its own routes."""

        async def tell_calls(_: Request) -> Response:
            return JSONResponse(dict(self.calls))

        return Starlette(routes=[*routes, Route("/_sandbox/calls", tell_calls, methods=["GET"])])

    def happens(self, fault: Fault) -> bool:
        """Whether this fault befalls this call."""
        return self.random.random() < self.behaviour.fault_rates.get(fault, 0.0)

    def closed_for(self, place: str) -> Response | None:
        """The closing page of a maintenance window that only a share of places has."""
        windows = [window for window in self.behaviour.maintenance if window.share < 1]
        is_in_share = [window for window in windows if zlib.crc32(place.encode()) % 100 < window.share * 100]
        return self._closing_page(is_in_share)

    def _latency_seconds(self) -> float:
        least, most = self.behaviour.latency_ms
        median = self.behaviour.median_ms
        if median is None:
            return self.random.uniform(least, most) / 1000
        spread = math.log(most / median) / _P99
        return min(max(self.random.lognormvariate(math.log(median), spread), least), most) / 1000

    def _refusal(self) -> Response | None:
        if self._is_over_rate():
            return Response(status_code=429, headers={"Retry-After": "1"})
        everywhere = [window for window in self.behaviour.maintenance if window.share >= 1]
        if page := self._closing_page(everywhere):
            return page
        if self.random.random() < self.behaviour.error_rate:
            return Response(_ERROR_PAGE, status_code=500, media_type="text/html")
        return None

    def _is_over_rate(self) -> bool:
        if self.behaviour.max_per_second is None:
            return False
        now = asyncio.get_running_loop().time()
        while self._recent and self._recent[0] <= now - 1:
            self._recent.popleft()
        self._recent.append(now)
        return len(self._recent) > self.behaviour.max_per_second

    def _closing_page(self, windows: list[MaintenanceWindow]) -> Response | None:
        now = self._now()
        opens_at = closed_until(windows, now)
        if opens_at is None:
            return None
        wait_seconds = math.ceil((opens_at - now).total_seconds())
        return Response(
            _CLOSED_PAGE, status_code=503, media_type="text/html", headers={"Retry-After": str(wait_seconds)}
        )


def utc_now() -> datetime:
    """The machine's clock; maintenance windows follow it, while the records' day stays fixed."""
    return datetime.now(UTC)


class _QuietServer(uvicorn.Server):
    """A server that leaves the process's signals to whoever runs the process, and stops at once.

    uvicorn looks every 100 ms whether it should stop and then waits for its calls; an authority that goes down
    does neither.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not self.stopping.is_set():
            await self.on_tick(0)  # sets the Date header, which is exact to the second
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        waiting = list(self.server_state.tasks)
        for call in waiting:
            call.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


class SandboxServer:
    """Serves one sandbox authority on 127.0.0.1 in the running event loop. `port` 0 takes a free one.

    After `stop()` a connection is refused; `start()` then takes the same port again. OSError if it is taken.
    """

    def __init__(self, app: Starlette, *, port: int = 0) -> None:
        self._app = app
        self._port = port
        self._server: _QuietServer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def base_url(self) -> str:
        """Known once the server was started, or where a port was given."""
        if self._port == 0:
            raise RuntimeError("the port is known once the server has started")
        return f"http://{LOOPBACK}:{self._port}"

    async def start(self) -> None:
        """Return when connections are accepted."""
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited by every connection
            listener.bind((LOOPBACK, self._port))
        except OSError:
            listener.close()
            raise
        self._port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._serve_until_stopped,
            log_config=None,
            access_log=False,
            interface="asgi3",
            ws="none",
            proxy_headers=False,
            lifespan="off",
            server_header=False,
        )
        self._server = _QuietServer(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]), name=f"sandbox:{self._port}")
        while not self._server.started:
            if self._task.done():
                await self._task
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Close the listening socket and every connection, also those that wait for an answer."""
        if self._server is None or self._task is None:
            return
        server, task = self._server, self._task
        self._server = self._task = None
        server.stopping.set()
        await task

    async def _serve_until_stopped(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            # Stopping cancels the calls that wait; let through, each would be logged as a fault of the app.
            if self._server is not None:
                raise
