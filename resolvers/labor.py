"""What the labor records mean: employed or not, how long, in what kind of job, and whether it may be done.

Hours stay with the person: no claim that a relying party can ask for depends on them (domain notes 1.2).
"""

import re
from datetime import date, timedelta
from enum import StrEnum
from functools import partial

from connectors.immigration.evidence import DesignatedOrganisation, OtherActivity, ResidenceRecord
from connectors.interface import SourceAuthority
from resolvers.attribute import Argument, ClaimSource, Freshness, attribute, described
from resolvers.claim import Claim, Quantity, Reason, confirmed, evidence_needed, not_applicable
from resolvers.employment import (
    derive_employed,
    derive_tenure_months,
    employment,
    open_jobs,
)
from resolvers.employment_gap import EmploymentGap, derive_employment_gap
from resolvers.facts import Facts
from resolvers.hours import WeeklyHours, derive_hours_within_permission, derive_weekly_hours
from resolvers.jobs import Job, normalise_contract
from resolvers.linkage import residence_record
from resolvers.residence_status import WorkPermission
from resolvers.stay import derive_status_lawful, kind_of

NOTICE_DAYS = 14
"""Days to notify a change of affiliation. Source: Immigration Control Act art. 19-16."""


class Tenure(StrEnum):
    """Time in the present employment; each band includes its lower bound."""

    LT_3M = "LT_3M"
    M3_12 = "M3_12"
    M12_36 = "M12_36"
    GE_36M = "GE_36M"


class EmploymentKind(StrEnum):
    """The kind of contract of the present job."""

    INDEFINITE = "INDEFINITE"
    FIXED_TERM = "FIXED_TERM"
    PART_TIME = "PART_TIME"
    DISPATCH = "DISPATCH"
    OTHER = "OTHER"
    NONE = "NONE"


def derive_employment_covers_until(facts: Facts, *, on: date) -> Claim[bool]:
    """The contract could tell; documents are not connected."""
    return evidence_needed(Reason.SOURCE_NOT_CONNECTED)


def derive_employer_verified(facts: Facts) -> Claim[bool]:
    """The corporate register could tell; it is not connected."""
    return evidence_needed(Reason.SOURCE_NOT_CONNECTED)


class Enrolment(StrEnum):
    """Enrolled in an insurance, not enrolled, or exempt from it."""

    YES = "YES"
    NO = "NO"
    EXEMPT = "EXEMPT"


_KINDS = {
    "派遣": EmploymentKind.DISPATCH,
    "パート": EmploymentKind.PART_TIME,
    "アルバイト": EmploymentKind.PART_TIME,
    "無期": EmploymentKind.INDEFINITE,
    "有期": EmploymentKind.FIXED_TERM,
}
"""By a word of the kind of contract, before any bracket, as in 有期雇用（無期転換前）; the first counts."""
_FORMER_OR_NOT = re.compile("^[元旧前非]|ない|なし")


def derive_tenure(facts: Facts) -> Claim[Tenure]:
    """The band, unless the records only give a lower bound that a longer band could also fit."""

    def band(months: Quantity) -> Claim[Tenure]:
        for least, found in ((36, Tenure.GE_36M), (12, Tenure.M12_36), (3, Tenure.M3_12)):
            reached = months.at_least(least)
            if reached is None:
                return evidence_needed(Reason.LOWER_BOUND)
            if reached:
                return confirmed(found)
        return confirmed(Tenure.LT_3M)

    return derive_tenure_months(facts).then(band)


def derive_employment_kind(facts: Facts) -> Claim[EmploymentKind]:
    """The kind of the job held for longest, whatever its hours; NONE when not employed."""

    def kind(jobs: tuple[Job, ...]) -> Claim[EmploymentKind]:
        if not jobs:
            return employment(facts).then(
                lambda e: evidence_needed(Reason.NOT_STATED) if e.active else confirmed(EmploymentKind.NONE)
            )
        main = min(jobs, key=lambda job: job.hired_on or date.max)
        written = normalise_contract(main.notice).partition("(")[0]
        known = (kind for word, kind in _KINDS.items() if word in written and not _FORMER_OR_NOT.search(written))
        return confirmed(next(known, EmploymentKind.OTHER))

    return open_jobs(facts).then(kind)


def derive_employment_permitted(facts: Facts) -> Claim[bool]:
    """Whether the job may lawfully be done under the present status; hours are never looked at.

    Only where the person is employed and the stay lawful. Source: Immigration Control Act art. 19.
    """
    lawful = derive_status_lawful(facts)
    working = employment(facts)
    if lawful.is_confirmed and not lawful.known:
        return not_applicable(Reason.STAY_NOT_LAWFUL)
    if (working.is_confirmed and not working.known.active) or _is_plain_doubt(working):
        return not_applicable(Reason.NOT_EMPLOYED)
    return working.then(
        lambda _: lawful.then(lambda _: residence_record(facts).then(lambda record: _permitted(facts, record)))
    )


def _is_plain_doubt(working: Claim[object]) -> bool:
    """No source is silent or disagrees; the records just do not show a job."""
    return working.reason in (Reason.WITHIN_FILING_WINDOW, Reason.RECORD_NOT_FOUND_EXPECTED)


def _organisation_tied_to(record: ResidenceRecord) -> DesignatedOrganisation | None:
    """The one organisation that the present status allows to work for; what an earlier status left is none."""
    return record.designated_organisation if kind_of(record).tied else None


def _permitted(facts: Facts, record: ResidenceRecord) -> Claim[bool]:
    if kind_of(record).work is WorkPermission.NONE and record.other_activity in (None, OtherActivity.NOT_PERMITTED):
        is_stated = record.other_activity is not None
        return confirmed(False) if is_stated else evidence_needed(Reason.NOT_STATED)
    organisation = _organisation_tied_to(record)
    if organisation is None:
        return confirmed(True)
    if not organisation.corporate_number:
        return evidence_needed(Reason.NOT_STATED)
    # Where the pension alone shows the job there is no number that could differ.
    numbers = {job.notice.corporate_number for job in open_jobs(facts).value or ()}
    if numbers - {"", organisation.corporate_number}:
        return confirmed(False)
    return evidence_needed(Reason.NOT_STATED) if "" in numbers else confirmed(True)


def derive_affiliation_notice_current(facts: Facts) -> Claim[bool]:
    """For the person alone: does immigration know the present employer, 14 days after it changed?

    Only the organisation that the status is tied to stands in the immigration record, so only that can be compared.
    """

    def current(record: ResidenceRecord) -> Claim[bool]:
        if kind_of(record).work is not WorkPermission.WITHIN_STATUS:
            return not_applicable(Reason.NO_LIMIT)
        organisation = _organisation_tied_to(record)
        if organisation is None:
            return evidence_needed(Reason.SOURCE_NOT_CONNECTED)
        if not organisation.corporate_number:
            return evidence_needed(Reason.NOT_STATED)
        return open_jobs(facts).then(lambda jobs: _notified(jobs, organisation.corporate_number, facts.today))

    return residence_record(facts).then(current)


def _notified(jobs: tuple[Job, ...], corporate_number: str, today: date) -> Claim[bool]:
    others = [job for job in jobs if job.notice.corporate_number not in ("", corporate_number)]
    if not jobs:
        return evidence_needed(Reason.RECORD_NOT_FOUND_EXPECTED)
    if not others:
        is_stated = all(job.notice.corporate_number for job in jobs)
        return confirmed(True) if is_stated else evidence_needed(Reason.NOT_STATED)
    is_late = any(job.hired_on and today > job.hired_on + timedelta(days=NOTICE_DAYS) for job in others)
    return confirmed(False) if is_late else evidence_needed(Reason.WITHIN_FILING_WINDOW)


def derive_employment_insurance(facts: Facts) -> Claim[Enrolment]:
    """Enrolled if a notification names an insured person; exempt as a day student; hours are never looked at."""

    def enrolment(jobs: tuple[Job, ...]) -> Claim[Enrolment]:
        if not jobs:
            return employment(facts).then(
                lambda e: (
                    evidence_needed(Reason.RECORD_NOT_FOUND_EXPECTED)
                    if e.active
                    else not_applicable(Reason.NOT_EMPLOYED)
                )
            )
        if any(job.notice.employment_insured for job in jobs):
            return confirmed(Enrolment.YES)
        return residence_record(facts).then(_not_insured)

    return open_jobs(facts).then(enrolment)


def _not_insured(record: ResidenceRecord) -> Claim[Enrolment]:
    """Without an insurance number only hours could tell exempt from not enrolled, and hours stay private."""
    return confirmed(Enrolment.EXEMPT) if kind_of(record).student else evidence_needed(Reason.NOT_STATED)


_labor = partial(
    attribute,
    source=ClaimSource.LABOR,
    fresh=Freshness.F2,
    also=(SourceAuthority.INSURANCE,),
)

ATTRIBUTES = (
    _labor(
        "employed",
        bool,
        derive_employed,
        en="Do the records show a current job?",
        ja="現在の就労が記録で確認できますか。",
    ),
    _labor(
        "tenure",
        Tenure,
        derive_tenure,
        en="Roughly how long has the present job lasted?",
        ja="現在の勤務はおおよそどのくらい続いていますか。",
    ),
    _labor(
        "employmentKind",
        EmploymentKind,
        derive_employment_kind,
        en="What kind of contract is the present job?",
        ja="現在の雇用形態は何ですか。",
    ),
    _labor(
        "employmentPermitted",
        bool,
        derive_employment_permitted,
        also=(SourceAuthority.IMMIGRATION, SourceAuthority.INSURANCE),
        en="May the present job be done under the present status?",
        ja="現在の就労は在留資格の範囲内ですか。",
    ),
    _labor(
        "employmentGap",
        EmploymentGap,
        derive_employment_gap,
        en="How many of the last 24 months were without a job?",
        ja="過去24か月のうち就労のない月は何か月ですか。",
    ),
    _labor(
        "employmentCoversUntil",
        bool,
        derive_employment_covers_until,
        connected=False,
        arguments=(Argument("on", date, "The day that the employment should reach."),),
        en="Does the employment contract reach this day?",
        ja="雇用契約はこの日まで及びますか。",
    ),
    _labor(
        "employerVerified",
        bool,
        derive_employer_verified,
        connected=False,
        en="Does the employer exist in the corporate register?",
        ja="勤務先は法人番号の登録がありますか。",
    ),
    _labor(
        "employmentInsurance",
        Enrolment,
        derive_employment_insurance,
        fresh=Freshness.F3,
        also=(SourceAuthority.IMMIGRATION, SourceAuthority.INSURANCE),
        en="Is the person enrolled in employment insurance?",
        ja="雇用保険に加入していますか。",
    ),
    _labor(
        "weeklyHours",
        WeeklyHours,
        derive_weekly_hours,
        person_only=True,
        en="How many hours a week are contracted over all employers?",
        ja="全勤務先の週所定労働時間の合計はどのくらいですか。",
    ),
    _labor(
        "hoursWithinPermission",
        bool,
        derive_hours_within_permission,
        person_only=True,
        also=(SourceAuthority.IMMIGRATION, SourceAuthority.INSURANCE),
        en="Do the hours stay within the permission for other activities?",
        ja="労働時間は資格外活動許可の範囲内ですか。",
    ),
    _labor(
        "affiliationNoticeCurrent",
        bool,
        derive_affiliation_notice_current,
        person_only=True,
        also=(SourceAuthority.IMMIGRATION,),
        en="Has immigration been told of the present employer?",
        ja="現在の所属機関を入管に届け出ていますか。",
    ),
)

described(
    Tenure,
    "Time in the present job, in whole months; a band includes its lower bound.",
    LT_3M="Under 3 months, or no job.",
    M3_12="3 to under 12 months.",
    M12_36="12 to under 36 months.",
    GE_36M="36 months or more.",
)
described(
    EmploymentGap,
    "Months without a job among the last 24.",
    N0="None.",
    N1="One.",
    N2_3="Two or three.",
    GE_4="Four or more.",
)
described(
    EmploymentKind,
    "The kind of contract of the present job.",
    INDEFINITE="Without a fixed term.",
    FIXED_TERM="For a fixed term.",
    PART_TIME="Part-time.",
    DISPATCH="Dispatched by an agency.",
    OTHER="Another kind, such as a secondment.",
    NONE="No job.",
)
described(
    WeeklyHours,
    "Contracted weekly hours over all employers; a band includes its lower bound.",
    LT_20="Under 20 hours.",
    H20_30="20 to under 30 hours.",
    GE_30="30 hours or more.",
)
described(
    Enrolment,
    "Whether the person is enrolled in an insurance.",
    YES="Enrolled.",
    NO="Not enrolled.",
    EXEMPT="Exempt by law or treaty.",
)
