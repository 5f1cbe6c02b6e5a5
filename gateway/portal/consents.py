"""My consents: where each stands, what it lets be asked, and how it is taken back."""

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.errors import RequestError
from gateway.portal.browser import Browser
from gateway.portal.consent_services import ConsentPages, Deciding, carried, own_consent, place_after, wards_beside

ACTIONS = ("revoke", "pause", "resume", "renew", "reject")
_VALID_DAYS = 7


def consents_routes(given: ConsentPages) -> list[BaseRoute]:
    pages = _Consents(given)
    return [
        Route("/consents", given.route(pages.show_all), methods=["GET"]),
        Route("/consents/{id}", given.route(pages.show), methods=["GET"]),
        Route("/consents/{id}/share-code", given.route(pages.make_share_code), methods=["POST"]),
        Route("/consents/{id}/{action}", given.route(pages.change), methods=["POST"]),
    ]


class _Consents:
    """Pages over one's own grants, and one's wards'."""

    def __init__(self, given: ConsentPages) -> None:
        self._given = given

    async def show_all(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """All consents, the newest first."""
        done = request.query_params.get("done", "")
        return self._given.portal.pages.page(
            request,
            "consents.html",
            browser=browser,
            deciding=deciding,
            grants=sorted(await deciding.session.grants(), key=lambda one: one.requested_at, reverse=True),
            wards=await wards_beside(self._given, deciding),
            done=done if done in ACTIONS else "",
            ending=carried(deciding),
        )

    async def show(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        grant = await own_consent(deciding, request.path_params["id"])
        return self._given.portal.pages.page(
            request, "consent.html", browser=browser, grant=grant, deciding=deciding, ending=carried(deciding)
        )

    async def make_share_code(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """A code to say or print: it is shown once."""
        await self._given.portal.browsers.read_form(request, browser)
        grant = await own_consent(deciding, request.path_params["id"])
        code = await deciding.session.make_share_code(str(grant.id), valid_days=_VALID_DAYS)
        return self._given.portal.pages.page(
            request,
            "share_code.html",
            browser=browser,
            grant=grant,
            deciding=deciding,
            code=code,
            qr=Markup(code.qr_svg),  # noqa: S704  drawn by segno from a code of ours
            ending=carried(deciding),
        )

    async def change(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """Take back, pause, resume, renew or decline. When this returns, it holds."""
        await self._given.portal.browsers.read_form(request, browser)
        action = request.path_params["action"]
        if action not in ACTIONS:
            raise RequestError("action", code="NOT_FOUND")
        grant = await own_consent(deciding, request.path_params["id"])
        await getattr(deciding.session, action)(str(grant.id))
        return self._given.portal.pages.see_other(place_after("/consents", deciding, done=action))
