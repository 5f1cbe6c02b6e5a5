"""From notifications and month codes to jobs: who is employed, since when, by whom.

Source: Labour Policy Comprehensive Promotion Act art. 28 (employers' notifications and their deadlines);
rules-pack specification 9.8.
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta

from connectors.insurance.evidence import InsuredRecord
from connectors.japan import squashed_name
from connectors.labor.evidence import EmploymentNotice, NoticeKind
from connectors.value import Value
from resolvers.claim import Claim, Quantity, Reason, confirmed, evidence_needed
from resolvers.facts import Facts, derived_once
from resolvers.linkage import declares_no_work, employment_notices, insured_record
from resolvers.months import add_months, months_between

FILING_WINDOW_DAYS = 60
"""A new hiring may lack a record this long: filing deadlines plus processing. Source: art. 28, Form 3."""

EMPLOYEES_PENSION = "2"
NOT_YET_DUE = "-"
KNOWN_CODES = frozenset("23ALZS*.T-")
"""The codes of a month whose meaning is documented. Source: specification 9.8, premiums_24m."""


class Job(Value, frozen=True):
    """One employment. `left_on` is the last day, None while it is open."""

    notice: EmploymentNotice
    hired_on: date | None
    left_on: date | None

    @property
    def is_open(self) -> bool:
        return self.left_on is None

    def spans(self, first: date, last: date) -> bool:
        """Held on every day from `first` to `last`."""
        started = self.hired_on is not None and self.hired_on <= first
        return started and (self.left_on is None or self.left_on >= last)


@dataclass(frozen=True, slots=True)
class Employment:
    """Whether the person works today. `since` is the earliest open hiring, or the first pension month shown."""

    active: bool
    since: date | None = None
    since_is_lower_bound: bool = False


def jobs_of(notices: tuple[EmploymentNotice, ...], today: date) -> tuple[Job, ...]:
    """Every job that the notifications tell of; a hiring that lies ahead is none yet.

    A hiring with a later leaving for the same employer is that closed job, told twice; hirings by one employer on one
    day are one job.
    """
    leavings = [n for n in notices if n.kind is NoticeKind.LEFT]
    closed = tuple(Job(n, n.hired_on or _hired_on(n, notices), n.left_on) for n in leavings)
    hirings = [
        n
        for n in notices
        if n.kind is NoticeKind.HIRED
        and n.hired_on is not None
        and n.hired_on <= today
        and not any(_ends(leaving, n, notices) for leaving in leavings)
    ]
    return closed + tuple(Job(n, n.hired_on, None) for n in (_told_once(hirings) if len(hirings) > 1 else hirings))


def _told_once(hirings: list[EmploymentNotice]) -> list[EmploymentNotice]:
    """Each job's hiring once, whatever their order."""
    jobs: list[list[EmploymentNotice]] = []
    for hiring in sorted(hirings, key=_but_for_hours):
        for job in jobs:
            if job[0].hired_on == hiring.hired_on and _is_same_employer(job[0], hiring):
                job.append(hiring)
                break
        else:
            jobs.append([hiring])
    return [_as_one(job) for job in jobs]


def _but_for_hours(notice: EmploymentNotice) -> tuple[str, ...]:
    """An order that hours have no part in: what a relying party hears must not hang on them. Numbers go first."""
    wage = "" if notice.monthly_wage_yen is None else f"{notice.monthly_wage_yen:012}"
    return (
        notice.corporate_number or "~",
        squashed_name(notice.employer_name),
        wage,
        notice.employment_type,
        notice.name,
    )


def _as_one(told: list[EmploymentNotice]) -> EmploymentNotice:
    """One job that was notified several times: the least wage of them is believed, and the fewest hours."""
    first, *others = told
    if not others:
        return first
    wages = [n.monthly_wage_yen for n in told if n.monthly_wage_yen is not None]
    hours = [n.weekly_hours for n in told if n.weekly_hours is not None]
    return replace(
        first,
        monthly_wage_yen=min(wages, default=None),
        weekly_hours=min(hours) if len(hours) == len(told) else None,
        employment_insured=any(n.employment_insured for n in told),
    )


def _hired_on(leaving: EmploymentNotice, notices: tuple[EmploymentNotice, ...]) -> date | None:
    """When the job began that a leaving ended, where the leaving itself does not say."""
    ended = [n.hired_on for n in notices if n.kind is NoticeKind.HIRED and n.hired_on and _ends(leaving, n, notices)]
    return max(ended, default=None)


def _ends(leaving: EmploymentNotice, hiring: EmploymentNotice, notices: tuple[EmploymentNotice, ...]) -> bool:
    """Whether it is the job's later leaving. On the day of leaving a hiring may be a job of that one day, or the next
    one: the next one where the leaving names another day of hiring, or where there is an earlier hiring to leave."""
    if hiring.hired_on is None or leaving.left_on is None or not _is_same_employer(leaving, hiring):
        return False
    if leaving.left_on != hiring.hired_on:
        return leaving.left_on > hiring.hired_on
    if leaving.hired_on is not None:
        return leaving.hired_on == hiring.hired_on
    return not any(
        n.kind is NoticeKind.HIRED and n.hired_on and n.hired_on < hiring.hired_on and _is_same_employer(n, leaving)
        for n in notices
    )


def _is_same_employer(one: EmploymentNotice, other: EmploymentNotice) -> bool:
    """By the corporate number; by the name where one of them states none."""
    if one.corporate_number and other.corporate_number:
        return one.corporate_number == other.corporate_number
    return squashed_name(one.employer_name) == squashed_name(other.employer_name)


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
    if not notices:
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
    last = max(notices, key=_event_on, default=None)
    if last is None or last.kind is not NoticeKind.LEFT or declared is None or not declared.employed:
        return False
    return facts.today - _event_on(last) <= timedelta(days=FILING_WINDOW_DAYS)


def _event_on(notice: EmploymentNotice) -> date:
    """The day of the event that the notification tells of."""
    event_on = notice.left_on if notice.kind is NoticeKind.LEFT else notice.hired_on
    return event_on or date.min


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
        if notices:
            jobs = jobs_of(notices, facts.today)
            return confirmed(any(job.spans(date(year, 1, 1), date(year, 12, 31)) for job in jobs))
        insured = insured_record(facts)
        if insured.reason is Reason.RECORD_NOT_FOUND_UNEXPECTED:
            return confirmed(False)
        return insured.map(lambda record: _months_insured(record, year) == 12)

    return employment_notices(facts).then(throughout)


def _months_insured(record: InsuredRecord, year: int) -> int:
    return sum(1 for month, code in pension_months(record) if month.year == year and code == EMPLOYEES_PENSION)
