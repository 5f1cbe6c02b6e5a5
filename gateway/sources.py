"""Where the sources are: one connector for each authority, and the gatherer that asks them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import structlog

from connectors.evidence import Evidence
from connectors.httptools_transport import HttptoolsTransport
from connectors.immigration.client import ImmigrationConnector
from connectors.insurance.client import InsuranceConnector
from connectors.interface import Connector, SourceAuthority
from connectors.labor.client import LaborConnector
from connectors.profile import AuthoritySettings, ConnectorsConfig
from connectors.restricted import Incident, NumberKind, Report
from connectors.standing import StandingTransport
from connectors.tax.client import TaxConnector
from connectors.transport import Carrier, HttpxTransport
from connectors.watch import Watch
from gateway.gather import Gatherer, SourceLimits
from gateway.store.evidence import EvidenceCache
from resolvers.attribute import JST

_log = structlog.get_logger("kyosei")


def today_in_japan() -> date:
    """The domain's day, where no sandbox fixes it."""
    return datetime.now(JST).date()


TRANSPORTS: Mapping[Carrier, type[HttptoolsTransport] | type[HttpxTransport]] = {
    Carrier.HTTPTOOLS: HttptoolsTransport,
    Carrier.HTTPX: HttpxTransport,
}


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the sources are, if not where the configuration says, and the day that their records stand for.

    `connectors`: what makes other connectors than this country's.
    """

    base_urls: Mapping[SourceAuthority, str] = field(default_factory=dict)
    poll_seconds: float | None = None
    today: Callable[[], date] = today_in_japan
    connectors: "MakeConnectors | None" = None


def make_gatherer(
    config: ConnectorsConfig,
    cache: EvidenceCache,
    sources: Sources,
    *,
    deadline_seconds: float,
    now: Callable[[], datetime],
    watch: Watch,
    carrier: Carrier,
) -> Gatherer:
    """The gatherer over every authority's connector."""
    limits = {authority: config.settings_of(authority) for authority in SourceAuthority}
    return Gatherer(
        (sources.connectors or make_connectors)(
            config, sources, report=report_incident, now=now, watch=watch, carrier=carrier
        ),
        cache,
        limits={a: SourceLimits(s.deadline_seconds, s.retry_after_seconds) for a, s in limits.items()},
        deadline_seconds=deadline_seconds,
        now=now,
    )


def report_incident(incident: Incident) -> None:
    """A restricted number was in a reply. It has been dropped; the operator tells the source."""
    kinds = sorted(kind.value for kind in incident.number_kinds)
    severe = NumberKind.MY_NUMBER in incident.number_kinds
    tell = _log.critical if severe else _log.warning
    tell("RESTRICTED_NUMBER_RECEIVED", authority=incident.authority.value, number_kinds=kinds)


def make_connectors(
    config: ConnectorsConfig,
    sources: Sources,
    *,
    report: Report,
    now: Callable[[], datetime],
    watch: Watch,
    carrier: Carrier = Carrier.HTTPTOOLS,
) -> dict[SourceAuthority, Connector[Evidence]]:
    """One connector for each authority. To add a source authority, add a line here.

    `watch`: who is told. `carrier`: by which transport they are reached.
    """

    def given(authority: SourceAuthority) -> dict[str, Any]:
        table = config.settings_of(authority)
        url = sources.base_urls.get(authority, table.base_url)
        return {
            "transport": reach_source(url, authority, table, now=now, watch=watch, carrier=carrier),
            "report": report,
            "now": now,
            "today": sources.today,
            "max_reply_bytes": table.max_reply_bytes,
        }

    tax = given(SourceAuthority.TAX)
    if poll_seconds := sources.poll_seconds or config.usual_poll_seconds():
        tax["poll_seconds"] = poll_seconds
    return {
        SourceAuthority.IMMIGRATION: ImmigrationConnector(**given(SourceAuthority.IMMIGRATION)),
        SourceAuthority.LABOR: LaborConnector(**given(SourceAuthority.LABOR)),
        SourceAuthority.TAX: TaxConnector(**tax),
        SourceAuthority.INSURANCE: InsuranceConnector(**given(SourceAuthority.INSURANCE)),
    }


MakeConnectors = Callable[..., Mapping[SourceAuthority, Connector[Evidence]]]
"""Takes what `make_connectors` takes."""


def reach_source(
    url: str,
    authority: SourceAuthority,
    table: AuthoritySettings,
    *,
    now: Callable[[], datetime],
    watch: Watch,
    carrier: Carrier,
) -> StandingTransport:
    """The way to one authority, with all that stands between a connector and its source."""
    reached = TRANSPORTS[carrier](
        url,
        ca_file=table.ca_file,
        client_certificate_file=table.client_certificate_file,
        client_key_file=table.client_key_file,
        max_connections=table.max_concurrent + 1,  # a probe's, when all others hang
        allow_private=table.allow_private,
    )
    return StandingTransport(
        reached,
        authority,
        watch=watch,
        now=now,
        maintenance=table.maintenance,
        max_concurrent=table.max_concurrent,
    )
