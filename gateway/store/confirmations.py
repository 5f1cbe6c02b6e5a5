"""Confirmations: the probable records that a person says are theirs, sealed under their key beside their identity."""

from collections.abc import Callable
from datetime import datetime

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import SourceAuthority
from gateway.audit.entry import EntryFacts
from gateway.identity.subject import Person
from gateway.store.envelope import Envelope
from gateway.store.log import AuditLog
from gateway.store.people import People, confirmations_place, read_confirmations
from gateway.store.tables import person as people
from gateway.store.writer import Writer
from resolvers.record_confirmation import ConfirmedRecord
from resolvers.worker import AccessKind

Confirmed = tuple[ConfirmedRecord, ...]


class Confirmations:
    """Records and withdraws confirmations through the writer. Either unfreezes what was answered before."""

    def __init__(self, writer: Writer, envelope: Envelope, log: AuditLog) -> None:
        self._writer = writer
        self._envelope = envelope
        self._log = log

    async def confirm(self, person: Person, confirmation: ConfirmedRecord) -> bool:
        """Record a confirmation, instead of an earlier one of the same source; False if the person was erased."""
        source = confirmation.source

        def changed(known: Confirmed) -> Confirmed:
            return (*(one for one in known if one.source is not source), confirmation)

        return await self._change(
            person, changed, kind=AccessKind.RECORD_CONFIRMED, source=source, now=confirmation.confirmed_at
        )

    async def withdraw(self, person: Person, source: SourceAuthority, *, now: datetime) -> bool:
        """Take a confirmation back; False if there is none of this source."""

        def changed(known: Confirmed) -> Confirmed:
            return tuple(one for one in known if one.source is not source)

        return await self._change(person, changed, kind=AccessKind.RECORD_DISOWNED, source=source, now=now)

    async def _change(
        self,
        person: Person,
        changed: Callable[[Confirmed], Confirmed],
        *,
        kind: AccessKind,
        source: SourceAuthority,
        now: datetime,
    ) -> bool:
        own = people.c.id == person.id
        place = confirmations_place(person.id)

        async def write(connection: AsyncConnection) -> bool:
            kept = select(people.c.confirmations_sealed).where(own).with_for_update()
            row = (await connection.execute(kept)).first()
            known = read_confirmations(person.id, person.key, row.confirmations_sealed) if row else ()
            if row is None or changed(known) == known:
                return False
            sealed = self._envelope.seal(person.key, msgspec.json.encode(changed(known)), place=place)
            await connection.execute(update(people).where(own).values(confirmations_sealed=sealed))
            await People.unfreeze(connection, person.id, now)
            facts = EntryFacts(kind=kind, person_id=person.id, about=source.value)
            await self._log.append(connection, facts, person=person, at=now)
            return True

        return (await self._writer.write(write)).outcome
