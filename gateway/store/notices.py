"""What one process tells the others: that a grant was paused or has ended, so that all stop gathering for it.

Nothing relies on it: every answer rechecks its grant where it is recorded. PostgreSQL alone has other processes.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.database import Database

_CHANNEL = "kyosei_stopped"


async def announce_stop(connection: AsyncConnection, grant_id: str) -> None:
    """Tell every process, once this transaction is committed."""
    if connection.dialect.name == "postgresql":
        told = {"channel": _CHANNEL, "grant": grant_id}
        await connection.execute(text("SELECT pg_notify(:channel, :grant)"), told)


@asynccontextmanager
async def heard_stops(database: Database, stop: Callable[[str], Awaitable[None]]) -> AsyncIterator[None]:
    """While the context lasts, call `stop` with the id of every grant that was paused or has ended."""
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

    async with database.reading.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        await driver.add_listener(_CHANNEL, heard)
        try:
            yield
        finally:
            await driver.remove_listener(_CHANNEL, heard)
