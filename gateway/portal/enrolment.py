"""Enrolment by a code from the counter: the code and the date of birth, once. A passkey alone enrols nobody.

Wrong guesses are counted for each code and by nothing else: the 80 random bits cannot be guessed, but who has found
somebody's paper may try dates of birth. Nobody else's code is touched by that, so nobody can lock others out.
"""

from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.consent.invitation_code import InvitationCode, invitation_digest, read_invitation_code
from gateway.consent.share_code import hmac_sha256
from gateway.portal.browser import Browser
from gateway.portal.page import safe_next
from gateway.portal.services import PortalServices, page_route
from gateway.store.sessions import SignedIn
from resolvers.day import read_day


def enrolment_routes(given: PortalServices) -> list[BaseRoute]:
    pages = _Enrolment(given)
    return [
        Route("/enrol", page_route(given, pages.show), methods=["GET"]),
        Route("/enrol", page_route(given, pages.enrol), methods=["POST"]),
    ]


class _Enrolment:
    """The page that takes a code."""

    def __init__(self, given: PortalServices) -> None:
        self._given = given
        self._keyed = hmac_sha256(given.derive("invitation guess"))

    async def show(
        self, request: Request, browser: Browser, *, is_refused: bool = False, place: str | None = None
    ) -> Response:
        if "code" in request.query_params:
            raise HTTPException(404)  # an address is kept in histories and logs
        status = 422 if is_refused else 200
        return self._given.pages.page(
            request,
            "enrol.html",
            status=status,
            browser=browser,
            is_refused=is_refused,
            next=safe_next(place or request.query_params.get("next")),
        )

    async def enrol(self, request: Request, browser: Browser) -> Response:
        """Sign in whom the code was for. Wrong, expired and used codes lead to one page."""
        form = await self._given.browsers.read_form(request, browser)
        code = read_invitation_code(form.one("code"))
        born = form.one("born_on").strip()
        who = await self._accepted(code, born) if code else None
        if who is None:
            return await self.show(request, browser, is_refused=True, place=form.one("next"))
        place = safe_next(form.one("next"))
        response = self._given.pages.see_other(
            "/passkeys" + ("" if place == "/" else f"?{urlencode({'next': place})}")
        )
        await self._given.browsers.sign_in(response, browser, who)
        return response

    async def _accepted(self, code: InvitationCode, born: str) -> SignedIn | None:
        """Raises RateLimitedError after too many wrong dates with one code."""
        guesser = invitation_digest(code, None, keyed=self._keyed)
        async with self._given.guesses.guess(f"invitation:{guesser}") as guess:
            born_on = read_day(born)
            who = None
            if born_on is not None or not born:
                who = await self._given.invitations.accept(code, born_on, now=self._given.now())
            guess.was_wrong = who is None
            return who
