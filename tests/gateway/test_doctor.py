"""kyosei doctor: every check says ok where all is well, and what to do where it is not."""

import asyncio
import json
import os
import re
import socket
import sqlite3
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from connectors.interface import SourceAuthority
from connectors.profile import AuthoritySettings
from gateway.doctor.examination import examine
from gateway.doctor.finding import AttentionError, Level
from gateway.doctor.machine import FREE_BYTES_ERROR, FREE_BYTES_WARNING, check_space
from gateway.doctor.reach import check_evidence, check_limits, check_source
from gateway.errors import ConfigurationError
from gateway.keeping import verify
from gateway.opening import held_state, make_shared_keys, opened_stores
from gateway.operating import operate
from gateway.settings import Settings
from gateway.store.checkpoint_file import CHECKPOINT
from gateway.store.database import migrate
from tests.command_line import kyosei
from tests.conftest import ROOT, FreshDatabase
from tests.connectors.test_transport import certificate  # noqa: F401 - a fixture
from tests.gateway.sandboxes import changed, copied_config, outside_config, own_sandbox, settings_for
from tests.gateway.test_backup import on
from tests.valkey import running_valkey

DOCUMENT = "query($consent: ConsentToken!) { subject(consent: $consent) { immigration { statusLawful { value } } } }"
SECRET = "hunter2-canary"
DAY = timedelta(days=1)


def now() -> datetime:
    return datetime.now(UTC)


async def found(
    settings: Settings, *, folder: Path | None = None, at: datetime | None = None
) -> dict[str, tuple[str, str]]:
    """What the doctor says, by check."""
    said = [one async for one in examine(settings.state, folder=folder, now=at or now())]
    return {one.check: (one.level.value, one.says) for one in said}


async def says(settings: Settings, check: str, *, at: datetime | None = None) -> tuple[str, str]:
    return (await found(settings, at=at))[check]


@pytest_asyncio.fixture(loop_scope="session")
async def settings(tmp_path: Path) -> Settings:
    """A state directory in which a gateway has run and somebody has consented."""
    settings = settings_for(tmp_path / "state")
    async with own_sandbox(settings) as caller:
        await caller.consent("P01", "landlord", "TENANCY", DOCUMENT)
    return settings


def database_of(settings: Settings) -> Path:
    return settings.state / "kyosei.sqlite"


async def test_where_all_is_well_it_says_so_and_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    folder, before = copied_config(tmp_path), _files(settings.state)
    with ExitStack() as stack:
        for authority in SourceAuthority:  # whoever runs a sandbox beside the tests has authorities where it says
            nobody = stack.enter_context(socket.socket())
            nobody.bind(("127.0.0.1", 0))
            usual = settings.connectors.settings_of(authority).base_url
            changed(folder / "connectors.toml", usual, f"http://127.0.0.1:{nobody.getsockname()[1]}")
        said = await found(settings, folder=folder)
    assert {check for check, (level, _) in said.items() if level == Level.ERROR} == set()
    assert {check for check, (level, _) in said.items() if level == Level.WARNING} == {
        "source immigration",
        "source labor",
        "source tax",
        "source insurance",
    }, "no authority runs, and on this machine that is only worth a look"
    assert {"settings", "state directory", "database schema", "database", "master key", "clock", "log"} <= set(said)
    assert {"signing keys", "disk", "file descriptors", "limits storage", "gateway"} <= set(said)
    assert said["gateway"] == ("ok", "none runs on this state directory")
    assert _files(settings.state) == before


def _files(state: Path) -> dict[str, bytes]:
    files = {str(path): path.read_bytes() for path in state.rglob("*") if path.is_file()}
    return {name: body for name, body in files.items() if not name.endswith(("-shm", "-wal"))}


async def test_a_gateway_that_runs_is_asked_whether_it_lives(settings: Settings) -> None:
    async with own_sandbox(settings):
        assert await says(settings, "gateway") == ("ok", "it runs, and answers")
        said = await found(settings)
        for name in ("immigration", "labor", "tax", "insurance"):
            assert said[f"source {name}"] == ("ok", "it can be reached"), "where it runs, not where it would"
    with held_state(settings):
        level, line = await says(settings, "gateway")
        assert (level, "does not answer" in line) == ("error", True)


async def test_the_command_line_prints_lines_or_json_and_ends_with_one_for_an_error(settings: Settings) -> None:
    state = ("--state", str(settings.state))
    status, said, _ = await kyosei("doctor", *state)
    assert (status, "ok       log: " in said) == (0, True)
    (settings.state / "keys").chmod(0o755)
    status, said, _ = await kyosei("doctor", "--json", *state)
    assert status == 1
    errors = [one for one in json.loads(said) if one["level"] == "error"]
    assert [one["check"] for one in errors] == ["state directory"]


async def test_settings_that_are_refused_are_all_there_is_to_say(tmp_path: Path) -> None:
    folder = copied_config(tmp_path)
    changed(folder / "gateway.toml", "port = 8000", f'port = "{SECRET}"')
    said = await found(settings_for(tmp_path / "state"), folder=folder)
    assert set(said) == {"settings"}
    assert said["settings"][0] == "error"
    assert "server.port" in said["settings"][1]
    assert SECRET not in said["settings"][1]


async def test_what_the_sandbox_left_behind_is_named_line_by_line(tmp_path: Path) -> None:
    folder = copied_config(tmp_path)
    changed(folder / "gateway.toml", "enabled = true", "enabled = false")
    said = [one async for one in examine(tmp_path / "state", folder=folder, now=now())]
    assert {(one.check, one.level.value) for one in said} == {("settings", "error")}
    named = [one.says.split(":")[0] for one in said]
    assert named == [
        "server.public_url",
        *(f"authorities.{name}.sandbox" for name in ("immigration", "labor", "tax", "insurance")),
        *["relying_parties.toml"] * 4,
    ]


async def test_limits_for_trying_out_are_worth_a_look_outside_the_sandbox_alone(
    settings: Settings, tmp_path: Path
) -> None:
    assert (await says(settings, "trial limits"))[0] == "ok"
    folder = outside_config(tmp_path)
    level, line = (await found(settings, folder=folder))["trial limits"]
    assert level == "warning"
    assert "limits.failures_per_minute" in line
    assert "cost.budget_per_minute" in line
    for table in ("limits", "cost", "admission"):
        _without_table(folder / "gateway.toml", table)
    assert (await found(settings, folder=folder))["trial limits"] == ("ok", "none is left")


async def test_a_privacy_notice_of_the_sandbox_is_worth_a_look_outside_it(settings: Settings, tmp_path: Path) -> None:
    assert (await says(settings, "privacy notice"))[0] == "ok"
    folder = outside_config(tmp_path)
    level, line = (await found(settings, folder=folder))["privacy notice"]
    assert (level, "consent.privacy_notice" in line) == ("warning", True)
    changed(
        folder / "gateway.toml", 'privacy_notice = "README.md"', 'privacy_notice = "https://gateway.example/notice"'
    )
    assert (await found(settings, folder=folder))["privacy notice"][0] == "ok"


async def test_before_the_first_start_the_doctor_finds_no_error_once_the_database_was_migrated(
    tmp_path: Path,
) -> None:
    settings = settings_for(tmp_path / "state")
    make_shared_keys(settings)
    assert (await kyosei("migrate", "--state", str(settings.state)))[0] == 0
    levels = {check: level for check, (level, _) in (await found(settings)).items() if "source" not in check}
    assert {"database", "log", "signing keys"} <= set(levels)
    assert "error" not in levels.values(), levels


def _without_table(path: Path, name: str) -> None:
    """Leave out a table with those below it."""
    parts = re.split(r"(?m)^(?=\[)", path.read_text(encoding="utf-8"))
    path.write_text("".join(part for part in parts if not part.startswith((f"[{name}]", f"[{name}."))), "utf-8")


async def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    said = await found(settings_for(tmp_path / "state"))
    assert said["state directory"][0] == said["database"][0] == "error"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", [".", "keys", "keys/master.key", "keys/sandbox_keys.json"])
async def test_a_file_that_others_can_read_is_named(settings: Settings, name: str) -> None:
    (settings.state / name).chmod(0o755)
    level, line = await says(settings, "state directory")
    assert level == "error"
    assert ("it" if name == "." else name) in line


async def test_a_master_key_that_is_missing_or_anothers_is_noticed(settings: Settings) -> None:
    key = settings.state / "keys" / "master.key"
    key.chmod(0o600)
    key.write_bytes(bytes(32))
    said = await found(settings)
    assert said["master key"][0] == said["log"][0] == "error"
    key.unlink()
    said = await found(settings)
    assert "master.key is missing" in said["state directory"][1]
    assert "master.key is missing" in said["database"][1]


async def test_under_anothers_master_key_nothing_is_done_and_nothing_harmed(settings: Settings) -> None:
    key = settings.state / "keys" / "master.key"
    right = key.read_bytes()
    key.chmod(0o600)
    key.write_bytes(bytes(32))
    for action, arguments in (("keys rotate", {}), ("backup", {"file": str(settings.state / "a.backup")})):
        with pytest.raises(ConfigurationError, match="master key: it does not open this database"):
            await operate(settings, action, arguments)
    assert not (settings.state / "a.backup").exists()
    key.write_bytes(right)
    made = await operate(settings, "keys rotate", {})
    assert made["kid"] in {one["kid"] for one in (await operate(settings, "keys list", {}))["keys"]}


async def test_a_schema_that_is_not_this_versions_is_noticed(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "state")
    async with opened_stores(settings, now):
        pass
    database_of(settings).unlink()
    await migrate(settings.database_url, to="0003")
    level, line = await says(settings, "database schema")
    assert (level, "kyosei migrate" in line) == ("error", True)
    with closing(sqlite3.connect(database_of(settings))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    level, line = await says(settings, "database schema")
    assert (level, "newer" in line) == ("error", True)


async def test_a_database_that_is_still_empty_is_told_as_that(tmp_path: Path, fresh_postgres: FreshDatabase) -> None:
    settings = settings_for(tmp_path / "state")
    async with opened_stores(settings, now):
        pass
    database_of(settings).write_bytes(b"")
    for one in (settings, on(settings.state, fresh_postgres())):
        with pytest.raises(ConfigurationError, match="it is empty; `kyosei migrate`"):
            await verify(one)
    level, line = await says(settings, "database schema")
    assert (level, line) == (
        "error",
        "database: it is empty; `kyosei migrate`, or the gateway's first start, fills it",
    )


async def test_an_https_address_without_a_known_proxy_is_worth_a_look(settings: Settings, tmp_path: Path) -> None:
    assert await says(settings, "proxies") == ("ok", "none stands in front")
    folder = outside_config(tmp_path)
    level, line = (await found(settings, folder=folder))["proxies"]
    assert (level, line.startswith("server.trusted_hops: it is 0")) == ("warning", True)
    changed(folder / "gateway.toml", "trusted_hops = 0", "trusted_hops = 1")
    assert (await found(settings, folder=folder))["proxies"] == ("ok", "callers are known behind 1 of them")


async def test_a_database_file_that_is_damaged_is_noticed(settings: Settings) -> None:
    with closing(sqlite3.connect(database_of(settings))) as connection, connection:
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute("UPDATE grant_event SET grant_id = 'nobody'")
    assert (await says(settings, "database"))[0] == "error"
    body = bytearray(database_of(settings).read_bytes())
    body[-4096 * 3 :] = os.urandom(4096 * 3)
    database_of(settings).write_bytes(body)
    assert (await says(settings, "database"))[0] == "error"


async def test_a_journal_of_another_kind_is_noticed(settings: Settings) -> None:
    with closing(sqlite3.connect(database_of(settings))) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    assert (await says(settings, "database"))[0] == "warning"


async def test_a_log_that_was_rolled_back_is_noticed_and_one_whose_checkpoint_is_missing(settings: Settings) -> None:
    with closing(sqlite3.connect(database_of(settings))) as connection, connection:
        connection.execute("DELETE FROM audit_entry WHERE sequence = (SELECT max(sequence) FROM audit_entry)")
        connection.execute("UPDATE log_head SET size = size - 1")
    level, line = await says(settings, "log")
    assert (level, "kyosei log recover" in line) == ("error", True)
    (settings.state / CHECKPOINT).unlink()
    level, line = await says(settings, "log")
    assert (level, line.startswith("log.checkpoint is missing")) == ("error", True)


async def test_a_clock_behind_the_record_and_an_old_signing_key_are_noticed(settings: Settings) -> None:
    assert (await says(settings, "clock", at=now() - DAY))[0] == "error"
    assert (await says(settings, "signing keys", at=now() + 89 * DAY))[0] == "ok"
    level, line = await says(settings, "signing keys", at=now() + 91 * DAY)
    assert (level, "kyosei keys rotate" in line) == ("warning", True)


def test_a_disk_that_fills_up_is_noticed_before_it_is_full() -> None:
    assert "MiB" in check_space(FREE_BYTES_WARNING)
    with pytest.raises(AttentionError):
        check_space(FREE_BYTES_WARNING - 1)
    with pytest.raises(ConfigurationError):
        check_space(FREE_BYTES_ERROR - 1)


async def test_too_few_file_descriptors_are_noticed(tmp_path: Path) -> None:
    command = f"ulimit -n 512; exec {sys.executable} -m gateway doctor --json --state {tmp_path / 'state'}"
    process = await asyncio.create_subprocess_exec("bash", "-c", command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    levels = {one["check"]: one["level"] for one in json.loads(output)}
    assert levels["file descriptors"] == "warning"


async def test_a_postgresql_that_may_lose_commits_is_noticed(tmp_path: Path, fresh_postgres: FreshDatabase) -> None:
    settings = on(tmp_path / "state", fresh_postgres())
    async with opened_stores(settings, now):
        pass
    url, folder = settings.database_url, copied_config(tmp_path)
    changed(folder / "gateway.toml", '[database]\nurl = ""', f'[database]\nurl = "{url}"')
    said = await found(settings, folder=folder)
    assert said["database"] == ("ok", "PostgreSQL makes commits durable")
    level, line = said["limits storage"]
    assert (level, "each process counts alone" in line) == ("warning", True)
    assert {level for level, _ in said.values()} == {"ok", "warning"}
    engine = create_async_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        name = (await connection.execute(text("SELECT current_database()"))).scalar_one()
        await connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
    await engine.dispose()
    level, line = (await found(settings, folder=folder))["database"]
    assert (level, "synchronous_commit" in line) == ("error", True)


# --- what it talks to ---------------------------------------------------------------------------------------


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncIterator[int]:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


def source(url: str, ca_file: Path | None = None, **files: Path) -> AuthoritySettings:
    given = {"base_url": url, "deadline_seconds": 1, "retry_after_seconds": 1, "allow_private": True}
    return AuthoritySettings.model_validate(given | {"ca_file": ca_file, **files})


async def test_a_source_is_reached_with_the_right_certificate_alone(
    certificate: tuple[Path, Path],  # noqa: F811 - the fixture
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    async with listening(context) as port:
        assert await check_source(source(f"https://localhost:{port}", certificate[0])) == "it can be reached"
        with pytest.raises(ConfigurationError, match="certificate"):
            await check_source(source(f"https://localhost:{port}"))
    async with listening(None) as port:
        assert await check_source(source(f"http://127.0.0.1:{port}")) == "it can be reached"
    with pytest.raises(AttentionError):
        await check_source(source(f"http://127.0.0.1:{port}"))


async def test_a_source_that_asks_for_our_certificate_is_shown_it(
    certificate: tuple[Path, Path],  # noqa: F811 - the fixture
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate[0]))
    context.load_cert_chain(*certificate)
    context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, ssl.TLSVersion.TLSv1_2
    own = {"client_certificate_file": certificate[0], "client_key_file": certificate[1]}
    async with listening(context) as port:
        url = f"https://localhost:{port}"
        assert await check_source(source(url, certificate[0], **own)) == "it can be reached"
        with pytest.raises((ConfigurationError, AttentionError)):
            await check_source(source(url, certificate[0]))


async def test_the_limits_common_storage_is_asked_whether_it_is_there(tmp_path: Path) -> None:
    url = f"async+redis+unix://{tmp_path / 'valkey.socket'}"
    with pytest.raises(ConfigurationError, match=r"limits\.storage_url"):
        await check_limits(url)
    with running_valkey(tmp_path):
        assert await check_limits(url) == "it answers"


@pytest.mark.parametrize("scheme", ["unix", "async+redis+unix"])
async def test_the_cache_that_processes_share_is_asked_whether_it_is_there(tmp_path: Path, scheme: str) -> None:
    url = f"{scheme}://{tmp_path / 'valkey.socket'}"
    with pytest.raises(AttentionError, match=r"evidence\.storage_url"):
        await check_evidence(url)
    with running_valkey(tmp_path):
        assert await check_evidence(url) == "it answers"
    assert "in memory" in await check_evidence("")


async def test_no_secret_and_nobody_stands_in_what_it_says(settings: Settings) -> None:
    environment = {
        "KYOSEI_LIMITS__STORAGE_URL": f"async+redis://:{SECRET}@127.0.0.1:1",
        "KYOSEI_EVIDENCE__STORAGE_URL": f"async+redis://:{SECRET}@127.0.0.1:1",
        "KYOSEI_DATABASE__URL": f"postgresql+asyncpg://{SECRET}:{SECRET}@127.0.0.1:1/{SECRET}",
    }
    status, *written = await kyosei("doctor", "--state", str(settings.state), environment=environment)
    output = "\n".join(written)
    assert status == 1
    assert "error    limits storage" in output
    assert "warning  evidence storage" in output
    assert "error    database schema: database: it cannot be read" in output
    assert SECRET not in output
    assert "P01" not in output
