"""The ASGI app of a gateway: the GraphQL endpoint at once, everything else by its routes."""

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.http.response import plain_refusal

GRAPHQL = "/graphql"


class GatewayApp(Starlette):
    """Starlette for the routes; the endpoint needs none of what it does to find and guard them.

    `around`: what stands around all that is asked.
    """

    def __init__(self, graphql: ASGIApp, routes: Sequence[BaseRoute], around: Callable[[ASGIApp], ASGIApp]) -> None:
        super().__init__(
            routes=routes,
            middleware=[Middleware(around)],
            exception_handlers={
                404: plain_refusal("NOT_FOUND"),
                405: plain_refusal("METHOD_NOT_ALLOWED"),
                500: plain_refusal("INTERNAL"),
            },
        )
        self.router.redirect_slashes = False  # a redirect would repeat the caller's Host header
        self._graphql = around(graphql)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == GRAPHQL:
            await self._graphql(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
