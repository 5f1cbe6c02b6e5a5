"""The composition root: `open_gateway(settings)` makes a running gateway; its parts are constructed here."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import structlog
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from connectors.interface import IdentityRecord
from gateway.authentication import PartyAuthentication
from gateway.authorizing import Authorizations, AuthorizationServices
from gateway.consent.share_code import hmac_sha256
from gateway.consenting import PersonServices
from gateway.gather import Gatherer
from gateway.guesses import GuessLimiter
from gateway.http.graphql import GraphQLEndpoint
from gateway.http.health import livez
from gateway.http.oauth import OAuthEndpoints, OAuthServices
from gateway.http.response import plain_refusal
from gateway.identity.access_token import AccessTokens
from gateway.identity.dpop import Nonces
from gateway.identity.pairwise import subject_ref
from gateway.opening import opened_stores
from gateway.operator import Operator, listening_operator
from gateway.packs import open_reasoning
from gateway.party import PartyServices
from gateway.party_keys import PartyKeys
from gateway.pipeline import Services
from gateway.portal.authorize import authorize_routes
from gateway.portal.consent_services import ConsentPages
from gateway.portal.services import PortalServices
from gateway.portal.site import consent_routes, open_portal, portal_routes
from gateway.reasoning import Reasoning
from gateway.requesting import Requesting
from gateway.settings import Settings
from gateway.sources import Sources, make_gatherer, today_in_japan
from gateway.store.database import Database
from gateway.store.evidence import BoundedMemoryCache, EvidenceCache
from gateway.store.notices import heard_stops
from gateway.store.retention import Retention, swept
from gateway.store.writer import Writer
from gateway.stores import ENGINE_VERSION, Stores
from gateway.views import Views
from resolvers.schema import schema

REREAD_SECONDS = 2.0
"""How often a process reads what others may have changed: keys and relying parties. Less than a new key waits."""

_log = structlog.get_logger("kyosei")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is running: its ASGI app, and what it keeps."""

    app: Starlette
    stores: Stores
    gatherer: Gatherer
    writer: Writer
    operator: Operator
    now: Callable[[], datetime]

    async def enrol(self, identities: Mapping[str, IdentityRecord]) -> None:
        await self.stores.people.enrol(identities, now=self.now())


def utc_now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    listens_on: str | None = None,
    sources: Sources | None = None,
    today: Callable[[], date] = today_in_japan,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Gateway]:
    """Build a gateway from settings and run it while the context lasts.

    `listens_on`: the URL it is served at, which is its public one unless that is configured. `today`: the domain's
    calendar; everything else runs on `now`. Raises ConfigurationError for anything that forbids to start.
    """
    async with AsyncExitStack() as stack:
        database, writer, stores = await stack.enter_async_context(opened_stores(settings, now))
        reasoning = await open_reasoning(
            settings.rule_packs, settings.gateway.rules, writer, purposes=settings.purposes, today=today, now=now
        )
        gatherer = _gatherer(settings, stores, sources or Sources(), now)
        stack.push_async_callback(gatherer.close)
        guesses = GuessLimiter(settings.gateway.limits.storage_url)
        stack.push_async_callback(guesses.close)
        await stores.signing_keys.make_first(now())
        operator = Operator(stores, now=now, today=today, url=listens_on)
        await stack.enter_async_context(_in_the_background(settings, database, writer, stores, gatherer, operator))
        services = _services(settings, stores, gatherer, reasoning, now)
        public_url = settings.public_url(listens_on)
        portal = await stack.enter_async_context(
            open_portal(
                stores,
                guesses=guesses,
                providers=settings.identity_providers,
                sandbox=settings.gateway.sandbox.enabled,
                public_url=public_url,
                now=now,
            )
        )
        app = _assemble(settings, stores, services, guesses, portal=portal)
        yield Gateway(app, stores, gatherer, writer, operator, now)


@asynccontextmanager
async def _in_the_background(
    settings: Settings, database: Database, writer: Writer, stores: Stores, gatherer: Gatherer, operator: Operator
) -> AsyncIterator[None]:
    """While the context lasts: stop what another process ended, sweep what is over, hear the operator."""
    retention = Retention(writer, probing_window=settings.gateway.probing.limits().window)
    changes = listening_operator(settings.state, operator) if database.is_sqlite else _reread(stores)
    async with heard_stops(database, gatherer.cancel), swept(retention, operator.now), changes:
        yield


def _gatherer(settings: Settings, stores: Stores, sources: Sources, now: Callable[[], datetime]) -> Gatherer:
    cache = EvidenceCache(BoundedMemoryCache(max_entries=settings.gateway.evidence.max_entries), stores.envelope)
    deadline_seconds = settings.gateway.query.deadline_seconds
    return make_gatherer(settings.connectors, cache, sources, deadline_seconds=deadline_seconds, now=now)


def _services(
    settings: Settings, stores: Stores, gatherer: Gatherer, reasoning: Reasoning, now: Callable[[], datetime]
) -> Services:
    return Services(
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


@asynccontextmanager
async def open_operator(settings: Settings, *, now: Callable[[], datetime] = utc_now) -> AsyncIterator[Operator]:
    """An operator over the stores alone. Raises ConfigurationError while a gateway runs on the same SQLite."""
    async with opened_stores(settings, now) as (_, _, stores):
        yield Operator(stores, now=now, today=today_in_japan)


@asynccontextmanager
async def _reread(stores: Stores) -> AsyncIterator[None]:
    """While the context lasts, read again and again what another process may have changed."""

    async def reread() -> None:
        while True:
            await asyncio.sleep(REREAD_SECONDS)
            try:
                await stores.signing_keys.load()
                await stores.registrations.load()
            except Exception as error:
                _log.error("reread_failed", error=type(error).__name__)

    rereading = asyncio.create_task(reread(), name="reread")
    try:
        yield
    finally:
        rereading.cancel()
        await asyncio.gather(rereading, return_exceptions=True)


def _assemble(
    settings: Settings, stores: Stores, services: Services, guesses: GuessLimiter, *, portal: PortalServices
) -> Starlette:
    """Everything that is asked over HTTP."""
    requesting = Requesting(
        schema=schema._schema,  # the graphql-core schema behind Strawberry's: the planner walks it
        relying_parties=stores.relying_parties,
        purposes=settings.purposes,
        reasoning=services.reasoning,
        limits=settings.gateway.probing.limits(),
        open_for=timedelta(minutes=settings.gateway.consent.request_open_minutes),
    )
    person_services, party_services = _actions(settings, stores, services, requesting, guesses)
    oauth = _oauth(stores, services, requesting, portal.public_url)
    pages = ConsentPages(portal, person_services, party_services, oauth.authorizations, services.reasoning.today)
    endpoint = _endpoint(settings, stores, services, person_services, party_services, oauth)
    routes: list[BaseRoute] = [
        Route("/graphql", endpoint),
        Route("/livez", livez, methods=["GET"]),
        *OAuthEndpoints(oauth).routes(),
        *portal_routes(portal),
        *authorize_routes(portal, oauth.authorizations),
        *consent_routes(pages),
    ]
    app = Starlette(
        routes=routes,
        exception_handlers={
            404: plain_refusal("NOT_FOUND"),
            405: plain_refusal("METHOD_NOT_ALLOWED"),
            500: plain_refusal("INTERNAL"),
        },
    )
    app.router.redirect_slashes = False  # a redirect would repeat the caller's Host header
    return app


def _endpoint(
    settings: Settings,
    stores: Stores,
    services: Services,
    person_services: PersonServices,
    party_services: PartyServices,
    oauth: OAuthServices,
) -> GraphQLEndpoint:
    pairwise = stores.envelope.derive("pairwise")
    return GraphQLEndpoint(
        services,
        person_services,
        party_services,
        schema=schema,
        people=stores.people,
        relying_parties=stores.relying_parties,
        authentication=oauth.authentication,
        url=f"{oauth.issuer}/graphql",
        guardians=stores.guardians,
        ref_of=lambda sector, person_id: subject_ref(pairwise, sector=sector, person_id=person_id),
        sandbox=settings.gateway.sandbox.enabled,
    )


def _oauth(stores: Stores, services: Services, requesting: Requesting, public_url: str) -> OAuthServices:
    """Relying parties as OAuth clients."""
    access_tokens = AccessTokens(issuer=public_url, keys=stores.signing_keys.known)
    authentication = PartyAuthentication(
        stores.relying_parties,
        party_keys=PartyKeys(),
        access_tokens=access_tokens,
        nonces=Nonces(stores.envelope.derive("dpop nonce")),
        used_once=stores.used_once,
        issuer=public_url,
        now=services.now,
    )
    flow = AuthorizationServices(
        requesting=requesting,
        reasoning=services.reasoning,
        requests=stores.requests,
        pushed=stores.pushed,
        grants=stores.grants,
        gatherer=services.gatherer,
        issuer=public_url,
        endpoint=f"{public_url}/graphql",
        now=services.now,
    )
    return OAuthServices(
        authentication=authentication,
        authorizations=Authorizations(flow),
        access_tokens=access_tokens,
        signing_keys=stores.signing_keys.known,
        issuer=public_url,
        now=services.now,
    )


def _actions(
    settings: Settings, stores: Stores, services: Services, requesting: Requesting, guesses: GuessLimiter
) -> tuple[PersonServices, PartyServices]:
    """What people and what relying parties do besides asking."""
    keyed = hmac_sha256(stores.envelope.derive("share code"))
    person_services = PersonServices(
        services=services,
        log=stores.log,
        relying_parties=stores.relying_parties,
        requesting=requesting,
        requests=stores.requests,
        share_codes=stores.share_codes,
        erasure=stores.erasure,
        views=Views(stores.relying_parties, services.reasoning, services.now),
        privacy_notice=settings.gateway.consent.privacy_notice,
        keyed=keyed,
    )
    party_services = PartyServices(
        requesting=requesting,
        requests=stores.requests,
        share_codes=stores.share_codes,
        guesses=guesses,
        keyed=keyed,
        usable_packs=lambda: services.reasoning.usable_packs,
        now=services.now,
    )
    return person_services, party_services
