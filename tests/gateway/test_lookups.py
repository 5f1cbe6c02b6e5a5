"""Connections to look things up on PostgreSQL: kept for the next user, one at a time, and never one that is lost."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.store.database import Database, open_database
from gateway.store.lookups import MAX_HELD, SOUND_SECONDS, Lookups
from tests.conftest import FreshDatabase

PID = text("SELECT pg_backend_pid()")
SLOW_PID = text("SELECT pg_backend_pid() FROM pg_sleep(0.05)")
OTHERS_END = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


@pytest_asyncio.fixture(loop_scope="session")
async def database(fresh_postgres: FreshDatabase) -> AsyncIterator[Database]:
    opened = open_database(fresh_postgres())
    yield opened
    await opened.close()


async def pid(lookups: Lookups, statement: object = PID) -> int:
    async with lookups.connect() as connection:
        found: int = (await connection.execute(statement)).scalar_one()  # type: ignore[call-overload]
        return found


async def test_the_next_user_has_the_connection_of_the_one_before(database: Database) -> None:
    assert len({await pid(database.reading) for _ in range(5)}) == 1


async def test_nobody_shares_one_and_there_are_no_more_than_so_many(database: Database) -> None:
    users = 0
    most: list[int] = []

    async def look() -> int:
        nonlocal users
        async with database.reading.connect() as connection:
            users += 1
            most.append(users)
            found: int = (await connection.execute(SLOW_PID)).scalar_one()
            users -= 1
            return found

    found = await asyncio.gather(*(look() for _ in range(4 * MAX_HELD)))
    assert 1 < max(most) <= MAX_HELD
    assert 1 < len(set(found)) <= MAX_HELD


async def test_connections_that_the_server_ended_are_not_used_again(database: Database) -> None:
    await asyncio.gather(*(pid(database.reading, SLOW_PID) for _ in range(MAX_HELD)))
    async with database.scanning.connect() as other:
        assert (await other.execute(OTHERS_END)).scalar_one() > 1
    await asyncio.sleep(0.2)  # until this end knows
    found = await asyncio.gather(*(pid(database.reading, SLOW_PID) for _ in range(2 * MAX_HELD)))
    assert len(found) == 2 * MAX_HELD, "none failed"


async def test_one_that_rested_is_asked_whether_it_stands(database: Database) -> None:
    now = 0.0
    lookups = Lookups(database.scanning, clock=lambda: now)
    first = await pid(lookups)
    now = SOUND_SECONDS - 0.1
    assert await pid(lookups) == first
    now += SOUND_SECONDS + 0.1
    assert await pid(lookups) == first, "the pool has found that it stands"
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
    async with asyncio.timeout(5):
        assert await waits
        await asyncio.gather(*(pid(database.reading, SLOW_PID) for _ in range(MAX_HELD)))
