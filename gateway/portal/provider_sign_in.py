"""Signing in with an identity provider; who is not known yet is enrolled by what it verified, or not at all."""

import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.errors import AuthenticationError
from gateway.identity.provider import IdentityProvider, verified_identity
from gateway.portal.browser import Browser
from gateway.portal.fresh_sign_in import LONG_AGO
from gateway.portal.openid import OpenIDProvider
from gateway.portal.page import safe_next
from gateway.portal.services import PortalServices, page_route
from gateway.store.sessions import SignedIn

STATE_COOKIE = "__Host-kyosei-sign-in"
STATE_SECONDS = 600
_KEPT = "begun"


def callback_uri(public_url: str, provider_id: str) -> str:
    """Where a provider leads back to, exactly. Source: RFC 9700 section 2.1."""
    return f"{public_url}/sign-in/provider/{provider_id}/callback"


def provider_routes(given: PortalServices) -> list[BaseRoute]:
    if not given.providers:
        return []
    pages = _ProviderSignIn(given)
    kept = [
        Middleware(
            SessionMiddleware,
            secret_key=given.derive("sign-in state").hex(),
            session_cookie=STATE_COOKIE,
            max_age=STATE_SECONDS,
            same_site="lax",  # the provider leads back by a redirect from its own site
            https_only=True,
        )
    ]
    begin, back = page_route(given, pages.begin), page_route(given, pages.come_back)
    return [
        Route("/sign-in/provider/{provider}", begin, methods=["POST"], middleware=kept),
        Route("/sign-in/provider/{provider}/callback", back, methods=["GET"], middleware=kept),
    ]


class _ProviderSignIn:
    """Leaving to a provider, and coming back."""

    def __init__(self, given: PortalServices) -> None:
        self._given = given

    async def begin(self, request: Request, browser: Browser) -> Response:
        """Lead on to the provider by a page: a form may not be redirected to another site."""
        form = await self._given.browsers.read_form(request, browser)
        provider, openid = self._provider(request)
        started = await openid.start(again=browser.is_signed_in)
        request.session[_KEPT] = {
            "provider": provider.id,
            "state": started.state,
            "nonce": started.nonce,
            "verifier": started.verifier,
            "next": safe_next(form.one("next")),
        }
        return self._given.pages.go_on(request, started.url)

    async def come_back(self, request: Request, browser: Browser) -> Response:
        """Sign in whom the provider vouches for. Raises AuthenticationError (CSRF_FAILED) for an unasked answer."""
        provider, openid = self._provider(request)
        begun: Mapping[str, Any] = request.session.pop(_KEPT, {})
        state = request.query_params.get("state", "")
        if begun.get("provider") != provider.id or not hmac.compare_digest(
            state.encode(), str(begun.get("state")).encode()
        ):
            raise AuthenticationError("state", code="CSRF_FAILED")
        claims = await openid.finish(request.query_params, nonce=begun["nonce"], verifier=begun["verifier"])
        person_id = await self._person_of(provider, claims)
        if person_id is None:
            return self._given.pages.page(request, "not_enrolled.html", status=403, browser=browser)
        response = self._given.pages.go_on(request, safe_next(begun["next"]))
        signed_in_at = _signed_in_at(claims, now=self._given.now())
        await self._given.browsers.sign_in(
            response, browser, SignedIn(person_id=person_id), signed_in_at=signed_in_at
        )
        return response

    async def _person_of(self, provider: IdentityProvider, claims: Mapping[str, Any]) -> str | None:
        """The person an account is bound to, or is bound to now by verified claims."""
        accounts, subject = self._given.provider_accounts, claims["sub"]
        known = await accounts.find(provider.issuer, subject)
        if known is not None:
            return known
        verified = verified_identity(provider, claims)
        if verified is None:
            return None
        return await accounts.bind(provider.issuer, subject, verified, now=self._given.now())

    def _provider(self, request: Request) -> tuple[IdentityProvider, OpenIDProvider]:
        found = self._given.providers.get(request.path_params["provider"])
        if found is None:
            raise HTTPException(404)
        return found


def _signed_in_at(claims: Mapping[str, Any], *, now: datetime) -> datetime:
    """When the person last showed the provider who they are: long ago, where it does not say."""
    told = claims.get("auth_time")
    if not isinstance(told, int | float) or not told > 0:
        return LONG_AGO
    return datetime.fromtimestamp(min(told, now.timestamp()), UTC)
