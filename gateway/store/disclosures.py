"""What released Answers told: comparisons that stay as they were answered, and intervals that are known.

Written in the transaction that records the Answer; read for the next one and for the disclosure meter.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import orjson
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from gateway.consent.grant import Grant
from gateway.consent.telling import Settlement, Telling
from gateway.identity.subject import Person
from gateway.store.batch import Batch
from gateway.store.envelope import Envelope
from gateway.store.lookups import Lookups
from gateway.store.statement import Statement
from gateway.store.tables import Moment, disclosure, settled_comparison
from resolvers.disclosed import Comparison, Interval

_FROZEN = Statement(
    select(settled_comparison).where(
        settled_comparison.c.grant_id == bindparam("grant_id"),
        settled_comparison.c.frozen_until > bindparam("now"),
        settled_comparison.c.settled_at > bindparam("unfrozen_at"),
    )
)
_INSERT = Statement(insert(disclosure), ["answer_id", "person_id", "relying_party_id", "at", "body_sealed"])
_NEW = insert(settled_comparison)
_SETTLE = Statement(
    _NEW.on_conflict_do_update(
        index_elements=["grant_id", "comparison_digest"],
        set_={name: _NEW.excluded[name] for name in ("body_sealed", "settled_at", "frozen_until")},
        where=~(
            (settled_comparison.c.frozen_until > _NEW.excluded.settled_at)
            & (settled_comparison.c.settled_at > bindparam("unfrozen_at", type_=Moment))
        ),
    ),
    ["grant_id", "comparison_digest", "body_sealed", "settled_at", "frozen_until"],
)
"""Settles a comparison unless who asked at the same time was first. SQLite has PostgreSQL's words for it."""


@dataclass(frozen=True, slots=True, repr=False)
class Told:
    """What one Answer told a relying party, by quantity."""

    at: datetime
    relying_party_id: str
    intervals: Mapping[str, tuple[Interval, ...]]


class Disclosures:
    """Keeps what was told, sealed under the person's key."""

    def __init__(self, reading: Lookups, envelope: Envelope) -> None:
        self._reading = reading
        self._envelope = envelope

    async def settled(self, grant: Grant, person: Person, *, now: datetime) -> dict[Comparison, Settlement]:
        """The comparisons that are frozen under a grant."""
        async with self._reading.connect() as connection:
            rows = await _FROZEN.all(connection, grant_id=grant.id, now=now, unfrozen_at=person.unfrozen_at)
        found: dict[Comparison, Settlement] = {}
        for row in rows:
            place = f"settled_comparison/{grant.id}/{row.comparison_digest}"
            body = orjson.loads(self._envelope.open(person.key, row.body_sealed, place=place))
            day = date.fromisoformat(body["asOf"]) if body["asOf"] else None
            found[Comparison(body["fact"], body["threshold"])] = Settlement(body["held"], day)
        return found

    def record(self, batch: Batch, telling: Telling, *, of: str, grant: Grant, person: Person, now: datetime) -> None:
        """Record what an Answer tells, in the transaction that records the Answer (its id: `of`)."""
        for compared, settlement in telling.settles.items():
            self._settle(batch, compared, settlement, telling=telling, grant=grant, person=person, now=now)
        if not telling.intervals:
            return
        told = {fact: [[i.at_least, i.below] for i in intervals] for fact, intervals in telling.intervals.items()}
        sealed = self._envelope.seal(person.key, orjson.dumps(told), place=f"disclosure/{of}/body")
        batch.add(
            _INSERT,
            answer_id=of,
            person_id=person.id,
            relying_party_id=grant.relying_party_id,
            at=now,
            body_sealed=sealed,
        )

    def _settle(
        self,
        batch: Batch,
        compared: Comparison,
        settlement: Settlement,
        *,
        telling: Telling,
        grant: Grant,
        person: Person,
        now: datetime,
    ) -> None:
        digest = self._digest(grant, compared)
        place = f"settled_comparison/{grant.id}/{digest}"
        body = {
            "fact": compared.fact,
            "threshold": compared.threshold,
            "held": settlement.held,
            "asOf": settlement.as_of.isoformat() if settlement.as_of else None,
        }
        sealed = self._envelope.seal(person.key, orjson.dumps(body), place=place)
        batch.add(
            _SETTLE,
            grant_id=grant.id,
            comparison_digest=digest,
            body_sealed=sealed,
            settled_at=now,
            frozen_until=now + telling.frozen,
            unfrozen_at=person.unfrozen_at,
        )

    def _digest(self, grant: Grant, compared: Comparison) -> str:
        return self._envelope.digest("comparison", f"{grant.id}\n{compared.text}")

    async def of_person(self, person: Person) -> list[Told]:
        """All that was ever told about a person, oldest first."""
        own = select(disclosure).where(disclosure.c.person_id == person.id).order_by(disclosure.c.at)
        async with self._reading.connect() as connection:
            rows = (await connection.execute(own)).all()
        return [self._told(row.answer_id, row.at, row.relying_party_id, row.body_sealed, person) for row in rows]

    def _told(self, answer_id: str, at: datetime, party_id: str, sealed: bytes, person: Person) -> Told:
        body = orjson.loads(self._envelope.open(person.key, sealed, place=f"disclosure/{answer_id}/body"))
        return Told(at, party_id, {fact: tuple(Interval(*ends) for ends in told) for fact, told in body.items()})
