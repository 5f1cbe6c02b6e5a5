"""What the social insurance record means: enrolled, premiums paid, and by whom any lateness came.

Source: Employees' Pension Insurance Act (the employer owes the premium); National Pension Act art. 7
(liable from 20); specification 9.8. The employer's arrears are never the worker's.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from functools import partial

from connectors.insurance.evidence import InsuredRecord
from connectors.interface import SourceAuthority
from resolvers.attribute import ClaimSource, Freshness, attribute, described
from resolvers.claim import Claim, Reason, confirmed, evidence_needed, not_applicable
from resolvers.employment import KNOWN_CODES, NOT_YET_DUE, pension_months
from resolvers.entry import entered_on
from resolvers.facts import Facts, derived_once
from resolvers.labor import Enrolment
from resolvers.linkage import insured_record, residence_record
from resolvers.months import birthday, first_of_month

MONTHS_SHOWN = 24
"""The claim is about the last 24 months that the record shows. Source: specification 9.8."""

PENSION_AGE = 20
"""Liability for the national pension starts in the month of the 20th birthday. Source: art. 7."""


class Premiums(StrEnum):
    """How the countable months of the last 24 were paid."""

    ALL_ON_TIME = "ALL_ON_TIME"
    ALL_PAID_SOME_LATE = "ALL_PAID_SOME_LATE"
    SOME_UNPAID = "SOME_UNPAID"
    EXEMPTED = "EXEMPTED"
    EXEMPT_TREATY = "EXEMPT_TREATY"


class PremiumLateness(StrEnum):
    """To whom late or unpaid premiums belong."""

    NONE = "NONE"
    EMPLOYER = "EMPLOYER"
    SELF = "SELF"
    MIXED = "MIXED"


class HealthScheme(StrEnum):
    """The kind of health insurance."""

    EMPLOYEE = "EMPLOYEE"
    NHI = "NHI"
    DEPENDANT = "DEPENDANT"
    OTHER = "OTHER"


class PensionCategory(StrEnum):
    """The category of insured person under the National Pension Act art. 7."""

    CATEGORY_1 = "CATEGORY_1"
    CATEGORY_2 = "CATEGORY_2"
    CATEGORY_3 = "CATEGORY_3"
    NONE = "NONE"


@derived_once
def derive_premiums_24m(facts: Facts) -> Claim[Premiums]:
    return _countable(facts).then(lambda months: insured_record(facts).then(lambda r: _premiums(months, r)))


@derived_once
def _countable(facts: Facts) -> Claim[Mapping[date, str]]:
    """The months that count, with their codes: due, not before the entry month, nor the 20th birthday's.

    Where no day of entry is known, a month that is late, unpaid or silent may lie before it, and leaves all in doubt.
    """

    def months(record: InsuredRecord) -> Claim[Mapping[date, str]]:
        of_age = first_of_month(birthday(facts.identity.date_of_birth, PENSION_AGE))
        entered = entered_on(residence_record(facts), today=facts.today)
        first = max(first_of_month(entered.known), of_age) if entered.is_confirmed else of_age
        shown = pension_months(record)[-MONTHS_SHOWN:]
        counted = {month: code for month, code in shown if month >= first and code != NOT_YET_DUE}
        if not entered.is_confirmed and not set("*L.").isdisjoint(counted.values()):
            return entered.without_value()
        return confirmed(counted) if counted else not_applicable(Reason.EXEMPT_BY_AGE)

    return insured_record(facts).then(lambda record: residence_record(facts).then(lambda _: months(record)))


def _premiums(months: Mapping[date, str], record: InsuredRecord) -> Claim[Premiums]:
    found = set(months.values())
    if "*" in found:
        return confirmed(Premiums.SOME_UNPAID)
    if not found <= KNOWN_CODES:
        return evidence_needed(Reason.NOT_STATED)
    if "L" in found or _employer_was_late(months, record):
        return confirmed(Premiums.ALL_PAID_SOME_LATE)
    if found == {"T"}:
        return confirmed(Premiums.EXEMPT_TREATY)
    if found <= set("3ZS"):
        return confirmed(Premiums.EXEMPTED)
    return evidence_needed(Reason.NOT_STATED) if "." in found else confirmed(Premiums.ALL_ON_TIME)


def _employer_was_late(months: Mapping[date, str], record: InsuredRecord) -> bool:
    return not months.keys().isdisjoint(record.employer_late_months)


def derive_premium_lateness(facts: Facts) -> Claim[PremiumLateness]:
    """Unknown where the premiums are: a month that is silent may yet turn out late."""

    def lateness(months: Mapping[date, str], record: InsuredRecord) -> PremiumLateness:
        own = not set("L*").isdisjoint(months.values())
        if _employer_was_late(months, record):
            return PremiumLateness.MIXED if own else PremiumLateness.EMPLOYER
        return PremiumLateness.SELF if own else PremiumLateness.NONE

    return derive_premiums_24m(facts).then(
        lambda _: _countable(facts).then(
            lambda months: insured_record(facts).map(lambda record: lateness(months, record))
        )
    )


@derived_once
def derive_health_scheme(facts: Facts) -> Claim[HealthScheme]:
    """The scheme printed in the record; an employee scheme that was lost leaves it open."""

    def scheme(record: InsuredRecord) -> Claim[HealthScheme]:
        printed = record.health_scheme
        if not printed:
            return evidence_needed(Reason.NOT_STATED)
        if "国保" in printed or "国民健康保険" in printed:
            return confirmed(HealthScheme.NHI)
        if "被扶養" in printed:
            return confirmed(HealthScheme.DEPENDANT)
        if any(name in printed for name in ("協会", "健保", "組合", "共済")):
            is_lost = record.lost_on is not None
            return evidence_needed(Reason.RECORD_NOT_FOUND_EXPECTED) if is_lost else confirmed(HealthScheme.EMPLOYEE)
        return confirmed(HealthScheme.OTHER)

    return insured_record(facts).then(scheme)


def derive_health_enrolled(facts: Facts) -> Claim[Enrolment]:
    def enrolment(record: InsuredRecord) -> Claim[Enrolment]:
        if "適用証明" in record.health_scheme:
            return confirmed(Enrolment.EXEMPT)
        if "未加入" in record.health_scheme:
            return confirmed(Enrolment.NO)
        return derive_health_scheme(facts).map(lambda _: Enrolment.YES)

    return insured_record(facts).then(enrolment)


def derive_pension_enrolled(facts: Facts) -> Claim[Enrolment]:
    """By the last month with data; before 20 nobody has to be."""

    def enrolment(record: InsuredRecord) -> Claim[Enrolment]:
        last = _last_code(record)
        if last == "T":
            return confirmed(Enrolment.EXEMPT)
        if last == ".":
            is_young = facts.today < birthday(facts.identity.date_of_birth, PENSION_AGE)
            return confirmed(Enrolment.EXEMPT) if is_young else evidence_needed(Reason.NOT_STATED)
        if last not in KNOWN_CODES:
            return evidence_needed(Reason.NOT_STATED)
        if last == "2" and record.lost_on is not None:
            return evidence_needed(Reason.RECORD_NOT_FOUND_EXPECTED)
        return confirmed(Enrolment.YES)

    return insured_record(facts).then(enrolment)


def derive_pension_category(facts: Facts) -> Claim[PensionCategory]:
    def category(record: InsuredRecord) -> Claim[PensionCategory]:
        last = _last_code(record)
        if last not in KNOWN_CODES:
            return evidence_needed(Reason.NOT_STATED)
        if last in ".T" or (last == "2" and record.lost_on is not None):
            return confirmed(PensionCategory.NONE)
        named = {"2": PensionCategory.CATEGORY_2, "3": PensionCategory.CATEGORY_3}
        return confirmed(named.get(last, PensionCategory.CATEGORY_1))

    return insured_record(facts).then(category)


def _last_code(record: InsuredRecord) -> str:
    """The code of the last month that is due; a record without one says `not covered`."""
    return (record.month_codes.rstrip(NOT_YET_DUE) or ".")[-1]


_insurance = partial(attribute, source=ClaimSource.INSURANCE, fresh=Freshness.F3)
_premium = partial(_insurance, also=(SourceAuthority.IMMIGRATION,))

ATTRIBUTES = (
    _insurance(
        "healthEnrolled",
        Enrolment,
        derive_health_enrolled,
        en="Is the person enrolled in health insurance?",
        ja="健康保険に加入していますか。",
    ),
    _insurance(
        "pensionEnrolled",
        Enrolment,
        derive_pension_enrolled,
        en="Is the person enrolled in a public pension?",
        ja="公的年金に加入していますか。",
    ),
    _insurance(
        "healthScheme",
        HealthScheme,
        derive_health_scheme,
        person_only=True,
        en="Which kind of health insurance is it?",
        ja="どの健康保険ですか。",
    ),
    _insurance(
        "pensionCategory",
        PensionCategory,
        derive_pension_category,
        person_only=True,
        en="Which category of pension insurance is it?",
        ja="年金の第何号被保険者ですか。",
    ),
    _premium(
        "premiums24m",
        Premiums,
        derive_premiums_24m,
        en="Were the premiums of the last 24 months paid?",
        ja="過去24か月の保険料は納付されていますか。",
    ),
    _premium(
        "premiumLateness",
        PremiumLateness,
        derive_premium_lateness,
        en="To whom do late or unpaid premiums belong?",
        ja="保険料の遅れや未納は誰によるものですか。",
    ),
)

described(
    Premiums,
    "How the months that count were paid.",
    ALL_ON_TIME="All on time.",
    ALL_PAID_SOME_LATE="All paid, some late.",
    SOME_UNPAID="Some are unpaid.",
    EXEMPTED="Lawfully exempted.",
    EXEMPT_TREATY="Exempt under a treaty.",
)
described(
    PremiumLateness,
    "To whom late or unpaid premiums belong.",
    NONE="There are none.",
    EMPLOYER="The employer.",
    SELF="The person.",
    MIXED="Both.",
)
described(
    HealthScheme,
    "The kind of health insurance.",
    EMPLOYEE="An employees' scheme.",
    NHI="National health insurance.",
    DEPENDANT="As a dependant.",
    OTHER="Another scheme.",
)
described(
    PensionCategory,
    "The category of insured person.",
    CATEGORY_1="Self-paying.",
    CATEGORY_2="Employee.",
    CATEGORY_3="Dependent spouse.",
    NONE="None at present.",
)
