"""Where a relying party sends a person's browser with a request that it has pushed (RFC 9126 section 4)."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from gateway.authorizing import Authorizations
from gateway.portal.browser import Browser
from gateway.portal.services import PortalServices, page_route


def authorize_routes(given: PortalServices, authorizations: Authorizations) -> list[BaseRoute]:
    """The authorization endpoint. Only a pushed request is taken; what else stands in the URL is not read."""

    async def authorize(request: Request, browser: Browser) -> Response:
        asked = request.query_params
        handle = await authorizations.begin(asked.get("client_id", ""), asked.get("request_uri", ""))
        return given.pages.see_other(f"/authorizations/{handle}")

    return [Route("/oauth/authorize", page_route(given, authorize), methods=["GET"])]
