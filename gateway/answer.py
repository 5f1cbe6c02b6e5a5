"""The Answer: one record of what was asked, known, decided and released."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from resolvers.attribute import Attribute, ClaimSource
from resolvers.claim import Claim, ClaimState, Quantity, Reason
from resolvers.decision import Decision, RuleOutcome, RuleResult

JsonObject = Mapping[str, Any]
_TEXTS: Mapping[str, str] = {one: one.value for one in (*ClaimState, *Reason, *ClaimSource)}
"""Enums as plain text: an enum's `value` is looked up anew each time. Those of one text have one text."""

_SILENT = frozenset({ClaimState.PENDING, ClaimState.UNAVAILABLE, ClaimState.WITHHELD})
MAX_KEPT_RULES = 4096


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What was asked and what is answered, in the shapes that leave.

    `claims` and `decisions` are keyed by the question's canonical text; a decision that the person left
    out is None. `inputs` are the claims that the rules weighed and `evidence` says what they rest on, for
    reviewers alone. `complete`: no source was silent. `fresh_until`: until when it may be released again.
    """

    id: str
    questions: tuple[str, ...]
    claims: Mapping[str, JsonObject]
    decisions: Mapping[str, JsonObject | None]
    inputs: Mapping[str, JsonObject]
    evidence: Mapping[str, JsonObject]
    rule_pack_sha256: str
    engine_version: str
    today: date
    complete: bool
    fresh_until: datetime
    recorded_at: datetime = field(compare=False)
    _bytes: bytes = field(default=b"", init=False, compare=False)

    def __repr__(self) -> str:
        return f"Answer({self.id}, redacted)"

    @property
    def tells_anything(self) -> bool:
        """Whether any claim says more than that nobody has answered, or any rule than that something is missing."""
        if any(claim["state"] not in _SILENT for claim in self.claims.values()):
            return True
        decisions = [decision for decision in self.decisions.values() if decision is not None]
        return any(rule["result"] != RuleOutcome.EVIDENCE for decision in decisions for rule in decision["rules"])

    def to_bytes(self) -> bytes:
        """The record as JSON, to be sealed under the person's key; always the same bytes."""
        if not self._bytes:
            object.__setattr__(self, "_bytes", self._make_bytes())
        return self._bytes

    def _make_bytes(self) -> bytes:
        return orjson.dumps(
            {
                "id": self.id,
                "questions": self.questions,
                "claims": self.claims,
                "decisions": self.decisions,
                "inputs": self.inputs,
                "evidence": self.evidence,
                "rulePack": self.rule_pack_sha256,
                "engine": self.engine_version,
                "today": self.today,
                "complete": self.complete,
                "freshUntil": self.fresh_until,
                "recordedAt": self.recorded_at,
            }
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> "Answer":
        """Read back what `to_bytes` wrote."""
        read = orjson.loads(body)
        answer = cls(
            id=read["id"],
            questions=tuple(read["questions"]),
            claims=read["claims"],
            decisions=_titled(read["decisions"]),
            inputs=read["inputs"],
            evidence=read["evidence"],
            rule_pack_sha256=read["rulePack"],
            engine_version=read["engine"],
            today=date.fromisoformat(read["today"]),
            complete=read["complete"],
            fresh_until=datetime.fromisoformat(read["freshUntil"]),
            recorded_at=datetime.fromisoformat(read["recordedAt"]),
        )
        object.__setattr__(answer, "_bytes", body)
        return answer


def _titled(decisions: dict[str, Any]) -> dict[str, Any]:
    """The decisions as they are today: what was recorded before rules had titles has none."""
    for decision in decisions.values():
        for rule in decision["rules"] if decision else ():
            rule.setdefault("title", None)
    return decisions


def claim_json(claim: Claim[Any], attribute: Attribute, *, as_of: date | None) -> JsonObject:
    """A claim as a relying party sees it; `reason` is kept beside it and never projected."""
    return {
        "value": value_json(claim.value),
        "state": _TEXTS[claim.state],
        "asOf": as_of.isoformat() if as_of and claim.is_confirmed else None,
        "source": _TEXTS[attribute.source],
        "retryAt": moment(claim.retry_at),
        "reason": _TEXTS[claim.reason] if claim.reason else None,
    }


def input_json(claim: Claim[Any]) -> JsonObject:
    """A claim that a rule weighed, for reviewers."""
    return {
        "value": value_json(claim.value),
        "state": _TEXTS[claim.state],
        "reason": _TEXTS[claim.reason] if claim.reason else None,
    }


def decision_json(decision: Decision) -> JsonObject:
    """A decision as a relying party sees it; `person` and `trace` are kept beside it and never projected."""
    pack = decision.rule_pack
    return {
        "outcome": decision.outcome.value,
        "rules": [_rule_json(rule) for rule in decision.rules],
        "recheckOn": decision.recheck_on.isoformat() if decision.recheck_on else None,
        "retryAt": moment(decision.retry_at),
        "rulePack": {"name": pack.name, "version": pack.version, "sha256": pack.sha256},
        "decidedOn": decision.decided_on.isoformat(),
    }


@lru_cache(maxsize=MAX_KEPT_RULES)
def _rule_json(rule: RuleResult) -> JsonObject:
    """What one rule said; the same few results come again and again."""
    return {
        "id": rule.id,
        "title": {"en": rule.title.en, "ja": rule.title.ja} if rule.title else None,
        "result": rule.result.value,
        "condition": rule.condition,
        "basis": {"kind": rule.basis.kind.value, "source": rule.basis.source},
        "explanation": {"en": rule.explanation.en, "ja": rule.explanation.ja},
        "cures": [{"en": cure.en, "ja": cure.ja} for cure in rule.cures],
        "person": {"en": rule.person_explanation.en, "ja": rule.person_explanation.ja},
        "trace": [{"condition": step.condition, "held": step.held} for step in rule.trace],
    }


def value_json(value: Any) -> bool | int | str | None:
    """A claim's value in JSON: booleans, enum names, ISO days; a quantity as its amount."""
    if value is None or value is True or value is False:
        return value
    match value:
        case date():
            return value.isoformat()
        case Quantity():
            return value.amount
        case _:
            return str(value)


def moment(at: datetime | None) -> str | None:
    """A moment as it leaves: to the minute, rounded up, so that it joins nothing and never comes too early."""
    if at is None:
        return None
    return to_minute(at).isoformat()


def to_minute(at: datetime) -> datetime:
    """The full minute at or after the moment."""
    floor = at.replace(second=0, microsecond=0)
    return floor if floor == at else floor + timedelta(minutes=1)
