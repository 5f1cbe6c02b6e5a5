"""The gate: is every question that is asked one that the person was asked for? Set inclusion, before any fetch."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.consent.grant import Grant
from gateway.plan import Plan, Question
from resolvers.catalogue import Purpose
from resolvers.subject import GrantStatus


@dataclass(frozen=True, slots=True)
class ApprovedPlan:
    """What may be answered. `withheld`: put, and left out or disputed. `refused`: never put. For neither is anything
    fetched."""

    plan: Plan
    grant: Grant
    released: tuple[Question, ...]
    withheld: tuple[Question, ...]
    refused: tuple[Question, ...]

    @property
    def answerable(self) -> tuple[Question, ...]:
        return self.released + self.withheld

    def withhold(self, questions: Collection[Question]) -> "ApprovedPlan":
        """The same, but that these are withheld."""
        released = tuple(question for question in self.released if question not in questions)
        return replace(self, released=released, withheld=(*self.withheld, *questions))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Nothing may be answered. `grant` is known only where the relying party may know of it."""

    code: str
    plan: Plan
    grant: Grant | None = None
    retry_at: datetime | None = None


def check_consent(
    plan: Plan,
    grant: Grant | None,
    *,
    now: datetime,
    usable_packs: Collection[str],
    usable_purposes: Collection[Purpose],
) -> ApprovedPlan | Refusal:
    """Hold the plan against the grant that its consent token names for this relying party.

    A pack that is no longer kept or was withdrawn ends the grants that pin it; so does a purpose that the
    relying party may not ask for any more.
    """
    if grant is None or grant.granted_at is None:
        return Refusal("CONSENT_INVALID", plan)
    if grant.rule_pack_sha256 not in usable_packs or grant.purpose not in usable_purposes:
        return Refusal("CONSENT_ENDED", plan, grant)
    if (status := grant.status(now)) is not GrantStatus.ACTIVE:
        return refusal_of(status, plan, grant)
    put, left_out = frozenset(grant.questions), frozenset(grant.left_out)
    approved = ApprovedPlan(
        plan=plan,
        grant=grant,
        released=tuple([q for q in plan.questions if q.text in put and q.text not in left_out]),
        withheld=tuple([q for q in plan.questions if q.text in left_out]),
        refused=tuple([q for q in plan.questions if q.text not in put]),
    )
    if approved.refused and not approved.answerable:
        return Refusal("FIELD_NOT_CONSENTED", plan, grant)
    return approved


def refusal_of(status: GrantStatus | None, plan: Plan, grant: Grant) -> Refusal:
    """The refusal of a grant that stands like this; None: it is no more, and nobody is told that it was."""
    if status is None:
        return Refusal("CONSENT_INVALID", plan)
    return Refusal("CONSENT_PAUSED" if status is GrantStatus.PAUSED else "CONSENT_ENDED", plan, grant)
