"""The rules of the house about the database: its migrations make exactly the tables that the code uses."""

import asyncio
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.errors import ConfigurationError
from gateway.store.database import migrate, sqlite_url
from gateway.store.tables import metadata
from tests.conftest import FreshDatabase


def unlike(connection: Connection) -> list[object]:
    """How the tables differ from those that the code uses."""
    return list(compare_metadata(MigrationContext.configure(connection), metadata))


async def test_the_migrations_make_the_tables_that_the_code_uses(fresh_database: FreshDatabase) -> None:
    url = fresh_database()
    await migrate(url)
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        assert await connection.run_sync(unlike) == []
    await engine.dispose()


async def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kyosei.sqlite"
    await migrate(sqlite_url(path))
    once = path.read_bytes()
    await migrate(sqlite_url(path))
    assert path.read_bytes() == once


async def test_processes_that_start_together_migrate_one_after_the_other(fresh_postgres: FreshDatabase) -> None:
    url = fresh_postgres()
    await asyncio.gather(*(migrate(url) for _ in range(4)))


async def test_the_tokens_of_the_first_version_name_their_grants_still(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "kyosei.sqlite")
    await migrate(url, to="0001")
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO person VALUES ('P', x'00', x'00', 0)"))
        await connection.execute(text("INSERT INTO rule_pack VALUES ('s', x'00', 0)"))
        await connection.execute(
            text(
                "INSERT INTO consent_grant (id, person_id, relying_party_id, purpose, rule_pack_sha256, "
                "request_sealed, requested_at, token_digest, granted_at, expires_at) "
                "VALUES ('G', 'P', 'bank', 'LENDING', 's', x'00', 0, 'digest', 7, 9)"
            )
        )
    await migrate(url)
    async with engine.connect() as connection:
        kept = (await connection.execute(text("SELECT digest, grant_id, made_at FROM consent_token"))).all()
        terms = (await connection.execute(text("SELECT fetch, data_life_days FROM consent_grant"))).all()
    await engine.dispose()
    assert [tuple(row) for row in kept] == [("digest", "G", 7)]
    assert [tuple(row) for row in terms] == [("ONETIME", 30)]


async def test_a_database_newer_than_the_code_is_refused(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "kyosei.sqlite")
    await migrate(url)
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(ConfigurationError, match="newer"):
        await migrate(url)
