"""Opening the database. SQLite: WAL, synchronous=FULL, and exactly one connection that writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.errors import ConfigurationError

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=2000",
    "PRAGMA trusted_schema=OFF",
    "PRAGMA secure_delete=ON",
)
_SYNCHRONOUS_FULL = 2


@dataclass(frozen=True, slots=True)
class Database:
    """One engine to write through (one connection) and one to read through."""

    writing: AsyncEngine
    reading: AsyncEngine

    async def close(self) -> None:
        await self.reading.dispose()
        await self.writing.dispose()


def sqlite_url(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


def open_database(url: str) -> Database:
    """Open both engines. The write lock is taken when a transaction begins, never upgraded to."""
    if make_url(url).get_backend_name() != "sqlite":
        raise ConfigurationError("database.url: only SQLite is supported by this version")
    writing = create_async_engine(url, pool_size=1, max_overflow=0)
    reading = create_async_engine(url, pool_size=4, max_overflow=4)
    _configure(writing, begin="BEGIN IMMEDIATE", checkpoints=True)
    _configure(reading, begin="BEGIN", checkpoints=False)
    return Database(writing, reading)


def _configure(engine: AsyncEngine, *, begin: str, checkpoints: bool) -> None:
    _begin_with(engine.sync_engine, begin)

    @event.listens_for(engine.sync_engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in _PRAGMAS:
            cursor.execute(pragma)
        if not checkpoints:
            cursor.execute("PRAGMA wal_autocheckpoint=0")
        cursor.execute("PRAGMA synchronous")
        if cursor.fetchone()[0] != _SYNCHRONOUS_FULL:
            raise ConfigurationError("database: synchronous is not FULL")
        cursor.close()


def _begin_with(engine: Engine, statement: str) -> None:
    """Begin transactions ourselves: the driver would begin them late, and never for DDL."""

    @event.listens_for(engine, "connect")
    def on_connect(connection: Any, _: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)


def migrate(url: str) -> None:
    """Bring the database to this version's schema. Raises ConfigurationError if it is newer than the code."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    engine = create_engine(make_url(url).set(drivername="sqlite"), poolclass=NullPool)
    _begin_with(engine, "BEGIN IMMEDIATE")  # one transaction: a start that is killed leaves no half schema
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current is not None and current not in known:
            raise ConfigurationError("database: its schema is newer than this version of the gateway")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
    engine.dispose()
