"""Enrolment at the counter: one person a card number, whoever else is enrolled at the same moment."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from gateway.identity.counter_record import changed_fields, is_somebody_else
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
class AnotherPerson:
    """The id's record has another name and another date of birth, and was not to become somebody else's."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """They are on record. `namesakes`: whose records have the same name and date of birth under another card.

    `corrected`: the fields of a record that was there and is another now.
    """

    namesakes: tuple[str, ...] = ()
    is_new: bool = False
    corrected: tuple[str, ...] = ()


Enrolment = Enrolled | CardTaken | ErasedBefore | AnotherPerson


@dataclass(frozen=True, slots=True)
class Counter:
    """Enrols people, or corrects their records, through the writer."""

    writer: Writer
    people: People
    alike: AlikePeople

    async def enrol(
        self, person_id: str, record: IdentityRecord, *, may_correct: bool = False, now: datetime
    ) -> Enrolment:
        """Enrol somebody, or correct their record. `may_correct`: even to another name and date of birth."""
        # their turn ends once it is written
        return await asyncio.shield(self._enrol(person_id, record, may_correct, now))

    async def _enrol(self, person_id: str, record: IdentityRecord, may_correct: bool, now: datetime) -> Enrolment:
        async with self.alike.found(record) as alike:

            async def write(connection: AsyncConnection) -> Enrolment:
                if await self.people.is_erased_in(connection, person_id):
                    return ErasedBefore()
                there = await still_there(connection, alike)
                others = {one: holds for one, holds in there.items() if one != person_id}
                if any(holds.is_card for holds in others.values()):
                    return CardTaken()
                known = await self.people.find_in(connection, person_id)
                if known is not None and not may_correct and is_somebody_else(known.identity, record):
                    return AnotherPerson()
                await self.people.enrol_in(connection, person_id, record, now)
                corrected = () if known is None else changed_fields(known.identity, record)
                return Enrolled(tuple(sorted(others)), is_new=known is None, corrected=corrected)

            return (await self.writer.write(write)).outcome
