"""Reading a GraphQL request off the wire: media types, size, JSON. Source: GraphQL over HTTP (working draft)."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.types import Receive, Scope

from gateway.errors import RequestError

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every response. Source: security 3.7."""


@dataclass(frozen=True, slots=True, repr=False)
class GraphQLRequest:
    """The well-formed body of a request."""

    query: str
    variables: Mapping[str, Any]


def header(scope: Scope, name: bytes) -> str | None:
    """A header's value, several of one name joined as one list (RFC 9110 section 5.2); None if it is absent."""
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return ", ".join(found) if found else None


def single_header(scope: Scope, name: bytes) -> str | None:
    """A header's value; None if it is absent or stands there more than once."""
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else None


def accepted_media_type(scope: Scope) -> str:
    """The response's media type. Raises RequestError(NOT_ACCEPTABLE) if the caller takes neither."""
    accept = header(scope, b"accept") or "*/*"
    qualities = dict(_media_range(part) for part in accept.split(","))

    def quality(media_type: str) -> float:
        for pattern in (media_type, "application/*", "*/*"):
            if pattern in qualities:
                return qualities[pattern]
        return 0.0

    best = max((JSON, GRAPHQL_RESPONSE), key=quality)
    if quality(best) <= 0:
        raise RequestError("accept", code="NOT_ACCEPTABLE")
    return GRAPHQL_RESPONSE if GRAPHQL_RESPONSE in qualities and quality(GRAPHQL_RESPONSE) >= quality(JSON) else best


def _media_range(part: str) -> tuple[str, float]:
    media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return media_type, float(parameter[2:])
            except ValueError:
                return media_type, 0.0
    return media_type, 1.0


def check_head(scope: Scope) -> None:
    """Refuse what is not a POST of uncompressed JSON, before a byte of the body is read."""
    if scope["method"] != "POST":
        raise RequestError("method", code="METHOD_NOT_ALLOWED")
    content_type = (header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if content_type != JSON:
        raise RequestError("content type", code="UNSUPPORTED_MEDIA_TYPE")
    if (header(scope, b"content-encoding") or "identity").lower() != "identity":
        raise RequestError("content encoding", code="UNSUPPORTED_ENCODING")
    length = header(scope, b"content-length")
    if length is not None and (not length.isdigit() or int(length) > MAX_BODY_BYTES):
        raise RequestError("content length", code="PAYLOAD_TOO_LARGE")
    if b"access_token=" in scope["query_string"]:
        raise RequestError("query string", code="TOKEN_IN_QUERY")


async def read_request(receive: Receive) -> GraphQLRequest:
    """The request in the body. Raises RequestError with the code of what is wrong with it."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _read_body(receive)
    except TimeoutError as error:
        raise RequestError("body", code="REQUEST_TIMEOUT") from error
    if not body:
        raise RequestError("empty body")
    return parse_request(body)


async def _read_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError("disconnected")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise RequestError("body", code="PAYLOAD_TOO_LARGE")
        if not message.get("more_body", False):
            return b"".join(chunks)


def parse_request(body: bytes) -> GraphQLRequest:
    """The parts of a GraphQL request. Raises RequestError."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError("json", code="BAD_JSON") from error
    if isinstance(parsed, list):
        raise RequestError("batch", code="BATCHING_DISABLED")
    if not isinstance(parsed, dict) or not isinstance(parsed.get("query"), str):
        raise RequestError("query")
    variables = parsed.get("variables")
    if not isinstance(variables, dict | None):
        raise RequestError("variables")
    if not isinstance(parsed.get("operationName"), str | None):
        raise RequestError("operation name")
    return GraphQLRequest(query=parsed["query"], variables=variables or {})
