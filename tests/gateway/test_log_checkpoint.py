"""The log proves itself: its root, the checkpoint signed over it, and what happens after it was rolled back."""

import asyncio
import base64
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, update
from structlog.testing import capture_logs

from gateway.app import open_operator
from gateway.audit.checkpoint import Checkpoint, LogKey, NoteError, UnknownKeyError, Verifier, parse_checkpoint
from gateway.audit.entry import EntryFacts
from gateway.audit.merkle import EMPTY_ROOT, TILE_SIZE, CompactRange, leaf_hash
from gateway.errors import ConfigurationError, NotVerifiedError, RecordUnavailableError
from gateway.keeping import open_existing, recover, verify
from gateway.opening import opened_stores
from gateway.settings import Settings
from gateway.store.checkpoint_file import CHECKPOINT, CheckpointFile
from gateway.store.database import Database
from gateway.store.log_keeper import CHECKPOINT_SECONDS
from gateway.store.log_tree import LogTree
from gateway.store.tables import audit_entry, log_head, log_tile
from gateway.store.writer import Writer
from gateway.stores import Stores
from resolvers.worker import AccessKind
from tests.command_line import kyosei
from tests.conftest import FreshDatabase
from tests.gateway.gateway_process import quick_settings
from tests.gateway.sandboxes import codes, own_sandbox, rows, settings_for

EX_CONFIG = 78
DOCUMENT = "query($consent: ConsentToken!) { subject(consent: $consent) { immigration { statusLawful { value } } } }"

INPUTS = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""The inputs and roots by which Certificate Transparency's own implementations are tested."""

NOTE_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE = (
    "This is an example message.\n\n"
    "\u2014 example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
"""Source: C2SP signed-note, its test vector."""


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """By the definition in RFC 9162 section 2.1.1, not by our code."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"").digest()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + tree_hash(leaves[:half]) + tree_hash(leaves[half:])).digest()


def range_over(leaves: Sequence[bytes]) -> CompactRange:
    tree = CompactRange()
    for leaf in leaves:
        tree.append(leaf)
    return tree


# --- the tree and the note ----------------------------------------------------------------------------------


def test_roots_are_those_that_others_compute() -> None:
    leaves = [leaf_hash(bytes.fromhex(one)) for one in INPUTS]
    assert [range_over(leaves[: size + 1]).root().hex() for size in range(8)] == list(ROOTS)
    letters = range_over([leaf_hash(one) for one in (b"a", b"b", b"c")])
    assert base64.b64encode(letters.root()) == b"NmQuc8JUCrEh46a/lUWwokmCzYMOsT080Z3jzmwCHsE="
    assert base64.b64encode(EMPTY_ROOT) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    assert CompactRange().root() == EMPTY_ROOT


@given(st.integers(0, 700), st.integers(0, 2))
def test_a_growing_root_is_the_root_by_definition(size: int, tiles: int) -> None:
    leaves = [sha256(number.to_bytes(4)).digest() for number in range(size)]
    assert range_over(leaves).root() == tree_hash(leaves)
    whole = min(tiles, size // TILE_SIZE)
    tree = CompactRange()
    for number in range(whole):
        tree.append(tree_hash(leaves[number * TILE_SIZE : (number + 1) * TILE_SIZE]), height=8)
    for leaf in leaves[whole * TILE_SIZE :]:
        tree.append(leaf)
    assert (tree.size, tree.root()) == (size, tree_hash(leaves))


def test_a_tile_goes_only_where_one_begins() -> None:
    with pytest.raises(ValueError, match="multiple"):
        range_over([leaf_hash(b"a")]).append(bytes(32), height=8)


def verifier_of(key: str) -> Verifier:
    """A key as others are given it: name, id, and the public key behind the byte of its algorithm."""
    name, _, body = key.split("+")
    return Verifier(name, base64.b64decode(body)[1:])


def test_a_note_that_others_signed_verifies_and_one_that_was_changed_does_not() -> None:
    key = verifier_of(NOTE_KEY)
    assert key.open(NOTE) == "This is an example message.\n"
    assert key.to_text() == NOTE_KEY
    with pytest.raises(NoteError, match="verify"):
        key.open(NOTE.replace("example message", "example massage"))
    with pytest.raises(UnknownKeyError):
        LogKey(bytes(32)).verifier.open(NOTE)


def test_a_checkpoint_is_three_lines_that_only_its_own_log_signs() -> None:
    key, another = LogKey(bytes(32)), LogKey(bytes([1] * 32))
    checkpoint = key.checkpoint(3, tree_hash([leaf_hash(b"a")]))
    note = key.sign(checkpoint)
    origin, size, root, blank, signature, end = note.split("\n")
    assert (origin, size, blank, end) == (key.verifier.name, "3", "", "")
    assert base64.b64decode(root) == checkpoint.root
    assert signature.startswith(f"\u2014 {origin} ")
    assert key.open(note) == checkpoint
    assert " " not in origin
    assert "+" not in origin
    with pytest.raises(UnknownKeyError):
        another.open(note)
    with pytest.raises(NoteError):
        key.open(key.sign(Checkpoint("another/log", 3, checkpoint.root)))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda note: note.replace("\n3\n", "\n4\n"),
        lambda note: note.replace("\n\n", "\n"),
        lambda note: note.removesuffix("\n"),
        lambda note: note.replace("\u2014", "-"),
        lambda note: note[:-20],
        lambda note: "",
        lambda note: "\n\n" * 10_000,
    ],
)
def test_a_note_that_was_changed_anywhere_is_none(spoil: Callable[[str], str]) -> None:
    key = LogKey(bytes(32))
    with pytest.raises(NoteError):
        key.open(spoil(key.sign(key.checkpoint(3, bytes(32)))))


@pytest.mark.parametrize(
    "text",
    ["a\n1\n", "a\n01\n{r}\n", "a\n-1\n{r}\n", "a\n١\n{r}\n", "\n1\n{r}\n", "a\n1\nAA==\n", "a\n1\n{r}\nmore\n"],
)
def test_what_is_no_checkpoint_is_not_read_as_one(text: str) -> None:
    with pytest.raises(NoteError):
        parse_checkpoint(text.format(r=base64.b64encode(bytes(32)).decode()))


# --- the file that several processes share ------------------------------------------------------------------


def test_of_several_processes_checkpoints_the_largest_stays(tmp_path: Path) -> None:
    key = LogKey(bytes(32))
    files = [CheckpointFile(tmp_path, key) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: files[n % 4].advance(key.checkpoint(n * 37 % 101, bytes([n] * 32))), range(101)))
    last = files[0].read()
    assert last is not None
    assert last.size == 100
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, f"{CHECKPOINT}.lock"}


def test_a_checkpoint_of_another_master_key_is_refused_and_not_replaced(tmp_path: Path) -> None:
    CheckpointFile(tmp_path, LogKey(bytes(32))).advance(LogKey(bytes(32)).checkpoint(1, bytes(32)))
    before = (tmp_path / CHECKPOINT).read_bytes()
    other = CheckpointFile(tmp_path, LogKey(bytes([1] * 32)))
    with pytest.raises(ConfigurationError, match="log"):
        other.advance(other.key.checkpoint(9, bytes(32)))
    assert (tmp_path / CHECKPOINT).read_bytes() == before


# --- a log of either database -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A log that entries can be appended to."""

    database: Database
    writer: Writer
    stores: Stores
    settings: Settings

    async def append(self, count: int) -> None:
        async def write(connection: Any) -> None:
            for _ in range(count):
                facts = EntryFacts(kind=AccessKind.REFUSED, relying_party_id="bank", code="CONSENT_INVALID")
                await self.stores.log.append(connection, facts, person=None, at=datetime.now(UTC))

        await self.writer.write(write)

    async def leaves(self) -> list[bytes]:
        """By the entries themselves, not by the hashes that are kept beside them."""
        async with self.database.reading.connect() as connection:
            found = await connection.execute(audit_entry.select().order_by(audit_entry.c.sequence))
            return [sha256(b"\x00" + row.entry).digest() for row in found]

    async def change(self, statement: Any) -> None:
        await self.writer.write(lambda connection: connection.execute(statement))

    async def covered(self, size: int) -> None:
        """Wait until the checkpoint covers so many entries."""
        async with asyncio.timeout(30):
            path = self.settings.state / CHECKPOINT
            while not path.exists() or self.checkpoint().size < size:  # noqa: ASYNC110 - a file tells none
                await asyncio.sleep(CHECKPOINT_SECONDS / 10)

    async def tiled(self, count: int) -> None:
        """Wait until so many tiles are stored."""
        async with asyncio.timeout(30):
            while len(await self.tiles()) < count:  # noqa: ASYNC110 - nor does a table
                await asyncio.sleep(CHECKPOINT_SECONDS / 10)

    async def tiles(self) -> Sequence[Any]:
        async with self.database.reading.connect() as connection:
            return (await connection.execute(log_tile.select())).all()

    def checkpoint(self) -> Checkpoint:
        body = (self.settings.state / CHECKPOINT).read_text(encoding="utf-8")
        return LogKey(self.stores.envelope.derive("log key")).open(body)


@asynccontextmanager
async def kept(settings: Settings) -> AsyncIterator[Kept]:
    async with opened_stores(settings, lambda: datetime.now(UTC)) as (database, writer, stores):
        yield Kept(database, writer, stores, settings)


@pytest.fixture
def settings(fresh_database: FreshDatabase, tmp_path: Path) -> Settings:
    """A state directory on either database."""
    (tmp_path / "state").mkdir(mode=0o700)
    return quick_settings(tmp_path / "state", fresh_database())


async def no_start(settings: Settings) -> str:
    with pytest.raises(ConfigurationError) as refused:
        async with kept(settings):
            pass
    return refused.value.detail


async def test_a_checkpoint_covers_what_was_committed_soon_and_at_the_end_all(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(3)
        await log.covered(3)
        assert log.checkpoint().root == tree_hash(await log.leaves())
        await log.append(4)
        leaves = await log.leaves()
    assert (log.checkpoint().size, log.checkpoint().root) == (7, tree_hash(leaves))


async def test_a_thousand_entries_have_the_root_by_definition_with_and_without_tiles(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(1100)
        leaves = await log.leaves()
        await log.tiled(4)
    assert log.checkpoint().root == tree_hash(leaves)
    tree = await verify(settings)
    assert (tree.size, tree.root()) == (1100, tree_hash(leaves))
    async with kept(settings) as log:
        await log.change(delete(log_tile).where(log_tile.c.number == 1))  # as a version without tiles leaves it
        await log.append(1)
    async with kept(settings) as log:
        await log.tiled(4)
        assert log.checkpoint().root == tree_hash(await log.leaves())
    assert (await verify(settings)).size == 1101


async def test_a_start_reads_tiles_instead_of_their_entries(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(TILE_SIZE * 2)
        await log.tiled(2)
        tree, other = LogTree(), LogTree()
        await log.change(update(audit_entry).where(audit_entry.c.sequence == 5).values(leaf_hash=bytes(32)))
        async with log.database.snapshot() as connection:
            await tree.grow(connection)
        assert tree.root() == log.checkpoint().root
        await log.change(delete(log_tile))
        async with log.database.snapshot() as connection:
            await other.grow(connection)
        assert other.root() != tree.root()


async def test_a_longer_log_is_what_a_crash_leaves_and_starts(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(3)
    before = (settings.state / CHECKPOINT).read_bytes()
    async with kept(settings) as log:
        await log.append(300)
    (settings.state / CHECKPOINT).write_bytes(before)
    async with kept(settings) as log:
        pass
    assert log.checkpoint().size == 303


async def test_a_gateway_that_ends_while_it_reads_its_log_does_end(tmp_path: Path) -> None:
    settings = quick_settings(tmp_path / "state")
    async with asyncio.timeout(60):
        for number in range(60):
            async with kept(settings):
                await asyncio.sleep(number % 12 / 2000)


async def test_a_log_without_a_checkpoint_gets_one_and_a_line_says_that_it_had_none(settings: Settings) -> None:
    with capture_logs() as told:
        async with kept(settings) as log:
            await log.append(3)
        assert [line["event"] for line in told] == [], "an empty log has had none yet"
        (settings.state / CHECKPOINT).unlink()
        async with kept(settings):
            pass
    assert log.checkpoint().size == 3
    assert [(line["event"], line["log_level"]) for line in told] == [("checkpoint_missing", "error")]


async def test_a_log_is_not_called_verified_where_its_checkpoint_is_missing(settings: Settings) -> None:
    async with kept(settings):
        pass
    (settings.state / CHECKPOINT).unlink()
    assert (await verify(settings)).size == 0, "nothing can be missing where nothing was ever recorded"
    async with kept(settings) as log:
        await log.append(5)
    await _cut(settings, 3)
    with pytest.raises(NotVerifiedError, match=r"log: log\.checkpoint is missing"):
        await verify(settings)
    given = {"KYOSEI_DATABASE__URL": settings.gateway.database.url}
    status, said, _ = await kyosei("log", "verify", "--state", str(settings.state), environment=given)
    assert (status, said.startswith("NOT VERIFIED: log: log.checkpoint is missing")) == (1, True)


async def test_a_shorter_log_and_another_of_the_same_size_forbid_to_start(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(5)
    async with kept(settings) as log:
        await log.change(delete(audit_entry).where(audit_entry.c.sequence >= 3))
        await log.change(update(log_head).values(size=3))
    detail = await no_start(settings)
    assert detail.startswith("log: it was rolled back")
    assert "it has 3 entries, and its last checkpoint covers 5" in detail
    assert "kyosei log recover" in detail
    (settings.state / CHECKPOINT).unlink()
    async with kept(settings) as log:
        await log.append(2)
        other = log.checkpoint
    assert other().size == 5


async def test_another_log_that_has_grown_past_the_checkpoint_forbids_to_start_too(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(5)
    lost = (settings.state / CHECKPOINT).read_bytes()
    await _cut(settings, 3)
    async with kept(settings) as log:
        await log.append(300)
    (settings.state / CHECKPOINT).write_bytes(lost)
    assert "are not those" in await no_start(settings)


async def _cut(settings: Settings, size: int) -> None:
    """Roll the log back, and forget the checkpoint."""
    async with kept(settings) as log:
        await log.change(delete(audit_entry).where(audit_entry.c.sequence >= size))
        await log.change(update(log_head).values(size=size))
    (settings.state / CHECKPOINT).unlink()


async def test_a_log_that_is_rolled_back_while_the_gateway_runs_takes_no_more_entries(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(5)
        await log.covered(5)
        await log.change(delete(audit_entry).where(audit_entry.c.sequence >= 3))
        await log.change(update(log_head).values(size=3))
        await log.append(4)  # now it is as long as before
        await asyncio.wait_for(log.writer.broken.wait(), 30)
        with pytest.raises(RecordUnavailableError):
            await log.append(1)
    assert "are not those" in await no_start(settings)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (update(audit_entry).where(audit_entry.c.sequence == 2).values(entry=b"{}"), "entry 2 was changed"),
        (update(audit_entry).where(audit_entry.c.sequence == 2).values(kind="RELEASED"), "entry 2 was changed"),
        (update(audit_entry).where(audit_entry.c.sequence == 2).values(relying_party_id="x"), "entry 2 was changed"),
        (update(audit_entry).where(audit_entry.c.sequence == 2).values(leaf_hash=bytes(32)), "entry 2 was changed"),
        (delete(audit_entry).where(audit_entry.c.sequence == 2), "entry 2 is missing"),
        (update(audit_entry).where(audit_entry.c.sequence == 4).values(sequence=5), "entry 4 is missing"),
        (update(log_head).values(size=6), "head"),
        (delete(audit_entry).where(audit_entry.c.sequence == 4), "head"),
        (log_tile.insert().values(number=0, root=bytes(32)), "tile 0"),
    ],
    ids=["entry", "kind", "party", "leaf", "dropped", "moved", "head", "cut", "tile"],
)
async def test_verify_says_what_was_done_to_a_log(settings: Settings, statement: Any, says: str) -> None:
    async with kept(settings) as log:
        await log.append(5 if "tile" not in says else TILE_SIZE)
        if "tile" in says:
            await log.tiled(1)
            await log.change(delete(log_tile))
        await log.change(statement)
    with pytest.raises(ConfigurationError, match=says):
        await verify(settings)


async def test_an_entry_that_was_rewritten_with_its_hash_is_not_that_of_the_checkpoint(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(5)
    async with kept(settings) as log:
        async with log.database.reading.connect() as connection:
            row = (await connection.execute(audit_entry.select().where(audit_entry.c.sequence == 2))).one()
        entry = json.dumps(json.loads(row.entry) | {"engine": "9"}).encode()
        changed = update(audit_entry).where(audit_entry.c.sequence == 2)
        await log.change(changed.values(entry=entry, leaf_hash=leaf_hash(entry)))
    with pytest.raises(ConfigurationError, match="not those of its checkpoint"):
        await verify(settings)


# --- recovery -----------------------------------------------------------------------------------------------


async def test_an_operator_goes_on_from_an_older_log_on_record(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(5)
    lost = log.checkpoint()
    await _cut(settings, 3)
    (settings.state / CHECKPOINT).write_bytes(_key(log).sign(lost).encode())
    await no_start(settings)
    with capture_logs() as told:
        done = await recover(settings, reason="the disk died 障害", now=lambda: datetime.now(UTC))
    assert [(line["event"], line.get("action")) for line in told] == [("operator_acted", "log recover")]
    assert (done.lost, done.found.size) == (lost, 3)
    async with kept(settings) as log:
        async with log.database.reading.connect() as connection:
            row = (await connection.execute(audit_entry.select().where(audit_entry.c.sequence == 3))).one()
        assert row.kind == "LOG_RECOVERED"
        assert json.loads(row.entry)["recovery"] == {
            "reason": "the disk died 障害",
            "lost": {"size": 5, "root": lost.root.hex()},
            "found": {"size": 3, "root": tree_hash((await log.leaves())[:3]).hex()},
        }
        await log.append(1)
    assert log.checkpoint().size == 5
    assert (await verify(settings)).size == 5


def _key(log: Kept) -> LogKey:
    return LogKey(log.stores.envelope.derive("log key"))


async def test_there_is_nothing_to_recover_where_nothing_is_lost(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(5)
    with pytest.raises(ConfigurationError, match="nothing to recover"):
        await recover(settings, reason="why not", now=lambda: datetime.now(UTC))
    assert (await verify(settings)).size == 5


@pytest.mark.parametrize("reason", ["", "two\nlines", "x" * 301])
async def test_a_recovery_needs_a_reason_on_one_line(tmp_path: Path, reason: str) -> None:
    settings = quick_settings(tmp_path / "state")
    async with kept(settings):
        pass
    with pytest.raises(ConfigurationError, match="reason"):
        await recover(settings, reason=reason, now=lambda: datetime.now(UTC))


async def test_a_log_that_does_not_verify_is_not_gone_on_from(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(5)
        await log.covered(5)
        await log.change(delete(audit_entry).where(audit_entry.c.sequence == 2))
    with pytest.raises(ConfigurationError, match="entry 2 is missing"):
        await recover(settings, reason="a row is gone", now=lambda: datetime.now(UTC))


async def test_nobody_recovers_a_log_while_a_gateway_runs(settings: Settings) -> None:
    async with kept(settings) as log:
        await log.append(1)
        with pytest.raises(ConfigurationError, match="gateway"):
            await recover(settings, reason="now", now=lambda: datetime.now(UTC))


async def test_reading_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none yet"):
        open_existing(quick_settings(tmp_path / "state"))
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("files", "url", "why"),
    [
        ((), "postgresql+asyncpg://kyosei@127.0.0.1:1/kyosei", "database: it cannot be read"),
        ((), "sqlite+aiosqlite:////nowhere/kyosei.sqlite", "database: there is none yet"),
        (("no.backup",), "", "backup: there is no such file"),
    ],
)
async def test_a_log_that_cannot_be_looked_at_is_not_called_one_that_does_not_verify(
    tmp_path: Path, files: tuple[str, ...], url: str, why: str
) -> None:
    settings = settings_for(tmp_path / "state")
    async with open_operator(settings):
        pass
    given = ("log", "verify", *files, "--state", str(settings.state))
    status, said, errors = await kyosei(*given, environment={"KYOSEI_DATABASE__URL": url})
    assert (status, said) == (EX_CONFIG, "")
    assert errors.startswith(f"kyosei: the log could not be looked at: {why}")


async def test_after_a_rollback_no_consent_is_honoured_that_its_person_has_not_resumed(tmp_path: Path) -> None:
    """The whole story at the command line; the older file is put back under a stopped gateway."""
    settings = settings_for(tmp_path / "state")
    async with own_sandbox(settings) as caller:
        token, grant = await caller.consent("P01", "landlord", "TENANCY", DOCUMENT)
        revoked, ended = await caller.consent("P02", "landlord", "TENANCY", DOCUMENT)
        share = "mutation($g: ID!) { createShareCode(grant: $g) { code } }"
        assert "errors" not in await caller.as_person("P01", share, {"g": grant})
    database = settings.state / "kyosei.sqlite"
    shutil.copyfile(database, tmp_path / "older")
    async with own_sandbox(settings) as caller:
        await caller.revoke("P02", ended)
    shutil.copyfile(tmp_path / "older", database)
    older = rows(settings.state, "SELECT count(*) AS n FROM audit_entry")[0]["n"]

    state = ("--state", str(settings.state))
    status, _, said = await kyosei("serve", "--port", "0", *state)
    assert (status, said.splitlines()[0].startswith("kyosei: log: ")) == (EX_CONFIG, True)
    status, said, _ = await kyosei("log", "verify", *state)
    assert (status, said.startswith("NOT VERIFIED: log: ")) == (1, True)
    assert rows(settings.state, "SELECT count(*) AS n FROM audit_entry")[0]["n"] == older, "nothing was appended"
    status, said, _ = await kyosei("log", "recover", "--reason", "disk replaced", *state)
    assert (status, f"goes on from {older} entries" in said) == (0, True)
    status, said, _ = await kyosei("log", "verify", *state)
    assert (status, said.splitlines()[-1]) == (0, "VERIFIED")

    async with own_sandbox(settings) as caller:
        for one in (token, revoked):
            assert codes(await caller.as_party("landlord", DOCUMENT, {"consent": one})) == ["CONSENT_PAUSED"]
        resume = "mutation($id: ID!) { resumeConsent(grant: $id) { status } }"
        assert "errors" not in await caller.as_person("P01", resume, {"id": grant})
        assert codes(await caller.as_party("landlord", DOCUMENT, {"consent": token})) == []
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM share_code").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM used_once WHERE digest = 'all before'").fetchone() == (1,)
        events = connection.execute("SELECT kind FROM grant_event WHERE grant_id = ? ORDER BY number", [grant])
        assert [kind for (kind,) in events] == ["REQUESTED", "GRANTED", "PAUSED", "RESUMED"]
