"""Every process hears which grants were paused or have ended, so that all stop gathering for them."""

import asyncio
from contextlib import suppress

from sqlalchemy import text

from gateway.store.database import open_database
from gateway.store.notices import announce_stop, heard_stops
from tests.conftest import FreshDatabase

LISTENERS_END = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND query LIKE 'LISTEN%'"
)


async def test_whose_connection_was_lost_hears_of_later_stops(fresh_postgres: FreshDatabase) -> None:
    url, heard = fresh_postgres(), asyncio.Queue[str]()
    database, another = open_database(url), open_database(url)

    async def announce(grant: str) -> None:
        async with another.reading.connect() as connection:
            await announce_stop(connection, grant)

    async with heard_stops(database, heard.put, asks_seconds=0.1):
        await announce("first")
        assert await heard.get() == "first"
        async with another.scanning.connect() as other:
            assert (await other.execute(LISTENERS_END)).scalar_one() == 1
        for _ in range(200):
            await announce("later")
            with suppress(TimeoutError):
                assert await asyncio.wait_for(heard.get(), 0.1) == "later"
                break
        else:
            raise AssertionError("nothing was heard any more")
    await database.close()
    await another.close()


async def test_a_database_that_is_away_keeps_nobody_from_starting() -> None:
    database = open_database("postgresql+asyncpg://kyosei@127.0.0.1:1/kyosei")
    async with asyncio.timeout(10), heard_stops(database, asyncio.Queue[str]().put):
        pass
    await database.close()
