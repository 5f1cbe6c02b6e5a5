"""Connections to look things up on PostgreSQL: kept for the next user, one at a time, and never one that is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from gateway.errors import RecordUnavailableError
from gateway.store.database import Database, open_database
from gateway.store.lookups import MAX_HELD, SOUND_SECONDS, Lookups, OnPostgreSQL
from tests.conftest import FreshDatabase

ROOT = Path(__file__).parent.parent.parent
PID = text("SELECT pg_backend_pid()")
OTHERS_END = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest_asyncio.fixture(loop_scope="session")
async def database(fresh_postgres: FreshDatabase) -> AsyncIterator[Database]:
    opened = open_database(fresh_postgres())
    async with asyncio.timeout(60):
        yield opened
    await opened.close()


@contextmanager
def checkouts(database: Database) -> Iterator[list[Any]]:
    """Each time that a connection was taken from the pool, which asks it then."""
    found: list[Any] = []
    pool = database.scanning.sync_engine.pool

    def on_checkout(*given: Any) -> None:
        found.append(given)

    event.listen(pool, "checkout", on_checkout)
    yield found
    event.remove(pool, "checkout", on_checkout)


async def pid(lookups: Lookups, statement: Any = PID) -> int:
    async with lookups.connect() as connection:
        found: int = (await connection.execute(statement)).scalar_one()
        return found


async def test_the_next_user_has_the_connection_of_the_one_before_as_it_is(database: Database) -> None:
    with checkouts(database) as taken:
        assert len({await pid(database.reading) for _ in range(5)}) == 1
    assert len(taken) == 1


async def test_nobody_shares_one_and_there_are_no_more_than_so_many(database: Database) -> None:
    inside, may_go = set[int](), asyncio.Event()
    all_in = asyncio.Event()

    async def look() -> None:
        async with database.reading.connect() as connection:
            inside.add((await connection.execute(PID)).scalar_one())
            if len(inside) == MAX_HELD:
                all_in.set()
            await may_go.wait()

    looking = [asyncio.create_task(look()) for _ in range(3 * MAX_HELD)]
    await all_in.wait()
    await asyncio.sleep(0.05)
    assert len(inside) == MAX_HELD
    may_go.set()
    await asyncio.gather(*looking)
    assert len(inside) == MAX_HELD


async def test_connections_that_the_server_ended_are_not_used_again(database: Database) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(MAX_HELD):
            await stack.enter_async_context(database.reading.connect())
    async with database.scanning.connect() as other:
        assert (await other.execute(OTHERS_END)).scalar_one() == MAX_HELD
    await asyncio.sleep(0.2)  # until this end knows
    found = await asyncio.gather(*(pid(database.reading) for _ in range(2 * MAX_HELD)))
    assert len(found) == 2 * MAX_HELD, "none failed"


async def test_a_server_that_is_down_is_told_as_that(database: Database) -> None:
    async with database.reading.connect() as kept, database.scanning.connect() as other:
        await other.execute(OTHERS_END)
        await asyncio.sleep(0.2)
        with pytest.raises(RecordUnavailableError):
            async with database.reading.connect():
                await kept.execute(PID)  # what was in use when the server went
    nowhere = open_database("postgresql+asyncpg://kyosei@127.0.0.1:1/kyosei")
    with pytest.raises(RecordUnavailableError):
        await pid(nowhere.reading)
    await nowhere.close()


async def test_one_that_rested_is_asked_whether_it_stands(database: Database) -> None:
    now = 0.0
    lookups = OnPostgreSQL(database.scanning, clock=lambda: now)
    with checkouts(database) as taken:
        await pid(lookups)
        now = SOUND_SECONDS - 0.1
        await pid(lookups)
        assert len(taken) == 1
        now += SOUND_SECONDS + 0.1
        await pid(lookups)
        assert len(taken) == 2
    await lookups.dispose()


async def test_after_a_failure_the_next_user_is_not_disturbed(database: Database) -> None:
    for _ in range(2 * MAX_HELD):
        with pytest.raises(DBAPIError):
            await pid(database.reading, text("SELECT 1 / 0"))
    assert await pid(database.reading)


async def test_whoever_goes_away_leaves_their_place_to_others(database: Database) -> None:
    gone = [asyncio.create_task(pid(database.reading, text("SELECT 1 FROM pg_sleep(30)"))) for _ in range(MAX_HELD)]
    waits = asyncio.create_task(pid(database.reading))
    await asyncio.sleep(0.2)
    assert not waits.done()
    for task in gone:
        task.cancel()
    await asyncio.gather(*gone, return_exceptions=True)
    assert await waits
    await asyncio.gather(*(pid(database.reading) for _ in range(2 * MAX_HELD)))


async def test_a_process_has_as_many_connections_at_most_as_the_documents_say(database: Database) -> None:
    pools: list[Any] = [engine.sync_engine.pool for engine in (database.writing, database.scanning)]
    assert sum(pool.size() + pool._max_overflow for pool in pools) == 11
    for document, told in (("docs/operations.md", "at most eleven connections"), ("CHANGELOG.md", "at most eleven")):
        assert told in (ROOT / document).read_text(encoding="utf-8")
