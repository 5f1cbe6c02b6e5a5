"""People: their wrapped keys and their sealed identity records."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from gateway.audit.entry import EntryFacts
from gateway.identity.subject import Person
from gateway.store.envelope import Envelope
from gateway.store.log import AuditLog
from gateway.store.lookups import Lookups
from gateway.store.statement import Statement
from gateway.store.tables import answer, consent_grant, dispute, erased_person, person, settled_comparison
from gateway.store.writer import Writer
from resolvers.record_confirmation import ConfirmedRecord
from resolvers.worker import AccessKind

_IDENTITY = msgspec.json.Decoder(IdentityRecord)
_CONFIRMATIONS = msgspec.json.Decoder(tuple[ConfirmedRecord, ...])
HAS_DISPUTES = select(dispute.c.id).where(dispute.c.person_id == person.c.id).exists()
_PERSON = Statement(select(person, HAS_DISPUTES.label("has_disputes")).where(person.c.id == bindparam("person_id")))


class People:
    """Reads people; enrols them through the writer."""

    def __init__(self, reading: Lookups, writer: Writer, envelope: Envelope, log: AuditLog) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope
        self._log = log

    async def find(self, person_id: str) -> Person | None:
        async with self._reading.connect() as connection:
            return await self.find_in(connection, person_id)

    async def find_in(self, connection: AsyncConnection, person_id: str) -> Person | None:
        """The person, as this connection's transaction sees them."""
        row = await _PERSON.first(connection, person_id=person_id)
        return None if row is None else self.read(person_id, row)

    def read(self, person_id: str, row: Any) -> Person:
        """The value type of a row with a person's columns and `has_disputes`. Raises ValueError for what does not
        verify."""
        key = self._envelope.unwrap(row.wrapped_key, person_id)
        body = self._envelope.open(key, row.identity_sealed, place=f"person/{person_id}/identity")
        confirmations = read_confirmations(person_id, key, row.confirmations_sealed)
        return Person(person_id, key, _IDENTITY.decode(body), row.updated_at, row.has_disputes, confirmations)

    async def enrol(self, identities: Mapping[str, IdentityRecord], *, now: datetime) -> None:
        """Enrol people, or correct the identity records of those already enrolled. Who was erased stays so."""

        async def write(connection: AsyncConnection) -> None:
            for person_id, identity in identities.items():
                if not await self.is_erased_in(connection, person_id):
                    await self.enrol_in(connection, person_id, identity, now)

        await self._writer.write(write)

    async def all(self) -> list[Person]:
        """Everybody who is enrolled, by id."""
        async with self._reading.connect() as connection:
            ids = (await connection.execute(select(person.c.id).order_by(person.c.id))).scalars().all()
            found = [await self.find_in(connection, person_id) for person_id in ids]
        return [one for one in found if one is not None]

    async def is_erased(self, person_id: str) -> bool:
        async with self._reading.connect() as connection:
            return await self.is_erased_in(connection, person_id)

    async def is_erased_in(self, connection: AsyncConnection, person_id: str) -> bool:
        """Whether somebody of this id was erased: it is nobody's again."""
        erased = select(erased_person.c.at).where(erased_person.c.digest == self.digest(person_id))
        return (await connection.execute(erased)).first() is not None

    async def enrol_in(
        self, connection: AsyncConnection, person_id: str, identity: IdentityRecord, now: datetime
    ) -> None:
        """Enrol one person, or correct their record, within the caller's transaction."""
        row = (await connection.execute(select(person).where(person.c.id == person_id))).first()
        wrapped = self._envelope.new_person_key(person_id) if row is None else row.wrapped_key
        key = self._envelope.unwrap(wrapped, person_id)
        place = f"person/{person_id}/identity"
        if row is not None and self._known_identity(key, row.identity_sealed, place) == identity:
            return
        sealed = self._envelope.seal(key, msgspec.json.encode(identity), place=place)
        if row is None:
            values = {"id": person_id, "wrapped_key": wrapped, "identity_sealed": sealed, "updated_at": now}
            await connection.execute(insert(person).values(values))
            return
        corrected = update(person).where(person.c.id == person_id)
        await connection.execute(corrected.values(identity_sealed=sealed))
        await self.unfreeze(connection, person_id, now)
        facts = EntryFacts(kind=AccessKind.IDENTITY_CORRECTED, person_id=person_id)
        await self._log.append(connection, facts, person=Person(person_id, key, identity, now), at=now)

    def _known_identity(self, key: bytes, sealed: bytes, place: str) -> IdentityRecord | None:
        """The identity record that is kept; None if it does not verify: then the right one replaces it."""
        try:
            return _IDENTITY.decode(self._envelope.open(key, sealed, place=place))
        except (ValueError, msgspec.MsgspecError):
            return None

    @staticmethod
    async def unfreeze(connection: AsyncConnection, person_id: str, now: datetime) -> None:
        """Let nothing that was answered or gathered until now be used again, whichever clock stamped it."""
        grants = select(consent_grant.c.id).where(consent_grant.c.person_id == person_id)
        stamps = (
            select(person.c.updated_at).where(person.c.id == person_id),
            select(func.max(answer.c.recorded_at)).where(answer.c.grant_id.in_(grants)),
            select(func.max(settled_comparison.c.settled_at)).where(settled_comparison.c.grant_id.in_(grants)),
        )
        latest = [(await connection.execute(stamp)).scalar_one_or_none() for stamp in stamps]
        at = max([now, *(stamp + timedelta(microseconds=1) for stamp in latest if stamp is not None)])
        await connection.execute(update(person).where(person.c.id == person_id).values(updated_at=at))

    def digest(self, person_id: str) -> str:
        """What is kept of somebody who was erased."""
        return self._envelope.digest("erased", person_id)


def confirmations_place(person_id: str) -> str:
    """Where a person's confirmations are sealed for."""
    return f"person/{person_id}/confirmations"


def read_confirmations(person_id: str, key: bytes, sealed: bytes | None) -> tuple[ConfirmedRecord, ...]:
    """The probable records that a person says are theirs. Raises ValueError for what does not verify."""
    if sealed is None:
        return ()
    return _CONFIRMATIONS.decode(Envelope.open(key, sealed, place=confirmations_place(person_id)))
