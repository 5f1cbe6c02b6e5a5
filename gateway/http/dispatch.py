"""The ASGI app of a gateway: the GraphQL endpoint at once, everything else by its routes."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.response import plain_refusal

GRAPHQL = "/graphql"

Page = Callable[[Request, str], Response]
"""Makes the page about a code, in the reader's language."""


class GatewayApp(Starlette):
    """Starlette for the routes; the endpoint needs none of what it does to find and guard them.

    `around`: what stands around all that is asked. `page`: a refusal for whoever looks at it in a browser.
    """

    def __init__(
        self, graphql: ASGIApp, routes: Sequence[BaseRoute], around: Callable[[ASGIApp], ASGIApp], *, page: Page
    ) -> None:
        super().__init__(
            routes=routes,
            middleware=[Middleware(around)],
            exception_handlers={
                404: _refusal("NOT_FOUND", page),
                405: _refusal("METHOD_NOT_ALLOWED", page, shown="NOT_FOUND"),  # "Use POST." is for programs
                500: _refusal("INTERNAL", page),
            },
        )
        self.router.redirect_slashes = False  # a redirect would repeat the caller's Host header
        self._graphql = around(graphql)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == GRAPHQL:
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _refusal(code: str, page: Page, *, shown: str | None = None) -> Callable[[Request, Exception], Response]:
    """The plain refusal; for whoever wants a page, as browsers do, one about this code, or about `shown`."""
    plain = plain_refusal(code)

    def respond(request: Request, error: Exception) -> Response:
        refused = plain(request, error)
        if "text/html" not in request.headers.get("accept", ""):
            return refused
        made = page(request, shown or code)
        made.status_code = refused.status_code
        if "allow" in refused.headers:
            made.headers["allow"] = refused.headers["allow"]
        return made

    return respond
