"""Around everything that is asked: a place to work at, in the lane of who asks; or a refusal at once."""

from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admission import Lane, Place
from gateway.errors import GatewayError, OverloadedError
from gateway.http.arriving import arrived
from gateway.http.connection import Door
from gateway.http.observing import PROBES, NoRoom, new_request_id, notes_of
from gateway.http.request import header
from gateway.http.response import refusal_bytes, refusal_messages
from gateway.metrics import Metrics

_OF_RELYING_PARTIES = ("/graphql", "/oauth/par", "/oauth/token")
_GRANTS = "/oauth/grants/"
_TAKEN_BACK_BY = (b"revokeConsent", b"pauseConsent")
"""In the sandbox people take back over GraphQL, and only the body tells that they do."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """One for each kind of asking, so that none crowds out another. `revocations`: of people and relying parties."""

    relying_parties: Lane
    people: Lane
    revocations: Lane


class Doorkeeper(Door):
    """Refuses relying parties' questions by their head alone, while there is no room for any: the less a refusal
    takes, the more is left for those who are admitted."""

    def __init__(self, relying_parties: Lane, *, metrics: Metrics, no_room: NoRoom, sandbox: bool) -> None:
        self._lane = relying_parties
        self._metrics = metrics
        self._no_room = no_room
        self._sandbox = sandbox

    @property
    def is_shut(self) -> bool:
        return self._lane.will_be_full

    def turns_away(self, target: bytes, credentials: bytes) -> bytes | None:
        """The response to a request for this target, by whoever these are of; None: it is not for relying parties."""
        if not self._is_partys(target, credentials):
            return None
        if self._lane.is_full:  # and not only for as long as those come who are expected
            self._lane.note_refusal()
        self._metrics.turned_away()
        self._no_room.note()
        return refusal_bytes(OverloadedError.default_code, new_request_id())

    def lets_in(self, target: bytes, credentials: bytes) -> None:
        if self._is_partys(target, credentials):
            self._lane.expect()

    def _is_partys(self, target: bytes, credentials: bytes) -> bool:
        return target == b"/graphql" and not (self._sandbox and credentials.lower().startswith(b"person "))


class Admitting:
    """ASGI middleware. People have a lane of their own, and whoever takes or gives a consent back another.

    A place is for work alone: it is taken once the body has arrived, and left when the response begins to leave. So
    nobody holds one by being slow to send or to read.
    """

    def __init__(self, app: ASGIApp, *, lanes: Lanes, sandbox: bool) -> None:
        self._app = app
        self._lanes = lanes
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        try:
            body, receive = await arrived(scope, receive)
            at_work = await self._lane_of(scope, body).enter()
        except GatewayError as error:
            notes = notes_of(scope)
            notes.code = error.code
            for message in refusal_messages(error.code, notes.request_id):
                await send(message)
            return
        with at_work as place:
            await self._app(scope, receive, _ending(place, send))

    def _lane_of(self, scope: Scope, body: bytes) -> Lane:
        path: str = scope["path"]
        if self._sandbox and (header(scope, b"authorization") or "").lower().startswith("person "):
            is_revocation = any(name in body for name in _TAKEN_BACK_BY)
            return self._lanes.revocations if is_revocation else self._lanes.people
        if _is_revocation(scope["method"], path):
            return self._lanes.revocations
        is_partys = path in _OF_RELYING_PARTIES or path.startswith(_GRANTS)
        return self._lanes.relying_parties if is_partys else self._lanes.people


def _is_revocation(method: str, path: str) -> bool:
    """Whether less is told after this, or nothing: by a page, by RFC 7009, or by Grant Management."""
    if method == "POST":
        return path == "/oauth/revoke" or (path.startswith("/consents/") and path.endswith(("/revoke", "/pause")))
    return method == "DELETE" and path.startswith(_GRANTS)


def _ending(place: Place, send: Send) -> Send:
    """Send, with the work done: whoever reads slowly keeps nobody waiting."""

    async def sending(message: Message) -> None:
        place.end()
        await send(message)

    return sending
