"""Consent grants: granted, paused, renewed, ended. Every change is an event and an audit entry in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Select, bindparam, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import EntryFacts
from gateway.consent.grant import ALLOWED_IN, Grant, GrantEvent, grant_status
from gateway.consent.terms import Terms
from gateway.identity.subject import Person
from gateway.store.envelope import Envelope
from gateway.store.log import AuditLog
from gateway.store.lookups import Lookups
from gateway.store.notices import announce_stop
from gateway.store.people import HAS_DISPUTES, People
from gateway.store.statement import Statement
from gateway.store.tables import answer, consent_grant, consent_token, grant_event, person, settled_comparison
from gateway.store.writer import Writer
from resolvers.catalogue import Purpose
from resolvers.consent import FetchType
from resolvers.subject import GrantStatus
from resolvers.worker import AccessKind

_ENDINGS = (GrantEvent.REVOKED.value, GrantEvent.REJECTED.value)
_STOPS = frozenset({GrantEvent.REVOKED, GrantEvent.PAUSED, GrantEvent.REJECTED})
_KIND_OF = {
    GrantEvent.GRANTED: AccessKind.CONSENT_GRANTED,
    GrantEvent.REJECTED: AccessKind.CONSENT_REJECTED,
    GrantEvent.PAUSED: AccessKind.CONSENT_PAUSED,
    GrantEvent.RESUMED: AccessKind.CONSENT_RESUMED,
    GrantEvent.RENEWED: AccessKind.CONSENT_RENEWED,
    GrantEvent.REVOKED: AccessKind.CONSENT_REVOKED,
}
_OF_GRANT = grant_event.c.grant_id == consent_grant.c.id


def _last(column: ColumnElement[Any]) -> Any:
    """A column of the last event that says where a grant stands; a renewal does not."""
    standing = select(column).where(_OF_GRANT, grant_event.c.kind != GrantEvent.RENEWED.value)
    return standing.order_by(grant_event.c.number.desc()).limit(1).scalar_subquery()


def _of_answers(column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> Any:
    return select(column).where(answer.c.grant_id == consent_grant.c.id, *conditions).scalar_subquery()


LAST_EVENT = _last(grant_event.c.kind)
CHARGED = _of_answers(func.count(), answer.c.charged)
FRESH_UNTIL = _of_answers(func.max(answer.c.fresh_until), answer.c.complete)
"""Of a grant's Answers."""
KNOWN_UNTIL = _of_answers(func.max(answer.c.fresh_until), or_(answer.c.complete, answer.c.charged))
"""Until when any of a grant's Answers is good for more than itself."""
SETTLED_AT = (
    select(func.max(settled_comparison.c.settled_at))
    .where(settled_comparison.c.grant_id == consent_grant.c.id)
    .scalar_subquery()
)
"""When a comparison was last settled under a grant."""
GRANT_ROWS: Select[Any] = select(
    consent_grant,
    LAST_EVENT.label("last_event"),
    _last(grant_event.c.at).label("last_event_at"),
    CHARGED.label("charged"),
    FRESH_UNTIL.label("fresh_until"),
    KNOWN_UNTIL.label("known_until"),
    SETTLED_AT.label("settled_at"),
)
"""Grants with what is derived from their events and Answers."""

_WITH_PERSON = GRANT_ROWS.join(person, person.c.id == consent_grant.c.person_id).add_columns(
    *(person.c.wrapped_key, person.c.identity_sealed, person.c.updated_at, person.c.confirmations_sealed),
    HAS_DISPUTES.label("has_disputes"),
)
"""Grants with their people: all that a question is held against, in one look."""

_BY_ID = Statement(_WITH_PERSON.where(consent_grant.c.id == bindparam("grant_id")))
_OF_PERSON = Statement(
    GRANT_ROWS.where(consent_grant.c.id == bindparam("grant_id"), consent_grant.c.person_id == bindparam("person_id"))
)
_OF_PARTY = Statement(
    _WITH_PERSON.where(
        consent_grant.c.id == bindparam("grant_id"), consent_grant.c.relying_party_id == bindparam("party_id")
    )
)
_BY_TOKEN = Statement(
    _WITH_PERSON.where(
        consent_grant.c.id
        == select(consent_token.c.grant_id).where(consent_token.c.digest == bindparam("digest")).scalar_subquery(),
        consent_grant.c.relying_party_id == bindparam("party_id"),
    )
)
_STANDING = Statement(
    select(consent_grant.c.expires_at, LAST_EVENT.label("last_event")).where(
        consent_grant.c.id == bindparam("grant_id")
    )
)
_CHARGED_AT = Statement(
    select(answer.c.recorded_at)
    .where(answer.c.grant_id == bindparam("grant_id"), answer.c.charged)
    .order_by(answer.c.recorded_at.desc())
    .limit(bindparam("last"))
)


class Grants:
    """Reads grants; changes them through the writer. `is_alone`: no other process changes any."""

    def __init__(
        self,
        reading: Lookups,
        *,
        writer: Writer,
        envelope: Envelope,
        people: People,
        log: AuditLog,
        is_alone: bool,
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope
        self._people = people
        self._log = log
        self._is_alone = is_alone

    @property
    def changes(self) -> int | None:
        """As long as it stays the same, no grant was paused or revoked, and nobody erased. None: other processes do
        that too."""
        return self._writer.changes if self._is_alone else None

    async def find_by_token(self, digest: str, relying_party_id: str) -> tuple[Grant, Person] | None:
        """The grant that a token names for its own relying party; for any other there is none."""
        async with self._reading.connect() as connection:
            row = await _BY_TOKEN.first(connection, digest=digest, party_id=relying_party_id)
            return await self._with_person(connection, row)

    async def find_of_person(self, grant_id: str, person: Person) -> Grant | None:
        async with self._reading.connect() as connection:
            row = await _OF_PERSON.first(connection, grant_id=grant_id, person_id=person.id)
            if row is None:
                return None
            return self.read(row, person, await self.charged_at(connection, row.id, row.times_per_day))

    async def find_of_party(self, grant_id: str, relying_party_id: str) -> tuple[Grant, Person] | None:
        """A grant with its person, for its own relying party; for any other there is none."""
        async with self._reading.connect() as connection:
            row = await _OF_PARTY.first(connection, grant_id=grant_id, party_id=relying_party_id)
            return await self._with_person(connection, row)

    async def find_in(self, connection: AsyncConnection, grant_id: str) -> tuple[Grant, Person] | None:
        """A grant with its person, as this connection's transaction sees them."""
        return await self._with_person(connection, await _BY_ID.first(connection, grant_id=grant_id))

    async def _with_person(self, connection: AsyncConnection, row: Any | None) -> tuple[Grant, Person] | None:
        if row is None:
            return None
        person = self._people.read(row.person_id, row)
        charged = await self.charged_at(connection, row.id, row.times_per_day)
        return self.read(row, person, charged), person

    async def of_person(self, person: Person) -> list[Grant]:
        """The person's grants, newest first."""
        own = GRANT_ROWS.where(consent_grant.c.person_id == person.id)
        async with self._reading.connect() as connection:
            rows = (await connection.execute(own.order_by(consent_grant.c.requested_at.desc()))).all()
            charged = [await self.charged_at(connection, row.id, row.times_per_day) for row in rows]
        return [self.read(row, person, at) for row, at in zip(rows, charged, strict=True)]

    async def is_still_open(self, grant: Grant, now: datetime, *, changes: int | None) -> bool:
        """`is_open` for a grant that was in force when it was looked up, after `changes` had been read."""
        if changes is not None and changes == self.changes and now < grant.expires_at:
            return True
        return await self.is_open(grant.id, now)

    async def is_open(self, grant_id: str, now: datetime) -> bool:
        """Whether evidence may still be kept for it: asked for or in force."""
        async with self._reading.connect() as connection:
            return await self.status(connection, grant_id, now) in (GrantStatus.PENDING, GrantStatus.ACTIVE)

    @staticmethod
    async def charged_at(connection: AsyncConnection, grant_id: str, last: int | None) -> tuple[datetime, ...]:
        """When so many of the last Answers that a grant was charged for were recorded, oldest first."""
        if last is None:
            return ()
        rows = await _CHARGED_AT.all(connection, grant_id=grant_id, last=last)
        return tuple(row.recorded_at for row in reversed(rows))

    def read(self, row: Any, person: Person, charged_at: Sequence[datetime]) -> Grant:
        """The value type of a row of `GRANT_ROWS`."""
        request = self._open(person, row.request_sealed, f"consent_grant/{row.id}/request")
        left_out = (
            self._open(person, row.left_out_sealed, f"consent_grant/{row.id}/left_out") if row.left_out_sealed else []
        )
        last_event = GrantEvent(row.last_event)
        return Grant(
            id=row.id,
            person_id=row.person_id,
            relying_party_id=row.relying_party_id or None,
            purpose=Purpose(row.purpose),
            rule_pack_sha256=row.rule_pack_sha256,
            questions=tuple(request["questions"]),
            left_out=tuple(left_out),
            terms=_terms_of(row, request.get("until")),
            requested_at=row.requested_at,
            granted_at=row.granted_at,
            ended_at=row.last_event_at if row.last_event in _ENDINGS else None,
            paused_at=row.last_event_at if last_event is GrantEvent.PAUSED else None,
            expires_at=row.expires_at,
            uses_left=None if row.uses is None else max(0, row.uses - row.charged),
            charged_at=tuple(charged_at),
            fresh_until=row.fresh_until,
            known_until=row.known_until,
            settled_at=row.settled_at,
            last_event=last_event,
            document=request["document"],
            variables=request["variables"],
            optional=None if request.get("optional") is None else tuple(request["optional"]),
            guardian=self._open(person, row.guardian_sealed, f"consent_grant/{row.id}/guardian")
            if row.guardian_sealed
            else None,
        )

    def _open(self, person: Person, sealed: bytes, place: str) -> Any:
        return orjson.loads(self._envelope.open(person.key, sealed, place=place))

    async def grant(
        self,
        grant: Grant,
        person: Person,
        *,
        token_digest: str | None,
        left_out: Sequence[str],
        guardian: str | None,
        expires_at: datetime,
        now: datetime,
    ) -> bool:
        """Grant a pending request; False if it is not pending any more. `guardian`: who decided for a minor."""
        sealed = self._envelope.seal(
            person.key, orjson.dumps(list(left_out)), place=f"consent_grant/{grant.id}/left_out"
        )
        values = {"left_out_sealed": sealed, "granted_at": now, "expires_at": expires_at}
        if guardian is not None:
            place = f"consent_grant/{grant.id}/guardian"
            values["guardian_sealed"] = self._envelope.seal(person.key, orjson.dumps(guardian), place=place)

        async def write(connection: AsyncConnection) -> bool:
            if not await self._happened(
                connection, grant, person, GrantEvent.GRANTED, now=now, refused=left_out, values=values
            ):
                return False
            if token_digest is not None:
                await self.add_token(connection, grant.id, token_digest, now)
            return True

        return (await self._writer.write(write)).outcome

    @staticmethod
    async def add_token(connection: AsyncConnection, grant_id: str, digest: str, now: datetime) -> None:
        """Let a token name the grant, besides those that do already."""
        await connection.execute(insert(consent_token).values(digest=digest, grant_id=grant_id, made_at=now))

    async def change(
        self, grant: Grant, person: Person, event: GrantEvent, *, now: datetime, expires_at: datetime | None = None
    ) -> bool:
        """Let this happen to a grant; False where it stands in no state that allows it. Endings go first."""
        values = {"expires_at": expires_at} if expires_at is not None else {}

        async def write(connection: AsyncConnection) -> bool:
            return await self.change_in(connection, grant, person, event, now=now, values=values)

        return (await self._writer.write(write, urgent=event in _STOPS)).outcome

    async def change_in(
        self,
        connection: AsyncConnection,
        grant: Grant,
        person: Person,
        event: GrantEvent,
        *,
        now: datetime,
        values: dict[str, Any] | None = None,
    ) -> bool:
        """The same within the caller's transaction."""
        has_happened = await self._happened(connection, grant, person, event, now=now, values=values or {})
        if has_happened and event in _STOPS:
            await announce_stop(connection, grant.id)
        return has_happened

    async def _happened(
        self,
        connection: AsyncConnection,
        grant: Grant,
        person: Person,
        event: GrantEvent,
        *,
        now: datetime,
        refused: Sequence[str] = (),
        values: dict[str, Any],
    ) -> bool:
        if await self.status(connection, grant.id, now) not in ALLOWED_IN[event]:
            return False
        if values:
            await connection.execute(update(consent_grant).where(consent_grant.c.id == grant.id).values(values))
        await self.append_event(connection, grant.id, event, now)
        await self._log.append(connection, facts_of(grant, _KIND_OF[event], refused=refused), person=person, at=now)
        return True

    @staticmethod
    async def status(connection: AsyncConnection, grant_id: str, now: datetime) -> GrantStatus | None:
        """Where a grant stands inside a transaction; None if it is no more: its person was erased."""
        row = await _STANDING.first(connection, grant_id=grant_id)
        if row is None:
            return None
        return grant_status(GrantEvent(row.last_event), expires_at=row.expires_at, now=now)

    @staticmethod
    async def append_event(connection: AsyncConnection, grant_id: str, kind: GrantEvent, now: datetime) -> None:
        last = select(func.coalesce(func.max(grant_event.c.number), -1)).where(grant_event.c.grant_id == grant_id)
        number = (await connection.execute(last)).scalar_one() + 1
        values = {"grant_id": grant_id, "number": number, "kind": kind.value, "at": now}
        await connection.execute(insert(grant_event).values(values))


def _terms_of(row: Any, until: str | None) -> Terms:
    return Terms(
        fetch=FetchType(row.fetch),
        uses=row.uses,
        times_per_day=row.times_per_day,
        data_life_days=row.data_life_days,
        until=datetime.fromisoformat(until) if until else None,
    )


def facts_of(grant: Grant, kind: AccessKind, *, refused: Sequence[str] = (), about: str | None = None) -> EntryFacts:
    """The facts of an entry about a grant as a whole."""
    return EntryFacts(
        kind=kind,
        relying_party_id=grant.relying_party_id or "",
        person_id=grant.person_id,
        grant_id=grant.id,
        purpose=grant.purpose.value,
        questions=list(grant.questions),
        refused=list(refused),
        rule_pack_sha256=grant.rule_pack_sha256,
        about=about,
    )
