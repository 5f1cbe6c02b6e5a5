"""What one process tells the others: that a grant was paused or has ended, so that all stop gathering for it.

Nothing relies on it: every answer rechecks its grant where it is recorded. PostgreSQL alone has other processes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.database import Database
from gateway.store.statement import driver_of

_CHANNEL = "kyosei_stopped"

ASKS_SECONDS = 5.0
"""So often the connection that listens is asked whether it stands."""

PAUSE_SECONDS = 1.0
"""After it was lost, before the next one is tried."""

_log = structlog.get_logger("kyosei.writer")


async def announce_stop(connection: AsyncConnection, grant_id: str) -> None:
    """Tell every process, once this transaction is committed."""
    if connection.dialect.name == "postgresql":
        told = {"channel": _CHANNEL, "grant": grant_id}
        await connection.execute(text("SELECT pg_notify(:channel, :grant)"), told)


@asynccontextmanager
async def heard_stops(
    database: Database, stop: Callable[[str], Awaitable[None]], *, asks_seconds: float = ASKS_SECONDS
) -> AsyncIterator[None]:
    """While the context lasts, call `stop` with the id of every grant that was paused or has ended; but for those of
    moments when the database was away."""
    if database.is_sqlite:
        yield
        return
    tasks: set[asyncio.Task[None]] = set()

    async def stop_one(grant_id: str) -> None:
        await stop(grant_id)

    def heard(_connection: Any, _process: int, _channel: str, grant_id: str) -> None:
        task = asyncio.create_task(stop_one(grant_id), name="stop gathering")
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    was_tried = asyncio.Event()
    listens = _keep_listening(database, heard, was_tried, asks_seconds=asks_seconds)
    listening = asyncio.create_task(listens, name="listen for stops")
    try:
        await was_tried.wait()
        yield
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _keep_listening(
    database: Database, heard: Callable[..., None], was_tried: asyncio.Event, *, asks_seconds: float
) -> None:
    """Listen, on a new connection whenever one is lost: such a one hears nothing, and says so only when asked."""
    while True:
        try:
            async with database.reading.connect() as connection:
                driver = driver_of(connection)
                await driver.add_listener(_CHANNEL, heard)
                was_tried.set()
                while True:
                    await asyncio.sleep(asks_seconds)
                    await driver.execute("SELECT 1")
        except Exception as error:  # whatever it is, nobody else begins anew
            _log.warning("not_listening", error=type(error).__name__)
        was_tried.set()
        await asyncio.sleep(PAUSE_SECONDS)
