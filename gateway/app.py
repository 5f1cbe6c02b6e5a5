"""The composition root: `open_gateway(settings)` makes a running gateway; its parts are constructed here."""

import fcntl
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from typing import Any

import structlog
from starlette.applications import Starlette
from starlette.routing import Route

from connectors.evidence import Evidence
from connectors.immigration.client import ImmigrationConnector
from connectors.insurance.client import InsuranceConnector
from connectors.interface import Connector, IdentityRecord, SourceAuthority
from connectors.labor.client import LaborConnector
from connectors.profile import ConnectorsConfig
from connectors.restricted import Incident, NumberKind, Report
from connectors.tax.client import TaxConnector
from connectors.transport import HttpxTransport
from gateway.consent.share_code import hmac_sha256
from gateway.consenting import PersonServices
from gateway.errors import ConfigurationError
from gateway.gather import Gatherer, SourceLimits
from gateway.guesses import GuessLimiter
from gateway.http.graphql import GraphQLEndpoint
from gateway.http.health import livez
from gateway.http.response import plain_refusal
from gateway.identity.pairwise import subject_ref
from gateway.identity.relying_party import RelyingParties
from gateway.packs import open_reasoning
from gateway.party import PartyServices
from gateway.pipeline import Services
from gateway.reasoning import Reasoning
from gateway.requesting import Requesting
from gateway.settings import Settings
from gateway.store.answers import Answers
from gateway.store.database import Database, is_sqlite, migrate, open_database
from gateway.store.disclosures import Disclosures
from gateway.store.disputes import Disputes
from gateway.store.envelope import Envelope, read_master_key
from gateway.store.erasure import Erasure
from gateway.store.evidence import BoundedMemoryCache, EvidenceCache
from gateway.store.grants import Grants
from gateway.store.log import AuditLog
from gateway.store.notices import heard_stops
from gateway.store.people import People
from gateway.store.private_file import read_private_file, write_private_file
from gateway.store.requests import Requests
from gateway.store.retention import Retention, swept
from gateway.store.share_codes import ShareCodes
from gateway.store.writer import Writer
from gateway.views import Views
from resolvers.attribute import JST
from resolvers.schema import schema

ENGINE_VERSION = version("kyosei-gateway")

_log = structlog.get_logger("kyosei")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is running: its ASGI app, and the people it can enrol."""

    app: Starlette
    people: People
    gatherer: Gatherer
    writer: Writer
    now: Callable[[], datetime]

    async def enrol(self, identities: Mapping[str, IdentityRecord]) -> None:
        await self.people.enrol(identities, now=self.now())


def utc_now() -> datetime:
    return datetime.now(UTC)


def today_in_japan() -> date:
    """The domain's day, where no sandbox fixes it."""
    return datetime.now(JST).date()


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the sources are, if not where the configuration says, and the day that their records stand for."""

    base_urls: Mapping[SourceAuthority, str] = field(default_factory=dict)
    poll_seconds: float | None = None
    today: Callable[[], date] = today_in_japan


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    sources: Sources | None = None,
    today: Callable[[], date] = today_in_japan,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Gateway]:
    """Build a gateway from settings and run it while the context lasts.

    `today`: the domain's calendar; everything else runs on `now`. Raises ConfigurationError for anything
    that forbids to start.
    """
    with _state(settings):
        envelope = Envelope(read_master_key(settings.state / "keys" / "master.key"))
        await migrate(settings.database_url)
        database = open_database(settings.database_url)
        writer = Writer(database.writing)
        writer.start()
        try:
            reasoning = await open_reasoning(
                settings.rule_packs, settings.gateway.rules, writer, purposes=settings.purposes, today=today, now=now
            )
            gatherer = _gatherer(settings, envelope, sources or Sources(), now)
            guesses = GuessLimiter(settings.gateway.limits.storage_url)
            try:
                stores = _stores(database, writer, envelope, guesses)
                retention = Retention(writer, probing_window=settings.gateway.probing.limits().window)
                async with heard_stops(database, gatherer.cancel), swept(retention, now):
                    yield _assemble(settings, stores, gatherer, reasoning, now)
            finally:
                await gatherer.close()
                await guesses.close()
        finally:
            await writer.close()
            await database.close()


@dataclass(frozen=True, slots=True)
class _Stores:
    """Everything that is kept."""

    database: Database
    writer: Writer
    envelope: Envelope
    log: AuditLog
    people: People
    grants: Grants
    disclosures: Disclosures
    disputes: Disputes
    answers: Answers
    requests: Requests
    share_codes: ShareCodes
    erasure: Erasure
    guesses: GuessLimiter


def _stores(database: Database, writer: Writer, envelope: Envelope, guesses: GuessLimiter) -> _Stores:
    reading = database.reading
    log = AuditLog(reading, envelope, engine_version=ENGINE_VERSION)
    people = People(reading, writer, envelope, log)
    grants = Grants(reading, writer=writer, envelope=envelope, people=people, log=log)
    disclosures = Disclosures(reading, envelope)
    return _Stores(
        database=database,
        writer=writer,
        envelope=envelope,
        log=log,
        people=people,
        grants=grants,
        disclosures=disclosures,
        disputes=Disputes(reading, writer=writer, envelope=envelope, log=log),
        answers=Answers(reading, writer=writer, envelope=envelope, grants=grants, disclosures=disclosures, log=log),
        requests=Requests(reading, writer=writer, envelope=envelope, grants=grants, log=log),
        share_codes=ShareCodes(reading, writer=writer, grants=grants, log=log),
        erasure=Erasure(database, writer=writer, people=people, log=log),
        guesses=guesses,
    )


def _assemble(
    settings: Settings, stores: _Stores, gatherer: Gatherer, reasoning: Reasoning, now: Callable[[], datetime]
) -> Gateway:
    services = Services(
        grants=stores.grants,
        answers=stores.answers,
        disclosures=stores.disclosures,
        disputes=stores.disputes,
        gatherer=gatherer,
        reasoning=reasoning,
        purposes=settings.purposes,
        engine_version=ENGINE_VERSION,
        now=now,
    )
    is_sandbox = settings.gateway.sandbox.enabled
    keys = read_sandbox_keys(settings) if is_sandbox else {}
    parties = RelyingParties(settings.relying_parties, sandbox_keys=keys)
    pairwise = stores.envelope.derive("pairwise")
    person_services, party_services = _actions(settings, stores, services, parties)
    endpoint = GraphQLEndpoint(
        services,
        person_services,
        party_services,
        schema=schema,
        people=stores.people,
        relying_parties=parties,
        ref_of=lambda sector, person_id: subject_ref(pairwise, sector=sector, person_id=person_id),
        sandbox=is_sandbox,
    )
    app = Starlette(
        routes=[Route("/graphql", endpoint), Route("/livez", livez, methods=["GET"])],
        exception_handlers={
            404: plain_refusal("NOT_FOUND"),
            405: plain_refusal("METHOD_NOT_ALLOWED"),
            500: plain_refusal("INTERNAL"),
        },
    )
    app.router.redirect_slashes = False  # a redirect would repeat the caller's Host header
    return Gateway(app, stores.people, gatherer, stores.writer, now)


def _actions(
    settings: Settings, stores: _Stores, services: Services, parties: RelyingParties
) -> tuple[PersonServices, PartyServices]:
    """What people and what relying parties do besides asking."""
    requesting = Requesting(
        schema=schema._schema,  # the graphql-core schema behind Strawberry's: the planner walks it
        relying_parties=parties,
        purposes=settings.purposes,
        reasoning=services.reasoning,
        limits=settings.gateway.probing.limits(),
        open_for=timedelta(minutes=settings.gateway.consent.request_open_minutes),
    )
    keyed = hmac_sha256(stores.envelope.derive("share code"))
    person_services = PersonServices(
        services=services,
        log=stores.log,
        relying_parties=parties,
        requesting=requesting,
        requests=stores.requests,
        share_codes=stores.share_codes,
        erasure=stores.erasure,
        views=Views(parties, services.reasoning, services.now),
        privacy_notice=settings.gateway.consent.privacy_notice,
        keyed=keyed,
    )
    party_services = PartyServices(
        requesting=requesting,
        requests=stores.requests,
        share_codes=stores.share_codes,
        guesses=stores.guesses,
        keyed=keyed,
        usable_packs=lambda: services.reasoning.usable_packs,
        now=services.now,
    )
    return person_services, party_services


def _gatherer(settings: Settings, envelope: Envelope, sources: Sources, now: Callable[[], datetime]) -> Gatherer:
    config = settings.connectors
    cache = BoundedMemoryCache(max_entries=settings.gateway.evidence.max_entries)
    limits = {authority: config.settings_of(authority) for authority in SourceAuthority}
    return Gatherer(
        make_connectors(config, sources, report=report_incident, now=now),
        EvidenceCache(cache, envelope),
        limits={a: SourceLimits(s.deadline_seconds, s.retry_after_seconds) for a, s in limits.items()},
        deadline_seconds=settings.gateway.query.deadline_seconds,
        now=now,
    )


def report_incident(incident: Incident) -> None:
    """A restricted number was in a reply. It has been dropped; the operator tells the source."""
    kinds = sorted(kind.value for kind in incident.number_kinds)
    severe = NumberKind.MY_NUMBER in incident.number_kinds
    tell = _log.critical if severe else _log.warning
    tell("RESTRICTED_NUMBER_RECEIVED", authority=incident.authority.value, number_kinds=kinds)


def read_sandbox_keys(settings: Settings) -> dict[str, str]:
    """The relying parties' bearer keys in the sandbox: random, per state directory, in a file of mode 0600."""
    path = settings.state / "keys" / "sandbox_keys.json"
    keys: dict[str, str] = json.loads(read_private_file(path)) if path.exists() else {}
    missing = [party.id for party in settings.relying_parties if party.id not in keys]
    if missing:
        keys |= {party_id: f"sk_{secrets.token_urlsafe(32)}" for party_id in missing}
        write_private_file(path, json.dumps(keys, indent=1).encode(), mode=0o600)
    return keys


def make_connectors(
    config: ConnectorsConfig, sources: Sources, *, report: Report, now: Callable[[], datetime]
) -> dict[SourceAuthority, Connector[Evidence]]:
    """One connector for each authority. To add a source authority, add a line here."""

    def given(authority: SourceAuthority) -> dict[str, Any]:
        table = config.settings_of(authority)
        url = sources.base_urls.get(authority, table.base_url)
        return {
            "transport": HttpxTransport(url, ca_file=table.ca_file),
            "report": report,
            "now": now,
            "today": sources.today,
            "max_reply_bytes": table.max_reply_bytes,
        }

    tax = given(SourceAuthority.TAX)
    if poll_seconds := sources.poll_seconds or config.settings_of(SourceAuthority.TAX).poll_seconds:
        tax["poll_seconds"] = poll_seconds
    return {
        SourceAuthority.IMMIGRATION: ImmigrationConnector(**given(SourceAuthority.IMMIGRATION)),
        SourceAuthority.LABOR: LaborConnector(**given(SourceAuthority.LABOR)),
        SourceAuthority.TAX: TaxConnector(**tax),
        SourceAuthority.INSURANCE: InsuranceConnector(**given(SourceAuthority.INSURANCE)),
    }


@contextmanager
def _state(settings: Settings) -> Iterator[None]:
    """The state directory. SQLite means one gateway process: it is held while that runs.

    Raises ConfigurationError if another process holds it.
    """
    settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not is_sqlite(settings.database_url):
        yield
        return
    with (settings.state / "gateway.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError("state directory: another gateway process is using it") from error
        yield
