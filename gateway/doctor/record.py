"""Checks of the database and the log. They read alone."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from urllib.parse import quote

from sqlalchemy import func, select, text

from gateway.doctor.finding import AttentionError
from gateway.errors import ConfigurationError
from gateway.keeping import is_current
from gateway.store.checkpoint_file import CheckpointFile
from gateway.store.database import Database
from gateway.store.log_keeper import MISSING, RECOVER, read_log_tree
from gateway.store.log_tree import LogChangedError
from gateway.store.tables import signing_key

ROTATED_EVERY = timedelta(days=90)
"""Source: security 3.5."""

_DURABLE = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply", "remote_write"),
}
"""What a PostgreSQL server must not have switched off. Source: PostgreSQL documentation, section 28.1."""


async def check_schema(database: Database) -> str:
    if not await is_current(database):
        raise ConfigurationError("its schema is of an earlier version; run `kyosei migrate`, or start the gateway")
    return "its schema is this version's"


async def check_durability(database: Database) -> str:
    """Whether what is committed stays, and what is there is sound."""
    if database.is_sqlite:
        return await asyncio.to_thread(_check_sqlite, str(database.writing.url.database))
    async with database.reading.connect() as connection:
        for name, allowed in _DURABLE.items():
            if (await connection.execute(text(f"SHOW {name}"))).scalar_one() not in allowed:
                raise ConfigurationError(f"PostgreSQL's {name} is off: a commit may be lost; switch it on")
    return "PostgreSQL makes commits durable"


def _check_sqlite(path: str) -> str:
    with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro", uri=True)) as connection:
        if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            raise AttentionError("its journal is no write-ahead log; the gateway sets that when it starts")
        if connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)]:
            raise ConfigurationError("the file is damaged; stop the gateway and restore a backup")
        if connection.execute("PRAGMA foreign_key_check").fetchone() is not None:
            raise ConfigurationError("a row refers to one that is missing; stop the gateway and restore a backup")
    return "a write-ahead log, and the file is sound"


async def check_log(database: Database, file: CheckpointFile) -> str:
    """Whether the log goes on from its last checkpoint."""
    last = await asyncio.to_thread(file.read)
    try:
        async with database.snapshot() as connection:
            tree = await read_log_tree(connection, last)
    except LogChangedError as error:
        raise ConfigurationError(f"it was rolled back or changed: {error}; {RECOVER}") from error
    if last is None and tree.size:
        raise ConfigurationError(MISSING)
    return f"{tree.size} entries, and its checkpoint covers {last.size if last else 0} of them"


async def check_signing_keys(database: Database, now: datetime) -> str:
    """How old the newest signing key is, and until when it may stay."""
    async with database.reading.connect() as connection:
        newest = (await connection.execute(select(func.max(signing_key.c.signs_from)))).scalar_one()
    if newest is None:
        return "none yet; the gateway makes one when it starts"
    due = newest + ROTATED_EVERY
    if due <= now:
        raise AttentionError(f"the newest is {(now - newest).days} days old; run `kyosei keys rotate`")
    return f"the newest is {max((now - newest).days, 0)} days old; rotate by {due.date().isoformat()}"
