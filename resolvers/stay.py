"""Is the stay lawful today, on what does it rest, and how long will it last.

Source: Immigration Control and Refugee Recognition Act art. 20(6) (special period); specification 9.8.
Days are days in Japan; the last day of a period is inside it.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from connectors.immigration.evidence import ResidenceRecord
from resolvers.application import keeps_status
from resolvers.claim import Claim, Quantity, Reason, confirmed, evidence_needed, not_applicable
from resolvers.facts import Facts, derived_once
from resolvers.linkage import residence_record
from resolvers.months import add_months, months_between
from resolvers.residence_status import StatusKind, status_kind

SPECIAL_PERIOD_MONTHS = 2
"""A timely application keeps the old status for at most two months after expiry. Source: art. 20(6)."""


class StayBasis(StrEnum):
    """On what the stay rests today."""

    ON_PERIOD = "ON_PERIOD"
    SPECIAL_PERIOD = "SPECIAL_PERIOD"
    UNLIMITED = "UNLIMITED"
    NONE = "NONE"


class StayRemaining(StrEnum):
    """How long the period of stay still runs; each band includes its lower bound."""

    UNLIMITED = "UNLIMITED"
    GE_36M = "GE_36M"
    M12_36 = "M12_36"
    M6_12 = "M6_12"
    M3_6 = "M3_6"
    LT_3M = "LT_3M"


@dataclass(frozen=True, slots=True)
class Stay:
    """The stay as the record shows it today. `ends_on`: last lawful day known; None if unlimited or ended."""

    basis: StayBasis
    ends_on: date | None

    @property
    def is_lawful(self) -> bool:
        return self.basis is not StayBasis.NONE


@derived_once
def stay(facts: Facts) -> Claim[Stay]:
    """The stay today. A period that contradicts the kind of status settles nothing.

    Once the period is over, an application of which the record does not tell whether it protects leaves it open.
    """
    return residence_record(facts).then(lambda record: _stay_of(record, facts.today))


def _stay_of(record: ResidenceRecord, today: date) -> Claim[Stay]:
    if kind_of(record).unlimited != (record.stay_until is None):
        return evidence_needed(Reason.CONFLICT)
    if record.stay_until is None:
        return confirmed(Stay(StayBasis.UNLIMITED, None))
    if today <= record.stay_until:
        return confirmed(Stay(StayBasis.ON_PERIOD, record.stay_until))
    special_end = special_period_end(record.stay_until)
    return _renewal_pending(record, today).map(
        lambda pending: Stay(StayBasis.SPECIAL_PERIOD, special_end) if pending else Stay(StayBasis.NONE, None)
    )


def special_period_end(expiry_on: date) -> date:
    """Last day on which a timely application keeps the old status alive.

    Units: calendar date in Japan, inclusive.
    Source: Immigration Control Act art. 20(6); Civil Code art. 143 (month-end clamp).
    Example: special_period_end(date(2026, 10, 31)) == date(2026, 12, 31)
    """
    return add_months(expiry_on, SPECIAL_PERIOD_MONTHS)


def kind_of(record: ResidenceRecord) -> StatusKind:
    """The kind of status last held; `residence_record` lets no record without one pass."""
    kind = status_kind(record.residence_status)
    if kind is None:
        raise LookupError("a linked record has a status of residence")
    return kind


def _renewal_pending(record: ResidenceRecord, today: date) -> Claim[bool]:
    """An application counts while it is undecided, in time, and its special period has not ended."""
    if record.stay_until is None or today > special_period_end(record.stay_until):
        return confirmed(False)
    counted = {keeps_status(one, record.stay_until, today=today) for one in record.applications}
    if True in counted:
        return confirmed(True)
    return evidence_needed(Reason.NOT_STATED) if None in counted else confirmed(False)


def derive_status_lawful(facts: Facts) -> Claim[bool]:
    return stay(facts).map(lambda s: s.is_lawful)


def derive_stay_basis(facts: Facts) -> Claim[StayBasis]:
    return stay(facts).map(lambda s: s.basis)


def derive_stay_unlimited(facts: Facts) -> Claim[bool]:
    return stay(facts).map(lambda s: s.basis is StayBasis.UNLIMITED)


@derived_once
def derive_stay_months_left(facts: Facts) -> Claim[Quantity]:
    """Whole months of the period of stay left; zero in the special period and once the stay has ended."""

    def months(s: Stay) -> Claim[Quantity]:
        if s.basis is StayBasis.UNLIMITED:
            return not_applicable(Reason.NO_LIMIT)
        if s.basis is StayBasis.ON_PERIOD and s.ends_on is not None:
            return confirmed(Quantity(months_between(facts.today, s.ends_on)))
        return confirmed(Quantity(0))

    return stay(facts).then(months)


def derive_stay_remaining(facts: Facts) -> Claim[StayRemaining]:
    months = derive_stay_months_left(facts)
    if months.reason is Reason.NO_LIMIT:
        return confirmed(StayRemaining.UNLIMITED)
    bands = (
        (36, StayRemaining.GE_36M),
        (12, StayRemaining.M12_36),
        (6, StayRemaining.M6_12),
        (3, StayRemaining.M3_6),
    )
    return months.map(lambda m: next((band for least, band in bands if m.amount >= least), StayRemaining.LT_3M))


def derive_stay_covers_until(facts: Facts, *, on: date) -> Claim[bool]:
    """Whether the stay on record reaches a day. In the special period it may end any day before its limit."""

    def covers(s: Stay) -> Claim[bool]:
        if s.basis is StayBasis.UNLIMITED:
            return confirmed(True)
        if s.ends_on is None or on > s.ends_on:
            return confirmed(False)
        if s.basis is StayBasis.SPECIAL_PERIOD and on > facts.today:
            return evidence_needed(Reason.LOWER_BOUND)
        return confirmed(True)

    return stay(facts).then(covers)


def derive_renewal_pending(facts: Facts) -> Claim[bool]:
    return residence_record(facts).then(lambda record: _renewal_pending(record, facts.today))


@derived_once
def derive_stay_ends_on(facts: Facts) -> Claim[date]:
    """Last day on which the record shows the stay to be lawful: expiry, or the special period's end."""

    def ends(s: Stay) -> Claim[date]:
        if s.ends_on is None:
            return not_applicable(Reason.NO_LIMIT if s.is_lawful else Reason.STAY_NOT_LAWFUL)
        return confirmed(s.ends_on)

    return stay(facts).then(ends)


def derive_stay_recheck_by(facts: Facts) -> Claim[date]:
    """The day by which to look again: the earliest of expiry, special period's end and the consent's end."""
    return derive_stay_ends_on(facts).map(lambda ends_on: min(ends_on, facts.consent_until or ends_on))
