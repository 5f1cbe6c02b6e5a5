"""Around everything that is asked: a place to work at, in the lane of who asks; or a refusal at once."""

from contextlib import AsyncExitStack

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admission import Lane
from gateway.errors import OverloadedError
from gateway.http.observing import PROBES, notes_of
from gateway.http.request import header
from gateway.http.response import refusal_messages

_OF_RELYING_PARTIES = ("/graphql", "/oauth/par", "/oauth/token")


class Admitting:
    """ASGI middleware. People, and whoever gives a consent back, have a lane of their own: nothing crowds it out."""

    def __init__(self, app: ASGIApp, *, relying_parties: Lane, people: Lane, sandbox: bool) -> None:
        self._app = app
        self._relying_parties = relying_parties
        self._people = people
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._lane_of(scope).place())
            except OverloadedError as error:
                notes = notes_of(scope)
                notes.code = error.code
                for message in refusal_messages(error.code, notes.request_id):
                    await send(message)
                return
            await self._app(scope, receive, send)

    def _lane_of(self, scope: Scope) -> Lane:
        authorization = (header(scope, b"authorization") or "").lower()
        is_persons = self._sandbox and authorization.startswith("person ")  # elsewhere they come by the pages
        return self._relying_parties if scope["path"] in _OF_RELYING_PARTIES and not is_persons else self._people
