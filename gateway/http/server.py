"""Serving the gateway: uvicorn in the running event loop, without access log and without its signals."""

import asyncio
import contextlib
import gc
import os
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from gateway.errors import ConfigurationError
from gateway.http.backlog import not_yet_accepted, stop_arrivals
from gateway.http.connection import Door, Draining, NotesRefusal, notes_nothing
from gateway.http.reading_deadline import ReadConnection

GRACEFUL_SECONDS = 20
YOUNG_OBJECTS = 20_000
"""So many more objects than were freed before the collector looks: what one question makes is gone by itself by then,
and looking at it several times a question is for nothing."""
ARRIVAL_SECONDS = 0.2
"""At the end of the drain, for those who have begun to connect."""


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever runs the process, and nobody behind at its sockets."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        rest = [connection for listener in sockets or () for connection in not_yet_accepted(listener)]
        for server in self.servers:
            server.close()
        for connection in rest:
            await asyncio.get_running_loop().connect_accepted_socket(self._make_connection, sock=connection)
        await super().shutdown(sockets)

    def _make_connection(self) -> asyncio.Protocol:
        make = self.config.http_protocol_class
        given = {"config": self.config, "server_state": self.server_state, "app_state": self.lifespan.state}
        return make(**given)


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens. Port 0 takes a free one. Raises ConfigurationError if nobody can listen there."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else "the name is not known"
        raise ConfigurationError(
            f"server.host, server.port: cannot listen there: {why}; --port or KYOSEI_SERVER__PORT takes another"
        ) from error
    # Inherited by every connection: without it head and body wait for each other's acknowledgement (40 ms).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a socket listens, as a URL."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.asynccontextmanager
async def served(
    app: ASGIApp,
    listener: socket.socket,
    *,
    draining: Draining | None = None,
    drain_seconds: float = 0.0,
    door: Door | None = None,
    notes_refusal: NotesRefusal = notes_nothing,
) -> AsyncIterator[str]:
    """Serve an app on a socket, which other processes may share, while the context lasts; where it listens.

    At the end it drains: for `drain_seconds` it goes on serving, as who should not be asked any more, and ends
    each connection with its answer; then it takes no new ones and finishes what it has begun, and what those ask who
    have connected already. No process that shares the socket takes new ones after that.
    """
    draining = draining or Draining()
    given = {
        "draining": draining,
        "door": door or Door(),
        "notes_refusal": staticmethod(notes_refusal),
    }
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
    gc.freeze()  # a full collection over the schema and all that was imported would outlast an answer's lease
    server = _Server(_configured(app, type("Connection", (ReadConnection,), given)))
    task = asyncio.create_task(server.serve(sockets=[listener]), name="gateway server")
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        yield url_of(listener)
    finally:
        draining.has_begun = True
        arrival_seconds = min(drain_seconds, ARRIVAL_SECONDS)
        await asyncio.sleep(drain_seconds - arrival_seconds)
        stop_arrivals(listener)
        await asyncio.sleep(arrival_seconds)
        server.should_exit = True
        await task


def _configured(app: ASGIApp, connection: type[ReadConnection]) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=connection,
        log_config=None,
        access_log=False,
        ws="none",
        proxy_headers=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
