"""A body filled to its last byte with one thing: refused or answered, and nobody else waits for it."""

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.http.request import MAX_BODY_BYTES
from tests.conftest import Caller
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

RESPONSE = "application/graphql-response+json"
BUSY_SECONDS = 0.05
"""The longest that the event loop may be at work on one thing. Source: security 2."""
TICK_SECONDS = 0.005
TRIES = 3

SUBJECTS = "query($c: [ConsentToken!]!) { subjects(consents: $c) { ref } }"
GRANT = 'mutation($c: [String!]) { grantConsent(preview: "x", leaveOut: $c) { consentToken } }'
PREVIEW = (
    "mutation($d: String!, $v: JSON) "
    '{ previewConsent(document: $d, variables: $v, relyingParty: "lender", purpose: LENDING) { id } }'
)
EVERYTHING = "__schema { types { name description fields { name type { name ofType { name } } args { name } } } }"


def asked(query: str, variables: Any = None) -> bytes:
    return json.dumps({"query": query, "variables": variables}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Full:
    """A body of `count` times the same thing, and the codes of which it gets one; none: it is answered."""

    make: Callable[[int], bytes]
    expected: tuple[str, ...]
    person: bool = False

    def body(self) -> bytes:
        """The longest that is still read."""
        fits, too_many = 1, MAX_BODY_BYTES + 1
        while too_many - fits > 1:
            count = (fits + too_many) // 2
            fits, too_many = (count, too_many) if len(self.make(count)) <= MAX_BODY_BYTES else (fits, count)
        return self.make(fits)


def text(before: str, piece: str, after: str, *expected: str) -> Full:
    """A document filled with a piece of text."""
    return Full(lambda count: asked(before + piece * count + after), expected)


def items(query: str, item: Any, *expected: str, person: bool = False) -> Full:
    """A variable that is a list of the same item."""
    return Full(lambda count: asked(query, {"c": [item] * count}), expected, person)


INVALID, COMPLEX = "VALIDATION_FAILED", "QUERY_TOO_COMPLEX"
TOO_MANY = (INVALID, COMPLEX)
FULL = {
    "spaces": text("{", " ", "__typename}"),
    "lines": text("{", "\n", "__typename}"),
    "commas": text("{", ",", "__typename}"),
    "a comment": text("{ #", "a", "\n __typename}"),
    "comments": text("{", "#\n", "__typename}", COMPLEX),
    "a name": text("{", "a", "}", INVALID),
    "names": text("{", "a ", "}", COMPLEX),
    "braces": text("", "{", "", INVALID),
    "brackets": text("{a(b:", "[", "", COMPLEX),
    "a number": text("{a(b:", "9", ")}", INVALID),
    "a string": text('{a(b:"', "a", '")}', COMPLEX),
    "a string of escapes": text('{a(b:"', "\\u{61}", '")}', COMPLEX),
    "a string without an end": text('{a(b:"', "a", "", INVALID),
    "a block string": text('{a(b:"""', " a\n", '""")}', COMPLEX),
    "an error behind many lines": text("", "\n", "}", INVALID),
    "tokens": items(SUBJECTS, "", COMPLEX),
    "numbers instead of tokens": items(SUBJECTS, 1, *TOO_MANY),
    "nulls instead of tokens": items(SUBJECTS, None, *TOO_MANY),
    "objects instead of tokens": items(SUBJECTS, {}, *TOO_MANY),
    "lists instead of tokens": items(SUBJECTS, [], *TOO_MANY),
    "numbers instead of a number": items("query($c: Int!) { __typename @skip(if: $c) }", 1, *TOO_MANY),
    "questions to leave out": items(GRANT, "", "CONSENT_REQUEST_INVALID", *TOO_MANY, person=True),
    "numbers instead of questions to leave out": items(GRANT, 1, *TOO_MANY, person=True),
    "a request's variables": Full(
        lambda count: asked(PREVIEW, {"d": SUBJECTS, "v": {"c": [1] * count}}), TOO_MANY, person=True
    ),
    "a request's document": Full(
        lambda count: asked(PREVIEW, {"d": "{" + " " * count + "__typename}"}),
        ("CONSENT_REQUEST_INVALID",),
        person=True,
    ),
    "variables that nobody declared": Full(
        lambda count: asked("{__typename}", {str(number): 1 for number in range(count)}), TOO_MANY
    ),
    "the schema eight times beside oneself": Full(
        lambda count: asked("{ me { id } " + " ".join(f"a{n}: {EVERYTHING}" for n in range(min(count, 8))) + " }"),
        (INVALID,),
        person=True,
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


@pytest.fixture
def without_collecting() -> Iterator[None]:
    """A full collection of what the tests keep is not the gateway's doing."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


async def busiest(sending: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    """What came back to another thread, and the most seconds of processor that this thread, the gateway's, was at
    work between two ticks: a busy machine changes nothing about it."""
    most, last = 0.0, time.thread_time()

    async def tick() -> None:
        nonlocal most, last
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.thread_time()
            most, last = max(most, now - last), now

    ticking = asyncio.create_task(tick())
    response = await asyncio.to_thread(sending)
    await asyncio.sleep(2 * TICK_SECONDS)
    ticking.cancel()
    return response, most


@pytest.mark.usefixtures("without_collecting")
@pytest.mark.parametrize("name", FULL)
async def test_a_body_full_of_one_thing_keeps_nobody_waiting(quick: Caller, name: str) -> None:
    full = FULL[name]
    content = full.body()
    asker = "Person P01" if full.person else f"Bearer {quick.running.keys['lender']}"
    headers = {"authorization": asker, "content-type": "application/json", "accept": RESPONSE}
    spent = []
    with httpx.Client(base_url=quick.running.url, trust_env=False, timeout=30) as http:
        for _ in range(TRIES):
            response, busy = await busiest(lambda: http.post("/graphql", content=content, headers=headers))
            assert set(codes(response.json())) <= set(full.expected)
            assert bool(codes(response.json())) is bool(full.expected)
            spent.append(busy)
    assert min(spent) <= BUSY_SECONDS
