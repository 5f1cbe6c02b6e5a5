"""Reading a GraphQL request off the wire: media types, size, JSON. Source: GraphQL over HTTP (working draft)."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from starlette.types import Receive, Scope

from gateway.errors import HeaderError, RequestError
from gateway.http.strict_json import parse_json
from gateway.store.trusted_documents import document_id, plain_id

MAX_BODY_BYTES = 64 * 1024
GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
SAFE_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every response. Source: security 3.7."""
PERSISTED_QUERY_VERSION = 1
_HEADERS = "kyosei.headers"
_QUALITY = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")
"""Source: RFC 9110 section 12.4.2."""
_CHARSETS = frozenset({"utf-8", '"utf-8"', "utf8", '"utf8"'})
_TIMEOUT_DIGITS = 9
"""Eleven days. Nobody waits for as long as more digits would say."""
MAX_KEPT_VALUES = 256
MAX_KEPT_CHARACTERS = 256
"""Of so many values of a header, of so many characters at most, it is remembered what they say: callers say the same
each time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class GraphQLRequest:
    """The well-formed body of a request: a document, or the plain id of one that is registered, or both.

    `wants_cost`: `{"extensions": {"cost": true}}` asks for what the operation costs.
    """

    query: str | None
    document_id: str | None
    variables: Mapping[str, Any]
    operation_name: str | None = None
    wants_cost: bool = False


def header(scope: Scope, name: bytes) -> str | None:
    """A header's value, several of one name joined as one list (RFC 9110 section 5.2); None if it is absent."""
    found = _headers(scope).get(name)
    return None if found is None else ", ".join(found)


def single_header(scope: Scope, name: bytes) -> str | None:
    """A header's value; None if it is absent or stands there more than once."""
    found = _headers(scope).get(name, ())
    return found[0] if len(found) == 1 else None


def _headers(scope: Scope) -> Mapping[bytes, list[str]]:
    """All headers by name, read once."""
    known: dict[bytes, list[str]] | None = scope.get(_HEADERS)
    if known is None:
        known = scope[_HEADERS] = {}
        for name, value in scope["headers"]:
            known.setdefault(name, []).append(value.decode("latin-1"))
    return known


def _remembered(read: Callable[[str], T]) -> Callable[[str], T]:
    """The same reading of a header's value, of a short one only once."""
    kept = lru_cache(maxsize=MAX_KEPT_VALUES)(read)
    return lambda value: kept(value) if len(value) <= MAX_KEPT_CHARACTERS else read(value)


def accepted_media_type(scope: Scope) -> str:
    """The response's media type. Raises RequestError(NOT_ACCEPTABLE) if the caller takes neither."""
    accepted = _accepted(header(scope, b"accept") or "*/*")
    if accepted is None:
        raise RequestError("accept", code="NOT_ACCEPTABLE")
    return accepted


@_remembered
def _accepted(accept: str) -> str | None:
    qualities = dict(_media_range(part) for part in accept.split(","))

    def quality(media_type: str) -> float:
        for pattern in (media_type, "application/*", "*/*"):
            if pattern in qualities:
                return qualities[pattern]
        return 0.0

    best = max((JSON, GRAPHQL_RESPONSE), key=quality)
    if quality(best) <= 0:
        return None
    return GRAPHQL_RESPONSE if GRAPHQL_RESPONSE in qualities and quality(GRAPHQL_RESPONSE) >= quality(JSON) else best


def _media_range(part: str) -> tuple[str, float]:
    media_type, parameters = _parameters(part)
    told = next((value for name, value in parameters if name == "q"), "1")
    return media_type, float(told) if _QUALITY.fullmatch(told) else 0.0


def _parameters(text: str) -> tuple[str, list[tuple[str, str]]]:
    """A media type and its parameters, in lower case."""
    media_type, *rest = text.lower().split(";")
    named = (piece.partition("=") for piece in rest)
    return media_type.strip(), [(name.strip(), value.strip()) for name, _, value in named]


def check_head(scope: Scope) -> None:
    """Refuse what is not a POST of uncompressed JSON, before a byte of the body is read."""
    if scope["method"] != "POST":
        is_websocket = "websocket" in (header(scope, b"upgrade") or "").lower()
        raise RequestError("method", code="NOT_FOUND" if is_websocket else "METHOD_NOT_ALLOWED")
    if not _is_json(header(scope, b"content-type") or ""):
        raise RequestError("content type", code="UNSUPPORTED_MEDIA_TYPE")
    if (header(scope, b"content-encoding") or "identity").lower() != "identity":
        raise RequestError("content encoding", code="UNSUPPORTED_ENCODING")
    length = header(scope, b"content-length")
    if length is not None and (not length.isdigit() or int(length) > MAX_BODY_BYTES):
        raise RequestError("content length", code="PAYLOAD_TOO_LARGE")
    if b"access_token=" in unquote_to_bytes(scope["query_string"]):
        raise RequestError("query string", code="TOKEN_IN_QUERY")


@_remembered
def _is_json(content_type: str) -> bool:
    """Whether it is JSON alone, and in UTF-8 if anything is said of that. Source: RFC 8259 section 8.1."""
    media_type, parameters = _parameters(content_type)
    charsets = {value for name, value in parameters if name == "charset"}
    return media_type == JSON and "," not in content_type and charsets <= _CHARSETS


def timeout_seconds(scope: Scope) -> float | None:
    """For how long the caller will wait, by `Request-Timeout-Ms`. Raises HeaderError where that is no number.

    A number with more digits than matter stands for a very long time.
    """
    if header(scope, b"request-timeout-ms") is None:
        return None
    told = single_header(scope, b"request-timeout-ms") or ""
    if not (told.isascii() and told.isdigit()):
        raise HeaderError("Request-Timeout-Ms", "it has to be a whole number of milliseconds, and stand there once")
    digits = told.lstrip("0")
    return int(digits or "0") / 1000 if len(digits) <= _TIMEOUT_DIGITS else math.inf


async def read_request(receive: Receive) -> GraphQLRequest:
    """The request in the body. Raises RequestError with the code of what is wrong with it."""
    body = await _read_body(receive)
    if not body:
        raise RequestError("empty body")
    return parse_request(body)


async def _read_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RequestError("the body did not arrive", code="REQUEST_TIMEOUT")
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > MAX_BODY_BYTES:
            raise RequestError("body", code="PAYLOAD_TOO_LARGE")
        if not message.get("more_body", False):
            return b"".join(chunks)


def parse_request(body: bytes) -> GraphQLRequest:
    """The parts of a GraphQL request. Raises RequestError."""
    parsed = parse_json(body)
    if isinstance(parsed, list):
        raise RequestError("batch", code="BATCHING_DISABLED")
    if not isinstance(parsed, dict):
        raise RequestError("body")
    query, extensions = _member(parsed, "query", str), _member(parsed, "extensions", dict) or {}
    given_id = _given_id(query, _member(parsed, "documentId", str), extensions)
    if query is None and given_id is None:
        raise RequestError("query")
    return GraphQLRequest(
        query=query,
        document_id=given_id,
        variables=_member(parsed, "variables", dict) or {},
        operation_name=_member(parsed, "operationName", str) or None,
        wants_cost=extensions.get("cost") is True,
    )


def _member(parsed: Mapping[str, Any], name: str, kind: type) -> Any:
    value = parsed.get(name)
    if value is not None and not isinstance(value, kind):
        raise RequestError(name)
    return value


def _given_id(query: str | None, named: str | None, extensions: Mapping[str, Any]) -> str | None:
    """The plain id of a registered document, by either of the usual members; a hash beside a text is the text's.

    Source: GraphQL over HTTP, persisted documents; Apollo, persisted queries.
    """
    given_id = plain_id(named) if named is not None else None
    persisted = _member(extensions, "persistedQuery", dict)
    if persisted is None:
        return given_id
    hashed = _persisted_hash(persisted)
    if given_id not in (None, hashed) or (query is not None and document_id(query) != hashed):
        raise RequestError("persistedQuery")
    return hashed


def _persisted_hash(persisted: Mapping[str, Any]) -> str:
    version, hashed = persisted.get("version", PERSISTED_QUERY_VERSION), _member(persisted, "sha256Hash", str)
    if type(version) is not int or version != PERSISTED_QUERY_VERSION or hashed is None:
        raise RequestError("persistedQuery")
    return plain_id(hashed)
