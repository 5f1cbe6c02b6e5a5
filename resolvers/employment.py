"""From notifications and month codes to jobs: who is employed, since when, by whom.

Source: Labour Policy Comprehensive Promotion Act art. 28 (employers' notifications and their deadlines);
rules-pack specification 9.8.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from connectors.insurance.evidence import InsuredRecord
from connectors.labor.evidence import EmploymentNotice, NoticeKind
from resolvers.claim import Claim, Quantity, Reason, confirmed, evidence_needed
from resolvers.facts import Facts, derived_once
from resolvers.jobs import Job, has_ended, jobs_of, select_employments
from resolvers.linkage import declares_no_work, employment_notices, insured_record
from resolvers.months import add_months, months_between

FILING_WINDOW_DAYS = 60
"""A new hiring may lack a record this long: filing deadlines plus processing. Source: art. 28, Form 3."""

EMPLOYEES_PENSION = "2"
NOT_YET_DUE = "-"
KNOWN_CODES = frozenset("23ALZS*.T-")
"""The codes of a month whose meaning is documented. Source: specification 9.8, premiums_24m."""


@dataclass(frozen=True, slots=True)
class Employment:
    """Whether the person works today. `since` is the earliest open hiring, or the first pension month shown."""

    active: bool
    since: date | None = None
    since_is_lower_bound: bool = False


@derived_once
def open_jobs(facts: Facts) -> Claim[tuple[Job, ...]]:
    """The jobs held today, by the labor authority's notifications alone."""
    return employment_notices(facts).map(
        lambda notices: tuple(job for job in jobs_of(notices, facts.today) if job.is_open)
    )


@derived_once
def employment(facts: Facts) -> Claim[Employment]:
    """Whether the person is employed today, in the order of specification 9.8."""
    return employment_notices(facts).then(lambda notices: _employment(facts, notices))


def _employment(facts: Facts, notices: tuple[EmploymentNotice, ...]) -> Claim[Employment]:
    hired = [job.hired_on for job in jobs_of(notices, facts.today) if job.is_open and job.hired_on]
    if hired:
        return confirmed(Employment(active=True, since=min(hired)))
    if not select_employments(notices):
        by_pension = _employment_by_pension(facts)
        if by_pension is not None:
            return by_pension
    if _is_within_filing_window(facts, notices):
        return evidence_needed(Reason.WITHIN_FILING_WINDOW)
    if declares_no_work(facts.identity):
        return confirmed(Employment(active=False))
    return evidence_needed(Reason.RECORD_NOT_FOUND_EXPECTED)


def _employment_by_pension(facts: Facts) -> Claim[Employment] | None:
    """Employment that the pension months prove where nobody had to notify; None: they prove nothing."""
    insured = insured_record(facts)
    if insured.reason is Reason.RECORD_NOT_FOUND_UNEXPECTED:
        return None
    if not insured.is_confirmed:
        return insured.without_value()
    record = insured.known
    codes = record.month_codes.rstrip(NOT_YET_DUE)
    if record.lost_on is not None or not codes.endswith(EMPLOYEES_PENSION):
        return None
    first = codes.index(EMPLOYEES_PENSION)
    since = add_months(record.first_month, first)
    return confirmed(Employment(active=True, since=since, since_is_lower_bound=first == 0))


def _is_within_filing_window(facts: Facts, notices: tuple[EmploymentNotice, ...]) -> bool:
    """The last notification is a leaving no more than 60 days ago and the person declares a new job."""
    declared = facts.identity.declared_employment
    last = max(select_employments(notices), key=lambda n: _event_on(n, facts.today), default=None)
    if last is None or not _is_leaving(last, facts.today) or declared is None or not declared.employed:
        return False
    return facts.today - _event_on(last, facts.today) <= timedelta(days=FILING_WINDOW_DAYS)


def _event_on(notice: EmploymentNotice, today: date) -> date:
    """The day of the event that the notification tells of."""
    event_on = notice.left_on if _is_leaving(notice, today) else notice.hired_on
    return event_on or date.min


def _is_leaving(notice: EmploymentNotice, today: date) -> bool:
    return notice.kind is NoticeKind.LEFT or has_ended(notice, today)


def derive_employed(facts: Facts) -> Claim[bool]:
    return employment(facts).map(lambda e: e.active)


def derive_tenure_months(facts: Facts) -> Claim[Quantity]:
    """Whole months in the present employment; zero when not employed, a lower bound when records begin there."""

    def months(e: Employment) -> Quantity:
        if e.since is None:
            return Quantity(0)
        return Quantity(max(0, months_between(e.since, facts.today)), is_lower_bound=e.since_is_lower_bound)

    return employment(facts).map(months)


def pension_months(record: InsuredRecord) -> tuple[tuple[date, str], ...]:
    """Each month shown (its first day) with its code."""
    return tuple((add_months(record.first_month, index), code) for index, code in enumerate(record.month_codes))


def had_job_throughout(facts: Facts, year: int) -> Claim[bool]:
    """Whether one job was held from 1 January to 31 December of a year.

    Where no notification exists at all, twelve months of employees' pension in that year say so.
    """

    def throughout(notices: tuple[EmploymentNotice, ...]) -> Claim[bool]:
        if select_employments(notices):
            jobs = jobs_of(notices, facts.today)
            return confirmed(any(job.spans(date(year, 1, 1), date(year, 12, 31)) for job in jobs))
        insured = insured_record(facts)
        if insured.reason is Reason.RECORD_NOT_FOUND_UNEXPECTED:
            return confirmed(False)
        return insured.map(lambda record: _months_insured(record, year) == 12)

    return employment_notices(facts).then(throughout)


def _months_insured(record: InsuredRecord, year: int) -> int:
    return sum(1 for month, code in pension_months(record) if month.year == year and code == EMPLOYEES_PENSION)
