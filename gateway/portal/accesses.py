"""Who has asked: every event about a person's information, and what was refused."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.portal.browser import Browser
from gateway.portal.consent_services import ConsentPages, Deciding, carried, wards_beside

ON_A_PAGE = 50


def accesses_routes(given: ConsentPages) -> list[BaseRoute]:
    """The access log, the newest first, so many on a page."""

    async def show(request: Request, browser: Browser, deciding: Deciding) -> Response:
        listed = sorted(await deciding.session.accesses(), key=lambda access: access.entry, reverse=True)
        named = request.query_params.get("page", "1")
        number = max(1, int(named)) if named.isascii() and named.isdigit() and len(named) < 9 else 1
        first = (number - 1) * ON_A_PAGE
        return given.portal.pages.page(
            request,
            "accesses.html",
            browser=browser,
            deciding=deciding,
            wards=await wards_beside(given, deciding),
            accesses=listed[first : first + ON_A_PAGE],
            number=number,
            has_older=len(listed) > first + ON_A_PAGE,
            ending=carried(deciding).replace("?", "&"),
        )

    return [Route("/accesses", given.route(show), methods=["GET"])]
