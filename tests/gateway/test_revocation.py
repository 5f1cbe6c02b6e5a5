"""When revoke has returned, nothing leaves any more: histories of concurrent queries and revocations, checked."""

import asyncio
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.app import Gateway, open_gateway
from gateway.consent.grant import GrantEvent
from gateway.http.server import listening_socket, served
from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.sources import Sources, today_in_japan
from gateway.store.database import open_database, sqlite_url
from gateway.store.envelope import Envelope, read_master_key
from gateway.store.grants import Grants
from gateway.store.log import AuditLog
from tests.conftest import full_count
from tests.gateway.gateway_process import LEFT_AT, Clocked, GatewayProcess, Launch, quick_settings
from tests.gateway.history import LATE_BYTE, LATE_QUERY, Kind, Operation, Result, Violation, find_violations, races
from tests.gateway.record import copied_to_sqlite, opened_record

ROUNDS = 5_000
"""Revocations on each database: ten thousand in all, and a twentieth of them outside `make soak`."""
QUERIERS = 16
REVOKERS = 16
RACING = 2
"""How many queries are made around each revocation."""
PEOPLE = ("P01", "P02", "P03", "P04", "P05")
DOCUMENT = "query($c: ConsentToken!) { subject(consent: $c) { immigration { statusLawful { value state } } } }"
PREVIEW = 'mutation($d: String!) { previewConsent(document: $d, relyingParty: "landlord", purpose: TENANCY) { id } }'
GRANT = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken grant { id } } }"
REVOKE = "mutation($id: ID!) { revokeConsent(grant: $id) { id status } }"

Around = Callable[[ASGIApp], ASGIApp]


# --- doubles of the far end, and of a gateway that keeps its promise badly ------------------------------------


@dataclass(slots=True)
class Impatient:
    """A gateway whose revoke commits and returns at once, without waiting for the leases: what must be caught."""

    gateway: Gateway
    grants: Grants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = orjson.loads(await _body(receive))
        assert asked["query"] == REVOKE
        authorization = dict(scope["headers"])[b"authorization"].decode()
        await self._revoke(authorization.removeprefix("Person "), asked["variables"]["id"])
        told = orjson.dumps({"data": {"revokeConsent": {"status": "REVOKED"}}})
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": told})

    async def _revoke(self, person_id: str, grant_id: str) -> None:
        person = await self.gateway.stores.people.find(person_id)
        assert person is not None
        grant = await self.grants.find_of_person(grant_id, person)
        assert grant is not None
        await self.grants.change(grant, person, GrantEvent.REVOKED, now=self.gateway.now())
        await self.gateway.gatherer.cancel(grant_id)


class Remembering:
    """A cache in front of the gateway that gives a response again without asking: what must be caught too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._kept: dict[bytes, list[Message]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await _body(receive)
        if body in self._kept:
            for message in self._kept[body]:
                await send(dict(message))
            return
        sent: list[Message] = []

        async def remember(message: Message) -> None:
            sent.append(dict(message))
            await send(message)

        await self._app(scope, _once(body), remember)
        if b'"statusLawful"' in sent[-1]["body"]:
            self._kept[body] = sent


async def _body(receive: Receive) -> bytes:
    """The body of a request of this test: one message; empty if the caller has gone."""
    body: bytes = (await receive()).get("body", b"")
    return body


def _once(body: bytes) -> Receive:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


# --- a stage: authorities, a gateway, callers, and the history that they write -------------------------------


@dataclass(slots=True)
class Callers:
    """Callers of one gateway, and the history of what they called."""

    state: Path
    url: str
    addresses: Iterator[str]
    key: str
    http: httpx.AsyncClient
    history: list[Operation] = field(default_factory=list)
    ended: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=8))

    async def post(
        self, authorization: str, query: str, variables: dict[str, Any], *, url: str = ""
    ) -> httpx.Response:
        return await self.http.post(
            f"{url or next(self.addresses)}/graphql",
            content=orjson.dumps({"query": query, "variables": variables}),
            headers={"authorization": authorization, "content-type": "application/json"},
        )

    async def consent(self, person: str, *, document: str = DOCUMENT) -> tuple[str, str]:
        """A consent whose evidence is warm: the grant's id and its token."""
        previewed = (await self.post(f"Person {person}", PREVIEW, {"d": document})).json()
        preview = previewed["data"]["previewConsent"]["id"]
        granted = (await self.post(f"Person {person}", GRANT, {"id": preview})).json()["data"]["grantConsent"]
        return granted["grant"]["id"], granted["consentToken"]

    async def query(self, grant: str, token: str) -> Operation:
        invoked_at = time.monotonic()
        left_at, result = None, Result.NOTHING
        with suppress(httpx.TransportError):  # an answer whose lease ran out may end the connection
            response = await self.post(f"Bearer {self.key}", DOCUMENT, {"c": token})
            result = Result.DATA if '"state"' in response.text else Result.NOTHING
            if LEFT_AT.decode() in response.headers:  # not in the server's own 500 for a send that was given up
                left_at = float(response.headers[LEFT_AT.decode()])
        return self._note(Operation(Kind.QUERY, grant, result, invoked_at, left_at, time.monotonic()))

    async def revoke(self, person: str, grant: str, *, url: str = "") -> Operation:
        invoked_at = time.monotonic()
        response = await self.post(f"Person {person}", REVOKE, {"id": grant}, url=url)
        assert response.json()["data"]["revokeConsent"]["status"] == "REVOKED"
        left_at = float(response.headers[LEFT_AT.decode()])
        return self._note(Operation(Kind.REVOKE, grant, Result.REVOKED, invoked_at, left_at, time.monotonic()))

    def _note(self, operation: Operation) -> Operation:
        self.history.append(operation)
        return operation


@dataclass(slots=True)
class Stage(Callers):
    """A gateway in this process, behind a real socket, with its callers."""

    gateway: Gateway = field(kw_only=True)


@asynccontextmanager
async def opened_callers(state: Path, *addresses: str) -> AsyncIterator[Callers]:
    """Callers of the gateways at these addresses, by turns."""
    key = read_sandbox_keys(quick_settings(state))["landlord"]
    async with httpx.AsyncClient(trust_env=False, timeout=10) as http:
        yield Callers(state, addresses[0], cycle(addresses), key, http)


@asynccontextmanager
async def open_stage(state: Path, around: Around = Clocked) -> AsyncIterator[Stage]:
    """A stage; `around` is what stands between the gateway and its sockets."""
    settings = quick_settings(state)
    people = read_people(default_people_folder())
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(
            open_authorities(settings, people.folder, today=people.clock_on, profile="brisk")
        )
        sources = Sources(urls, poll_seconds=0.01, today=lambda: max(people.clock_on, today_in_japan()))
        gateway = await stack.enter_async_context(
            open_gateway(settings, sources=sources, today=lambda: people.clock_on)
        )
        await gateway.enrol(people.identities)
        url = await stack.enter_async_context(served(around(gateway.app), listening_socket("127.0.0.1", 0)))
        callers = await stack.enter_async_context(opened_callers(state, url))
        yield Stage(state, url, callers.addresses, callers.key, callers.http, gateway=gateway)


async def run_history(stage: Callers, revocations: int, seed: int = 0) -> None:
    """Consents are given and revoked by some, while others ask under those about to end and those that have ended."""
    left = iter(range(revocations))
    random = Random(seed)
    about_to_end: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def revoker() -> None:
        for number in left:
            person = PEOPLE[number % len(PEOPLE)]
            grant, token = await stage.consent(person)
            while (await stage.query(grant, token)).result is not Result.DATA:
                pass
            for _ in range(RACING):
                about_to_end.put_nowait((grant, token))
            await asyncio.sleep(random.uniform(0, 0.03))
            await stage.revoke(person, grant)
            await stage.query(grant, token)
            stage.ended.append((grant, token))

    async def querier() -> None:
        while True:
            await stage.query(*await about_to_end.get())
            if stage.ended and random.random() < 0.1:
                await stage.query(*random.choice(stage.ended))

    queriers = [asyncio.create_task(querier()) for _ in range(QUERIERS)]
    try:
        await asyncio.gather(*(revoker() for _ in range(REVOKERS)))
    finally:
        for task in queriers:
            task.cancel()
        await asyncio.gather(*queriers, return_exceptions=True)


# --- the promise ---------------------------------------------------------------------------------------------


@pytest.mark.soak
@pytest.mark.parametrize("processes", [pytest.param(1, id="SQLite"), pytest.param(2, id="two on PostgreSQL")])
async def test_no_consent_is_honoured_once_revoke_returned(
    tmp_path: Path, processes: int, request: pytest.FixtureRequest
) -> None:
    database_url = "" if processes == 1 else request.getfixturevalue("fresh_postgres")()
    state, people = tmp_path / "state", read_people(default_people_folder())
    async with open_authorities(quick_settings(state), people.folder, today=people.clock_on, profile="brisk") as urls:
        launch = Launch(state, urls, tmp_path / "output", way_out_seconds=0.15, database_url=database_url)
        gateways = [GatewayProcess(launch) for _ in range(processes)]
        try:
            addresses = [await gateway.start() for gateway in gateways]
            async with opened_callers(state, *addresses) as stage:
                await run_history(stage, full_count(ROUNDS, parts=20))
        finally:
            for gateway in gateways:
                await gateway.kill()
    assert find_violations(stage.history) == []
    assert races(stage.history) >= full_count(ROUNDS, parts=20), (
        "queries were under way while their grant was revoked"
    )
    results = [operation.result for operation in stage.history]
    assert results.count(Result.REVOKED) == full_count(ROUNDS, parts=20)
    assert results.count(Result.DATA) >= full_count(ROUNDS, parts=20), "and most were answered before"
    await check_log(state, database_url)


async def check_log(state: Path, database_url: str) -> None:
    """In the log, too, no release of a grant stands after its revocation."""
    if database_url:
        await copied_to_sqlite(database_url, state)
    with opened_record(state) as record:
        record.check_whole()
        revoked: set[str] = set()
        for entry in record.entries():
            grant = (entry.detail or {}).get("grant")
            if entry.kind == "CONSENT_REVOKED" and grant is not None:
                revoked.add(grant)
            assert not (entry.kind.startswith("RELEASED") and grant in revoked)


@pytest.mark.parametrize("waits", [True, False], ids=["production", "impatient"])
async def test_a_revoke_that_does_not_wait_for_the_leases_is_caught(tmp_path: Path, waits: bool) -> None:
    """The checker's own test: revocations while an answer is on a slow way out, over the gateway as it is and over
    one made of its parts whose revoke returns too soon."""
    is_leaving = asyncio.Event()
    is_leaving.set()

    def slow() -> float:
        """Only the response that leaves first after `is_leaving` was cleared has a slow way out."""
        delay_seconds = 0.0 if is_leaving.is_set() else 0.08
        is_leaving.set()
        return delay_seconds

    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(open_stage(tmp_path / "state", lambda app: Clocked(app, slow)))
        if not waits:
            grants = await stack.enter_async_context(_opened_grants(stage))
            impatient = Clocked(Impatient(stage.gateway, grants))
            url = await stack.enter_async_context(served(impatient, listening_socket("127.0.0.1", 0)))
        for _ in range(4):
            grant, token = await stage.consent("P01")
            is_leaving.clear()
            query = asyncio.create_task(stage.query(grant, token))
            await is_leaving.wait()
            await (stage.revoke("P01", grant) if waits else stage.revoke("P01", grant, url=url))
            await query
    assert Result.DATA in {operation.result for operation in stage.history}
    found = {violation.what for violation in find_violations(stage.history)}
    assert found == (set() if waits else {LATE_BYTE})


@asynccontextmanager
async def _opened_grants(stage: Stage) -> AsyncIterator[Grants]:
    """Grants over the stage's database and writer."""
    database = open_database(sqlite_url(stage.state / "kyosei.sqlite"))
    envelope = Envelope(read_master_key(stage.state / "keys" / "master.key", may_make=False))
    log = AuditLog(database.reading, envelope, engine_version="test")
    gateway = stage.gateway
    people, writer = gateway.stores.people, gateway.writer
    yield Grants(database.reading, writer=writer, envelope=envelope, people=people, log=log, is_alone=True)
    await database.close()


async def test_a_response_that_is_given_again_without_asking_is_caught(tmp_path: Path) -> None:
    async with open_stage(tmp_path / "state", lambda app: Clocked(Remembering(app))) as stage:
        await run_history(stage, 8)
    assert LATE_QUERY in {violation.what for violation in find_violations(stage.history)}


# --- the checker on written histories ------------------------------------------------------------------------


def asked(invoked_at: float, left_at: float, returned_at: float, *, grant: str = "g") -> Operation:
    return Operation(Kind.QUERY, grant, Result.DATA, invoked_at, left_at, returned_at)


REVOKED = Operation(Kind.REVOKE, "g", Result.REVOKED, 1.0, 1.1, 1.11)


@pytest.mark.parametrize(
    ("operation", "what"),
    [
        (asked(0.9, 1.05, 1.06), None),
        (asked(1.05, 1.09, 1.5), None),
        (asked(1.05, 1.1, 1.2), None),
        (asked(1.05, 1.101, 1.2), LATE_BYTE),
        (asked(0.2, 9.0, 9.1), LATE_BYTE),
        (asked(1.2, 1.3, 1.4), LATE_QUERY),
        (asked(1.2, 1.3, 1.4, grant="another"), None),
        (Operation(Kind.QUERY, "g", Result.NOTHING, 1.2, 1.3, 1.4), None),
        (Operation(Kind.QUERY, "g", Result.DATA, 1.05, None, 1.2), LATE_BYTE),
    ],
)
def test_the_checker_finds_what_came_too_late_and_nothing_else(operation: Operation, what: str | None) -> None:
    for history in ([operation, REVOKED], [REVOKED, operation]):
        assert [violation.what for violation in find_violations(history)] == ([what] if what else [])


def test_the_first_revocation_counts() -> None:
    again = Operation(Kind.REVOKE, "g", Result.REVOKED, 5.0, 5.1, 5.2)
    assert find_violations([REVOKED, again, asked(1.6, 1.7, 1.8)]) == [Violation(LATE_QUERY, "g", 0.5)]


def test_a_history_of_two_clocks_is_no_history() -> None:
    with pytest.raises(ValueError, match="not one clock"):
        find_violations([asked(2.0, 1.0, 3.0)])


def test_races_count_only_queries_that_overlap_their_own_revocation() -> None:
    overlapping = [asked(0.5, 1.0, 1.01), asked(1.05, 1.06, 1.5)]
    apart = [asked(0.1, 0.2, 0.3), asked(2.0, 2.1, 2.2), asked(0.5, 1.0, 1.01, grant="another")]
    assert races([REVOKED, *overlapping, *apart]) == 2


# --- the lease -----------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="session", name="stage")
async def make_stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path / "state") as stage:
        yield stage


def _scope(key: str) -> Scope:
    headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/graphql",
        "raw_path": b"/graphql",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


@pytest.mark.parametrize(("delay_seconds", "leaves"), [(0.0, True), (0.04, True), (0.2, False), (1.0, False)])
async def test_a_response_whose_lease_ran_out_is_discarded(stage: Stage, delay_seconds: float, leaves: bool) -> None:
    """The way to the socket takes so long; what is put on the wire is noted when it gets there."""
    _, token = await stage.consent("P01")
    wire: list[Message] = []

    async def send(message: Message) -> None:
        await asyncio.sleep(delay_seconds if message["type"] == "http.response.start" else 0)
        wire.append(message)

    body = orjson.dumps({"query": DOCUMENT, "variables": {"c": token}})
    await stage.gateway.app(_scope(stage.key), _once(body), send)
    start, *_ = wire
    told = b"".join(message.get("body", b"") for message in wire)
    assert (b'"state"' in told) is leaves, "not a byte of it"
    assert (b'"OVERLOADED"' in told) is not leaves, "and whoever asked is told to ask again"
    assert start["status"] == (200 if leaves else 503)


async def test_a_revocation_during_a_slow_send_returns_after_the_lease_and_the_answer_never_leaves(
    stage: Stage,
) -> None:
    grant, token = await stage.consent("P01")
    wire: list[Message] = []
    is_sending = asyncio.Event()

    async def send(message: Message) -> None:
        is_sending.set()
        await asyncio.sleep(0.09 if message["type"] == "http.response.start" else 0)
        wire.append({**message, "at": time.monotonic()})

    body = orjson.dumps({"query": DOCUMENT, "variables": {"c": token}})
    asking = asyncio.create_task(stage.gateway.app(_scope(stage.key), _once(body), send))
    await is_sending.wait()
    revoked = await stage.revoke("P01", grant)
    await asyncio.gather(asking, return_exceptions=True)
    assert revoked.left_at is not None
    assert revoked.left_at - revoked.invoked_at >= 0.1
    late = b"".join(message.get("body", b"") for message in wire if message["at"] > revoked.left_at)
    assert b'"state"' not in late


async def test_a_reader_so_slow_that_nothing_can_be_sent_gets_nothing_after_revoke(stage: Stage) -> None:
    """A large response fills the socket, the reader stops; the answer behind it waits, and then may not leave."""
    grant, token = await stage.consent("P01")
    large = " ".join(f"{'a' * 2_000}{number}: description" for number in range(8))
    big = f"{{ __schema {{ types {{ fields {{ {large} }} }} }} }}"
    requests = [orjson.dumps({"query": big}), orjson.dumps({"query": DOCUMENT, "variables": {"c": token}})]
    loop = asyncio.get_running_loop()
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.setblocking(False)
        await loop.sock_connect(reader, ("127.0.0.1", int(stage.url.rpartition(":")[2])))
        await loop.sock_sendall(reader, b"".join(_raw(stage.key, body) for body in requests))
        await _released(stage, grant)
        revoked = await stage.revoke("P01", grant)
        received = bytearray()
        with suppress(TimeoutError, OSError):
            while chunk := await asyncio.wait_for(loop.sock_recv(reader, 1 << 20), 2):
                received += chunk
    assert len(received) > 5_000_000, "the large response came through"
    assert b'"statusLawful"' not in received
    assert revoked.result is Result.REVOKED


def _raw(key: str, body: bytes) -> bytes:
    head = (
        "POST /graphql HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _released(stage: Stage, grant: str) -> None:
    """Wait until a release of this grant is on record."""
    for _ in range(200):
        with opened_record(stage.state) as record:
            if any(e.kind == "RELEASED" and e.detail and e.detail["grant"] == grant for e in record.entries()):
                return
        await asyncio.sleep(0.05)
    raise AssertionError("nothing was released")
