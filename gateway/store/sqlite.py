"""SQLite in this thread: a look-up by key takes microseconds, handing it to another thread takes hundreds.

A dialect for SQLAlchemy's asyncio whose statements run where they are awaited; only its commits go to a thread. The
writer's transactions begin and end elsewhere (`transaction.py`).
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from typing import Any

from sqlalchemy import URL
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool
from sqlalchemy.util import await_only

DRIVER = "sqlite+inline"
TAKE_WRITE_LOCK = "BEGIN IMMEDIATE"
BUSY_MILLISECONDS = 2_000
"""For so long a connection waits for what another has."""
_PRIMARY_CODE = 0xFF
"""What all variants of an error have in common. Source: SQLite, result and error codes."""

registry.register("sqlite.inline", __name__, "InlineDialect")


class _Cursor(sqlite3.Cursor):
    """A cursor that has fetched its rows once it has executed.

    A statement that is still being read would hold its connection, and whatever else runs on it, at the moment when
    it began: somebody would read a consent that has ended since.
    """

    server_side = False

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._rows: deque[Any] = deque()

    def execute(self, *given: Any) -> "_Cursor":
        super().execute(*given)
        self._rows = deque(super().fetchall() if self.description else ())
        return self

    def fetchone(self) -> Any:
        return self._rows.popleft() if self._rows else None

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        return [self._rows.popleft() for _ in range(min(size or 1, len(self._rows)))]

    def fetchall(self) -> list[Any]:
        rows = list(self._rows)
        self._rows.clear()
        return rows

    async def _async_soft_close(self) -> None:
        pass


class _Connection(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


class InlineDialect(SQLiteDialect_pysqlite):
    """See the module. One connection is never used by two threads at once: its user awaits the one that works."""

    driver = "inline"
    is_async = True
    supports_statement_cache = True

    @classmethod
    def import_dbapi(cls) -> Any:
        return sqlite3

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:
        return AsyncAdaptedQueuePool

    def create_connect_args(self, url: URL) -> Any:
        positional, named = super().create_connect_args(url)
        return positional, {**named, "factory": _Connection, "check_same_thread": False}

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        await_only(_called(cursor.execute, statement, parameters))

    def do_executemany(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        await_only(_called(cursor.executemany, statement, parameters))

    def do_execute_no_params(self, cursor: Any, statement: str, context: Any = None) -> None:
        await_only(_called(cursor.execute, statement))

    def do_commit(self, dbapi_connection: Any) -> None:
        await_only(asyncio.to_thread(dbapi_connection.commit))


def is_busy(error: sqlite3.OperationalError) -> bool:
    """Whether another has what is wanted."""
    return error.sqlite_errorcode & _PRIMARY_CODE == sqlite3.SQLITE_BUSY


async def _called(function: Callable[..., object], *arguments: Any) -> None:
    function(*arguments)
