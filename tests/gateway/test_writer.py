"""The one writer: what waits together shares a commit, and nothing that was promised is lost."""

import asyncio
import errno
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import column, insert, table, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from gateway.errors import RecordUnavailableError
from gateway.store.batch import Batch
from gateway.store.database import Database, open_database, sqlite_url
from gateway.store.statement import Statement, driver_of
from gateway.store.transaction import QUICK_IN_A_ROW, QUICK_SECONDS, OnPostgreSQL, OnSQLite, connect_to_write
from gateway.store.writer import (
    MAX_BATCH,
    MAX_BATCH_SECONDS,
    UNDO_SECONDS,
    BatchedOperation,
    Committed,
    Operation,
    Writer,
)
from tests.conftest import FreshDatabase


@dataclass(frozen=True, slots=True)
class Notebook:
    """A database with one table, and the writer in front of it."""

    path: Path
    database: Database
    writer: Writer

    async def kept(self) -> list[str]:
        """What is durable, in the order of writing."""
        async with self.database.reading.connect() as connection:
            return list((await connection.execute(text("SELECT word FROM note ORDER BY rowid"))).scalars())


@pytest_asyncio.fixture(loop_scope="session")
async def notebook(tmp_path: Path) -> AsyncIterator[Notebook]:
    path = tmp_path / "notes.sqlite"
    database = open_database(sqlite_url(path))
    async with database.writing.begin() as connection:
        await connection.execute(text("CREATE TABLE note (word TEXT UNIQUE NOT NULL)"))
    writer = Writer(database.writing)
    writer.start()
    yield Notebook(path, database, writer)
    await writer.close()
    await database.close()


def noting(word: str) -> Operation[str]:
    """An operation that adds a word and gives it back; it fails for a word that is there."""

    async def write(connection: AsyncConnection) -> str:
        await connection.execute(text("INSERT INTO note VALUES (:word)"), {"word": word})
        return word

    return write


_NOTE = Statement(insert(table("note", column("word"))), ["word"])


def leaving(word: str) -> BatchedOperation[str]:
    """The same, but that the word is written with those of others."""

    async def write(batch: Batch) -> str:
        batch.add(_NOTE, word=word)
        return word

    return write


def waiting(notebook: Notebook, words: list[str], *, urgent: bool = False) -> list[asyncio.Task[str]]:
    """Tasks that will have queued their operation when the writer next looks at its queue."""

    async def write(word: str) -> str:
        return (await notebook.writer.write(noting(word), urgent=urgent)).outcome

    return [asyncio.create_task(write(word)) for word in words]


async def test_operations_that_wait_together_share_one_commit(notebook: Notebook) -> None:
    words = [str(number) for number in range(8)]
    assert await asyncio.gather(*waiting(notebook, words)) == words
    assert await notebook.kept() == words
    assert notebook.writer.commits == 1


async def test_a_batch_has_a_bound(notebook: Notebook) -> None:
    await asyncio.gather(*waiting(notebook, [str(number) for number in range(2 * MAX_BATCH + 1)]))
    assert 3 <= notebook.writer.commits <= 20, "more only if the machine is slow: a batch has its time, too"


async def test_a_batch_ends_before_it_has_used_up_the_leases_of_its_first(notebook: Notebook) -> None:
    """What waits behind slow operations gets a transaction of its own, so that its lease is counted from there."""

    async def slow(connection: AsyncConnection) -> None:
        await asyncio.sleep(MAX_BATCH_SECONDS)

    committed = await asyncio.gather(*(notebook.writer.write(slow) for _ in range(3)))
    assert len({one.began_at for one in committed}) == 3


async def test_what_is_written_is_there_when_the_call_returns(notebook: Notebook) -> None:
    for number in range(20):
        await notebook.writer.write(noting(str(number)))
        assert (await notebook.kept())[-1] == str(number)
    assert notebook.writer.commits == 20


async def test_what_is_left_to_the_batch_is_there_when_the_call_returns_with_one_commit(notebook: Notebook) -> None:
    words = [str(number) for number in range(8)]
    committed = await asyncio.gather(*(notebook.writer.write_in_batch(leaving(word)) for word in words))
    assert [one.outcome for one in committed] == words
    assert await notebook.kept() == words
    assert notebook.writer.commits == 1


@pytest_asyncio.fixture(loop_scope="session")
async def on_postgres(fresh_postgres: FreshDatabase) -> AsyncIterator[Notebook]:
    url = fresh_postgres()
    plain = create_async_engine(url)
    async with plain.begin() as connection:
        await connection.execute(text("CREATE TABLE note (word TEXT UNIQUE NOT NULL, rowid SERIAL)"))
        await connection.execute(text("CREATE TABLE log_head AS SELECT 0 AS size"))
    await plain.dispose()
    database = open_database(url)
    writer = Writer(database.writing)
    writer.start()
    yield Notebook(Path(), database, writer)
    await writer.close()
    await database.close()


async def test_postgresql_is_sent_the_rows_of_a_batch_at_once(on_postgres: Notebook) -> None:
    sent = list[str]()

    async def listen(connection: AsyncConnection) -> None:
        driver_of(connection).add_query_logger(lambda query: sent.append(query.query.split()[0]))

    await on_postgres.writer.write(listen)
    sent.clear()
    words = [str(number) for number in range(8)]
    await asyncio.gather(*(on_postgres.writer.write_in_batch(leaving(word)) for word in words))
    assert (sent, await on_postgres.kept()) == (["BEGIN;", "INSERT", "COMMIT"], words)


async def end_the_writers_connection(on_postgres: Notebook) -> None:
    """As a server does that stops."""
    others = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    others += " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with on_postgres.database.scanning.connect() as connection:
        await connection.execute(text(others))


async def test_the_first_write_after_an_outage_of_postgresql_succeeds(on_postgres: Notebook) -> None:
    await on_postgres.writer.write(noting("before"))
    await end_the_writers_connection(on_postgres)
    assert await asyncio.gather(*waiting(on_postgres, ["after"])) == ["after"]
    assert await on_postgres.kept() == ["before", "after"]


@pytest.mark.parametrize("words", [["only"], ["first", "second", "third"]])
async def test_what_a_dying_connection_took_along_is_written_once(on_postgres: Notebook, words: list[str]) -> None:
    """It died before the commit was sent: nothing of the batch can have been kept."""
    has_died = False

    async def dying(connection: AsyncConnection) -> str:
        nonlocal has_died
        await noting(words[0])(connection)
        if not has_died:
            has_died = True
            await end_the_writers_connection(on_postgres)
        return words[0]

    first = asyncio.create_task(on_postgres.writer.write(dying))
    await asyncio.sleep(0)
    assert await asyncio.gather(*waiting(on_postgres, words[1:])) == words[1:]
    assert (await first).outcome == words[0]
    assert await on_postgres.kept() == words


class DyingAtTheCommit(OnPostgreSQL):
    """Nobody learns whether the server took what it was sent."""

    def __init__(self) -> None:
        self.attempts = 0

    async def commit(self, connection: AsyncConnection) -> None:
        self.attempts += 1
        driver_of(connection).terminate()
        await super().commit(connection)


async def test_a_connection_that_dies_at_the_commit_is_no_reason_to_try_again(on_postgres: Notebook) -> None:
    dying = DyingAtTheCommit()
    writer = Writer(on_postgres.database.writing, dying)
    writer.start()
    with pytest.raises(RecordUnavailableError):
        await writer.write(noting("who knows"))
    await writer.close()
    assert writer.broken.is_set()
    assert dying.attempts == 1


async def test_an_operation_sees_what_those_before_it_left_to_the_batch(notebook: Notebook) -> None:
    """Whoever is erased takes along what is recorded of them in the same transaction."""

    async def erase(connection: AsyncConnection) -> int:
        return (await connection.execute(text("DELETE FROM note"))).rowcount

    first, erased, last = await asyncio.gather(
        notebook.writer.write_in_batch(leaving("first")),
        notebook.writer.write(erase),
        notebook.writer.write_in_batch(leaving("last")),
    )
    assert (first.outcome, erased.outcome, last.outcome) == ("first", 1, "last")
    assert await notebook.kept() == ["last"]
    assert notebook.writer.commits == 1


async def test_a_row_that_fails_in_the_batch_does_not_fail_its_neighbours(notebook: Notebook) -> None:
    await notebook.writer.write(noting("there already"))
    words = ["before", "there already", "after"]
    tasks = (notebook.writer.write_in_batch(leaving(word)) for word in words)
    before, failed, after = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(before, Committed)
    assert isinstance(after, Committed)
    assert isinstance(failed, RecordUnavailableError)
    assert await notebook.kept() == ["there already", "before", "after"], "each once, none in part"


async def test_one_that_fails_does_not_fail_its_neighbours(notebook: Notebook) -> None:
    await notebook.writer.write(noting("there already"))
    tasks = waiting(notebook, ["before", "there already", "after"])
    before, failed, after = await asyncio.gather(*tasks, return_exceptions=True)
    assert (before, after) == ("before", "after")
    assert isinstance(failed, RecordUnavailableError)
    assert await notebook.kept() == ["there already", "before", "after"], "each once, none in part"


async def test_one_that_fails_half_way_leaves_nothing_of_itself(notebook: Notebook) -> None:
    async def half(connection: AsyncConnection) -> None:
        await noting("half")(connection)
        raise LookupError("half way")

    async def write_half() -> None:
        await notebook.writer.write(half)

    failing = asyncio.create_task(write_half())
    (whole,) = waiting(notebook, ["whole"])
    assert await whole == "whole"
    with pytest.raises(RecordUnavailableError):
        await failing
    assert await notebook.kept() == ["whole"]


async def test_the_error_tells_nothing_of_the_row(notebook: Notebook) -> None:
    await notebook.writer.write(noting("CANARY"))
    with pytest.raises(RecordUnavailableError) as refused:
        await notebook.writer.write(noting("CANARY"))
    assert "CANARY" not in str(refused.value)


async def test_urgent_ones_go_first(notebook: Notebook) -> None:
    usual = waiting(notebook, [f"usual {number}" for number in range(2 * MAX_BATCH)])
    urgent = waiting(notebook, ["revocation 1", "revocation 2"], urgent=True)
    await asyncio.gather(*urgent)
    assert (await notebook.kept())[:2] == ["revocation 1", "revocation 2"]
    await asyncio.gather(*usual)
    assert len(await notebook.kept()) == 2 * MAX_BATCH + 2


async def test_an_urgent_one_waits_for_no_more_than_the_batch_under_way(notebook: Notebook) -> None:
    at_work, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection) -> None:
        at_work.set()
        await may_go_on.wait()
        await noting("under way")(connection)

    async def write_slow() -> None:
        await notebook.writer.write(slow)

    under_way = asyncio.create_task(write_slow())
    await at_work.wait()
    usual = waiting(notebook, [f"usual {number}" for number in range(MAX_BATCH + 1)])
    urgent = waiting(notebook, ["revocation"], urgent=True)
    await asyncio.sleep(0)
    may_go_on.set()
    await asyncio.gather(under_way, *usual, *urgent)
    assert (await notebook.kept())[:2] == ["under way", "revocation"]


async def test_the_time_given_lies_before_the_transaction_and_the_same_for_its_batch(notebook: Notebook) -> None:
    loop = asyncio.get_running_loop()
    queued_at = loop.time()
    committed = await asyncio.gather(*(notebook.writer.write(noting(word)) for word in "abc"))
    assert queued_at <= committed[0].began_at <= loop.time()
    assert len({one.began_at for one in committed}) == 1


async def test_the_time_given_after_a_failed_batch_is_that_of_its_own_transaction(notebook: Notebook) -> None:
    """A lease counted from a transaction that was rolled back would be no lease."""
    began: list[float] = []

    async def clocked(connection: AsyncConnection) -> None:
        began.append(asyncio.get_running_loop().time())

    async def failing(connection: AsyncConnection) -> None:
        raise LookupError

    good = asyncio.create_task(notebook.writer.write(clocked))
    bad = asyncio.create_task(notebook.writer.write(failing))
    committed = await good
    with pytest.raises(RecordUnavailableError):
        await bad
    assert len(began) == 2, "once in the batch that failed, once alone"
    assert began[0] < committed.began_at <= began[1]


async def test_an_operation_whose_caller_went_away_is_committed_nevertheless(notebook: Notebook) -> None:
    (gone,) = waiting(notebook, ["gone"])
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    await notebook.writer.write(noting("after"))
    assert await notebook.kept() == ["gone", "after"]


async def test_a_caller_that_goes_away_during_the_transaction_harms_nobody(notebook: Notebook) -> None:
    at_work, may_go_on = asyncio.Event(), asyncio.Event()

    async def slow(connection: AsyncConnection) -> None:
        await noting("slow")(connection)
        at_work.set()
        await may_go_on.wait()

    async def write_slow() -> None:
        await notebook.writer.write(slow)

    caller = asyncio.create_task(write_slow())
    await at_work.wait()
    neighbours = waiting(notebook, ["neighbour"])
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.sleep(0)
    may_go_on.set()
    assert await asyncio.gather(*neighbours) == ["neighbour"]
    assert await notebook.kept() == ["slow", "neighbour"]


async def test_a_closed_writer_refuses_and_has_finished_what_waited(notebook: Notebook) -> None:
    tasks = waiting(notebook, ["in time"])
    await asyncio.sleep(0)
    await notebook.writer.close()
    with pytest.raises(RecordUnavailableError):
        await notebook.writer.write(noting("too late"))
    assert await asyncio.gather(*tasks) == ["in time"]
    assert await notebook.kept() == ["in time"]


async def test_a_writer_that_was_never_started_refuses(notebook: Notebook) -> None:
    with pytest.raises(RecordUnavailableError):
        await Writer(notebook.database.writing).write(noting("never"))


async def test_a_database_that_cannot_write_is_told_as_such_and_recovers(notebook: Notebook) -> None:
    """Another process holds the write lock for longer than the busy timeout of 2 s."""
    async with notebook.database.scanning.connect() as other:
        await other.execute(text("SELECT 1"))
        await other.commit()
        raw = await other.get_raw_connection()
        await raw.driver_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
        began_at = time.monotonic()
        words = [f"locked out {number}" for number in range(5)]
        outcomes = await asyncio.gather(*waiting(notebook, words), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [RecordUnavailableError] * 5
        assert time.monotonic() - began_at < 4, "they waited together, not one after the other"
        await raw.driver_connection.execute("ROLLBACK")  # type: ignore[union-attr]
    assert (await notebook.writer.write(noting("again"))).outcome == "again"
    assert await notebook.kept() == ["again"]


class FirstUndoUnheard(OnSQLite):
    """Nobody hears whether the first was undone, as where the network took it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    async def undo(self, connection: AsyncConnection) -> None:
        if not self.heard.is_set():
            self.heard.set()
            await asyncio.Event().wait()
        await super().undo(connection)


async def test_a_database_that_does_not_answer_to_an_undo_keeps_the_next_waiting_no_longer_than_told(
    notebook: Notebook,
) -> None:
    writer = Writer(notebook.database.writing, FirstUndoUnheard())
    writer.start()
    await writer.write(noting("twice"))
    began_at = time.monotonic()
    with pytest.raises(RecordUnavailableError):
        await writer.write(noting("twice"))
    assert (await writer.write(noting("next"))).outcome == "next"
    assert UNDO_SECONDS <= time.monotonic() - began_at < UNDO_SECONDS + 3
    await writer.close()
    assert await notebook.kept() == ["twice", "next"]


async def test_a_database_that_is_gone_is_told_as_such(notebook: Notebook) -> None:
    await notebook.database.writing.dispose()
    for name in ("notes.sqlite", "notes.sqlite-wal", "notes.sqlite-shm"):
        (notebook.path.parent / name).unlink(missing_ok=True)
    notebook.path.mkdir()
    with pytest.raises(RecordUnavailableError):
        await notebook.writer.write(noting("nowhere"))


class FailingCommits(OnSQLite):
    """The disk does not take what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts = 0

    async def commit(self, connection: AsyncConnection) -> None:
        self.attempts += 1
        raise OSError(errno.EIO, "injected")


async def test_a_commit_that_failed_is_never_tried_again(notebook: Notebook) -> None:
    """After a failed fsync nobody knows what is on the disk, and the next one would say yes. Source: R4."""
    failing = FailingCommits()
    writer = Writer(notebook.database.writing, failing)
    writer.start()
    await notebook.writer.close()
    writes = [writer.write(noting(word)) for word in ("first", "second")]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    await writer.close()
    assert [type(outcome) for outcome in outcomes] == [RecordUnavailableError] * 2
    assert await notebook.kept() == []
    assert failing.attempts == 1


async def test_a_writer_whose_commit_failed_takes_nothing_more(notebook: Notebook) -> None:
    """Stop releasing: a new process reads the disk anew and recovers. Source: R4."""
    writer = Writer(notebook.database.writing, FailingCommits())
    writer.start()
    await notebook.writer.close()
    with pytest.raises(RecordUnavailableError):
        await writer.write(noting("first"))
    assert writer.broken.is_set()
    with pytest.raises(RecordUnavailableError):
        await writer.write(noting("second"))
    await writer.close()


async def test_an_operation_may_catch_its_own_conflict_and_give_it_as_an_outcome(notebook: Notebook) -> None:
    async def or_taken(connection: AsyncConnection) -> str:
        try:
            async with connection.begin_nested():
                return await noting("word")(connection)
        except IntegrityError:
            return "taken"

    outcomes = await asyncio.gather(*(notebook.writer.write(or_taken) for _ in range(3)))
    assert [one.outcome for one in outcomes] == ["word", "taken", "taken"]
    assert notebook.writer.commits == 1


async def test_a_commit_leaves_the_event_loop_unless_the_disk_has_been_quick_for_a_while(notebook: Notebook) -> None:
    """A disk that is slow keeps nobody waiting but those whose commit it is."""
    now, seconds = 0.0, 0.0
    transactions = OnSQLite(clock=lambda: now)
    threads: list[threading.Thread] = []

    async def commits(connection: AsyncConnection, count: int) -> list[bool]:
        """Of so many commits, which were made in the event loop."""
        threads.clear()
        for _ in range(count):
            await transactions.begin(connection)
            await noting(str(time.monotonic_ns()))(connection)
            await transactions.commit(connection)
        return [thread is threading.current_thread() for thread in threads]

    async with aclosing(await connect_to_write(notebook.database.writing)) as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection

        def commit() -> None:
            nonlocal now
            threads.append(threading.current_thread())
            now += seconds
            type(driver).commit(driver)

        driver.commit = commit
        slow, quick = 2 * QUICK_SECONDS, QUICK_SECONDS / 2
        seconds = slow
        assert await commits(connection, 2 * QUICK_IN_A_ROW) == [False] * 2 * QUICK_IN_A_ROW, "it is slow"
        seconds = quick
        assert await commits(connection, QUICK_IN_A_ROW + 2) == [False] * QUICK_IN_A_ROW + [True] * 2
        seconds = slow
        assert await commits(connection, 3) == [True, False, False], "it is slow again"


async def test_a_transaction_that_ended_by_itself_counts_as_a_commit_that_failed(notebook: Notebook) -> None:
    async def ends_it(connection: AsyncConnection) -> str:
        await noting("lost")(connection)
        driver: Any = (await connection.get_raw_connection()).driver_connection
        driver.rollback()
        return "lost"

    with pytest.raises(RecordUnavailableError):
        await notebook.writer.write(ends_it)
    assert notebook.writer.broken.is_set()
    assert await notebook.kept() == []
