"""Urlencoded forms: bounded, each field decoded once. Starlette's own reader had limits that could be passed by."""

from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from gateway.errors import RequestError

MAX_FIELDS = 64
FORM = "application/x-www-form-urlencoded"


async def read_form(request: Request, *, max_bytes: int) -> list[tuple[str, str]]:
    """The fields of a form, in order. Raises RequestError with the code of what is wrong."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise RequestError("content type", code="UNSUPPORTED_MEDIA_TYPE")
    return parse_form(await read_body(request, max_bytes=max_bytes))


async def read_body(request: Request, *, max_bytes: int) -> bytes:
    """The body. Raises RequestError(PAYLOAD_TOO_LARGE) as soon as it is longer than this."""
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > max_bytes:
        raise RequestError("content length", code="PAYLOAD_TOO_LARGE")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_bytes:
                raise RequestError("body", code="PAYLOAD_TOO_LARGE")
    except ClientDisconnect as error:
        raise RequestError("the body did not arrive", code="REQUEST_TIMEOUT") from error
    return bytes(body)


def parse_form(body: bytes) -> list[tuple[str, str]]:
    """The fields of an urlencoded form, in order. Raises RequestError for what is none.

    A NUL is read as U+FFFD, as in JSON: not every database can hold it.
    """
    if not body:
        return []
    try:
        text = body.decode("ascii").replace("\0", "%00").replace("%00", "%EF%BF%BD")
        return parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise RequestError("form") from error
