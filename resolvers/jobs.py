"""From employers' notifications to jobs: which rows tell of one job, what it pays, and whether it has ended.

Source: Labour Policy Comprehensive Promotion Act art. 28; rules-pack specification 9.8, domain notes 2.
"""

import re
import unicodedata
from dataclasses import replace
from datetime import date
from functools import lru_cache

from connectors.japan import squashed_name
from connectors.labor.evidence import EmploymentNotice, NoticeKind
from connectors.value import Value

_NO_EMPLOYMENT = ("業務委託", "内定")
"""A contract for work, and an offer. Source: domain notes 2, contract types."""
_BEGINS_AS_NONE = re.compile(f"(?:採用)?(?:{'|'.join(_NO_EMPLOYMENT)})")

_COMPANY_FORMS = {
    "株式会社": "株式会社",
    "(株)": "株式会社",
    "有限会社": "有限会社",
    "(有)": "有限会社",
    "合同会社": "合同会社",
    "(同)": "合同会社",
}
"""How a company's form is written before or after its name, once ㈱ is spelled out."""


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


def select_employments(notices: tuple[EmploymentNotice, ...]) -> tuple[EmploymentNotice, ...]:
    """The notifications that tell of an employment, unless a newer one of the same hiring tells of none."""
    others = [notice for notice in notices if not _is_employment(notice)]
    return tuple(
        notice
        for notice in notices
        if _is_employment(notice) and not any(_corrects(newer, notice, notices) for newer in others)
    )


def normalise_contract(notice: EmploymentNotice) -> str:
    """The kind of contract as it is compared."""
    return _normalise(notice.employment_type)


@lru_cache(maxsize=256)
def _normalise(contract: str) -> str:
    return "".join(unicodedata.normalize("NFKC", contract).split())


def _is_employment(notice: EmploymentNotice) -> bool:
    """By the word that it begins with: 無期（業務委託から転換） is one."""
    return _BEGINS_AS_NONE.match(normalise_contract(notice)) is None


def jobs_of(notices: tuple[EmploymentNotice, ...], today: date) -> tuple[Job, ...]:
    """Every job that the notifications tell of; a hiring that lies ahead is none yet, nor is such a leaving an end.

    A hiring with a later leaving for the same employer, under whatever contract, is that closed job, told twice; open
    hirings by one employer are one job. Whether a job is an employment its newest rows tell.
    """
    told = tuple(_as_corrected(n, notices) for n in notices if not _is_corrected_leaving(n, notices))
    leavings = [n for n in told if has_ended(n, today)]
    closed = [Job(n, n.hired_on or _hired_on(n, told), n.left_on) for n in leavings]
    open_ = [
        n
        for n in told
        if not has_ended(n, today)
        and n.hired_on is not None
        and n.hired_on <= today
        and not any(_ends(leaving, n, told) for leaving in leavings)
    ]
    employments = [job for job in closed if _was_employment(job, told)]
    return (*employments, *(Job(n, n.hired_on, None) for n in _told_once(open_)))


def _was_employment(closed: Job, notices: tuple[EmploymentNotice, ...]) -> bool:
    hirings = [
        n
        for n in notices
        if n.kind is NoticeKind.HIRED and n.hired_on == closed.hired_on and _is_same_employer(n, closed.notice)
    ]
    return any(_is_employment(n) for n in _newest([closed.notice, *hirings]))


def _as_corrected(notice: EmploymentNotice, notices: tuple[EmploymentNotice, ...]) -> EmploymentNotice:
    """A hiring without its own day of leaving, where a newer row of the same hiring names another one or none."""
    if notice.left_on is None:
        return notice
    others = (newer for newer in notices if newer.left_on != notice.left_on)
    return replace(notice, left_on=None) if any(_corrects(n, notice, notices) for n in others) else notice


def _is_corrected_leaving(notice: EmploymentNotice, notices: tuple[EmploymentNotice, ...]) -> bool:
    """Whether a newer leaving from the same hiring names another day."""
    return (
        notice.kind is NoticeKind.LEFT
        and notice.hired_on is not None
        and any(
            newer.kind is NoticeKind.LEFT
            and newer.hired_on == notice.hired_on
            and newer.as_of > notice.as_of
            and _is_same_employer(newer, notice)
            for newer in notices
        )
    )


def _corrects(newer: EmploymentNotice, older: EmploymentNotice, notices: tuple[EmploymentNotice, ...]) -> bool:
    """Whether it is a newer row of the same hiring: of the same time, and no leaving parts the two."""
    if not (newer.kind is older.kind is NoticeKind.HIRED and newer.as_of > older.as_of):
        return False
    if newer.hired_on is None or older.hired_on is None:
        return False
    first, last = sorted((newer.hired_on, older.hired_on))
    is_of_same_time = newer.hired_on <= (older.left_on or date.max) and older.hired_on <= (newer.left_on or date.max)
    if not is_of_same_time or not _is_same_employer(newer, older):
        return False
    between = (n for n in notices if n.kind is NoticeKind.LEFT and n.left_on and first <= n.left_on <= last)
    return first == last or all(_ends(n, newer, notices) == _ends(n, older, notices) for n in between)


def has_ended(notice: EmploymentNotice, today: date) -> bool:
    """Whether the row itself tells that the job is over: a leaving, or a hiring with its own later day of leaving."""
    if notice.left_on is None or notice.left_on > today:
        return False
    return notice.kind is NoticeKind.LEFT or notice.hired_on is None or notice.left_on >= notice.hired_on


def _told_once(hirings: list[EmploymentNotice]) -> list[EmploymentNotice]:
    """The hiring of each employment once, whatever their order."""
    if len(hirings) == 1:
        return hirings if _is_employment(hirings[0]) else []
    jobs: list[list[EmploymentNotice]] = []
    for hiring in sorted(hirings, key=_but_for_hours):
        for job in jobs:
            if _is_same_employer(job[0], hiring):
                job.append(hiring)
                break
        else:
            jobs.append([hiring])
    return [_as_one(job) for job in jobs if any(_is_employment(n) for n in _newest(job))]


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
    """One job that was notified several times, as corrections are: from its earliest day of hiring, as the newest
    rows have it. Of these the fewest hours are believed, and a wage only if they state exactly one."""
    if len(told) == 1:
        return told[0]
    newest = [n for n in _newest(told) if _is_employment(n)]
    wages = {n.monthly_wage_yen for n in newest if n.monthly_wage_yen is not None}
    hours = [n.weekly_hours for n in newest if n.weekly_hours is not None]
    return replace(
        newest[0],
        corporate_number=told[0].corporate_number,
        hired_on=min(n.hired_on for n in told if n.hired_on),
        monthly_wage_yen=wages.pop() if len(wages) == 1 else None,
        weekly_hours=min(hours) if len(hours) == len(newest) else None,
        employment_insured=any(n.employment_insured for n in told),
    )


def _newest(told: list[EmploymentNotice]) -> list[EmploymentNotice]:
    """Those of the latest as-of day."""
    latest = max(n.as_of for n in told)
    return [n for n in told if n.as_of == latest]


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
    return _employer_of(one) == _employer_of(other)


def _employer_of(notice: EmploymentNotice) -> tuple[str, str]:
    """The company's form, "" for none, and the name without it."""
    name = squashed_name(notice.employer_name)
    for written, form in _COMPANY_FORMS.items():
        if name.startswith(written):
            return form, name.removeprefix(written)
        if name.endswith(written):
            return form, name.removesuffix(written)
    return "", name
