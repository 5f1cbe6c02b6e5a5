"""Derive and decide: evidence and a pinned rule pack in, claims and decisions out.

The same reasoning serves a relying party's question and the person's own preview of it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from connectors.evidence import Evidence
from connectors.interface import IdentityRecord, SourceAuthority
from connectors.value import Value
from gateway.consent.dispute import Disputed
from gateway.consent.gate import ApprovedPlan
from gateway.consent.telling import Settlement, Telling
from gateway.identity.subject import Person
from gateway.plan import Question
from resolvers.attribute import JST, Attribute, Freshness
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from resolvers.claim import Claim, Quantity, confirmed, withheld
from resolvers.conditions import Weighing
from resolvers.decision import Decision, RulePackRef
from resolvers.derive import (
    Needs,
    as_of,
    attribute_needs,
    decision_needs,
    derive_decision,
    derive_inputs,
    rule_arguments,
    sources_over,
)
from resolvers.disclosed import STAY, Comparison, Interval, comparisons_of, fact_of, told_by_claim, told_by_rule
from resolvers.facts import Absent, Arrived, Facts, absent_claim
from resolvers.inputs import RULE_INPUTS
from resolvers.record_confirmation import ConfirmedRecord
from resolvers.rules import PurposeRules, RulePack

Reply = Arrived[Evidence] | Absent

MAX_KEPT = 1024
"""How many sets of questions are remembered with what they take, and decisions with what they compare."""


@dataclass(frozen=True, slots=True, repr=False)
class Circumstances:
    """About whom and under what a question is answered: all but the evidence.

    `settled`: comparisons whose answer is frozen. `disputed`: what is withheld until its dispute is closed.
    `left_out`: the questions that the person left out. `confirmations`: as in `Person`.
    """

    identity: IdentityRecord
    purpose: Purpose
    rule_pack_sha256: str
    consent_until: datetime
    settled: Mapping[Comparison, Settlement] = field(default_factory=dict)
    disputed: Disputed = field(default_factory=Disputed)
    left_out: tuple[str, ...] = ()
    confirmations: tuple[ConfirmedRecord, ...] = ()

    @property
    def stay_is_open(self) -> bool:
        """Whether a decision may say when the stay should be looked at again."""
        is_disputed = self.disputed.covers(STAY, RULE_INPUTS[STAY].sources)
        return not is_disputed and "Immigration.stayRecheckBy" not in self.left_out


class Concluded(Value, frozen=True):
    """What the evidence makes of one question: a claim with its day, or a decision with what it weighed.

    `settles`: how the comparisons with an asked threshold came out. `told`: what the answer tells about
    hidden quantities, by fact.
    """

    claim: Claim[Any] | None = None
    as_of: date | None = None
    decision: Decision | None = None
    inputs: Mapping[str, Claim[Any]] | None = None
    settles: Mapping[Comparison, Settlement] = msgspec.field(default_factory=dict)
    told: Mapping[str, tuple[Interval, ...]] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _AskedClaim:
    """What is known of a question for a claim, whoever it is about."""

    attribute: Attribute
    fact: str
    compared: tuple[Comparison, ...]


@lru_cache(maxsize=MAX_KEPT)
def _asked_claim(question: Question) -> _AskedClaim:
    compared = comparisons_of(question.coordinate, question.arguments, None)
    return _AskedClaim(ATTRIBUTES[question.coordinate], fact_of(question.coordinate), tuple(compared))


class Reasoning:
    """Holds every rule pack that is in use, and the domain's calendar."""

    def __init__(
        self, packs: Mapping[str, RulePack], *, current: str, withdrawn: frozenset[str], today: Callable[[], date]
    ) -> None:
        self._packs = packs
        self._withdrawn = withdrawn
        self.current_pack = packs[current]
        self.today = today
        self._compared_by = lru_cache(maxsize=MAX_KEPT)(self._find_compared)
        self._needs_of = lru_cache(maxsize=MAX_KEPT)(self._find_needs)
        self._sources_of = lru_cache(maxsize=MAX_KEPT)(self._find_sources)

    @property
    def usable_packs(self) -> frozenset[str]:
        """The packs that are kept and not withdrawn; a grant that pins another has ended."""
        return frozenset(self._packs) - self._withdrawn

    def pack_ref(self, sha256: str) -> RulePackRef:
        return self._packs[sha256].ref

    def needs(self, questions: Iterable[Question], *, purpose: Purpose, rule_pack_sha256: str) -> Needs:
        """The sources that the questions declare, and how fresh their evidence has to be."""
        return self._needs_of(frozenset([question.coordinate for question in questions]), purpose, rule_pack_sha256)

    def _find_needs(self, coordinates: frozenset[str], purpose: Purpose, rule_pack_sha256: str) -> Needs:
        pack = self._packs[rule_pack_sha256]
        match_over = pack.purposes[purpose.value].match_over
        needs = Needs.of()
        for coordinate in coordinates:
            needs |= (
                decision_needs(pack.purposes[DECISIONS[coordinate].purpose.value])
                if coordinate in DECISIONS
                else attribute_needs(ATTRIBUTES[coordinate], match_over)
            )
        return needs

    def sources_of(self, coordinates: frozenset[str]) -> frozenset[SourceAuthority]:
        """The sources that questions take under the current rules, whoever is asked about."""
        return self._sources_of(coordinates)

    def _find_sources(self, coordinates: frozenset[str]) -> frozenset[SourceAuthority]:
        return frozenset[SourceAuthority]().union(*map(self._sources_of_one, coordinates))

    def _sources_of_one(self, coordinate: str) -> frozenset[SourceAuthority]:
        if coordinate in DECISIONS:
            return frozenset(decision_needs(self.current_pack.purposes[DECISIONS[coordinate].purpose.value]).sources)
        return sources_over(ATTRIBUTES[coordinate], SourceAuthority)

    def withhold_disputed(self, approved: ApprovedPlan, disputed: Disputed) -> ApprovedPlan:
        """What is disputed is withheld like what was left out, and nobody can tell the two apart: no source is asked
        for either, and neither is charged. A decision is made all the same, without what is disputed."""
        if not disputed.is_any:
            return approved
        grant = approved.grant
        match_over = self._packs[grant.rule_pack_sha256].purposes[grant.purpose.value].match_over
        return approved.withhold(
            [
                question
                for question in approved.released
                if not question.is_decision and _is_disputed(question, disputed, match_over)
            ]
        )

    def conclude(
        self, questions: Iterable[Question], circumstances: Circumstances, replies: Mapping[SourceAuthority, Reply]
    ) -> dict[str, Concluded]:
        """What each question comes to, by its canonical text."""
        pack = self._packs[circumstances.rule_pack_sha256]
        facts = self._facts(circumstances, pack.purposes[circumstances.purpose.value], replies)
        return {
            question.text: (
                self._conclude_decision(question, pack, facts, circumstances)
                if question.is_decision
                else _conclude_claim(question, facts, circumstances)
            )
            for question in questions
        }

    def _facts(
        self, circumstances: Circumstances, rules: PurposeRules, replies: Mapping[SourceAuthority, Reply]
    ) -> Facts:
        by_name: dict[str, Any] = {authority.lower(): reply for authority, reply in replies.items()}
        return Facts(
            today=self.today(),
            identity=circumstances.identity,
            match_over=rules.match_over,
            consent_until=circumstances.consent_until.astimezone(JST).date(),
            confirmations=circumstances.confirmations,
            **by_name,
        )

    def _find_compared(self, question: Question, rule_pack_sha256: str) -> tuple[Comparison, ...]:
        """The comparisons that a decision makes with the question's thresholds."""
        rules = self._packs[rule_pack_sha256].purposes[DECISIONS[question.coordinate].purpose.value]
        return tuple(comparisons_of(question.coordinate, question.arguments, rules))

    def _conclude_decision(
        self, question: Question, pack: RulePack, facts: Facts, circumstances: Circumstances
    ) -> Concluded:
        field_ = DECISIONS[question.coordinate]
        rules = pack.purposes[field_.purpose.value]
        disputed = circumstances.disputed
        inputs = derive_inputs(rules, facts)
        if disputed.is_any:
            inputs |= {name: withheld() for name in inputs if disputed.covers(name, _sources_of_input(name, rules))}
        weighing = Weighing(inputs, rule_arguments(question.arguments), _by_threshold(circumstances.settled))
        decision = derive_decision(field_, pack, facts, weighing=weighing, stay_is_open=circumstances.stay_is_open)
        settles: dict[Comparison, Settlement] = {}
        for compared in self._compared_by(question, pack.sha256):
            value = inputs[compared.fact].value if compared not in circumstances.settled else None
            if not isinstance(value, Quantity) or not isinstance(compared.threshold, int):
                continue
            held = value.at_least(compared.threshold)
            if held is not None and _freezes(RULE_INPUTS[compared.fact].freshness):
                settles[compared] = Settlement(held, _as_of_fact(compared.fact, facts))
        return Concluded(
            decision=decision, inputs=inputs, settles=settles, told=_told(rules, weighing, today=facts.today)
        )

    def own_claim(
        self,
        attribute: Attribute,
        arguments: Mapping[str, Any],
        *,
        person: Person,
        replies: Mapping[SourceAuthority, Reply],
    ) -> tuple[Claim[Any], date | None]:
        """A person's own claim: over all sources, under no consent."""
        by_name: dict[str, Any] = {authority.lower(): reply for authority, reply in replies.items()}
        facts = Facts(
            today=self.today(),
            identity=person.identity,
            match_over=tuple(SourceAuthority),
            confirmations=person.confirmations,
            **by_name,
        )
        return attribute.claim(facts, arguments), as_of(attribute, facts)


def _conclude_claim(question: Question, facts: Facts, circumstances: Circumstances) -> Concluded:
    """The claim of one attribute; its frozen answer, where the threshold was asked before."""
    asked = _asked_claim(question)
    attribute = asked.attribute
    if circumstances.disputed.is_any and _is_disputed(question, circumstances.disputed, facts.match_over):
        return Concluded(claim=withheld())  # for the person's own preview; nothing else asks for it
    claim, day = attribute.claim(facts, question.arguments), as_of(attribute, facts)
    settles: dict[Comparison, Settlement] = {}
    for compared in asked.compared:
        found = circumstances.settled.get(compared)
        if found is not None:  # it told what it tells when it was settled
            return Concluded(claim=confirmed(found.held), as_of=found.as_of)
        if isinstance(claim.value, bool) and isinstance(compared.threshold, int) and _freezes(attribute.freshness):
            settles[compared] = Settlement(claim.value, day)
    if not claim.is_confirmed:
        return Concluded(claim=claim, as_of=day, settles=settles)
    told = told_by_claim(question.coordinate, question.arguments, claim.value)
    return Concluded(
        claim=claim, as_of=day, settles=settles, told={fact: (interval,) for fact, interval in told.items()}
    )


def _is_disputed(question: Question, disputed: Disputed, match_over: Iterable[SourceAuthority]) -> bool:
    asked = _asked_claim(question)
    return disputed.covers(asked.fact, sources_over(asked.attribute, match_over))


def _sources_of_input(name: str, rules: PurposeRules) -> frozenset[SourceAuthority]:
    return sources_over(RULE_INPUTS[name], rules.match_over)


def _freezes(freshness: Freshness) -> bool:
    """Whether threshold answers about such a fact are frozen: whether the stay is lawful is never left to age."""
    return freshness is not Freshness.F1


_OF_FACT = {fact_of(coordinate): attribute for coordinate, attribute in reversed(ATTRIBUTES.items())}
"""The first attribute of each fact."""


def _as_of_fact(fact: str, facts: Facts) -> date | None:
    """The day that the source of a fact's attribute stands for."""
    attribute = _OF_FACT.get(fact)
    return None if attribute is None else as_of(attribute, facts)


def _by_threshold(settled: Mapping[Comparison, Settlement]) -> dict[tuple[str, int], bool]:
    """The settled comparisons as rules look them up: rules compare numbers."""
    return {
        (compared.fact, compared.threshold): found.held
        for compared, found in settled.items()
        if isinstance(compared.threshold, int)
    }


def _told(rules: PurposeRules, weighing: Weighing, *, today: date) -> dict[str, tuple[Interval, ...]]:
    """What the visible results of a decision's rules tell, by fact."""
    told: dict[str, tuple[Interval, ...]] = {}
    for rule in rules.rules:
        for fact, interval in told_by_rule(rule, weighing, today=today).items():
            told[fact] = (*told.get(fact, ()), interval)
    return told


def make_telling(concluded: Iterable[Concluded], *, frozen: timedelta) -> Telling:
    """What these conclusions settle and tell together."""
    settles: dict[Comparison, Settlement] = {}
    intervals: dict[str, tuple[Interval, ...]] = {}
    for found in concluded:
        settles |= found.settles
        for fact, told in found.told.items():
            intervals[fact] = (*intervals.get(fact, ()), *told)
    return Telling(settles, intervals, frozen)


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
