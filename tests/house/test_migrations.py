"""The rules of the house about the database: its migrations make exactly the tables that the code uses."""

import ast
import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.errors import ConfigurationError
from gateway.keeping import is_current
from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.store.database import migrate, open_to_read, sqlite_url
from gateway.store.tables import metadata
from tests.conftest import ROOT, FreshDatabase
from tests.gateway.gateway_process import quick_settings
from tests.journeys.test_several_processes import DOCUMENT, GRANT, PREVIEW, REVOKE, config_for


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
    database = open_to_read(url)
    assert await is_current(database)
    await database.close()


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


# --- two versions at once -----------------------------------------------------------------------------------

ADDING = frozenset({"create_table", "create_index", "add_column"})
VERSIONS = sorted((ROOT / "gateway" / "store" / "migrations" / "versions").glob("*.py"))


def not_adding(source: str) -> list[str]:
    """What a migration does that a process of the version before may trip over while both serve."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).startswith("op."):
            continue
        does = ast.unparse(node.func).removeprefix("op.")
        if does not in ADDING or "unique" in _given(node):
            found.append(does)
        elif does == "add_column":
            column = _given(node.args[1])
            if column.get("nullable") == "False" and "server_default" not in column:
                found.append(does)
    return found


def _given(call: ast.AST) -> dict[str | None, str]:
    """The keyword arguments of a call, as they are written."""
    assert isinstance(call, ast.Call)
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}


@pytest.mark.parametrize("path", [path for path in VERSIONS if path.name > "0004"], ids=lambda path: path.stem)
def test_a_migration_only_adds_so_that_two_versions_can_serve_at_once(path: Path) -> None:
    assert not_adding(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("statement", "is_safe"),
    [
        ('op.add_column("t", sa.Column("c", sa.String()))', True),
        ('op.add_column("t", sa.Column("c", sa.String(), nullable=False, server_default=""))', True),
        ('op.add_column("t", sa.Column("c", sa.String(), nullable=False))', False),
        ('op.drop_column("t", "c")', False),
        ('op.execute("DELETE FROM t")', False),
        ('with op.batch_alter_table("t") as t: pass', False),
        ('op.create_index("i", "t", ["c"], unique=True)', False),
    ],
)
def test_what_an_earlier_version_would_trip_over_is_seen(statement: str, is_safe: bool) -> None:
    assert (not_adding(statement) == []) == is_safe


NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("next_table", sa.Column("id", sa.String(), nullable=False), sa.PrimaryKeyConstraint("id"))
    op.add_column("consent_grant", sa.Column("next_note", sa.String(), nullable=True))
    op.add_column("answer", sa.Column("next_count", sa.Integer(), nullable=False, server_default="0"))
    op.create_index("next_index", "answer", ["next_count"])
"""
NEXT_TABLES = """
consent_grant.append_column(Column("next_note", String))
answer.append_column(Column("next_count", Integer, server_default="0"))
"""


def next_version(folder: Path) -> Path:
    """This code with one more migration, whose columns it uses."""
    for package in ("gateway", "resolvers", "connectors"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    head = max(path.name[:4] for path in VERSIONS)
    versions = folder / "gateway" / "store" / "migrations" / "versions"
    (versions / "9999_next.py").write_text('"""What comes next."""\n' + NEXT.format(head=head), encoding="utf-8")
    with (folder / "gateway" / "store" / "tables.py").open("a", encoding="utf-8") as tables:
        tables.write(NEXT_TABLES)
    return folder


@asynccontextmanager
async def version_serving(code: Path, state: Path, environment: Mapping[str, str]) -> AsyncIterator[str]:
    """A gateway process of the code in a folder; where it listens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--port", "0", "--state", str(state)),
        cwd=code,
        env=dict(environment),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        yield next(word for word in line.split() if word.startswith("http://"))
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


async def story(urls: Sequence[str], keys: Mapping[str, str], number: int) -> None:
    """Grant at one process, ask and take back at any; whatever is no plain success is an AssertionError."""
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:

        async def run(turn: int, who: str, query: str, **variables: str) -> dict[str, Any]:
            body = {"query": query, "variables": variables}
            response = await http.post(urls[turn % len(urls)], json=body, headers={"authorization": who})
            assert response.status_code == 200, response.text
            assert "errors" not in response.json(), response.text
            found: dict[str, Any] = response.json()["data"]
            return found

        person, landlord = f"Person P0{number % 3 + 1}", f"Bearer {keys['landlord']}"
        preview = (await run(number, person, PREVIEW, d=DOCUMENT))["previewConsent"]["id"]
        granted = (await run(number, person, GRANT, id=preview))["grantConsent"]
        for turn in range(2):
            asked = await run(number + turn, landlord, DOCUMENT, c=granted["consentToken"])
            assert asked["subject"]["immigration"]["statusLawful"]["state"] == "CONFIRMED"
        revoked = await run(number + 1, person, REVOKE, id=granted["grant"]["id"])
        assert revoked["revokeConsent"]["status"] == "REVOKED"


async def test_a_version_serves_on_while_the_next_migrates_and_serves_beside_it(
    tmp_path: Path, fresh_postgres: FreshDatabase
) -> None:
    state, url, code = tmp_path / "state", fresh_postgres(), next_version(tmp_path / "next")
    settings = quick_settings(state)
    today = read_people(default_people_folder()).clock_on
    async with AsyncExitStack() as stack:
        sources = await stack.enter_async_context(
            open_authorities(settings, default_people_folder(), today=today, profile="brisk")
        )
        environment = os.environ | {
            "KYOSEI_DATABASE__URL": url,
            "KYOSEI_CONFIG": str(config_for(tmp_path, sources)),
        }
        urls = [await stack.enter_async_context(version_serving(ROOT, state, environment))]
        keys, stopped = read_sandbox_keys(settings), asyncio.Event()

        async def load(first: int) -> int:
            number = first
            while not stopped.is_set():
                await story(urls, keys, number)
                number += 1
            return number - first

        before = asyncio.gather(load(0), load(1))
        urls.append(await stack.enter_async_context(version_serving(code, state, environment)))
        await asyncio.gather(*(story(urls, keys, number) for number in range(8)))
        stopped.set()
        assert min(await before) > 2, "it was served all the while"
        engine = create_async_engine(url, poolclass=NullPool)
        async with engine.connect() as connection:
            version = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
            counted = (await connection.execute(text("SELECT max(next_count) FROM answer"))).scalar_one()
        await engine.dispose()
        assert (version, counted) == ("next", 0)


async def test_a_migration_waits_for_a_reader_without_costing_it_its_answer(
    tmp_path: Path, fresh_postgres: FreshDatabase
) -> None:
    """The reader has one table and then wants the other, in the opposite order of the migration."""
    url = fresh_postgres()
    await migrate(url)
    code = next_version(tmp_path / "next")
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as reading, reading.begin():
        await reading.execute(text("SELECT count(*) FROM answer"))
        environment = os.environ | {"KYOSEI_DATABASE__URL": url, "KYOSEI_CONFIG": str(ROOT / "config")}
        migrating = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "migrate", "--state", str(tmp_path / "state")),
            cwd=code,
            env=environment,
        )
        waiting = text("SELECT 1 FROM pg_locks WHERE NOT granted")
        async with asyncio.timeout(60), engine.connect() as watching:
            while (await watching.execute(waiting)).first() is None:
                await watching.rollback()
        await asyncio.wait_for(reading.execute(text("SELECT count(*) FROM consent_grant")), 30)
    assert await asyncio.wait_for(migrating.wait(), 60) == 0
    async with engine.connect() as connection:
        version = (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one()
    await engine.dispose()
    assert version == "next"
