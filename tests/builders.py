"""A person and their records, in order on 20 November 2026: change one thing, which is the point of the test."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any  # any field of a record may be the one that a test changes; claims hold any value

from connectors.immigration.evidence import Application, ImmigrationEvidence, OtherActivity, ResidenceRecord
from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.interface import BindingLevel, DeclaredEmployment, IdentityRecord, SourceAuthority
from connectors.labor.evidence import EmploymentNotice, LaborEvidence, NoticeKind
from connectors.tax.evidence import TaxEvidence, TaxRecord
from resolvers.claim import Claim, ClaimState, Quantity, Reason
from resolvers.facts import Absent, Arrived, Facts

TODAY = date(2026, 11, 20)
OBSERVED_AT = datetime(2026, 11, 20, 1, tzinfo=UTC)
RETRY_AT = OBSERVED_AT + timedelta(seconds=15)

DOWN = Absent(ClaimState.UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, RETRY_AT)
SLOW = Absent(ClaimState.PENDING, Reason.SOURCE_PENDING, RETRY_AT)
SOMEBODY_ELSES = Absent(ClaimState.EVIDENCE_NEEDED, Reason.IDENTITY_UNRESOLVED)

EMPLOYED = DeclaredEmployment(employed=True, employer="株式会社あたらしい", started_on=date(2026, 11, 2))
NOT_EMPLOYED = DeclaredEmployment(employed=False)

EMPLOYER, OTHER_EMPLOYER, THIRD_EMPLOYER = "6999901000002", "5999901000003", "7999901000001"

_IDENTITY = IdentityRecord(
    name="TANAKA MARIA",
    names_kana=("タナカ マリア",),
    alias=None,
    date_of_birth=date(1990, 4, 5),
    residence_card_number="ZZ00000001ZZ",
    card_expiry_on=date(2028, 4, 12),
    address_given="東京都江東区亀戸1-2-3",
    tax_municipality="東京都江東区",
    identity_binding_level=BindingLevel.IC_VERIFIED,
)
_RESIDENCE = ResidenceRecord(
    card_number="ZZ00000001ZZ",
    card_valid_until=date(2028, 4, 12),
    card_revoked=False,
    name="TANAKA MARIA",
    date_of_birth=date(1990, 4, 5),
    residence_status="技術・人文知識・国際業務",
    stay_until=date(2028, 4, 12),
    landed_on=date(2020, 4, 10),
    other_activity=OtherActivity.NOT_PERMITTED,
    address="東京都江東区亀戸１丁目２番３号",
    applications=(),
    designated_organisation=None,
)
_NOTICE = EmploymentNotice(
    kind=NoticeKind.HIRED,
    name="TANAKA MARIA",
    date_of_birth=date(1990, 4, 5),
    card_number="ZZ00000001ZZ",
    employer_name="株式会社サンプル",
    corporate_number=EMPLOYER,
    hired_on=date(2022, 7, 1),
    left_on=None,
    weekly_hours=40,
    employment_type="無期",
    monthly_wage_yen=250_000,
    employment_insured=True,
    as_of=date(2026, 10, 31),
)
_TAX = TaxRecord(
    income_year=2025,
    name="ＴＡＮＡＫＡ　ＭＡＲＩＡ",
    date_of_birth=date(1990, 4, 5),
    address="東京都江東区亀戸１丁目２番３号",
    salary_income_yen=3_600_000,
    collection="特別徴収",
    unpaid_yen=0,
    remarks="",
    instalments=(),
)
_INSURED = InsuredRecord(
    name_kana="ﾀﾅｶ ﾏﾘｱ",
    date_of_birth=date(1990, 4, 5),
    health_scheme="協会けんぽ",
    first_month=date(2024, 11, 1),
    month_codes="2" * 23 + "-",
    lost_on=None,
    employer_late_months=(),
)


def an_identity(**changes: Any) -> IdentityRecord:
    return replace(_IDENTITY, **changes)


def a_residence_record(**changes: Any) -> ResidenceRecord:
    """An engineer's stay until April 2028, entered in April 2020."""
    return replace(_RESIDENCE, **changes)


def an_application(
    received_on: date | None = date(2026, 10, 5), kind: str = "在留期間更新", result: str = ""
) -> Application:
    """An application to extend the stay, filed in time and still being examined."""
    return Application(kind=kind, received_on=received_on, result=result)


def an_expired_stay(*applications: Application, **changes: Any) -> ResidenceRecord:
    """A stay whose period ended on 31 October 2026."""
    return a_residence_record(**{"stay_until": date(2026, 10, 31), "applications": applications} | changes)


def a_notice(**changes: Any) -> EmploymentNotice:
    """A hiring on 1 July 2022, at 250,000 yen a month."""
    return replace(_NOTICE, **changes)


def a_leaving(left_on: date, **changes: Any) -> EmploymentNotice:
    """The end of the same job."""
    return a_notice(**{"kind": NoticeKind.LEFT, "left_on": left_on} | changes)


def a_tax_record(**changes: Any) -> TaxRecord:
    """A certificate over 3,600,000 yen for 2025, nothing unpaid."""
    return replace(_TAX, **changes)


def an_insured_record(**changes: Any) -> InsuredRecord:
    """Employees' pension from November 2024 on; the last of the 24 months is not yet due."""
    return replace(_INSURED, **changes)


def month_codes(last: str, *, before: str = "2") -> str:
    """24 month codes: `last` stands before the month that is not yet due, `before` fills the months ahead of it."""
    return before * (23 - len(last)) + last + "-"


def facts_of(
    *,
    identity: IdentityRecord | None = None,
    residence: ResidenceRecord | Absent | None = _RESIDENCE,
    notices: tuple[EmploymentNotice, ...] | Absent = (_NOTICE,),
    tax: TaxRecord | Absent | None = _TAX,
    insured: tuple[InsuredRecord, ...] | Absent = (_INSURED,),
    today: date = TODAY,
    match_over: tuple[SourceAuthority, ...] = tuple(SourceAuthority),
    consent_until: date | None = None,
) -> Facts:
    """What the four authorities replied. None: no such card, or 該当なし; an Absent: no reply."""
    return Facts(
        today=today,
        identity=identity or _IDENTITY,
        immigration=residence
        if isinstance(residence, Absent)
        else Arrived(ImmigrationEvidence(OBSERVED_AT, None, residence)),
        labor=notices if isinstance(notices, Absent) else Arrived(LaborEvidence(OBSERVED_AT, None, notices)),
        tax=tax if isinstance(tax, Absent) else Arrived(TaxEvidence(OBSERVED_AT, None, 2026, tax)),
        insurance=insured if isinstance(insured, Absent) else Arrived(InsuranceEvidence(OBSERVED_AT, None, insured)),
        match_over=match_over,
        consent_until=consent_until,
    )


def facts_of_someone_born(on: date, **changes: Any) -> Facts:
    """The default person with another birth date, on which all records agree."""
    born: dict[str, Any] = {"date_of_birth": on}
    records: dict[str, Any] = {
        "identity": an_identity(**born),
        "residence": a_residence_record(**born),
        "notices": (a_notice(**born),),
        "tax": a_tax_record(**born),
        "insured": (an_insured_record(**born),),
    }
    return facts_of(**records | changes)


def reply_field(authority: SourceAuthority) -> str:
    """The field of `Facts` that holds an authority's reply."""
    return authority.value.lower()


def with_reply(facts: Facts, authority: SourceAuthority, reply: Absent | None) -> Facts:
    """The same facts, but one authority is silent, or (None) was not asked."""
    changes: dict[str, Any] = {reply_field(authority): reply}
    return replace(facts, **changes)


def asked_only(facts: Facts, sources: frozenset[SourceAuthority]) -> Facts:
    """The same facts, but only these sources were asked: looking at another one is a LookupError."""
    for authority in frozenset(SourceAuthority) - sources:
        facts = with_reply(facts, authority, None)
    return facts


def told(claim: Claim[Any]) -> Any:
    """A confirmed value as a test writes it, else the state with the reason. A lower bound is `24 or more`."""
    if not claim.is_confirmed:
        return (claim.state, claim.reason)
    if isinstance(claim.value, Quantity):
        return f"{claim.value.amount} or more" if claim.value.is_lower_bound else claim.value.amount
    return claim.value


def needs_evidence(reason: Reason) -> tuple[ClaimState, Reason]:
    """What `told` gives for a claim that the sources cannot settle."""
    return (ClaimState.EVIDENCE_NEEDED, reason)


def does_not_apply(reason: Reason) -> tuple[ClaimState, Reason]:
    """What `told` gives for a claim that does not apply."""
    return (ClaimState.NOT_APPLICABLE, reason)


IS_DOWN = (ClaimState.UNAVAILABLE, Reason.SOURCE_UNAVAILABLE)
IS_SLOW = (ClaimState.PENDING, Reason.SOURCE_PENDING)
