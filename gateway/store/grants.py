"""Consent grants: asked for, granted, revoked. Every change is an event and an audit entry in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, Select, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.audit.entry import EntryFacts
from gateway.consent.grant import Grant, GrantEvent, grant_status
from gateway.store.envelope import Envelope
from gateway.store.log import AuditLog
from gateway.store.people import People, Person
from gateway.store.tables import answer, consent_grant, grant_event
from gateway.store.writer import Writer
from resolvers.catalogue import Purpose
from resolvers.subject import GrantStatus
from resolvers.worker import AccessKind

_last_event = (
    select(grant_event.c.kind)
    .where(grant_event.c.grant_id == consent_grant.c.id)
    .order_by(grant_event.c.number.desc())
    .limit(1)
    .scalar_subquery()
)
_revoked_at = (
    select(func.max(grant_event.c.at))
    .where(grant_event.c.grant_id == consent_grant.c.id, grant_event.c.kind == GrantEvent.REVOKED.value)
    .scalar_subquery()
)
_charged = (
    select(func.count())
    .select_from(answer)
    .where(answer.c.grant_id == consent_grant.c.id, answer.c.charged)
    .scalar_subquery()
)
GRANT_ROWS: Select[Any] = select(
    consent_grant,
    _last_event.label("last_event"),
    _revoked_at.label("revoked_at"),
    _charged.label("charged"),
)
"""Grants with what is derived from their events and Answers."""


@dataclass(frozen=True, slots=True, repr=False)
class ConsentRequest:
    """What a relying party would run and ask: the request that a person sees before granting."""

    grant_id: str
    person: Person
    relying_party_id: str
    purpose: Purpose
    rule_pack_sha256: str
    document: str
    variables: dict[str, Any]
    questions: Sequence[str]
    open_until: datetime
    uses: int | None


class Grants:
    """Reads grants; changes them through the writer."""

    def __init__(
        self, reading: AsyncEngine, *, writer: Writer, envelope: Envelope, people: People, log: AuditLog
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope
        self._people = people
        self._log = log

    async def find_by_token(self, digest: str, relying_party_id: str) -> tuple[Grant, Person] | None:
        """The grant that a token names for its own relying party; for any other there is none."""
        return await self._one(
            (consent_grant.c.token_digest == digest) & (consent_grant.c.relying_party_id == relying_party_id)
        )

    async def find_of_person(self, grant_id: str, person: Person) -> Grant | None:
        found = await self._one((consent_grant.c.id == grant_id) & (consent_grant.c.person_id == person.id))
        return found[0] if found else None

    async def _one(self, condition: Any) -> tuple[Grant, Person] | None:
        async with self._reading.connect() as connection:
            row = (await connection.execute(GRANT_ROWS.where(condition))).first()
        person = await self._people.find(row.person_id) if row else None
        return (self.read(row, person), person) if row and person else None

    async def of_person(self, person: Person) -> list[Grant]:
        """The person's grants, newest first."""
        own = GRANT_ROWS.where(consent_grant.c.person_id == person.id)
        async with self._reading.connect() as connection:
            rows = (await connection.execute(own.order_by(consent_grant.c.requested_at.desc()))).all()
        return [self.read(row, person) for row in rows]

    async def is_open(self, grant_id: str, now: datetime) -> bool:
        """Whether evidence may still be kept for it: asked for or granted, and not ended."""
        async with self._reading.connect() as connection:
            row = (await connection.execute(GRANT_ROWS.where(consent_grant.c.id == grant_id))).first()
        return row is not None and row.last_event != GrantEvent.REVOKED and now < row.expires_at

    def read(self, row: Row[Any], person: Person) -> Grant:
        """The value type of a row of `GRANT_ROWS`."""
        request = self._open(person, row.request_sealed, f"consent_grant/{row.id}/request")
        left_out = (
            self._open(person, row.left_out_sealed, f"consent_grant/{row.id}/left_out") if row.left_out_sealed else []
        )
        return Grant(
            id=row.id,
            person_id=row.person_id,
            relying_party_id=row.relying_party_id,
            purpose=Purpose(row.purpose),
            rule_pack_sha256=row.rule_pack_sha256,
            questions=tuple(request["questions"]),
            left_out=tuple(left_out),
            requested_at=row.requested_at,
            granted_at=row.granted_at,
            revoked_at=row.revoked_at,
            expires_at=row.expires_at,
            uses_left=None if row.uses is None else max(0, row.uses - row.charged),
            last_event=GrantEvent(row.last_event),
        )

    def _open(self, person: Person, sealed: bytes, place: str) -> Any:
        return orjson.loads(self._envelope.open(person.key, sealed, place=place))

    async def request(self, request: ConsentRequest, *, now: datetime) -> None:
        """Record that consent is asked for: PENDING until the person decides or the request closes."""
        place = f"consent_grant/{request.grant_id}/request"
        body = orjson.dumps(
            {
                "document": request.document,
                "variables": request.variables,
                "questions": list(request.questions),
            }
        )
        row = {
            "id": request.grant_id,
            "person_id": request.person.id,
            "relying_party_id": request.relying_party_id,
            "purpose": request.purpose.value,
            "rule_pack_sha256": request.rule_pack_sha256,
            "request_sealed": self._envelope.seal(request.person.key, body, place=place),
            "requested_at": now,
            "expires_at": request.open_until,
            "uses": request.uses,
        }
        facts = EntryFacts(
            kind=AccessKind.CONSENT_REQUESTED,
            relying_party_id=request.relying_party_id,
            person_id=request.person.id,
            grant_id=request.grant_id,
            purpose=request.purpose.value,
            questions=list(request.questions),
            rule_pack_sha256=request.rule_pack_sha256,
        )

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(insert(consent_grant).values(row))
            await self._append(connection, request.grant_id, GrantEvent.REQUESTED, now)
            await self._log.append(connection, facts, person=request.person, at=now)

        await self._writer.write(write)

    async def grant(
        self, grant: Grant, person: Person, *, digest: str, left_out: Sequence[str], life: timedelta, now: datetime
    ) -> bool:
        """Grant a pending request; False if it is not pending any more."""
        sealed = self._envelope.seal(
            person.key, orjson.dumps(list(left_out)), place=f"consent_grant/{grant.id}/left_out"
        )
        values = {
            "token_digest": digest,
            "left_out_sealed": sealed,
            "granted_at": now,
            "expires_at": now + life,
        }
        facts = facts_of(grant, AccessKind.CONSENT_GRANTED, refused=left_out)

        async def write(connection: AsyncConnection) -> bool:
            if await self.status(connection, grant.id, now) is not GrantStatus.PENDING:
                return False
            await connection.execute(update(consent_grant).where(consent_grant.c.id == grant.id).values(values))
            await self._append(connection, grant.id, GrantEvent.GRANTED, now)
            await self._log.append(connection, facts, person=person, at=now)
            return True

        return (await self._writer.write(write)).outcome

    async def revoke(self, grant: Grant, person: Person, *, now: datetime) -> None:
        """End a grant, or close a request. Idempotent: one that has ended stays as it is."""
        facts = facts_of(grant, AccessKind.CONSENT_REVOKED)

        async def write(connection: AsyncConnection) -> None:
            if await self.status(connection, grant.id, now) in (GrantStatus.REVOKED, GrantStatus.EXPIRED):
                return
            await self._append(connection, grant.id, GrantEvent.REVOKED, now)
            await self._log.append(connection, facts, person=person, at=now)

        await self._writer.write(write, urgent=True)

    async def status(self, connection: AsyncConnection, grant_id: str, now: datetime) -> GrantStatus:
        """Where a grant stands inside a transaction."""
        row = (await connection.execute(GRANT_ROWS.where(consent_grant.c.id == grant_id))).one()
        return grant_status(GrantEvent(row.last_event), expires_at=row.expires_at, now=now)

    @staticmethod
    async def _append(connection: AsyncConnection, grant_id: str, kind: GrantEvent, now: datetime) -> None:
        last = select(func.coalesce(func.max(grant_event.c.number), -1)).where(grant_event.c.grant_id == grant_id)
        number = (await connection.execute(last)).scalar_one() + 1
        values = {"grant_id": grant_id, "number": number, "kind": kind.value, "at": now}
        await connection.execute(insert(grant_event).values(values))


def facts_of(grant: Grant, kind: AccessKind, *, refused: Sequence[str] = ()) -> EntryFacts:
    """The facts of an entry about a grant as a whole."""
    return EntryFacts(
        kind=kind,
        relying_party_id=grant.relying_party_id,
        person_id=grant.person_id,
        grant_id=grant.id,
        purpose=grant.purpose.value,
        questions=list(grant.questions),
        refused=list(refused),
        rule_pack_sha256=grant.rule_pack_sha256,
    )
