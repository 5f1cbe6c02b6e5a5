"""The composition root: `open_gateway(settings)` makes a running gateway; its parts are constructed here."""

import fcntl
import json
import secrets
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import insert, select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
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
from gateway.errors import PUBLIC_CODES, ConfigurationError
from gateway.gather import Gatherer, SourceLimits
from gateway.http.graphql import GraphQLEndpoint
from gateway.http.health import livez
from gateway.http.request import SAFE_HEADERS
from gateway.identity.relying_party import RelyingParties
from gateway.person import PersonServices
from gateway.pipeline import Services
from gateway.reasoning import Reasoning
from gateway.settings import Settings
from gateway.store.answers import Answers
from gateway.store.database import Database, migrate, open_database, sqlite_url
from gateway.store.envelope import Envelope, read_master_key
from gateway.store.evidence import BoundedMemoryCache, EvidenceCache
from gateway.store.grants import Grants
from gateway.store.log import AuditLog
from gateway.store.people import People
from gateway.store.private_file import read_private_file, write_private_file
from gateway.store.tables import rule_pack
from gateway.store.writer import Writer
from resolvers.attribute import JST
from resolvers.catalogue import DECISIONS
from resolvers.errors import RulePackError
from resolvers.inputs import RULE_INPUTS
from resolvers.rule_pack import load_rule_pack
from resolvers.rules import RulePack
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
    with _state_lock(settings.state):
        envelope = Envelope(read_master_key(settings.state / "keys" / "master.key"))
        url = sqlite_url(settings.state / "kyosei.sqlite")
        migrate(url)
        database = open_database(url)
        writer = Writer(database.writing)
        writer.start()
        gatherer: Gatherer | None = None
        try:
            packs, current = await _keep_packs(settings, database, writer, now)
            withdrawn = frozenset(settings.gateway.rules.withdrawn)
            reasoning = Reasoning(packs, current=current, withdrawn=withdrawn, today=today)
            gatherer = _gatherer(settings, envelope, sources or Sources(), now)
            yield _assemble(settings, database, writer, envelope, gatherer, reasoning, now)
        finally:
            if gatherer is not None:
                await gatherer.close()
            await writer.close()
            await database.close()


def _assemble(
    settings: Settings,
    database: Database,
    writer: Writer,
    envelope: Envelope,
    gatherer: Gatherer,
    reasoning: Reasoning,
    now: Callable[[], datetime],
) -> Gateway:
    reading = database.reading
    log = AuditLog(reading, envelope, engine_version=ENGINE_VERSION)
    people = People(reading, writer, envelope)
    grants = Grants(reading, writer=writer, envelope=envelope, people=people, log=log)
    answers = Answers(reading, writer=writer, envelope=envelope, grants=grants, log=log)
    services = Services(grants, answers, gatherer, reasoning, ENGINE_VERSION, now)
    is_sandbox = settings.gateway.sandbox.enabled
    keys = read_sandbox_keys(settings) if is_sandbox else {}
    parties = RelyingParties(settings.relying_parties, sandbox_keys=keys)
    people_services = PersonServices(
        services=services,
        log=log,
        relying_parties=parties,
        purposes=settings.purposes,
        schema=schema._schema,  # the graphql-core schema behind Strawberry's: the planner walks it
        request_open=timedelta(minutes=settings.gateway.consent.request_open_minutes),
    )
    endpoint = GraphQLEndpoint(
        services, people_services, schema=schema, people=people, relying_parties=parties, sandbox=is_sandbox
    )
    app = Starlette(
        routes=[Route("/graphql", endpoint), Route("/livez", livez, methods=["GET"])],
        exception_handlers={404: _plain("NOT_FOUND"), 405: _plain("METHOD_NOT_ALLOWED"), 500: _plain("INTERNAL")},
    )
    app.router.redirect_slashes = False  # a redirect would repeat the caller's Host header
    return Gateway(app, people, gatherer, writer, now)


def _plain(code: str) -> Callable[[Request, Exception], JSONResponse]:
    """A refusal outside /graphql, from the same table of codes."""
    row = PUBLIC_CODES[code]

    def respond(request: Request, error: Exception) -> JSONResponse:
        told = {"code": row.code, "retryable": row.retryable, "requestId": str(uuid.uuid4())}
        body = {"errors": [{"message": row.text, "extensions": told}]}
        headers = {**SAFE_HEADERS, **(getattr(error, "headers", None) or {})}  # a 405 says what is allowed
        return JSONResponse(body, status_code=row.status, headers=headers)

    return respond


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


async def _keep_packs(
    settings: Settings, database: Database, writer: Writer, now: Callable[[], datetime]
) -> tuple[dict[str, RulePack], str]:
    """Every pack that is configured or was ever pinned, by SHA-256, and the current one's."""
    configured = {name: _load_pack(name, body) for name, body in settings.rule_packs.items()}
    bodies = {pack.sha256: settings.rule_packs[name] for name, pack in configured.items()}
    current = configured.get(settings.gateway.rules.current)
    if current is None:
        raise ConfigurationError("rules.current: there is no such pack in config/rules")
    if current.sha256 in settings.gateway.rules.withdrawn:
        raise ConfigurationError("rules.withdrawn: the current pack is withdrawn")
    async with database.reading.connect() as connection:
        kept = {row.sha256: row.body for row in await connection.execute(select(rule_pack))}
    rows = [{"sha256": s, "body": b, "added_at": now()} for s, b in bodies.items() if s not in kept]
    if rows:
        await writer.write(lambda connection: connection.execute(insert(rule_pack), rows))
    packs = {pack.sha256: pack for pack in configured.values()}
    for sha256, body in kept.items():
        if sha256 not in packs:
            packs[sha256] = _load_pack(sha256, body)
    for purpose in settings.purposes:
        if purpose.value not in current.purposes:
            raise ConfigurationError(f"rules.current: the pack has no section for {purpose.value}")
    return packs, current.sha256


def _load_pack(name: str, body: bytes) -> RulePack:
    kinds = {name: rule_input.kind for name, rule_input in RULE_INPUTS.items()}
    try:
        pack = load_rule_pack(body, input_kinds=kinds)
    except RulePackError as error:
        raise ConfigurationError(f"rule pack {name}: {error}") from error
    for field_ in DECISIONS.values():
        rules = pack.purposes.get(field_.purpose.value)
        if rules is not None and set(rules.arguments) != {argument.name for argument in field_.arguments}:
            raise ConfigurationError(f"rule pack {name}: {field_.purpose.value}: arguments")
        if rules is not None and SourceAuthority.IMMIGRATION not in rules.match_over:
            raise ConfigurationError(f"rule pack {name}: {field_.purpose.value}: match_over needs IMMIGRATION")
    return pack


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
def _state_lock(state: Path) -> Iterator[None]:
    """SQLite means one gateway process: the state directory is held while it runs.

    Raises ConfigurationError if another process holds it.
    """
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / "gateway.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError("state directory: another gateway process is using it") from error
        yield
