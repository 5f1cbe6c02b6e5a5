"""Adulthood, the card, time since entry, residency for foreign exchange, permission to work. Specification 9.8."""

from collections.abc import Callable
from datetime import date
from typing import Any  # what a claim tells: a value of any kind, or a state with its reason

import pytest

from connectors.immigration.evidence import DesignatedOrganisation, OtherActivity, ResidenceRecord
from resolvers.claim import Reason
from resolvers.facts import Facts
from resolvers.hours import derive_hours_within_permission
from resolvers.immigration import (
    FefaResidency,
    TimeSinceEntry,
    derive_address_stability,
    derive_adult,
    derive_card_not_revoked,
    derive_fefa_residency,
    derive_mid_to_long_term_resident,
    derive_months_since_entry,
    derive_time_since_entry,
    derive_work_permission,
)
from resolvers.labor import derive_affiliation_notice_current, derive_employment_permitted
from resolvers.residence_status import WorkPermission
from resolvers.stay import derive_status_lawful
from resolvers.tax import derive_resident_tax
from tests.builders import (
    DOWN,
    EMPLOYED,
    IS_DOWN,
    IS_SLOW,
    NOT_EMPLOYED,
    SLOW,
    TODAY,
    a_leaving,
    a_notice,
    a_residence_record,
    an_expired_stay,
    an_identity,
    an_insured_record,
    facts_of,
    facts_of_someone_born,
    needs_evidence,
    told,
)

SIX_MONTHS_AGO, A_DAY_LESS = date(2026, 5, 20), date(2026, 5, 21)
JOBLESS = an_identity(declared_employment=NOT_EMPLOYED)


@pytest.mark.parametrize(
    ("born_on", "today", "adult"),
    [
        pytest.param(date(2008, 11, 20), TODAY, True, id="18 today"),
        pytest.param(date(2008, 11, 21), TODAY, False, id="18 tomorrow"),
        pytest.param(date(2008, 2, 29), date(2026, 2, 27), False, id="born on 29 February, on the 27th"),
        pytest.param(date(2008, 2, 29), date(2026, 2, 28), True, id="born on 29 February, on the 28th"),
        pytest.param(date(2008, 3, 1), date(2026, 2, 28), False, id="born on 1 March, on the 28th"),
        pytest.param(date(2009, 6, 3), TODAY, False, id="17"),
        pytest.param(date(1990, 4, 5), TODAY, True, id="36"),
    ],
)
def test_a_person_is_adult_from_the_eighteenth_birthday(born_on: date, today: date, adult: bool) -> None:
    assert told(derive_adult(facts_of_someone_born(born_on, today=today))) is adult


@pytest.mark.parametrize("revoked", [True, False])
def test_a_card_is_in_use_unless_its_number_is_revoked(revoked: bool) -> None:
    assert told(derive_card_not_revoked(facts_of(residence=a_residence_record(card_revoked=revoked)))) is not revoked


@pytest.mark.parametrize(
    ("record", "holds"),
    [
        pytest.param(a_residence_record(), True, id="engineer"),
        pytest.param(an_expired_stay(), True, id="the status last held counts, though it has ended"),
        pytest.param(
            a_residence_record(residence_status="特別永住者", stay_until=None), True, id="special permanent"
        ),
        pytest.param(a_residence_record(residence_status="永住者", stay_until=None), True, id="permanent"),
        pytest.param(a_residence_record(residence_status="短期滞在"), False, id="visitor"),
        pytest.param(a_residence_record(residence_status="外交"), False, id="diplomat"),
        pytest.param(a_residence_record(residence_status="公用"), False, id="official"),
        pytest.param(
            a_residence_record(landed_on=date(2026, 11, 1), stay_until=date(2027, 2, 1)),
            False,
            id="a period of three months",
        ),
        pytest.param(
            a_residence_record(landed_on=date(2026, 11, 1), stay_until=date(2027, 3, 1)),
            True,
            id="a period of four months",
        ),
    ],
)
def test_a_mid_to_long_term_resident_is_one_by_the_kind_of_status(record: ResidenceRecord, holds: bool) -> None:
    assert told(derive_mid_to_long_term_resident(facts_of(residence=record))) is holds


@pytest.mark.parametrize(
    ("landed_on", "months", "band"),
    [
        pytest.param(TODAY, 0, TimeSinceEntry.LT_6M, id="today"),
        pytest.param(A_DAY_LESS, 5, TimeSinceEntry.LT_6M, id="a day short of 6"),
        pytest.param(SIX_MONTHS_AGO, 6, TimeSinceEntry.M6_12, id="6"),
        pytest.param(date(2025, 11, 21), 11, TimeSinceEntry.M6_12, id="a day short of 12"),
        pytest.param(date(2025, 11, 20), 12, TimeSinceEntry.M12_36, id="12"),
        pytest.param(date(2023, 11, 21), 35, TimeSinceEntry.M12_36, id="a day short of 36"),
        pytest.param(date(2023, 11, 20), 36, TimeSinceEntry.M36_60, id="36"),
        pytest.param(date(2021, 11, 21), 59, TimeSinceEntry.M36_60, id="a day short of 60"),
        pytest.param(date(2021, 11, 20), 60, TimeSinceEntry.M60_120, id="60"),
        pytest.param(date(2016, 11, 21), 119, TimeSinceEntry.M60_120, id="a day short of 120"),
        pytest.param(date(2016, 11, 20), 120, TimeSinceEntry.GE_120M, id="120"),
    ],
)
def test_time_since_entry_is_whole_months_and_a_band_includes_its_lower_bound(
    landed_on: date, months: int, band: TimeSinceEntry
) -> None:
    facts = facts_of(residence=a_residence_record(landed_on=landed_on))
    assert told(derive_months_since_entry(facts)) == months
    assert told(derive_time_since_entry(facts)) == band


def residency(record: ResidenceRecord, **changes: Any) -> Any:
    """Residency of somebody without a job, unless told otherwise."""
    facts: dict[str, Any] = {"notices": (), "insured": (), "identity": JOBLESS} | changes
    return told(derive_fefa_residency(facts_of(residence=record, **facts)))


@pytest.mark.parametrize(
    ("status", "stay_until"),
    [
        ("永住者", None),
        ("特別永住者", None),
        ("日本人の配偶者等", date(2029, 11, 1)),
        ("永住者の配偶者等", date(2029, 11, 1)),
        ("定住者", date(2029, 11, 1)),
    ],
)
def test_first_a_settled_person_is_resident_from_the_day_of_entry(status: str, stay_until: date | None) -> None:
    record = a_residence_record(residence_status=status, stay_until=stay_until, landed_on=TODAY)
    assert residency(record) == FefaResidency.RESIDENT
    assert residency(record, notices=DOWN, insured=DOWN) == FefaResidency.RESIDENT


@pytest.mark.parametrize("status", ["留学", "家族滞在", "技術・人文知識・国際業務", "特定活動", "高度専門職1号ロ"])
@pytest.mark.parametrize(
    ("landed_on", "found"),
    [
        pytest.param(SIX_MONTHS_AGO, FefaResidency.RESIDENT, id="six months"),
        pytest.param(A_DAY_LESS, FefaResidency.NON_RESIDENT, id="a day less"),
    ],
)
def test_second_everybody_is_resident_after_six_whole_months(
    status: str, landed_on: date, found: FefaResidency
) -> None:
    assert residency(a_residence_record(residence_status=status, landed_on=landed_on)) == found


def test_six_months_are_counted_to_the_end_of_a_short_month() -> None:
    record = a_residence_record(landed_on=date(2026, 8, 31))
    assert residency(record, today=date(2027, 2, 27)) == FefaResidency.NON_RESIDENT
    assert residency(record, today=date(2027, 2, 28)) == FefaResidency.RESIDENT


@pytest.mark.parametrize("silent", [DOWN, SLOW])
def test_after_six_months_no_other_source_is_needed(silent: Any) -> None:
    record = a_residence_record(landed_on=SIX_MONTHS_AGO)
    assert residency(record, notices=silent, insured=silent) == FefaResidency.RESIDENT


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        pytest.param({"notices": (a_notice(hired_on=date(2026, 10, 1)),)}, FefaResidency.RESIDENT, id="employed"),
        pytest.param(
            {"insured": (an_insured_record(),)}, FefaResidency.RESIDENT, id="employed by the pension months"
        ),
        pytest.param({}, FefaResidency.NON_RESIDENT, id="not employed"),
        pytest.param(
            {"identity": an_identity()}, needs_evidence(Reason.RECORD_NOT_FOUND_EXPECTED), id="employment not known"
        ),
        pytest.param(
            {
                "notices": (a_leaving(date(2026, 11, 1)),),
                "identity": an_identity(declared_employment=EMPLOYED),
            },
            needs_evidence(Reason.WITHIN_FILING_WINDOW),
            id="within the filing window",
        ),
        pytest.param({"notices": DOWN}, IS_DOWN, id="labor down: never a non-resident"),
        pytest.param({"notices": SLOW}, IS_SLOW, id="labor slow"),
        pytest.param({"insured": DOWN}, IS_DOWN, id="no row, insurance down"),
        pytest.param(
            {"notices": (a_notice(name="SOMEBODY ELSE"),)},
            needs_evidence(Reason.IDENTITY_UNRESOLVED),
            id="somebody else's row",
        ),
    ],
)
def test_third_before_six_months_work_in_japan_decides(changes: dict[str, Any], found: Any) -> None:
    assert residency(a_residence_record(landed_on=A_DAY_LESS), **changes) == found


@pytest.mark.parametrize(
    ("status", "has_permission", "found"),
    [
        pytest.param("技術・人文知識・国際業務", False, WorkPermission.WITHIN_STATUS, id="within the status"),
        pytest.param("技術・人文知識・国際業務", True, WorkPermission.WITHIN_STATUS, id="with another permission"),
        pytest.param("留学", True, WorkPermission.PART_TIME_ONLY, id="a student with permission"),
        pytest.param("留学", False, WorkPermission.NONE, id="a student without"),
        pytest.param("定住者", False, WorkPermission.UNRESTRICTED, id="long-term resident"),
        pytest.param("特定活動", False, WorkPermission.INDIVIDUAL, id="designated activities"),
    ],
)
def test_work_is_permitted_by_the_status_or_a_permission(
    status: str, has_permission: bool, found: WorkPermission
) -> None:
    record = a_residence_record(
        residence_status=status,
        other_activity=OtherActivity.COMPREHENSIVE if has_permission else OtherActivity.NOT_PERMITTED,
    )
    assert told(derive_work_permission(facts_of(residence=record))) == found


def test_a_permission_for_what_its_certificate_names_is_an_individual_one() -> None:
    record = a_residence_record(residence_status="留学", other_activity=OtherActivity.INDIVIDUAL)
    assert told(derive_work_permission(facts_of(residence=record))) == WorkPermission.INDIVIDUAL


@pytest.mark.parametrize(
    "derive",
    [
        derive_adult,
        derive_card_not_revoked,
        derive_mid_to_long_term_resident,
        derive_months_since_entry,
        derive_fefa_residency,
        derive_work_permission,
    ],
)
@pytest.mark.parametrize(
    ("residence", "found"),
    [
        pytest.param(DOWN, IS_DOWN, id="down"),
        pytest.param(SLOW, IS_SLOW, id="slow"),
        pytest.param(None, needs_evidence(Reason.RECORD_NOT_FOUND_UNEXPECTED), id="no such card"),
        pytest.param(
            a_residence_record(date_of_birth=date(1990, 5, 4)),
            needs_evidence(Reason.IDENTITY_UNRESOLVED),
            id="another birth date",
        ),
        pytest.param(
            a_residence_record(residence_status="仮放免"), needs_evidence(Reason.OUT_OF_SCOPE), id="no status"
        ),
    ],
)
def test_nothing_is_concluded_without_the_persons_own_record(
    derive: Callable[[Facts], Any], residence: Any, found: Any
) -> None:
    assert told(derive(facts_of(residence=residence))) == found


def test_the_resident_register_is_not_connected() -> None:
    assert told(derive_address_stability(facts_of())) == needs_evidence(Reason.SOURCE_NOT_CONNECTED)


NO_DAY, BORN_LATER, AHEAD = None, date(1990, 4, 4), date(2026, 11, 21)
UNKNOWN_ENTRY = [
    pytest.param(NO_DAY, Reason.NOT_STATED, id="no day of entry"),
    pytest.param(BORN_LATER, Reason.CONFLICT, id="entered before birth"),
    pytest.param(AHEAD, Reason.CONFLICT, id="enters tomorrow"),
]


@pytest.mark.parametrize(("landed_on", "reason"), UNKNOWN_ENTRY)
def test_a_day_of_entry_that_is_not_known_leaves_in_doubt_what_hangs_on_it_alone(
    landed_on: date | None, reason: Reason
) -> None:
    record = a_residence_record(landed_on=landed_on)
    facts = facts_of(residence=record, tax=None)
    assert told(derive_months_since_entry(facts)) == needs_evidence(reason)
    assert told(derive_time_since_entry(facts)) == needs_evidence(reason)
    assert told(derive_resident_tax(facts)) == needs_evidence(reason)
    assert told(derive_status_lawful(facts)) is True
    assert told(derive_mid_to_long_term_resident(facts)) is True


@pytest.mark.parametrize(("landed_on", "reason"), UNKNOWN_ENTRY)
@pytest.mark.parametrize(
    ("status", "changes", "found"),
    [
        pytest.param("定住者", {}, FefaResidency.RESIDENT, id="long-term resident"),
        pytest.param("留学", {"notices": (a_notice(),), "identity": None}, FefaResidency.RESIDENT, id="employed"),
        pytest.param("留学", {}, None, id="not employed"),
    ],
)
def test_whose_day_of_entry_is_not_known_is_no_non_resident_for_it(
    landed_on: date | None, reason: Reason, status: str, changes: dict[str, Any], found: FefaResidency | None
) -> None:
    record = a_residence_record(residence_status=status, landed_on=landed_on)
    assert residency(record, **changes) == (found or needs_evidence(reason))


@pytest.mark.parametrize(
    ("stay_until", "status", "holds"),
    [
        pytest.param(date(2027, 2, 21), "家族滞在", True, id="more than three months are left"),
        pytest.param(date(2027, 2, 20), "家族滞在", needs_evidence(Reason.NOT_STATED), id="three months are left"),
        pytest.param(date(2027, 2, 20), "短期滞在", False, id="a visitor whatever the day"),
        pytest.param(None, "永住者", True, id="a permanent resident whatever the day"),
    ],
)
def test_without_a_day_of_entry_a_short_period_of_stay_is_doubt(
    stay_until: date | None, status: str, holds: object
) -> None:
    record = a_residence_record(landed_on=None, residence_status=status, stay_until=stay_until)
    assert told(derive_mid_to_long_term_resident(facts_of(residence=record))) == holds


def test_a_permission_that_is_not_stated_is_neither_given_nor_refused() -> None:
    student = facts_of(residence=a_residence_record(residence_status="留学", other_activity=None))
    engineer = facts_of(residence=a_residence_record(other_activity=None))
    for derive in (derive_work_permission, derive_employment_permitted, derive_hours_within_permission):
        assert told(derive(student)) == needs_evidence(Reason.NOT_STATED)
    assert told(derive_work_permission(engineer)) == WorkPermission.WITHIN_STATUS
    assert told(derive_employment_permitted(engineer)) is True


def test_a_designated_organisation_without_a_number_cannot_be_compared() -> None:
    tied = a_residence_record(
        residence_status="特定技能1号", designated_organisation=DesignatedOrganisation("みらい食品株式会社", "")
    )
    assert told(derive_employment_permitted(facts_of(residence=tied))) == needs_evidence(Reason.NOT_STATED)
    assert told(derive_affiliation_notice_current(facts_of(residence=tied))) == needs_evidence(Reason.NOT_STATED)
