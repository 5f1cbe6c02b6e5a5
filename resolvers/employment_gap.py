"""Months without a job: counted only where a record shows them, never from silence."""

from datetime import date
from enum import StrEnum

from resolvers.claim import Claim, Reason, confirmed, evidence_needed
from resolvers.employment import EMPLOYEES_PENSION, KNOWN_CODES, pension_months
from resolvers.facts import Facts
from resolvers.jobs import Job, jobs_of
from resolvers.linkage import employment_notices, insured_record
from resolvers.months import add_months, end_of_month, first_of_month


class EmploymentGap(StrEnum):
    """Months without employment among the last 24."""

    N0 = "N0"
    N1 = "N1"
    N2_3 = "N2_3"
    GE_4 = "GE_4"


def derive_employment_gap(facts: Facts) -> Claim[EmploymentGap]:
    """Months among the last 24 whole ones without a job: shown as none by the pension record, not by silence."""

    def gap(jobs: tuple[Job, ...]) -> Claim[EmploymentGap]:
        return insured_record(facts).then(lambda record: _gap(jobs, dict(pension_months(record)), facts))

    return employment_notices(facts).map(lambda notices: jobs_of(notices, facts.today)).then(gap)


def _gap(jobs: tuple[Job, ...], codes: dict[date, str], facts: Facts) -> Claim[EmploymentGap]:
    this_month = first_of_month(facts.today)
    without = 0
    for back in range(1, 25):
        month = add_months(this_month, -back)
        code = codes.get(month, "-")
        if code == EMPLOYEES_PENSION or any(_held_in(job, month) for job in jobs):
            continue
        if code in ".-T" or code not in KNOWN_CODES:
            return evidence_needed(Reason.NOT_STATED)
        without += 1
    bands = ((4, EmploymentGap.GE_4), (2, EmploymentGap.N2_3), (1, EmploymentGap.N1))
    return confirmed(next((band for least, band in bands if without >= least), EmploymentGap.N0))


def _held_in(job: Job, month: date) -> bool:
    started = job.hired_on is not None and job.hired_on <= end_of_month(month)
    return started and (job.left_on is None or job.left_on >= month)
