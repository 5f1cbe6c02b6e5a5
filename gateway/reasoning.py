"""Derive and decide: evidence and a pinned rule pack in, claims and decisions out.

The same reasoning serves a relying party's question and the person's own preview of it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from connectors.evidence import Evidence
from connectors.interface import IdentityRecord, SourceAuthority
from gateway.plan import Question
from resolvers.attribute import JST, Attribute
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from resolvers.claim import Claim
from resolvers.decision import Decision, RulePackRef
from resolvers.derive import Needs, as_of, attribute_needs, decision_needs, derive_decision, derive_inputs
from resolvers.facts import Absent, Arrived, Facts, absent_claim
from resolvers.rules import PurposeRules, RulePack

Reply = Arrived[Evidence] | Absent


@dataclass(frozen=True, slots=True, repr=False)
class Circumstances:
    """About whom and under what a question is answered: all but the evidence."""

    identity: IdentityRecord
    purpose: Purpose
    rule_pack_sha256: str
    consent_until: datetime


@dataclass(frozen=True, slots=True, repr=False)
class Concluded:
    """What the evidence makes of one question: a claim with its day, or a decision with what it weighed."""

    claim: Claim[Any] | None = None
    as_of: date | None = None
    decision: Decision | None = None
    inputs: Mapping[str, Claim[Any]] | None = None


class Reasoning:
    """Holds every rule pack that is in use, and the domain's calendar."""

    def __init__(
        self, packs: Mapping[str, RulePack], *, current: str, withdrawn: frozenset[str], today: Callable[[], date]
    ) -> None:
        self._packs = packs
        self._withdrawn = withdrawn
        self.current_pack = packs[current]
        self.today = today

    @property
    def usable_packs(self) -> frozenset[str]:
        """The packs that are kept and not withdrawn; a grant that pins another has ended."""
        return frozenset(self._packs) - self._withdrawn

    def pack_ref(self, sha256: str) -> RulePackRef:
        return self._packs[sha256].ref

    def needs(self, questions: Iterable[Question], *, purpose: Purpose, rule_pack_sha256: str) -> Needs:
        """The sources that the questions declare, and how fresh their evidence has to be."""
        pack = self._packs[rule_pack_sha256]
        match_over = pack.purposes[purpose.value].match_over
        needs = Needs.of()
        for question in questions:
            if question.is_decision:
                needs |= decision_needs(pack.purposes[DECISIONS[question.coordinate].purpose.value])
            else:
                needs |= attribute_needs(ATTRIBUTES[question.coordinate], match_over)
        return needs

    def conclude(
        self, questions: Iterable[Question], circumstances: Circumstances, replies: Mapping[SourceAuthority, Reply]
    ) -> dict[str, Concluded]:
        """What each question comes to, by its canonical text."""
        pack = self._packs[circumstances.rule_pack_sha256]
        facts = self._facts(circumstances, pack.purposes[circumstances.purpose.value], replies)
        return {question.text: self._conclude_one(question, pack, facts) for question in questions}

    def _facts(
        self, circumstances: Circumstances, rules: PurposeRules, replies: Mapping[SourceAuthority, Reply]
    ) -> Facts:
        by_name: dict[str, Any] = {authority.value.lower(): reply for authority, reply in replies.items()}
        return Facts(
            today=self.today(),
            identity=circumstances.identity,
            match_over=rules.match_over,
            consent_until=circumstances.consent_until.astimezone(JST).date(),
            **by_name,
        )

    @staticmethod
    def _conclude_one(question: Question, pack: RulePack, facts: Facts) -> Concluded:
        if question.is_decision:
            field = DECISIONS[question.coordinate]
            inputs = derive_inputs(pack.purposes[field.purpose.value], facts)
            decision = derive_decision(field, pack, facts, inputs=inputs, arguments=question.arguments)
            return Concluded(decision=decision, inputs=inputs)
        attribute = ATTRIBUTES[question.coordinate]
        return Concluded(claim=attribute.claim(facts, question.arguments), as_of=as_of(attribute, facts))

    def own_claim(
        self,
        attribute: Attribute,
        arguments: Mapping[str, Any],
        *,
        identity: IdentityRecord,
        replies: Mapping[SourceAuthority, Reply],
    ) -> tuple[Claim[Any], date | None]:
        """A person's own claim: over all sources, under no consent."""
        by_name: dict[str, Any] = {authority.value.lower(): reply for authority, reply in replies.items()}
        facts = Facts(today=self.today(), identity=identity, match_over=tuple(SourceAuthority), **by_name)
        return attribute.claim(facts, arguments), as_of(attribute, facts)


def is_awaited(reply: Reply) -> bool:
    """Whether a source has not answered yet: a later answer may be another."""
    silent: Claim[Any] | None = absent_claim(reply) if isinstance(reply, Absent) else None
    return silent is not None and silent.is_awaited


def fresh_until(needs: Needs, replies: Mapping[SourceAuthority, Reply], *, now: datetime) -> datetime:
    """Until when what follows from these replies may be used: the shortest of their freshness classes.

    A source that could not tell whom we mean said so now, and may say otherwise later.
    """
    ends = [
        needs.fresh_until(authority, reply.evidence.observed_at if isinstance(reply, Arrived) else now)
        for authority, reply in replies.items()
    ]
    return min(ends, default=datetime.max.replace(tzinfo=UTC))
