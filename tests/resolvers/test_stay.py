"""Is the stay lawful, on what does it rest, how long does it last. Specification 9.8, "Stay"; domain notes 1.3."""

from datetime import date, timedelta
from typing import Any  # what a claim tells: a value of any kind, or a state with its reason

import pytest

from connectors.immigration.evidence import Application, ResidenceRecord
from resolvers.claim import Reason
from resolvers.stay import (
    StayBasis,
    StayRemaining,
    derive_renewal_pending,
    derive_status_lawful,
    derive_stay_basis,
    derive_stay_covers_until,
    derive_stay_ends_on,
    derive_stay_months_left,
    derive_stay_recheck_by,
    derive_stay_remaining,
    derive_stay_unlimited,
    special_period_end,
)
from tests.builders import (
    TODAY,
    a_residence_record,
    an_application,
    an_expired_stay,
    does_not_apply,
    facts_of,
    needs_evidence,
    told,
)

EXPIRY = date(2026, 10, 31)
SPECIAL_END = date(2026, 12, 31)
RENEWING = an_expired_stay(an_application())
PERMANENT = a_residence_record(residence_status="永住者", stay_until=None)
SPECIAL_PERMANENT = a_residence_record(residence_status="特別永住者", stay_until=None)
ENDED = an_expired_stay()


def basis_of(record: ResidenceRecord, today: date = TODAY) -> Any:
    return told(derive_stay_basis(facts_of(residence=record, today=today)))


@pytest.mark.parametrize(
    ("today", "basis"),
    [
        pytest.param(EXPIRY - timedelta(days=1), StayBasis.ON_PERIOD, id="the day before its last"),
        pytest.param(EXPIRY, StayBasis.ON_PERIOD, id="its last day"),
        pytest.param(EXPIRY + timedelta(days=1), StayBasis.NONE, id="the day after"),
    ],
)
def test_the_last_day_of_a_period_is_inside_it(today: date, basis: StayBasis) -> None:
    assert basis_of(an_expired_stay(), today) == basis


@pytest.mark.parametrize(
    ("today", "basis"),
    [
        pytest.param(EXPIRY, StayBasis.ON_PERIOD, id="not before the period ends"),
        pytest.param(EXPIRY + timedelta(days=1), StayBasis.SPECIAL_PERIOD, id="from the day after it"),
        pytest.param(SPECIAL_END - timedelta(days=1), StayBasis.SPECIAL_PERIOD, id="the day before its last"),
        pytest.param(SPECIAL_END, StayBasis.SPECIAL_PERIOD, id="its last day, two months later"),
        pytest.param(SPECIAL_END + timedelta(days=1), StayBasis.NONE, id="not a day longer"),
    ],
)
def test_a_timely_application_protects_for_two_months(today: date, basis: StayBasis) -> None:
    assert basis_of(RENEWING, today) == basis


@pytest.mark.parametrize(
    ("expiry_on", "last_day"),
    [
        pytest.param(date(2026, 5, 28), date(2026, 7, 28), id="the authority's own example"),
        pytest.param(date(2026, 10, 31), date(2026, 12, 31), id="month end to month end"),
        pytest.param(date(2026, 12, 31), date(2027, 2, 28), id="clamped to the end of February"),
        pytest.param(date(2026, 12, 29), date(2027, 2, 28), id="clamped from the 29th"),
        pytest.param(date(2026, 12, 28), date(2027, 2, 28), id="nothing to clamp"),
        pytest.param(date(2027, 12, 30), date(2028, 2, 29), id="clamped in a leap year"),
        pytest.param(date(2026, 7, 31), date(2026, 9, 30), id="clamped to the 30th"),
    ],
)
def test_the_special_period_ends_on_the_corresponding_day(expiry_on: date, last_day: date) -> None:
    assert special_period_end(expiry_on) == last_day
    record = a_residence_record(stay_until=expiry_on, applications=(an_application(expiry_on),))
    assert basis_of(record, last_day) == StayBasis.SPECIAL_PERIOD
    assert basis_of(record, last_day + timedelta(days=1)) == StayBasis.NONE


def test_an_application_filed_on_the_last_day_protects() -> None:
    assert basis_of(an_expired_stay(an_application(EXPIRY))) == StayBasis.SPECIAL_PERIOD


def test_an_application_filed_the_day_after_expiry_protects_nobody() -> None:
    record = an_expired_stay(an_application(EXPIRY + timedelta(days=1)))
    assert basis_of(record) == StayBasis.NONE
    assert told(derive_renewal_pending(facts_of(residence=record))) is False


@pytest.mark.parametrize("result", ["許可", "不許可", "取下げ", "却下", "審査終了（不許可）", "不受理"])
def test_a_decided_application_protects_nobody(result: str) -> None:
    record = an_expired_stay(an_application(result=result))
    assert basis_of(record) == StayBasis.NONE
    assert told(derive_renewal_pending(facts_of(residence=record))) is False


@pytest.mark.parametrize(
    ("kind", "basis"),
    [
        pytest.param("在留期間更新", StayBasis.SPECIAL_PERIOD, id="to extend"),
        pytest.param("在留期間更新許可申請", StayBasis.SPECIAL_PERIOD, id="to extend, in full"),
        pytest.param("在留資格変更", StayBasis.SPECIAL_PERIOD, id="to change the status"),
        pytest.param("在留期間 の 更新", StayBasis.SPECIAL_PERIOD, id="to extend, with spaces"),
        pytest.param("期間更新", StayBasis.SPECIAL_PERIOD, id="to extend, in short"),
        pytest.param("更新", StayBasis.SPECIAL_PERIOD, id="to extend, in one word"),
        pytest.param("期間の更新許可申請", StayBasis.SPECIAL_PERIOD, id="to extend the period"),
        pytest.param("在留期間更新許可申請中", StayBasis.SPECIAL_PERIOD, id="as it is stamped on the card"),
        pytest.param("在留期間更新許可申請（オンライン）", StayBasis.SPECIAL_PERIOD, id="to extend, online"),
        pytest.param("在留資格変更許可申請（特定技能１号）", StayBasis.SPECIAL_PERIOD, id="to change, and to which"),
        pytest.param("資格変更", StayBasis.SPECIAL_PERIOD, id="to change the status, in short"),
        pytest.param("永住許可", StayBasis.NONE, id="for permanent residence"),
        pytest.param("再入国許可", StayBasis.NONE, id="to re-enter"),
        pytest.param("資格外活動許可", StayBasis.NONE, id="for other activities"),
        pytest.param("就労資格証明書交付", StayBasis.NONE, id="for a certificate of authorised employment"),
        pytest.param("在留カード有効期間更新", StayBasis.NONE, id="to renew the card alone"),
        pytest.param("在留カード記載事項変更", StayBasis.NONE, id="to change what is written on the card"),
    ],
)
def test_only_an_application_to_extend_or_change_the_status_protects(kind: str, basis: StayBasis) -> None:
    assert basis_of(an_expired_stay(an_application(kind=kind))) == basis


UNSURE_APPLICATIONS = [
    pytest.param(an_application(kind="変更"), id="a change of something"),
    pytest.param(an_application(kind="期間更新（カード）"), id="the period of something else"),
    pytest.param(an_application(kind="その他"), id="a kind that nobody knows"),
    pytest.param(an_application(kind=""), id="no kind"),
    *(
        pytest.param(an_application(kind=kind), id=kind)
        for kind in (
            *(
                "在留期間更新許可申請の取下",
                "在留資格変更（不許可）",
                "在留期間更新（永住）",
                "在留資格変更（永住者）",
            ),
            *("在留期間更新（予定）", "在留期間更新（取下げ）", "在留期間更新及び資格外活動許可", "更新（却下）"),
        )
    ),
    *(
        pytest.param(an_application(result=result), id=f"the result {result}")
        for result in (
            *("許可待ち", "許可審査中", "許可前", "許可予定", "認定待ち", "審査終了", "受付終了", "不許可通知前"),
            *("＊＊＊", "*", "（＊＊）", "未*", "許可（予定）", "取消手続中", "取下げ予定", "返戻"),
        )
    ),
    pytest.param(an_application(result="照会済"), id="a result that nobody knows"),
    pytest.param(an_application(None), id="no day on which it was received"),
]


@pytest.mark.parametrize("application", UNSURE_APPLICATIONS)
def test_an_application_in_words_that_nobody_knows_is_doubt_and_never_an_unlawful_stay(
    application: Application,
) -> None:
    facts = facts_of(residence=an_expired_stay(application))
    for derive in (
        derive_status_lawful,
        derive_stay_basis,
        derive_renewal_pending,
        derive_stay_months_left,
        derive_stay_remaining,
        derive_stay_unlimited,
        derive_stay_recheck_by,
    ):
        assert told(derive(facts)) == needs_evidence(Reason.NOT_STATED)
    assert told(derive_stay_covers_until(facts, on=SPECIAL_END)) == needs_evidence(Reason.NOT_STATED)


@pytest.mark.parametrize("application", UNSURE_APPLICATIONS)
def test_an_unsure_application_leaves_open_only_what_hangs_on_it(application: Application) -> None:
    unsure = an_expired_stay(application)
    assert basis_of(unsure, EXPIRY) == StayBasis.ON_PERIOD
    assert basis_of(unsure, SPECIAL_END + timedelta(days=1)) == StayBasis.NONE
    assert basis_of(an_expired_stay(application, an_application())) == StayBasis.SPECIAL_PERIOD


def test_an_application_that_cannot_count_is_a_no_whatever_else_is_unknown() -> None:
    late = an_application(EXPIRY + timedelta(days=1), kind="その他")
    refused = an_application(kind="その他", result="不許可")
    assert basis_of(an_expired_stay(late, refused)) == StayBasis.NONE


@pytest.mark.parametrize(
    "result",
    ["", "審査中", "受付", "受理", "受付済", "未決", "未定", "処理中", "申請中", "－", "――", "（審査中）"],
)
def test_an_application_that_is_still_being_examined_has_no_result_yet(result: str) -> None:
    assert basis_of(an_expired_stay(an_application(result=result))) == StayBasis.SPECIAL_PERIOD


def test_one_application_that_counts_is_enough() -> None:
    decided, late = an_application(result="不許可"), an_application(EXPIRY + timedelta(days=1))
    assert basis_of(an_expired_stay(decided, an_application(), late)) == StayBasis.SPECIAL_PERIOD
    assert basis_of(an_expired_stay(decided, late)) == StayBasis.NONE


@pytest.mark.parametrize(
    ("record", "today", "lawful"),
    [
        pytest.param(a_residence_record(), TODAY, True, id="within the period"),
        pytest.param(RENEWING, SPECIAL_END, True, id="last day of the special period"),
        pytest.param(RENEWING, SPECIAL_END + timedelta(days=1), False, id="after the special period"),
        pytest.param(ENDED, EXPIRY, True, id="last day of the period"),
        pytest.param(ENDED, EXPIRY + timedelta(days=1), False, id="after the period"),
        pytest.param(PERMANENT, date(2060, 1, 1), True, id="unlimited"),
        pytest.param(a_residence_record(card_revoked=True), TODAY, True, id="the card alone revoked"),
        pytest.param(
            a_residence_record(card_valid_until=date(2026, 8, 10)), TODAY, True, id="the card alone expired"
        ),
    ],
)
def test_a_stay_is_lawful_on_its_period_or_special_period_and_nothing_else(
    record: ResidenceRecord, today: date, lawful: bool
) -> None:
    assert told(derive_status_lawful(facts_of(residence=record, today=today))) is lawful


@pytest.mark.parametrize("status", ["永住者", "特別永住者", "高度専門職2号"])
def test_an_unlimited_stay_has_no_period(status: str) -> None:
    facts = facts_of(residence=a_residence_record(residence_status=status, stay_until=None))
    assert told(derive_stay_basis(facts)) == StayBasis.UNLIMITED
    assert told(derive_stay_unlimited(facts)) is True
    assert told(derive_stay_remaining(facts)) == StayRemaining.UNLIMITED
    assert told(derive_stay_months_left(facts)) == does_not_apply(Reason.NO_LIMIT)
    assert told(derive_stay_covers_until(facts, on=date(2099, 1, 1))) is True
    assert told(derive_renewal_pending(facts)) is False
    assert told(derive_stay_recheck_by(facts)) == does_not_apply(Reason.NO_LIMIT)


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(a_residence_record(residence_status="永住者"), id="permanent, yet with a period"),
        pytest.param(a_residence_record(stay_until=None), id="no period, yet not permanent"),
    ],
)
def test_a_period_that_contradicts_the_status_settles_nothing(record: ResidenceRecord) -> None:
    facts = facts_of(residence=record)
    for derive in (derive_status_lawful, derive_stay_basis, derive_stay_months_left, derive_stay_unlimited):
        assert told(derive(facts)) == needs_evidence(Reason.CONFLICT)


@pytest.mark.parametrize("status", ["仮放免", "監理措置", "仮滞在"])
def test_who_holds_no_status_of_residence_is_out_of_scope_and_never_unlawful(status: str) -> None:
    facts = facts_of(residence=a_residence_record(residence_status=status, stay_until=date(2026, 1, 1)))
    assert told(derive_status_lawful(facts)) == needs_evidence(Reason.OUT_OF_SCOPE)
    assert told(derive_stay_basis(facts)) == needs_evidence(Reason.OUT_OF_SCOPE)


@pytest.mark.parametrize(
    ("today", "pending"),
    [
        pytest.param(date(2026, 10, 4), False, id="before it was received"),
        pytest.param(date(2026, 10, 5), True, id="from the day it was received"),
        pytest.param(EXPIRY, True, id="while the period still runs"),
        pytest.param(SPECIAL_END, True, id="on the last day of the special period"),
        pytest.param(SPECIAL_END + timedelta(days=1), False, id="over with the special period"),
    ],
)
def test_a_renewal_is_pending_until_the_special_period_has_ended(today: date, pending: bool) -> None:
    assert told(derive_renewal_pending(facts_of(residence=RENEWING, today=today))) is pending


@pytest.mark.parametrize(
    ("stay_until", "months", "band"),
    [
        pytest.param(date(2026, 11, 20), 0, StayRemaining.LT_3M, id="the last day"),
        pytest.param(date(2027, 2, 19), 2, StayRemaining.LT_3M, id="a day short of 3"),
        pytest.param(date(2027, 2, 20), 3, StayRemaining.M3_6, id="3"),
        pytest.param(date(2027, 5, 19), 5, StayRemaining.M3_6, id="a day short of 6"),
        pytest.param(date(2027, 5, 20), 6, StayRemaining.M6_12, id="6"),
        pytest.param(date(2027, 11, 19), 11, StayRemaining.M6_12, id="a day short of 12"),
        pytest.param(date(2027, 11, 20), 12, StayRemaining.M12_36, id="12"),
        pytest.param(date(2029, 11, 19), 35, StayRemaining.M12_36, id="a day short of 36"),
        pytest.param(date(2029, 11, 20), 36, StayRemaining.GE_36M, id="36"),
    ],
)
def test_months_left_are_whole_and_a_band_includes_its_lower_bound(
    stay_until: date, months: int, band: StayRemaining
) -> None:
    facts = facts_of(residence=a_residence_record(stay_until=stay_until))
    assert told(derive_stay_months_left(facts)) == months
    assert told(derive_stay_remaining(facts)) == band


@pytest.mark.parametrize("record", [RENEWING, ENDED], ids=["special period", "ended"])
def test_no_month_of_the_period_is_left_once_it_has_ended(record: ResidenceRecord) -> None:
    facts = facts_of(residence=record)
    assert told(derive_stay_months_left(facts)) == 0
    assert told(derive_stay_remaining(facts)) == StayRemaining.LT_3M


@pytest.mark.parametrize(
    ("record", "on", "covers"),
    [
        pytest.param(a_residence_record(), date(2028, 4, 12), True, id="the last day of the period"),
        pytest.param(a_residence_record(), date(2028, 4, 13), False, id="the day after it"),
        pytest.param(RENEWING, TODAY, True, id="special period: today"),
        pytest.param(
            RENEWING, SPECIAL_END, needs_evidence(Reason.LOWER_BOUND), id="special period: a decision may end it"
        ),
        pytest.param(RENEWING, SPECIAL_END + timedelta(days=1), False, id="special period: after its last day"),
        pytest.param(ENDED, TODAY, False, id="ended"),
    ],
)
def test_a_stay_covers_the_days_up_to_its_last(record: ResidenceRecord, on: date, covers: Any) -> None:
    assert told(derive_stay_covers_until(facts_of(residence=record), on=on)) == covers


@pytest.mark.parametrize(
    ("record", "consent_until", "recheck_by"),
    [
        pytest.param(a_residence_record(), None, date(2028, 4, 12), id="the expiry"),
        pytest.param(a_residence_record(), date(2027, 2, 18), date(2027, 2, 18), id="the consent ends first"),
        pytest.param(RENEWING, None, SPECIAL_END, id="the special period's end"),
        pytest.param(RENEWING, date(2027, 2, 18), SPECIAL_END, id="the special period ends before the consent"),
        pytest.param(RENEWING, date(2026, 12, 30), date(2026, 12, 30), id="the consent ends a day before"),
        pytest.param(ENDED, date(2027, 2, 18), does_not_apply(Reason.STAY_NOT_LAWFUL), id="ended"),
    ],
)
def test_the_stay_is_looked_at_again_by_the_earliest_end(
    record: ResidenceRecord, consent_until: date | None, recheck_by: Any
) -> None:
    facts = facts_of(residence=record, consent_until=consent_until)
    assert told(derive_stay_recheck_by(facts)) == recheck_by


def test_the_end_of_a_stay_is_its_last_lawful_day() -> None:
    assert told(derive_stay_ends_on(facts_of())) == date(2028, 4, 12)
    assert told(derive_stay_ends_on(facts_of(residence=RENEWING))) == SPECIAL_END
    assert told(derive_stay_ends_on(facts_of(residence=SPECIAL_PERMANENT))) == does_not_apply(Reason.NO_LIMIT)
    assert told(derive_stay_ends_on(facts_of(residence=ENDED))) == does_not_apply(Reason.STAY_NOT_LAWFUL)
