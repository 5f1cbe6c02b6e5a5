"""The file of a backup: a SQLite database with this schema, and one row that seals all the others.

The row holds the log's checkpoint, and an HMAC over the schema and every row under a key derived from the master key.
So a file that was damaged, or into which somebody put a passkey of their own, is refused.
"""

import hashlib
import hmac
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from gateway.audit.checkpoint import Checkpoint, NoteError, UnknownKeyError
from gateway.errors import ConfigurationError, NotVerifiedError
from gateway.store.checkpoint_file import log_key
from gateway.store.envelope import Envelope
from gateway.store.tables import microseconds

_CREATE = "CREATE TABLE backup (made_at INTEGER NOT NULL, checkpoint TEXT NOT NULL, mac BLOB)"
_ANOTHER_KEY = "backup: it was made under another master key than keys/master.key of the state directory"
_DAMAGED = "backup: it is damaged, or was changed after it was made"


@dataclass(frozen=True, slots=True)
class Seal:
    """What a backup says of itself. `version`: of its schema."""

    checkpoint: Checkpoint
    version: str


def seal_backup(path: Path, envelope: Envelope, checkpoint: Checkpoint, *, made_at: datetime) -> None:
    """Seal what was written to a file, which is not changed any more afterwards."""
    note = log_key(envelope).sign(checkpoint)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_CREATE)
        connection.execute("INSERT INTO backup VALUES (?, ?, NULL)", (microseconds(made_at), note))
        connection.execute("UPDATE backup SET mac = ?", (_mac(connection, envelope),))


def open_seal(path: Path, envelope: Envelope) -> Seal:
    """Check a backup as a file: it is whole, and made under this master key. Raises ConfigurationError, and
    NotVerifiedError for one that was changed."""
    try:
        with _reading(path) as connection:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                raise NotVerifiedError(_DAMAGED)
            ((note, mac),) = connection.execute("SELECT checkpoint, mac FROM backup").fetchall()
            checkpoint = log_key(envelope).open(str(note))
            if not isinstance(mac, bytes) or not hmac.compare_digest(mac, _mac(connection, envelope)):
                raise NotVerifiedError(_DAMAGED)
            ((version,),) = connection.execute("SELECT version_num FROM alembic_version").fetchall()
            return Seal(checkpoint, str(version))
    except UnknownKeyError:
        raise ConfigurationError(_ANOTHER_KEY) from None
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            raise ConfigurationError("backup: the file is none") from None
        raise NotVerifiedError(_DAMAGED) from None
    except (NoteError, sqlite3.DatabaseError, ValueError):
        raise NotVerifiedError(_DAMAGED) from None


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Raises ConfigurationError if there is no such file."""
    if not path.is_file():
        raise ConfigurationError("backup: there is no such file")
    with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA trusted_schema=OFF")
        yield connection


def _mac(connection: sqlite3.Connection, envelope: Envelope) -> bytes:
    """Over the schema, then every row of every table in the order in which it lies there.

    The ASCII text of a row of numbers, texts and bytes is one-to-one, and the same in every version of Python.
    """
    mac = hmac.new(envelope.derive("backup"), digestmod=hashlib.sha256)
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name").fetchall()
    mac.update(ascii(schema).encode())
    for kind, name, _, _ in schema:
        if kind != "table" or name == "backup" or name.startswith("sqlite_"):
            continue
        mac.update(f"\n{name}\n".encode())
        for row in connection.execute(f'SELECT * FROM "{name}" ORDER BY rowid'):  # noqa: S608 - from the schema
            mac.update(ascii(row).encode())
    mac.update(ascii(connection.execute("SELECT made_at, checkpoint FROM backup").fetchall()).encode())
    return mac.digest()
