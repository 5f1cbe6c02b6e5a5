"""From facts to claims and decisions: which sources a question needs, and what they make of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from connectors.evidence import Evidence
from connectors.interface import SourceAuthority
from resolvers.attribute import JST, Attribute, Freshness, binding_classes
from resolvers.catalogue import DecisionField
from resolvers.claim import Claim
from resolvers.conditions import Weighing
from resolvers.decision import Decision
from resolvers.facts import Absent, Facts, reply_of
from resolvers.inputs import RULE_INPUTS, RuleInput
from resolvers.rules import PurposeRules, RulePack, weigh
from resolvers.stay import derive_stay_ends_on


@dataclass(frozen=True, slots=True)
class Needs:
    """What answering takes: the sources, and the freshness classes that each observation has to keep."""

    sources: Mapping[SourceAuthority, frozenset[Freshness]]

    @classmethod
    def of(cls, *needed: tuple[frozenset[SourceAuthority], Freshness]) -> "Needs":
        classes: dict[SourceAuthority, frozenset[Freshness]] = {}
        for sources, freshness in needed:
            for source in sources:
                classes[source] = classes.get(source, frozenset()) | {freshness}
        return cls(classes)

    def __or__(self, other: "Needs") -> "Needs":
        classes = dict(self.sources)
        for source, needed in other.sources.items():
            classes[source] = classes.get(source, frozenset()) | needed
        return Needs(classes)

    def fresh_until(self, source: SourceAuthority, observed_at: datetime) -> datetime:
        """Until when an observation of a source serves every class that is needed of it."""
        return min([freshness.fresh_until(observed_at) for freshness in binding_classes(self.sources[source])])


def sources_over(asked: Attribute | RuleInput, match_over: Iterable[SourceAuthority]) -> frozenset[SourceAuthority]:
    """The sources that it looks at; record match looks at those of the purpose's match rule."""
    return frozenset(match_over) if asked.over_match_rule else asked.sources


def attribute_needs(attribute: Attribute, match_over: tuple[SourceAuthority, ...]) -> Needs:
    """The needs of one attribute, under a match rule."""
    return Needs.of((sources_over(attribute, match_over), attribute.freshness))


def decision_needs(rules: PurposeRules) -> Needs:
    """The sources of a decision: those of every claim that one of its rules weighs."""
    named = [RULE_INPUTS[name] for name in rules.inputs]
    return Needs.of(*((sources_over(rule_input, rules.match_over), rule_input.freshness) for rule_input in named))


def derive_inputs(rules: PurposeRules, facts: Facts) -> dict[str, Claim[Any]]:
    """Every claim that a purpose's rules weigh."""
    return {name: RULE_INPUTS[name].derive(facts) for name in rules.inputs_in_order}


def derive_decision(
    field: DecisionField, pack: RulePack, facts: Facts, *, weighing: Weighing, stay_is_open: bool = True
) -> Decision:
    """The decision of one purpose over its rule inputs. `stay_is_open`: nothing withholds when the stay ends."""
    stay_ends_on = derive_stay_ends_on(facts).value if stay_is_open else None
    return weigh(pack, field.purpose.value, weighing, today=facts.today, stay_ends_on=stay_ends_on)


def rule_arguments(arguments: Mapping[str, Any]) -> dict[str, int | str]:
    """A question's arguments as rules weigh them."""
    return {name: value if isinstance(value, int) else str(value) for name, value in arguments.items()}


def as_of(attribute: Attribute, facts: Facts) -> date | None:
    """The day an attribute's own source stands for: its as-of, or the day it was observed."""
    authority = attribute.authority
    if authority is None:
        return facts.today
    if authority not in facts.days:
        reply = reply_of(facts, authority)
        facts.days[authority] = None if reply is None or isinstance(reply, Absent) else _day_of(reply.evidence)
    return facts.days[authority]


def _day_of(evidence: Evidence) -> date:
    return evidence.as_of or evidence.observed_at.astimezone(JST).date()
