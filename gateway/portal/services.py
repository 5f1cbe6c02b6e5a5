"""What the portal's pages are given, and what every page has in common: who sits there, and how it refuses."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import PUBLIC_CODES, GatewayError, LinkOverError, RateLimitedError
from gateway.guesses import GuessLimiter
from gateway.identity.provider import IdentityProvider
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.identity.subject import Person
from gateway.portal.browser import SESSION_COOKIE, Browser, Browsers
from gateway.portal.openid import OpenIDProvider
from gateway.portal.page import Pages, sign_in_place, this_place
from gateway.store.guardians import Guardians
from gateway.store.invitations import Invitations
from gateway.store.passkeys import Passkeys
from gateway.store.people import People
from gateway.store.provider_accounts import ProviderAccounts
from gateway.store.sessions import Sessions
from gateway.store.used_once import UsedOnce

_log = structlog.get_logger("kyosei.portal")

Handler = Callable[[Request], Awaitable[Response]]
PageHandler = Callable[[Request, Browser], Awaitable[Response]]
PersonHandler = Callable[[Request, Browser, Person], Awaitable[Response]]
StaffHandler = Callable[[Request, Browser, RelyingParty], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class PortalServices:
    """Everything that pages need. `public_url`: how browsers reach the portal, without a path."""

    browsers: Browsers
    pages: Pages
    people: People
    sessions: Sessions
    passkeys: Passkeys
    invitations: Invitations
    provider_accounts: ProviderAccounts
    guardians: Guardians
    relying_parties: RelyingParties
    guesses: GuessLimiter
    used_once: UsedOnce
    derive: Callable[[str], bytes]
    sandbox: bool
    public_url: str
    now: Callable[[], datetime]
    providers: Mapping[str, tuple[IdentityProvider, OpenIDProvider]] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The public URL's host, without its port: what passkeys are bound to."""
        return urlsplit(self.public_url).hostname or ""


def page_route(given: PortalServices, handler: PageHandler) -> Handler:
    """A route that knows its browser, gives it its cookie, and refuses with a page.

    A page that another site leads to is opened a second time from ours: the first time the browser has kept its
    cookie back. Source: RFC 6265bis section 5.2 (SameSite=Strict).
    """

    async def respond(request: Request) -> Response:
        browser: Browser | None = None
        try:
            if given.sandbox and _is_by_another_name(given, request):
                return given.pages.see_other(given.public_url + this_place(request))
            if _comes_from_elsewhere(request):
                return given.pages.go_on(request, this_place(request))
            browser = await given.browsers.read(request)
            response = await handler(request, browser)
        except HTTPException:
            raise
        except Exception as error:
            response = refused(given, request, browser, error)
        return given.browsers.remember(response, browser) if browser else response

    return respond


def signed_in_person(given: PortalServices, handler: PersonHandler) -> Handler:
    """A route for a signed-in person; everybody else signs in first and comes back."""

    async def respond(request: Request, browser: Browser) -> Response:
        if browser.person is None:
            return given.pages.see_other(sign_in_place(request))
        return await handler(request, browser, browser.person)

    return page_route(given, respond)


def signed_in_staff(given: PortalServices, handler: StaffHandler) -> Handler:
    """A route for a relying party's signed-in staff; everybody else signs in first and comes back."""

    async def respond(request: Request, browser: Browser) -> Response:
        if browser.is_shut_out:
            return shut_out(given.pages, request, browser)
        if browser.staff_of is None:
            return given.pages.see_other(sign_in_place(request))
        return await handler(request, browser, browser.staff_of)

    return page_route(given, respond)


def refused(given: PortalServices, request: Request, browser: Browser | None, error: Exception) -> Response:
    """The page for an error: its public code, or INTERNAL for what nobody expected; and until when to wait."""
    pages = given.pages
    shown: dict[str, Any] = {} if browser is None else {"browser": browser}
    if isinstance(error, GatewayError):
        template = "link_over.html" if isinstance(error, LinkOverError) else "refusal.html"
        if isinstance(error, RateLimitedError):
            return told_to_wait(
                pages.refusal(request, error.code, retry_at=come_back_at(error, given.now()), **shown), error
            )
        response = pages.refusal(request, error.code, template=template, **shown)
        if PUBLIC_CODES[error.code].status == 503:
            response.headers["Retry-After"] = "1"
        return response
    _log.error("page_failed", error=type(error).__name__)
    return pages.refusal(request, "INTERNAL", **shown)


def come_back_at(error: RateLimitedError, now: datetime) -> datetime:
    """When to come back, as a page tells it: the first whole minute at which it is not too early."""
    return (now + timedelta(seconds=error.retry_after_seconds + 59)).replace(second=0, microsecond=0)


def told_to_wait(page: Response, error: RateLimitedError) -> Response:
    page.headers["Retry-After"] = str(error.retry_after_seconds)
    return page


def shut_out(pages: Pages, request: Request, browser: Browser) -> Response:
    """The page for staff whose relying party is suspended: to sign in again would change nothing."""
    return pages.refusal(request, "RELYING_PARTY_SUSPENDED", template="shut_out.html", browser=browser)


def _is_by_another_name(given: PortalServices, request: Request) -> bool:
    """Whether a page was asked for at `localhost` instead of 127.0.0.1, or the reverse: forms work at one alone."""
    named = request.headers.get("host", "")
    is_a_page = request.method == "GET" and "code" not in request.query_params  # no code is carried on
    return is_a_page and bool(named) and named != urlsplit(given.public_url).netloc


def _comes_from_elsewhere(request: Request) -> bool:
    """Whether another site led here and the browser, if it has a cookie, did not send it."""
    return (
        request.method in ("GET", "HEAD")
        and request.headers.get("sec-fetch-site") == "cross-site"
        and SESSION_COOKIE not in request.cookies
    )
