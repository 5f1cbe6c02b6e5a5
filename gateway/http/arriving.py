"""The body of a request, received before anything is made of it: who waits for a caller's bytes holds no place."""

from starlette.types import Message, Receive, Scope

from gateway.errors import RequestError
from gateway.http.request import MAX_BODY_BYTES, header


async def arrived(scope: Scope, receive: Receive) -> tuple[bytes, Receive]:
    """A request's body, once it has arrived, and the way to receive it from here.

    A body that is too long, or says so, is left to whoever refuses it: they see it by what they receive first.
    Raises RequestError(REQUEST_TIMEOUT) where it does not arrive.
    """
    if not _is_waited_for(scope):
        return b"", receive
    pieces: list[bytes] = []
    size, more = 0, True
    while more and size <= MAX_BODY_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError("the body did not arrive", code="REQUEST_TIMEOUT")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = message.get("more_body", False)
    whole = b"".join(pieces)
    return whole, _once_more({"type": "http.request", "body": whole, "more_body": more}, receive)


def _is_waited_for(scope: Scope) -> bool:
    """Whether there is a body, and not one that is refused by its length alone. Source: RFC 9112 section 6.3."""
    if header(scope, b"transfer-encoding") is not None:
        return True
    length = header(scope, b"content-length") or "0"
    return length.isdigit() and 0 < int(length) <= MAX_BODY_BYTES


def _once_more(message: Message, receive: Receive) -> Receive:
    """Receive this message, then whatever comes after it."""
    is_left = True

    async def received() -> Message:
        nonlocal is_left
        if not is_left:
            return await receive()
        is_left = False
        return message

    return received
