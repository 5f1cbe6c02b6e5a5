"""Connections to look things up on PostgreSQL: kept for the next user, one at a time, and never one that is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from gateway.errors import RecordUnavailableError
from gateway.store.database import Database, open_database
from gateway.store.lookups import MAX_HELD, SOUND_SECONDS, Lookups, OnPostgreSQL
from gateway.store.statement import driver_of
from tests.conftest import FreshDatabase
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox
from tests.gateway.test_backup import on

ROOT = Path(__file__).parent.parent.parent
LAWFUL = request_for("Immigration.statusLawful")
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


def engine_of(database: Database) -> AsyncEngine:
    assert isinstance(database.reading, OnPostgreSQL)
    return database.reading.engine


@contextmanager
def checkouts(database: Database) -> Iterator[list[Any]]:
    """Each time that a connection was taken from the pool, which asks it then."""
    found: list[Any] = []
    pool = engine_of(database).sync_engine.pool

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
    async def looks_up_as_it_goes_down() -> None:
        async with database.reading.connect() as kept, database.scanning.connect() as other:
            await other.execute(OTHERS_END)
            await asyncio.sleep(0.2)
            await kept.execute(PID)

    with pytest.raises(RecordUnavailableError):
        await looks_up_as_it_goes_down()
    nowhere = open_database("postgresql+asyncpg://kyosei@127.0.0.1:1/kyosei")
    with pytest.raises(RecordUnavailableError):
        await pid(nowhere.reading)
    await nowhere.close()


async def test_a_server_that_says_nothing_is_not_waited_for_long() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        silent = open_database(f"postgresql+asyncpg://kyosei@127.0.0.1:{port}/kyosei")
        async with asyncio.timeout(20):
            with pytest.raises(RecordUnavailableError):
                await pid(silent.reading)
        await silent.close()


async def test_nobody_waits_for_ever_for_a_connection(database: Database) -> None:
    lookups = OnPostgreSQL(engine_of(database), wait_seconds=0.1)
    async with AsyncExitStack() as stack:
        for _ in range(MAX_HELD):
            await stack.enter_async_context(lookups.connect())
        with pytest.raises(RecordUnavailableError):
            await pid(lookups)
    assert await pid(lookups)
    await lookups.dispose()


async def test_what_breaks_at_its_users_is_not_taken_for_the_server(database: Database) -> None:
    for error in (OSError("a file"), TimeoutError("something else")):
        with pytest.raises(type(error)):
            async with database.reading.connect():
                raise error
    assert await pid(database.reading)


async def test_one_that_rested_is_asked_whether_it_stands(database: Database) -> None:
    now = 0.0
    lookups = OnPostgreSQL(engine_of(database), clock=lambda: now)
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
    engines = (database.writing, engine_of(database), database.scanning)
    pools: list[Any] = [engine.sync_engine.pool for engine in engines]
    assert sum(pool.size() + pool._max_overflow for pool in pools) == 11
    for document, told in (("docs/operations.md", "at most eleven connections"), ("CHANGELOG.md", "at most eleven")):
        assert told in (ROOT / document).read_text(encoding="utf-8")


async def test_while_the_database_is_down_every_edge_says_that_asking_again_helps(
    tmp_path: Path, fresh_postgres: FreshDatabase
) -> None:
    url = fresh_postgres()
    settings, name = on(tmp_path / "state", url), make_url(url).database
    server = create_async_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    async with own_sandbox(settings) as caller, server.connect() as other:
        token, _ = await caller.consent("P02", "bank", "ACCOUNT_MAINTENANCE", LAWFUL)
        await other.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false'))
        await other.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"), {"n": name}
        )
        await asyncio.sleep(0.2)  # until the gateway's end knows
        asked = await caller.post(f"Bearer {caller.running.keys['bank']}", LAWFUL, {"consent": token})
        page = await caller.http.get("/consents", headers={"cookie": "__Host-kyosei=" + "A" * 43})
        await other.execute(text(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true'))
        for _ in range(2):  # the first finds out that the writer's connection is gone too
            again = await caller.as_party("bank", LAWFUL, {"consent": token})
    await server.dispose()
    assert (asked.status_code, codes(asked.json())) == (503, ["RECORD_UNAVAILABLE"])
    assert "retry-after" in asked.headers
    assert (page.status_code, "RECORD_UNAVAILABLE" in page.text) == (503, True)
    assert "errors" not in again


@pytest.mark.parametrize(
    ("query", "told"), [({}, (5.0, 15.0, 30.0)), ({"command_timeout": "60"}, (60.0, 60.0, 60.0))]
)
async def test_a_statement_takes_no_longer_than_the_documents_say_or_the_url(
    fresh_postgres: FreshDatabase, query: dict[str, str], told: tuple[float, ...]
) -> None:
    url = make_url(fresh_postgres()).update_query_dict(query)
    database = open_database(url.render_as_string(hide_password=False))
    found = []
    for engine in (engine_of(database), database.writing, database.scanning):
        async with engine.connect() as connection:
            found.append(driver_of(connection)._config.command_timeout)
    await database.close()
    assert tuple(found) == told
    for seconds in ("5 s", "15 s", "30 s", "?command_timeout=60"):
        assert seconds in (ROOT / "docs/operations.md").read_text(encoding="utf-8")


async def test_nobody_who_goes_away_leaves_the_server_at_work_for_them(database: Database) -> None:
    """Else whoever comes and goes would use up the server's connections, though each process has its few."""
    at_work = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")

    async def wait_for_lock() -> None:
        async with database.reading.connect() as connection:
            await driver_of(connection).fetch("SELECT * FROM locked")

    async with database.scanning.connect() as locking, database.scanning.connect() as counting:
        await locking.execute(text("CREATE TABLE locked (at INT)"))
        driver = driver_of(locking)
        await driver.execute("BEGIN; LOCK TABLE locked IN ACCESS EXCLUSIVE MODE")
        at_most = 0
        for _ in range(4):
            gone = [asyncio.create_task(wait_for_lock()) for _ in range(MAX_HELD)]
            await asyncio.sleep(0.2)
            for one in gone:
                one.cancel()
            await asyncio.gather(*gone, return_exceptions=True)
            at_most = max(at_most, (await counting.execute(at_work)).scalar_one())
        await asyncio.sleep(0.2)
        left = (await counting.execute(at_work)).scalar_one()
        await driver.execute("ROLLBACK")
    assert (at_most <= MAX_HELD, left) == (True, 0)
    assert await pid(database.reading)
