"""What the tax record means: income, on what it rests, and the standing with resident tax.

Source: Local Tax Act art. 318 (levied at the address of 1 January on last year's income); specification 9.8.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from connectors.interface import SourceAuthority
from connectors.tax.evidence import TaxEvidence, TaxRecord
from resolvers.attribute import Argument, ClaimSource, Freshness, attribute, described
from resolvers.claim import Claim, Quantity, Reason, confirmed, evidence_needed
from resolvers.employment import had_job_throughout, open_jobs
from resolvers.entry import entered_after_levy_day
from resolvers.facts import Facts, derived_once
from resolvers.jobs import Job
from resolvers.linkage import declares_no_work, residence_record, tax_reply
from resolvers.remarks import leaves_out_pay_abroad


class IncomeBand(StrEnum):
    """Yearly income in millions of yen; each band includes its lower bound."""

    LT_1M = "LT_1M"
    M1_2 = "M1_2"
    M2_3 = "M2_3"
    M3_4 = "M3_4"
    M4_6 = "M4_6"
    M6_10 = "M6_10"
    GE_10M = "GE_10M"


class IncomeBasis(StrEnum):
    """On what the income figure rests."""

    TAX_CERT = "TAX_CERT"
    WITHHOLDING = "WITHHOLDING"
    WAGE_ANNUALISED = "WAGE_ANNUALISED"
    CONTRACT_ANNUALISED = "CONTRACT_ANNUALISED"
    PARTIAL = "PARTIAL"
    NONE = "NONE"


class TaxCertificate(StrEnum):
    """Whether a tax certificate exists for the levy year."""

    AVAILABLE = "AVAILABLE"
    NOT_YET_ASSESSED = "NOT_YET_ASSESSED"
    NOT_TAXABLE = "NOT_TAXABLE"
    ELSEWHERE = "ELSEWHERE"


class ResidentTax(StrEnum):
    """The standing with resident tax."""

    CLEAR = "CLEAR"
    NOT_TAXABLE = "NOT_TAXABLE"
    NOT_YET_ASSESSED = "NOT_YET_ASSESSED"
    INSTALMENT_PLAN = "INSTALMENT_PLAN"
    ARREARS = "ARREARS"


class LateCount(StrEnum):
    """How often something was paid late."""

    N0 = "N0"
    N1_2 = "N1_2"
    GE_3 = "GE_3"


@dataclass(frozen=True, slots=True, repr=False)
class Income:
    """Yearly income in yen with its basis; no amount where the certificate leaves pay abroad out."""

    yearly_yen: int | None
    basis: IncomeBasis


COLLECTED = ("特別徴収", "普通徴収")
NOT_TAXED = "非課税"
INSTALMENTS_AGREED = "分納"


@derived_once
def income(facts: Facts) -> Claim[Income]:
    """The income that rules use, in the order of specification 9.8; never wages while the tax source is silent."""
    return tax_reply(facts).then(lambda reply: _income(facts, reply.record))


def _income(facts: Facts, record: TaxRecord | None) -> Claim[Income]:
    if record is not None and leaves_out_pay_abroad(record.remarks):
        return confirmed(Income(None, IncomeBasis.PARTIAL))
    certified = record.salary_income_yen if record is not None else None
    if record is not None and certified is not None:
        whole_year = had_job_throughout(facts, record.income_year)
        if not whole_year.is_confirmed:
            return whole_year.without_value()
        if whole_year.known:
            return confirmed(Income(certified, IncomeBasis.TAX_CERT))
    if declares_no_work(facts.identity) and certified is None:
        return confirmed(Income(0, IncomeBasis.NONE))
    return open_jobs(facts).then(_annualised)


def _annualised(jobs: tuple[Job, ...]) -> Claim[Income]:
    wages = [job.notice.monthly_wage_yen for job in jobs]
    stated = [wage for wage in wages if wage is not None]
    if not stated or len(stated) < len(wages):
        return evidence_needed(Reason.NOT_STATED)
    return confirmed(Income(12 * sum(stated), IncomeBasis.WAGE_ANNUALISED))


def derive_yearly_income_yen(facts: Facts) -> Claim[Quantity]:
    def amount(found: Income) -> Claim[Quantity]:
        if found.yearly_yen is None:
            return evidence_needed(Reason.PARTIAL_OVERSEAS_PAY)
        return confirmed(Quantity(found.yearly_yen))

    return income(facts).then(amount)


def derive_income_meets(facts: Facts, *, yearly_yen: int) -> Claim[bool]:
    return derive_yearly_income_yen(facts).map(lambda found: found.amount >= yearly_yen)


def derive_income_band(facts: Facts) -> Claim[IncomeBand]:
    bands = (
        (10_000_000, IncomeBand.GE_10M),
        (6_000_000, IncomeBand.M6_10),
        (4_000_000, IncomeBand.M4_6),
        (3_000_000, IncomeBand.M3_4),
        (2_000_000, IncomeBand.M2_3),
        (1_000_000, IncomeBand.M1_2),
    )
    return derive_yearly_income_yen(facts).map(
        lambda found: next((band for least, band in bands if found.amount >= least), IncomeBand.LT_1M)
    )


def derive_income_basis(facts: Facts) -> Claim[IncomeBasis]:
    return income(facts).map(lambda found: found.basis)


def derive_certificate(facts: Facts) -> Claim[TaxCertificate]:
    def status(reply: TaxEvidence) -> Claim[TaxCertificate]:
        if reply.record is None:
            return _not_yet_assessed(facts, reply).map(lambda _: TaxCertificate.NOT_YET_ASSESSED)
        if _is_not_taxed(reply.record):
            return confirmed(TaxCertificate.NOT_TAXABLE)
        is_taxed = _is_collected(reply.record)
        return confirmed(TaxCertificate.AVAILABLE) if is_taxed else evidence_needed(Reason.NOT_STATED)

    return tax_reply(facts).then(status)


def derive_resident_tax(facts: Facts) -> Claim[ResidentTax]:
    """The standing; an unpaid amount that is not stated (`＊`) is never read as zero, and who is neither taxed nor
    free of tax (未申告: has declared nothing) has no known one."""

    def standing(reply: TaxEvidence) -> Claim[ResidentTax]:
        record = reply.record
        if record is None:
            return _not_yet_assessed(facts, reply).map(lambda _: ResidentTax.NOT_YET_ASSESSED)
        if _is_not_taxed(record):
            return confirmed(ResidentTax.NOT_TAXABLE)
        if record.unpaid_yen:
            return confirmed(ResidentTax.ARREARS)
        if INSTALMENTS_AGREED in record.collection or INSTALMENTS_AGREED in record.remarks:
            return confirmed(ResidentTax.INSTALMENT_PLAN)
        is_clear = record.unpaid_yen == 0 and _is_collected(record)
        return confirmed(ResidentTax.CLEAR) if is_clear else evidence_needed(Reason.NOT_STATED)

    return tax_reply(facts).then(standing)


def _is_not_taxed(record: TaxRecord) -> bool:
    return record.collection.startswith(NOT_TAXED)


def _is_collected(record: TaxRecord) -> bool:
    """By a way that is known, such as 公的年金特別徴収."""
    return any(way in record.collection for way in (*COLLECTED, INSTALMENTS_AGREED))


def _not_yet_assessed(facts: Facts, reply: TaxEvidence) -> Claim[bool]:
    """Confirmed only if the missing record is right: the person came after 1 January of the levy year."""
    return entered_after_levy_day(residence_record(facts), reply.levy_year, today=facts.today).then(
        lambda is_right: confirmed(True) if is_right else evidence_needed(Reason.RECORD_NOT_FOUND_UNEXPECTED)
    )


def derive_national_tax_clear(facts: Facts) -> Claim[bool]:
    """The national tax office could tell; it is not connected."""
    return evidence_needed(Reason.SOURCE_NOT_CONNECTED)


def derive_resident_tax_paid_late(facts: Facts) -> Claim[LateCount]:
    """The municipality's payment history could tell; it is not connected."""
    return evidence_needed(Reason.SOURCE_NOT_CONNECTED)


_tax = partial(attribute, source=ClaimSource.TAX, fresh=Freshness.F4)
_income_attribute = partial(_tax, also=(SourceAuthority.LABOR, SourceAuthority.INSURANCE))
_standing = partial(_tax, fresh=Freshness.F3, also=(SourceAuthority.IMMIGRATION,))

ATTRIBUTES = (
    _income_attribute(
        "incomeMeets",
        bool,
        derive_income_meets,
        arguments=(Argument("yearlyYen", int, "The yearly income in yen that should be reached."),),
        en="Is the yearly income at least this much?",
        ja="年収はこの額以上ですか。",
    ),
    _income_attribute(
        "income",
        IncomeBand,
        derive_income_band,
        en="In which band is the yearly income?",
        ja="年収はどの範囲ですか。",
    ),
    _income_attribute(
        "incomeBasis",
        IncomeBasis,
        derive_income_basis,
        en="On what does the income figure rest?",
        ja="年収は何に基づいていますか。",
    ),
    _standing(
        "certificate",
        TaxCertificate,
        derive_certificate,
        en="Is there a tax certificate for the levy year?",
        ja="課税年度の証明書はありますか。",
    ),
    _standing(
        "residentTax",
        ResidentTax,
        derive_resident_tax,
        en="What is the standing with resident tax?",
        ja="住民税の納付状況はどうですか。",
    ),
    _standing(
        "nationalTaxClear",
        bool,
        derive_national_tax_clear,
        connected=False,
        en="Has all national tax been paid?",
        ja="国税はすべて納付済みですか。",
    ),
    _standing(
        "residentTaxPaidLate",
        LateCount,
        derive_resident_tax_paid_late,
        person_only=True,
        connected=False,
        en="How often was resident tax paid late in 24 months?",
        ja="過去24か月に住民税の納付が遅れた回数はどのくらいですか。",
    ),
)

described(
    IncomeBand,
    "Yearly income in millions of yen; a band includes its lower bound.",
    LT_1M="Under 1 million yen.",
    M1_2="1 to under 2 million yen.",
    M2_3="2 to under 3 million yen.",
    M3_4="3 to under 4 million yen.",
    M4_6="4 to under 6 million yen.",
    M6_10="6 to under 10 million yen.",
    GE_10M="10 million yen or more.",
)
described(
    IncomeBasis,
    "On what an income figure rests.",
    TAX_CERT="The tax certificate of a whole year.",
    WITHHOLDING="A withholding slip.",
    WAGE_ANNUALISED="Twelve times the monthly wage.",
    CONTRACT_ANNUALISED="Twelve times the wage in a contract.",
    PARTIAL="A certificate that leaves pay abroad out.",
    NONE="No record: the person declares no work.",
)
described(
    TaxCertificate,
    "Whether a tax certificate exists.",
    AVAILABLE="There is one.",
    NOT_YET_ASSESSED="Not yet: the person came after the levy day.",
    NOT_TAXABLE="There is one, and no tax is due.",
    ELSEWHERE="Another municipality holds it.",
)
described(
    ResidentTax,
    "The standing with resident tax.",
    CLEAR="Nothing unpaid.",
    NOT_TAXABLE="No tax is due.",
    NOT_YET_ASSESSED="Not yet assessed: the person came after the levy day.",
    INSTALMENT_PLAN="Instalments are agreed.",
    ARREARS="An amount is recorded as unpaid.",
)
described(
    LateCount,
    "How often something was paid late.",
    N0="Never.",
    N1_2="Once or twice.",
    GE_3="Three times or more.",
)
