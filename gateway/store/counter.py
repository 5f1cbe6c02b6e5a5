"""Enrolment at the counter: one person a card number, whoever else is enrolled at the same moment."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from gateway.store.alike import AlikePeople, still_there
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

    writer: Writer
    people: People
    alike: AlikePeople

    async def enrol(
        self, person_id: str, record: IdentityRecord, *, now: datetime
    ) -> Enrolled | CardTaken | ErasedBefore:
        """Enrol somebody, or correct their record."""
        return await asyncio.shield(self._enrol(person_id, record, now))  # their turn ends once it is written

    async def _enrol(
        self, person_id: str, record: IdentityRecord, now: datetime
    ) -> Enrolled | CardTaken | ErasedBefore:
        async with self.alike.found(record) as alike:

            async def write(connection: AsyncConnection) -> Enrolled | CardTaken | ErasedBefore:
                if await self.people.is_erased_in(connection, person_id):
                    return ErasedBefore()
                there = await still_there(connection, alike)
                others = {one: holds for one, holds in there.items() if one != person_id}
                if any(holds.is_card for holds in others.values()):
                    return CardTaken()
                await self.people.enrol_in(connection, person_id, record, now)
                return Enrolled(tuple(sorted(others)))

            return (await self.writer.write(write)).outcome
