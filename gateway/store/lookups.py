"""Where things are looked up: no transactions, each statement sees what is committed when it runs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from connectors.places import Places
from gateway.errors import RecordUnavailableError
from gateway.store.statement import driver_of

MAX_HELD = 6
"""Connections to PostgreSQL of one process at once, for look-ups. `heard_stops` holds one of them, to listen."""

WAIT_SECONDS = 30.0
"""For so long anybody waits for one: the database does not answer any more."""

SOUND_SECONDS = 1.0
"""One that was used so recently is used again as it is, unless it is known to be closed. The engine's pool would ask
each time whether it stands."""

STANDS_SECONDS = 0.5
"""A server that says nothing for so long, when it is asked whether it stands, does not."""

_SHUTDOWN = "57P"
"""The error codes of a server that shuts down or crashes. Source: PostgreSQL documentation, appendix A."""


class Lookups(Protocol):
    """Connections to look things up."""

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection, for the length of a context."""
        ...

    async def dispose(self) -> None: ...


class OnSQLite:
    """All share one connection, which stays open: opening one costs more than a look-up, and each statement has
    ended, with its rows, before another begins."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._shared: AsyncConnection | None = None

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return self._opening() if self._shared is None else nullcontext(self._shared)

    @asynccontextmanager
    async def _opening(self) -> AsyncIterator[AsyncConnection]:
        opened = await self._engine.connect()
        if self._shared is None:
            self._shared = opened
        else:
            await opened.close()  # somebody else was quicker
        yield self._shared

    async def dispose(self) -> None:
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.close()
        await self._engine.dispose()


class OnPostgreSQL:
    """Each connection is one user's at a time, and stays open for the next. `wait_seconds`: for so long at most
    anybody waits for one. `clock`: monotonic seconds."""

    def __init__(
        self, engine: AsyncEngine, *, wait_seconds: float = WAIT_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.engine = engine
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._places = Places(MAX_HELD)
        self._idle: list[tuple[AsyncConnection, float]] = []
        self._left: set[asyncio.Task[None]] = set()
        self._is_disposed = False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        """Raises RecordUnavailableError where the database does not answer; other errors are the driver's own."""
        try:
            await self._places.take(ends_at=asyncio.get_running_loop().time() + self._wait_seconds)
        except TimeoutError as error:
            raise RecordUnavailableError("no connection got free") from error
        try:
            connection = await self._sound()
        except BaseException as error:
            self._places.give_back()
            if isinstance(error, Exception):  # whatever it is, there is no connection
                raise RecordUnavailableError("the database does not answer") from error
            raise
        try:
            yield connection
        except Exception as error:
            is_gone = await _is_gone(connection, error)
            await self._part_with(connection, is_gone=is_gone)
            if is_gone:
                raise RecordUnavailableError("the database went down") from error
            raise
        except BaseException:
            self._leave(connection)
            raise
        if self._is_disposed:
            await self._part_with(connection, is_gone=False)
        else:
            self._idle.append((connection, self._clock()))
            self._places.give_back()

    def _leave(self, connection: AsyncConnection) -> None:
        """Whoever goes waits for nothing. Their place is another's once the server has stopped working for them: it
        may be busy with what they asked, or wait for a lock, and would not notice."""

        async def part() -> None:
            await self._part_with(connection, is_gone=not await _stands(connection))

        task = asyncio.create_task(part(), name="part with a connection")
        self._left.add(task)
        task.add_done_callback(self._left.discard)

    async def _part_with(self, connection: AsyncConnection, *, is_gone: bool) -> None:
        """Give it back to the engine, or end it; and with it the place."""
        try:
            if is_gone:
                await _cut(connection)
            await connection.close()
        finally:
            self._places.give_back()

    async def _sound(self) -> AsyncConnection:
        """The one that was used last, or one from the engine's pool, which has asked it."""
        if self._idle:
            connection, used_at = self._idle.pop()
            if self._clock() - used_at < SOUND_SECONDS and not driver_of(connection).is_closed():
                return connection
            await connection.close()
        return await self.engine.connect()

    async def dispose(self) -> None:
        self._is_disposed = True
        await asyncio.gather(*self._left, return_exceptions=True)
        while self._idle:
            await self._idle.pop()[0].close()
        await self.engine.dispose()


async def _is_gone(connection: AsyncConnection, error: Exception) -> bool:
    """Whether the server ended the connection, or says that it is about to, or says nothing any more."""
    if connection.invalidated or driver_of(connection).is_closed():
        return True
    if isinstance(error, TimeoutError):
        return not await _stands(connection)
    return str(getattr(error, "sqlstate", "")).startswith(_SHUTDOWN)


async def _cut(connection: AsyncConnection) -> None:
    """End it without a word to the server, which may not listen any more."""
    if not connection.invalidated:
        driver_of(connection).terminate()
        await connection.invalidate()


async def _stands(connection: AsyncConnection) -> bool:
    """Whether the server says anything, once it has given up what it was asked last: that may be to blame itself."""
    if connection.invalidated or driver_of(connection).is_closed():
        return False
    try:
        async with asyncio.timeout(STANDS_SECONDS):
            await driver_of(connection).execute("SELECT 1")
    except Exception:  # whatever it is, it does not
        return False
    return True
