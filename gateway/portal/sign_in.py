"""Signing in and out, the language, and the start page."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.errors import AuthenticationError
from gateway.portal.browser import Browser, remember_language
from gateway.portal.fresh_sign_in import FRESH_MINUTES
from gateway.portal.language import checked_language
from gateway.portal.page import safe_next
from gateway.portal.services import Handler, PortalServices, page_route
from gateway.store.sessions import SignedIn

STATIC = {
    "style.css": "text/css; charset=utf-8",
    "passkey.js": "text/javascript; charset=utf-8",
}
_STATIC_FOLDER = Path(__file__).parent / "static"


def sign_in_routes(given: PortalServices) -> list[BaseRoute]:
    pages = _SignIn(given)
    routes: list[BaseRoute] = [
        Route("/", page_route(given, pages.start), methods=["GET"]),
        Route("/sign-in", page_route(given, pages.show), methods=["GET"]),
        Route("/sign-out", page_route(given, pages.sign_out), methods=["POST"]),
        Route("/language/{language}", page_route(given, pages.choose_language), methods=["GET"]),
        Route("/static/{name}", _static(given), methods=["GET"]),
    ]
    if given.sandbox:
        routes.append(Route("/sign-in/sandbox", page_route(given, pages.in_sandbox), methods=["POST"]))
    return routes


class _SignIn:
    """The pages about who sits there."""

    def __init__(self, given: PortalServices) -> None:
        self._given = given

    async def start(self, request: Request, browser: Browser) -> Response:
        """Lead everybody to where they begin. Raises HTTPException for an address that carries something."""
        if request.url.query:
            raise HTTPException(404)  # a code, perhaps: an address is kept in histories and logs
        if browser.person is not None:
            return self._given.pages.see_other("/consents")
        is_staff = browser.staff_of is not None or browser.is_shut_out
        return self._given.pages.see_other("/check-code" if is_staff else "/sign-in")

    async def show(self, request: Request, browser: Browser) -> Response:
        """The ways to sign in."""
        parties = [party for party in self._given.relying_parties.all() if not party.is_suspended]
        return self._given.pages.page(
            request,
            "sign_in.html",
            browser=browser,
            next=safe_next(request.query_params.get("next")),
            because=request.query_params.get("because"),
            fresh_minutes=FRESH_MINUTES,
            providers=[provider for provider, _ in self._given.providers.values()],
            sandbox=self._given.sandbox,
            people=await self._given.people.all() if self._given.sandbox else [],
            parties=parties if self._given.sandbox else [],
        )

    async def in_sandbox(self, request: Request, browser: Browser) -> Response:
        """Sign in as anybody of the sandbox. Raises AuthenticationError where there is nobody of that name."""
        form = await self._given.browsers.read_form(request, browser)
        person_id, party_id = form.one("person"), form.one("staff_of")
        if party_id:
            who = SignedIn(relying_party_id=self._given.relying_parties.active(party_id).id)
        elif await self._given.people.find(person_id) is not None:
            who = SignedIn(person_id=person_id)
        else:
            raise AuthenticationError("person")
        response = self._given.pages.see_other(safe_next(form.one("next")))
        await self._given.browsers.sign_in(response, browser, who)
        return response

    async def sign_out(self, request: Request, browser: Browser) -> Response:
        await self._given.browsers.read_form(request, browser)
        response = self._given.pages.see_other("/sign-in")
        await self._given.browsers.sign_out(response, browser)
        return response

    async def choose_language(self, request: Request, browser: Browser) -> Response:
        """Remember in which language this browser reads. Raises HTTPException for another one."""
        language = checked_language(request.path_params["language"])
        response = self._given.pages.see_other(safe_next(request.query_params.get("next")))
        remember_language(response, language)
        return response


def _static(given: PortalServices) -> Handler:
    """The stylesheet and the script."""
    bodies = {name: (_STATIC_FOLDER / name).read_bytes() for name in STATIC}

    async def respond(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in bodies:
            raise HTTPException(404)
        headers = given.pages.headers() | {"Cache-Control": "no-cache", "Content-Type": STATIC[name]}
        return Response(bodies[name], headers=headers)

    return respond
