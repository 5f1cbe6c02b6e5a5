"""A statement that is compiled once and run on the driver itself.

SQLAlchemy Core works out anew, at each execution, which compiled statement is meant and how its rows are read: for a
look-up by key many times what the database does. What every question runs is compiled when it is first run.
"""

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Delete, Dialect, Insert, LargeBinary, Select, Update
from sqlalchemy.engine.interfaces import Compiled
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import Moment, read_moment, store_moment

Row = Any
"""A named tuple of the selected columns."""

_Process = Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement in one dialect: its text, how its values are bound in order, and how its rows are read."""

    text: str
    binds: tuple[tuple[str, _Process], ...]
    constants: dict[str, Any]
    processors: tuple[tuple[int, Callable[[Any], Any]], ...]
    make: Callable[[Sequence[Any]], Row]

    def values(self, given: dict[str, Any]) -> tuple[Any, ...]:
        known = self.constants | given if self.constants else given
        return tuple([known[name] if process is None else process(known[name]) for name, process in self.binds])

    def read(self, row: Sequence[Any]) -> Row:
        values = list(row)
        for at, process in self.processors:
            values[at] = process(values[at])
        return self.make(values)


class Statement:
    """A SQLAlchemy statement with `bindparam`s, for connections of either database.

    `columns`: those that an insert or an update sets, each by a value of its name. Raises the driver's own errors,
    and KeyError for a value that is missing.
    """

    def __init__(self, clause: Select[Any] | Insert | Update | Delete, columns: Sequence[str] | None = None) -> None:
        self._clause = clause
        self._columns = columns
        self._prepared: dict[str, _Prepared] = {}

    async def all(self, connection: AsyncConnection, **values: Any) -> list[Row]:
        """The rows that it selects."""
        prepared, driver = self._on(connection)
        if isinstance(driver, sqlite3.Connection):
            found: Sequence[Any] = _cursor(driver).execute(prepared.text, prepared.values(values)).fetchall()
        else:
            found = await driver.fetch(prepared.text, *prepared.values(values))
        return [prepared.read(row) for row in found]

    async def first(self, connection: AsyncConnection, **values: Any) -> Row | None:
        """Its first row; None if there is none."""
        found = await self.all(connection, **values)
        return found[0] if found else None

    async def run(self, connection: AsyncConnection, **values: Any) -> int:
        """How many rows it changed."""
        prepared, driver = self._on(connection)
        if isinstance(driver, sqlite3.Connection):
            return _cursor(driver).execute(prepared.text, prepared.values(values)).rowcount
        status: str = await driver.execute(prepared.text, *prepared.values(values))
        return int(status.rpartition(" ")[2])  # such as `UPDATE 1`

    async def run_many(self, connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
        """Run it for each of these, together; PostgreSQL is sent all of them at once."""
        prepared, driver = self._on(connection)
        values = [prepared.values(row) for row in rows]
        if isinstance(driver, sqlite3.Connection):
            _cursor(driver).executemany(prepared.text, values)
        else:
            await driver.executemany(prepared.text, values)

    def _on(self, connection: AsyncConnection) -> tuple[_Prepared, Any]:
        dialect = connection.dialect
        prepared = self._prepared.get(dialect.name)
        if prepared is None:
            prepared = self._prepared[dialect.name] = _prepare(self._clause, self._columns, dialect)
        return prepared, driver_of(connection)


def _cursor(driver: sqlite3.Connection) -> sqlite3.Cursor:
    """A plain cursor, made by its connection: of those that are made past it, a trace is kept for ever."""
    return sqlite3.Connection.cursor(driver, sqlite3.Cursor)


def driver_of(connection: AsyncConnection) -> Any:
    """The driver's own connection. Raises LookupError if it is not open."""
    plain = connection.sync_connection
    if plain is None:
        raise LookupError("the connection is not open")
    return plain.connection.driver_connection


def _prepare(clause: Any, columns: Sequence[str] | None, dialect: Dialect) -> _Prepared:
    compiled: Any = clause.compile(dialect=dialect, column_keys=columns)
    names = compiled.positiontup or ()
    return _Prepared(
        text=str(compiled),
        binds=tuple((name, _bind_processor(compiled, name)) for name in names),
        constants={name: compiled.params[name] for name in names if not compiled.binds[name].required},
        processors=tuple(_result_processors(compiled, dialect)),
        make=_row_type(compiled)._make,
    )


def _bind_processor(compiled: Any, name: str) -> _Process:
    """How a value is made one of the driver's; both take bytes as they are. For moments SQLAlchemy would put two more
    functions around ours."""
    bound = compiled.binds[name].type
    if isinstance(bound, LargeBinary):
        return None
    return store_moment if isinstance(bound, Moment) else compiled._bind_processors.get(name)


def _result_processors(compiled: Any, dialect: Dialect) -> list[tuple[int, Callable[[Any], Any]]]:
    found = []
    for at, column in enumerate(compiled._result_columns):
        is_moment = isinstance(column.type, Moment)
        process = read_moment if is_moment else column.type._cached_result_processor(dialect, None)
        if process is not None:
            found.append((at, process))
    return found


def _row_type(compiled: Compiled) -> Any:
    keys = [column.keyname for column in getattr(compiled, "_result_columns", ())]
    return namedtuple("Row", keys, rename=True)
