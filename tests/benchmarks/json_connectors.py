"""Connectors to the stub's JSON: what a country whose authorities speak plain JSON would write."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import orjson

from connectors.evidence import Evidence
from connectors.immigration.evidence import ImmigrationEvidence, OtherActivity, ResidenceRecord
from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.interface import Connector, EvidenceRequest, SourceAuthority
from connectors.labor.evidence import EmploymentNotice, LaborEvidence, NoticeKind
from connectors.profile import ConnectorsConfig
from connectors.reply import check_reply
from connectors.restricted import Report
from connectors.tax.evidence import TaxEvidence, TaxRecord
from connectors.transport import Carrier, Transport, WireRequest
from connectors.watch import Watch
from gateway.sources import Sources, reach_source

MAX_BYTES = 64 * 1024
_day = date.fromisoformat
_Read = Callable[[Mapping[str, Any], datetime], Evidence]


def _immigration(told: Mapping[str, Any], at: datetime) -> Evidence:
    record = ResidenceRecord(
        card_number=told["card"],
        card_valid_until=_day(told["stayUntil"]),
        card_revoked=told["revoked"],
        name=told["name"],
        date_of_birth=_day(told["dateOfBirth"]),
        residence_status=told["status"],
        stay_until=_day(told["stayUntil"]),
        landed_on=_day(told["landedOn"]),
        other_activity=OtherActivity.NOT_PERMITTED,
        address=told["address"],
        applications=(),
        designated_organisation=None,
    )
    return ImmigrationEvidence(observed_at=at, as_of=_day(told["asOf"]), record=record)


def _labor(told: Mapping[str, Any], at: datetime) -> Evidence:
    notice = EmploymentNotice(
        kind=NoticeKind.HIRED,
        name=told["name"],
        date_of_birth=_day(told["dateOfBirth"]),
        card_number=told["card"],
        employer_name=told["employer"],
        corporate_number=told["number"],
        hired_on=_day(told["hiredOn"]),
        left_on=None,
        weekly_hours=told["hours"],
        employment_type="正社員",
        monthly_wage_yen=told["wage"],
        employment_insured=True,
        as_of=_day(told["asOf"]),
    )
    return LaborEvidence(observed_at=at, as_of=_day(told["asOf"]), notices=(notice,))


def _tax(told: Mapping[str, Any], at: datetime) -> Evidence:
    record = TaxRecord(
        income_year=told["incomeYear"],
        name=told["name"],
        date_of_birth=_day(told["dateOfBirth"]),
        address=told["address"],
        salary_income_yen=told["salaryIncome"],
        collection=told["collection"],
        unpaid_yen=told["unpaid"],
        remarks="",
        instalments=(),
    )
    return TaxEvidence(observed_at=at, as_of=_day(told["asOf"]), levy_year=told["incomeYear"] + 1, record=record)


def _insurance(told: Mapping[str, Any], at: datetime) -> Evidence:
    record = InsuredRecord(
        name_kana=told["kana"],
        date_of_birth=_day(told["dateOfBirth"]),
        health_scheme=told["scheme"],
        first_month=_day(told["firstMonth"]),
        month_codes=told["months"],
        lost_on=None,
        employer_late_months=(),
    )
    return InsuranceEvidence(observed_at=at, as_of=_day(told["asOf"]), records=(record,))


_READ: Mapping[SourceAuthority, _Read] = {
    SourceAuthority.IMMIGRATION: _immigration,
    SourceAuthority.LABOR: _labor,
    SourceAuthority.TAX: _tax,
    SourceAuthority.INSURANCE: _insurance,
}


class JsonConnector:
    """One authority of the stub."""

    def __init__(self, authority: SourceAuthority, transport: Transport, *, now: Callable[[], datetime]) -> None:
        self.authority = authority
        self._transport = transport
        self._now = now

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> Evidence:
        wire = WireRequest(
            "GET",
            f"/{self.authority.value.lower()}",
            query=(("card", request.identity.residence_card_number),),
            may_be_repeated=True,
        )
        reply = await self._transport.exchange(wire, deadline_seconds=deadline_seconds, max_bytes=MAX_BYTES)
        now = self._now()
        check_reply(reply, now=now)
        return _READ[self.authority](orjson.loads(reply.body), now)

    async def close(self) -> None:
        await self._transport.close()


def make_json_connectors(
    config: ConnectorsConfig,
    sources: Sources,
    *,
    report: Report,
    now: Callable[[], datetime],
    watch: Watch,
    carrier: Carrier = Carrier.HTTPTOOLS,
) -> dict[SourceAuthority, Connector[Evidence]]:
    """As `make_connectors`, to the stub."""
    return {
        authority: JsonConnector(
            authority,
            reach_source(
                sources.base_urls[authority],
                authority,
                config.settings_of(authority),
                now=now,
                watch=watch,
                carrier=carrier,
            ),
            now=now,
        )
        for authority in SourceAuthority
    }
