"""Serving the gateway: uvicorn in the running event loop, without access log and without its signals."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

GRACEFUL_SECONDS = 20


class _UnbufferedProtocol(HttpToolsProtocol):
    """Keeps no answer back for a slow reader: the next one waits, and its lease discards it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to whoever runs the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening_socket(host: str, port: int) -> socket.socket:
    """A socket that listens. Port 0 takes a free one. OSError if it is taken."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    # Inherited by every connection: without it head and body wait for each other's acknowledgement (40 ms).
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


@contextlib.asynccontextmanager
async def served(app: ASGIApp, *, host: str, port: int, listener: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve an app while the context lasts; its address. Port 0 takes a free one. OSError if it is taken.

    `listener`: a socket that listens already, shared with other processes.
    """
    gc.freeze()  # a full collection over the schema and all that was imported would outlast an answer's lease
    listener = listener or listening_socket(host, port)
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=_UnbufferedProtocol,
        log_config=None,
        access_log=False,
        ws="none",
        proxy_headers=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]), name="gateway server")
    try:
        while not server.started:
            if task.done():
                await task
            await asyncio.sleep(0.005)
        address = f"[{host}]" if ":" in host else host
        yield f"http://{address}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
