"""Contracted hours: for the person alone, never for a relying party, who could only misuse them."""

from enum import StrEnum

from connectors.immigration.evidence import OtherActivity, ResidenceRecord
from resolvers.claim import Claim, Reason, confirmed, evidence_needed, not_applicable
from resolvers.employment import employment, open_jobs
from resolvers.facts import Facts
from resolvers.jobs import Job
from resolvers.linkage import residence_record
from resolvers.residence_status import WorkPermission
from resolvers.stay import kind_of

WEEKLY_HOURS_PERMITTED = 28
"""Comprehensive permission for other activities, summed over all employers. Source: ordinance art. 19(5)."""

INSURED_HOURS = 20
"""Weekly hours from which employment insurance is compulsory. Source: Employment Insurance Act art. 6."""


class WeeklyHours(StrEnum):
    """Contracted weekly hours over all employers; each band includes its lower bound."""

    LT_20 = "LT_20"
    H20_30 = "H20_30"
    GE_30 = "GE_30"


def derive_hours_within_permission(facts: Facts) -> Claim[bool]:
    """For the person alone: contracted hours over all employers against the 28 hours permitted."""

    def within(record: ResidenceRecord) -> Claim[bool]:
        if kind_of(record).work is not WorkPermission.NONE:
            return not_applicable(Reason.NO_LIMIT)
        if record.other_activity in (None, OtherActivity.INDIVIDUAL):
            return evidence_needed(Reason.NOT_STATED)  # an individual one's certificate says how many
        allowed = WEEKLY_HOURS_PERMITTED if record.other_activity is OtherActivity.COMPREHENSIVE else 0
        return _weekly_hours(facts).map(lambda hours: hours <= allowed)

    return residence_record(facts).then(within)


def _weekly_hours(facts: Facts) -> Claim[float]:
    """Contracted weekly hours over all open jobs; not stated on one of them is not stated at all."""

    def total(jobs: tuple[Job, ...]) -> Claim[float]:
        stated = [job.notice.weekly_hours for job in jobs if job.notice.weekly_hours is not None]
        if not jobs:
            return employment(facts).then(
                lambda e: evidence_needed(Reason.NOT_STATED) if e.active else confirmed(0.0)
            )
        if len(stated) < len(jobs):
            return evidence_needed(Reason.NOT_STATED)
        return confirmed(float(sum(stated)))

    return open_jobs(facts).then(total)


def derive_weekly_hours(facts: Facts) -> Claim[WeeklyHours]:
    def band(hours: float) -> WeeklyHours:
        if hours >= 30:
            return WeeklyHours.GE_30
        return WeeklyHours.H20_30 if hours >= INSURED_HOURS else WeeklyHours.LT_20

    return _weekly_hours(facts).map(band)
