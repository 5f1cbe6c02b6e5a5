"""A person's own view: what every source holds about them, and what is concluded from it for anybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.interface import IdentityRecord, SourceAuthority
from gateway.consent.dispute import Disputed
from gateway.gather import Reply
from gateway.reasoning import Reasoning
from gateway.views import record_entries, record_view
from resolvers import worker
from resolvers.attribute import Attribute
from resolvers.catalogue import ATTRIBUTES
from resolvers.claim import Claim, ClaimState
from resolvers.derive import Needs, attribute_needs, sources_over
from resolvers.disclosed import fact_of
from resolvers.facts import Absent
from resolvers.linkage import RecordMatch, matches_of

OWN_CLAIMS = {coordinate: one for coordinate, one in ATTRIBUTES.items() if not one.arguments}
"""The claims of the view: those that nobody has to name an amount or a day for."""


@dataclass(frozen=True, slots=True, repr=False)
class OwnRecord:
    """What one source holds. `unresolved`: how many more entries it has, which could not be joined to the person.

    `is_disputed`: the person disputes all of it.
    """

    record: worker.SourceRecord
    unresolved: int
    is_disputed: bool

    @property
    def holds_none(self) -> bool:
        """Whether the source answered that it has nothing that could be about the person."""
        return self.record.state is ClaimState.CONFIRMED and not self.record.entries and not self.unresolved


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
    replies: Mapping[SourceAuthority, Reply], reasoning: Reasoning, *, identity: IdentityRecord, disputed: Disputed
) -> OwnView:
    """The view that these replies make."""
    records = tuple(
        _own_record(authority, replies[authority], identity, is_disputed=authority in disputed.sources)
        for authority in SourceAuthority
    )
    claims: list[OwnClaim] = []
    for coordinate, attribute in OWN_CLAIMS.items():
        claim, as_of = reasoning.own_claim(attribute, {}, identity=identity, replies=replies)
        is_disputed = disputed.covers(fact_of(coordinate), sources_over(attribute, SourceAuthority))
        claims.append(OwnClaim(coordinate, attribute, claim, as_of, is_disputed))
    return OwnView(records, tuple(claims))


def _own_record(
    authority: SourceAuthority, reply: Reply, identity: IdentityRecord, *, is_disputed: bool
) -> OwnRecord:
    if isinstance(reply, Absent):
        return OwnRecord(record_view(authority, reply, entries=[]), 0, is_disputed)
    entries = record_entries(reply.evidence)
    matches = matches_of(reply.evidence, identity)
    own = [
        entry
        for entry, match in zip(entries, matches, strict=True)
        if match is RecordMatch.MATCHED  # any other may be somebody else's: not even the person may read it
    ]
    return OwnRecord(record_view(authority, reply, entries=own), len(entries) - len(own), is_disputed)
