"""A person's own view: what every source holds about them, and what is concluded from it for anybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.interface import SourceAuthority
from gateway.consent.dispute import Disputed
from gateway.gather import Reply
from gateway.identity.subject import Person
from gateway.reasoning import Reasoning
from gateway.views import record_view
from resolvers import worker
from resolvers.attribute import Attribute
from resolvers.catalogue import ATTRIBUTES
from resolvers.claim import Claim, ClaimState
from resolvers.derive import Needs, attribute_needs, sources_over
from resolvers.disclosed import fact_of

OWN_CLAIMS = {coordinate: one for coordinate, one in ATTRIBUTES.items() if not one.arguments}
"""The claims of the view: those that nobody has to name an amount or a day for."""


@dataclass(frozen=True, slots=True, repr=False)
class OwnRecord:
    """What one source holds. `is_disputed`: the person disputes all of it."""

    record: worker.SourceRecord
    is_disputed: bool

    @property
    def holds_none(self) -> bool:
        """Whether the source answered that it has nothing that could be about the person."""
        return self.record.state is ClaimState.CONFIRMED and not self.record.entries and not self.record.unresolved


@dataclass(frozen=True, slots=True, repr=False)
class OwnClaim:
    """One claim as the person alone sees it. `is_disputed`: relying parties see nothing of it for now."""

    coordinate: str
    attribute: Attribute
    claim: Claim[Any]
    as_of: date | None
    is_disputed: bool


@dataclass(frozen=True, slots=True, repr=False)
class OwnView:
    """Everything of one moment: one reply of each source."""

    records: tuple[OwnRecord, ...]
    claims: tuple[OwnClaim, ...]


def _needs() -> Needs:
    needs = Needs({})
    for attribute in OWN_CLAIMS.values():
        needs |= attribute_needs(attribute, tuple(SourceAuthority))
    return needs


OWN_VIEW_NEEDS = _needs()
"""Every source, as fresh as the claims want it."""


def own_view(
    replies: Mapping[SourceAuthority, Reply], reasoning: Reasoning, *, person: Person, disputed: Disputed
) -> OwnView:
    """The view that these replies make."""
    records = tuple(
        OwnRecord(record_view(authority, replies[authority], person), authority in disputed.sources)
        for authority in SourceAuthority
    )
    claims: list[OwnClaim] = []
    for coordinate, attribute in OWN_CLAIMS.items():
        claim, as_of = reasoning.own_claim(attribute, {}, person=person, replies=replies)
        is_disputed = disputed.covers(fact_of(coordinate), sources_over(attribute, SourceAuthority))
        claims.append(OwnClaim(coordinate, attribute, claim, as_of, is_disputed))
    return OwnView(records, tuple(claims))
