"""The portal as a whole: what its pages are given, and the routes about who somebody is."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import datetime

from starlette.routing import BaseRoute

from gateway.guesses import GuessLimiter
from gateway.identity.provider import IdentityProvider
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.portal.accesses import accesses_routes
from gateway.portal.beginning import beginning_routes
from gateway.portal.browser import Browsers
from gateway.portal.check_code import check_code_routes
from gateway.portal.consent_screen import consent_screen_routes
from gateway.portal.consent_services import ConsentPages
from gateway.portal.consents import consents_routes
from gateway.portal.disputes import disputes_routes
from gateway.portal.enrolment import enrolment_routes
from gateway.portal.holdings import holdings_routes
from gateway.portal.openid import OpenIDProvider
from gateway.portal.page import Pages
from gateway.portal.passkeys import passkey_routes
from gateway.portal.provider_sign_in import callback_uri, provider_routes
from gateway.portal.records import records_routes
from gateway.portal.rendering import Renderer
from gateway.portal.services import PortalServices
from gateway.portal.sign_in import sign_in_routes
from gateway.stores import Stores


def portal_routes(given: PortalServices) -> list[BaseRoute]:
    """The routes about who somebody is; those about consents are added beside them."""
    return [*sign_in_routes(given), *passkey_routes(given), *enrolment_routes(given), *provider_routes(given)]


def consent_routes(given: ConsentPages) -> list[BaseRoute]:
    """The routes about consents, and about what is held and told of a person."""
    return [
        *consent_screen_routes(given),
        *beginning_routes(given),  # /consents/new is no consent of this id
        *consents_routes(given),
        *accesses_routes(given),
        *records_routes(given),
        *disputes_routes(given),
        *holdings_routes(given),
        *check_code_routes(given),
    ]


@asynccontextmanager
async def open_portal(
    stores: Stores,
    *,
    guesses: GuessLimiter,
    providers: Iterable[IdentityProvider],
    sandbox: bool,
    public_url: str,
    now: Callable[[], datetime],
) -> AsyncIterator[PortalServices]:
    """What the pages need, while the context lasts. `public_url`: an origin, without a path."""
    spoken = {
        provider.id: (provider, OpenIDProvider(provider, redirect_uri=callback_uri(public_url, provider.id), now=now))
        for provider in providers
    }
    try:
        yield PortalServices(
            browsers=_browsers(stores, public_url, now),
            pages=Pages(Renderer(), is_https=public_url.startswith("https:")),
            people=stores.people,
            sessions=stores.sessions,
            passkeys=stores.passkeys,
            invitations=stores.invitations,
            provider_accounts=stores.provider_accounts,
            guardians=stores.guardians,
            relying_parties=stores.relying_parties,
            guesses=guesses,
            used_once=stores.used_once,
            derive=stores.envelope.derive,
            sandbox=sandbox,
            public_url=public_url,
            now=now,
            providers=spoken,
        )
    finally:
        for _, openid in spoken.values():
            await openid.close()


def _browsers(stores: Stores, public_url: str, now: Callable[[], datetime]) -> Browsers:
    return Browsers(
        stores.sessions,
        csrf_key=stores.envelope.derive("csrf"),
        origin=public_url,
        find_person=stores.people.find,
        find_party=lambda party_id: _active(stores.relying_parties, party_id),
        now=now,
    )


def _active(parties: RelyingParties, party_id: str) -> RelyingParty | None:
    found = parties.find(party_id)
    return found if found and not found.is_suspended else None
