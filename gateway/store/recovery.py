"""The operator goes on from an older log: on record, with what was lost, and with every consent paused.

A consent that was taken back in the part of the log that is lost would be in force again. Nobody knows which, so all
of them wait until their people resume them.
"""

import asyncio
from datetime import datetime

from sqlalchemy import func, insert, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import EntryFacts, Recovery
from gateway.consent.grant import GrantEvent
from gateway.errors import ConfigurationError
from gateway.store.checkpoint_file import CheckpointFile
from gateway.store.database import Database
from gateway.store.grants import LAST_EVENT
from gateway.store.log import AuditLog
from gateway.store.log_check import verify_log
from gateway.store.log_keeper import read_log_tree
from gateway.store.log_tree import LogChangedError
from gateway.store.short_lived import forget_short_lived
from gateway.store.tables import consent_grant, grant_event
from gateway.store.writer import Writer
from resolvers.worker import AccessKind

MAX_REASON_CHARACTERS = 300
_IN_FORCE = (GrantEvent.GRANTED.value, GrantEvent.RESUMED.value)


async def recover_log(
    database: Database, writer: Writer, log: AuditLog, file: CheckpointFile, *, reason: str, now: datetime
) -> Recovery:
    """Append the entry that says so, and let a new checkpoint cover it.

    Raises ConfigurationError if nothing is lost, if the log that is there does not verify, or for no reason.
    """
    if not reason.isprintable() or not 0 < len(reason) <= MAX_REASON_CHARACTERS:
        raise ConfigurationError(f"reason: one line of at most {MAX_REASON_CHARACTERS} characters")
    recovery = await _what_is_lost(database, file, reason)

    async def write(connection: AsyncConnection) -> None:
        await forget_short_lived(connection, now)
        await pause_all(connection, now)
        facts = EntryFacts(kind=AccessKind.LOG_RECOVERED, recovery=recovery)
        await log.append(connection, facts, person=None, at=now)

    await writer.write(write)
    async with database.snapshot() as connection:
        tree = await read_log_tree(connection, recovery.found)
    await asyncio.to_thread(file.replace, file.key.checkpoint(tree.size, tree.root()))
    return recovery


async def _what_is_lost(database: Database, file: CheckpointFile, reason: str) -> Recovery:
    last = file.read()
    if last is None:
        raise ConfigurationError("log: it has no checkpoint to fall behind; bring back the newest copy of it")
    async with database.snapshot() as connection:
        try:
            await read_log_tree(connection, last)
        except LogChangedError:
            pass
        else:
            raise ConfigurationError("log: it holds all that its last checkpoint covers; there is nothing to recover")
        try:
            found = await verify_log(connection, None)
        except LogChangedError as error:
            raise ConfigurationError(f"log: {error}; restore a backup that verifies") from error
    return Recovery(last, file.key.checkpoint(found.size, found.root()), reason)


async def pause_all(connection: AsyncConnection, now: datetime) -> None:
    """Pause every consent that is in force, in one statement, however many there are."""
    number = select(func.max(grant_event.c.number) + 1).where(grant_event.c.grant_id == consent_grant.c.id)
    paused = select(
        consent_grant.c.id,
        number.scalar_subquery(),
        literal(GrantEvent.PAUSED.value),
        literal(now, grant_event.c.at.type),
    ).where(LAST_EVENT.in_(_IN_FORCE))
    columns = [grant_event.c.grant_id, grant_event.c.number, grant_event.c.kind, grant_event.c.at]
    await connection.execute(insert(grant_event).from_select(columns, paused))
