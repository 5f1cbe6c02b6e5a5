"""All checks in their order."""

from asyncio import to_thread
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from pathlib import Path

from connectors.interface import SourceAuthority
from gateway.doctor.finding import Check, Finding, Level, checked
from gateway.doctor.machine import check_file_descriptors, check_private, check_space, free_bytes
from gateway.doctor.proxies import check_proxies
from gateway.doctor.reach import check_evidence, check_gateway, check_limits, check_source, sources_of_running
from gateway.doctor.record import check_durability, check_log, check_schema, check_signing_keys
from gateway.doctor.trial import check_notice, check_trial
from gateway.errors import ConfigurationError
from gateway.keeping import open_existing
from gateway.opening import checkpoint_file, read_envelope
from gateway.settings import Settings, load_settings
from gateway.store.clock import check_clock
from gateway.store.database import Database, is_sqlite
from gateway.store.envelope import Envelope
from gateway.store.master_key import OTHER_KEY, opens


async def examine(state: Path, *, folder: Path | None = None, now: datetime) -> AsyncIterator[Finding]:
    """What every check finds. `folder`: of the configuration, if not the usual one."""
    try:
        settings = load_settings(state, folder=folder)
    except ConfigurationError as error:
        for line in error.detail.splitlines():
            yield Finding("settings", Level.ERROR, line)
        return
    yield Finding("settings", Level.OK, "read and checked")
    yield await checked("trial limits", partial(to_thread, check_trial, settings.gateway))
    yield await checked("privacy notice", partial(to_thread, check_notice, settings.gateway))
    yield await checked("proxies", partial(to_thread, check_proxies, settings.gateway.server))
    yield await checked("state directory", partial(to_thread, check_private, state))
    for finding in await _examine_record(settings, now):
        yield finding
    checks: dict[str, Check] = {
        "disk": lambda: to_thread(lambda: check_space(free_bytes(state))),
        "file descriptors": partial(to_thread, check_file_descriptors),
        "limits storage": lambda: check_limits(
            settings.gateway.limits.storage_url, may_be_shared=not is_sqlite(settings.database_url)
        ),
        "evidence storage": lambda: check_evidence(settings.gateway.evidence.storage_url),
        "gateway": lambda: check_gateway(settings),
    }
    for name, check in checks.items():
        yield await checked(name, check)
    found = await sources_of_running(settings)
    for authority in SourceAuthority:
        table = settings.connectors.settings_of(authority)
        if url := found.get(authority.value.lower()):
            table = table.model_copy(update={"base_url": url})
        yield await checked(f"source {authority.value.lower()}", partial(check_source, table))


async def _examine_record(settings: Settings, now: datetime) -> list[Finding]:
    """The checks of the database; where there is none, or an earlier one, that is all there is to say."""
    try:
        envelope = read_envelope(settings, may_make=False)
        database = open_existing(settings)
    except (ConfigurationError, OSError) as error:
        says = error.detail if isinstance(error, ConfigurationError) else "the master key cannot be read"
        return [Finding("database", Level.ERROR, says)]
    try:
        schema = await checked("database schema", lambda: check_schema(database))
        if schema.level is not Level.OK:
            return [schema]
        file = checkpoint_file(settings, envelope)
        checks: dict[str, Check] = {
            "database": lambda: check_durability(database),
            "master key": lambda: _check_master_key(database, envelope),
            "clock": lambda: _check_clock(database, now),
            "log": lambda: check_log(database, file),
            "signing keys": lambda: check_signing_keys(database, now),
        }
        return [schema, *[await checked(name, check) for name, check in checks.items()]]
    finally:
        await database.close()


async def _check_master_key(database: Database, envelope: Envelope) -> str:
    if not await opens(envelope, database):
        raise ConfigurationError(OTHER_KEY)
    return "it opens the database"


async def _check_clock(database: Database, now: datetime) -> str:
    await check_clock(database, now)
    return "it is not behind the last entry of the record"
