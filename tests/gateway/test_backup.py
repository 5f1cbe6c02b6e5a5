"""A backup is made while people use the gateway, verifies by itself, and restores to a state that holds the same."""

import asyncio
import os
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gateway.audit.checkpoint import LogKey
from gateway.errors import ConfigurationError, NotVerifiedError
from gateway.identity.assertion import LONGEST_LIFE
from gateway.identity.dpop import PROOF_LIFE
from gateway.identity.jws import AHEAD
from gateway.keeping import restore_backup, verify
from gateway.opening import checkpoint_file, opened_stores
from gateway.operating import operate
from gateway.portal.challenge import CHALLENGE_LIFE
from gateway.record_cli import AGAIN
from gateway.settings import Settings
from gateway.store.backup_file import open_seal, seal_backup
from gateway.store.checkpoint_file import CHECKPOINT
from gateway.store.database import open_to_read
from gateway.store.envelope import Envelope, read_master_key
from gateway.store.erased_list import ERASED
from gateway.store.sessions import SignedIn
from gateway.store.short_lived import LONGEST_PROOF, ONE_TIME, tables_to_keep
from gateway.store.tables import erased_person, log_tile, metadata
from tests.command_line import kyosei
from tests.conftest import Caller, FreshDatabase
from tests.gateway.canary_people import found_in, write_folder
from tests.gateway.record import opened_record
from tests.gateway.sandboxes import codes, own_sandbox, settings_for
from tests.gateway.test_canaries import FACTS, PEOPLE, RENT, TENANCY

DOCUMENT = "query($consent: ConsentToken!) { subject(consent: $consent) { immigration { statusLawful { value } } } }"
Spoil = Callable[[sqlite3.Connection], Any]


def now() -> datetime:
    return datetime.now(UTC)


def on(state: Path, url: str = "") -> Settings:
    """A state directory with its database: its own SQLite, or another."""
    settings = settings_for(state)
    database = settings.gateway.database.model_copy(update={"url": url})
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"database": database})})


def another_state(settings: Settings, name: str, url: str = "") -> Settings:
    """A state directory elsewhere: new but for the keys, as an operator brings them."""
    state = settings.state.with_name(name)
    state.mkdir(mode=0o700)
    shutil.copytree(settings.state / "keys", state / "keys")
    return on(state, url)


def with_checkpoint_of(settings: Settings, file: Path) -> Settings:
    """The same, with the newest copy of the log's checkpoint: nothing happened after the backup."""
    envelope = envelope_of(settings)
    checkpoint_file(settings, envelope).replace(open_seal(file, envelope).checkpoint)
    return settings


def envelope_of(settings: Settings) -> Envelope:
    return Envelope(read_master_key(settings.state / "keys" / "master.key", may_make=False))


async def contents(settings: Settings) -> dict[str, list[tuple[Any, ...]]]:
    """Everything in a database, table by table."""
    database = open_to_read(settings.database_url)
    try:
        async with database.snapshot() as connection:
            return {
                table.name: [
                    tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
                    for row in (await connection.execute(table.select().order_by(*table.primary_key.columns))).all()
                ]
                for table in metadata.sorted_tables
            }
    finally:
        await database.close()


async def asked(caller: Caller, token: str) -> list[str]:
    return codes(await caller.as_party("landlord", DOCUMENT, {"consent": token}))


# --- while it is used ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Load:
    """People who grant, relying parties who ask, people who take back, until it is enough."""

    caller: Caller
    granted: dict[str, str]
    revoked: set[str]

    async def run(self, person: str) -> None:
        while True:
            token, grant = await self.caller.consent(person, "landlord", "TENANCY", DOCUMENT)
            assert await asked(self.caller, token) == []
            self.granted[grant] = token
            if len(self.granted) % 2:
                await self.caller.revoke(person, grant)
                self.revoked.add(grant)


@asynccontextmanager
async def under_load(caller: Caller) -> AsyncIterator[Load]:
    load = Load(caller, {}, set())
    tasks = [asyncio.create_task(load.run(person)) for person in ("P01", "P02", "P03", "P18")]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_a_backup_made_under_load_restores_to_a_state_that_answers_and_refuses_as_it_did(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fresh: FreshDatabase = request.getfixturevalue("fresh_postgres") if kind == "postgresql" else lambda: ""
    settings, file = on(tmp_path / "state", fresh()), tmp_path / "backup"
    async with own_sandbox(settings) as caller, under_load(caller) as load:
        async with asyncio.timeout(60):
            while len(load.revoked) < 8:  # noqa: ASYNC110 - no event tells
                await asyncio.sleep(0.01)
        granted, revoked = dict(load.granted), set(load.revoked)
        made = await operate(settings, "backup", {"file": str(file)})
    assert (await verify(settings)).size > made["size"] > 0, "it was written to meanwhile"

    copy = with_checkpoint_of(another_state(settings, "copy", fresh()), file)
    assert (await verify(copy, file)).root().hex() == made["root"]
    restored = await restore_backup(copy, file, may_replace=False, now=now())
    assert not restored.is_older
    tree = await verify(copy)
    assert (tree.size, tree.root().hex()) == (made["size"], made["root"])
    if kind == "sqlite":
        with opened_record(copy.state) as record:
            record.check_whole()
            released = [entry.detail for entry in record.entries() if entry.kind == "RELEASED"]
            assert {detail["answer"] for detail in released if detail} == set(record.answers())
    async with own_sandbox(copy) as caller:
        for grant, token in granted.items():
            if grant in revoked:
                assert await asked(caller, token) == ["CONSENT_ENDED"]
        standing = [token for grant, token in granted.items() if grant not in load.revoked]
        assert standing
        for token in standing:
            assert await asked(caller, token) == []


# --- what a backup is ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Made:
    """A gateway that stands still, its backup, and what was granted before that was made."""

    settings: Settings
    file: Path
    token: str
    revoked: str
    secrets: Mapping[str, str]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Of people whose every fact is found nowhere else."""
    folder = tmp_path_factory.mktemp("made")
    settings, file, people = on(folder / "state"), folder / "backup", folder / "people"
    write_folder(people, PEOPLE)
    async with own_sandbox(settings, people=people) as caller:
        first, second = PEOPLE[0].id, PEOPLE[1].id
        token, grant = await caller.consent(first, "landlord", "TENANCY", TENANCY, RENT)
        revoked, ended = await caller.consent(second, "landlord", "TENANCY", TENANCY, RENT)
        for one in (token, revoked):
            assert "errors" not in await caller.as_party("landlord", TENANCY, {**RENT, "consent": one})
        await caller.revoke(second, ended)
        share = "mutation($g: ID!) { createShareCode(grant: $g) { code } }"
        shared = (await caller.as_person(first, share, {"g": grant}))["data"]["createShareCode"]["code"]
        stores = caller.running.gateway.stores
        await stores.sessions.open("a cookie", SignedIn(person_id=first), now=now())
        await stores.used_once.use("used before", expires_at=now() + timedelta(minutes=5), now=now())
        invited = (await operate(settings, "person invite", {"person_id": first}))["code"]
        await operate(settings, "backup", {"file": str(file)})
        secrets = dict(caller.running.keys)
    return Made(settings, file, token, revoked, {**secrets, "share": shared, "invited": invited})


@pytest.fixture
def new(made: Made, tmp_path: Path) -> Settings:
    """An empty state directory with the same keys."""
    (tmp_path / "copy").mkdir(mode=0o700)
    shutil.copytree(made.settings.state / "keys", tmp_path / "copy" / "keys")
    return on(tmp_path / "copy")


@pytest.fixture
def copy(made: Made, new: Settings) -> Settings:
    """The same, with the log's checkpoint."""
    return with_checkpoint_of(new, made.file)


async def test_nothing_that_identifies_anybody_and_no_key_is_in_a_backup(made: Made) -> None:
    body = made.file.read_bytes()
    assert found_in(body, [*FACTS, made.token, made.revoked, *made.secrets.values()]) == []
    assert (made.settings.state / "keys" / "master.key").read_bytes() not in body
    assert stat.S_IMODE(made.file.stat().st_mode) == 0o600
    assert [path.name for path in made.file.parent.iterdir() if "unfinished" in path.name] == []


async def test_a_backup_holds_every_table_but_those_that_may_not_come_back(made: Made) -> None:
    assert {table.name for table in [*tables_to_keep(), *ONE_TIME, log_tile]} == set(metadata.tables)
    with closing(sqlite3.connect(made.file)) as backup:
        for table in ONE_TIME:
            assert backup.execute(f"SELECT count(*) FROM {table.name}").fetchone() == (0,), table.name
    there = await contents(made.settings)
    assert there["portal_session"]
    assert there["share_code"]
    assert there["invitation"]


async def test_a_file_that_is_there_is_not_overwritten(made: Made, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_text("something")
    for target in (there, tmp_path / "no folder" / "backup"):
        with pytest.raises(ConfigurationError, match="backup"):
            await operate(made.settings, "backup", {"file": str(target)})
    assert there.read_text() == "something"
    assert os.listdir(tmp_path) == ["there"]


async def test_the_command_line_makes_verifies_and_restores_one(made: Made, copy: Settings, tmp_path: Path) -> None:
    file, state = tmp_path / "again", ("--state", str(made.settings.state))
    status, said, _ = await kyosei("backup", str(file), *state)
    assert (status, "keep a copy of" in said) == (0, True)
    status, said, _ = await kyosei("log", "verify", str(file), *state)
    assert (status, said.splitlines()[-1]) == (0, "VERIFIED")
    status, said, _ = await kyosei("restore", str(file), "--state", str(copy.state))
    assert (status, said.startswith("Restored and verified")) == (0, True)
    status, _, said = await kyosei("restore", str(file), "--state", str(copy.state))
    assert (status, said) == (78, "kyosei: database: it is not empty; --replace puts the backup in its place")
    status, said, _ = await kyosei("restore", str(file), "--replace", "--state", str(copy.state))
    assert (status, "log recover" in said) == (0, False)


# --- where it goes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["sqlite to sqlite", "sqlite to postgresql", "postgresql to postgresql", "and back"])
async def test_a_backup_of_either_database_restores_into_either(
    made: Made, tmp_path: Path, fresh_postgres: FreshDatabase, way: str
) -> None:
    source, file = made.settings, made.file
    (tmp_path / "1").mkdir(mode=0o700)
    shutil.copytree(source.state / "keys", tmp_path / "1" / "keys")
    if way in ("postgresql to postgresql", "and back"):
        source = with_checkpoint_of(on(tmp_path / "1", fresh_postgres()), file)
        await restore_backup(source, file, may_replace=False, now=now())
        file = tmp_path / "of postgresql"
        await operate(source, "backup", {"file": str(file)})
    target = another_state(made.settings, f"to {way}", "" if way.endswith(("sqlite", "back")) else fresh_postgres())
    await restore_backup(with_checkpoint_of(target, file), file, may_replace=False, now=now())
    before, after = await contents(made.settings), await contents(target)
    for table in tables_to_keep():
        if table.name != "used_once":
            assert after[table.name] == before[table.name], table.name
    assert before["audit_entry"]
    assert before["grant_event"]
    people = tmp_path / "people"
    write_folder(people, PEOPLE)
    async with own_sandbox(target, people=people) as caller:
        assert codes(await caller.as_party("landlord", TENANCY, {**RENT, "consent": made.token})) == []
        assert codes(await caller.as_party("landlord", TENANCY, {**RENT, "consent": made.revoked})) == [
            "CONSENT_ENDED"
        ]
    assert (await verify(target)).size > len(before["audit_entry"])


async def test_a_running_gateway_is_not_restored_over(
    made: Made, tmp_path: Path, fresh_database: FreshDatabase
) -> None:
    target = another_state(made.settings, tmp_path.name, fresh_database())
    async with opened_stores(target, now):
        with pytest.raises(ConfigurationError, match="gateway"):
            await restore_backup(target, made.file, may_replace=True, now=now())


async def test_an_older_backup_in_the_place_of_a_database_is_noticed(made: Made, copy: Settings) -> None:
    await restore_backup(copy, made.file, may_replace=False, now=now())
    async with own_sandbox(copy) as caller:
        await caller.consent("P01", "landlord", "TENANCY", DOCUMENT)
    restored = await restore_backup(copy, made.file, may_replace=True, now=now())
    assert restored.is_older
    with pytest.raises(ConfigurationError, match="log: it was rolled back"):
        async with opened_stores(copy, now):
            pass


def without_what_is_newer(db: sqlite3.Connection) -> None:
    """What migrations after 0003 added."""
    db.execute("ALTER TABLE person DROP COLUMN confirmations_sealed")
    for table in ("log_tile", "trusted_document"):
        db.execute(f"DROP TABLE {table}")


async def test_an_earlier_schema_is_migrated_forward_and_the_file_left_as_it_is(
    made: Made, copy: Settings, tmp_path: Path
) -> None:
    file = altered(made, tmp_path, without_what_is_newer, version="0003")
    before = file.read_bytes()
    await restore_backup(copy, file, may_replace=False, now=now())
    assert (await contents(copy))["grant_event"] == (await contents(made.settings))["grant_event"]
    assert file.read_bytes() == before


# --- what is refused ----------------------------------------------------------------------------------------


def altered(made: Made, folder: Path, spoil: Spoil, *, version: str = "", sealed: bool = True) -> Path:
    """A copy that was changed; `sealed`: by somebody who has the master key, or by the gateway itself."""
    file = folder / "altered"
    shutil.copyfile(made.file, file)
    with closing(sqlite3.connect(file)) as connection, connection:
        ((note,),) = connection.execute("SELECT checkpoint FROM backup").fetchall()
        spoil(connection)
        if version:
            connection.execute("UPDATE alembic_version SET version_num = ?", [version])
        if sealed:
            connection.execute("DROP TABLE backup")
    if sealed:
        envelope = envelope_of(made.settings)
        checkpoint = LogKey(envelope.derive("log key")).open(note)
        seal_backup(file, envelope, checkpoint, made_at=now())
    return file


def flipped(db: sqlite3.Connection) -> None:
    ((entry,),) = db.execute("SELECT entry FROM audit_entry WHERE sequence = 2").fetchall()
    db.execute(
        "UPDATE audit_entry SET entry = ? WHERE sequence = 2", [entry[:40] + bytes([entry[40] ^ 1]) + entry[41:]]
    )


DAMAGES: dict[str, Spoil] = {
    "a byte of an entry": flipped,
    "an entry less": lambda db: db.execute("DELETE FROM audit_entry WHERE sequence = 2"),
    "the last entry less": lambda db: db.executescript(
        "DELETE FROM audit_entry WHERE sequence = (SELECT max(sequence) FROM audit_entry);"
        "UPDATE log_head SET size = size - 1"
    ),
    "a leaf": lambda db: db.execute("UPDATE audit_entry SET leaf_hash = zeroblob(32) WHERE sequence = 2"),
    "the head": lambda db: db.execute("UPDATE log_head SET size = size + 1"),
}
FORGERIES: dict[str, Spoil] = {
    **DAMAGES,
    "a revocation less": lambda db: db.execute("DELETE FROM grant_event WHERE kind = 'REVOKED'"),
    "a passkey more": lambda db: db.execute(
        "INSERT INTO passkey (id, person_id, public_key, sign_count, made_at) "
        "SELECT 'mine', id, x'00', 0, 0 FROM person LIMIT 1"
    ),
    "a trigger": lambda db: db.execute("CREATE TRIGGER t AFTER INSERT ON person BEGIN SELECT 1; END"),
    "no seal": lambda db: db.execute("UPDATE backup SET mac = NULL"),
    "no row": lambda db: db.execute("DELETE FROM backup"),
    "no table": lambda db: db.execute("DROP TABLE backup"),
    "the moment": lambda db: db.execute("UPDATE backup SET made_at = made_at + 1"),
}


async def refused(made: Made, copy: Settings, file: Path, *, match: str, is_damage: bool = False) -> None:
    """It is refused, by `log verify` too, and what is there is as it was. `is_damage`: it was looked at, and is not
    what it has to be."""
    await restore_backup(copy, made.file, may_replace=False, now=now())
    before, checkpoint = await contents(copy), (copy.state / CHECKPOINT).read_bytes()
    with pytest.raises(ConfigurationError, match=match):
        await restore_backup(copy, file, may_replace=True, now=now())
    assert await contents(copy) == before
    assert (copy.state / CHECKPOINT).read_bytes() == checkpoint
    with pytest.raises(NotVerifiedError if is_damage else ConfigurationError, match=match):
        await verify(copy, file)


@pytest.mark.parametrize("damage", FORGERIES)
async def test_a_backup_that_was_changed_is_refused_and_nothing_is_changed_by_it(
    made: Made, copy: Settings, tmp_path: Path, damage: str
) -> None:
    file = altered(made, tmp_path, FORGERIES[damage], sealed=False)
    await refused(made, copy, file, match="backup: ", is_damage=damage != "no table")


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_log_that_was_damaged_before_it_was_backed_up_is_not_restored(
    made: Made, copy: Settings, tmp_path: Path, damage: str
) -> None:
    await refused(made, copy, altered(made, tmp_path, DAMAGES[damage]), match="log: ", is_damage=True)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.95])
async def test_a_backup_that_was_cut_off_is_refused(made: Made, copy: Settings, tmp_path: Path, share: float) -> None:
    file, body = tmp_path / "cut", made.file.read_bytes()
    file.write_bytes(body[: int(len(body) * share)])
    await refused(made, copy, file, match="backup: ")


async def test_a_backup_newer_than_the_code_is_refused(made: Made, copy: Settings, tmp_path: Path) -> None:
    await refused(made, copy, altered(made, tmp_path, lambda db: None, version="9999"), match="newer")


async def test_a_file_that_is_no_backup_is_refused(made: Made, copy: Settings, tmp_path: Path) -> None:
    text_file = tmp_path / "text"
    text_file.write_text("no backup " * 1000)
    await refused(made, copy, text_file, match="backup: ")
    with pytest.raises(ConfigurationError, match="no such file"):
        await restore_backup(copy, tmp_path / "nowhere", may_replace=True, now=now())


async def test_another_master_key_does_not_restore_it(made: Made, copy: Settings) -> None:
    key = copy.state / "keys" / "master.key"
    key.unlink()
    (copy.state / CHECKPOINT).unlink()
    with pytest.raises(ConfigurationError, match=r"keys/master\.key is missing"):
        await restore_backup(copy, made.file, may_replace=False, now=now())
    key.write_bytes(os.urandom(32))
    key.chmod(0o400)
    with pytest.raises(ConfigurationError, match="another master key"):
        await restore_backup(copy, made.file, may_replace=False, pauses=True, now=now())
    assert not (copy.state / "kyosei.sqlite").exists()


async def test_a_restore_that_fails_halfway_leaves_the_database_as_it_was(
    made: Made, copy: Settings, tmp_path: Path
) -> None:
    """A row that the schema does not allow comes after most of the others."""
    await restore_backup(copy, made.file, may_replace=False, now=now())
    before = await contents(copy)
    file = altered(made, tmp_path, lambda db: db.execute("UPDATE grant_event SET grant_id = 'x' || grant_id"))
    with pytest.raises(ConfigurationError, match="database: the backup could not be written"):
        await restore_backup(copy, file, may_replace=True, now=now())
    assert await contents(copy) == before


# --- what may have happened since -----------------------------------------------------------------------------


async def test_what_was_restored_is_a_line_of_the_log_and_what_was_not_is_none(made: Made, copy: Settings) -> None:
    with capture_logs() as told:
        await restore_backup(copy, made.file, may_replace=False, now=now())
        with pytest.raises(ConfigurationError, match="not empty"):
            await restore_backup(copy, made.file, may_replace=False, now=now())
        await restore_backup(copy, made.file, may_replace=True, pauses=True, now=now())
    assert [line["action"] for line in told if line["event"] == "operator_acted"] == ["restore", "restore --pause"]


async def test_where_nobody_knows_what_was_taken_back_since_a_restore_says_so_and_can_pause_every_consent(
    made: Made, new: Settings, tmp_path: Path
) -> None:
    first = await restore_backup(new, made.file, may_replace=False, now=now())
    assert first.is_unknown
    (new.state / CHECKPOINT).unlink()
    paused = await restore_backup(new, made.file, may_replace=True, pauses=True, now=now())
    assert paused.last_entry_at == first.last_entry_at, "the backup's last entry, not the pause"
    people = tmp_path / "people"
    write_folder(people, PEOPLE)
    async with own_sandbox(new, people=people) as caller:
        for token, says in ((made.token, "CONSENT_PAUSED"), (made.revoked, "CONSENT_ENDED")):
            assert codes(await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})) == [says]
    with opened_record(new.state) as record:
        record.check_whole()
        (entry,) = [row.entry for row in record.entries() if row.kind == "LOG_RECOVERED"]
    assert entry["recovery"]["lost"] is None
    assert entry["recovery"]["found"]["size"] == entry["sequence"]
    assert (await verify(new)).size > entry["sequence"]


async def test_the_command_line_says_what_was_paused_and_what_has_to_be_done_again(made: Made, new: Settings) -> None:
    state = ("--state", str(new.state))
    status, _, said = await kyosei("restore", str(made.file), *state)
    assert (status, "--pause" in said) == (0, True)
    status, said, _ = await kyosei("restore", "--replace", "--pause", str(made.file), *state)
    assert (status, "Every consent is paused" in said, AGAIN in said) == (0, True, True)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_whoever_was_erased_after_the_backup_is_erased_again_after_its_restore(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fresh: FreshDatabase = request.getfixturevalue("fresh_postgres") if kind == "postgresql" else lambda: ""
    settings, file = on(tmp_path / "state", fresh()), tmp_path / "backup"
    async with own_sandbox(settings) as caller:
        tokens = [(await caller.consent(person, "landlord", "TENANCY", DOCUMENT))[0] for person in ("P01", "P02")]
        await operate(settings, "backup", {"file": str(file)})
        name = (await caller.as_person("P01", "{ me { name } }"))["data"]["me"]["name"]
        erase = "mutation($name: String!) { eraseMe(name: $name) { entry } }"
        assert "errors" not in await caller.as_person("P01", erase, {"name": name})

    copy = with_checkpoint_of(another_state(settings, "copy", fresh()), file)
    shutil.copyfile(settings.state / ERASED, copy.state / ERASED)
    await restore_backup(copy, file, may_replace=False, now=now())
    async with own_sandbox(copy) as caller:
        assert [await asked(caller, token) for token in tokens] == [["CONSENT_INVALID"], []]
        assert codes(await caller.as_person("P01", "{ me { name } }")) == ["TOKEN_INVALID"]
    await verify(copy)
    after = await contents(copy)
    assert "P01" not in {row[0] for row in after["person"]}
    assert [entry for entry in after["audit_entry"] if "ERASED" in entry]


async def test_a_list_of_the_erased_that_is_lost_is_made_again_and_one_that_is_spoilt_forbids_to_start(
    tmp_path: Path,
) -> None:
    settings = on(tmp_path / "state")
    async with opened_stores(settings, now) as (database, _, stores):
        digest = stores.people.digest("P01")
        values = {"digest": digest, "at": now()}
        async with database.writing.begin() as connection:
            await connection.execute(erased_person.insert().values(values))
    async with opened_stores(settings, now):
        assert (settings.state / ERASED).read_text("utf-8") == f"{digest}\n"
    assert stat.S_IMODE((settings.state / ERASED).stat().st_mode) == 0o600
    (settings.state / ERASED).write_text("P01\n", "utf-8")
    with pytest.raises(ConfigurationError, match=r"erased\.list: it cannot be read"):
        async with opened_stores(settings, now):
            pass


# --- what does not come back --------------------------------------------------------------------------------


async def test_what_was_used_before_or_since_the_backup_is_not_used_again(made: Made, copy: Settings) -> None:
    await restore_backup(copy, made.file, may_replace=False, now=now())
    restored_at = now()
    async with opened_stores(copy, now) as (_, _, stores):

        async def is_taken(digest: str, **valid_for: float) -> bool:
            expires_at = restored_at + timedelta(**valid_for)
            return await stores.used_once.use(digest, expires_at=expires_at, now=now())

        assert not await is_taken("used before", hours=9)
        assert not await is_taken("perhaps used since", seconds=60)
        assert not await is_taken("perhaps used since, and as long as can be", seconds=LONGEST_PROOF.seconds - 60)
        assert await is_taken("made afterwards", seconds=LONGEST_PROOF.seconds + 60)
        assert not await is_taken("made afterwards", seconds=LONGEST_PROOF.seconds + 60)


def test_no_proof_outlives_the_time_in_which_all_of_them_are_refused() -> None:
    assert max(LONGEST_LIFE, CHALLENGE_LIFE, PROOF_LIFE) + AHEAD <= LONGEST_PROOF


async def test_browsers_are_signed_out_and_one_time_codes_are_void(made: Made, copy: Settings) -> None:
    await restore_backup(copy, made.file, may_replace=False, now=now())
    async with opened_stores(copy, now) as (_, _, stores):
        assert await stores.sessions.find("a cookie", now=now()) is None
    after = await contents(copy)
    assert {table.name: after[table.name] for table in ONE_TIME} == {table.name: [] for table in ONE_TIME}
    assert after["consent_token"]
