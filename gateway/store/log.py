"""The audit log's rows: appended in the transaction that they tell of."""

import os
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.commitment import SALT_BYTES
from gateway.audit.entry import AuditEntry, EntryFacts, make_entry
from gateway.audit.merkle import leaf_hash
from gateway.identity.subject import Person
from gateway.store.batch import Batch
from gateway.store.envelope import Envelope
from gateway.store.lookups import Lookups
from gateway.store.statement import Statement
from gateway.store.tables import audit_entry, log_head
from resolvers.worker import AccessKind

_GROW = Statement(update(log_head).values(size=log_head.c.size + 1).returning(log_head.c.size))
_RESIZE = Statement(update(log_head).values(size=bindparam("size")))
_COLUMNS = ["sequence", "at", "kind", "relying_party_id", "person_id", "entry", "leaf_hash", "detail_sealed"]
_APPEND = Statement(insert(audit_entry), _COLUMNS)


@dataclass(frozen=True, slots=True, repr=False)
class LoggedAccess:
    """An entry with what the person may read of it."""

    sequence: int
    at: datetime
    kind: AccessKind
    relying_party_id: str
    detail: dict[str, Any]


class AuditLog:
    """Appends entries and reads a person's own."""

    def __init__(self, reading: Lookups, envelope: Envelope, *, engine_version: str) -> None:
        self._reading = reading
        self._envelope = envelope
        self._engine_version = engine_version

    async def append(
        self, connection: AsyncConnection, facts: EntryFacts, *, person: Person | None, at: datetime
    ) -> AuditEntry:
        """Number the entry and add it. The salt is kept for the person alone; without one it is gone."""
        batch = Batch(connection)
        entry = await self.append_in(batch, facts, person=person, at=at)
        await batch.write()
        return entry

    async def append_in(self, batch: Batch, facts: EntryFacts, *, person: Person | None, at: datetime) -> AuditEntry:
        """The same, to be written with the batch's other rows: no statement sees the entry until then."""
        if batch.log_size is None:
            batch.log_size = (await _GROW.all(batch.connection))[0].size
        else:
            batch.log_size += 1
            batch.put(_RESIZE, size=batch.log_size)
        sequence, salt = batch.log_size - 1, os.urandom(SALT_BYTES)
        entry = make_entry(facts, sequence=sequence, at=at, salt=salt, engine_version=self._engine_version)
        body = entry.to_bytes()
        batch.add(
            _APPEND,
            sequence=sequence,
            at=at,
            kind=facts.kind.value,
            relying_party_id=facts.relying_party_id,
            person_id=person.id if person else None,
            entry=body,
            leaf_hash=leaf_hash(body),
            detail_sealed=self._seal_detail(facts, salt, sequence, person),
        )
        return entry

    def _seal_detail(self, facts: EntryFacts, salt: bytes, sequence: int, person: Person | None) -> bytes | None:
        if person is None:
            return None
        body = orjson.dumps(facts.detail() | {"salt": salt.hex()})
        return self._envelope.seal(person.key, body, place=f"audit_entry/{sequence}/detail")

    async def of_person(self, person: Person) -> list[LoggedAccess]:
        """The person's own entries, newest first."""
        own = select(audit_entry).where(audit_entry.c.person_id == person.id)
        async with self._reading.connect() as connection:
            rows = (await connection.execute(own.order_by(audit_entry.c.sequence.desc()))).all()
        return [
            LoggedAccess(
                sequence=row.sequence,
                at=row.at,
                kind=AccessKind(row.kind),
                relying_party_id=row.relying_party_id,
                detail=orjson.loads(
                    self._envelope.open(person.key, row.detail_sealed, place=f"audit_entry/{row.sequence}/detail")
                ),
            )
            for row in rows
        ]

    @staticmethod
    async def unlink(connection: AsyncConnection, person_id: str) -> None:
        """Take person and salts off their entries: what is left says nothing, and its hashes still verify."""
        own = update(audit_entry).where(audit_entry.c.person_id == person_id)
        await connection.execute(own.values(person_id=None, detail_sealed=None))
