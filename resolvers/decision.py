"""A decision: a verdict about now, with every rule that led to it."""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


class RuleOutcome(StrEnum):
    """The result of one rule, best first."""

    NOT_APPLICABLE = "NOT_APPLICABLE"
    PASS = "PASS"  # noqa: S105 - the name of a result, not a password
    CONDITION = "CONDITION"
    EVIDENCE = "EVIDENCE"
    FAIL = "FAIL"


class Outcome(StrEnum):
    """The verdict of a decision: about now, never a rejection."""

    ELIGIBLE = "ELIGIBLE"
    CONDITIONAL = "CONDITIONAL"
    NEEDS_EVIDENCE = "NEEDS_EVIDENCE"
    NOT_ELIGIBLE_NOW = "NOT_ELIGIBLE_NOW"


class BasisKind(StrEnum):
    """What a rule rests on."""

    LAW = "LAW"
    GUIDANCE = "GUIDANCE"
    PRACTICE = "PRACTICE"
    PROJECT = "PROJECT"


@dataclass(frozen=True, slots=True)
class Text:
    """The same words in English and Japanese."""

    en: str
    ja: str


@dataclass(frozen=True, slots=True)
class Basis:
    kind: BasisKind
    source: str


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One condition that was weighed: as written in the pack, and whether it held (None: unknown)."""

    condition: str
    held: bool | None


@dataclass(frozen=True, slots=True, repr=False)
class RuleResult:
    """What one rule said. `title`: what it is about, where its pack says so; `person_explanation` and `trace` are
    for the person and reviewers alone."""

    id: str
    title: Text | None
    result: RuleOutcome
    condition: str | None
    basis: Basis
    explanation: Text
    cures: tuple[Text, ...]
    person_explanation: Text
    trace: tuple[TraceStep, ...]

    def __hash__(self) -> int:
        """Of what tells most results apart: those of all texts in it would take long."""
        return hash((self.id, self.result, self.condition))


@dataclass(frozen=True, slots=True)
class RulePackRef:
    """Which rules: enough to find them again years later."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True, repr=False)
class Decision:
    """A purpose's verdict. `recheck_on`, `decided_on` are days of the domain's calendar; `retry_at` is real UTC."""

    outcome: Outcome
    rules: tuple[RuleResult, ...]
    recheck_on: date | None
    retry_at: datetime | None
    rule_pack: RulePackRef
    decided_on: date
