"""Whose record holds what another record holds.

Names and card numbers are kept sealed alone, so every record is opened. Where there are many that takes long: it is
done before the transaction that relies on it, and one person at a time is enrolled or corrected.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from enum import Enum, auto

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from connectors.japan import card_number
from gateway.admission import away
from gateway.errors import OverloadedError
from gateway.identity.provider import is_same_person
from gateway.store.database import Database
from gateway.store.people import HAS_DISPUTES, People
from gateway.store.statement import driver_of
from gateway.store.tables import person

OPENED_AT_ONCE = 50
"""After so many, others have their turn."""

MAX_WAITING = 8
"""So many at most wait for their turn in one process. Who makes others look, again and again, keeps nobody else."""

TURN_SECONDS = 60.0
"""So long at most one process waits until those of others are enrolled: a look at a million records takes less."""

_TAKE_TURN = "SELECT pg_advisory_lock(7310921)"
"""The number is this product's own."""


class Holds(Enum):
    """What a person's record holds beside another: its card number, the same name and date of birth, or both."""

    NAME_ALONE = auto()
    CARD_ALONE = auto()
    BOTH = auto()

    @property
    def is_card(self) -> bool:
        return self in (Holds.CARD_ALONE, Holds.BOTH)


Alike = Mapping[str, Holds]
"""Whose records hold anything of another, and what."""


class AlikePeople:
    """Finds whose records are like another."""

    def __init__(self, database: Database, people: People) -> None:
        self._database = database
        self._people = people
        self._turn = asyncio.Lock()
        self._waiting = 0

    @asynccontextmanager
    async def found(self, record: IdentityRecord) -> AsyncIterator[Alike]:
        """Whose records are like this one; while the context lasts, nobody else is enrolled or corrected.

        Somebody may be erased meanwhile. Raises OverloadedError where too many wait, or others take too long.
        """
        if self._waiting >= MAX_WAITING:
            raise OverloadedError("others are enrolled; try again")
        async with AsyncExitStack() as turns:
            self._waiting += 1
            try:
                with away():
                    await turns.enter_async_context(self._turn)
                    await turns.enter_async_context(self._turn_of_processes())
                    async with self._database.snapshot() as connection:
                        alike = await self._look(connection, record)
            finally:
                self._waiting -= 1
            yield alike

    def _turn_of_processes(self) -> AbstractAsyncContextManager[None]:
        """SQLite has no other process."""
        return nullcontext() if self._database.is_sqlite else self._turn_on_postgresql()

    @asynccontextmanager
    async def _turn_on_postgresql(self) -> AsyncIterator[None]:
        async with self._database.scanning.connect() as connection:
            try:
                try:
                    await driver_of(connection).execute(_TAKE_TURN, timeout=TURN_SECONDS)
                except TimeoutError as error:
                    raise OverloadedError("others are enrolled; try again") from error
                yield
            finally:
                await connection.invalidate()  # with it goes the turn, whatever became of ours

    async def _look(self, connection: AsyncConnection, record: IdentityRecord) -> Alike:
        alike: dict[str, Holds] = {}
        everybody = select(person, HAS_DISPUTES.label("has_disputes")).order_by(person.c.id).limit(OPENED_AT_ONCE)
        rows = (await connection.execute(everybody)).all()
        while rows:
            for row in rows:
                if holds := _holds(self._people.read(row.id, row).identity, record):
                    alike[row.id] = holds
            await asyncio.sleep(0)
            rows = (await connection.execute(everybody.where(person.c.id > rows[-1].id))).all()
        return alike


async def still_there(connection: AsyncConnection, alike: Alike) -> Alike:
    """Those of them who were not erased since."""
    there = select(person.c.id).where(person.c.id.in_(list(alike)))
    return {person_id: alike[person_id] for person_id in (await connection.execute(there)).scalars()}


def _holds(known: IdentityRecord, record: IdentityRecord) -> Holds | None:
    is_card = card_number(known.residence_card_number) == card_number(record.residence_card_number)
    if is_same_person(known, record):
        return Holds.BOTH if is_card else Holds.NAME_ALONE
    return Holds.CARD_ALONE if is_card else None
