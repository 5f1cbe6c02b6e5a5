"""Makes a backup of either database, while the gateway runs: all of it as it was at one moment.

What is encrypted stays so. The master key is not in it: whoever finds the file can read nothing, and whoever has lost
the key neither. What is left out, and why: `gateway.store.short_lived`.
"""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import Table, delete, insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from gateway.audit.checkpoint import Checkpoint
from gateway.errors import ConfigurationError
from gateway.store.backup_file import seal_backup
from gateway.store.checkpoint_file import log_key
from gateway.store.database import Database, migrate, sqlite_url
from gateway.store.envelope import Envelope
from gateway.store.log_tree import LogTree
from gateway.store.private_file import make_durable
from gateway.store.short_lived import tables_to_keep
from gateway.store.tables import log_head

_VERSION = text("SELECT version_num FROM alembic_version")

ROWS_AT_ONCE = 100
"""So few that copying them does not keep the event loop from anybody's answer."""


@dataclass(frozen=True, slots=True)
class Backups:
    """Makes backups of one database."""

    database: Database
    envelope: Envelope

    async def make(self, target: Path, *, now: datetime) -> Checkpoint:
        """Write a backup to a new file; the checkpoint of the log in it.

        The file is there only when it is whole. Raises ConfigurationError if there is one of this name already.
        """
        try:
            with _unfinished(target) as unfinished:
                await asyncio.to_thread(asyncio.run, migrate(sqlite_url(unfinished)))
                async with self.database.snapshot() as source:
                    checkpoint = await self._copy(source, unfinished)
                await asyncio.to_thread(seal_backup, unfinished, self.envelope, checkpoint, made_at=now)
                await asyncio.to_thread(_finish, unfinished, target)
        except FileExistsError:
            raise ConfigurationError("backup: there is a file of this name already") from None
        except (OSError, DBAPIError, sqlite3.Error) as error:
            raise ConfigurationError("backup: it cannot be written there") from error
        return checkpoint

    async def _copy(self, source: AsyncConnection, target: Path) -> Checkpoint:
        tree = LogTree()
        await tree.grow(source)
        engine = create_async_engine(sqlite_url(target), poolclass=NullPool)
        try:
            async with engine.begin() as writing:
                if (await source.execute(_VERSION)).all() != (await writing.execute(_VERSION)).all():
                    raise ConfigurationError("database: its schema is not this version's")
                await writing.execute(delete(log_head))
                for table in tables_to_keep():
                    await copy_table(table, source, writing)
        finally:
            await engine.dispose()
        return log_key(self.envelope).checkpoint(tree.size, tree.root())


async def copy_table(table: Table, source: AsyncConnection, target: AsyncConnection) -> None:
    """Copy every row, some at a time, ordered by the primary key."""
    result = await source.stream(select(table).order_by(*table.primary_key.columns))
    async for rows in result.mappings().partitions(ROWS_AT_ONCE):
        await target.execute(insert(table), [dict(row) for row in rows])


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A file beside the target, its owner's alone, gone afterwards. Raises FileExistsError if the target is there."""
    if target.exists():
        raise FileExistsError
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".unfinished")
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _finish(unfinished: Path, target: Path) -> None:
    """Make it durable, then give it its name, unless somebody else took that meanwhile."""
    make_durable(unfinished)
    os.link(unfinished, target)
    make_durable(target.parent)
