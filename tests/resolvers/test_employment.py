"""Who is employed, since when, by whom: specification 9.8, "employment_active", its five sentences in their order."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any  # what a claim tells: a value of any kind, or a state with its reason

import pytest

from connectors.insurance.evidence import InsuredRecord
from connectors.interface import DeclaredEmployment
from connectors.labor.evidence import EmploymentNotice
from resolvers.claim import Reason
from resolvers.employment import derive_employed, derive_tenure_months, had_job_throughout, open_jobs
from resolvers.employment_gap import EmploymentGap, derive_employment_gap
from resolvers.facts import Absent
from tests.builders import (
    DOWN,
    EMPLOYED,
    IS_DOWN,
    IS_SLOW,
    NOT_EMPLOYED,
    OTHER_EMPLOYER,
    SLOW,
    THIRD_EMPLOYER,
    TODAY,
    a_leaving,
    a_notice,
    a_residence_record,
    an_identity,
    an_insured_record,
    facts_of,
    month_codes,
    needs_evidence,
    told,
)

NO_RECORD = needs_evidence(Reason.RECORD_NOT_FOUND_EXPECTED)
IN_WINDOW = needs_evidence(Reason.WITHIN_FILING_WINDOW)


def employed(
    *notices: EmploymentNotice,
    declared: DeclaredEmployment | None = None,
    insured: tuple[InsuredRecord, ...] | Absent = (),
) -> Any:
    """Whether these rows show a job, where insurance knows nothing unless told otherwise."""
    identity = an_identity(declared_employment=declared)
    return told(derive_employed(facts_of(identity=identity, notices=notices, insured=insured)))


@pytest.mark.parametrize(
    ("notices", "found"),
    [
        pytest.param([a_notice()], True, id="hired and never left"),
        pytest.param([a_notice(hired_on=TODAY)], True, id="hired today"),
        pytest.param([a_notice(hired_on=TODAY + timedelta(days=1))], NO_RECORD, id="hired from tomorrow"),
        pytest.param([a_notice(), a_leaving(date(2026, 10, 20))], NO_RECORD, id="left the same employer"),
        pytest.param([a_leaving(date(2026, 10, 20)), a_notice()], NO_RECORD, id="left, rows in the other order"),
        pytest.param([a_notice(), a_leaving(TODAY)], NO_RECORD, id="left today"),
        pytest.param([a_notice(), a_leaving(TODAY + timedelta(days=30))], True, id="a leaving notified ahead"),
        pytest.param(
            [a_leaving(TODAY + timedelta(days=1))], True, id="a leaving notified ahead, which names the hiring"
        ),
        pytest.param(
            [a_leaving(TODAY + timedelta(days=1), hired_on=None)],
            NO_RECORD,
            id="a leaving notified ahead, the hiring told nowhere",
        ),
        pytest.param([a_notice(left_on=date(2026, 9, 30))], NO_RECORD, id="a hiring with its own day of leaving"),
        pytest.param([a_notice(left_on=TODAY)], NO_RECORD, id="a hiring that ends today"),
        pytest.param([a_notice(left_on=TODAY + timedelta(days=1))], True, id="a hiring that ends tomorrow"),
        pytest.param([a_notice(left_on=date(2022, 6, 30))], True, id="a hiring with the leaving before it"),
        pytest.param(
            [a_notice(left_on=date(2026, 9, 30)), a_notice(hired_on=date(2026, 10, 1))], True, id="a contract renewed"
        ),
        pytest.param(
            [a_notice(), a_notice(left_on=date(2026, 9, 30))], NO_RECORD, id="told twice, once with its end"
        ),
        pytest.param(
            [a_notice(), a_leaving(date(2026, 10, 20), corporate_number=OTHER_EMPLOYER)],
            True,
            id="left another employer",
        ),
        pytest.param(
            [a_notice(), a_leaving(date(2026, 10, 20), employer_name="（株）サンプル改名")],
            NO_RECORD,
            id="left an employer that has changed its name",
        ),
        pytest.param([a_leaving(date(2022, 6, 30)), a_notice()], True, id="left the day before the hiring"),
        pytest.param(
            [a_notice(hired_on=date(2020, 4, 1)), a_leaving(date(2021, 3, 31)), a_notice()],
            True,
            id="left and hired again there",
        ),
        pytest.param(
            [a_notice(hired_on=date(2020, 4, 1)), a_leaving(date(2021, 3, 31)), a_notice(), a_leaving(TODAY)],
            NO_RECORD,
            id="hired again there and left again",
        ),
        pytest.param(
            [a_notice(corporate_number="", employer_name="田中商店")], True, id="an employer without a number"
        ),
        pytest.param(
            [
                a_notice(corporate_number="", employer_name="田中商店"),
                a_leaving(TODAY, corporate_number="", employer_name="田中　商店"),
            ],
            NO_RECORD,
            id="the same employer without a number, by its name",
        ),
        *(
            pytest.param(
                [a_notice(employer_name=hired_by), a_leaving(TODAY, corporate_number="", employer_name=left)],
                NO_RECORD,
                id=f"{left} is {hired_by}",
            )
            for hired_by, left in (
                ("株式会社みなと", "㈱みなと"),
                ("株式会社みなと", "（株）みなと"),
                ("㈱みなと", "みなと　株式会社"),
                ("ﾐﾅﾄ㈱", "株式会社ミナト"),
                ("有限会社みなと", "㈲みなと"),
                ("合同会社みなと", "みなと（同）"),
            )
        ),
        *(
            pytest.param(
                [a_notice(employer_name=hired_by), a_leaving(TODAY, corporate_number="", employer_name=left)],
                True,
                id=f"{left} is not {hired_by}",
            )
            for hired_by, left in (
                ("株式会社みなと", "㈲みなと"),
                ("株式会社みなと", "みなと"),
                ("株式会社みなと", "㈱みなとや"),
            )
        ),
        *(
            pytest.param([a_notice(employment_type=written)], NO_RECORD, id=f"{written} is no employment")
            for written in ("業務委託", "内定", "採用内定", "業務委託契約")
        ),
        *(
            pytest.param([a_notice(employment_type=written)], True, id=f"{written} is one")
            for written in ("無期（内定取消）", "無期（業務委託から転換）", "有期（業務委託なし）")
        ),
        pytest.param([a_notice(employment_type="内定"), a_notice()], True, id="an offer, and the job after it"),
        pytest.param(
            [a_notice(), a_leaving(TODAY, employment_type="業務委託")],
            NO_RECORD,
            id="left, told as a contract for work",
        ),
        pytest.param(
            [
                a_notice(corporate_number="", employer_name="田中商店"),
                a_leaving(TODAY, corporate_number="", employer_name="鈴木商店"),
            ],
            True,
            id="another employer without a number",
        ),
    ],
)
def test_first_a_hiring_without_a_later_leaving_there_is_a_job(notices: list[EmploymentNotice], found: Any) -> None:
    assert employed(*notices) == found


SEPTEMBER, NOVEMBER = date(2026, 9, 30), date(2026, 11, 15)
"""Older and newer than the other rows."""


def older(**changes: Any) -> EmploymentNotice:
    return a_notice(**{"as_of": SEPTEMBER} | changes)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        pytest.param([older(left_on=SEPTEMBER), a_notice()], True, id="its end is taken back"),
        pytest.param(
            [older(left_on=SEPTEMBER), a_notice(left_on=date(2027, 3, 31))],
            True,
            id="its end is put off to next year",
        ),
        pytest.param(
            [older(left_on=SEPTEMBER), a_notice(hired_on=date(2022, 7, 4))], True, id="and so is its day of hiring"
        ),
        pytest.param(
            [older(left_on=SEPTEMBER), a_notice(left_on=date(2026, 10, 15))], NO_RECORD, id="its end is another day"
        ),
        pytest.param([older(), a_notice(left_on=date(2026, 10, 15))], NO_RECORD, id="its end is told later"),
        pytest.param(
            [older(), a_notice(left_on=SEPTEMBER), a_notice(as_of=NOVEMBER)], True, id="told, and taken back"
        ),
        pytest.param(
            [
                older(hired_on=date(2010, 4, 1), as_of=NOVEMBER),
                a_leaving(date(2012, 3, 31)),
                older(left_on=SEPTEMBER),
            ],
            NO_RECORD,
            id="a newer row of an earlier time there takes nothing back",
        ),
        pytest.param(
            [
                older(left_on=SEPTEMBER),
                a_notice(corporate_number=OTHER_EMPLOYER, left_on=date(2026, 10, 15)),
            ],
            NO_RECORD,
            id="nor does a row of another employer",
        ),
        pytest.param(
            [a_leaving(SEPTEMBER, as_of=SEPTEMBER), a_leaving(date(2027, 3, 31))], True, id="a leaving is put off"
        ),
        pytest.param([a_leaving(SEPTEMBER), older()], NO_RECORD, id="a leaving, and the hiring before it"),
        pytest.param(
            [a_leaving(SEPTEMBER, as_of=SEPTEMBER), a_notice()], NO_RECORD, id="a leaving is no hiring's end"
        ),
        pytest.param([older(), a_notice(employment_type="業務委託")], NO_RECORD, id="it is a contract for work"),
        pytest.param([older(employment_type="業務委託"), a_notice()], True, id="it is no contract for work"),
        pytest.param([older(employment_type="内定"), a_notice()], True, id="an offer, and then the job"),
        pytest.param(
            [older(left_on=SEPTEMBER), a_notice(employment_type="業務委託")],
            NO_RECORD,
            id="it did not end, but is a contract for work",
        ),
    ],
)
def test_a_job_is_what_its_newest_row_says(rows: list[EmploymentNotice], found: Any) -> None:
    assert employed(*rows) == found
    assert employed(*rows[::-1]) == found
    if found is True:
        assert employed(*rows, declared=NOT_EMPLOYED) is True, "whatever the person declares"


def test_an_open_hiring_wins_over_what_the_person_declares() -> None:
    assert employed(a_notice(), declared=NOT_EMPLOYED) is True


@pytest.mark.parametrize(
    ("insured", "found"),
    [
        pytest.param(an_insured_record(), True, id="the last month with data is 2"),
        pytest.param(an_insured_record(month_codes="2" * 21 + "---"), True, id="three months are not yet due"),
        pytest.param(an_insured_record(month_codes="2" * 24), True, id="every month is due"),
        pytest.param(an_insured_record(month_codes=month_codes("2", before="A")), True, id="only the last month"),
        pytest.param(an_insured_record(lost_on=date(2026, 10, 21)), NO_RECORD, id="insured no more"),
        pytest.param(an_insured_record(month_codes=month_codes("A")), NO_RECORD, id="self-paying since"),
        pytest.param(an_insured_record(month_codes=month_codes("3")), NO_RECORD, id="a dependant since"),
        pytest.param(an_insured_record(month_codes=month_codes(".")), NO_RECORD, id="not covered since"),
        pytest.param(an_insured_record(month_codes="-" * 24), NO_RECORD, id="no month is due"),
        pytest.param(an_insured_record(month_codes="T" * 23 + "-"), NO_RECORD, id="exempt by treaty"),
    ],
)
def test_second_without_any_row_the_last_pension_month_shows_a_job(insured: InsuredRecord, found: Any) -> None:
    assert employed(insured=(insured,)) == found


@pytest.mark.parametrize("contract", ["業務委託", "内定"])
def test_a_row_of_no_employment_leaves_the_word_to_the_pension_month(contract: str) -> None:
    row = a_notice(employment_type=contract)
    assert employed(row, insured=(an_insured_record(),)) is True
    assert employed(row, declared=NOT_EMPLOYED, insured=(an_insured_record(),)) is True
    assert employed(row, declared=NOT_EMPLOYED) is False
    assert employed(older(), row, declared=NOT_EMPLOYED, insured=(an_insured_record(),)) is True


def test_a_pension_month_says_nothing_where_there_is_a_row() -> None:
    assert employed(a_leaving(date(2026, 6, 30)), insured=(an_insured_record(),)) == NO_RECORD


def test_a_pension_month_wins_over_what_the_person_declares() -> None:
    assert employed(declared=NOT_EMPLOYED, insured=(an_insured_record(),)) is True


@pytest.mark.parametrize(
    ("insured", "found"),
    [
        pytest.param(DOWN, IS_DOWN, id="down"),
        pytest.param(SLOW, IS_SLOW, id="slow"),
        pytest.param(
            (an_insured_record(name_kana="ｻﾄｳ"),), needs_evidence(Reason.IDENTITY_UNRESOLVED), id="somebody else's"
        ),
    ],
)
def test_without_any_row_nothing_is_concluded_while_the_pension_months_are_not_known(
    insured: Any, found: Any
) -> None:
    assert employed(insured=insured) == found
    assert employed(declared=NOT_EMPLOYED, insured=insured) == found


def left_days_ago(days: int, **changes: Any) -> EmploymentNotice:
    return a_leaving(TODAY - timedelta(days=days), **changes)


@pytest.mark.parametrize(
    ("notices", "declared", "found"),
    [
        pytest.param([left_days_ago(18)], EMPLOYED, IN_WINDOW, id="left 18 days ago"),
        pytest.param([left_days_ago(60)], EMPLOYED, IN_WINDOW, id="left 60 days ago"),
        pytest.param([left_days_ago(61)], EMPLOYED, NO_RECORD, id="left 61 days ago"),
        pytest.param([left_days_ago(0)], EMPLOYED, IN_WINDOW, id="left today"),
        pytest.param(
            [a_notice(left_on=TODAY - timedelta(days=60))], EMPLOYED, IN_WINDOW, id="left by the hiring's own row"
        ),
        pytest.param([a_notice(left_on=TODAY - timedelta(days=61))], EMPLOYED, NO_RECORD, id="left so 61 days ago"),
        pytest.param([a_notice(), left_days_ago(60)], EMPLOYED, IN_WINDOW, id="hired once, left 60 days ago"),
        pytest.param(
            [left_days_ago(60), left_days_ago(300, corporate_number=OTHER_EMPLOYER)],
            EMPLOYED,
            IN_WINDOW,
            id="the last of two leavings counts",
        ),
        pytest.param([left_days_ago(60)], None, NO_RECORD, id="no new job declared"),
        pytest.param([], EMPLOYED, NO_RECORD, id="declared, but no leaving"),
    ],
)
def test_third_a_new_job_may_lack_its_row_for_sixty_days(
    notices: list[EmploymentNotice], declared: DeclaredEmployment | None, found: Any
) -> None:
    assert employed(*notices, declared=declared) == found


@pytest.mark.parametrize(
    "notices",
    [
        pytest.param([], id="no row at all"),
        pytest.param([left_days_ago(18)], id="left lately"),
        pytest.param([left_days_ago(400)], id="left long ago"),
    ],
)
def test_fourth_who_declares_no_job_and_has_none_on_record_is_not_employed(notices: list[EmploymentNotice]) -> None:
    assert employed(*notices, declared=NOT_EMPLOYED) is False


@pytest.mark.parametrize(
    ("notices", "declared"),
    [
        pytest.param([], None, id="no row, nothing declared"),
        pytest.param([left_days_ago(18)], None, id="left, nothing declared"),
        pytest.param([left_days_ago(400)], EMPLOYED, id="left long ago, a job declared"),
    ],
)
def test_fifth_otherwise_it_is_not_known_and_silence_declares_nothing(
    notices: list[EmploymentNotice], declared: DeclaredEmployment | None
) -> None:
    assert employed(*notices, declared=declared) == NO_RECORD


@pytest.mark.parametrize(
    ("row", "declared"),
    [
        pytest.param(a_notice(name="SOMEBODY ELSE"), None, id="another name"),
        pytest.param(a_notice(date_of_birth=date(1990, 5, 4)), None, id="another birth date"),
        pytest.param(a_leaving(TODAY, name="SOMEBODY ELSE"), NOT_EMPLOYED, id="another's leaving, no job declared"),
    ],
)
def test_a_row_that_may_be_somebody_elses_settles_nothing(
    row: EmploymentNotice, declared: DeclaredEmployment | None
) -> None:
    assert employed(a_notice(), row, declared=declared) == needs_evidence(Reason.IDENTITY_UNRESOLVED)


def tenure(*notices: EmploymentNotice, insured: tuple[InsuredRecord, ...] = (), **declared: Any) -> Any:
    return told(derive_tenure_months(facts_of(identity=an_identity(**declared), notices=notices, insured=insured)))


@pytest.mark.parametrize(
    ("hired_on", "months"),
    [
        pytest.param(date(2026, 8, 20), 3, id="three months to the day"),
        pytest.param(date(2026, 8, 21), 2, id="a day less"),
        pytest.param(date(2025, 11, 20), 12, id="a year to the day"),
        pytest.param(date(2025, 11, 21), 11, id="a day less than a year"),
        pytest.param(TODAY, 0, id="today"),
    ],
)
def test_tenure_is_whole_months_since_the_hiring(hired_on: date, months: int) -> None:
    assert tenure(a_notice(hired_on=hired_on)) == months


def test_tenure_counts_from_the_earliest_open_job() -> None:
    second = a_notice(corporate_number=OTHER_EMPLOYER, hired_on=date(2025, 11, 20))
    ended = a_notice(corporate_number=THIRD_EMPLOYER, hired_on=date(2010, 4, 1))
    its_end = a_leaving(date(2024, 3, 31), corporate_number=THIRD_EMPLOYER)
    assert tenure(second, a_notice(hired_on=date(2024, 11, 20)), ended, its_end) == 24


def test_a_corrected_day_of_hiring_is_no_second_job_and_the_earlier_day_counts() -> None:
    rows = (a_notice(hired_on=date(2025, 4, 1)), a_notice(hired_on=date(2025, 5, 20), as_of=TODAY))
    for notices in (rows, rows[::-1]):
        assert tenure(*notices) == 19
        assert len(told(open_jobs(facts_of(notices=notices)))) == 1


def test_tenure_starts_anew_where_somebody_is_hired_again() -> None:
    first, its_end = a_notice(hired_on=date(2010, 4, 1)), a_leaving(date(2026, 7, 31))
    assert tenure(first, its_end, a_notice(hired_on=date(2026, 8, 20))) == 3


@pytest.mark.parametrize(
    ("codes", "months"),
    [
        pytest.param("2" * 23 + "-", "24 or more", id="from the very first month shown: at least"),
        pytest.param("A" + "2" * 22 + "-", 23, id="from the second month shown: exactly"),
        pytest.param("A" * 20 + "222-", 4, id="from August"),
        pytest.param("." + "2" * 10 + "A" + "2" * 11 + "-", 23, id="from the first 2, whatever came between"),
    ],
)
def test_tenure_by_pension_counts_from_the_first_employed_month(codes: str, months: Any) -> None:
    assert tenure(insured=(an_insured_record(month_codes=codes),)) == months


def test_who_is_not_employed_has_no_tenure_and_that_is_known() -> None:
    assert tenure(declared_employment=NOT_EMPLOYED) == 0


def test_tenure_is_not_known_where_employment_is_not() -> None:
    assert tenure() == NO_RECORD
    assert tenure(left_days_ago(18), declared_employment=EMPLOYED) == IN_WINDOW


@pytest.mark.parametrize(
    ("notices", "held"),
    [
        pytest.param([a_notice(hired_on=date(2025, 1, 1))], True, id="hired on 1 January"),
        pytest.param([a_notice(hired_on=date(2025, 1, 2))], False, id="hired on 2 January"),
        pytest.param([a_leaving(date(2025, 12, 31))], True, id="left on 31 December"),
        pytest.param([a_leaving(date(2025, 12, 30))], False, id="left on 30 December"),
        pytest.param([a_notice(), a_leaving(date(2026, 10, 20), hired_on=None)], True, id="hiring told elsewhere"),
        pytest.param([a_leaving(date(2026, 10, 20), hired_on=None)], False, id="hiring told nowhere"),
        pytest.param(
            [
                a_leaving(date(2025, 6, 30)),
                a_notice(corporate_number=OTHER_EMPLOYER, hired_on=date(2025, 7, 1)),
            ],
            False,
            id="two jobs, one after the other",
        ),
    ],
)
def test_a_job_was_held_throughout_a_year_from_new_year_to_new_years_eve(
    notices: list[EmploymentNotice], held: bool
) -> None:
    assert told(had_job_throughout(facts_of(notices=tuple(notices)), 2025)) is held


FREELANCE = month_codes("A" * 12, before="2")


@pytest.mark.parametrize(
    ("notices", "codes", "gap"),
    [
        pytest.param((a_notice(),), month_codes("2"), EmploymentGap.N0, id="a job all along"),
        pytest.param((), "2" * 24, EmploymentGap.N0, id="pension months all along"),
        pytest.param((), "2" * 10 + "A" + "2" * 13, EmploymentGap.N1, id="one month"),
        pytest.param((), "2" * 10 + "AA" + "2" * 12, EmploymentGap.N2_3, id="two months"),
        pytest.param((), "2" * 10 + "A*L" + "2" * 11, EmploymentGap.N2_3, id="three months"),
        pytest.param((), "2" * 10 + "AZS3" + "2" * 10, EmploymentGap.GE_4, id="four months"),
        pytest.param((), "2" * 10 + "." + "2" * 13, needs_evidence(Reason.NOT_STATED), id="a silent month"),
        pytest.param(
            (), "2" * 10 + "Y" + "2" * 13, needs_evidence(Reason.NOT_STATED), id="a code of no known meaning"
        ),
        pytest.param((a_leaving(date(2026, 10, 20)),), month_codes("A"), EmploymentGap.N0, id="left last month"),
        pytest.param((a_leaving(date(2025, 10, 20)),), FREELANCE[:-1] + "A", EmploymentGap.GE_4, id="a year ago"),
    ],
)
def test_a_gap_is_counted_where_a_record_shows_it(
    notices: tuple[EmploymentNotice, ...], codes: str, gap: Any
) -> None:
    facts = facts_of(notices=notices, insured=(an_insured_record(month_codes=codes),))
    assert told(derive_employment_gap(facts)) == gap


@pytest.mark.parametrize("derive", [derive_employed, derive_tenure_months, derive_employment_gap])
@pytest.mark.parametrize(("reply", "found"), [(DOWN, IS_DOWN), (SLOW, IS_SLOW)], ids=["down", "slow"])
def test_nothing_is_concluded_about_a_job_while_the_labor_source_is_silent(
    derive: Callable[..., Any], reply: Absent, found: Any
) -> None:
    identity = an_identity(declared_employment=NOT_EMPLOYED)
    assert told(derive(facts_of(identity=identity, notices=reply, residence=a_residence_record()))) == found
