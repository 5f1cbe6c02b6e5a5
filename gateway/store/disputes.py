"""Disputes: opened and closed by the person, sealed under their key."""

import dataclasses
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import SourceAuthority
from gateway.audit.entry import EntryFacts
from gateway.consent.dispute import Dispute
from gateway.identity.subject import Person
from gateway.store.envelope import Envelope
from gateway.store.log import AuditLog
from gateway.store.lookups import Lookups
from gateway.store.people import People
from gateway.store.statement import Statement
from gateway.store.tables import dispute as disputes
from gateway.store.writer import Writer
from resolvers.consent import DisputeOutcome
from resolvers.worker import AccessKind

_OF_PERSON = Statement(
    select(disputes).where(disputes.c.person_id == bindparam("person_id")).order_by(disputes.c.opened_at.desc())
)


class Disputes:
    """Reads disputes; opens and closes them through the writer. Either unfreezes what was answered before."""

    def __init__(self, reading: Lookups, *, writer: Writer, envelope: Envelope, log: AuditLog) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope
        self._log = log

    async def of_person(self, person: Person) -> list[Dispute]:
        """The person's disputes, newest first."""
        async with self._reading.connect() as connection:
            rows = await _OF_PERSON.all(connection, person_id=person.id)
        return [self._read(row, person) for row in rows]

    async def open(self, dispute: Dispute, person: Person) -> None:
        """Record a dispute; from now on its claims are withheld."""
        row = {"id": dispute.id, "person_id": person.id, "opened_at": dispute.opened_at}

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(insert(disputes).values(row | {"body_sealed": self._seal(dispute, person)}))
            await People.unfreeze(connection, person.id, dispute.opened_at)
            await self._log.append(
                connection, _facts(AccessKind.DISPUTE_OPENED, dispute, person), person=person, at=dispute.opened_at
            )

        await self._writer.write(write)

    async def close(
        self,
        dispute: Dispute,
        person: Person,
        *,
        outcome: DisputeOutcome,
        corrected_by: SourceAuthority | None,
        now: datetime,
    ) -> bool:
        """Close an open dispute; False if it is not open any more."""
        closed = dataclasses.replace(dispute, closed_at=now, outcome=outcome, corrected_by=corrected_by)
        still_open = (disputes.c.id == dispute.id) & disputes.c.closed_at.is_(None)

        async def write(connection: AsyncConnection) -> bool:
            values = {"closed_at": now, "body_sealed": self._seal(closed, person)}
            if (await connection.execute(update(disputes).where(still_open).values(values))).rowcount == 0:
                return False
            await People.unfreeze(connection, person.id, now)
            await self._log.append(
                connection, _facts(AccessKind.DISPUTE_CLOSED, closed, person), person=person, at=now
            )
            return True

        return (await self._writer.write(write)).outcome

    def _seal(self, dispute: Dispute, person: Person) -> bytes:
        body = orjson.dumps(
            {
                "claim": dispute.claim,
                "record": dispute.record,
                "statement": dispute.statement,
                "outcome": dispute.outcome,
                "correctedBy": dispute.corrected_by,
            }
        )
        return self._envelope.seal(person.key, body, place=f"dispute/{dispute.id}/body")

    def _read(self, row: Any, person: Person) -> Dispute:
        body = orjson.loads(self._envelope.open(person.key, row.body_sealed, place=f"dispute/{row.id}/body"))
        return Dispute(
            id=row.id,
            claim=body["claim"],
            record=SourceAuthority(body["record"]) if body["record"] else None,
            statement=body["statement"],
            opened_at=row.opened_at,
            closed_at=row.closed_at,
            outcome=DisputeOutcome(body["outcome"]) if body["outcome"] else None,
            corrected_by=SourceAuthority(body["correctedBy"]) if body["correctedBy"] else None,
        )


def _facts(kind: AccessKind, dispute: Dispute, person: Person) -> EntryFacts:
    """What the entry is about: the claim or record, and who corrected it; never the statement."""
    about = dispute.claim or (dispute.record.value if dispute.record else "")
    if dispute.outcome is not None:
        about = f"{about} {dispute.outcome.value} {dispute.corrected_by or ''}".strip()
    return EntryFacts(kind=kind, person_id=person.id, about=about)
