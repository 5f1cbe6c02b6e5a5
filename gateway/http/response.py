"""A GraphQL response on its way out: headers, body, and the lease of a release."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gateway.errors import PUBLIC_CODES, OverloadedError, PublicCode
from gateway.http.observing import notes_of
from gateway.http.presence import Presence
from gateway.http.request import JSON, SAFE_HEADERS
from gateway.identity.jws import ALGORITHMS

CLOSING_STATUSES = frozenset({401, 405, 406, 408, 413, 415})
"""After these the body is not read: the connection ends, or it would be received for nothing."""

Json = dict[str, Any]
_CLOSE = (b"connection", b"close")
_ANY_ID = str(UUID(int=0)).encode()


@dataclass(frozen=True, slots=True)
class Response:
    """A response ready to leave; one that carries answers only within their lease. `challenge`: of a 401.

    `renew`: makes the same under a lease that begins now.
    """

    status: int
    body: Json
    lease_ends_at: float | None = None
    renew: "Callable[[], Awaitable[Response]] | None" = None
    retry_after_seconds: int | None = None
    challenge: str = "invalid_token"
    headers: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def code(self) -> str:
        """The public code of its first error, for the operator's log."""
        return next((error["extensions"]["code"] for error in self.body.get("errors", ())), "")


async def send_response(
    send: Send,
    response: Response,
    *,
    media_type: str,
    request_id: str,
    refuse: Callable[[Exception], Response],
    presence: Presence | None = None,
) -> Response:
    """Send a response, and say what has left.

    One whose lease ran out before it was ready, as where the machine stood still, leaves under another. What cannot
    leave in time is discarded for an OVERLOADED. `refuse`: what is told instead.
    """
    messages = _messages(response, media_type=media_type, request_id=request_id)
    ends_at = response.lease_ends_at
    if ends_at is not None and response.renew is not None and time.monotonic() >= ends_at:
        response = replace(await _renewed(response.renew, refuse), headers=response.headers)
        messages = _messages(response, media_type=media_type, request_id=request_id)
    if response.lease_ends_at is not None:
        if await sent_before(send, messages, response.lease_ends_at, presence=presence):
            return response
        response = replace(refuse(OverloadedError("the lease ran out")), headers=response.headers)
        messages = _messages(response, media_type=media_type, request_id=request_id)
    for message in messages:
        await send(message)
    return response


async def _renewed(renew: Callable[[], Awaitable[Response]], refuse: Callable[[Exception], Response]) -> Response:
    try:
        return await renew()
    except Exception as error:
        return refuse(error)


async def sent_before(
    send: Send, messages: list[Message], ends_at: float, *, presence: Presence | None = None
) -> bool:
    """Send a response in time; False if nothing of it has been handed over by then, and then nothing will be.

    What has been handed over and has not left by then is cut off, with the connection.
    """
    has_begun = False
    if time.monotonic() >= ends_at:
        return False
    try:
        async with asyncio.timeout(ends_at - time.monotonic()):
            for message in messages:
                await send(message)
                has_begun = True
            if presence is not None:
                await presence.has_left()
    except TimeoutError:
        if has_begun and presence is not None:
            presence.cut_off()
        return has_begun
    return True


def _messages(response: Response, *, media_type: str, request_id: str) -> list[Message]:
    response.body.setdefault("extensions", {})["requestId"] = request_id
    for error in response.body.get("errors", ()):
        error["extensions"]["requestId"] = request_id
    payload = orjson.dumps(response.body)
    headers = _headers(response, media_type, len(payload))
    return [
        {"type": "http.response.start", "status": response.status, "headers": headers},
        {"type": "http.response.body", "body": payload},
    ]


def _headers(response: Response, media_type: str, length: int) -> list[tuple[bytes, bytes]]:
    status = response.status
    headers = [
        (b"content-type", f"{media_type}; charset=utf-8".encode()),
        (b"content-length", str(length).encode()),
        *((name.lower().encode(), value.encode()) for name, value in SAFE_HEADERS.items()),
        *response.headers,
    ]
    if status in CLOSING_STATUSES:
        headers.append(_CLOSE)
    if status == 401:
        headers.append((b"www-authenticate", challenge_header(response.challenge).encode()))
    if status == 405:
        headers.append((b"allow", b"POST"))
    if status in (429, 503):
        headers.append((b"retry-after", str(response.retry_after_seconds or 1).encode()))
    return headers


def challenge_header(error: str) -> str:
    """How to say who is asking, and what was wrong with what was said. Source: RFC 9449 section 7.1."""
    return f'DPoP error="{error}", algs="{" ".join(ALGORITHMS)}"'


def error_json(row: PublicCode, *, path: list[Any] | None = None) -> Json:
    error: Json = {"message": row.text}
    if path is not None:
        error["path"] = path
    return error | {"extensions": {"code": row.code, "retryable": row.retryable}}


def refusal_messages(code: str, request_id: str) -> list[Message]:
    """A refusal as it goes out, for who has read nothing of the request yet."""
    head, body = _refusal_of(code)
    return [
        {**head, "headers": list(head["headers"])},  # whom it passes on its way out may add to it
        {"type": "http.response.body", "body": body.replace(_ANY_ID, request_id.encode())},
    ]


def refusal_bytes(code: str, request_id: str, *, closes: bool = False) -> bytes:
    """The same as it stands on the wire, with its head. `closes`: the connection ends with it."""
    return _refusal_on_the_wire(code, closes).replace(_ANY_ID, request_id.encode())


@cache
def _refusal_on_the_wire(code: str, closes: bool) -> bytes:
    head, body = _refusal_of(code)
    rows = head["headers"] if not closes or _CLOSE in head["headers"] else [*head["headers"], _CLOSE]
    headers = b"".join(b"%s: %s\r\n" % row for row in rows)
    return b"%s%s\r\n%s" % (STATUS_LINE[head["status"]], headers, body)


@cache
def _refusal_of(code: str) -> tuple[Message, bytes]:
    """Its head, and its body with an id as long as any in place of the request's."""
    row = PUBLIC_CODES[code]
    refusal = Response(row.status, {"errors": [error_json(row)]})
    head, body = _messages(refusal, media_type=JSON, request_id=_ANY_ID.decode())
    return head, body["body"]


def plain_refusal(code: str) -> Callable[[Request, Exception], JSONResponse]:
    """A refusal outside /graphql, from the same table of codes."""
    row = PUBLIC_CODES[code]

    def respond(request: Request, error: Exception) -> JSONResponse:
        notes = notes_of(request.scope)
        notes.code = row.code
        told = error_json(row)
        told["extensions"]["requestId"] = notes.request_id
        headers = {**SAFE_HEADERS, **(getattr(error, "headers", None) or {})}
        if "Allow" in headers:  # on a 405, whose usual text is /graphql's
            told["message"] = f"Use {' or '.join(sorted(headers['Allow'].split(', ')))}."
        return JSONResponse({"errors": [told]}, status_code=row.status, headers=headers)

    return respond
