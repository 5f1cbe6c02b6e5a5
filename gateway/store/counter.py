"""Enrolment at the counter: one person a card number, whoever else is enrolled at the same moment."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from gateway.store.alike import Holds, Seen, look
from gateway.store.database import Database
from gateway.store.people import People
from gateway.store.writer import Writer


@dataclass(frozen=True, slots=True)
class CardTaken:
    """The card's number is on record for another person's id."""


@dataclass(frozen=True, slots=True)
class ErasedBefore:
    """Somebody of this id was erased."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """They are on record. `namesakes`: whose records have the same name and date of birth under another card."""

    namesakes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counter:
    """Enrols people, or corrects their records, through the writer."""

    database: Database
    writer: Writer
    people: People

    async def enrol(
        self, person_id: str, record: IdentityRecord, *, now: datetime
    ) -> Enrolled | CardTaken | ErasedBefore:
        """Enrol somebody, or correct their record."""
        seen: Seen = {}
        async with self.database.snapshot() as connection:
            await look(connection, self.people, record, seen)

        async def write(connection: AsyncConnection) -> Enrolled | CardTaken | ErasedBefore:
            if await self.people.is_erased_in(connection, person_id):
                return ErasedBefore()
            others = await look(connection, self.people, record, dict(seen))
            others.pop(person_id, None)
            if any(holds.is_card for holds in others.values()):
                return CardTaken()
            await self.people.enrol_in(connection, person_id, record, now)
            return Enrolled(tuple(sorted(one for one, holds in others.items() if holds is Holds.NAME_ALONE)))

        return (await self.writer.write(write)).outcome
