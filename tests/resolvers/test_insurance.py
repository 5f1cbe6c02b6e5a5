"""Premiums of 24 months in their exact order, whose lateness it was, and enrolment. Specification 9.8."""

from collections.abc import Callable
from datetime import date
from typing import Any  # what a claim tells: a value of any kind, or a state with its reason

import pytest

from resolvers.claim import Reason
from resolvers.facts import Facts
from resolvers.insurance import (
    HealthScheme,
    PensionCategory,
    PremiumLateness,
    Premiums,
    derive_health_enrolled,
    derive_health_scheme,
    derive_pension_category,
    derive_pension_enrolled,
    derive_premium_lateness,
    derive_premiums_24m,
)
from resolvers.labor import Enrolment
from tests.builders import (
    DOWN,
    IS_DOWN,
    IS_SLOW,
    SLOW,
    a_residence_record,
    an_insured_record,
    does_not_apply,
    facts_of,
    facts_of_someone_born,
    month_codes,
    needs_evidence,
    told,
)

NOT_STATED = needs_evidence(Reason.NOT_STATED)
BY_AGE = does_not_apply(Reason.EXEMPT_BY_AGE)
UNRESOLVED = needs_evidence(Reason.IDENTITY_UNRESOLVED)
LEDGER_LATE = {"employer_late_months": (date(2026, 6, 1), date(2026, 7, 1))}


def facts_with(codes: str, **insured: Any) -> Facts:
    return facts_of(insured=(an_insured_record(month_codes=codes, **insured),))


@pytest.mark.parametrize(
    ("code", "premiums"),
    [
        pytest.param("2", Premiums.ALL_ON_TIME, id="2: employees' pension"),
        pytest.param("A", Premiums.ALL_ON_TIME, id="A: paid on time"),
        pytest.param("3", Premiums.EXEMPTED, id="3: dependent spouse"),
        pytest.param("Z", Premiums.EXEMPTED, id="Z: exempt"),
        pytest.param("S", Premiums.EXEMPTED, id="S: student special"),
        pytest.param("L", Premiums.ALL_PAID_SOME_LATE, id="L: paid late"),
        pytest.param("*", Premiums.SOME_UNPAID, id="*: unpaid"),
        pytest.param("T", Premiums.EXEMPT_TREATY, id="T: treaty"),
        pytest.param(".", NOT_STATED, id=".: not covered"),
        pytest.param("-", BY_AGE, id="-: not yet due"),
    ],
)
def test_every_code_means_what_the_specification_says(code: str, premiums: Any) -> None:
    assert told(derive_premiums_24m(facts_with(code * 24))) == premiums


@pytest.mark.parametrize(
    ("last", "premiums"),
    [
        pytest.param("*L", Premiums.SOME_UNPAID, id="unpaid comes before late"),
        pytest.param(".*", Premiums.SOME_UNPAID, id="unpaid comes before silence"),
        pytest.param("T*", Premiums.SOME_UNPAID, id="unpaid comes before the treaty"),
        pytest.param("*", Premiums.SOME_UNPAID, id="one unpaid month"),
        pytest.param("L", Premiums.ALL_PAID_SOME_LATE, id="one late month"),
        pytest.param(".L", Premiums.ALL_PAID_SOME_LATE, id="late comes before silence"),
        pytest.param("ZL", Premiums.ALL_PAID_SOME_LATE, id="late comes before exempt"),
        pytest.param(".", NOT_STATED, id="one silent month among paid ones"),
        pytest.param("Z", Premiums.ALL_ON_TIME, id="exempt and paid"),
        pytest.param("T", Premiums.ALL_ON_TIME, id="treaty and paid"),
        pytest.param("-", Premiums.ALL_ON_TIME, id="not yet due is ignored"),
        pytest.param("Y", NOT_STATED, id="a code of no known meaning is silence"),
        pytest.param("YL", NOT_STATED, id="such a code may be worse than late"),
        pytest.param("Y*", Premiums.SOME_UNPAID, id="unpaid whatever such a code means"),
    ],
)
def test_premiums_are_read_in_order(last: str, premiums: Any) -> None:
    assert told(derive_premiums_24m(facts_with(month_codes(last)))) == premiums


@pytest.mark.parametrize(
    ("codes", "premiums"),
    [
        pytest.param("3ZS" * 7 + "ZZ-", Premiums.EXEMPTED, id="exempt in every way"),
        pytest.param("3ZS" * 7 + "ZA-", Premiums.ALL_ON_TIME, id="one month paid"),
        pytest.param("3ZS" * 7 + "Z.-", NOT_STATED, id="exempt, with a silent month"),
        pytest.param("T" * 22 + "Z-", Premiums.ALL_ON_TIME, id="treaty but for one exempt month"),
        pytest.param("T" * 22 + ".-", NOT_STATED, id="treaty, with a silent month"),
        pytest.param("-" * 24, BY_AGE, id="nothing is due"),
    ],
)
def test_exemption_and_treaty_count_only_when_nothing_else_is_there(codes: str, premiums: Any) -> None:
    assert told(derive_premiums_24m(facts_with(codes))) == premiums


def test_only_the_last_24_months_count() -> None:
    assert (
        told(derive_premiums_24m(facts_with("*" + "2" * 24, first_month=date(2024, 10, 1)))) == Premiums.ALL_ON_TIME
    )
    assert told(derive_premiums_24m(facts_with("*" + "2" * 23))) == Premiums.SOME_UNPAID


@pytest.mark.parametrize(
    ("codes", "ledger", "premiums", "lateness"),
    [
        pytest.param(month_codes("2"), {}, Premiums.ALL_ON_TIME, PremiumLateness.NONE, id="nobody"),
        pytest.param(
            month_codes("2"), LEDGER_LATE, Premiums.ALL_PAID_SOME_LATE, PremiumLateness.EMPLOYER, id="the employer"
        ),
        pytest.param(month_codes("L"), {}, Premiums.ALL_PAID_SOME_LATE, PremiumLateness.SELF, id="the person: late"),
        pytest.param(month_codes("*"), {}, Premiums.SOME_UNPAID, PremiumLateness.SELF, id="the person: unpaid"),
        pytest.param(
            month_codes("L"), LEDGER_LATE, Premiums.ALL_PAID_SOME_LATE, PremiumLateness.MIXED, id="both, late"
        ),
        pytest.param(month_codes("*"), LEDGER_LATE, Premiums.SOME_UNPAID, PremiumLateness.MIXED, id="both, unpaid"),
        pytest.param("T" * 24, {}, Premiums.EXEMPT_TREATY, PremiumLateness.NONE, id="treaty: nobody"),
        pytest.param("3" * 24, {}, Premiums.EXEMPTED, PremiumLateness.NONE, id="dependant: nobody"),
        pytest.param(
            "T" * 24,
            LEDGER_LATE,
            Premiums.ALL_PAID_SOME_LATE,
            PremiumLateness.EMPLOYER,
            id="a late ledger comes before the treaty",
        ),
        pytest.param(
            "Z" * 24,
            LEDGER_LATE,
            Premiums.ALL_PAID_SOME_LATE,
            PremiumLateness.EMPLOYER,
            id="a late ledger comes before exemption",
        ),
        pytest.param(
            month_codes("."),
            LEDGER_LATE,
            Premiums.ALL_PAID_SOME_LATE,
            PremiumLateness.EMPLOYER,
            id="a late ledger comes before silence",
        ),
    ],
)
def test_the_employers_lateness_is_never_the_persons(
    codes: str, ledger: dict[str, Any], premiums: Premiums, lateness: PremiumLateness
) -> None:
    facts = facts_with(codes, **ledger)
    assert told(derive_premiums_24m(facts)) == premiums
    assert told(derive_premium_lateness(facts)) == lateness


def test_lateness_is_not_known_where_the_premiums_are_not() -> None:
    assert told(derive_premium_lateness(facts_with(month_codes(".")))) == NOT_STATED
    assert told(derive_premium_lateness(facts_with("-" * 24))) == BY_AGE


@pytest.mark.parametrize(
    ("landed_on", "codes", "premiums"),
    [
        pytest.param(date(2026, 9, 1), "." * 22 + "A-", Premiums.ALL_ON_TIME, id="entered on the first of September"),
        pytest.param(date(2026, 9, 30), "." * 22 + "A-", Premiums.ALL_ON_TIME, id="entered at the end of September"),
        pytest.param(date(2026, 8, 31), "." * 22 + "A-", NOT_STATED, id="entered in August: one silent month counts"),
        pytest.param(date(2026, 9, 14), "*" * 22 + "A-", Premiums.ALL_ON_TIME, id="unpaid before entry is ignored"),
        pytest.param(date(2026, 9, 14), "A" * 22 + "*-", Premiums.SOME_UNPAID, id="unpaid in the entry month counts"),
        pytest.param(date(2026, 9, 14), "A" * 22 + "L-", Premiums.ALL_PAID_SOME_LATE, id="late in the entry month"),
        pytest.param(date(2026, 11, 1), "2" * 24, BY_AGE, id="entered after the last month shown"),
        pytest.param(None, "2" * 24, Premiums.ALL_ON_TIME, id="paid, whenever entered"),
        pytest.param(None, "*" + "2" * 23, NOT_STATED, id="unpaid, perhaps before entry"),
        pytest.param(None, "L" + "2" * 23, NOT_STATED, id="late, perhaps before entry"),
        pytest.param(None, "." + "2" * 23, NOT_STATED, id="silent, perhaps before entry"),
    ],
)
def test_months_before_the_entry_month_do_not_count(landed_on: date | None, codes: str, premiums: Any) -> None:
    # the 23rd code is that of September 2026, the 24th that of October
    facts = facts_of(
        residence=a_residence_record(landed_on=landed_on),
        insured=(an_insured_record(month_codes=codes, first_month=date(2024, 11, 1)),),
    )
    assert told(derive_premiums_24m(facts)) == premiums


@pytest.mark.parametrize(
    ("born_on", "codes", "premiums"),
    [
        pytest.param(date(2006, 9, 1), "." * 22 + "A-", Premiums.ALL_ON_TIME, id="20 on the first of September"),
        pytest.param(date(2006, 9, 30), "." * 22 + "A-", Premiums.ALL_ON_TIME, id="20 at the end of September"),
        pytest.param(date(2006, 8, 31), "." * 22 + "A-", NOT_STATED, id="20 in August: one silent month counts"),
        pytest.param(date(2006, 9, 15), "*" * 22 + "A-", Premiums.ALL_ON_TIME, id="unpaid before 20 is ignored"),
        pytest.param(date(2006, 9, 15), "." * 22 + "*-", Premiums.SOME_UNPAID, id="unpaid in the month of 20 counts"),
        pytest.param(date(2006, 10, 1), "." * 23 + "-", BY_AGE, id="20 in the month that is not yet due"),
        pytest.param(date(2009, 6, 3), "." * 23 + "-", BY_AGE, id="17"),
    ],
)
def test_months_before_the_month_of_the_twentieth_birthday_do_not_count(
    born_on: date, codes: str, premiums: Any
) -> None:
    insured = an_insured_record(date_of_birth=born_on, month_codes=codes)
    assert told(derive_premiums_24m(facts_of_someone_born(born_on, insured=(insured,)))) == premiums


@pytest.mark.parametrize(
    ("born_on", "first_month", "premiums"),
    [
        pytest.param(date(2004, 2, 29), date(2024, 2, 1), Premiums.SOME_UNPAID, id="20 on 29 February 2024"),
        pytest.param(date(2004, 3, 1), date(2024, 2, 1), Premiums.ALL_ON_TIME, id="20 on 1 March 2024"),
    ],
)
def test_who_is_born_on_29_february_is_liable_from_february(born_on: date, first_month: date, premiums: Any) -> None:
    insured = an_insured_record(date_of_birth=born_on, first_month=first_month, month_codes="*" + "A" * 23)
    assert told(derive_premiums_24m(facts_of_someone_born(born_on, insured=(insured,)))) == premiums


@pytest.mark.parametrize("derive", [derive_premiums_24m, derive_premium_lateness])
@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({"insured": DOWN}, IS_DOWN, id="insurance down"),
        pytest.param({"insured": SLOW}, IS_SLOW, id="insurance slow"),
        pytest.param({"residence": DOWN}, IS_DOWN, id="immigration down: entry is not known"),
        pytest.param({"insured": ()}, needs_evidence(Reason.RECORD_NOT_FOUND_UNEXPECTED), id="no record"),
        pytest.param({"insured": (an_insured_record(name_kana="ｻﾄｳ"),)}, UNRESOLVED, id="somebody else's"),
        pytest.param(
            {"insured": (an_insured_record(date_of_birth=date(1990, 5, 4)),)}, UNRESOLVED, id="only probable"
        ),
        pytest.param({"insured": (an_insured_record(), an_insured_record())}, UNRESOLVED, id="two records"),
    ],
)
def test_premiums_are_not_known_without_the_one_record(
    derive: Callable[[Facts], Any], changes: dict[str, Any], found: Any
) -> None:
    assert told(derive(facts_of(**changes))) == found


@pytest.mark.parametrize(
    ("codes", "lost_on", "enrolled", "category"),
    [
        pytest.param("2" * 23 + "-", None, Enrolment.YES, PensionCategory.CATEGORY_2, id="employee"),
        pytest.param(month_codes("A"), None, Enrolment.YES, PensionCategory.CATEGORY_1, id="self-paying"),
        pytest.param(month_codes("*"), None, Enrolment.YES, PensionCategory.CATEGORY_1, id="enrolled, unpaid"),
        pytest.param(month_codes("S"), None, Enrolment.YES, PensionCategory.CATEGORY_1, id="student special"),
        pytest.param(month_codes("3"), None, Enrolment.YES, PensionCategory.CATEGORY_3, id="dependent spouse"),
        pytest.param("T" * 24, None, Enrolment.EXEMPT, PensionCategory.NONE, id="treaty"),
        pytest.param(month_codes("."), None, NOT_STATED, PensionCategory.NONE, id="not covered"),
        pytest.param(month_codes("Y"), None, NOT_STATED, NOT_STATED, id="a code of no known meaning"),
        pytest.param(
            "2" * 23 + "-",
            date(2026, 10, 21),
            needs_evidence(Reason.RECORD_NOT_FOUND_EXPECTED),
            PensionCategory.NONE,
            id="lost since: the next record may not be in yet",
        ),
    ],
)
def test_pension_enrolment_is_that_of_the_last_month_due(
    codes: str, lost_on: date | None, enrolled: Any, category: Any
) -> None:
    facts = facts_with(codes, lost_on=lost_on)
    assert told(derive_pension_enrolled(facts)) == enrolled
    assert told(derive_pension_category(facts)) == category


def test_nobody_has_to_be_enrolled_in_a_pension_before_20() -> None:
    born_on = date(2006, 11, 21)
    insured = an_insured_record(date_of_birth=born_on, month_codes="." * 23 + "-")
    assert told(derive_pension_enrolled(facts_of_someone_born(born_on, insured=(insured,)))) == Enrolment.EXEMPT
    of_age = facts_of_someone_born(
        date(2006, 11, 20), insured=(an_insured_record(date_of_birth=date(2006, 11, 20), month_codes="." * 24),)
    )
    assert told(derive_pension_enrolled(of_age)) == NOT_STATED


@pytest.mark.parametrize(
    ("printed", "scheme", "enrolled"),
    [
        pytest.param("協会けんぽ", HealthScheme.EMPLOYEE, Enrolment.YES, id="employees' scheme"),
        pytest.param("○○健保組合", HealthScheme.EMPLOYEE, Enrolment.YES, id="a company's scheme"),
        pytest.param("国保", HealthScheme.NHI, Enrolment.YES, id="national health insurance"),
        pytest.param("国民健康保険組合", HealthScheme.NHI, Enrolment.YES, id="a national health association"),
        pytest.param("被扶養者", HealthScheme.DEPENDANT, Enrolment.YES, id="a dependant"),
        pytest.param("適用証明", HealthScheme.OTHER, Enrolment.EXEMPT, id="certificate of coverage"),
        pytest.param("未加入", HealthScheme.OTHER, Enrolment.NO, id="not enrolled"),
        pytest.param("", NOT_STATED, NOT_STATED, id="not stated"),
    ],
)
def test_the_health_scheme_is_the_one_printed(printed: str, scheme: Any, enrolled: Any) -> None:
    facts = facts_of(insured=(an_insured_record(health_scheme=printed),))
    assert told(derive_health_scheme(facts)) == scheme
    assert told(derive_health_enrolled(facts)) == enrolled


def test_an_employees_scheme_that_was_lost_leaves_it_open() -> None:
    facts = facts_of(insured=(an_insured_record(lost_on=date(2026, 10, 21)),))
    assert told(derive_health_scheme(facts)) == needs_evidence(Reason.RECORD_NOT_FOUND_EXPECTED)
    assert told(derive_health_enrolled(facts)) == needs_evidence(Reason.RECORD_NOT_FOUND_EXPECTED)
