"""What the endpoint answers to anything that is not a good request: one table, and nothing of it repeated."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.store.envelope import read_master_key
from tests.conftest import Caller
from tests.gateway.sandboxes import codes, outside_config, own_sandbox, settings_for

RESPONSE = "application/graphql-response+json"
JSON = "application/json"
CANARY = "KYOSEI-CANARY-9f8e"
SUBJECT = "query($consent: ConsentToken!) { subject(consent: $consent) { answer { id } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


def body_of(query: Any, **more: Any) -> bytes:
    return orjson.dumps({"query": query, **more})


async def send(
    caller: Caller,
    content: bytes | AsyncIterator[bytes] | None,
    *,
    method: str = "POST",
    path: str = "/graphql",
    asker: str | None = "the bank",
    **headers: str,
) -> httpx.Response:
    """One request as the bank, with these headers (`_` for `-`) instead of the usual ones."""
    sent = {"content-type": JSON, "accept": RESPONSE}
    if asker is not None:
        sent["authorization"] = f"Bearer {caller.running.keys['bank']}" if asker == "the bank" else asker
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    sent = {name: value for name, value in sent.items() if value}
    return await caller.http.request(method, path, content=content, headers=sent)


def assert_refused(response: httpx.Response, status: int, code: str) -> None:
    """The status, the one code, and all that every refusal has."""
    body = response.json()
    assert (response.status_code, codes(body)) == (status, [code])
    assert "data" not in body
    told = body["errors"][0]["extensions"]
    assert set(told) == {"code", "requestId", "retryable"}
    assert told["requestId"] == body["extensions"]["requestId"]
    assert isinstance(told["retryable"], bool)
    assert_safe(response)


def assert_safe(response: httpx.Response) -> None:
    """No cache keeps it, no browser guesses its type, and it repeats nothing that was sent."""
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "server" not in response.headers
    assert "access-control-allow-origin" not in response.headers
    assert CANARY not in response.text
    assert CANARY not in str(response.headers)


BODIES: dict[str, tuple[bytes, int, str]] = {
    "empty": (b"", 400, "BAD_REQUEST"),
    "half a brace": (b"{", 400, "BAD_JSON"),
    "no JSON": (CANARY.encode(), 400, "BAD_JSON"),
    "invalid UTF-8": (b'{"query":"{a}\xff"}', 400, "BAD_JSON"),
    "null": (b"null", 400, "BAD_REQUEST"),
    "a string": (f'"{CANARY}"'.encode(), 400, "BAD_REQUEST"),
    "a number": (b"1", 400, "BAD_REQUEST"),
    "true": (b"true", 400, "BAD_REQUEST"),
    "NaN": (b'{"query": NaN}', 400, "BAD_JSON"),
    "infinity": (b'{"query": "{__typename}", "variables": {"a": Infinity}}', 400, "BAD_JSON"),
    "an empty array": (b"[]", 400, "BATCHING_DISABLED"),
    "a batch of one": (b"[" + body_of("{__typename}") + b"]", 400, "BATCHING_DISABLED"),
    "a batch of ten": (b"[" + b",".join([body_of("{__typename}")] * 10) + b"]", 400, "BATCHING_DISABLED"),
    "no query": (b'{"variables": {}}', 400, "BAD_REQUEST"),
    "an empty object": (b"{}", 400, "BAD_REQUEST"),
    "a query that is a number": (b'{"query": 1}', 400, "BAD_REQUEST"),
    "a query that is null": (b'{"query": null}', 400, "BAD_REQUEST"),
    "variables that are a list": (body_of("{__typename}", variables=[CANARY]), 400, "BAD_REQUEST"),
    "variables that are text": (body_of("{__typename}", variables=CANARY), 400, "BAD_REQUEST"),
    "a name that is a number": (body_of("{__typename}", operationName=1), 400, "BAD_REQUEST"),
    "variables nested for ever": (
        b'{"query":"{__typename}","variables":{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}}",
        400,
        "BAD_JSON",
    ),
    "a lone surrogate": (b'{"query":"{__typename}","variables":{"a":"\\ud800"}}', 400, "BAD_JSON"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_request_is_refused(quick: Caller, name: str) -> None:
    content, status, code = BODIES[name]
    assert_refused(await send(quick, content), status, code)


WIDE = " ".join(f"fragment F{i} on Query {{ {f'...F{i + 1} ' * 6} }}" for i in range(4))
DOCUMENTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "empty": ("", {}, "VALIDATION_FAILED"),
    "no document": (CANARY, {}, "VALIDATION_FAILED"),
    "an odd letter": ("{ ｍｅ { id } }", {}, "VALIDATION_FAILED"),
    "a NUL": ("{ \u0000 __typename }", {}, "VALIDATION_FAILED"),
    "an unknown field": (f"{{ {CANARY.replace('-', '_')} }}", {}, "VALIDATION_FAILED"),
    "a typo": ("{ subjct(consent: 1) { answer { id } } }", {}, "VALIDATION_FAILED"),
    "an unknown argument": ("{ subject(token: 1) { answer { id } } }", {}, "VALIDATION_FAILED"),
    "an object without a selection": ("{ subject(consent: 1) }", {}, "VALIDATION_FAILED"),
    "no variable": (SUBJECT, {}, "VALIDATION_FAILED"),
    "a variable that is null": (SUBJECT, {"consent": None}, "VALIDATION_FAILED"),
    "an extra variable": (SUBJECT, {"consent": "x", CANARY: CANARY}, "VALIDATION_FAILED"),
    "an extra variable, asking nothing": ("{ __typename }", {CANARY: CANARY}, "VALIDATION_FAILED"),
    "a variable of another type": (
        "query($consent: String!) { subject(consent: $consent) { answer { id } } }",
        {"consent": "x"},
        "VALIDATION_FAILED",
    ),
    "an integer too large": (
        'query($y: Int!) { subject(consent: "x") { tenancy(rentYenPerMonth: $y) { outcome } } }',
        {"y": 99999999999},
        "VALIDATION_FAILED",
    ),
    "an integer of five thousand digits": (
        f'{{ subject(consent: "x") {{ tenancy(rentYenPerMonth: {"9" * 5000}) {{ outcome }} }} }}',
        {},
        "VALIDATION_FAILED",
    ),
    "text for an integer": (
        'query($y: Int!) { subject(consent: "x") { tenancy(rentYenPerMonth: $y) { outcome } } }',
        {"y": CANARY},
        "VALIDATION_FAILED",
    ),
    "text for a day": (
        'query($d: Date!) { subject(consent: "x") { immigration { stayCoversUntil(on: $d) { value } } } }',
        {"d": CANARY},
        "VALIDATION_FAILED",
    ),
    "two operations": ("{ __typename } { __typename }", {}, "OPERATION_AMBIGUOUS"),
    "two named operations": ("query A { __typename } query B { __typename }", {}, "OPERATION_AMBIGUOUS"),
    "no operation": ("fragment F on Query { __typename }", {}, "VALIDATION_FAILED"),
    "a subscription": ("subscription { subject { id } }", {}, "VALIDATION_FAILED"),
    "an unknown fragment": ("{ ...Nope }", {}, "VALIDATION_FAILED"),
    "fragments in a circle": ("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
                              {}, "VALIDATION_FAILED"),
    "deferred": ('{ ... @defer { subject(consent: "x") { answer { id } } } }', {}, "VALIDATION_FAILED"),
    "an unknown directive": ("{ __typename @aa }", {}, "VALIDATION_FAILED"),
    "a type definition": ("type Query { a: Int } { __typename }", {}, "VALIDATION_FAILED"),
    "a thousand tokens and more": ("{ " + "a:__typename " * 400 + "}", {}, "QUERY_TOO_COMPLEX"),
    "more fields than may be": (
        '{ subject(consent: "x") { ' + " ".join(f"a{i}: __typename" for i in range(230)) + " ...F ...F } } "
        "fragment F on Subject { " + "__typename " * 100 + "}",
        {},
        "QUERY_TOO_COMPLEX",
    ),
    "a bomb of fragments": (f'{{ subject(consent: "x") {{ answer {{ id }} }} ...F0 }} {WIDE} '
                            "fragment F4 on Query { __typename }", {}, "QUERY_TOO_COMPLEX"),
    "fields for ever": ("{" + "a{" * 330 + "a" + "}" * 330 + "}", {}, "QUERY_TOO_COMPLEX"),
}  # fmt: skip


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("media_type", [RESPONSE, JSON])
async def test_a_document_or_variable_that_is_wrong_is_refused(quick: Caller, name: str, media_type: str) -> None:
    query, variables, code = DOCUMENTS[name]
    response = await send(quick, body_of(query, variables=variables), accept=media_type)
    assert_refused(response, 400 if media_type == RESPONSE else 200, code)
    assert response.headers["content-type"].partition(";")[0] == media_type
    assert "Did you mean" not in response.text


@pytest.mark.parametrize("name", ["an extra variable, asking nothing", "two operations", "an unknown field"])
async def test_a_persons_document_is_held_to_the_same(quick: Caller, name: str) -> None:
    query, variables, code = DOCUMENTS[name]
    query = query.replace("__typename", "me { id }")
    response = await send(quick, body_of(query, variables=variables), asker="Person P01")
    assert_refused(response, 400, code)


async def test_a_persons_document_has_bounds_too(quick: Caller) -> None:
    many = "{ me { ...F ...F ...F ...F ...F } } fragment F on Me { " + "id " * 100 + "}"
    assert_refused(await send(quick, body_of(many), asker="Person P01"), 400, "QUERY_TOO_COMPLEX")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_any_method_but_post_is_refused(quick: Caller, method: str) -> None:
    query = "?query={__typename}" if method == "GET" else ""
    response = await send(quick, None, method=method, path=f"/graphql{query}")
    assert_refused(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"
    assert response.json()["errors"][0]["message"] == "Use POST."


async def test_a_head_request_is_answered_without_a_body(quick: Caller) -> None:
    response = await send(quick, None, method="HEAD")
    assert (response.status_code, response.content) == (405, b"")


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/graphql",
     "application/jsonx", "text/json", "application/graphql-response+json", f"application/{CANARY}",
     f"{JSON}; charset=utf-16", f"{JSON}; charset=", f"{JSON}; charset=utf-8; charset=latin-1", f"{JSON}, {JSON}",
     f"{JSON}; charset=utf-8, text/plain"],
)  # fmt: skip
async def test_any_body_but_json_is_refused(quick: Caller, content_type: str) -> None:
    response = await send(quick, body_of("{__typename}"), content_type=content_type)
    assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


async def test_a_body_of_two_types_is_refused(quick: Caller) -> None:
    asker = ("authorization", f"Bearer {quick.running.keys['bank']}")
    headers = [asker, ("accept", RESPONSE), ("content-type", f"{JSON}; x=y"), ("content-type", "text/plain")]
    response = await quick.http.post("/graphql", content=body_of("{__typename}"), headers=headers)
    assert_refused(response, 415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", "Application/JSON;charset=utf-8", "application/json ; x=y", "application/json;"),
        *('application/json; charset="UTF-8"', "application/json; Charset = Utf-8", "application/json; charset=utf8"),
    ],
)
async def test_json_may_have_parameters(quick: Caller, content_type: str) -> None:
    response = await send(quick, body_of("{__typename}"), content_type=content_type)
    assert response.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", CANARY])
async def test_a_compressed_body_is_refused(quick: Caller, encoding: str) -> None:
    response = await send(quick, gzip.compress(body_of("{__typename}")), content_encoding=encoding)
    assert_refused(response, 415, "UNSUPPORTED_ENCODING")


async def test_a_compression_named_twice_is_refused(quick: Caller) -> None:
    headers = [
        ("authorization", f"Bearer {quick.running.keys['bank']}"),
        ("content-type", JSON),
        ("content-encoding", "gzip"),
        ("content-encoding", "gzip"),
    ]
    response = await quick.http.post("/graphql", content=body_of("{__typename}"), headers=headers)
    assert_refused(response, 415, "UNSUPPORTED_ENCODING")


async def test_a_body_of_64_kib_is_read_and_one_byte_more_is_not(quick: Caller) -> None:
    whole = body_of("{__typename}")
    fits = whole + b" " * (64 * 1024 - len(whole))
    assert (await send(quick, fits)).json()["data"] == {"__typename": "Query"}
    assert_refused(await send(quick, fits + b" "), 413, "PAYLOAD_TOO_LARGE")


async def test_a_body_without_a_length_is_read_no_further_than_the_bound(quick: Caller) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(5_000):
            sent += 1
            yield b" " * 10_000

    with suppress(httpx.HTTPError):  # it was cut off, far beyond where it could have read its refusal
        await send(quick, endless())
    assert sent < 5_000


def in_pieces(body: bytes) -> Iterator[bytes]:
    return (body[start : start + 10_000] for start in range(0, len(body), 10_000))


async def at_once_by_httpx(caller: Caller, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    response = await caller.http.post("/graphql", content=body, headers=headers)
    return response.status_code, response.content


async def chunked_by_httpx(caller: Caller, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in in_pieces(body):
            yield piece

    response = await caller.http.post("/graphql", content=pieces(), headers=headers)
    return response.status_code, response.content


def posted(caller: Caller, body: bytes | Iterator[bytes], headers: dict[str, str]) -> tuple[int, bytes]:
    with closing(HTTPConnection(urlsplit(caller.running.url).netloc, timeout=20)) as connection:
        connection.request("POST", "/graphql", body, headers)
        response = connection.getresponse()
        return response.status, response.read()


async def at_once_by_http_client(caller: Caller, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    return await asyncio.to_thread(posted, caller, body, headers)


async def chunked_by_http_client(caller: Caller, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    return await asyncio.to_thread(posted, caller, in_pieces(body), headers)


CHUNKED = (chunked_by_httpx, chunked_by_http_client)
AT_ONCE = (at_once_by_httpx, at_once_by_http_client)
REFUSED_UNREAD: dict[str, tuple[dict[str, str], int, str]] = {
    "too large": ({}, 413, "PAYLOAD_TOO_LARGE"),
    "no JSON": ({"content-type": "text/plain"}, 415, "UNSUPPORTED_MEDIA_TYPE"),
    "from nobody": ({"authorization": "Bearer x"}, 401, "TOKEN_INVALID"),
}


@pytest.mark.parametrize("size", [100_000, 200_000, 1_000_000, 8_000_000])
@pytest.mark.parametrize(
    ("name", "post"),
    [("too large", post) for post in CHUNKED + AT_ONCE]
    + [("no JSON", post) for post in CHUNKED + AT_ONCE]
    + [("from nobody", post) for post in CHUNKED],  # a length that is too large is refused whosever it is
)
async def test_who_sends_a_large_body_to_its_end_reads_why_it_was_refused(
    quick: Caller, post: Callable[..., Awaitable[tuple[int, bytes]]], name: str, size: int
) -> None:
    instead, status, code = REFUSED_UNREAD[name]
    headers = {"authorization": f"Bearer {quick.running.keys['bank']}", "content-type": JSON, **instead}
    for _ in range(3):
        told, body = await post(quick, b" " * size, headers)
        assert (told, codes(orjson.loads(body))) == (status, [code])


@pytest.mark.parametrize("length", ["65537", "999999999999"])
async def test_a_length_that_is_too_large_is_refused_before_a_byte_is_read(quick: Caller, length: str) -> None:
    url = httpx.URL(quick.running.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    key = quick.running.keys["bank"]
    head = f"POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: {JSON}\r\n"
    writer.write(f"{head}Content-Length: {length}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        status = await reader.readline()
    writer.close()
    assert b" 413 " in status


@pytest.mark.parametrize(
    "path",
    [
        *("/graphql?access_token=x", "/graphql?a=b&access_token=", f"/graphql?access_token={CANARY}"),
        *("/graphql?access%5Ftoken=x", "/graphql?a=b&%61ccess%5ftoken=x", "/graphql?to=/x%3Faccess_token%3Dx"),
    ],
)
async def test_a_token_in_the_query_string_is_refused(quick: Caller, path: str) -> None:
    assert_refused(await send(quick, body_of("{__typename}"), path=path), 400, "TOKEN_IN_QUERY")


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, "TOKEN_MISSING"),
        ("Bearer", "TOKEN_MISSING"),
        (f"Bearer {CANARY}", "TOKEN_INVALID"),
        ("Bearer sk_", "TOKEN_INVALID"),
        (f"Basic {CANARY}", "TOKEN_INVALID"),
        (f"DPoP {CANARY}", "TOKEN_INVALID"),
        ("Person P99", "TOKEN_INVALID"),
        (f"Person {CANARY}", "TOKEN_INVALID"),
        ("Person P01' OR '1'='1", "TOKEN_INVALID"),
        ("Person p01", "TOKEN_INVALID"),
        ("Person bank", "TOKEN_INVALID"),
        ("Bearer P01", "TOKEN_INVALID"),
    ],
)
async def test_whoever_does_not_say_who_they_are_is_refused(
    quick: Caller, authorization: str | None, code: str
) -> None:
    response = await send(quick, body_of(SUBJECT, variables={"consent": "x"}), asker=authorization)
    assert_refused(response, 401, code)
    assert response.headers["www-authenticate"].startswith("DPoP error=")


async def test_two_authorizations_are_none(quick: Caller) -> None:
    key = f"Bearer {quick.running.keys['bank']}"
    headers = [("authorization", key), ("authorization", "Person P01"), ("content-type", JSON)]
    response = await quick.http.post("/graphql", content=body_of("{__typename}"), headers=headers)
    assert_refused(response, 401, "TOKEN_MISSING")


async def test_who_asks_is_settled_before_the_body_is_read(quick: Caller) -> None:
    assert_refused(await send(quick, b"{", asker="Bearer x"), 401, "TOKEN_INVALID")


async def test_in_the_sandbox_nobody_has_to_say_who_they_are_for_what_is_about_nobody(quick: Caller) -> None:
    assert (await send(quick, body_of("{__typename}"), asker=None)).json()["data"] == {"__typename": "Query"}
    for asked in ("{ me { id } }", 'mutation { revokeConsent(grant: "x") { id } }'):
        assert_refused(await send(quick, body_of(asked), asker=None), 401, "TOKEN_MISSING")


NO_QUALITIES = ("nan", "inf", "2", "1.001", "-1", "1e0", "0.0001", ".5", "", '"1"')
"""What is no number from 0 to 1 as RFC 9110 section 12.4.2 writes them stands for nothing wanted."""


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (RESPONSE, RESPONSE),
        (JSON, JSON),
        (f"{RESPONSE}, {JSON};q=0.9", RESPONSE),
        (f"{JSON}, {RESPONSE}", RESPONSE),
        (f"{JSON};q=0.9, {RESPONSE};q=0.1", JSON),
        (f"{RESPONSE};q=0, {JSON}", JSON),
        ("application/*", None),
        ("*/*", None),
        ("", None),
        ("text/html, */*;q=0.1", None),
        ("APPLICATION/JSON", JSON),
        (f"{JSON}; charset=utf-8", JSON),
        (f"{JSON} ; Q = 0.9 , {RESPONSE} ; q = 0.100", JSON),
        (f"{JSON};q=1., {RESPONSE};q=0.", JSON),
        *((f"{RESPONSE};q={quality}, {JSON};q=0.001", JSON) for quality in NO_QUALITIES),
    ],
)
async def test_the_media_type_is_one_the_caller_accepts(quick: Caller, accept: str, media_type: str | None) -> None:
    response = await send(quick, body_of("{__typename}"), accept=accept)
    assert response.status_code == 200
    found = response.headers["content-type"].partition(";")[0]
    assert found == media_type or (media_type is None and found in (JSON, RESPONSE))
    assert_safe(response)


@pytest.mark.parametrize(
    "accept",
    [
        *(
            "text/html",
            "image/*",
            f"{JSON};q=0",
            "application/xml",
            f"text/{CANARY}",
            "application/*;q=0",
            "nonsense",
        ),
        *(f"{JSON}; q = 0", *(f"{JSON};q={quality}" for quality in NO_QUALITIES)),
    ],
)
async def test_a_caller_that_accepts_neither_is_told_so(quick: Caller, accept: str) -> None:
    assert_refused(await send(quick, body_of("{__typename}"), accept=accept), 406, "NOT_ACCEPTABLE")


async def test_accepting_on_two_lines_is_accepting_both(quick: Caller) -> None:
    headers = [
        ("authorization", f"Bearer {quick.running.keys['bank']}"),
        ("content-type", JSON),
        ("accept", "text/html"),
        ("accept", "image/png"),
    ]
    response = await quick.http.post("/graphql", content=body_of("{__typename}"), headers=headers)
    assert_refused(response, 406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize(
    ("refusal", "headers", "content"),
    [
        ("METHOD_NOT_ALLOWED", {"method": "GET"}, None),
        ("UNSUPPORTED_MEDIA_TYPE", {"content_type": "text/plain"}, b"x"),
        ("UNSUPPORTED_ENCODING", {"content_encoding": "gzip"}, b"x"),
        ("PAYLOAD_TOO_LARGE", {}, b" " * 70_000),
        ("TOKEN_INVALID", {"asker": "Bearer x"}, b"{}"),
        ("BAD_JSON", {}, b"{"),
    ],
)
async def test_a_refusal_has_the_media_type_that_is_accepted(
    quick: Caller, refusal: str, headers: dict[str, str], content: bytes | None
) -> None:
    response = await send(quick, content, **headers)
    assert codes(response.json()) == [refusal]
    assert response.headers["content-type"].partition(";")[0] == RESPONSE


async def test_a_query_that_selects_nothing_answers_nothing(quick: Caller) -> None:
    query = "query($consent: ConsentToken!) { subject(consent: $consent) @skip(if: true) { answer { id } } }"
    body = (await send(quick, body_of(query, variables={"consent": "x"}))).json()
    assert body["data"] == {}
    assert body.get("errors") != [], "errors, where there are any, are not none"


async def test_the_process_tells_that_it_lives(quick: Caller) -> None:
    response = await quick.http.get("/livez")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    ["/graphiql", "/graphql/", "/graphql/x", "/livez/", "/readyz/", "/.env", "/metrics/x", f"/{CANARY}",
     "/%2e%2e/config", "/GraphQL", "/schema.graphql"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_there_is_nothing_anywhere_else(quick: Caller, path: str, method: str) -> None:
    response = await send(quick, body_of("{__typename}") if method == "POST" else None, method=method, path=path)
    assert response.status_code == 404
    assert codes(response.json()) == ["NOT_FOUND"]
    told = response.json()["errors"][0]["extensions"]
    assert set(told) == {"code", "requestId", "retryable"}
    assert_safe(response)


async def test_the_liveness_probe_is_read_only(quick: Caller) -> None:
    response = await quick.http.post("/livez")
    assert (response.status_code, codes(response.json())) == (405, ["METHOD_NOT_ALLOWED"])
    assert response.headers["allow"] in ("GET", "GET, HEAD", "HEAD, GET")
    assert response.json()["errors"][0]["message"] == "Use GET or HEAD."
    assert_safe(response)


async def test_two_answers_never_share_a_request_id(quick: Caller) -> None:
    ids = {(await send(quick, body_of("{__typename}"))).json()["extensions"]["requestId"] for _ in range(20)}
    assert len(ids) == 20


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def without_sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """The same gateway with sandbox mode off: as it would stand in the world."""
    folder: Path = tmp_path_factory.mktemp("off")
    read_master_key(folder / "state" / "keys" / "master.key", may_make=True)  # as the operator has made it
    settings = settings_for(folder / "state", config=outside_config(folder))
    parties = settings_for(folder / "state").relying_parties  # whose keys were read somehow
    async with own_sandbox(settings.model_copy(update={"relying_parties": parties})) as made:
        yield made


def askers(caller: Caller) -> Iterator[str]:
    yield "Person P01"
    yield "person P01"
    yield "PERSON P01"
    for key in caller.running.keys.values():
        yield f"Bearer {key}"


async def test_without_sandbox_mode_neither_people_nor_sandbox_keys_are_known(without_sandbox: Caller) -> None:
    for asker in askers(without_sandbox):
        for query in ("{ me { id } }", "{ __typename }", "{ __schema { queryType { name } } }"):
            assert_refused(await send(without_sandbox, body_of(query), asker=asker), 401, "TOKEN_INVALID")


@pytest.mark.parametrize("path", ["/docs", "/docs/reference.css", "/explorer", "/explorer/explorer.js"])
async def test_reference_and_explorer_are_the_sandboxs_alone(
    quick: Caller, without_sandbox: Caller, path: str
) -> None:
    shown = await quick.http.get(path)
    assert shown.status_code == 200
    assert shown.headers["x-content-type-options"] == "nosniff"
    assert_refused_page(await without_sandbox.http.get(path))


@pytest.mark.parametrize("name", ["settings.py", "__init__.py", "..%2f__init__.py", "%2e%2e", "style.css", ""])
async def test_the_explorer_gives_out_its_own_files_alone(quick: Caller, name: str) -> None:
    assert_refused_page(await quick.http.get(f"/explorer/{name}"))


def assert_refused_page(response: httpx.Response) -> None:
    assert (response.status_code, codes(response.json())) == (404, ["NOT_FOUND"])


async def test_introspection_is_answered_in_the_sandbox(quick: Caller) -> None:
    response = await send(quick, body_of("{ __schema { queryType { name } } }"))
    assert json.loads(response.text)["data"] == {"__schema": {"queryType": {"name": "Query"}}}
