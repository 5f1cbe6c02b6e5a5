"""Requests for consent: what would be asked, before the person decides, and the budget that probing has.

A relying party's request waits under its id until a person opens it; that charges the budget. What the
person starts is charged to nobody.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import EntryFacts
from gateway.consent.grant import GrantEvent
from gateway.consent.probing import ProbingLimits, over_budget
from gateway.consent.terms import Terms
from gateway.identity.subject import Person
from gateway.store.envelope import Envelope
from gateway.store.grants import Grants
from gateway.store.log import AuditLog
from gateway.store.lookups import Lookups
from gateway.store.tables import consent_grant, consent_request, threshold_probe
from gateway.store.writer import Writer
from resolvers.catalogue import Purpose
from resolvers.disclosed import Comparison
from resolvers.worker import AccessKind


@dataclass(frozen=True, slots=True, repr=False)
class Asking:
    """What would be run and asked. `terms` None: the purpose's own. `optional`: the coordinates that the relying
    party can do without; None: it does not say."""

    relying_party_id: str | None
    purpose: Purpose
    document: str
    variables: Mapping[str, Any]
    terms: Mapping[str, Any] | None
    optional: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, repr=False)
class ConsentRequest:
    """A request as its person sees it, and decides about it until `open_until`."""

    grant_id: str
    person: Person
    asking: Asking
    rule_pack_sha256: str
    questions: Sequence[str]
    optional: Sequence[str] | None
    terms: Terms
    open_until: datetime


@dataclass(frozen=True, slots=True)
class Probing:
    """What a relying party's request compares, for its sector's budget; and the request that it came as."""

    request_id: str
    sector: str
    asked: Set[Comparison]
    limits: ProbingLimits


class RequestOutcome(StrEnum):
    """What became of a request that was opened."""

    OPENED = "OPENED"
    CLOSED = "CLOSED"
    OVER_BUDGET = "OVER_BUDGET"


class Requests:
    """Keeps what is asked for; counts thresholds; makes the pending grant."""

    def __init__(
        self, reading: Lookups, *, writer: Writer, envelope: Envelope, grants: Grants, log: AuditLog
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope
        self._grants = grants
        self._log = log

    async def keep(self, request_id: str, asking: Asking, *, open_until: datetime, now: datetime) -> None:
        """Keep a relying party's request until its person opens it."""
        body = {
            "document": asking.document,
            "variables": dict(asking.variables),
            "terms": asking.terms,
            "optional": asking.optional,
        }
        row = {
            "id": request_id,
            "relying_party_id": asking.relying_party_id,
            "purpose": asking.purpose.value,
            "body": orjson.dumps(body),
            "requested_at": now,
            "expires_at": open_until,
        }
        await self._writer.write(lambda connection: connection.execute(insert(consent_request).values(row)))

    async def find(self, request_id: str, *, now: datetime) -> Asking | None:
        """A request that can be opened."""
        waiting = select(consent_request).where(
            consent_request.c.id == request_id,
            consent_request.c.expires_at > now,
            consent_request.c.opened_at.is_(None),
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(waiting)).first()
        if row is None:
            return None
        body = orjson.loads(row.body)
        optional = None if body.get("optional") is None else tuple(body["optional"])
        purpose = Purpose(row.purpose)
        return Asking(row.relying_party_id, purpose, body["document"], body["variables"], body["terms"], optional)

    async def record(
        self, request: ConsentRequest, *, probing: Probing | None = None, now: datetime
    ) -> RequestOutcome:
        """Record that consent is asked for: PENDING until the person decides or the request closes.

        With `probing`, its budget is charged in the same transaction, or nothing is asked for.
        """
        row = self._row(request, now)
        facts = EntryFacts(
            kind=AccessKind.CONSENT_REQUESTED,
            relying_party_id=request.asking.relying_party_id or "",
            person_id=request.person.id,
            grant_id=request.grant_id,
            purpose=request.asking.purpose.value,
            questions=list(request.questions),
            rule_pack_sha256=request.rule_pack_sha256,
        )

        async def write(connection: AsyncConnection) -> RequestOutcome:
            outcome = RequestOutcome.OPENED
            if probing is not None:
                outcome = await self._open(connection, request.person, probing, now)
            if outcome is RequestOutcome.OPENED:
                await connection.execute(insert(consent_grant).values(row))
                await self._grants.append_event(connection, request.grant_id, GrantEvent.REQUESTED, now)
                await self._log.append(connection, facts, person=request.person, at=now)
            elif outcome is RequestOutcome.OVER_BUDGET:
                refused = _refused(facts, code="PROBE_BUDGET_EXCEEDED")
                await self._log.append(connection, refused, person=request.person, at=now)
            return outcome

        return (await self._writer.write(write)).outcome

    def _row(self, request: ConsentRequest, now: datetime) -> dict[str, Any]:
        terms = request.terms
        body = orjson.dumps(
            {
                "document": request.asking.document,
                "variables": dict(request.asking.variables),
                "questions": list(request.questions),
                "optional": request.optional,
                "until": terms.until.isoformat() if terms.until else None,
            }
        )
        place = f"consent_grant/{request.grant_id}/request"
        return {
            "id": request.grant_id,
            "person_id": request.person.id,
            "relying_party_id": request.asking.relying_party_id or "",
            "purpose": request.asking.purpose.value,
            "rule_pack_sha256": request.rule_pack_sha256,
            "request_sealed": self._envelope.seal(request.person.key, body, place=place),
            "requested_at": now,
            "expires_at": request.open_until,
            "uses": terms.uses,
            "fetch": terms.fetch.value,
            "times_per_day": terms.times_per_day,
            "data_life_days": terms.data_life_days,
        }

    async def _open(
        self, connection: AsyncConnection, person: Person, probing: Probing, now: datetime
    ) -> RequestOutcome:
        """Open a relying party's request, once; charge its thresholds, all or none."""
        waiting = (
            (consent_request.c.id == probing.request_id)
            & consent_request.c.opened_at.is_(None)
            & (consent_request.c.expires_at > now)
        )
        opened = await connection.execute(update(consent_request).where(waiting).values(opened_at=now))
        if opened.rowcount == 0:
            return RequestOutcome.CLOSED
        counted = await self._counted(connection, person, probing.sector, since=now - probing.limits.window)
        asked = self._by_digest(person, probing.asked)
        if over_budget({**counted, **asked}.items(), limit=probing.limits.budget):
            return RequestOutcome.OVER_BUDGET
        for digest, fact in asked.items():
            key = {"person_id": person.id, "sector": probing.sector, "comparison_digest": digest}
            again = update(threshold_probe).filter_by(**key).values(requested_at=now)
            if (await connection.execute(again)).rowcount == 0:
                values = key | {"fact": fact, "requested_at": now}
                await connection.execute(insert(threshold_probe).values(values))
        return RequestOutcome.OPENED

    async def is_much(
        self, person: Person, sector: str, asked: Iterable[Comparison], *, limits: ProbingLimits, now: datetime
    ) -> bool:
        """Whether with these a sector would know more thresholds on one fact than the person should expect."""
        async with self._reading.connect() as connection:
            counted = await self._counted(connection, person, sector, since=now - limits.window)
        both = {**counted, **self._by_digest(person, asked)}
        return over_budget(both.items(), limit=limits.warn_from - 1)

    @staticmethod
    async def _counted(
        connection: AsyncConnection, person: Person, sector: str, *, since: datetime
    ) -> dict[str, str]:
        counted = select(threshold_probe.c.fact, threshold_probe.c.comparison_digest).where(
            threshold_probe.c.person_id == person.id,
            threshold_probe.c.sector == sector,
            threshold_probe.c.requested_at > since,
        )
        rows = (await connection.execute(counted)).all()
        return {row.comparison_digest: row.fact for row in rows}

    def _by_digest(self, person: Person, asked: Iterable[Comparison]) -> dict[str, str]:
        return {self._digest(person, compared): compared.fact for compared in asked}

    def _digest(self, person: Person, compared: Comparison) -> str:
        return self._envelope.digest("probe", f"{person.id}\n{compared.text}")


def _refused(facts: EntryFacts, *, code: str) -> EntryFacts:
    return EntryFacts(
        kind=AccessKind.REFUSED,
        relying_party_id=facts.relying_party_id,
        person_id=facts.person_id,
        purpose=facts.purpose,
        refused=facts.questions,
        code=code,
        rule_pack_sha256=facts.rule_pack_sha256,
    )
