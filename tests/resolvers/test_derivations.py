"""The derivations to the letter of the specification: each with the cases that broke a reading of it."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from connectors.immigration.evidence import (
    Application,
    DesignatedOrganisation,
    ImmigrationEvidence,
    OtherActivity,
    ResidenceRecord,
)
from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.interface import BindingLevel, DeclaredEmployment, IdentityRecord, SourceAuthority
from connectors.labor.evidence import EmploymentNotice, LaborEvidence, NoticeKind
from connectors.tax.evidence import TaxEvidence, TaxRecord
from resolvers.catalogue import ATTRIBUTES
from resolvers.claim import Claim, ClaimState, Reason
from resolvers.facts import Absent, Arrived, Facts
from resolvers.inputs import RULE_INPUTS

TODAY = date(2026, 11, 20)
SEEN = datetime(2026, 11, 20, 1, tzinfo=UTC)
BORN = date(1990, 4, 5)
RETRY = SEEN + timedelta(seconds=15)
DOWN = Absent(ClaimState.UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, RETRY)
SLOW = Absent(ClaimState.PENDING, Reason.SOURCE_PENDING, RETRY)
IN_ORDER = "2" * 23 + "-"

IDENTITY = IdentityRecord(
    name="TANAKA MARIA",
    names_kana=("タナカ マリア",),
    alias=None,
    date_of_birth=BORN,
    residence_card_number="ZZ00000001ZZ",
    card_expiry_on=date(2028, 4, 12),
    address_given="東京都江東区",
    tax_municipality="東京都江東区",
    identity_binding_level=BindingLevel.IC_VERIFIED,
)
RESIDENCE = ResidenceRecord(
    card_number="ZZ00000001ZZ",
    card_valid_until=date(2028, 4, 12),
    card_revoked=False,
    name="TANAKA MARIA",
    date_of_birth=BORN,
    residence_status="技術・人文知識・国際業務",
    stay_until=date(2028, 4, 12),
    landed_on=date(2020, 4, 10),
    other_activity=OtherActivity.NOT_PERMITTED,
    address="東京都江東区",
    applications=(),
    designated_organisation=None,
)
HIRED = EmploymentNotice(
    kind=NoticeKind.HIRED,
    name="TANAKA MARIA",
    date_of_birth=BORN,
    card_number="ZZ00000001ZZ",
    employer_name="株式会社サンプル",
    corporate_number="6999901000002",
    hired_on=date(2022, 7, 1),
    left_on=None,
    weekly_hours=40,
    employment_type="無期",
    monthly_wage_yen=300_000,
    employment_insured=True,
    as_of=date(2026, 10, 31),
)
TAXED = TaxRecord(
    income_year=2025,
    name="ＴＡＮＡＫＡ　ＭＡＲＩＡ",
    date_of_birth=BORN,
    address="東京都江東区",
    salary_income_yen=3_600_000,
    collection="特別徴収",
    unpaid_yen=0,
    remarks="",
    instalments=(),
)
INSURED = InsuredRecord(
    name_kana="ﾀﾅｶ ﾏﾘｱ",
    date_of_birth=BORN,
    health_scheme="協会けんぽ",
    first_month=date(2024, 11, 1),
    month_codes=IN_ORDER,
    lost_on=None,
    employer_late_months=(),
)


def left(on: date, **changes: Any) -> EmploymentNotice:
    return replace(HIRED, kind=NoticeKind.LEFT, left_on=on, **changes)


def facts(
    *,
    identity: dict[str, Any] | None = None,
    residence: dict[str, Any] | None = None,
    notices: tuple[EmploymentNotice, ...] = (HIRED,),
    taxed: dict[str, Any] | None = None,
    no_tax_record: bool = False,
    insured: dict[str, Any] | None = None,
    no_insured: bool = False,
    today: date = TODAY,
    **replies: Any,
) -> Facts:
    """A person fully in order on 20 November 2026, but for what is named."""
    record = None if no_tax_record else replace(TAXED, **(taxed or {}))
    everything: dict[str, Any] = {
        "immigration": Arrived(ImmigrationEvidence(SEEN, None, replace(RESIDENCE, **(residence or {})))),
        "labor": Arrived(LaborEvidence(SEEN, None, notices)),
        "tax": Arrived(TaxEvidence(SEEN, None, 2026, record)),
        "insurance": Arrived(
            InsuranceEvidence(SEEN, None, () if no_insured else (replace(INSURED, **(insured or {})),))
        ),
    }
    return Facts(
        today=today,
        identity=replace(IDENTITY, **(identity or {})),
        match_over=tuple(SourceAuthority),
        **(everything | replies),
    )


def told(name: str, given: Facts) -> Any:
    """The value of a rule input, or the state that it has instead."""
    claim: Claim[Any] = RULE_INPUTS[name].derive(given)
    if not claim.is_confirmed:
        return claim.state
    return getattr(claim.value, "amount", claim.value)


def application(received_on: date, kind: str = "在留期間更新", result: str = "") -> dict[str, Any]:
    return {"stay_until": date(2026, 10, 31), "applications": (Application(kind, received_on, result),)}


EMPLOYED_FALSE = {"declared_employment": DeclaredEmployment(employed=False)}
EMPLOYED_TRUE = {"declared_employment": DeclaredEmployment(employed=True)}
NEEDED, INAPPLICABLE = ClaimState.EVIDENCE_NEEDED, ClaimState.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("residence", "today", "basis"),
    [
        pytest.param({}, TODAY, "ON_PERIOD", id="within the period"),
        pytest.param({"stay_until": TODAY}, TODAY, "ON_PERIOD", id="on its last day"),
        pytest.param({"stay_until": TODAY - timedelta(days=1)}, TODAY, "NONE", id="a day after it"),
        pytest.param(application(date(2026, 10, 31)), TODAY, "SPECIAL_PERIOD", id="applied on the last day"),
        pytest.param(application(date(2026, 11, 1)), TODAY, "NONE", id="applied a day late"),
        pytest.param(application(date(2026, 10, 5)), date(2026, 12, 31), "SPECIAL_PERIOD", id="its last day"),
        pytest.param(application(date(2026, 10, 5)), date(2027, 1, 1), "NONE", id="a day after its end"),
        pytest.param(application(date(2026, 10, 5), result="許可"), TODAY, "NONE", id="a decided application"),
        pytest.param(application(date(2026, 10, 5), kind="永住許可"), TODAY, "NONE", id="one of another kind"),
        pytest.param(application(date(2026, 10, 5), kind="在留資格変更"), TODAY, "SPECIAL_PERIOD", id="a change"),
        pytest.param({"residence_status": "永住者", "stay_until": None}, TODAY, "UNLIMITED", id="permanent"),
        pytest.param({"residence_status": "永住者"}, TODAY, NEEDED, id="permanent, yet with a period"),
        pytest.param({"stay_until": None}, TODAY, NEEDED, id="no period, yet not permanent"),
        pytest.param({"residence_status": "仮放免"}, TODAY, NEEDED, id="no status of residence"),
    ],
)
def test_the_basis_of_the_stay(residence: dict[str, Any], today: date, basis: Any) -> None:
    assert told("stay_basis", facts(residence=residence, today=today)) == basis


def test_a_pending_renewal_is_over_with_its_special_period() -> None:
    residence = application(date(2026, 10, 5))
    assert told("renewal_pending", facts(residence=residence, today=date(2026, 12, 31))) is True
    assert told("renewal_pending", facts(residence=residence, today=date(2027, 1, 1))) is False


@pytest.mark.parametrize(
    ("stay_until", "months"),
    [(date(2027, 2, 20), 3), (date(2027, 2, 19), 2), (date(2026, 11, 20), 0), (date(2029, 11, 20), 36)],
)
def test_months_left_are_whole_months(stay_until: date, months: int) -> None:
    assert told("stay_months_left", facts(residence={"stay_until": stay_until})) == months


def test_no_months_are_left_in_the_special_period() -> None:
    assert told("stay_months_left", facts(residence=application(date(2026, 10, 5)))) == 0


@pytest.mark.parametrize(
    ("born_on", "today", "adult"),
    [
        (date(2008, 11, 20), TODAY, True),
        (date(2008, 11, 21), TODAY, False),
        (date(2008, 2, 29), date(2026, 2, 28), True),
        (date(2008, 2, 29), date(2026, 2, 27), False),
    ],
)
def test_a_person_is_adult_from_the_eighteenth_birthday(born_on: date, today: date, adult: bool) -> None:
    given = facts(identity={"date_of_birth": born_on}, residence={"date_of_birth": born_on}, today=today, notices=())
    assert told("adult", given) is adult


NEWCOMER = {"landed_on": date(2026, 5, 21)}


@pytest.mark.parametrize(
    ("changes", "residency"),
    [
        pytest.param({"residence": {"landed_on": date(2026, 5, 20)}, "notices": ()}, "RESIDENT", id="six months"),
        pytest.param({"residence": NEWCOMER}, "RESIDENT", id="a day less, employed"),
        pytest.param(
            {"residence": NEWCOMER, "notices": (), "identity": EMPLOYED_FALSE, "no_insured": True},
            "NON_RESIDENT",
            id="a day less, not employed",
        ),
        pytest.param({"residence": NEWCOMER, "notices": (), "no_insured": True}, NEEDED, id="a day less, unknown"),
        pytest.param(
            {"residence": NEWCOMER | {"residence_status": "定住者"}, "notices": (), "no_insured": True},
            "RESIDENT",
            id="a long-term resident",
        ),
    ],
)
def test_residency_for_foreign_exchange(changes: dict[str, Any], residency: Any) -> None:
    assert told("fefa_residency", facts(**changes)) == residency


REHIRED = replace(HIRED, hired_on=date(2026, 10, 1))
NOT_COVERED = {"month_codes": "2" * 22 + "..", "lost_on": None}


@pytest.mark.parametrize(
    ("changes", "employed"),
    [
        pytest.param({}, True, id="1: hired and not left"),
        pytest.param({"notices": (HIRED, left(date(2026, 10, 20)))}, NEEDED, id="1: left the same employer"),
        pytest.param({"notices": (left(date(2026, 9, 1)), REHIRED)}, True, id="1: hired there again"),
        pytest.param(
            {"notices": (HIRED, left(date(2026, 10, 20), corporate_number=""))}, NEEDED, id="1: by the name"
        ),
        pytest.param(
            {"notices": (HIRED, left(date(2026, 10, 20), corporate_number="", employer_name="another"))},
            True,
            id="1: left another",
        ),
        pytest.param(
            {"notices": (HIRED, left(date(2026, 10, 1)), REHIRED)},
            True,
            id="1: hired there again on the day of leaving",
        ),
        pytest.param(
            {"notices": (REHIRED, left(date(2026, 10, 1), hired_on=date(2026, 10, 1)))},
            NEEDED,
            id="1: a job of one day",
        ),
        pytest.param({"notices": ()}, True, id="2: no row, pension month 2"),
        pytest.param({"notices": (), "insured": {"lost_on": date(2026, 10, 1)}}, NEEDED, id="2: but lost"),
        pytest.param({"notices": (), "insured": NOT_COVERED}, NEEDED, id="2: last month not covered"),
        pytest.param({"notices": (), "insurance": DOWN}, ClaimState.UNAVAILABLE, id="2: cannot be looked up"),
        pytest.param(
            {"notices": (left(date(2026, 9, 21)),), "identity": EMPLOYED_TRUE}, NEEDED, id="3: left 60 days ago"
        ),
        pytest.param({"notices": (left(date(2026, 9, 21)),), "identity": EMPLOYED_FALSE}, False, id="4: declared"),
        pytest.param({"notices": (), "no_insured": True, "identity": EMPLOYED_FALSE}, False, id="4: no records"),
        pytest.param({"notices": (), "no_insured": True}, NEEDED, id="5: nothing declared declares nothing"),
        pytest.param({"notices": (replace(HIRED, name="SOMEBODY ELSE"),)}, NEEDED, id="another person's row"),
        pytest.param({"labor": DOWN}, ClaimState.UNAVAILABLE, id="labor down"),
        pytest.param({"labor": SLOW, "identity": EMPLOYED_FALSE}, ClaimState.PENDING, id="labor slow"),
    ],
)
def test_employment_in_the_order_of_the_specification(changes: dict[str, Any], employed: Any) -> None:
    assert told("employed", facts(**changes)) == employed


@pytest.mark.parametrize(
    ("days", "reason"), [(60, Reason.WITHIN_FILING_WINDOW), (61, Reason.RECORD_NOT_FOUND_EXPECTED)]
)
def test_a_new_job_may_lack_its_record_for_sixty_days(days: int, reason: Reason) -> None:
    given = facts(notices=(left(TODAY - timedelta(days=days)),), identity=EMPLOYED_TRUE)
    assert RULE_INPUTS["employed"].derive(given).reason is reason


def test_a_hiring_that_is_notified_twice_is_one_job() -> None:
    """Else its wages would count twice."""
    once = facts(notices=(HIRED,), no_tax_record=True)
    again: list[dict[str, Any]] = [
        {},
        {"weekly_hours": 20},
        {"corporate_number": ""},
        {"employer_name": f"　{HIRED.employer_name}"},
        {"employment_type": "パート"},
        {"employment_insured": False},
        {"monthly_wage_yen": None},
    ]
    for change in again:
        rows = (HIRED, replace(HIRED, **change))
        for notices in (rows, rows[::-1]):
            twice = facts(notices=notices, no_tax_record=True)
            assert told("yearly_income_yen", twice) == told("yearly_income_yen", once)
    differs = facts(notices=(HIRED, replace(HIRED, monthly_wage_yen=310_000)), no_tax_record=True)
    assert told("yearly_income_yen", differs) == NEEDED
    other = facts(notices=(HIRED, replace(HIRED, corporate_number="5999901000003")), no_tax_record=True)
    assert told("yearly_income_yen", other) == 2 * told("yearly_income_yen", once)


def test_of_a_hiring_notified_twice_the_fewer_hours_count() -> None:
    """A notification that is repeated is no second job, and accuses nobody of too many hours."""
    student = {"residence_status": "留学", "other_activity": OtherActivity.COMPREHENSIVE}
    within = ATTRIBUTES["Labor.hoursWithinPermission"]
    rows = [replace(HIRED, weekly_hours=hours) for hours in (20, 34)]
    for notices in (tuple(rows), tuple(reversed(rows))):
        assert within.claim(facts(residence=student, notices=notices), {}).value is True


def test_tenure_counts_from_the_earliest_open_job() -> None:
    second = replace(HIRED, corporate_number="5999901000003", hired_on=date(2025, 1, 1))
    assert told("tenure_months", facts(notices=(second, HIRED))) == 52


def test_a_pension_record_that_begins_with_employment_is_a_lower_bound() -> None:
    claim = RULE_INPUTS["tenure_months"].derive(facts(notices=()))
    assert (claim.known.amount, claim.known.is_lower_bound) == (24, True)
    assert claim.known.at_least(24) is True
    assert claim.known.at_least(36) is None


def test_not_employed_is_no_tenure_at_all() -> None:
    given = facts(notices=(), no_insured=True, identity=EMPLOYED_FALSE)
    assert told("tenure_months", given) == 0


@pytest.mark.parametrize(
    ("changes", "basis", "yen"),
    [
        pytest.param({}, "TAX_CERT", 3_600_000, id="a whole year's certificate"),
        pytest.param({"taxed": {"salary_income_yen": 1}}, "TAX_CERT", 1, id="it wins over wages"),
        pytest.param({"tax": DOWN}, ClaimState.UNAVAILABLE, ClaimState.UNAVAILABLE, id="tax down, never wages"),
        pytest.param({"taxed": {"remarks": "国外払分は未反映"}}, "PARTIAL", NEEDED, id="pay abroad left out"),
        pytest.param(
            {"notices": (replace(HIRED, hired_on=date(2025, 1, 1)),)}, "TAX_CERT", 3_600_000, id="hired on 1 January"
        ),
        pytest.param(
            {"notices": (replace(HIRED, hired_on=date(2025, 1, 2)),)}, "WAGE_ANNUALISED", 3_600_000, id="a day later"
        ),
        pytest.param({"notices": (left(date(2025, 12, 31)),)}, "TAX_CERT", 3_600_000, id="left on 31 December"),
        pytest.param({"notices": (left(date(2025, 12, 30)),)}, NEEDED, NEEDED, id="a day earlier, no open job"),
        pytest.param({"notices": ()}, "TAX_CERT", 3_600_000, id="no row, twelve pension months"),
        pytest.param(
            {"notices": (), "insured": {"month_codes": "22A" + "2" * 20 + "-"}}, NEEDED, NEEDED, id="only eleven"
        ),
        pytest.param(
            {"notices": (), "no_tax_record": True, "identity": EMPLOYED_FALSE, "no_insured": True},
            "NONE",
            0,
            id="declared not employed",
        ),
        pytest.param(
            {"taxed": {"salary_income_yen": None}}, "WAGE_ANNUALISED", 3_600_000, id="not stated is not zero"
        ),
        pytest.param(
            {"notices": (replace(HIRED, monthly_wage_yen=None),), "no_tax_record": True}, NEEDED, NEEDED, id="no wage"
        ),
        pytest.param({"taxed": {"name": "ＡＮＯＴＨＥＲ"}}, NEEDED, NEEDED, id="somebody else's certificate"),
    ],
)
def test_income_in_the_order_of_the_specification(changes: dict[str, Any], basis: Any, yen: Any) -> None:
    given = facts(**changes)
    assert told("income_basis", given) == basis
    assert told("yearly_income_yen", given) == yen


@pytest.mark.parametrize(
    ("tax", "standing"),
    [
        ({}, "CLEAR"),
        ({"collection": "非課税", "unpaid_yen": None}, "NOT_TAXABLE"),
        ({"unpaid_yen": 1}, "ARREARS"),
        ({"unpaid_yen": 1, "remarks": "分納"}, "ARREARS"),
        ({"remarks": "分納"}, "INSTALMENT_PLAN"),
        ({"collection": "普通徴収（分納）", "unpaid_yen": None}, "INSTALMENT_PLAN"),
        ({"unpaid_yen": None}, NEEDED),
    ],
)
def test_the_standing_with_resident_tax(tax: dict[str, Any], standing: Any) -> None:
    assert told("resident_tax", facts(taxed=tax)) == standing


@pytest.mark.parametrize(
    ("landed_on", "standing"), [(date(2026, 1, 1), NEEDED), (date(2026, 1, 2), "NOT_YET_ASSESSED")]
)
def test_no_tax_record_is_right_only_after_the_levy_day(landed_on: date, standing: Any) -> None:
    given = facts(no_tax_record=True, residence={"landed_on": landed_on})
    assert told("resident_tax", given) == standing
    assert told("record_match", given) == ("MATCHED" if standing != NEEDED else "UNRESOLVED")


LATE = {"employer_late_months": (date(2026, 6, 1),)}


@pytest.mark.parametrize(
    ("insured", "premiums", "lateness"),
    [
        ({}, "ALL_ON_TIME", "NONE"),
        ({"month_codes": "2" * 21 + "A*-"}, "SOME_UNPAID", "SELF"),
        ({"month_codes": "2" * 21 + "AL-"}, "ALL_PAID_SOME_LATE", "SELF"),
        (LATE, "ALL_PAID_SOME_LATE", "EMPLOYER"),
        ({"employer_late_months": (date(2023, 6, 1),)}, "ALL_ON_TIME", "NONE"),
        (LATE | {"first_month": date(2023, 11, 1), "month_codes": "2" * 35 + "-"}, "ALL_PAID_SOME_LATE", "EMPLOYER"),
        (
            {"employer_late_months": (date(2024, 1, 1),)}
            | {"first_month": date(2023, 11, 1), "month_codes": "2" * 35 + "-"},
            "ALL_ON_TIME",
            "NONE",
        ),
        (LATE | {"month_codes": "2" * 22 + "L-"}, "ALL_PAID_SOME_LATE", "MIXED"),
        (LATE | {"month_codes": "2" * 22 + "*-"}, "SOME_UNPAID", "MIXED"),
        ({"month_codes": "T" * 23 + "-"}, "EXEMPT_TREATY", "NONE"),
        ({"month_codes": "3ZS" + "3" * 20 + "-"}, "EXEMPTED", "NONE"),
        ({"month_codes": "2" * 22 + ".-"}, NEEDED, NEEDED),
        ({"month_codes": "2" * 21 + ".L-"}, "ALL_PAID_SOME_LATE", "SELF"),
    ],
)
def test_premiums_of_twenty_four_months(insured: dict[str, Any], premiums: Any, lateness: Any) -> None:
    given = facts(insured=insured)
    assert (told("premiums_24m", given), told("premium_lateness", given)) == (premiums, lateness)


def test_months_before_entry_do_not_count() -> None:
    for insured in ({"month_codes": "." * 22 + "A-"}, LATE):
        given = facts(residence={"landed_on": date(2026, 9, 30)}, insured=insured)
        assert (told("premiums_24m", given), told("premium_lateness", given)) == ("ALL_ON_TIME", "NONE")


@pytest.mark.parametrize(("born_on", "state"), [(date(2006, 11, 1), INAPPLICABLE), (date(2006, 9, 30), NEEDED)])
def test_months_before_the_twentieth_birthday_do_not_count(born_on: date, state: ClaimState) -> None:
    given = facts(
        identity={"date_of_birth": born_on},
        residence={"date_of_birth": born_on},
        insured={"date_of_birth": born_on, "month_codes": "." * 23 + "-"},
    )
    assert told("premiums_24m", given) == state


TIED = {"residence_status": "特定技能1号"}
ELSEWHERE = {**TIED, "designated_organisation": DesignatedOrganisation("甲", "5999901000011")}
HERE = {**TIED, "designated_organisation": DesignatedOrganisation("乙", "6999901000002")}


@pytest.mark.parametrize(
    ("changes", "permitted"),
    [
        pytest.param({}, True, id="no designated organisation is no comparison"),
        pytest.param({"residence": HERE}, True, id="the designated employer"),
        pytest.param({"residence": ELSEWHERE}, False, id="another employer"),
        pytest.param({"residence": {"residence_status": "留学"}}, False, id="a student without permission"),
        pytest.param(
            {"residence": {"residence_status": "留学", "other_activity": OtherActivity.COMPREHENSIVE}},
            True,
            id="with permission",
        ),
        pytest.param({"residence": {"stay_until": date(2026, 1, 1)}}, INAPPLICABLE, id="stay not lawful"),
        pytest.param(
            {"notices": (left(date(2026, 11, 1)),), "identity": EMPLOYED_TRUE}, INAPPLICABLE, id="not known"
        ),
        pytest.param({"labor": DOWN}, ClaimState.UNAVAILABLE, id="labor down is doubt"),
    ],
)
def test_whether_the_job_may_be_done(changes: dict[str, Any], permitted: Any) -> None:
    assert told("employment_permitted", facts(**changes)) == permitted


SWAPPED: dict[str, Any] = {"date_of_birth": date(1990, 5, 4)}
SPR = {"residence_status": "特別永住者", "stay_until": None}


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        pytest.param({}, "MATCHED", id="all agree"),
        pytest.param({"notices": (replace(HIRED, name="MARIA TANAKA"),)}, "MATCHED", id="another order"),
        pytest.param({"notices": (replace(HIRED, name="ＴＡＮＡＫＡ"),)}, "MATCHED", id="a part of the name"),
        pytest.param({"notices": (replace(HIRED, name=""),)}, "UNRESOLVED", id="no name"),
        pytest.param({"notices": (replace(HIRED, **SWAPPED),)}, "UNRESOLVED", id="labor birth date"),
        pytest.param({"insured": SWAPPED}, "PROBABLE", id="day and month swapped, similar kana"),
        pytest.param({"insured": SWAPPED | {"name_kana": "ﾜﾀﾅﾍﾞ"}}, "UNRESOLVED", id="swapped, other kana"),
        pytest.param({"insured": {"name_kana": "ﾀﾅｶﾏﾘｱ"}}, "MATCHED", id="spaces fold"),
        pytest.param({"no_insured": True}, "UNRESOLVED", id="insurance missing"),
        pytest.param({"notices": ()}, "UNRESOLVED", id="labor missing"),
        pytest.param({"notices": (), "identity": EMPLOYED_FALSE}, "MATCHED", id="labor missing, not employed"),
        pytest.param({"notices": (), "residence": SPR}, "MATCHED", id="labor missing, special permanent resident"),
        pytest.param({"insurance": DOWN}, "MATCHED", id="a silent source is left out"),
        pytest.param({"notices": (), "immigration": DOWN}, ClaimState.UNAVAILABLE, id="its exemption cannot be seen"),
        pytest.param({"residence": {"name": "TANAKA"}}, "UNRESOLVED", id="immigration needs the whole name"),
    ],
)
def test_records_are_joined_only_when_they_agree(changes: dict[str, Any], match: Any) -> None:
    assert told("record_match", facts(**changes)) == match


SILENT: dict[SourceAuthority, dict[str, Any]] = {
    authority: {authority.value.lower(): reply}
    for authority, reply in zip(SourceAuthority, [DOWN, SLOW] * 2, strict=True)
}


@pytest.mark.parametrize("authority", list(SourceAuthority))
@pytest.mark.parametrize("name", sorted(RULE_INPUTS))
def test_a_silent_source_never_makes_a_no(name: str, authority: SourceAuthority) -> None:
    whole, silent = facts(), facts(**SILENT[authority])
    claim = RULE_INPUTS[name].derive(silent)
    assert not claim.is_confirmed or claim.value == RULE_INPUTS[name].derive(whole).value


@pytest.mark.parametrize("name", sorted(RULE_INPUTS))
def test_an_input_looks_only_at_the_sources_that_it_declares(name: str) -> None:
    declared = RULE_INPUTS[name].sources if not RULE_INPUTS[name].over_match_rule else frozenset(SourceAuthority)
    hidden: dict[str, Any] = {a.value.lower(): None for a in SourceAuthority if a not in declared}
    for changes in ({}, {"notices": ()}, {"no_tax_record": True}, {"no_insured": True}, {"identity": EMPLOYED_FALSE}):
        RULE_INPUTS[name].derive(replace(facts(**changes), **hidden))


ARGUMENTS = {"on": date(2027, 3, 31), "yearlyYen": 2_400_000}


@pytest.mark.parametrize("coordinate", sorted(ATTRIBUTES))
def test_an_attribute_looks_only_at_the_sources_that_it_declares(coordinate: str) -> None:
    attribute = ATTRIBUTES[coordinate]
    declared = frozenset(SourceAuthority) if attribute.over_match_rule else attribute.sources
    hidden: dict[str, Any] = {a.value.lower(): None for a in SourceAuthority if a not in declared}
    for changes in ({}, {"notices": ()}, {"no_tax_record": True}, {"no_insured": True}, {"identity": EMPLOYED_FALSE}):
        attribute.claim(replace(facts(**changes), **hidden), ARGUMENTS)


def test_hours_change_nothing_that_a_relying_party_can_reach() -> None:
    student = {"residence_status": "留学", "other_activity": OtherActivity.COMPREHENSIVE}
    within = facts(residence=student, notices=(replace(HIRED, weekly_hours=26),))
    over = facts(residence=student, notices=(replace(HIRED, weekly_hours=34),))
    for attribute in ATTRIBUTES.values():
        if not attribute.person_only:
            assert attribute.claim(within, ARGUMENTS) == attribute.claim(over, ARGUMENTS), attribute.name
    for name, rule_input in RULE_INPUTS.items():
        assert rule_input.derive(within) == rule_input.derive(over), name
    own = ATTRIBUTES["Labor.hoursWithinPermission"]
    assert (own.claim(within, {}).value, own.claim(over, {}).value) == (True, False)
