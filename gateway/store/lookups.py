"""Where things are looked up: no transactions, each statement sees what is committed when it runs."""

from contextlib import AbstractAsyncContextManager, nullcontext

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Lookups:
    """Connections to look things up.

    On SQLite all share one that stays open: opening one costs more than a look-up, and each statement has ended, with
    its rows, before another begins.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._shared: AsyncConnection | None = None

    def connect(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection, for the length of a context."""
        if self._shared is not None:
            return nullcontext(self._shared)
        return self._engine.connect() if self._engine.dialect.name != "sqlite" else _Opening(self)

    async def open(self) -> AsyncConnection:
        """The one that all share."""
        if self._shared is None:
            opened = await self._engine.connect()
            if self._shared is None:
                self._shared = opened
            else:
                await opened.close()  # somebody else was quicker
        return self._shared

    async def dispose(self) -> None:
        if self._shared is not None:
            shared, self._shared = self._shared, None
            await shared.close()
        await self._engine.dispose()


class _Opening(AbstractAsyncContextManager[AsyncConnection]):
    def __init__(self, lookups: Lookups) -> None:
        self._lookups = lookups

    async def __aenter__(self) -> AsyncConnection:
        return await self._lookups.open()

    async def __aexit__(self, *_: object) -> None:
        pass
