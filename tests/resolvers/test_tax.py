"""Income in its exact order, and the standing with resident tax. Specification 9.8."""

from dataclasses import replace
from datetime import date
from typing import Any  # what a claim tells: a value of any kind, or a state with its reason

import pytest

from connectors.labor.evidence import EmploymentNotice
from connectors.tax.evidence import TaxEvidence
from resolvers.claim import Reason
from resolvers.facts import Absent, Arrived, Facts
from resolvers.tax import (
    IncomeBand,
    IncomeBasis,
    ResidentTax,
    TaxCertificate,
    derive_certificate,
    derive_income_band,
    derive_income_basis,
    derive_income_meets,
    derive_national_tax_clear,
    derive_resident_tax,
    derive_resident_tax_paid_late,
    derive_yearly_income_yen,
)
from tests.builders import (
    DOWN,
    IS_DOWN,
    IS_SLOW,
    NOT_EMPLOYED,
    OBSERVED_AT,
    OTHER_EMPLOYER,
    SLOW,
    SOMEBODY_ELSES,
    THIRD_EMPLOYER,
    a_leaving,
    a_notice,
    a_residence_record,
    a_tax_record,
    an_identity,
    an_insured_record,
    facts_of,
    needs_evidence,
    told,
)

JOBLESS = an_identity(declared_employment=NOT_EMPLOYED)
UNRESOLVED = needs_evidence(Reason.IDENTITY_UNRESOLVED)
NOT_STATED = needs_evidence(Reason.NOT_STATED)
OPEN_JOB = a_notice(hired_on=date(2025, 4, 1))


def income(facts: Facts) -> Any:
    """(basis, yen), or what stands instead of both."""
    basis, yen = told(derive_income_basis(facts)), told(derive_yearly_income_yen(facts))
    return basis if isinstance(basis, tuple) and basis == yen else (basis, yen)


CERTIFIED = (IncomeBasis.TAX_CERT, 3_600_000)
ANNUALISED = (IncomeBasis.WAGE_ANNUALISED, 3_000_000)


def test_a_whole_years_certificate_is_the_income_whatever_the_wage() -> None:
    assert income(facts_of()) == CERTIFIED
    assert income(facts_of(notices=(a_notice(monthly_wage_yen=900_000),))) == CERTIFIED
    assert income(facts_of(notices=(a_notice(monthly_wage_yen=None),))) == CERTIFIED


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        pytest.param(DOWN, IS_DOWN, id="down"),
        pytest.param(SLOW, IS_SLOW, id="slow"),
        pytest.param(SOMEBODY_ELSES, UNRESOLVED, id="cannot tell whom we mean"),
        pytest.param(a_tax_record(name="ＳＯＭＥＢＯＤＹ　ＥＬＳＥ"), UNRESOLVED, id="somebody else's record"),
    ],
)
@pytest.mark.parametrize("identity", [an_identity(), JOBLESS], ids=["employed", "declared not employed"])
def test_first_without_the_tax_record_there_is_no_income_and_never_wages(
    reply: Any, identity: Any, found: Any
) -> None:
    assert income(facts_of(tax=reply, identity=identity)) == found


@pytest.mark.parametrize(
    ("remarks", "is_left_out"),
    [
        pytest.param("国内払給与のみ。国外払分は確定申告（未反映）", True, id="not yet in the figure"),
        pytest.param("国外払給与は含まない", True, id="is not included"),
        pytest.param("海外払給与を除く", True, id="without it"),
        pytest.param("国外払分は含めていない", True, id="has not been included"),
        pytest.param("外国払給与は含まれていません", True, id="in other words"),
        pytest.param("国外払給与を含む", False, id="is included"),
        pytest.param("国外払分も含まれています", False, id="is included, politely"),
        pytest.param("国外払分は合算済", False, id="is added"),
        pytest.param("国外居住親族に係る扶養控除あり", False, id="of relatives abroad, not of pay"),
        pytest.param("住宅借入金等特別控除あり", False, id="of something else"),
        pytest.param("", False, id="nothing"),
    ],
)
def test_second_a_certificate_that_leaves_pay_abroad_out_is_no_income(remarks: str, is_left_out: bool) -> None:
    partial = (IncomeBasis.PARTIAL, needs_evidence(Reason.PARTIAL_OVERSEAS_PAY))
    assert income(facts_of(tax=a_tax_record(remarks=remarks))) == (partial if is_left_out else CERTIFIED)


def test_pay_abroad_is_weighed_before_wages_and_declarations() -> None:
    partial = (IncomeBasis.PARTIAL, needs_evidence(Reason.PARTIAL_OVERSEAS_PAY))
    tax = a_tax_record(remarks="国外払分は未反映", salary_income_yen=None)
    assert income(facts_of(tax=tax, notices=(OPEN_JOB,), identity=JOBLESS)) == partial


@pytest.mark.parametrize(
    ("notices", "found"),
    [
        pytest.param([a_notice(hired_on=date(2025, 1, 1))], CERTIFIED, id="hired on 1 January"),
        pytest.param([a_notice(hired_on=date(2025, 1, 2))], ANNUALISED, id="hired on 2 January"),
        pytest.param([a_leaving(date(2025, 12, 31))], CERTIFIED, id="left on 31 December"),
        pytest.param([a_leaving(date(2025, 12, 30))], NOT_STATED, id="left on 30 December"),
        pytest.param([a_leaving(date(2026, 10, 20))], CERTIFIED, id="ended since"),
        pytest.param([a_notice(), a_leaving(date(2026, 10, 20))], CERTIFIED, id="ended since, told in two rows"),
        pytest.param(
            [a_leaving(date(2026, 10, 20)), a_notice(corporate_number=OTHER_EMPLOYER, hired_on=date(2026, 11, 2))],
            CERTIFIED,
            id="ended since, a new job",
        ),
        pytest.param(
            [
                a_leaving(date(2025, 12, 30)),
                a_notice(corporate_number=OTHER_EMPLOYER, hired_on=date(2025, 12, 31)),
            ],
            ANNUALISED,
            id="changed within the year",
        ),
        pytest.param(
            [OPEN_JOB, a_leaving(date(2026, 3, 31), corporate_number=THIRD_EMPLOYER)],
            CERTIFIED,
            id="one of two jobs was held throughout",
        ),
    ],
)
def test_third_a_certificate_counts_for_a_job_held_the_whole_income_year(
    notices: list[EmploymentNotice], found: Any
) -> None:
    assert income(facts_of(notices=tuple(notices))) == found


def test_the_income_year_is_the_certificates_own() -> None:
    hired_in_2025 = (a_notice(hired_on=date(2025, 1, 1)),)
    assert income(facts_of(notices=hired_in_2025, tax=a_tax_record(income_year=2024))) == ANNUALISED


@pytest.mark.parametrize(
    ("codes", "found"),
    [
        pytest.param("AA" + "2" * 12 + "A" * 9 + "-", CERTIFIED, id="twelve, and none since"),
        pytest.param("AAA" + "2" * 20 + "-", NOT_STATED, id="not January"),
        pytest.param("2" * 13 + "A" + "2" * 9 + "-", NOT_STATED, id="not December"),
        pytest.param("2" * 7 + "." + "2" * 15 + "-", NOT_STATED, id="not June"),
    ],
)
def test_where_there_is_no_row_twelve_pension_months_of_the_year_count(codes: str, found: Any) -> None:
    facts = facts_of(notices=(), insured=(an_insured_record(first_month=date(2024, 11, 1), month_codes=codes),))
    assert income(facts) == found


def test_pension_months_do_not_count_where_there_is_a_row() -> None:
    assert income(facts_of(notices=(OPEN_JOB,))) == ANNUALISED


@pytest.mark.parametrize(
    ("insured", "found"),
    [
        pytest.param(DOWN, IS_DOWN, id="down"),
        pytest.param((an_insured_record(name_kana="ｻﾄｳ"),), UNRESOLVED, id="somebody else's"),
        pytest.param((an_insured_record(), an_insured_record()), UNRESOLVED, id="two records"),
    ],
)
def test_without_a_row_income_waits_for_the_pension_months(insured: Any, found: Any) -> None:
    assert income(facts_of(notices=(), insured=insured)) == found


@pytest.mark.parametrize(("labor", "found"), [(DOWN, IS_DOWN), (SLOW, IS_SLOW)], ids=["down", "slow"])
def test_a_certificate_waits_for_the_rows_that_show_a_whole_year(labor: Absent, found: Any) -> None:
    assert income(facts_of(notices=labor)) == found


@pytest.mark.parametrize(
    ("tax", "notices", "found"),
    [
        pytest.param(None, (), (IncomeBasis.NONE, 0), id="no certificate"),
        pytest.param(a_tax_record(salary_income_yen=None), (), (IncomeBasis.NONE, 0), id="no amount on it"),
        pytest.param(None, (OPEN_JOB,), (IncomeBasis.NONE, 0), id="before the wages of an open job"),
        pytest.param(None, DOWN, (IncomeBasis.NONE, 0), id="whatever the labor source says"),
        pytest.param(a_tax_record(), (a_leaving(date(2026, 10, 20)),), CERTIFIED, id="a whole year's certificate"),
        pytest.param(a_tax_record(), (a_leaving(date(2025, 6, 30)),), NOT_STATED, id="a part-year certificate"),
    ],
)
def test_fourth_who_declares_no_job_and_has_no_certified_amount_has_no_income(
    tax: Any, notices: Any, found: Any
) -> None:
    facts = facts_of(
        tax=tax, notices=notices, identity=JOBLESS, residence=a_residence_record(landed_on=date(2026, 9, 28))
    )
    assert income(facts) == found


SECOND_JOB = a_notice(corporate_number=OTHER_EMPLOYER, hired_on=date(2026, 1, 5), monthly_wage_yen=80_000)


@pytest.mark.parametrize(
    ("notices", "found"),
    [
        pytest.param((OPEN_JOB,), ANNUALISED, id="one open job"),
        pytest.param((OPEN_JOB, SECOND_JOB), (IncomeBasis.WAGE_ANNUALISED, 3_960_000), id="two open jobs"),
        pytest.param(
            (OPEN_JOB, SECOND_JOB, a_leaving(date(2026, 6, 30), corporate_number=OTHER_EMPLOYER, hired_on=None)),
            ANNUALISED,
            id="a job that has ended pays nothing",
        ),
        pytest.param((a_notice(hired_on=date(2025, 4, 1), monthly_wage_yen=None),), NOT_STATED, id="no wage stated"),
        pytest.param(
            (OPEN_JOB, a_notice(corporate_number=OTHER_EMPLOYER, hired_on=date(2026, 1, 5), monthly_wage_yen=None)),
            NOT_STATED,
            id="one of two wages not stated",
        ),
        pytest.param((a_leaving(date(2025, 6, 30)),), NOT_STATED, id="no open job"),
    ],
)
def test_fifth_otherwise_it_is_twelve_times_the_wages_of_the_open_jobs(
    notices: tuple[EmploymentNotice, ...], found: Any
) -> None:
    assert income(facts_of(notices=notices)) == found


def at(wage: int | None, as_of: date, **changes: Any) -> EmploymentNotice:
    return a_notice(**{"hired_on": date(2025, 4, 1), "monthly_wage_yen": wage, "as_of": as_of} | changes)


SEPTEMBER, OCTOBER = date(2026, 9, 30), date(2026, 10, 31)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        pytest.param((at(200_000, SEPTEMBER), at(250_000, OCTOBER)), ANNUALISED, id="a corrected wage"),
        pytest.param(
            (at(250_000, OCTOBER), at(250_000, OCTOBER, hired_on=date(2025, 4, 2))), ANNUALISED, id="a corrected day"
        ),
        pytest.param((at(250_000, SEPTEMBER), at(None, OCTOBER)), NOT_STATED, id="none on the newest"),
        pytest.param((at(200_000, OCTOBER), at(250_000, OCTOBER)), NOT_STATED, id="two that are equally new"),
        pytest.param(
            (at(250_000, OCTOBER), at(None, OCTOBER, corporate_number="")), ANNUALISED, id="told by name as well"
        ),
        pytest.param(
            (a_leaving(date(2026, 12, 31), hired_on=date(2025, 4, 1), as_of=OCTOBER), at(200_000, SEPTEMBER)),
            ANNUALISED,
            id="a job whose end is ahead, told in two rows",
        ),
        pytest.param((at(250_000, OCTOBER, left_on=date(2026, 9, 30)),), NOT_STATED, id="a job that has ended"),
        pytest.param(
            (
                at(250_000, OCTOBER),
                at(80_000, OCTOBER, employment_type="業務委託", corporate_number=OTHER_EMPLOYER),
            ),
            ANNUALISED,
            id="a contract for work pays no wage",
        ),
    ],
)
def test_the_wage_of_a_job_is_counted_once_as_the_newest_row_has_it_and_never_guessed(
    rows: tuple[EmploymentNotice, ...], found: Any
) -> None:
    assert income(facts_of(notices=rows)) == found
    assert income(facts_of(notices=rows[::-1])) == found


def test_an_amount_that_is_not_stated_is_never_zero() -> None:
    not_stated = a_tax_record(salary_income_yen=None)
    assert income(facts_of(tax=not_stated)) == ANNUALISED
    assert income(facts_of(tax=not_stated, notices=())) == NOT_STATED
    assert income(facts_of(tax=a_tax_record(salary_income_yen=0))) == (IncomeBasis.TAX_CERT, 0)


@pytest.mark.parametrize(
    ("yen", "band"),
    [
        (0, IncomeBand.LT_1M),
        (999_999, IncomeBand.LT_1M),
        (1_000_000, IncomeBand.M1_2),
        (1_999_999, IncomeBand.M1_2),
        (2_000_000, IncomeBand.M2_3),
        (2_999_999, IncomeBand.M2_3),
        (3_000_000, IncomeBand.M3_4),
        (3_999_999, IncomeBand.M3_4),
        (4_000_000, IncomeBand.M4_6),
        (5_999_999, IncomeBand.M4_6),
        (6_000_000, IncomeBand.M6_10),
        (9_999_999, IncomeBand.M6_10),
        (10_000_000, IncomeBand.GE_10M),
    ],
)
def test_a_band_of_income_includes_its_lower_bound(yen: int, band: IncomeBand) -> None:
    assert told(derive_income_band(facts_of(tax=a_tax_record(salary_income_yen=yen)))) == band


@pytest.mark.parametrize(("asked", "meets"), [(3_599_999, True), (3_600_000, True), (3_600_001, False)])
def test_income_meets_what_it_reaches(asked: int, meets: bool) -> None:
    assert told(derive_income_meets(facts_of(), yearly_yen=asked)) is meets


@pytest.mark.parametrize(
    ("tax", "standing"),
    [
        pytest.param({}, ResidentTax.CLEAR, id="nothing unpaid"),
        pytest.param({"unpaid_yen": 1}, ResidentTax.ARREARS, id="one yen unpaid"),
        pytest.param({"collection": "非課税"}, ResidentTax.NOT_TAXABLE, id="not taxable"),
        pytest.param(
            {"collection": "非課税", "unpaid_yen": None}, ResidentTax.NOT_TAXABLE, id="not taxable, no amount"
        ),
        pytest.param(
            {"collection": "非課税", "unpaid_yen": 88_600},
            ResidentTax.NOT_TAXABLE,
            id="not taxable comes before arrears",
        ),
        pytest.param(
            {"remarks": "分納", "unpaid_yen": 88_600}, ResidentTax.ARREARS, id="arrears come before instalments"
        ),
        pytest.param({"remarks": "分納誓約あり"}, ResidentTax.INSTALMENT_PLAN, id="instalments in the remarks"),
        pytest.param(
            {"collection": "普通徴収（分納）"}, ResidentTax.INSTALMENT_PLAN, id="instalments in the collection"
        ),
        pytest.param({"unpaid_yen": None}, NOT_STATED, id="an amount that is not stated is never zero"),
        pytest.param({"collection": "公的年金特別徴収"}, ResidentTax.CLEAR, id="withheld from the pension"),
        pytest.param({"collection": "未申告"}, NOT_STATED, id="nothing was declared"),
        pytest.param({"collection": ""}, NOT_STATED, id="no way of collecting is stated"),
        pytest.param({"collection": "未申告", "unpaid_yen": 1}, ResidentTax.ARREARS, id="unpaid however collected"),
        pytest.param({"name": "ＳＯＭＥＢＯＤＹ"}, UNRESOLVED, id="somebody else's record"),
    ],
)
def test_the_standing_with_resident_tax_is_read_in_order(tax: dict[str, Any], standing: Any) -> None:
    assert told(derive_resident_tax(facts_of(tax=a_tax_record(**tax)))) == standing


@pytest.mark.parametrize(
    ("landed_on", "is_right"),
    [
        pytest.param(date(2025, 12, 31), False, id="entered on New Year's Eve"),
        pytest.param(date(2026, 1, 1), False, id="entered on 1 January"),
        pytest.param(date(2026, 1, 2), True, id="entered on 2 January"),
    ],
)
def test_no_record_means_not_yet_assessed_only_after_1_january(landed_on: date, is_right: bool) -> None:
    facts = facts_of(tax=None, residence=a_residence_record(landed_on=landed_on))
    missing = needs_evidence(Reason.RECORD_NOT_FOUND_UNEXPECTED)
    assert told(derive_resident_tax(facts)) == (ResidentTax.NOT_YET_ASSESSED if is_right else missing)
    assert told(derive_certificate(facts)) == (TaxCertificate.NOT_YET_ASSESSED if is_right else missing)


@pytest.mark.parametrize(
    ("today", "landed_on", "is_right"),
    [
        pytest.param(date(2026, 11, 20), date(2026, 1, 2), True, id="came this year"),
        pytest.param(date(2026, 11, 20), date(2025, 6, 1), False, id="came last year: this year's may be meant"),
        pytest.param(date(2026, 4, 30), date(2025, 6, 1), True, id="in April last year's is the latest"),
        pytest.param(date(2026, 5, 1), date(2025, 6, 1), False, id="from May on it may be this year's"),
    ],
)
def test_a_levy_year_that_is_not_stated_is_at_most_the_latest_there_can_be(
    today: date, landed_on: date, is_right: bool
) -> None:
    facts = facts_of(tax=None, today=today, residence=a_residence_record(landed_on=landed_on))
    unstated = replace(facts, tax=Arrived(TaxEvidence(OBSERVED_AT, None, None, None)))
    missing = needs_evidence(Reason.RECORD_NOT_FOUND_UNEXPECTED)
    assert told(derive_resident_tax(unstated)) == (ResidentTax.NOT_YET_ASSESSED if is_right else missing)


@pytest.mark.parametrize(("residence", "found"), [(DOWN, IS_DOWN), (SLOW, IS_SLOW)], ids=["down", "slow"])
def test_whether_a_missing_record_is_right_waits_for_immigration(residence: Absent, found: Any) -> None:
    facts = facts_of(tax=None, residence=residence)
    assert told(derive_resident_tax(facts)) == found
    assert told(derive_certificate(facts)) == found


def test_a_certificate_is_there_unless_no_tax_is_due() -> None:
    assert told(derive_certificate(facts_of())) == TaxCertificate.AVAILABLE
    not_taxable = facts_of(tax=a_tax_record(collection="非課税"))
    assert told(derive_certificate(not_taxable)) == TaxCertificate.NOT_TAXABLE
    assert told(derive_certificate(facts_of(tax=a_tax_record(collection="未申告")))) == NOT_STATED


def test_national_tax_and_the_payment_history_are_not_connected() -> None:
    not_connected = needs_evidence(Reason.SOURCE_NOT_CONNECTED)
    assert told(derive_national_tax_clear(facts_of())) == not_connected
    assert told(derive_resident_tax_paid_late(facts_of())) == not_connected
