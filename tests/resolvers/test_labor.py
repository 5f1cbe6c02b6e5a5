"""Tenure bands, contracts, whether the job may be done, and hours, which are the person's own. Specification 9.8."""

from datetime import date, timedelta
from typing import Any  # what a claim tells: a value of any kind, or a state with its reason

import pytest

from connectors.immigration.evidence import DesignatedOrganisation, OtherActivity, ResidenceRecord
from connectors.labor.evidence import EmploymentNotice
from resolvers.claim import Reason
from resolvers.hours import WeeklyHours, derive_hours_within_permission, derive_weekly_hours
from resolvers.labor import (
    EmploymentKind,
    Enrolment,
    Tenure,
    derive_affiliation_notice_current,
    derive_employer_verified,
    derive_employment_covers_until,
    derive_employment_insurance,
    derive_employment_kind,
    derive_employment_permitted,
    derive_tenure,
)
from tests.builders import (
    DOWN,
    EMPLOYED,
    EMPLOYER,
    IS_DOWN,
    IS_SLOW,
    NOT_EMPLOYED,
    OTHER_EMPLOYER,
    SLOW,
    TODAY,
    a_leaving,
    a_notice,
    a_residence_record,
    an_application,
    an_expired_stay,
    an_identity,
    an_insured_record,
    does_not_apply,
    facts_of,
    month_codes,
    needs_evidence,
    told,
)

STUDENT = a_residence_record(residence_status="留学", other_activity=OtherActivity.COMPREHENSIVE)
SECOND_JOB = a_notice(corporate_number=OTHER_EMPLOYER)
JOBLESS = an_identity(declared_employment=NOT_EMPLOYED)


def designated(corporate_number: str, **changes: Any) -> ResidenceRecord:
    """A highly skilled professional, tied to an organisation."""
    organisation = DesignatedOrganisation("株式会社アカツキＡＩ", corporate_number)
    changes = {"residence_status": "高度専門職1号ロ", "designated_organisation": organisation} | changes
    return a_residence_record(**changes)


def permitted(residence: Any = None, *notices: EmploymentNotice, **changes: Any) -> Any:
    """Whether the job may be done."""
    residence = residence or a_residence_record()
    return told(
        derive_employment_permitted(facts_of(residence=residence, notices=notices or (a_notice(),), **changes))
    )


@pytest.mark.parametrize(
    ("status", "has_permission", "found"),
    [
        pytest.param("技術・人文知識・国際業務", False, True, id="a status with work"),
        pytest.param("永住者", False, True, id="permanent"),
        pytest.param("特定活動", False, True, id="designated activities"),
        pytest.param("留学", False, False, id="a student without permission"),
        pytest.param("留学", True, True, id="a student with permission"),
        pytest.param("家族滞在", False, False, id="a dependent without permission"),
        pytest.param("家族滞在", True, True, id="a dependent with permission"),
        pytest.param("文化活動", False, False, id="cultural activities without permission"),
        pytest.param("研修", False, False, id="a trainee without permission"),
        pytest.param("短期滞在", False, False, id="a visitor without permission"),
    ],
)
def test_a_job_under_a_status_without_work_takes_a_permission(status: str, has_permission: bool, found: bool) -> None:
    stay: dict[str, Any] = {"stay_until": None} if status == "永住者" else {}
    record = a_residence_record(
        residence_status=status,
        other_activity=OtherActivity.COMPREHENSIVE if has_permission else OtherActivity.NOT_PERMITTED,
        **stay,
    )
    assert permitted(record) is found


@pytest.mark.parametrize(
    "status",
    ["高度専門職1号", "高度専門職1号ロ", "特定技能1号", "特定技能2号", "技能実習2号ロ", "育成就労", "特定活動"],
)
def test_a_job_elsewhere_than_at_the_designated_organisation_is_not_permitted(status: str) -> None:
    assert permitted(designated(EMPLOYER, residence_status=status)) is True
    assert permitted(designated(OTHER_EMPLOYER, residence_status=status)) is False


@pytest.mark.parametrize("status", ["技術・人文知識・国際業務", "日本人の配偶者等", "定住者"])
def test_what_an_earlier_status_left_on_record_ties_nobody(status: str) -> None:
    assert permitted(designated(OTHER_EMPLOYER, residence_status=status)) is True


@pytest.mark.parametrize(("status", "found"), [("特定活動（就労不可）", False), ("特定活動（６月・就労可）", True)])
def test_designated_activities_permit_a_job_unless_they_say_that_none_is(status: str, found: bool) -> None:
    assert permitted(a_residence_record(residence_status=status)) is found


def test_no_designated_organisation_on_record_is_no_comparison() -> None:
    assert permitted(designated(EMPLOYER, designated_organisation=None)) is True


@pytest.mark.parametrize(
    ("notices", "found"),
    [
        pytest.param([a_notice(), SECOND_JOB], False, id="a second job elsewhere"),
        pytest.param(
            [a_notice(), SECOND_JOB, a_leaving(date(2026, 10, 1), corporate_number=OTHER_EMPLOYER)],
            True,
            id="a job elsewhere that has ended",
        ),
        pytest.param([a_notice(employer_name="（株）別名")], True, id="the number counts, not the name"),
        pytest.param(
            [a_notice(corporate_number="", employer_name="株式会社アカツキＡＩ")],
            needs_evidence(Reason.NOT_STATED),
            id="an employer without a number cannot be compared",
        ),
        pytest.param([a_notice(corporate_number=""), SECOND_JOB], False, id="another one beside it differs"),
    ],
)
def test_every_open_employer_is_compared_with_the_designated_one(notices: list[EmploymentNotice], found: Any) -> None:
    assert permitted(designated(EMPLOYER), *notices) == found


def test_a_job_that_only_the_pension_shows_has_no_number_that_could_differ() -> None:
    assert told(derive_employment_permitted(facts_of(residence=designated(EMPLOYER), notices=()))) is True


@pytest.mark.parametrize("hours", [None, 0.0, 20, 28, 28.5, 34, 80])
def test_part_time_permission_covers_employment_whatever_the_hours(hours: float | None) -> None:
    assert permitted(STUDENT, a_notice(weekly_hours=hours), SECOND_JOB) is True


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        pytest.param({"residence": an_expired_stay()}, Reason.STAY_NOT_LAWFUL, id="stay ended"),
        pytest.param(
            {"residence": an_expired_stay(residence_status="留学")},
            Reason.STAY_NOT_LAWFUL,
            id="a student's stay ended",
        ),
        pytest.param(
            {"notices": (), "insured": (), "identity": JOBLESS}, Reason.NOT_EMPLOYED, id="declared not employed"
        ),
        pytest.param({"notices": (), "insured": ()}, Reason.NOT_EMPLOYED, id="employment not known"),
        pytest.param(
            {"notices": (a_leaving(date(2026, 11, 1)),), "identity": an_identity(declared_employment=EMPLOYED)},
            Reason.NOT_EMPLOYED,
            id="within the filing window",
        ),
    ],
)
def test_permission_is_asked_only_of_a_job_and_a_lawful_stay(facts: dict[str, Any], reason: Reason) -> None:
    assert told(derive_employment_permitted(facts_of(**facts))) == does_not_apply(reason)


def test_in_the_special_period_the_job_may_go_on() -> None:
    assert permitted(an_expired_stay(an_application())) is True


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        pytest.param({"residence": DOWN}, IS_DOWN, id="immigration down"),
        pytest.param({"residence": SLOW}, IS_SLOW, id="immigration slow"),
        pytest.param({"notices": DOWN}, IS_DOWN, id="labor down"),
        pytest.param({"notices": SLOW}, IS_SLOW, id="labor slow"),
        pytest.param({"notices": (), "insured": DOWN}, IS_DOWN, id="no row, insurance down"),
        pytest.param(
            {"residence": a_residence_record(residence_status="永住者")},
            needs_evidence(Reason.CONFLICT),
            id="a lawful stay that is not certain",
        ),
        pytest.param(
            {"residence": a_residence_record(residence_status="留学", stay_until=None)},
            needs_evidence(Reason.CONFLICT),
            id="a doubtful stay never becomes a no",
        ),
        pytest.param(
            {"notices": (a_notice(name="SOMEBODY ELSE"),)},
            needs_evidence(Reason.IDENTITY_UNRESOLVED),
            id="somebody else's row",
        ),
    ],
)
def test_permission_is_not_known_while_the_stay_or_the_job_is_not(facts: dict[str, Any], found: Any) -> None:
    assert told(derive_employment_permitted(facts_of(**facts))) == found


@pytest.mark.parametrize(
    ("hired_on", "band"),
    [
        pytest.param(date(2026, 8, 21), Tenure.LT_3M, id="a day short of 3 months"),
        pytest.param(date(2026, 8, 20), Tenure.M3_12, id="3 months"),
        pytest.param(date(2025, 11, 21), Tenure.M3_12, id="a day short of 12"),
        pytest.param(date(2025, 11, 20), Tenure.M12_36, id="12 months"),
        pytest.param(date(2023, 11, 21), Tenure.M12_36, id="a day short of 36"),
        pytest.param(date(2023, 11, 20), Tenure.GE_36M, id="36 months"),
    ],
)
def test_a_band_of_tenure_includes_its_lower_bound(hired_on: date, band: Tenure) -> None:
    assert told(derive_tenure(facts_of(notices=(a_notice(hired_on=hired_on),)))) == band


def test_a_lower_bound_settles_no_band_that_it_does_not_reach() -> None:
    by_pension = facts_of(notices=())
    assert told(derive_tenure(by_pension)) == needs_evidence(Reason.LOWER_BOUND)
    since_december = facts_of(notices=(), insured=(an_insured_record(month_codes="A" + month_codes("")[1:]),))
    assert told(derive_tenure(since_december)) == Tenure.M12_36


def test_who_is_not_employed_has_the_shortest_tenure_and_no_contract() -> None:
    facts = facts_of(notices=(), insured=(), identity=JOBLESS)
    assert told(derive_tenure(facts)) == Tenure.LT_3M
    assert told(derive_employment_kind(facts)) == EmploymentKind.NONE
    assert told(derive_employment_insurance(facts)) == does_not_apply(Reason.NOT_EMPLOYED)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("無期", EmploymentKind.INDEFINITE),
        ("有期", EmploymentKind.FIXED_TERM),
        ("パート", EmploymentKind.PART_TIME),
        ("アルバイト", EmploymentKind.PART_TIME),
        ("パート・アルバイト", EmploymentKind.PART_TIME),
        ("ﾊﾟｰﾄ", EmploymentKind.PART_TIME),
        ("ｱﾙﾊﾞｲﾄ", EmploymentKind.PART_TIME),
        ("有期パート", EmploymentKind.PART_TIME),
        ("無期雇用", EmploymentKind.INDEFINITE),
        ("　有期 雇用", EmploymentKind.FIXED_TERM),
        ("派遣", EmploymentKind.DISPATCH),
        ("派遣（有期雇用）", EmploymentKind.DISPATCH),
        ("有期雇用（無期転換前）", EmploymentKind.FIXED_TERM),
        ("有期契約（無期転換申込権なし）", EmploymentKind.FIXED_TERM),
        ("元派遣社員（正社員）", EmploymentKind.OTHER),
        ("出向", EmploymentKind.OTHER),
        ("", EmploymentKind.OTHER),
    ],
)
def test_a_contract_is_of_the_kind_that_the_notification_names(written: str, kind: EmploymentKind) -> None:
    assert told(derive_employment_kind(facts_of(notices=(a_notice(employment_type=written),)))) == kind


def test_a_job_that_only_the_pension_shows_is_of_no_known_kind() -> None:
    assert told(derive_employment_kind(facts_of(notices=()))) == needs_evidence(Reason.NOT_STATED)


def test_longer_hours_at_the_second_job_do_not_change_the_kind_of_contract() -> None:
    kinds = [
        told(
            derive_employment_kind(
                facts_of(notices=(a_notice(weekly_hours=18), a_notice(**other, weekly_hours=hours)))
            )
        )
        for hours in (16, 20)
        for other in [{"corporate_number": OTHER_EMPLOYER, "employment_type": "アルバイト"}]
    ]
    assert kinds[0] == kinds[1]


def test_an_insured_person_is_enrolled_and_a_day_student_exempt() -> None:
    uninsured = (a_notice(employment_insured=False),)
    assert told(derive_employment_insurance(facts_of())) == Enrolment.YES
    assert told(derive_employment_insurance(facts_of(notices=uninsured, residence=STUDENT))) == Enrolment.EXEMPT


@pytest.mark.parametrize(
    ("status", "found"),
    [("留学", Enrolment.EXEMPT), ("家族滞在", needs_evidence(Reason.NOT_STATED))],
    ids=["day student", "dependent"],
)
@pytest.mark.parametrize("hours", [[19], [20], [None], [13, 13], [22, 12]], ids=str)
def test_whatever_the_hours_the_answer_on_employment_insurance_is_the_same(
    hours: list[float | None], status: str, found: Any
) -> None:
    jobs = tuple(
        a_notice(weekly_hours=h, corporate_number=number, employment_insured=False)
        for h, number in zip(hours, (EMPLOYER, OTHER_EMPLOYER), strict=False)
    )
    record = a_residence_record(residence_status=status, other_activity=OtherActivity.COMPREHENSIVE)
    assert told(derive_employment_insurance(facts_of(residence=record, notices=jobs))) == found


@pytest.mark.parametrize(
    ("hours", "within", "band"),
    [
        pytest.param([19.5], True, WeeklyHours.LT_20, id="under 20"),
        pytest.param([20], True, WeeklyHours.H20_30, id="20"),
        pytest.param([28], True, WeeklyHours.H20_30, id="28"),
        pytest.param([28.5], False, WeeklyHours.H20_30, id="over 28"),
        pytest.param([30], False, WeeklyHours.GE_30, id="30"),
        pytest.param([14, 14], True, WeeklyHours.H20_30, id="28 over two employers"),
        pytest.param([18, 16], False, WeeklyHours.GE_30, id="34 over two employers"),
    ],
)
def test_hours_are_summed_over_all_employers_for_the_person_alone(
    hours: list[float], within: bool, band: WeeklyHours
) -> None:
    jobs = tuple(
        a_notice(weekly_hours=h, corporate_number=number)
        for h, number in zip(hours, (EMPLOYER, OTHER_EMPLOYER), strict=False)
    )
    facts = facts_of(residence=STUDENT, notices=jobs)
    assert told(derive_hours_within_permission(facts)) is within
    assert told(derive_weekly_hours(facts)) == band


def test_hours_that_one_employer_does_not_state_are_not_known() -> None:
    unstated = a_notice(weekly_hours=None, corporate_number=OTHER_EMPLOYER)
    facts = facts_of(residence=STUDENT, notices=(a_notice(weekly_hours=10), unstated))
    assert told(derive_weekly_hours(facts)) == needs_evidence(Reason.NOT_STATED)
    assert told(derive_hours_within_permission(facts)) == needs_evidence(Reason.NOT_STATED)


def test_hours_that_one_of_two_notifications_of_a_job_does_not_state_are_not_known() -> None:
    rows = (a_notice(weekly_hours=0), a_notice(weekly_hours=None))
    for notices in (rows, rows[::-1]):
        assert told(derive_weekly_hours(facts_of(residence=STUDENT, notices=notices))) == needs_evidence(
            Reason.NOT_STATED
        )


def test_a_status_with_work_has_no_hours_to_keep() -> None:
    assert told(derive_hours_within_permission(facts_of())) == does_not_apply(Reason.NO_LIMIT)


@pytest.mark.parametrize(
    ("residence", "hired_days_ago", "found"),
    [
        pytest.param(designated(EMPLOYER), 300, True, id="immigration knows the employer"),
        pytest.param(designated(OTHER_EMPLOYER), 15, False, id="15 days after the change"),
        pytest.param(
            designated(OTHER_EMPLOYER), 14, needs_evidence(Reason.WITHIN_FILING_WINDOW), id="14 days after it"
        ),
        pytest.param(a_residence_record(), 300, needs_evidence(Reason.SOURCE_NOT_CONNECTED), id="none on record"),
        pytest.param(STUDENT, 300, does_not_apply(Reason.NO_LIMIT), id="no work status"),
    ],
)
def test_a_change_of_employer_is_notified_within_fourteen_days(
    residence: ResidenceRecord, hired_days_ago: int, found: Any
) -> None:
    notices = (a_notice(hired_on=TODAY - timedelta(days=hired_days_ago)),)
    assert told(derive_affiliation_notice_current(facts_of(residence=residence, notices=notices))) == found


def test_an_employer_whose_number_is_not_stated_is_neither_the_designated_one_nor_another() -> None:
    residence = designated(EMPLOYER)
    unstated = a_notice(corporate_number="", hired_on=TODAY - timedelta(days=300))
    other = a_notice(corporate_number=OTHER_EMPLOYER, employer_name="乙", hired_on=TODAY - timedelta(days=300))
    for notices, found in (((unstated,), needs_evidence(Reason.NOT_STATED)), ((unstated, other), False)):
        assert told(derive_affiliation_notice_current(facts_of(residence=residence, notices=notices))) == found


def test_contracts_and_the_corporate_register_are_not_connected() -> None:
    not_connected = needs_evidence(Reason.SOURCE_NOT_CONNECTED)
    assert told(derive_employer_verified(facts_of())) == not_connected
    assert told(derive_employment_covers_until(facts_of(), on=date(2027, 3, 31))) == not_connected


def test_how_many_hours_an_individual_permission_allows_stands_in_its_certificate() -> None:
    record = a_residence_record(residence_status="留学", other_activity=OtherActivity.INDIVIDUAL)
    facts = facts_of(residence=record, notices=(a_notice(weekly_hours=34),))
    assert told(derive_hours_within_permission(facts)) == needs_evidence(Reason.NOT_STATED)
