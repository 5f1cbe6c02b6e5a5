"""Around everything that is asked: a place to work at, in the lane of who asks; or a refusal at once."""

import uuid
from collections.abc import Sequence

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admission import Lane
from gateway.errors import OverloadedError
from gateway.http.observing import PROBES, NoRoom, notes_of
from gateway.http.request import header
from gateway.http.response import refusal_bytes, refusal_messages
from gateway.metrics import Metrics

Headers = Sequence[tuple[bytes, bytes]]

_OF_RELYING_PARTIES = ("/graphql", "/oauth/par", "/oauth/token")


class Doorkeeper:
    """Refuses relying parties' questions by their head alone, while there is no room for any: the less a refusal
    takes, the more is left for those who are admitted."""

    def __init__(self, relying_parties: Lane, *, metrics: Metrics, no_room: NoRoom, sandbox: bool) -> None:
        self._lane = relying_parties
        self._metrics = metrics
        self._no_room = no_room
        self._sandbox = sandbox

    def turns_away(self, target: bytes, headers: Headers) -> bytes | None:
        """The response to a request with this target and these headers; None: it may come in."""
        if target != b"/graphql" or not self._lane.is_full or self._is_persons(headers):
            return None
        refusal = self._lane.refuse("no room")
        self._metrics.request("graphql", 503, refusal.code, 0.0)
        self._no_room.note()
        return refusal_bytes(refusal.code, str(uuid.uuid4()))

    def _is_persons(self, headers: Headers) -> bool:
        return self._sandbox and any(
            name == b"authorization" and value.lower().startswith(b"person ") for name, value in headers
        )


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
        lane = self._lane_of(scope)
        try:
            place = await lane.enter()
        except OverloadedError as error:
            notes = notes_of(scope)
            notes.code = error.code
            for message in refusal_messages(error.code, notes.request_id):
                await send(message)
            return
        with place:
            await self._app(scope, receive, send)

    def _lane_of(self, scope: Scope) -> Lane:
        authorization = (header(scope, b"authorization") or "").lower()
        is_persons = self._sandbox and authorization.startswith("person ")  # elsewhere they come by the pages
        return self._relying_parties if scope["path"] in _OF_RELYING_PARTIES and not is_persons else self._people
