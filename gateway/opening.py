"""Opening what a state directory keeps: held by one process, under its master key, and not rolled back."""

import fcntl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from gateway.errors import ConfigurationError
from gateway.identity.relying_party import RelyingParties
from gateway.sandbox_keys import read_sandbox_keys
from gateway.settings import Settings
from gateway.store.checkpoint_file import CheckpointFile, log_key
from gateway.store.clock import check_clock
from gateway.store.database import Database, is_in_use, is_sqlite, migrate, open_database
from gateway.store.envelope import Envelope, read_master_key
from gateway.store.erased_list import ErasedList
from gateway.store.log_keeper import LogKeeper
from gateway.store.master_key import OTHER_KEY, opens
from gateway.store.private_file import make_state_folder, open_private
from gateway.store.writer import Writer
from gateway.stores import Stores, make_stores

LOCK = "gateway.lock"


_NO_SUCH_DATABASE = "3D000"
"""Source: PostgreSQL documentation, appendix A (invalid_catalog_name)."""


@contextmanager
def reaching_database() -> Iterator[None]:
    """Raises ConfigurationError that says so where the server answers, and has no database of this name."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            if getattr(cause, "sqlstate", None) == _NO_SUCH_DATABASE:
                name = "database.url: the server has no database of this name; make it, or name another"
                raise ConfigurationError(name) from error
            cause = cause.__cause__
        raise


@asynccontextmanager
async def opened_stores(
    settings: Settings, now: Callable[[], datetime]
) -> AsyncIterator[tuple[Database, Writer, Stores]]:
    """The database of a state directory, with everything that is kept there. The log's checkpoint follows it."""
    async with AsyncExitStack() as stack:
        stack.enter_context(held_state(settings))
        envelope = read_envelope(settings, may_make=settings.gateway.sandbox.enabled)
        database, writer, stores = await _opened(stack, settings, envelope, now)
        keeper = LogKeeper(database, writer, checkpoint_file(settings, envelope))
        await keeper.check()
        stack.push_async_callback(keeper.finish)
        writer.start()
        stack.push_async_callback(writer.close)
        await stack.enter_async_context(keeper.keeping())
        await stores.erasure.erase_again(now=now())
        await stores.registrations.load()
        await stores.trusted_documents.load()
        yield database, writer, stores


@asynccontextmanager
async def opened_for_recovery(
    settings: Settings, now: Callable[[], datetime]
) -> AsyncIterator[tuple[Database, Writer, Stores]]:
    """The same, where there is one and no gateway runs, and whatever the log's checkpoint says of it."""
    async with AsyncExitStack() as stack:
        check_is_there(settings)
        await check_nobody_serves(settings)
        stack.enter_context(held_state(settings))
        envelope = read_envelope(settings, may_make=False)
        database, writer, stores = await _opened(stack, settings, envelope, now)
        writer.start()
        stack.push_async_callback(writer.close)
        yield database, writer, stores


async def _opened(
    stack: AsyncExitStack, settings: Settings, envelope: Envelope, now: Callable[[], datetime]
) -> tuple[Database, Writer, Stores]:
    with reaching_database():
        await migrate(settings.database_url)
    database = open_database(settings.database_url)
    stack.push_async_callback(database.close)
    if not await opens(envelope, database):
        raise ConfigurationError(f"master key: {OTHER_KEY}")
    await check_clock(database, now())
    writer = Writer(database.writing)
    keys = read_sandbox_keys(settings) if settings.gateway.sandbox.enabled else {}
    parties = RelyingParties(settings.relying_parties, sandbox_keys=keys)
    erased = ErasedList(settings.state)
    return database, writer, make_stores(database, writer, envelope, parties, settings.relying_parties, erased)


def read_envelope(settings: Settings, *, may_make: bool) -> Envelope:
    """What the master key opens. Raises ConfigurationError if there is none and none may be made."""
    return Envelope(read_master_key(settings.state / "keys" / "master.key", may_make=may_make))


def make_shared_keys(settings: Settings) -> None:
    """Make the keys that several processes share, before they start. Raises ConfigurationError."""
    make_state_folder(settings.state)
    read_envelope(settings, may_make=settings.gateway.sandbox.enabled)
    if settings.gateway.sandbox.enabled:
        read_sandbox_keys(settings)


def checkpoint_file(settings: Settings, envelope: Envelope) -> CheckpointFile:
    return CheckpointFile(settings.state, log_key(envelope))


def is_file_there(sqlite: str) -> bool:
    """Whether there is a file at the URL of a SQLite database."""
    return Path(make_url(sqlite).database or "").exists()


def check_is_there(settings: Settings) -> None:
    """A directory that was mistyped does not become a new gateway. Raises ConfigurationError where nothing is kept.

    On PostgreSQL, where the database is elsewhere, the master key tells.
    """
    if not is_sqlite(settings.database_url):
        read_envelope(settings, may_make=False)
    elif not is_file_there(settings.database_url):
        raise ConfigurationError("database: there is none yet; name another --state, or make one with kyosei migrate")


async def check_nobody_serves(settings: Settings) -> None:
    """On PostgreSQL, where no lock tells. Raises ConfigurationError."""
    with reaching_database():
        is_served = await is_in_use(settings.database_url)
    if is_served:
        raise ConfigurationError("database: a gateway is connected to it; stop every one first")


@contextmanager
def held_state(settings: Settings) -> Iterator[None]:
    """The state directory. SQLite means one gateway process: it is held while that runs.

    Raises ConfigurationError if another process holds it, or if others may enter it.
    """
    make_state_folder(settings.state)
    if not is_sqlite(settings.database_url):
        yield
        return
    with open_private(settings.state / LOCK) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError("state directory: another gateway process is using it") from error
        yield
