"""What may not be kept any longer is gone: from answers at once, from the database at the next sweep."""

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from gateway.app import Gateway
from gateway.store.database import migrate, open_database, sqlite_url
from gateway.store.envelope import _cipher_of
from gateway.store.retention import Retention
from gateway.store.used_once import MAX_REMEMBERED, UsedOnce
from tests.conftest import FreshDatabase
from tests.gateway.sandboxes import Clock, own_sandbox, settings_for

DOCUMENT = (
    "query($consent: ConsentToken!) { subject(consent: $consent) { answer { id } tax { incomeBasis { value } } } }"
)
TERMS = """mutation($d: String!) {
  previewConsent(document: $d, relyingParty: "landlord", purpose: TENANCY, terms: { dataLifeDays: 3 }) {
    id dataLifeDays
  }
}"""
ERASE = "mutation($name: String!) { eraseMe(name: $name) { entry } }"
GRANT = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }"


def retention_of(gateway: Gateway) -> Retention:
    return Retention(gateway.writer, gateway.stores.erasure, probing_window=timedelta(days=90))


def kept_bodies(state: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{state / 'kyosei.sqlite'}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT charged, body_sealed IS NOT NULL FROM answer").fetchall()


async def test_an_answer_is_kept_for_the_data_life_of_its_grant_and_no_longer(tmp_path: Path) -> None:
    clock = Clock()
    settings = settings_for(tmp_path)
    async with own_sandbox(settings, clock=clock) as caller:
        preview = (await caller.as_person("P01", TERMS, {"d": DOCUMENT}))["data"]["previewConsent"]
        assert preview["dataLifeDays"] == 3
        granted = (await caller.as_person("P01", GRANT, {"id": preview["id"]}))["data"]["grantConsent"]
        asked = {"consent": granted["consentToken"]}
        first = (await caller.as_party("landlord", DOCUMENT, asked))["data"]["subject"]["answer"]["id"]
        again = (await caller.as_party("landlord", DOCUMENT, asked))["data"]["subject"]["answer"]["id"]
        assert again == first
        retention = retention_of(caller.running.gateway)
        clock.pass_by(days=2, hours=23)
        await retention.sweep(clock.now())
        assert kept_bodies(tmp_path) == [(1, 1)]
        clock.pass_by(hours=2)
        later = (await caller.as_party("landlord", DOCUMENT, asked))["data"]["subject"]["answer"]["id"]
        assert later != first, "what may not be kept is not released again"
        await retention.sweep(clock.now())
        assert sorted(kept_bodies(tmp_path)) == [(1, 0), (1, 1)], "that a use was charged stays"


async def test_a_used_proof_is_remembered_for_longer_than_a_clock_is_set_back_by(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_for(tmp_path)
    async with own_sandbox(settings, clock=clock) as caller:
        gateway, expires_at = caller.running.gateway, clock.now() + timedelta(seconds=70)
        assert await gateway.stores.used_once.use("a" * 64, expires_at=expires_at, now=clock.now())
        database = open_database(settings.database_url)
        retention = retention_of(gateway)
        elsewhere = UsedOnce(database.reading, gateway.writer)
        clock.pass_by(hours=1)
        await retention.sweep(clock.now())
        assert not await elsewhere.use("a" * 64, expires_at=expires_at, now=clock.now())
        clock.pass_by(hours=2)
        await retention.sweep(clock.now())
        forgetful = UsedOnce(database.reading, gateway.writer)
        assert await forgetful.use("a" * 64, expires_at=expires_at, now=clock.now())
        await database.close()


async def test_a_use_from_before_the_start_is_looked_up_and_one_from_after_it_is_known(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_for(tmp_path)
    async with own_sandbox(settings, clock=clock) as caller:
        writer, database = caller.running.gateway.writer, open_database(settings.database_url)
        start, life = clock.now(), timedelta(seconds=70)
        first = UsedOnce(database.reading, writer, is_alone=True)
        assert await first.use("a" * 64, expires_at=start + life, now=start)
        restarted = UsedOnce(database.reading, writer, is_alone=True)
        earlier = {"expires_at": start + life, "valid_from": start - timedelta(seconds=10)}
        assert await restarted.take("a" * 64, now=start, **earlier) is None, "it may have been used before the start"
        later = {"expires_at": start + 2 * life, "valid_from": start + timedelta(seconds=1)}
        assert await restarted.take("b" * 64, now=start, **later) is not None
        assert await restarted.take("b" * 64, now=start, **later) is None
        shared = UsedOnce(database.reading, writer)
        assert await first.use("c" * 64, expires_at=start + 2 * life, now=start)
        assert await shared.take("c" * 64, now=start, **later) is None, "another process may have used it"
        await database.close()


async def test_once_memory_was_full_and_cleared_the_database_is_asked(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_for(tmp_path)
    async with own_sandbox(settings, clock=clock) as caller:
        writer, database = caller.running.gateway.writer, open_database(settings.database_url)
        start = clock.now()
        later = start + timedelta(seconds=30)
        asked = {"expires_at": start + timedelta(seconds=90), "valid_from": start + timedelta(seconds=10)}
        alone = UsedOnce(database.reading, writer, is_alone=True)
        assert await alone.take("a" * 64, now=start, **asked) is not None
        assert await UsedOnce(database.reading, writer).use("b" * 64, expires_at=asked["expires_at"], now=start)
        for number in range(MAX_REMEMBERED):
            await alone.take(str(number), now=later, **asked)
        assert await alone.take("b" * 64, now=later, **asked) is None
        await database.close()


async def test_a_key_that_a_reader_held_back_is_gone_with_the_sweep(tmp_path: Path) -> None:
    log = tmp_path / "kyosei.sqlite-wal"
    async with own_sandbox(settings_for(tmp_path)) as caller:
        with closing(sqlite3.connect(tmp_path / "kyosei.sqlite", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM person").fetchone()
            erased = await caller.as_person("P01", ERASE, {"name": caller.running.people.identities["P01"].name})
            assert erased["data"]["eraseMe"]["entry"] >= 0
            assert log.stat().st_size > 0
        await retention_of(caller.running.gateway).sweep(Clock().now())
        assert log.stat().st_size == 0


async def test_no_key_of_who_was_erased_is_at_hand_in_memory(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        person = await caller.running.gateway.stores.people.find("P01")
        assert person is not None
        erased = await caller.as_person("P01", ERASE, {"name": person.identity.name})
        assert erased["data"]["eraseMe"]["entry"] >= 0
        known = _cipher_of.cache_info().misses
        _cipher_of(person.key)
        assert _cipher_of.cache_info().misses == known + 1


async def test_a_table_is_rewritten_in_its_own_time_however_short_other_statements_have_to_be(
    fresh_postgres: FreshDatabase,
) -> None:
    """As if it held millions of people: here it waits for somebody who reads, for twice as long as they may take."""
    url = make_url(fresh_postgres())
    database = open_database(url.update_query_dict({"command_timeout": "0.2"}).render_as_string(hide_password=False))
    engine = create_async_engine(url)
    async with engine.begin() as reader:
        await reader.execute(text("CREATE TABLE person (id TEXT)"))
    async with engine.begin() as reader:
        await reader.execute(text("SELECT * FROM person"))
        forgetting = asyncio.create_task(database.forget_deleted_keys())
        await asyncio.sleep(0.4)
        assert not forgetting.done()
    assert await forgetting
    await engine.dispose()
    await database.close()


async def test_forgetting_a_key_while_somebody_writes_keeps_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "kyosei.sqlite"
    await migrate(sqlite_url(path))
    database = open_database(sqlite_url(path))
    assert await database.forget_deleted_keys()
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE log_head SET size = size")
        forgetting = asyncio.create_task(database.forget_deleted_keys())
        longest, last = 0.0, time.monotonic()
        while not forgetting.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert not await forgetting
        writer.execute("ROLLBACK")
    assert await database.forget_deleted_keys()
    await database.close()
    assert longest < 1.0
