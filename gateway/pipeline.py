"""answer(): the eight steps from a relying party's question to its answer. Read this first.

identify and respond stand at the edge (gateway/http). Each step takes only what the one before gives, so
that leaving one out does not type-check; nothing reaches a relying party but a `Release` made here.
gateway/lease.py runs these steps for every person whom an operation asks about, and says until when it may leave.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.evidence import Evidence
from connectors.interface import SourceAuthority
from gateway.admission import keep_step
from gateway.answer import Answer, JsonObject, claim_json, decision_json, input_json
from gateway.consent.dispute import Disputed, disputed_by
from gateway.consent.gate import ApprovedPlan, Refusal, check_consent, refusal_of
from gateway.consent.purpose import PurposeBounds
from gateway.consent.telling import Telling
from gateway.consent.token import token_digest
from gateway.errors import OverloadedError, ReplayedError
from gateway.gather import Gatherer, Holder
from gateway.identity.relying_party import RelyingParty
from gateway.identity.subject import Person
from gateway.plan import Plan
from gateway.reasoning import Circumstances, Concluded, Reasoning, fresh_until, is_awaited, make_telling
from gateway.store.answers import Answers
from gateway.store.disclosures import Disclosures
from gateway.store.disputes import Disputes
from gateway.store.grants import Grants
from gateway.store.outcome import Ended, Replayed, TooSoon, Unfrozen
from gateway.store.used_once import Use, UsedOnce
from gateway.tracing import step
from resolvers.catalogue import ATTRIBUTES, Purpose
from resolvers.claim import withheld
from resolvers.derive import Needs
from resolvers.facts import Absent, Arrived

LEASE_SECONDS = 0.1
"""An answer's first byte leaves within this time of its transaction's start, or not at all. Revoke waits as long."""

MAX_RESTARTS = 3
"""How often an answer is concluded anew because the person's record changed, or a dispute, while it was made."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the steps work with."""

    grants: Grants
    answers: Answers
    disclosures: Disclosures
    disputes: Disputes
    used_once: UsedOnce
    gatherer: Gatherer
    reasoning: Reasoning
    purposes: Mapping[Purpose, PurposeBounds]
    engine_version: str
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks. `proof`: what their request proved itself by; it is used up with the first that is recorded of it.
    `hurries`: they wait for less than usual. What is not there by then they do without, and pay all the same."""

    party: RelyingParty
    proof: Use | None = None
    hurries: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Gathered:
    """The evidence for an approved plan."""

    approved: ApprovedPlan
    needs: Needs
    replies: Mapping[SourceAuthority, Arrived[Evidence] | Absent]


@dataclass(frozen=True, slots=True, repr=False)
class Prepared:
    """An Answer that may be recorded for its grant. `telling` None: it was recorded before, and is released again."""

    answer: Answer
    approved: ApprovedPlan
    person: Person
    telling: Telling | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Release:
    """A recorded answer that may leave until `lease_ends_at` (monotonic seconds)."""

    answer: Answer
    approved: ApprovedPlan
    person: Person
    uses_left: int | None
    is_charged: bool
    lease_ends_at: float


async def answer(plan: Plan, asker: Asker, services: Services, *, ends_at: float) -> Release | Refusal:
    """Answer a plan for an identified relying party; every way out of here is on record.

    `ends_at`: the deadline on the event loop's clock; what has not arrived by then is PENDING. Raises
    RecordUnavailableError if nothing could be recorded, and then nothing is disclosed.
    """
    for _ in range(MAX_RESTARTS):
        prepared = await prepare(plan, asker, services, ends_at=ends_at)
        if isinstance(prepared, Refusal):
            return prepared
        released = await release(prepared, asker, services)
        if released is not None:
            return released
    raise OverloadedError("the person's record changes faster than it is read")


async def prepare(plan: Plan, asker: Asker, services: Services, *, ends_at: float) -> Prepared | Refusal:
    """Everything up to the record: gate, gather, derive, decide. A refusal is on record."""
    now = services.now()
    with step("gate"):
        changes = services.grants.changes
        found = await services.grants.find_by_token(token_digest(plan.consent_token), asker.party.id)
        grant, person = found if found else (None, None)
        await keep_step()
        packs = services.reasoning.usable_packs
        approved = check_consent(plan, grant, now=now, usable_packs=packs, usable_purposes=asker.party.purposes)
    if isinstance(approved, Refusal) or person is None:
        return await _refuse(approved, person, asker, services)

    earlier, paid_until = await services.answers.find_fresh(approved, person, now=now)
    if earlier is not None and earlier.today == services.reasoning.today():
        return Prepared(earlier, approved, person)
    if paid_until is None and (refusal := _used_up(approved, now=now)):
        return await _refuse(refusal, person, asker, services)

    disputed = disputed_by(await services.disputes.of_person(person) if person.has_disputes else ())
    approved = services.reasoning.withhold_disputed(approved, disputed)
    await keep_step()
    with step("gather"):
        gathered = await _gather(approved, person, services, changes=changes, ends_at=ends_at)
    await keep_step()
    with step("decide"):
        circumstances = await _circumstances(approved, person, disputed, services)
        concluded = services.reasoning.conclude(approved.released, circumstances, gathered.replies)
        await keep_step()
        answered = _make_answer(gathered, concluded, services, paid_until=paid_until)
    telling = make_telling(concluded.values(), frozen=services.purposes[approved.grant.purpose].frozen)
    return Prepared(answered, approved, person, telling)


def _used_up(approved: ApprovedPlan, *, now: datetime) -> Refusal | None:
    """The refusal of a grant that gives no other Answer: for ever, or for now."""
    if approved.grant.uses_left == 0:
        return Refusal("CONSENT_ENDED", approved.plan, approved.grant)
    retry_at = approved.grant.next_look_at(now)
    return Refusal("RATE_LIMITED", approved.plan, approved.grant, retry_at) if retry_at else None


async def release(prepared: Prepared, asker: Asker, services: Services) -> Release | Refusal | None:
    """Record, and only then release. A grant that ended meanwhile is refused here.

    None: the person's record was corrected or disputed meanwhile, and the answer has to be made anew.
    """
    approved, person = prepared.approved, prepared.person
    await keep_step()
    with step("record"):
        committed = await services.answers.record(
            prepared.answer,
            approved,
            person,
            telling=prepared.telling,
            proof=asker.proof,
            hurried=asker.hurries,
            now=services.now,
        )
    match committed.outcome:
        case Unfrozen():
            return None
        case Replayed():
            raise ReplayedError
        case Ended(status):
            return await _refuse(refusal_of(status, approved.plan, approved.grant), person, asker, services)
        case TooSoon(retry_at):
            refusal = Refusal("RATE_LIMITED", approved.plan, approved.grant, retry_at)
            return await _refuse(refusal, person, asker, services)
    return Release(
        answer=committed.outcome.answer,
        approved=approved,
        person=person,
        uses_left=committed.outcome.uses_left,
        is_charged=committed.outcome.is_charged,
        lease_ends_at=committed.began_at + LEASE_SECONDS,
    )


async def _refuse(
    refusal: ApprovedPlan | Refusal, person: Person | None, asker: Asker, services: Services
) -> Refusal:
    if not isinstance(refusal, Refusal):
        raise LookupError("an approved plan is about a person")
    about = person if refusal.grant is not None else None
    replayed = await services.answers.record_refusal(
        refusal, about, relying_party_id=asker.party.id, proof=asker.proof, now=services.now()
    )
    if replayed is not None:
        raise ReplayedError
    return refusal


async def _gather(
    approved: ApprovedPlan, person: Person, services: Services, *, changes: int | None, ends_at: float
) -> Gathered:
    """`changes`: read before the grant was looked up; see `Grants.changes`."""
    grant = approved.grant
    needs = services.reasoning.needs(
        approved.released, purpose=grant.purpose, rule_pack_sha256=grant.rule_pack_sha256
    )
    holder = grant_holder(
        grant.id,
        person,
        may_keep=lambda: services.grants.is_still_open(grant, services.now(), changes=changes),
    )
    return Gathered(approved, needs, await services.gatherer.gather(holder, needs, ends_at=ends_at))


def grant_holder(
    grant_id: str, person: Person, *, may_keep: Callable[[], Awaitable[bool]], keep: timedelta | None = None
) -> Holder:
    """A grant as the holder of evidence."""
    return Holder(
        id=grant_id,
        version=person.unfrozen_at.isoformat(),
        person_key=person.key,
        identity=person.identity,
        may_keep=may_keep,
        keep=keep,
    )


async def _circumstances(
    approved: ApprovedPlan, person: Person, disputed: Disputed, services: Services
) -> Circumstances:
    """What came up since the grant and the person were looked up is noticed when the Answer is recorded."""
    grant = approved.grant
    return Circumstances(
        person.identity,
        grant.purpose,
        grant.rule_pack_sha256,
        grant.expires_at,
        settled=await services.disclosures.settled(grant, person, now=services.now()) if grant.settled_at else {},
        disputed=disputed,
        left_out=grant.left_out,
        confirmations=person.confirmations,
    )


def _make_answer(
    gathered: Gathered, concluded: Mapping[str, Concluded], services: Services, *, paid_until: datetime | None
) -> Answer:
    """The Answer for these conclusions; what was left out is withheld, without a look at any source.

    `paid_until`: an Answer of another day, or from before a correction, would have lasted so long; so does this.
    """
    now = services.now()
    claims: dict[str, JsonObject] = {}
    decisions: dict[str, JsonObject | None] = {}
    inputs: dict[str, JsonObject] = {}
    for question in gathered.approved.withheld:
        if question.is_decision:
            decisions[question.text] = None
        else:
            claims[question.text] = claim_json(withheld(), ATTRIBUTES[question.coordinate], as_of=None)
    for question in gathered.approved.released:
        found = concluded[question.text]
        if found.decision is not None:
            decisions[question.text] = decision_json(found.decision)
            inputs |= {name: input_json(claim) for name, claim in (found.inputs or {}).items()}
        elif found.claim is not None:
            attribute = ATTRIBUTES[question.coordinate]
            claims[question.text] = claim_json(found.claim, attribute, as_of=found.as_of)
    return Answer(
        id=str(uuid.uuid4()),
        questions=tuple(question.text for question in gathered.approved.answerable),
        claims=claims,
        decisions=decisions,
        inputs=inputs,
        evidence=_evidence_json(gathered.replies),
        rule_pack_sha256=gathered.approved.grant.rule_pack_sha256,
        engine_version=services.engine_version,
        today=services.reasoning.today(),
        complete=not any(is_awaited(reply) for reply in gathered.replies.values()),
        fresh_until=_fresh_until(gathered, paid_until, now=now),
        recorded_at=now,
    )


def _fresh_until(gathered: Gathered, paid_until: datetime | None, *, now: datetime) -> datetime:
    grant = gathered.approved.grant
    ends = [
        fresh_until(gathered.needs, gathered.replies, now=now),
        grant.expires_at,
        now + timedelta(days=grant.terms.data_life_days),
    ]
    return min(ends if paid_until is None else [*ends, paid_until])


def _evidence_json(replies: Mapping[SourceAuthority, Arrived[Evidence] | Absent]) -> dict[str, JsonObject]:
    """On what an Answer rests: which source was observed when, or why it was not."""
    return {
        str(authority): (
            {"observedAt": reply.evidence.observed_at.isoformat()}
            if isinstance(reply, Arrived)
            else {"state": reply.state.value, "reason": reply.reason.value}
        )
        for authority, reply in replies.items()
    }
