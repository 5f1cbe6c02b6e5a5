"""What is in a state directory, read beside the gateway with the state directory's own keys."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from gateway.store.database import migrate, sqlite_url
from gateway.store.envelope import Envelope, read_master_key
from gateway.store.tables import metadata

DATABASE = "kyosei.sqlite"


@dataclass(frozen=True, slots=True)
class Entry:
    """An audit entry with what its person can read of it; `detail` None for one without a person."""

    sequence: int
    kind: str
    entry: dict[str, Any]
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Record:
    """A database, and the key of each person in it."""

    connection: sqlite3.Connection
    keys: dict[str, bytes]

    def rows(self, query: str) -> list[sqlite3.Row]:
        return self.connection.execute(query).fetchall()

    def open(self, person_id: str, sealed: bytes, place: str) -> bytes:
        """What is sealed under a person's key."""
        return Envelope.open(self.keys[person_id], sealed, place=place)

    def check_whole(self) -> None:
        """The database is sound, the log is gapless, and every leaf is its entry's hash. AssertionError if not."""
        assert [tuple(row) for row in self.rows("PRAGMA integrity_check")] == [("ok",)]
        assert self.rows("PRAGMA foreign_key_check") == []
        rows = self.rows("SELECT * FROM audit_entry ORDER BY sequence")
        assert [row["sequence"] for row in rows] == list(range(len(rows)))
        assert self.rows("SELECT size FROM log_head")[0]["size"] == len(rows)
        for row in rows:
            assert hashlib.sha256(b"\x00" + row["entry"]).digest() == row["leaf_hash"]
            entry = orjson.loads(row["entry"])
            assert (entry["sequence"], entry["kind"]) == (row["sequence"], row["kind"])

    def entries(self) -> list[Entry]:
        """The whole log in its order, opened."""
        return [
            Entry(row["sequence"], row["kind"], orjson.loads(row["entry"]), self._detail(row))
            for row in self.rows("SELECT * FROM audit_entry ORDER BY sequence")
        ]

    def _detail(self, row: sqlite3.Row) -> dict[str, Any] | None:
        if row["person_id"] is None:
            return None
        place = f"audit_entry/{row['sequence']}/detail"
        detail: dict[str, Any] = orjson.loads(self.open(row["person_id"], row["detail_sealed"], place))
        return detail

    def answers(self) -> dict[str, bytes]:
        """Every Answer's record, opened, by its id."""
        query = (
            "SELECT a.id, a.grant_id, a.questions_digest, a.body_sealed, g.person_id "
            "FROM answer a JOIN consent_grant g ON g.id = a.grant_id"
        )
        return {
            row["id"]: self.open(
                row["person_id"],
                row["body_sealed"],
                f"answer/{row['id']}/{row['grant_id']}/{row['questions_digest']}/body",
            )
            for row in self.rows(query)
        }


@contextmanager
def opened_record(state: Path) -> Iterator[Record]:
    """Read a state directory; nothing of it is written."""
    envelope = Envelope(read_master_key(state / "keys" / "master.key", may_make=False))
    with closing(sqlite3.connect(f"file:{state / DATABASE}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        people = connection.execute("SELECT id, wrapped_key FROM person").fetchall()
        yield Record(connection, {row["id"]: envelope.unwrap(row["wrapped_key"], row["id"]) for row in people})


async def copied_to_sqlite(url: str, state: Path) -> None:
    """Copy a PostgreSQL database into a state directory, to be read there like any other."""
    copy = sqlite_url(state / DATABASE)
    await migrate(copy)
    source, target = create_async_engine(url, poolclass=NullPool), create_async_engine(copy, poolclass=NullPool)
    async with source.connect() as reading, target.begin() as writing:
        for table in metadata.sorted_tables:
            await writing.execute(table.delete())
            rows = [dict(row) for row in (await reading.execute(table.select())).mappings()]
            if rows:
                await writing.execute(table.insert(), rows)
    await source.dispose()
    await target.dispose()
