"""What is asked over HTTP, put together: the endpoints, pages and probes of one gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gateway.admission import Lane
from gateway.authentication import PartyAuthentication
from gateway.authorizing import Authorizations, AuthorizationServices
from gateway.charging import Charging
from gateway.consent.share_code import hmac_sha256
from gateway.consenting import PersonServices
from gateway.developer.explorer import explorer_routes
from gateway.developer.reference import reference_routes
from gateway.documents import Documents
from gateway.guesses import GuessLimiter
from gateway.http.admitting import Admitting, Doorkeeper, Lanes
from gateway.http.answering import Answering, Deadlines
from gateway.http.connection import Draining
from gateway.http.dispatch import GatewayApp
from gateway.http.graphql import GraphQLEndpoint, GraphQLServices
from gateway.http.health import Health
from gateway.http.oauth import OAuthEndpoints, OAuthServices
from gateway.http.observing import NoRoom, Observing
from gateway.identity.access_token import AccessTokens
from gateway.identity.dpop import Nonces
from gateway.identity.pairwise import subject_ref
from gateway.metrics import Metrics
from gateway.party import PartyServices
from gateway.party_keys import PartyKeys
from gateway.pipeline import Services
from gateway.portal.authorize import authorize_routes
from gateway.portal.consent_services import ConsentPages
from gateway.portal.services import PortalServices
from gateway.portal.site import consent_routes, portal_routes
from gateway.rates import RateLimits
from gateway.requesting import Requesting
from gateway.settings import Settings
from gateway.settings_parts import LaneSettings
from gateway.store.database import Database
from gateway.store.tables import log_head
from gateway.store.writer import Writer
from gateway.stores import Stores
from gateway.views import Views
from gateway.weighing import LIMITS
from resolvers.schema import schema

READ_SECONDS = 0.5
"""How long the database may take to show that it is there."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a gateway's HTTP side is put together from."""

    settings: Settings
    database: Database
    writer: Writer
    stores: Stores
    services: Services
    guesses: GuessLimiter
    rates: RateLimits
    metrics: Metrics
    portal: PortalServices
    draining: Draining


def assemble(parts: Parts) -> tuple[GatewayApp, Doorkeeper]:
    """Everything that is asked over HTTP, and who refuses at the door what there is no room for."""
    settings, stores, services = parts.settings, parts.stores, parts.services
    requesting = Requesting(
        schema=schema._schema,  # the graphql-core schema behind Strawberry's: the planner walks it
        relying_parties=stores.relying_parties,
        purposes=settings.purposes,
        reasoning=services.reasoning,
        limits=settings.gateway.probing.limits(),
        open_for=timedelta(minutes=settings.gateway.consent.request_open_minutes),
    )
    person_services, party_services = _actions(settings, stores, services, requesting, parts.guesses)
    oauth = _oauth(parts, requesting)
    charging = Charging(parts.rates, services.reasoning, settings.gateway.cost.tariff(), parts.metrics)
    pages = ConsentPages(
        parts.portal, person_services, party_services, oauth.authorizations, charging, services.reasoning.today
    )
    lanes = _lanes(parts)
    routes: list[BaseRoute] = [
        *_health(parts, lanes).routes(),
        *OAuthEndpoints(oauth).routes(),
        *portal_routes(parts.portal),
        *authorize_routes(parts.portal, oauth.authorizations),
        *consent_routes(pages),
    ]
    if settings.gateway.sandbox.enabled:
        routes += [
            *explorer_routes(),
            *reference_routes(schema._schema, settings.purposes.values(), LIMITS),
        ]
    no_room, sandbox = NoRoom(), settings.gateway.sandbox.enabled
    doorkeeper = Doorkeeper(lanes.relying_parties, metrics=parts.metrics, no_room=no_room, sandbox=sandbox)

    def around(app: ASGIApp) -> ASGIApp:
        admitting = Admitting(app, lanes=lanes, sandbox=sandbox)
        return Observing(admitting, metrics=parts.metrics, no_room=no_room)

    graphql = _endpoint(parts, person_services, party_services, oauth, charging)
    return GatewayApp(graphql, routes, around, page=parts.portal.pages.refusal), doorkeeper


def _health(parts: Parts, lanes: Lanes) -> Health:
    metrics_from = parts.settings.gateway.operations.metrics_from
    return Health(parts.metrics, unready=_unready(parts, lanes.relying_parties), metrics_from=metrics_from)


def _lanes(parts: Parts) -> Lanes:
    admission = parts.settings.gateway.admission
    return Lanes(
        relying_parties=_lane(parts, "relying_parties", admission.relying_parties),
        people=_lane(parts, "people", admission.people),
        revocations=_lane(parts, "revocations", admission.revocations),
    )


def _lane(parts: Parts, name: str, settings: LaneSettings) -> Lane:
    """A lane that is shown to the operator under this name."""
    lane = Lane(settings.bounds(), in_flight=parts.settings.gateway.admission.in_flight)
    parts.metrics.watch_lane(name, busy=lambda: lane.busy, waiting=lambda: lane.waiting)
    return lane


def _unready(parts: Parts, lane: Lane) -> Callable[[], Awaitable[str | None]]:
    """Why this process should not be asked now."""

    async def unready() -> str | None:
        if parts.draining.has_begun:
            return "draining"
        if parts.writer.broken.is_set():
            return "the record is broken"
        if lane.is_crammed:
            return "no room"
        try:
            async with asyncio.timeout(READ_SECONDS), parts.database.reading.connect() as connection:
                await connection.execute(select(log_head.c.size))
        except Exception:  # whatever it is, the record cannot be read
            return "the database does not answer"
        return None

    return unready


def _endpoint(
    parts: Parts,
    person_services: PersonServices,
    party_services: PartyServices,
    oauth: OAuthServices,
    charging: Charging,
) -> GraphQLEndpoint:
    settings, stores, services = parts.settings.gateway, parts.stores, parts.services
    pairwise = stores.envelope.derive("pairwise")
    documents = Documents(schema._schema, stores.trusted_documents, sandbox=settings.sandbox.enabled)
    answering = Answering(
        services,
        documents,
        charging=charging,
        relying_parties=stores.relying_parties,
        metrics=parts.metrics,
        deadlines=Deadlines(settings.query.deadline_seconds, settings.query.longest_seconds),
        ref_of=lambda sector, person_id: subject_ref(pairwise, sector=sector, person_id=person_id),
    )
    return GraphQLEndpoint(
        GraphQLServices(
            schema=schema,
            documents=documents,
            answering=answering,
            people=stores.people,
            guardians=stores.guardians,
            relying_parties=stores.relying_parties,
            authentication=oauth.authentication,
            person_services=person_services,
            party_services=party_services,
            rates=parts.rates,
            today=services.reasoning.today,
            url=f"{oauth.issuer}/graphql",
            trusted_hops=settings.server.trusted_hops,
            sandbox=settings.sandbox.enabled,
        )
    )


def _oauth(parts: Parts, requesting: Requesting) -> OAuthServices:
    """Relying parties as OAuth clients."""
    stores, services, public_url = parts.stores, parts.services, parts.portal.public_url
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
        trusted_documents=stores.trusted_documents,
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
        rates=parts.rates,
        trusted_hops=parts.settings.gateway.server.trusted_hops,
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
        confirmations=stores.confirmations,
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
        trusted_documents=stores.trusted_documents,
        keyed=keyed,
        usable_packs=lambda: services.reasoning.usable_packs,
        now=services.now,
    )
    return person_services, party_services
