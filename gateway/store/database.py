"""Opening the database.

SQLite: WAL, synchronous=FULL, and exactly one connection that writes. PostgreSQL: READ COMMITTED; every
writing transaction first locks the one log-head row, so that the processes' transactions follow each other
as they do on SQLite, each sees what the one before committed, and none can deadlock another.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, event, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.errors import ConfigurationError
from gateway.store.lookups import MAX_HELD, Lookups, OnPostgreSQL, OnSQLite
from gateway.store.private_file import make_private
from gateway.store.sqlite import BUSY_MILLISECONDS, DRIVER, TAKE_WRITE_LOCK
from gateway.store.statement import driver_of
from gateway.store.tables import log_head
from gateway.store.transaction import LOCK_THE_LOG

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    f"PRAGMA busy_timeout={BUSY_MILLISECONDS}",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA secure_delete=ON",
)
_SYNCHRONOUS_FULL = 2
_SQLITE = "sqlite+aiosqlite"
_POSTGRESQL = "postgresql+asyncpg"
_MIGRATION_LOCK = "SELECT pg_advisory_xact_lock(7310920)"
"""One process migrates at a time; the number is this product's own."""

_GIVE_WAY = "SET LOCAL lock_timeout = '300ms'"
"""Less than PostgreSQL's deadlock_timeout (1 s): a migration and a reader that wait for each other never cost the
reader its answer."""
_LOCK_NOT_AVAILABLE = "55P03"
_MIGRATION_ATTEMPTS = 50
_BETWEEN_ATTEMPTS_SECONDS = 0.2

MAX_SCANNING = 4
"""Connections to PostgreSQL of one process that read what takes long, besides those for look-ups and the one that
writes."""

_NAME = "kyosei"
_NAMED: dict[str, Any] = {"server_settings": {"application_name": _NAME}}
_CONNECT_SECONDS = 5.0
"""A server that takes longer does not answer."""

_LOOKUP_SECONDS, _WRITE_SECONDS, _SCAN_SECONDS = 5.0, 15.0, 30.0
"""The same for each statement on PostgreSQL, by what it is for. A connection that the network has lost says nothing
for as long as the kernel has patience, a quarter of an hour."""

_VACUUM_SECONDS = 3600.0
"""A table of millions of people is rewritten in minutes."""

_COMMAND_TIMEOUT = "command_timeout"
"""The driver's name for it."""

_ONLY_READ: dict[str, Any] = {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}


@dataclass(frozen=True, slots=True)
class Database:
    """One engine to write through (one connection), one to look things up, and one for what takes long to read."""

    writing: AsyncEngine
    reading: Lookups
    scanning: AsyncEngine

    @property
    def is_sqlite(self) -> bool:
        return self.writing.dialect.name == "sqlite"

    async def forget_deleted_keys(self) -> bool:
        """Leave no deleted key in the files; False if a reader is in the way.

        SQLite overwrites what it deletes, but for its write-ahead log, which this empties. PostgreSQL keeps dead
        rows until their table is rewritten, which this does, and its own log until that is recycled. It may wait for
        who writes, so it is not for the connection that others look things up on.
        """
        async with self.scanning.connect() as connection:
            if not self.is_sqlite:
                await driver_of(connection).execute("VACUUM (FULL) person", timeout=_VACUUM_SECONDS)
                return True
            is_busy = (await connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))).scalar_one()
            return not is_busy

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[AsyncConnection]:
        """Reads all as it is at one moment while the context lasts, whatever is written meanwhile."""
        async with self.scanning.connect() as connection:
            if self.is_sqlite:
                await connection.exec_driver_sql("BEGIN")
                await connection.execute(select(log_head.c.size))  # the moment is that of the first reading
            else:
                await connection.execution_options(isolation_level="REPEATABLE READ")
            try:
                yield connection
            finally:
                if self.is_sqlite:
                    await connection.exec_driver_sql("ROLLBACK")

    async def close(self) -> None:
        await self.reading.dispose()
        await self.scanning.dispose()
        await self.writing.dispose()


def sqlite_url(path: Path) -> str:
    return f"{_SQLITE}:///{path}"


def is_sqlite(url: str) -> bool:
    """Whether a database URL names SQLite. Raises ConfigurationError for one that is neither of the two."""
    try:
        name = make_url(url).drivername
    except ArgumentError:
        raise ConfigurationError("database.url: it cannot be read") from None
    if name not in (_SQLITE, _POSTGRESQL):
        raise ConfigurationError(f"database.url: it begins with neither {_SQLITE}:// nor {_POSTGRESQL}://")
    return name == _SQLITE


def open_database(url: str, *, pragmas: Sequence[str] = _PRAGMAS) -> Database:
    """Open the engines. The write lock is taken when a transaction begins, never upgraded to.

    Reading begins no transactions: each statement sees what is committed when it runs. Connecting raises
    ConfigurationError if SQLite does not write durably after its `pragmas`.
    """
    if is_sqlite(url):
        return _open_sqlite(make_url(url), pragmas)
    writing = _open_postgresql(url, pool_size=1, seconds=_WRITE_SECONDS)
    reading = _open_postgresql(url, pool_size=MAX_HELD, seconds=_LOOKUP_SECONDS, **_ONLY_READ)
    scanning = _open_postgresql(url, pool_size=MAX_SCANNING, seconds=_SCAN_SECONDS, **_ONLY_READ)
    _begin_with(writing.sync_engine, LOCK_THE_LOG)
    return Database(writing, OnPostgreSQL(reading), scanning)


def _open_postgresql(url: str, *, pool_size: int, seconds: float, **given: Any) -> AsyncEngine:
    """`seconds`: so long at most a statement takes, unless the URL says it."""
    try:
        seconds = float(str(make_url(url).query.get(_COMMAND_TIMEOUT, seconds)))
    except ValueError:
        raise ConfigurationError("database.url: command_timeout: it is no number of seconds") from None
    told = _NAMED | {"timeout": _CONNECT_SECONDS, _COMMAND_TIMEOUT: seconds}
    return create_async_engine(
        _patient(url), pool_size=pool_size, max_overflow=0, pool_pre_ping=True, connect_args=told, **given
    )


def _patient(url: str) -> URL:
    """The same without the longest time of a statement, for what may take longer."""
    return make_url(url).difference_update_query([_COMMAND_TIMEOUT])


def _open_sqlite(url: URL, pragmas: Sequence[str]) -> Database:
    inline = url.set(drivername=DRIVER)
    writing = create_async_engine(inline, pool_size=1, max_overflow=0)
    reading = create_async_engine(inline, pool_size=1, max_overflow=1, **_ONLY_READ)
    scanning = create_async_engine(url, **_ONLY_READ)
    for engine in (writing, reading, scanning):
        _configure_sqlite(engine, pragmas, checkpoints=engine is writing)
    _begin_with(writing.sync_engine, TAKE_WRITE_LOCK)
    return Database(writing, OnSQLite(reading), scanning)


def open_to_read(url: str) -> Database:
    """Open a database that is only read, and left as it is."""
    return open_database(url, pragmas=("PRAGMA trusted_schema=OFF", "PRAGMA query_only=ON"))


def _configure_sqlite(engine: AsyncEngine, pragmas: Sequence[str], *, checkpoints: bool) -> None:
    _begin_ourselves(engine.sync_engine)

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(pragma)
        if not checkpoints:
            cursor.execute("PRAGMA wal_autocheckpoint=0")
        cursor.execute("PRAGMA synchronous")
        if cursor.fetchone()[0] != _SYNCHRONOUS_FULL:
            raise ConfigurationError("database: synchronous is not FULL")
        cursor.close()


def _begin_ourselves(engine: Engine) -> None:
    """SQLite's driver would begin transactions late, and never for DDL."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None


def _begin_with(engine: Engine, statement: str) -> None:
    """What every transaction of this engine begins with, but for those of AUTOCOMMIT connections: they are begun by
    whoever writes on them."""

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql(statement)


async def is_in_use(url: str) -> bool:
    """Whether a gateway is connected to a PostgreSQL database; SQLite's is known by the state directory's lock.

    Raises ConfigurationError if the database cannot be reached.
    """
    if is_sqlite(url):
        return False
    others = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND application_name = :name")
    engine = create_async_engine(_patient(url), poolclass=NullPool)
    try:
        async with engine.connect() as connection:
            return (await connection.execute(others, {"name": _NAME})).first() is not None
    except (OSError, DBAPIError) as error:
        raise _unreachable(engine) from error
    finally:
        await engine.dispose()


async def migrate(url: str, *, to: str = "head") -> None:
    """Bring the database to this version's schema, in one transaction: a start that is killed leaves no half.

    Processes of the version before may serve meanwhile. `to`: the version, the newest unless another is named. Raises
    ConfigurationError if the database is newer than the code, cannot be reached, or is too busy.
    """
    engine = create_async_engine(_patient(url), poolclass=NullPool)
    if is_sqlite(url):
        with suppress(OSError):  # SQLite will say so
            make_private(Path(engine.url.database or ""))
        _begin_ourselves(engine.sync_engine)
    _begin_with(engine.sync_engine, TAKE_WRITE_LOCK if is_sqlite(url) else _MIGRATION_LOCK)
    try:
        for _ in range(_MIGRATION_ATTEMPTS):
            if await _migrated(engine, to):
                return
            await asyncio.sleep(_BETWEEN_ATTEMPTS_SECONDS)
        raise ConfigurationError("database: it is too busy to be migrated; try again when it is not")
    finally:
        await engine.dispose()


async def _migrated(engine: AsyncEngine, to: str) -> bool:
    """Whether it has the schema now; False if its tables were in use, and nothing has been changed."""
    try:
        connection = await engine.connect()
    except (OSError, DBAPIError) as error:
        raise _unreachable(engine) from error
    try:
        async with connection.begin():
            await connection.run_sync(lambda plain: _upgrade(plain, to))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
            raise
        return False
    finally:
        await connection.close()
    return True


def _unreachable(engine: AsyncEngine) -> ConfigurationError:
    """Names the server, where there is one: nothing else of a URL may be told."""
    server = f" on {engine.url.host}:{engine.url.port or 5432}" if engine.url.host else ""
    return ConfigurationError(f"database.url: the database{server} cannot be reached")


def version_of(connection: Connection) -> str | None:
    """The version of the schema that a database has; None for an empty one."""
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection, to: str) -> None:
    version = version_of(connection)
    if not check_version(version) and version is not None and connection.dialect.name == "postgresql":
        connection.exec_driver_sql(LOCK_THE_LOG)  # who writes waits here, where it holds nothing that we want
        connection.exec_driver_sql(_GIVE_WAY)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def check_version(version: str | None) -> bool:
    """Whether a database's schema is this version's own; False for an earlier one, and for none.

    Raises ConfigurationError for one that this version does not know.
    """
    scripts = ScriptDirectory.from_config(_config())
    if version is not None and version not in {script.revision for script in scripts.walk_revisions()}:
        raise ConfigurationError("database: its schema is newer than this version of the gateway")
    return version == scripts.get_current_head()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
