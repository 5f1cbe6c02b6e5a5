"""Puts a backup in the place of an empty database, or of one that is given up: all of it, or nothing."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import delete, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.entry import EntryFacts, Recovery
from gateway.errors import ConfigurationError
from gateway.store.backup import copy_table
from gateway.store.backup_file import open_seal
from gateway.store.checkpoint_file import CheckpointFile
from gateway.store.database import Database, check_version, migrate, open_database, open_to_read, sqlite_url
from gateway.store.envelope import Envelope
from gateway.store.log import AuditLog
from gateway.store.log_check import verify_log
from gateway.store.log_keeper import read_log_tree
from gateway.store.log_tree import LogChangedError
from gateway.store.recovery import pause_all
from gateway.store.short_lived import refuse_used, tables_to_keep
from gateway.store.tables import audit_entry, log_head, metadata, person
from resolvers.worker import AccessKind

PAUSED = "restored with every consent paused"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored. `is_older`: than the last checkpoint of the state directory, or another log. `is_unknown`:
    there was no checkpoint to say so."""

    checkpoint: Checkpoint
    last_entry_at: datetime | None
    is_older: bool
    is_unknown: bool


@dataclass(frozen=True, slots=True)
class Restoring:
    """How a backup is restored. `may_replace`: over what there is. `pauses`: every consent, on record by `engine`."""

    may_replace: bool
    pauses: bool
    engine: str


@asynccontextmanager
async def opened_backup(path: Path, envelope: Envelope) -> AsyncIterator[tuple[Database, Checkpoint]]:
    """A backup, checked as a file, with this version's schema. Raises ConfigurationError.

    One with an earlier schema is migrated as a copy; the file itself is only read.
    """
    seal = await asyncio.to_thread(open_seal, path, envelope)
    with tempfile.TemporaryDirectory(prefix="kyosei-restore-") as folder:
        if not check_version(seal.version):
            copy = Path(folder) / "backup.sqlite"
            await asyncio.to_thread(shutil.copyfile, path, copy)
            await migrate(sqlite_url(copy))
            path = copy
        database = open_to_read(sqlite_url(path))
        try:
            yield database, seal.checkpoint
        finally:
            await database.close()


async def restore(
    path: Path, target_url: str, envelope: Envelope, file: CheckpointFile, *, how: Restoring, now: datetime
) -> Restored:
    """Verify a backup, then write it in one transaction. No gateway may be running.

    Raises ConfigurationError, and then nothing has been changed, but that an empty database has its tables.
    """
    last = file.read()
    async with opened_backup(path, envelope) as (backup, checkpoint):
        await _verify(backup, checkpoint, envelope)
        await migrate(target_url)
        target = open_database(target_url)
        try:
            log = AuditLog(target.reading, envelope, engine_version=how.engine)
            paused = Recovery(last, checkpoint, PAUSED) if how.pauses else None
            await _write(backup, target, log, paused, may_replace=how.may_replace, now=now)
            await target.forget_deleted_keys()
            return await _restored(target, file, checkpoint, last)
        finally:
            await target.close()


async def _verify(backup: Database, checkpoint: Checkpoint, envelope: Envelope) -> None:
    async with backup.snapshot() as source:
        try:
            await verify_log(source, checkpoint, is_whole=True)
        except LogChangedError as error:
            raise ConfigurationError(f"backup: log: {error}") from error
        async for person_id, wrapped in await source.stream(select(person.c.id, person.c.wrapped_key)):
            try:
                envelope.unwrap(wrapped, person_id)
            except ValueError:
                raise ConfigurationError("backup: the master key does not open a person's key") from None


async def _write(
    backup: Database, target: Database, log: AuditLog, paused: Recovery | None, *, may_replace: bool, now: datetime
) -> None:
    try:
        async with backup.snapshot() as source, target.writing.begin() as writing:
            if not may_replace and not await _is_empty(writing):
                raise ConfigurationError("database: it is not empty; --replace puts the backup in its place")
            for table in reversed(metadata.sorted_tables):
                await writing.execute(delete(table))
            for table in tables_to_keep():
                await copy_table(table, source, writing)
            await refuse_used(writing, now)
            if paused is not None:
                await pause_all(writing, now)
                facts = EntryFacts(kind=AccessKind.LOG_RECOVERED, recovery=paused)
                await log.append(writing, facts, person=None, at=now)
    except (OSError, DBAPIError) as error:
        raise ConfigurationError("database: the backup could not be written; nothing has changed") from error


async def _is_empty(writing: AsyncConnection) -> bool:
    rows = [table for table in metadata.sorted_tables if table is not log_head]
    counts = [(await writing.execute(select(func.count()).select_from(table))).scalar_one() for table in rows]
    size = (await writing.execute(select(log_head.c.size))).scalar_one()
    return not size and not any(counts)


async def _restored(
    target: Database, file: CheckpointFile, checkpoint: Checkpoint, last: Checkpoint | None
) -> Restored:
    """Let the state directory's checkpoint cover what was restored, if that goes on from it."""
    async with target.snapshot() as connection:
        of_backup = audit_entry.c.sequence < checkpoint.size  # not a pause's, which came after it
        at = (await connection.execute(select(func.max(audit_entry.c.at)).where(of_backup))).scalar_one()
        try:
            await read_log_tree(connection, last)
        except LogChangedError:
            return Restored(checkpoint, at, is_older=True, is_unknown=False)
    file.advance(checkpoint)
    return Restored(checkpoint, at, is_older=False, is_unknown=last is None)
