"""The bad inputs of security 2 A by their numbers: each its stated result, and none keeps the event loop waiting."""

import asyncio
import gc
import gzip
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from gateway.errors import PUBLIC_CODES
from gateway.http.connection import HEADER_SECONDS, GatewayConnection
from tests.conftest import Caller
from tests.gateway.sandboxes import changed, copied_config, own_sandbox, settings_for

RESPONSE = "application/graphql-response+json"
JSON = "application/json"
STALL_SECONDS = 0.05
TICK_SECONDS = 0.005
TRIES = 8
"""A busy machine stalls everything: the least of some tries is the gateway's own."""

CANARY = b"KYOSEI-CANARY-9f8e"
_WORD = re.compile(rb"[A-Za-z]{4,}")
OUR_OWN_WORDS = {
    *(word for row in PUBLIC_CODES.values() for word in _WORD.findall(f"{row.code} {row.text}".encode())),
    *(b"errors", b"message", b"extensions", b"code", b"requestId", b"retryable", b"true", b"false"),
}

BOMB = (
    "{ ...F0 } " + " ".join(f"fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(20))
    + " fragment F20 on Query { __typename }"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """What is sent and what comes back. `document_error`: under application/json its status is 200."""

    status: int
    code: str
    body: bytes = b'{"query":"{ __typename }"}'
    headers: str = ""
    method: str = "POST"
    target: str = "/graphql"
    content_type: str = f"Content-Type: {JSON}\r\n"
    accept: str = RESPONSE
    length: int | None = None
    document_error: bool = False


def asked(query: str, variables: object = None) -> bytes:
    return json.dumps({"query": query, "variables": variables}).encode()


def document(query: str, code: str, variables: object = None) -> Row:
    return Row(400, code, asked(query, variables), document_error=True)


def document_of_digits(digits: int) -> Row:
    body = asked(RENT, {"y": -1}).replace(b"-1", b"-" + b"9" * digits)
    return Row(400, "VALIDATION_FAILED", body, document_error=True)


FORM = "Content-Type: application/x-www-form-urlencoded\r\n"
PARTS = "Content-Type: multipart/form-data; boundary=x\r\n"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"
)
RENT = 'query($y: Int!) { subject(consent: "x") { tenancy(rentYenPerMonth: $y) { outcome } } }'
UNTIL = 'query($on: Date!) { subject(consent: "x") { immigration { stayCoversUntil(on: $on) { value } } } }'
ROWS: dict[str, Row] = {
    "1 an empty body": Row(400, "BAD_REQUEST", b""),
    "2 half a brace": Row(400, "BAD_JSON", b"{"),
    "3 invalid UTF-8": Row(400, "BAD_JSON", b'{"query":"{a}\xff"}'),
    "4 null": Row(400, "BAD_REQUEST", b"null"),
    "4 a string": Row(400, "BAD_REQUEST", b'"x"'),
    "4 a number": Row(400, "BAD_REQUEST", b"1"),
    "5 variables nested without end": Row(
        400, "BAD_JSON", b'{"query":"{ __typename }","variables":{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}}"
    ),
    "5 variables nested a little too deep": Row(
        400, "BAD_JSON", b'{"query":"{ __typename }","variables":{"a":' + b"[" * 15 + b"]" * 15 + b"}}"
    ),
    "6 a name twice": Row(400, "BAD_JSON", b'{"query":"{ __typename }","query":"{ me { id } }"}'),
    "6 a name twice, deep down": Row(400, "BAD_JSON", b'{"query":"{ __typename }","variables":{"a":{"b":1,"b":2}}}'),
    "7 NaN": Row(400, "BAD_JSON", b'{"query":"{ __typename }","variables":{"a":NaN}}'),
    "7 infinity": Row(400, "BAD_JSON", b'{"query":"{ __typename }","variables":{"a":Infinity}}'),
    "7 1e999": Row(400, "BAD_JSON", b'{"query":"{ __typename }","variables":{"a":1e999}}'),
    "8 a byte too many": Row(413, "PAYLOAD_TOO_LARGE", b" " * (64 * 1024 + 1)),
    "8 a length that is too large": Row(413, "PAYLOAD_TOO_LARGE", b"{", length=999_999_999),
    "9 compressed": Row(
        415, "UNSUPPORTED_ENCODING", gzip.compress(asked("{ __typename }")), "Content-Encoding: gzip\r\n"
    ),
    "10 a form": Row(415, "UNSUPPORTED_MEDIA_TYPE", b"query=x", content_type=FORM),
    "10 plain text": Row(415, "UNSUPPORTED_MEDIA_TYPE", content_type="Content-Type: text/plain\r\n"),
    "10 several parts": Row(415, "UNSUPPORTED_MEDIA_TYPE", content_type=PARTS),
    "10 no type": Row(415, "UNSUPPORTED_MEDIA_TYPE", content_type=""),
    "11 a batch of one": Row(400, "BATCHING_DISABLED", b'[{"query":"{ __typename }"}]'),
    "11 a batch of ten": Row(400, "BATCHING_DISABLED", json.dumps([{"query": "{ __typename }"}] * 10).encode()),
    "12 GET": Row(405, "METHOD_NOT_ALLOWED", b"", method="GET", target="/graphql?query={__typename}"),
    "13 a mutation by GET": Row(405, "METHOD_NOT_ALLOWED", b"", method="GET", target="/graphql?query=mutation{a}"),
    "14 a page is wanted": Row(406, "NOT_ACCEPTABLE", accept="text/html"),
    "15 two operations": document("{ __typename } { __typename }", "OPERATION_AMBIGUOUS"),
    "16 two operations with names": document("query A { __typename } query B { __typename }", "OPERATION_AMBIGUOUS"),
    "17 a bomb of twenty fragments": document(BOMB, "QUERY_TOO_COMPLEX"),
    "18 an unknown fragment": document("{ ...Nope }", "VALIDATION_FAILED"),
    "19 fragments in a circle": document(
        "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }", "VALIDATION_FAILED"
    ),
    "20 a hundred and one aliases": document(
        "{ " + " ".join(f"a{n}: __typename" for n in range(101)) + " }", "QUERY_TOO_COMPLEX"
    ),
    "21 one field five hundred times": document("{ " + "__typename " * 500 + "}", "QUERY_TOO_COMPLEX"),
    "22 ten unknown directives": document(f"{{ __typename {'@aa ' * 10} }}", "QUERY_TOO_COMPLEX"),
    "23 nine hundred levels": document("{" + "a{" * 900 + "a" + "}" * 900 + "}", "QUERY_TOO_COMPLEX"),
    "23 nine hundred lists": document("{ a(b: " + "[" * 900 + "]" * 900 + ") }", "QUERY_TOO_COMPLEX"),
    "25 a typo": document("{ incomeAtLeest }", "VALIDATION_FAILED"),
    "26 nine hundred unknown fields": document(
        "{ " + " ".join(f"f{n}" for n in range(900)) + " }", "QUERY_TOO_COMPLEX"
    ),
    "27 an integer too large": document(RENT, "VALIDATION_FAILED", {"y": 99_999_999_999}),
    "27 an integer of five thousand digits": document(
        f'{{ subject(consent: "x") {{ tenancy(rentYenPerMonth: {"9" * 5000}) {{ outcome }} }} }}', "VALIDATION_FAILED"
    ),
    "27 a variable of four hundred digits": document_of_digits(400),
    "27 a variable of five thousand digits": document_of_digits(5000),
    "27 a day without hyphens": document(UNTIL, "VALIDATION_FAILED", {"on": "20270331"}),
    "27 a day of a week": document(UNTIL, "VALIDATION_FAILED", {"on": "2027-W13-3"}),
    "27 a day as a number": document(UNTIL, "VALIDATION_FAILED", {"on": 20270331}),
    "27 a day without hyphens in the document": document(
        UNTIL.replace("($on: Date!)", "").replace("$on", '"20270331"'), "VALIDATION_FAILED"
    ),
    "28 not registered": Row(403, "OPERATION_NOT_REGISTERED", asked('{ subject(consent: "x") { ref } }')),
    "29 an undeclared variable": document("{ __typename }", "VALIDATION_FAILED", {"more": 1}),
    "30 a subscription": document("subscription { a }", "VALIDATION_FAILED"),
    "30 an upgrade to a websocket": Row(404, "NOT_FOUND", b"", UPGRADE, method="GET", content_type=""),
    "31 deferred": document('{ ... @defer { __typename } }', "VALIDATION_FAILED"),
    "31 streamed": document('{ subjects(consents: ["x"]) @stream { ref } }', "VALIDATION_FAILED"),
    "32 a Host that climbs": Row(400, "BAD_REQUEST", headers="Host: good/../admin?\r\n"),
    "32 two Hosts": Row(400, "BAD_REQUEST", headers="Host: a\r\nHost: b\r\n"),
    "32 another host in the target": Row(400, "BAD_REQUEST", headers="Host: a\r\n", target="http://b/graphql"),
    "33 a length and chunks": Row(400, "BAD_REQUEST", headers="Host: a\r\nTransfer-Encoding: chunked\r\n"),
    "33 a bare line feed": Row(400, "BAD_REQUEST", headers="Host: a\r\nX: y\nY: z\r\n"),
    "33 a folded header": Row(400, "BAD_REQUEST", headers="Host: a\r\nX: y\r\n z\r\n"),
    "33 a NUL": Row(400, "BAD_REQUEST", headers="Host: a\r\nX: \0\r\n"),
}  # fmt: skip

HEAVY = "__schema { __typename } " * 230
LONG = "__typename " * 970
DIFFERENT = [f"subject({' '.join(f'b{(n + k) % 18}: {k}' for n in range(18))}) {{ ref }}" for k in range(15)]
STALLING: dict[str, Row] = {
    "a fragment that is not spread": document(
        f"{{ __typename }} fragment F on Query {{ {HEAVY}}}", "VALIDATION_FAILED"
    ),
    "a long fragment that is not spread": document(
        f"{{ __typename }} fragment F on Query {{ {LONG}}}", "VALIDATION_FAILED"
    ),
    "ten fragments that are not spread": document(
        "{ __typename }" + "".join(f" fragment F{n} on Query {{ {'__typename ' * 90}}}" for n in range(10)),
        "VALIDATION_FAILED",
    ),
    "a fragment that only one that is not spread spreads": document(
        f"{{ __typename }} fragment A on Query {{ ...B }} fragment B on Query {{ {HEAVY}}}", "VALIDATION_FAILED"
    ),
    "a circle of fragments that are not spread": document(
        f"{{ __typename }} fragment A on Query {{ ...B }} fragment B on Query {{ ...A {HEAVY}}}", "VALIDATION_FAILED"
    ),
    "a circle of fragments that are spread": document(
        f"{{ ...A }} fragment A on Query {{ ...B }} fragment B on Query {{ ...A {HEAVY}}}", "QUERY_TOO_COMPLEX"
    ),
    "a fragment's name twice, the first one long": document(
        f"{{ ...F }} fragment F on Query {{ {LONG}}} fragment F on Query {{ __typename }}", "VALIDATION_FAILED"
    ),
    "a fragment's name twice, the second one long": document(
        f"{{ ...F }} fragment F on Query {{ __typename }} fragment F on Query {{ {LONG}}}", "VALIDATION_FAILED"
    ),
    "a fragment's name many times": document("{ ...F }" + " fragment F on Query { a }" * 140, "QUERY_TOO_COMPLEX"),
    "a long operation beside a short one": document(f"{{ __typename }} query A {{ {LONG}}}", "OPERATION_AMBIGUOUS"),
    "unknown fragments": document("{ " + " ".join(f"...F{n}" for n in range(399)) + " }", "VALIDATION_FAILED"),
    "definitions of directives": document(
        "{ __typename } " + " ".join(f"directive @d{n} on FIELD" for n in range(190)), "VALIDATION_FAILED"
    ),
    "a definition of a type": document(f"{{ __typename }} type T {{ {'a: Int ' * 300}}}", "VALIDATION_FAILED"),
    "a definition of an enum": document(f"{{ __typename }} enum T {{ {'A ' * 980}}}", "VALIDATION_FAILED"),
    "a definition with deep lists": document(
        f"{{ __typename }} input T {{ a: Int = {'[1 ' * 150}{']' * 150} }}", "VALIDATION_FAILED"
    ),
    "a type of deep lists": document(
        f"query($a: {'[' * 190}Int{']' * 190}) {{ __typename }}", "VALIDATION_FAILED"
    ),
    "a wide list": document(f'{{ subject(consent: [{"1 " * 970}]) {{ ref }} }}', "VALIDATION_FAILED"),
    "one key with arguments that differ": document(f"{{ {' '.join(DIFFERENT)} }}", "VALIDATION_FAILED"),
    "a wide default": document(f"query($a: [Int] = [{'1 ' * 960}]) {{ __typename }}", "VALIDATION_FAILED"),
    "a default of many members": document(
        f"query($a: X = {{ {'a: 1 ' * 320}}}) {{ __typename }}", "VALIDATION_FAILED"
    ),
    "fields below many inline fragments": document(
        "{ " + "... { " * 150 + "subject { ref a b c d e f g h } " * 16 + "} " * 150 + "}", "VALIDATION_FAILED"
    ),
    "ten fragments that overlap": document(
        "{ " + " ".join(f"...F{n}" for n in range(10)) + " }"
        + "".join(f" fragment F{n} on Query {{ {' '.join(f'f{k} {{ a }}' for k in range(18))} }}" for n in range(10)),
        "VALIDATION_FAILED",
    ),
}  # fmt: skip
"""What validation would take long for, were it not weighed before."""

REFUSED = ROWS | STALLING

ONLY_OF_A_PARTY = (
    *("27 an integer too large", "28 not registered"),
    *("27 a day without hyphens", "27 a day of a week", "27 a day as a number"),
)
"""Another's operation is refused for that."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """A sandbox where the lender runs only what it has registered."""
    folder = tmp_path_factory.mktemp("inputs")
    config = copied_config(folder)
    changed(config / "relying_parties.toml", 'sector = "minato-finance"\n',
            'sector = "minato-finance"\nregistered_documents_only = true\n')  # fmt: skip
    async with own_sandbox(settings_for(folder / "state", config=config)) as made:
        yield made


def wire(row: Row, authorization: str | None, accept: str) -> bytes:
    host = "" if "Host:" in row.headers else "Host: gateway\r\n"
    length = f"Content-Length: {len(row.body) if row.length is None else row.length}\r\n"
    asker = f"Authorization: {authorization}\r\n" if authorization is not None else ""
    head = (
        f"{row.method} {row.target} HTTP/1.1\r\n{host}{row.headers}{asker}X-Canary: {CANARY.decode()}\r\n"
        f"Accept: {accept}\r\n{row.content_type}{length}Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + row.body


def exchange(port: int, whole: bytes) -> bytes:
    """Send it; everything that came back until the connection ended."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        with suppress(OSError):  # refused before it was all sent
            connection.sendall(whole)
        return b"".join(iter(lambda: connection.recv(64 * 1024), b""))


async def longest_stall(port: int, whole: bytes) -> tuple[bytes, float]:
    """What came back, and the longest that the event loop did nothing else meanwhile."""
    longest, last = 0.0, time.perf_counter()

    async def tick() -> None:
        nonlocal longest, last
        while True:
            await asyncio.sleep(TICK_SECONDS)
            longest, last = max(longest, time.perf_counter() - last - TICK_SECONDS), time.perf_counter()

    ticking = asyncio.create_task(tick())
    received = await asyncio.to_thread(exchange, port, whole)
    await asyncio.sleep(TICK_SECONDS * 2)
    ticking.cancel()
    return received, longest


@pytest.fixture
def without_collecting() -> Iterator[None]:
    """A full collection of what the tests keep is not the gateway's doing."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("without_collecting")
@pytest.mark.parametrize("name", REFUSED)
async def test_a_bad_input_gets_its_stated_result_and_stalls_nothing(quick: Caller, name: str) -> None:
    row = REFUSED[name]
    key = quick.running.keys["lender" if name.startswith("28") else "bank"]
    port = urlsplit(quick.running.url).port or 0
    stalls = []
    for _ in range(TRIES):
        received, stall = await longest_stall(port, wire(row, f"Bearer {key}", row.accept))
        stalls.append(stall)
        if stall <= STALL_SECONDS:
            break
    assert_refused(received, row)
    assert min(stalls) <= STALL_SECONDS


@pytest.mark.parametrize("authorization", [None, "Person P01"], ids=["nobody", "a person"])
@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ONLY_OF_A_PARTY])
async def test_a_bad_input_is_as_bad_whoever_sends_it(quick: Caller, name: str, authorization: str | None) -> None:
    port = urlsplit(quick.running.url).port or 0
    row = REFUSED[name]
    assert_refused(await asyncio.to_thread(exchange, port, wire(row, authorization, row.accept)), row)


TOLD_BEFORE_VALIDATION = ("QUERY_TOO_COMPLEX", "OPERATION_AMBIGUOUS")


@pytest.mark.parametrize("name", [name for name, row in REFUSED.items() if row.code in TOLD_BEFORE_VALIDATION])
async def test_what_is_not_registered_is_told_first_what_is_wrong_with_it(quick: Caller, name: str) -> None:
    row = REFUSED[name]
    port = urlsplit(quick.running.url).port or 0
    received = await asyncio.to_thread(exchange, port, wire(row, f"Bearer {quick.running.keys['lender']}", RESPONSE))
    assert_refused(received, row)


def assert_refused(received: bytes, row: Row, *, status: int | None = None) -> None:
    """The one error of the row, and nothing in it that the caller sent. `status`: another than the row's."""
    status, code = status or row.status, row.code
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    answered = json.loads(body)
    (error,) = answered["errors"]
    assert set(answered) <= {"errors", "extensions"}
    assert set(error) == {"message", "extensions"}
    assert set(error["extensions"]) == {"code", "requestId", "retryable"}
    assert error["extensions"]["code"] == code
    assert len(body) <= 1024
    assert b"Did you mean" not in body
    assert CANARY not in received
    assert not {word for word in _WORD.findall(row.body) if word in body} - OUR_OWN_WORDS
    if status == 405:
        assert b"allow: post" in head.lower()


@pytest.mark.parametrize("name", [name for name, row in REFUSED.items() if row.document_error])
async def test_under_application_json_a_documents_error_is_a_200(quick: Caller, name: str) -> None:
    row = REFUSED[name]
    port = urlsplit(quick.running.url).port or 0
    received = await asyncio.to_thread(exchange, port, wire(row, f"Bearer {quick.running.keys['bank']}", JSON))
    assert_refused(received, row, status=200)


def test_every_row_is_here_or_has_a_test_of_its_own() -> None:
    """24 (introspection outside the sandbox) is in tests/audits/test_graphql_cop.py; 34 (a head that trickles) in
    test_connection.py, with the deadline that stands here."""
    elsewhere = {24, 34}
    assert {int(name.split()[0]) for name in ROWS} | elsewhere == set(range(1, 35))
    assert GatewayConnection.header_seconds == HEADER_SECONDS <= 4.9, "and some time for the refusal"
