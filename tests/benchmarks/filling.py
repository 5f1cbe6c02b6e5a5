"""Fills a new SQLite database with other people's consents, Answers and log entries, by the hundred thousand.

What is sealed in them is noise that nobody ever opens: they are here to be in the way.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.store.tables import microseconds

AT_ONCE = 50_000
NOISE_BYTES = 120
PARTY = "bench-homes"
_TABLES: dict[str, int] = {
    "person": 4, "consent_grant": 15, "consent_token": 3, "grant_event": 4, "answer": 8, "audit_entry": 8,
}  # fmt: skip
"""Each with its number of columns."""


def fill(database: Path, grants: int) -> None:
    """Put so many grants, each with its person, events, one Answer and one entry of the log, into a new database."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        for first in range(0, grants, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, grants))
            for table, rows in _rows(numbers, grants):
                places = ", ".join("?" * _TABLES[table])
                connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
            connection.commit()
        connection.execute("UPDATE log_head SET size = ?", (grants,))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _rows(numbers: range, grants: int) -> Iterator[tuple[str, list[tuple[Any, ...]]]]:
    """The rows of each table; their keys are spread evenly over all that there can be, as random ones are."""
    now = datetime.now(UTC)
    then, until = microseconds(now - timedelta(days=2)), microseconds(now + timedelta(days=20))
    noise, pack = os.urandom(NOISE_BYTES), "0" * 64
    keys = {number: f"{number * 16**32 // grants:032x}" for number in numbers}
    yield "person", [(f"F{key}", noise, noise, then) for key in keys.values()]
    yield (
        "consent_grant",
        [
            (
                key,
                f"F{key}",
                "bench-homes",
                "TENANCY",
                pack,
                noise,
                then,
                noise,
                then,
                until,
                3,
                "ONETIME",
                None,
                30,
                None,
            )
            for key in keys.values()
        ],
    )
    yield "consent_token", [(f"{key}{key}", key, then) for key in keys.values()]
    yield (
        "grant_event",
        [(key, number, kind, then) for key in keys.values() for number, kind in enumerate(("REQUESTED", "GRANTED"))],
    )
    yield "answer", [(f"A{key}", key, f"{key}{key}", 1, 1, until, then, noise) for key in keys.values()]
    yield (
        "audit_entry",
        [(number, then, "RELEASED", PARTY, f"F{key}", noise, os.urandom(32), noise) for number, key in keys.items()],
    )
