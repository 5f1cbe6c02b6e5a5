"""The consent screen: who asks what and why, what they would learn today, and the person's yes or no."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.errors import ConsentRequestError, RequestError
from gateway.identity.subject import Person
from gateway.portal.browser import Browser, Form
from gateway.portal.consent_services import ConsentPages, Deciding, carried, own_consent, place_after
from gateway.portal.services import signed_in_person
from resolvers.consent import ConsentPreview
from resolvers.subject import GrantStatus


def consent_screen_routes(given: ConsentPages) -> list[BaseRoute]:
    screens = _Screens(given)
    portal = given.portal
    return [
        Route("/authorizations/{handle}", signed_in_person(portal, screens.show_authorization), methods=["GET"]),
        Route("/authorizations/{handle}", given.route(screens.decide_authorization), methods=["POST"]),
        Route("/requests/{id}", signed_in_person(portal, screens.open_request), methods=["GET"]),
        Route("/consents/{id}/decide", given.route(screens.show), methods=["GET"]),
        Route("/consents/{id}/decide", given.route(screens.decide), methods=["POST"]),
    ]


class _Screens:
    """The screen, whichever way a request came."""

    def __init__(self, given: ConsentPages) -> None:
        self._given = given

    async def show_authorization(self, request: Request, browser: Browser, person: Person) -> Response:
        """A request that came by OAuth; who has wards says first for whom it is."""
        deciding = await self._for_whom(request, person)
        if deciding is None:
            return await self._choice(request, browser, person)
        opened = await self._given.authorizations.open(request.path_params["handle"], deciding.session)
        return self._screen(request, browser, deciding, opened.preview, redirect_origin=opened.redirect_origin)

    async def open_request(self, request: Request, browser: Browser, person: Person) -> Response:
        """A request that a relying party made; opened once, then it is one of the person's own."""
        deciding = await self._for_whom(request, person)
        if deciding is None:
            return await self._choice(request, browser, person)
        preview = await deciding.session.open_request(request.path_params["id"])
        return self._given.portal.pages.see_other(f"/consents/{preview.id}/decide{carried(deciding)}")

    async def _for_whom(self, request: Request, person: Person) -> Deciding | None:
        """None where it has to be asked."""
        named = request.query_params.get("for")
        if named is None and await self._given.wards_of(person):
            return None
        return await self._given.deciding(person, named or "")

    async def _choice(self, request: Request, browser: Browser, person: Person) -> Response:
        choices = [person, *await self._given.wards_of(person)]
        return self._given.portal.pages.page(request, "choose_for.html", browser=browser, choices=choices)

    async def show(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """A request of one's own that waits for its decision; once decided, what became of it."""
        grant = await own_consent(deciding, request.path_params["id"])
        if grant.status is not GrantStatus.PENDING:
            return self._given.portal.pages.see_other(f"/consents/{grant.id}{carried(deciding)}")
        preview = await deciding.session.pending(str(grant.id))
        origin = await self._given.authorizations.origin_behind(str(grant.id))
        return self._screen(request, browser, deciding, preview, redirect_origin=origin)

    def _screen(
        self,
        request: Request,
        browser: Browser,
        deciding: Deciding,
        preview: ConsentPreview,
        *,
        redirect_origin: str | None = None,
        shares_nothing: bool = False,
    ) -> Response:
        asker = preview.relying_party
        return self._given.portal.pages.page(
            request,
            "consent_screen.html",
            status=422 if shares_nothing else 200,
            form_action=_followed_to(redirect_origin),
            shares_nothing=shares_nothing,
            browser=browser,
            deciding=deciding,
            preview=preview,
            party=self._given.portal.relying_parties.find(str(asker.id)) if asker else None,
            action=request.url.path + carried(deciding),
        )

    async def decide_authorization(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        form = await self._given.portal.browsers.read_form(request, browser)
        handle, flow = request.path_params["handle"], self._given.authorizations
        if _is_yes(form, deciding):
            opened = await flow.open(handle, deciding.session)
            left_out = _left_out(form, opened.preview)
            if len(left_out) == len(opened.preview.questions):
                origin = opened.redirect_origin
                return self._screen(
                    request, browser, deciding, opened.preview, redirect_origin=origin, shares_nothing=True
                )
            place = await flow.grant(handle, deciding.session, leave_out=left_out)
        else:
            place = await flow.decline(handle, deciding.session)
        return self._given.portal.pages.see_other(place)

    async def decide(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """Grant or decline one's own; the token is shown once, unless its relying party waits for a code."""
        flow = self._given.authorizations
        form = await self._given.portal.browsers.read_form(request, browser)
        grant = await own_consent(deciding, request.path_params["id"])
        if grant.status is not GrantStatus.PENDING:  # sent once more, or from another tab
            return self._given.portal.pages.see_other(f"/consents/{grant.id}{carried(deciding)}")
        grant_id = str(grant.id)
        if not _is_yes(form, deciding):
            if place := await flow.decide_behind(grant_id, deciding.session, leave_out=None):
                return self._given.portal.pages.see_other(place)
            await deciding.session.reject(grant_id)
            return self._given.portal.pages.see_other(place_after("/consents", deciding, done="reject"))
        preview = await deciding.session.pending(grant_id)
        left_out = _left_out(form, preview)
        if len(left_out) == len(preview.questions):
            origin = await flow.origin_behind(grant_id)
            return self._screen(request, browser, deciding, preview, redirect_origin=origin, shares_nothing=True)
        if place := await flow.decide_behind(grant_id, deciding.session, leave_out=left_out):
            return self._given.portal.pages.see_other(place)
        granted = await deciding.session.grant(grant_id, leave_out=left_out)
        return self._given.portal.pages.page(
            request, "granted.html", browser=browser, deciding=deciding, granted=granted, ending=carried(deciding)
        )


def _followed_to(origin: str | None) -> str | None:
    """Where else the form may lead: to the relying party, and wherever its site leads on to from there.

    Browsers hold `form-action` against every redirect that follows. Source: CSP level 3 section 6.4.1.
    """
    return f"{origin} {urlsplit(origin).scheme}:" if origin else None


def _is_yes(form: Form, deciding: Deciding) -> bool:
    """Raises RequestError for neither yes nor no; ConsentRequestError for a minor's own yes."""
    decision = form.one("decision")
    if decision not in ("grant", "decline"):
        raise RequestError("decision")
    if decision == "grant" and deciding.needs_guardian:
        raise ConsentRequestError("guardian")
    return decision == "grant"


def _left_out(form: Form, preview: ConsentPreview) -> list[str]:
    """The optional questions that are not ticked."""
    shared = form.all("share")
    return [one.question for one in preview.questions if one.may_leave_out and one.question not in shared]
