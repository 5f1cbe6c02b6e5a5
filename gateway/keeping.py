"""Backup, restore and the log's proof, for the settings of one state directory."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import structlog
from sqlalchemy.exc import DBAPIError

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.entry import Recovery
from gateway.audit.merkle import CompactRange
from gateway.errors import ConfigurationError, NotVerifiedError, RecordUnavailableError
from gateway.opening import (
    check_is_there,
    check_nobody_serves,
    checkpoint_file,
    held_state,
    is_file_there,
    opened_for_recovery,
    reaching_database,
    read_envelope,
)
from gateway.settings import Settings
from gateway.store.database import Database, check_version, is_sqlite, migrate, open_to_read, version_of
from gateway.store.log_check import verify_log
from gateway.store.log_keeper import MISSING
from gateway.store.log_tree import LogChangedError
from gateway.store.private_file import make_state_folder
from gateway.store.recovery import recover_log
from gateway.store.restore import Restored, Restoring, opened_backup, restore
from gateway.stores import ENGINE_VERSION

EARLIER = "database: its schema is of an earlier version; run kyosei migrate"
_log = structlog.get_logger("kyosei.operator")


async def restore_backup(
    settings: Settings, file: Path, *, may_replace: bool, pauses: bool = False, now: datetime
) -> Restored:
    """Put a backup into the database of the settings. Raises ConfigurationError, and then nothing has changed."""
    how = Restoring(may_replace=may_replace, pauses=pauses, engine=ENGINE_VERSION)
    await check_nobody_serves(settings)
    with held_state(settings):
        envelope = read_envelope(settings, may_make=False)
        checkpoints = checkpoint_file(settings, envelope)
        restored = await restore(file, settings.database_url, envelope, checkpoints, how=how, now=now)
        _log.info("operator_acted", action="restore --pause" if pauses else "restore")
        return restored


async def recover(settings: Settings, *, reason: str, now: Callable[[], datetime]) -> Recovery:
    """Go on from a log that fell behind its checkpoint. Raises ConfigurationError."""
    async with opened_for_recovery(settings, now) as (database, writer, stores):
        checkpoints = checkpoint_file(settings, stores.envelope)
        recovered = await recover_log(database, writer, stores.log, checkpoints, reason=reason, now=now())
        _log.info("operator_acted", action="log recover")
        return recovered


async def migrate_database(settings: Settings) -> None:
    """Bring the database to this version's schema, from none too. Raises ConfigurationError."""
    make_state_folder(settings.state)
    before = await _version(settings)
    with reaching_database():
        await migrate(settings.database_url)
    if not check_version(before):
        _log.info("operator_acted", action="migrate")


async def _version(settings: Settings) -> str | None:
    """The schema's version; None too where nothing can be read, of which migrating tells."""
    if is_sqlite(settings.database_url) and not is_file_there(settings.database_url):
        return None
    database = open_to_read(settings.database_url)
    try:
        async with database.reading.connect() as connection:
            return await connection.run_sync(version_of)
    except (OSError, DBAPIError, RecordUnavailableError):
        return None
    finally:
        await database.close()


async def verify(settings: Settings, file: Path | None = None) -> CompactRange:
    """Verify the log of the database, or of a backup. Raises NotVerifiedError that says what is wrong with it, and
    ConfigurationError where it could not be looked at."""
    envelope = read_envelope(settings, may_make=False)
    if file is not None:
        async with opened_backup(file, envelope) as (backup, checkpoint):
            return await _verify(backup, checkpoint, is_whole=True)
    database = open_existing(settings)
    try:
        last = checkpoint_file(settings, envelope).read()
        tree = await _verify(database, last, is_whole=False)
    finally:
        await database.close()
    if last is None and tree.size:
        raise NotVerifiedError(f"log: {MISSING}")
    return tree


def open_existing(settings: Settings) -> Database:
    """The database, to be read alone. Raises ConfigurationError if there is none: reading makes none."""
    check_is_there(settings)
    return open_to_read(settings.database_url)


async def is_current(database: Database) -> bool:
    """Whether the schema is this version's. Raises ConfigurationError if it is empty, newer, or cannot be read."""
    try:
        with reaching_database():
            async with database.reading.connect() as connection:
                version = await connection.run_sync(version_of)
    except (OSError, DBAPIError, RecordUnavailableError) as error:
        raise ConfigurationError("database: it cannot be read") from error
    if version is None:
        raise ConfigurationError("database: it is empty; `kyosei migrate`, or the gateway's first start, fills it")
    return check_version(version)


async def _verify(database: Database, last: Checkpoint | None, *, is_whole: bool) -> CompactRange:
    if not await is_current(database):
        raise ConfigurationError(EARLIER)
    try:
        async with database.snapshot() as connection:
            return await verify_log(connection, last, is_whole=is_whole)
    except LogChangedError as error:
        raise NotVerifiedError(f"log: {error}") from error
    except (OSError, DBAPIError) as error:
        raise ConfigurationError("database: it cannot be read") from error
