"""A person's own view: what every source holds about them, and what is concluded from it for anybody."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from connectors.interface import IdentityRecord, SourceAuthority
from gateway.consent.dispute import Disputed
from gateway.gather import Reply
from gateway.reasoning import Reasoning
from gateway.views import record_entries
from resolvers import worker
from resolvers.attribute import Attribute
from resolvers.catalogue import ATTRIBUTES
from resolvers.claim import Claim, ClaimState
from resolvers.derive import Needs, attribute_needs
from resolvers.disclosed import fact_of
from resolvers.facts import Absent
from resolvers.linkage import RecordMatch, matches_of

ASKED = {coordinate: one for coordinate, one in ATTRIBUTES.items() if not one.arguments}
"""The claims of the view: those that nobody has to name an amount or a day for."""


@dataclass(frozen=True, slots=True, repr=False)
class OwnRecord:
    """What one source holds. `strange`: how many of its entries could not be joined to the person, and are left out.

    `is_disputed`: the person disputes all of it.
    """

    record: worker.SourceRecord
    strange: int
    is_disputed: bool


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


def own_view_needs() -> Needs:
    """Every source, as fresh as the claims want it."""
    needs = Needs({})
    for attribute in ASKED.values():
        needs |= attribute_needs(attribute, tuple(SourceAuthority))
    return needs


def own_view(
    replies: Mapping[SourceAuthority, Reply], reasoning: Reasoning, *, identity: IdentityRecord, disputed: Disputed
) -> OwnView:
    """The view that these replies make."""
    records = tuple(
        _own_record(authority, replies[authority], identity, is_disputed=authority in disputed.sources)
        for authority in SourceAuthority
    )
    claims: list[OwnClaim] = []
    for coordinate, attribute in ASKED.items():
        claim, as_of = reasoning.own_claim(attribute, {}, identity=identity, replies=replies)
        sources = frozenset(SourceAuthority) if attribute.over_match_rule else attribute.sources
        is_disputed = disputed.covers(fact_of(coordinate), sources)
        claims.append(OwnClaim(coordinate, attribute, claim, as_of, is_disputed))
    return OwnView(records, tuple(claims))


def source_record(authority: SourceAuthority, reply: Reply) -> worker.SourceRecord:
    """One source's records, as it holds them; or why there are none."""
    if isinstance(reply, Absent):
        return worker.SourceRecord(
            source=authority,
            state=reply.state,
            reason=reply.reason,
            observed_at=None,
            as_of=None,
            retry_at=reply.retry_at,
            entries=[],
        )
    return worker.SourceRecord(
        source=authority,
        state=ClaimState.CONFIRMED,
        reason=None,
        observed_at=reply.evidence.observed_at,
        as_of=reply.evidence.as_of,
        retry_at=None,
        entries=record_entries(reply.evidence),
    )


def _own_record(
    authority: SourceAuthority, reply: Reply, identity: IdentityRecord, *, is_disputed: bool
) -> OwnRecord:
    record = source_record(authority, reply)
    if isinstance(reply, Absent):
        return OwnRecord(record, 0, is_disputed)
    matches = matches_of(reply.evidence, identity)
    own = [
        entry
        for entry, match in zip(record.entries, matches, strict=True)
        if match is RecordMatch.MATCHED  # any other may be somebody else's: not even the person may read it
    ]
    strange = len(record.entries) - len(own)
    record.entries = own
    return OwnRecord(record, strange, is_disputed)
