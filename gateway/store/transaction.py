"""Writing transactions, begun and ended on the driver itself: with SQLAlchemy that takes longer than the writing.

What may wait for others or for the disk does so in a thread: taking a write lock that another process has, and
committing, unless the disk is quick. Everything else runs where it is awaited.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.store.sqlite import BUSY_MILLISECONDS, TAKE_WRITE_LOCK, is_busy
from gateway.store.statement import driver_of

LOCK_THE_LOG = "SELECT size FROM log_head FOR UPDATE"
"""On PostgreSQL. See `database.py` for what the lock is for."""


QUICK_SECONDS = 0.001
QUICK_IN_A_ROW = 16
"""After so many commits that took no longer, the next one may be made where it is awaited; a slow one ends that."""


class Transactions(Protocol):
    """How transactions of one kind of database begin and end. All raise the driver's own errors."""

    async def begin(self, connection: AsyncConnection) -> None:
        """Begin, with the right to write."""

    async def commit(self, connection: AsyncConnection) -> None:
        """Make it durable."""

    async def undo(self, connection: AsyncConnection) -> None:
        """As if it had not begun."""

    def is_dead(self, connection: AsyncConnection) -> bool:
        """Whether nothing that is sent on it from now on can arrive."""


class OnSQLite:
    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        """`clock` gives seconds, from whenever: how long a commit takes is measured with it."""
        self._clock = clock
        self._quick_in_a_row = 0

    async def begin(self, connection: AsyncConnection) -> None:
        """The connection has no patience any more afterwards, but for the lock: whoever has that waits for nobody."""
        driver = driver_of(connection)
        driver.execute("PRAGMA busy_timeout=0")
        try:
            driver.execute(TAKE_WRITE_LOCK)
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            await asyncio.to_thread(self._wait_for_lock, driver)

    @staticmethod
    def _wait_for_lock(driver: sqlite3.Connection) -> None:
        driver.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        driver.execute(TAKE_WRITE_LOCK)

    async def commit(self, connection: AsyncConnection) -> None:
        """In a thread, but where the disk has been quick for a while: handing it over would take longer then."""
        driver = driver_of(connection)
        is_quick = self._quick_in_a_row >= QUICK_IN_A_ROW
        seconds = self._commit(driver) if is_quick else await asyncio.to_thread(self._commit, driver)
        self._quick_in_a_row = self._quick_in_a_row + 1 if seconds < QUICK_SECONDS else 0

    def _commit(self, driver: sqlite3.Connection) -> float:
        """Commit; how many seconds that took."""
        if not driver.in_transaction:
            raise sqlite3.OperationalError("the transaction has ended by itself")
        began_at = self._clock()
        driver.commit()
        return self._clock() - began_at

    async def undo(self, connection: AsyncConnection) -> None:
        driver_of(connection).rollback()

    def is_dead(self, connection: AsyncConnection) -> bool:
        return False


class OnPostgreSQL:
    async def begin(self, connection: AsyncConnection) -> None:
        await driver_of(connection).execute(f"BEGIN; {LOCK_THE_LOG}")  # in one round trip

    async def commit(self, connection: AsyncConnection) -> None:
        """A transaction that failed ends with a ROLLBACK, whatever it is told."""
        if await driver_of(connection).execute("COMMIT") != "COMMIT":
            raise RuntimeError("the transaction had failed")

    async def undo(self, connection: AsyncConnection) -> None:
        await driver_of(connection).execute("ROLLBACK")

    def is_dead(self, connection: AsyncConnection) -> bool:
        return bool(driver_of(connection).is_closed())


async def connect_to_write(engine: AsyncEngine) -> AsyncConnection:
    """A connection on which SQLAlchemy begins nothing by itself."""
    return await (await engine.connect()).execution_options(isolation_level="AUTOCOMMIT")


def transactions_on(engine: AsyncEngine) -> Transactions:
    return OnSQLite() if engine.dialect.name == "sqlite" else OnPostgreSQL()
