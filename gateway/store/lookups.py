"""Where things are looked up: no transactions, each statement sees what is committed when it runs."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from connectors.places import Places
from gateway.store.statement import driver_of

MAX_HELD = 6
"""Connections to PostgreSQL of one process at once. Whoever waits to be told something holds one all the time."""

WAIT_SECONDS = 30.0
"""For so long anybody waits for one: the database does not answer any more."""

SOUND_SECONDS = 1.0
"""One that was used so recently is used again as it is, unless it is known to be closed. The engine's pool would ask
each time whether it stands."""


class Lookups:
    """Connections to look things up. `clock`: monotonic seconds.

    On SQLite all share one that stays open: opening one costs more than a look-up, and each statement has ended, with
    its rows, before another begins. Of PostgreSQL's each is one user's at a time, and stays open for the next.
    """

    def __init__(self, engine: AsyncEngine, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._shared: AsyncConnection | None = None
        self._places = Places(MAX_HELD)
        self._idle: list[tuple[AsyncConnection, float]] = []

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection, for the length of a context."""
        if self._shared is not None:
            return nullcontext(self._shared)
        return _Opening(self) if self._engine.dialect.name == "sqlite" else _Borrowing(self)

    async def open(self) -> AsyncConnection:
        """The one that all share."""
        if self._shared is None:
            opened = await self._engine.connect()
            if self._shared is None:
                self._shared = opened
            else:
                await opened.close()  # somebody else was quicker
        return self._shared

    async def borrow(self) -> AsyncConnection:
        """One for this user alone, who gives it back. Raises TimeoutError."""
        if not self._places.take_now():
            async with asyncio.timeout(WAIT_SECONDS):
                await self._places.take()
        try:
            while self._idle:
                connection, used_at = self._idle.pop()
                is_recent = self._clock() - used_at < SOUND_SECONDS
                if is_recent and not driver_of(connection).is_closed():
                    return connection
                await connection.close()  # to the pool, which finds out about it
            return await self._engine.connect()
        except BaseException:
            self._places.give_back()
            raise

    def give_back(self, connection: AsyncConnection) -> None:
        """It is sound, and somebody else's."""
        self._idle.append((connection, self._clock()))
        self._places.give_back()

    async def give_up(self, connection: AsyncConnection, *told: Any) -> None:
        """Something went wrong with it, or while it was used."""
        self._places.give_back()
        await connection.__aexit__(*told)

    async def dispose(self) -> None:
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.close()
        while self._idle:
            await self._idle.pop()[0].close()
        await self._engine.dispose()


class _Opening(AbstractAsyncContextManager[AsyncConnection]):
    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    async def __aenter__(self) -> AsyncConnection:
        return await self._lookups.open()

    async def __aexit__(self, *_: object) -> None:
        pass


class _Borrowing(AbstractAsyncContextManager[AsyncConnection]):
    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    async def __aenter__(self) -> AsyncConnection:
        self._borrowed = await self._lookups.borrow()
        return self._borrowed

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._lookups.give_back(self._borrowed)
        else:
            await self._lookups.give_up(self._borrowed, kind, error, traceback)
