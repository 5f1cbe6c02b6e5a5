"""What an operation costs: the sources that it takes, and the questions it asks, about each person.

It is the same whatever a person left out and whatever is known already: else it would tell of that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from connectors.interface import SourceAuthority
from gateway.plan import Plan
from gateway.reasoning import Reasoning


class CostMode(StrEnum):
    """Whether costs are only counted, or held to their bounds too."""

    MEASURE = "measure"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class Tariff:
    """What things cost. `operation_limit`: of one operation; `budget`: of one relying party in a minute."""

    mode: CostMode
    of_source: Mapping[SourceAuthority, int]
    of_question: int
    operation_limit: int
    budget: int

    @property
    def is_enforced(self) -> bool:
        return self.mode is CostMode.ENFORCE


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of an operation about so many people, whose questions take these sources."""

    sources: frozenset[SourceAuthority]
    people: int
    total: int


def cost_of(plans: Sequence[Plan], reasoning: Reasoning, tariff: Tariff) -> Cost:
    """The cost of an operation's plans, which ask the same about each person."""
    questions, coordinates = (plans[0].questions, plans[0].coordinates) if plans else ((), frozenset[str]())
    sources = reasoning.sources_of(coordinates)
    each = sum([tariff.of_source[source] for source in sources]) + len(questions) * tariff.of_question
    return Cost(sources, len(plans), each * len(plans))
