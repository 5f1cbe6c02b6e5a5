"""Answers: recorded together with their audit entry and the recheck of the grant, before anything leaves."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import orjson
from sqlalchemy import bindparam, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.answer import Answer
from gateway.audit.entry import EntryFacts
from gateway.consent.gate import ApprovedPlan, Refusal
from gateway.consent.grant import Grant, GrantEvent, grant_status, next_look_at
from gateway.consent.telling import Telling
from gateway.errors import RecordUnavailableError
from gateway.identity.subject import Person
from gateway.store.batch import Batch
from gateway.store.disclosures import Disclosures
from gateway.store.envelope import Envelope
from gateway.store.grants import CHARGED, KNOWN_UNTIL, LAST_EVENT, SETTLED_AT, Grants
from gateway.store.log import AuditLog
from gateway.store.lookups import Lookups
from gateway.store.outcome import Ended, Outcome, Released, Replayed, TooSoon, Unfrozen
from gateway.store.statement import Statement
from gateway.store.tables import answer as answers
from gateway.store.tables import consent_grant
from gateway.store.tables import person as people
from gateway.store.used_once import Use, UsedOnce
from gateway.store.writer import BatchedOperation, Committed, Writer
from resolvers.subject import GrantStatus
from resolvers.worker import AccessKind

MAX_KEPT_DIGESTS = 1024

_FRESH = Statement(
    select(answers.c.id, answers.c.body_sealed)
    .where(
        answers.c.grant_id == bindparam("grant_id"),
        answers.c.questions_digest == bindparam("digest"),
        answers.c.complete,
        answers.c.fresh_until > bindparam("now"),
        answers.c.recorded_at > bindparam("unfrozen_at"),
        answers.c.body_sealed.is_not(None),
    )
    .order_by(answers.c.recorded_at.desc())
    .limit(1)
)
_PAID_UNTIL = Statement(
    select(func.max(answers.c.fresh_until).label("until")).where(
        answers.c.grant_id == bindparam("grant_id"),
        answers.c.questions_digest == bindparam("digest"),
        answers.c.charged,
        answers.c.fresh_until > bindparam("now"),
    )
)
_STANDING = Statement(
    select(
        consent_grant.c.expires_at,
        LAST_EVENT.label("last_event"),
        consent_grant.c.uses,
        CHARGED.label("charged"),
        KNOWN_UNTIL.label("known_until"),
        SETTLED_AT.label("settled_at"),
        people.c.updated_at,
    )
    .join(people, people.c.id == consent_grant.c.person_id)
    .where(consent_grant.c.id == bindparam("grant_id"))
)
"""What a release depends on, as the transaction that records it sees it."""
_PERSON = Statement(select(people.c.id).where(people.c.id == bindparam("person_id")))
_COLUMNS = ("id", "grant_id", "questions_digest", "complete", "charged", "fresh_until", "recorded_at", "body_sealed")
_INSERT = Statement(insert(answers), _COLUMNS)


T = TypeVar("T")


class Answers:
    """Finds Answers that may be released again; records releases and refusals through the writer."""

    def __init__(
        self,
        reading: Lookups,
        *,
        writer: Writer,
        envelope: Envelope,
        grants: Grants,
        disclosures: Disclosures,
        log: AuditLog,
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._envelope = envelope
        self._grants = grants
        self._disclosures = disclosures
        self._log = log
        self._digest_of = lru_cache(maxsize=MAX_KEPT_DIGESTS)(self._make_digest)

    async def find_fresh(
        self, approved: ApprovedPlan, person: Person, *, now: datetime
    ) -> tuple[Answer | None, datetime | None]:
        """The last complete Answer to exactly these questions, while its evidence is fresh; and until when a use that
        was charged answers them, if one does: it may be that of an Answer which is not good any more."""
        if not _is_ahead(approved.grant.known_until, now):
            return None, None
        async with self._reading.connect() as connection:
            return await self._earlier(connection, approved, person, now=now)

    async def _earlier(
        self, connection: AsyncConnection, approved: ApprovedPlan, person: Person, *, now: datetime
    ) -> tuple[Answer | None, datetime | None]:
        earlier = await self._fresh(connection, approved, person, now=now)
        if earlier is not None:
            return earlier, earlier.fresh_until
        return None, await self._paid_until(connection, approved, now=now)

    async def _fresh(
        self, connection: AsyncConnection, approved: ApprovedPlan, person: Person, *, now: datetime
    ) -> Answer | None:
        digest = self._digest(approved)
        row = await _FRESH.first(
            connection, grant_id=approved.grant.id, digest=digest, now=now, unfrozen_at=person.unfrozen_at
        )
        if row is None:
            return None
        place = _place(row.id, approved.grant.id, digest)
        try:
            return Answer.from_bytes(self._envelope.open(person.key, row.body_sealed, place=place))
        except ValueError:
            return None  # not what was sealed for this grant and these questions

    async def _paid_until(
        self, connection: AsyncConnection, approved: ApprovedPlan, *, now: datetime
    ) -> datetime | None:
        digest = self._digest(approved)
        rows = await _PAID_UNTIL.all(connection, grant_id=approved.grant.id, digest=digest, now=now)
        until: datetime | None = rows[0].until
        return until

    def _digest(self, approved: ApprovedPlan) -> str:
        """Names a set of questions without telling them: keyed, and different for every grant."""
        return self._digest_of(approved.grant.id, tuple(sorted(question.text for question in approved.answerable)))

    def _make_digest(self, grant_id: str, texts: tuple[str, ...]) -> str:
        return self._envelope.digest("questions", "\n".join((grant_id, *texts)))

    async def of_person(self, person: Person) -> list[dict[str, Any]]:
        """Every Answer about a person that is still kept, with all that it rests on, oldest first."""
        own = (
            select(answers.c.id, answers.c.grant_id, answers.c.questions_digest, answers.c.body_sealed)
            .join(consent_grant, consent_grant.c.id == answers.c.grant_id)
            .where(consent_grant.c.person_id == person.id, answers.c.body_sealed.is_not(None))
            .order_by(answers.c.recorded_at)
        )
        async with self._reading.connect() as connection:
            rows = (await connection.execute(own)).all()
        opened = (
            self._envelope.open(person.key, row.body_sealed, place=_place(row.id, row.grant_id, row.questions_digest))
            for row in rows
        )
        return [orjson.loads(body) for body in opened]

    async def record(
        self,
        answer: Answer,
        approved: ApprovedPlan,
        person: Person,
        *,
        telling: Telling | None,
        proof: Use | None,
        hurried: bool,
        now: Callable[[], datetime],
    ) -> Committed[Outcome | Replayed]:
        """Use up the proof, recheck the grant, store the Answer unless it is a repeat, append the entry: one
        transaction.

        `telling` None: the Answer is released again. Of those who ask the same at once the first is charged a
        use, and the others get its Answer. A use is charged only for a complete Answer that releases something; and
        where the relying party hurried, for one that tells anything: else who never waits would never pay.
        """
        row = {} if telling is None else self._row(answer, approved, person)  # others wait for a transaction's end

        async def write(batch: Batch) -> Outcome:
            await batch.begin_for(approved.grant.id)
            return await self._record(
                batch, answer, row, approved, person, telling=telling, hurried=hurried, now=now()
            )

        return await self._write_with(proof, write)

    async def _write_with(self, proof: Use | None, operation: BatchedOperation[T]) -> Committed[T | Replayed]:
        """Write, and use up the proof in the same transaction; where another process was quicker, nothing else."""
        if proof is None:
            return await self._writer.write_in_batch(operation, is_change=False)
        proof.is_queued = True

        async def write(batch: Batch) -> T | Replayed:
            return await operation(batch) if await UsedOnce.record(batch.connection, proof) else Replayed()

        try:
            committed = await self._writer.write_in_batch(write, is_change=False)
        except RecordUnavailableError:
            proof.is_queued = False  # whoever ends the request tries once more
            raise
        proof.is_recorded = not isinstance(committed.outcome, Replayed)
        return committed

    async def _record(
        self,
        batch: Batch,
        answer: Answer,
        row: Mapping[str, Any],
        approved: ApprovedPlan,
        person: Person,
        *,
        telling: Telling | None,
        hurried: bool,
        now: datetime,
    ) -> Outcome:
        connection, grant = batch.connection, approved.grant
        standing = await _STANDING.first(connection, grant_id=grant.id)
        if standing is None:
            return Ended(None)
        status = grant_status(GrantEvent(standing.last_event), expires_at=standing.expires_at, now=now)
        if status is not GrantStatus.ACTIVE:
            return Ended(status)
        if standing.updated_at != person.unfrozen_at:
            return Unfrozen()
        uses_left = None if standing.uses is None else max(0, standing.uses - standing.charged)
        earlier, is_paid = answer if telling is None else None, telling is None
        if telling is not None and _is_ahead(standing.known_until, now):  # else there is none
            earlier, until = await self._earlier(connection, approved, person, now=now)
            is_paid = until is not None
        if not is_paid and uses_left == 0:
            return Ended(status)
        if not is_paid and (retry_at := await self._next_look_at(connection, grant, now)) is not None:
            return TooSoon(retry_at)
        charge = not is_paid and bool(approved.released) and (answer.complete or (hurried and answer.tells_anything))
        if telling is not None and (earlier is None or earlier.today != answer.today):
            if standing.settled_at != grant.settled_at:
                return Unfrozen()  # another question was quicker, and its comparisons stay as they were answered
            batch.add(_INSERT, **row, charged=charge)
            self._disclosures.record(batch, telling, of=answer.id, grant=grant, person=person, now=now)
            earlier = None
        facts = _facts_of_release(earlier or answer, approved, is_repeat=earlier is not None)
        await self._log.append_in(batch, facts, person=person, at=now)
        return Released(earlier or answer, uses_left - 1 if charge and uses_left is not None else uses_left, charge)

    async def _next_look_at(self, connection: AsyncConnection, grant: Grant, now: datetime) -> datetime | None:
        if grant.terms.times_per_day is None:
            return None
        charged_at = await self._grants.charged_at(connection, grant.id, grant.terms.times_per_day)
        return next_look_at(charged_at, times_per_day=grant.terms.times_per_day, now=now)

    def _row(self, answer: Answer, approved: ApprovedPlan, person: Person) -> dict[str, Any]:
        """The Answer's row, without whether it was charged: that comes out when it is recorded."""
        digest = self._digest(approved)
        place = _place(answer.id, approved.grant.id, digest)
        return {
            "id": answer.id,
            "grant_id": approved.grant.id,
            "questions_digest": digest,
            "complete": answer.complete,
            "fresh_until": answer.fresh_until,
            "recorded_at": answer.recorded_at,
            "body_sealed": self._envelope.seal(person.key, answer.to_bytes(), place=place),
        }

    async def still_stand(self, unfrozen_at: Mapping[str, datetime], *, now: datetime) -> Committed[frozenset[str]]:
        """Which of these grants are in force still, their person's record as it was at that moment.

        Whoever ends or corrects one later than `began_at` waits until what is known here is no longer relied on.
        """
        began_at = time.monotonic()
        standing = select(
            consent_grant.c.id, consent_grant.c.expires_at, people.c.updated_at, LAST_EVENT.label("last_event")
        ).join(people, people.c.id == consent_grant.c.person_id)
        async with self._reading.connect() as connection:
            rows = (await connection.execute(standing.where(consent_grant.c.id.in_(unfrozen_at)))).all()
        active = frozenset(
            row.id
            for row in rows
            if row.updated_at == unfrozen_at[row.id]
            and grant_status(GrantEvent(row.last_event), expires_at=row.expires_at, now=now) is GrantStatus.ACTIVE
        )
        return Committed(active, began_at)

    async def record_refusal(
        self, refusal: Refusal, person: Person | None, *, relying_party_id: str, proof: Use | None, now: datetime
    ) -> Replayed | None:
        """A refusal is on record too: under the person where the relying party may know of the grant, unless they
        were erased meanwhile."""
        texts: Sequence[str] = [question.text for question in refusal.plan.questions]
        facts = EntryFacts(
            kind=AccessKind.REFUSED,
            relying_party_id=relying_party_id,
            person_id=person.id if person else None,
            grant_id=refusal.grant.id if refusal.grant else None,
            purpose=refusal.grant.purpose.value if refusal.grant else None,
            refused=texts,
            code=refusal.code,
            rule_pack_sha256=refusal.grant.rule_pack_sha256 if refusal.grant else None,
        )

        async def write(batch: Batch) -> None:
            if person is not None and await _PERSON.first(batch.connection, person_id=person.id) is None:
                await self._log.append_in(batch, facts.of_nobody(), person=None, at=now)
            else:
                await self._log.append_in(batch, facts, person=person, at=now)

        return (await self._write_with(proof, write)).outcome


def _is_ahead(until: datetime | None, now: datetime) -> bool:
    return until is not None and until > now


def _place(answer_id: str, grant_id: str, questions_digest: str) -> str:
    """What an Answer is sealed for: it answers these questions of this grant and no others."""
    return f"answer/{answer_id}/{grant_id}/{questions_digest}/body"


def _facts_of_release(answer: Answer, approved: ApprovedPlan, *, is_repeat: bool) -> EntryFacts:
    """What the entry of a release is about; the answer itself only as a commitment."""
    return EntryFacts(
        kind=AccessKind.RELEASED_AGAIN if is_repeat else AccessKind.RELEASED,
        relying_party_id=approved.grant.relying_party_id or "",
        person_id=approved.grant.person_id,
        grant_id=approved.grant.id,
        purpose=approved.grant.purpose.value,
        questions=[question.text for question in approved.answerable],
        refused=[question.text for question in approved.refused],
        code="FIELD_NOT_CONSENTED" if approved.refused else None,
        answer_id=answer.id,
        outcome=answer.to_bytes(),
        rule_pack_sha256=answer.rule_pack_sha256,
    )
