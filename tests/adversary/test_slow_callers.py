"""Callers who send slowly, or do not read: they keep a connection, and nobody else waits for them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import orjson
import pytest
import pytest_asyncio
from graphql import get_introspection_query

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour
from gateway.settings_parts import AdmissionSettings
from tests.adversary.test_a_reader_that_does_not_read import until_stalled
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

LAWFUL = request_for("Immigration.statusLawful")
PLACES = 2
SLOW_CALLERS = 2 * PLACES
SLOW_SOURCE = Behaviour(latency_ms=(1_000, 1_000))
OWN_RECORD = "{ me { records { source state } } }"
FORM = "Content-Type: application/x-www-form-urlencoded\r\n"


@asynccontextmanager
async def small_sandbox(state: Path, source: Behaviour | None = None) -> AsyncIterator[Caller]:
    """A gateway with two places in each lane, and none to wait."""
    settings = settings_for(state, behaviours={SourceAuthority.IMMIGRATION: source} if source else {})
    lane = AdmissionSettings().people.model_copy(update={"busy": PLACES, "waiting": 0, "overloaded_waiting": 0})
    admission = AdmissionSettings(relying_parties=lane, people=lane, revocations=lane, in_flight=PLACES)
    gateway = settings.gateway.model_copy(update={"admission": admission})
    async with own_sandbox(settings.model_copy(update={"gateway": gateway})) as caller:
        yield caller


@pytest_asyncio.fixture(loop_scope="session")
async def small(tmp_path: Path) -> AsyncIterator[Caller]:
    async with small_sandbox(tmp_path) as caller:
        yield caller


@asynccontextmanager
async def begun_bodies(caller: Caller, path: str, headers: str = FORM) -> AsyncIterator[None]:
    """While the context lasts, more requests than there are places have sent their head and one byte."""
    address, writers = urlsplit(caller.running.url), []
    for _ in range(SLOW_CALLERS):
        _, writer = await asyncio.open_connection(address.hostname, address.port)
        writer.write(f"POST {path} HTTP/1.1\r\nHost: gateway\r\n{headers}Content-Length: 9\r\n\r\na".encode())
        await writer.drain()
        writers.append(writer)
    await asyncio.sleep(0.2)
    try:
        yield
    finally:
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("path", ["/oauth/token", "/oauth/par", "/graphql"])
async def test_bodies_that_do_not_arrive_keep_no_relying_party_waiting(small: Caller, path: str) -> None:
    token, _ = await small.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
    key = f"Bearer {small.running.keys['bank']}"
    headers = f"Authorization: {key}\r\nContent-Type: application/json\r\n" if path == "/graphql" else FORM
    async with begun_bodies(small, path, headers):
        assert codes((await small.post(key, LAWFUL, {"consent": token})).json()) == []


@pytest.mark.parametrize("path", ["/oauth/revoke", "/sign-in/sandbox", "/consents/x/revoke"])
async def test_bodies_that_do_not_arrive_keep_no_person_waiting(small: Caller, path: str) -> None:
    _, grant = await small.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
    async with begun_bodies(small, path):
        assert (await small.http.get("/sign-in")).status_code == 200
        assert (await small.revoke("P01", grant))["data"]["revokeConsent"]["status"] == "REVOKED"


def long_answers(count: int) -> bytes:
    """So many requests of nobody's, each with an answer that is long."""
    body = orjson.dumps({"query": get_introspection_query()})
    head = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return (f"POST /graphql HTTP/1.1\r\nHost: gateway\r\n{head}".encode() + body) * count


async def test_callers_who_do_not_read_keep_no_relying_party_waiting(small: Caller) -> None:
    token, _ = await small.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
    address = urlsplit(small.running.url)
    assert address.port is not None
    feeding, sockets = [], [socket.socket() for _ in range(PLACES)]
    try:
        for own in sockets:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            own.setblocking(False)
            await asyncio.get_running_loop().sock_connect(own, (address.hostname, address.port))
            feeding.append(asyncio.create_task(asyncio.get_running_loop().sock_sendall(own, long_answers(40))))
        await asyncio.gather(*(until_stalled(own, address.port) for own in sockets))
        asked = await small.post(f"Bearer {small.running.keys['bank']}", LAWFUL, {"consent": token})
        assert codes(asked.json()) == []
    finally:
        for task in feeding:
            task.cancel()
        await asyncio.gather(*feeding, return_exceptions=True)
        for own in sockets:
            own.close()


async def test_where_there_is_no_room_for_people_they_can_still_take_back(tmp_path: Path) -> None:
    async with small_sandbox(tmp_path, SLOW_SOURCE) as caller:
        _, grant = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        asking = [asyncio.create_task(caller.as_person(person, OWN_RECORD)) for person in ("P02", "P03")]
        await asyncio.sleep(0.3)
        assert codes(await caller.as_person("P04", OWN_RECORD)) == ["OVERLOADED"]
        assert (await caller.revoke("P01", grant))["data"]["revokeConsent"]["status"] == "REVOKED"
        for path in ("/oauth/revoke", f"/consents/{grant}/revoke", f"/consents/{grant}/pause"):
            assert (await caller.http.post(path, data={"a": "b"})).status_code != 503
        assert (await caller.http.delete(f"/oauth/grants/{grant}")).status_code == 401
        await asyncio.gather(*asking)
