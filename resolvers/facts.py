"""The facts a derivation may look at: evidence as it arrived, the identity record, and today."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import wraps
from typing import Any, Generic, TypeVar

from connectors.evidence import Evidence
from connectors.immigration.evidence import ImmigrationEvidence
from connectors.insurance.evidence import InsuranceEvidence
from connectors.interface import IdentityRecord, SourceAuthority
from connectors.labor.evidence import LaborEvidence
from connectors.tax.evidence import TaxEvidence
from connectors.value import Value
from resolvers.claim import Claim, ClaimState, Reason
from resolvers.record_confirmation import ConfirmedRecord

EvidenceT = TypeVar("EvidenceT", bound=Evidence, covariant=True)
T = TypeVar("T")


class Arrived(Value, Generic[EvidenceT], frozen=True):
    """The source answered."""

    evidence: EvidenceT


@dataclass(frozen=True, slots=True)
class Absent:
    """The source did not answer, or could not tell whom we mean."""

    state: ClaimState
    reason: Reason
    retry_at: datetime | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Facts:
    """All that a derivation sees. A source that was not asked is None, and looking at it is an error.

    `today` is the domain's day in Japan. `match_over`: the sources of the purpose's match rule.
    `confirmations`: the probable records that the person says are theirs. `consent_until`: last day of the grant the
    question is asked under, where there is one. `derived`: what was concluded from them already, by derivation;
    `days`: the day that each source stands for, as far as it was asked.
    """

    today: date
    identity: IdentityRecord
    immigration: Arrived[ImmigrationEvidence] | Absent | None = None
    labor: Arrived[LaborEvidence] | Absent | None = None
    tax: Arrived[TaxEvidence] | Absent | None = None
    insurance: Arrived[InsuranceEvidence] | Absent | None = None
    match_over: tuple[SourceAuthority, ...] = ()
    consent_until: date | None = None
    confirmations: tuple[ConfirmedRecord, ...] = ()
    derived: dict[str, Claim[Any]] = field(default_factory=dict, init=False, compare=False)
    days: dict[SourceAuthority, date | None] = field(default_factory=dict, init=False, compare=False)


def derived_once(derive: Callable[[Facts], Claim[T]]) -> Callable[[Facts], Claim[T]]:
    """For a derivation that several others look at: the same facts are looked through once."""
    name = f"{derive.__module__}.{derive.__qualname__}"

    @wraps(derive)
    def once(facts: Facts) -> Claim[T]:
        found = facts.derived.get(name)
        if found is None:
            found = facts.derived[name] = derive(facts)
        return found

    return once


def reply_of(facts: Facts, authority: SourceAuthority) -> Arrived[Evidence] | Absent | None:
    """What came of asking one authority."""
    match authority:
        case SourceAuthority.IMMIGRATION:
            return facts.immigration
        case SourceAuthority.LABOR:
            return facts.labor
        case SourceAuthority.TAX:
            return facts.tax
        case SourceAuthority.INSURANCE:
            return facts.insurance


def asked(reply: Arrived[EvidenceT] | Absent | None) -> Arrived[EvidenceT] | Absent:
    """The reply of a source that must have been asked."""
    if reply is None:
        raise LookupError("a derivation looked at a source that its question does not declare")
    return reply


def absent_claim(reply: Absent) -> Claim[T]:
    """What can be said of any claim while its source has not answered."""
    return Claim(None, reply.state, reply.reason, reply.retry_at)
