"""From what is stored to what a person sees of it: the GraphQL types of `me` and the mutations."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry

from connectors.evidence import Evidence
from connectors.interface import SourceAuthority
from gateway.answer import value_json
from gateway.consent import dispute as disputes
from gateway.consent.grant import Grant
from gateway.gather import Reply
from gateway.identity.relying_party import RelyingParties
from gateway.identity.subject import Person
from gateway.plan import Question
from gateway.reasoning import Concluded, Reasoning
from gateway.store.disclosures import Told
from gateway.store.log import LoggedAccess
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from resolvers.claim import ClaimState
from resolvers.consent import (
    ConsentGrant,
    Disclosure,
    Dispute,
    OwnDecision,
    OwnRuleResult,
    PreviewedClaim,
    PreviewedQuestion,
    RelyingParty,
    TraceStep,
)
from resolvers.decision import Decision, RuleResult
from resolvers.derive import Needs
from resolvers.disclosed import Interval, known
from resolvers.facts import Absent, Arrived
from resolvers.linkage import RecordMatch, matches_of, probable_records
from resolvers.rules import AWAITED
from resolvers.subject import GrantStatus, LocalizedText, RuleBasis, RulePack
from resolvers.worker import Access, ProbableRecord, RecordEntry, RecordField, SourceRecord


class Views:
    """Views that name relying parties and rule packs."""

    def __init__(self, relying_parties: RelyingParties, reasoning: Reasoning, now: Callable[[], datetime]) -> None:
        self._relying_parties = relying_parties
        self._reasoning = reasoning
        self._now = now

    def grant(self, grant: Grant) -> ConsentGrant:
        now = self._now()
        status = grant.status(now)
        is_over = grant.rule_pack_sha256 not in self._reasoning.usable_packs
        if is_over and status in (GrantStatus.ACTIVE, GrantStatus.PAUSED):
            status = GrantStatus.EXPIRED  # its rules were withdrawn, and it ended with them
        return ConsentGrant(
            id=strawberry.ID(grant.id),
            status=status,
            purpose=grant.purpose,
            relying_party=self.party(grant.relying_party_id),
            questions=list(grant.questions),
            left_out=list(grant.left_out),
            guardian=grant.guardian,
            requested_at=grant.requested_at,
            granted_at=grant.granted_at,
            paused_at=grant.paused_at if status is GrantStatus.PAUSED else None,
            ended_at=grant.ended_at or (grant.expires_at if now >= grant.expires_at else None),
            expires_at=grant.expires_at,
            fetch_type=grant.terms.fetch,
            times_per_day=grant.terms.times_per_day,
            data_life_days=grant.terms.data_life_days,
            uses_left=grant.uses_left,
            next_refresh_at=grant.next_refresh_at(now),
            rule_pack=self.pack(grant.rule_pack_sha256),
        )

    def access(self, access: LoggedAccess) -> Access:
        detail = access.detail
        return Access(
            entry=access.sequence,
            at=access.at,
            kind=access.kind,
            relying_party=self.party(access.relying_party_id),
            purpose=Purpose(detail["purpose"]) if detail["purpose"] else None,
            questions=detail["questions"],
            refused=detail["refused"],
            code=detail["code"],
            about=detail.get("about"),
        )

    def party(self, party_id: str | None) -> RelyingParty | None:
        """A relying party by its registered name; by its id if it is not registered any more."""
        if not party_id:
            return None
        party = self._relying_parties.find(party_id)
        name = LocalizedText.of(party.name) if party else LocalizedText(en=party_id, ja=party_id)
        return RelyingParty(id=strawberry.ID(party_id), name=name)

    def pack(self, sha256: str) -> RulePack:
        ref = self._reasoning.pack_ref(sha256)
        return RulePack(name=ref.name, version=ref.version, sha256=ref.sha256)


def disclosures_view(told: Iterable[Told]) -> list[Disclosure]:
    """What each relying party knows, and what all of them would know together."""
    listed = list(told)
    knowers = sorted({one.relying_party_id for one in listed})
    families = sorted({fact for one in listed for fact in one.intervals})
    found: list[Disclosure] = []
    for knower in [*knowers, None]:
        for family in families:
            heard = [one for one in listed if knower in (None, one.relying_party_id) and family in one.intervals]
            if not heard:
                continue
            interval = known(_together(one.intervals[family]) for one in heard)
            found.append(
                Disclosure(
                    relying_party=strawberry.ID(knower) if knower else None,
                    family=family,
                    known_at_least=interval.at_least,
                    known_below=interval.below,
                )
            )
    return found


def _together(intervals: Iterable[Interval]) -> Interval:
    """What the parts of one Answer tell together."""
    told = Interval()
    for interval in intervals:
        told = told.meet(interval)
    return told


def dispute_view(dispute: disputes.Dispute) -> Dispute:
    return Dispute(
        id=strawberry.ID(dispute.id),
        claim=dispute.claim,
        record=dispute.record,
        statement=dispute.statement,
        opened_at=dispute.opened_at,
        closed_at=dispute.closed_at,
        outcome=dispute.outcome,
        corrected_by=dispute.corrected_by,
    )


def previewed_question(
    question: Question,
    found: Concluded,
    needs: Needs,
    *,
    replies: Mapping[SourceAuthority, Reply],
    may_leave_out: bool,
) -> PreviewedQuestion:
    asked = DECISIONS[question.coordinate] if question.is_decision else ATTRIBUTES[question.coordinate]
    claim = None
    if found.claim is not None:
        value, source = value_json(found.claim.value), ATTRIBUTES[question.coordinate].source
        claim = PreviewedClaim(
            value=None if value is None else str(value).lower() if isinstance(value, bool) else str(value),
            state=found.claim.state,
            reason=found.claim.reason,
            as_of=found.as_of,
            source=source,
            source_holds_none=any(holds_none(reply) for by, reply in replies.items() if by.value == source.value),
            retry_at=found.claim.retry_at,
        )
    return PreviewedQuestion(
        question=question.text,
        text=LocalizedText.of(asked.text),
        sources=sorted(needs.sources),
        may_leave_out=may_leave_out,
        claim=claim,
        decision=_decision_view(found.decision) if found.decision is not None else None,
    )


def _decision_view(decision: Decision) -> OwnDecision:
    pack = decision.rule_pack
    return OwnDecision(
        outcome=decision.outcome,
        rules=[_rule_view(rule) for rule in decision.rules],
        recheck_on=decision.recheck_on,
        retry_at=decision.retry_at,
        rule_pack=RulePack(name=pack.name, version=pack.version, sha256=pack.sha256),
        decided_on=decision.decided_on,
    )


def _rule_view(rule: RuleResult) -> OwnRuleResult:
    return OwnRuleResult(
        id=rule.id,
        title=LocalizedText.of(rule.title) if rule.title else None,
        result=rule.result,
        condition=rule.condition,
        basis=RuleBasis(kind=rule.basis.kind, source=rule.basis.source),
        explanation=LocalizedText.of(rule.person_explanation),
        cures=[] if rule.person_explanation == AWAITED else [LocalizedText.of(cure) for cure in rule.cures],
        trace=[TraceStep(condition=step.condition, held=step.held) for step in rule.trace],
    )


def record_view(authority: SourceAuthority, reply: Reply, person: Person) -> SourceRecord:
    """What one source holds about the person, without what may be somebody else's; or why there is nothing.

    What a person confirmed they may take back while the source is silent, too.
    """
    confirmed_at = next((one.confirmed_at for one in person.confirmations if one.source is authority), None)
    if isinstance(reply, Absent):
        return SourceRecord(
            source=authority,
            state=reply.state,
            reason=reply.reason,
            observed_at=None,
            as_of=None,
            retry_at=reply.retry_at,
            entries=[],
            unresolved=0,
            probable=[],
            confirmed_at=confirmed_at,
        )
    entries = record_entries(reply.evidence)
    matches = matches_of(reply.evidence, person.identity, person.confirmations)
    probable = probable_records(reply.evidence, person.identity, person.confirmations)
    own = [
        entry
        for entry, match in zip(entries, matches, strict=True)
        if match is RecordMatch.MATCHED  # any other may be somebody else's: not even the person may read it
    ]
    return SourceRecord(
        source=authority,
        state=ClaimState.CONFIRMED,
        reason=None,
        observed_at=reply.evidence.observed_at,
        as_of=reply.evidence.as_of,
        retry_at=None,
        entries=own,
        unresolved=len(entries) - len(own),
        probable=[ProbableRecord(name=one.name, date_of_birth=one.date_of_birth) for one in probable],
        confirmed_at=confirmed_at,
    )


def holds_none(reply: Reply) -> bool:
    """Whether a source answered that it has nothing that could be about the person."""
    return isinstance(reply, Arrived) and not record_entries(reply.evidence)


def record_entries(evidence: Evidence) -> list[RecordEntry]:
    """The records inside evidence, each as a flat list of fields."""
    base = {field.name for field in dataclasses.fields(Evidence)}
    own = [getattr(evidence, f.name) for f in dataclasses.fields(evidence) if f.name not in base]
    records = [item for value in own for item in (value if isinstance(value, tuple) else (value,))]
    return [
        RecordEntry(fields=list(_fields(record)))
        for record in records
        if dataclasses.is_dataclass(record) and not isinstance(record, type)
    ]


def _fields(record: Any, prefix: str = "") -> list[RecordField]:
    listed: list[RecordField] = []
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        for item in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(item) and not isinstance(item, type):
                listed += _fields(item, f"{prefix}{f.name}.")
            elif item is not None:
                text = str(item.value) if isinstance(item, Enum) else str(item)
                listed.append(RecordField(name=f"{prefix}{f.name}", value=text))
    return listed
