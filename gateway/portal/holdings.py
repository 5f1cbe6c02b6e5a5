"""All that this gateway holds about a person: taken along as a file, or erased."""

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.portal.browser import Browser
from gateway.portal.consent_services import ConsentPages, Deciding, carried, wards_beside
from gateway.portal.fresh_sign_in import (
    FRESH_MINUTES,
    Because,
    has_to_sign_in_again,
    is_of_no_known_time,
    sign_in_again_place,
)


def holdings_routes(given: ConsentPages) -> list[BaseRoute]:
    pages = _Holdings(given)
    return [
        Route("/my-data", given.route(pages.show), methods=["GET"]),
        Route("/my-data/export", given.route(pages.export), methods=["POST"]),
        Route("/my-data/erase", given.route(pages.erase), methods=["POST"]),
    ]


class _Holdings:
    """Pages over everything of one's own, and of one's wards."""

    def __init__(self, given: ConsentPages) -> None:
        self._given = given

    async def show(
        self, request: Request, browser: Browser, deciding: Deciding, *, is_wrong_name: bool = False
    ) -> Response:
        return self._given.portal.pages.page(
            request,
            "my_data.html",
            status=422 if is_wrong_name else 200,
            browser=browser,
            deciding=deciding,
            wards=await wards_beside(self._given, deciding),
            is_wrong_name=is_wrong_name,
            sign_in_again=self._sign_in_again(browser, deciding),
            fresh_minutes=FRESH_MINUTES,
            is_of_no_known_time=is_of_no_known_time(browser),
            ending=carried(deciding),
        )

    async def export(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """The file. No cache keeps it, a browser saves it instead of showing it, no link elsewhere leads to it."""
        await self._given.portal.browsers.read_form(request, browser)
        body = orjson.dumps(await deciding.session.export(), option=orjson.OPT_INDENT_2)
        name = f"kyosei-{self._given.today().isoformat()}.json"
        headers = self._given.portal.pages.headers() | {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(body, media_type="application/json", headers=headers)

    async def erase(self, request: Request, browser: Browser, deciding: Deciding) -> Response:
        """Erase the person, who is signed out by it; a guardian who erases a ward stays.

        Whoever sits at a browser where somebody else signed in long ago erases nobody.
        """
        form = await self._given.portal.browsers.read_form(request, browser)
        sign_in_again = self._sign_in_again(browser, deciding)
        if sign_in_again is not None:
            return self._given.portal.pages.see_other(sign_in_again)
        name = form.one("name")
        if not deciding.session.is_name(name):
            return await self.show(request, browser, deciding, is_wrong_name=True)
        erasure = await deciding.session.erase(name=name)
        pages = self._given.portal.pages
        if deciding.guardian:
            return pages.page(request, "erased.html", browser=browser, erasure=erasure, deciding=deciding)
        response = pages.page(request, "erased.html", erasure=erasure, deciding=deciding)
        await self._given.portal.browsers.sign_out(response, browser)
        return response

    def _sign_in_again(self, browser: Browser, deciding: Deciding) -> str | None:
        """Where whoever wants to erase has to go first; None where they signed in just now."""
        if not has_to_sign_in_again(self._given.portal, browser):
            return None
        return sign_in_again_place(f"/my-data{carried(deciding)}", because=Because.ERASURE)
