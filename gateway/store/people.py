"""People: their wrapped keys and their sealed identity records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from connectors.interface import IdentityRecord
from gateway.store.envelope import Envelope
from gateway.store.tables import person
from gateway.store.writer import Writer

_IDENTITY = TypeAdapter(IdentityRecord)


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A person with the key that their facts are sealed under."""

    id: str
    key: bytes
    identity: IdentityRecord

    def __repr__(self) -> str:
        return f"Person({self.id}, redacted)"


class People:
    """Reads people; enrols them through the writer."""

    def __init__(self, reading: AsyncEngine, writer: Writer, envelope: Envelope) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope

    async def find(self, person_id: str) -> Person | None:
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(person).where(person.c.id == person_id))).first()
        if row is None:
            return None
        key = self._envelope.unwrap(row.wrapped_key, person_id)
        body = self._envelope.open(key, row.identity_sealed, place=f"person/{person_id}/identity")
        return Person(person_id, key, _IDENTITY.validate_json(body))

    async def enrol(self, identities: Mapping[str, IdentityRecord], *, now: datetime) -> None:
        """Enrol people, or correct the identity records of those already enrolled."""

        async def write(connection: AsyncConnection) -> None:
            for person_id, identity in identities.items():
                await self._enrol_one(connection, person_id, identity, now)

        await self._writer.write(write)

    async def _enrol_one(
        self, connection: AsyncConnection, person_id: str, identity: IdentityRecord, now: datetime
    ) -> None:
        found = select(person.c.wrapped_key).where(person.c.id == person_id)
        wrapped = (await connection.execute(found)).scalar_one_or_none()
        is_new = wrapped is None
        wrapped = wrapped or self._envelope.new_person_key(person_id)
        key = self._envelope.unwrap(wrapped, person_id)
        place = f"person/{person_id}/identity"
        sealed = self._envelope.seal(key, _IDENTITY.dump_json(identity), place=place)
        if is_new:
            values = {"id": person_id, "wrapped_key": wrapped, "identity_sealed": sealed, "updated_at": now}
            await connection.execute(insert(person).values(values))
        else:
            corrected = update(person).where(person.c.id == person_id)
            await connection.execute(corrected.values(identity_sealed=sealed, updated_at=now))
