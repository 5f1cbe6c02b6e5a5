"""Two gateway processes on one PostgreSQL: a proof is used once in both, and keys change under load unnoticed."""

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from gateway.app import open_operator
from gateway.settings import Settings
from gateway.store.signing_keys import PUBLISHED_BEFORE
from tests.conftest import ROOT, FreshDatabase, full_count
from tests.gateway.gateway_process import quick_settings
from tests.gateway.sandboxes import codes
from tests.oauth.party import OAuthParty

PUBLIC_URL = "https://gateway.example"
REGISTERED_SECONDS = 10.0
A_SECOND = 100
"""Requests a second while keys are rotated."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Two processes that know the same relying party."""

    settings: Settings
    party: OAuthParty
    https: tuple[httpx.AsyncClient, ...]


async def kyosei(environment: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "gateway", *arguments),
        cwd=ROOT,
        env=dict(environment),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def serving(environment: Mapping[str, str], state: Path) -> AsyncIterator[httpx.AsyncClient]:
    """One gateway process, and a connection to it."""
    process = await kyosei(environment, "serve", "--port", "0", "--state", str(state))
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
        url = next(word for word in line.split() if word.startswith("http://")).removesuffix("/graphql")
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
            yield http
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await process.communicate()


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="running")
async def two_processes(
    tmp_path_factory: pytest.TempPathFactory, fresh_postgres: FreshDatabase
) -> AsyncIterator[Processes]:
    state, database_url = tmp_path_factory.mktemp("state") / "state", fresh_postgres()
    environment = os.environ | {"KYOSEI_DATABASE__URL": database_url, "KYOSEI_SERVER__PUBLIC_URL": PUBLIC_URL}
    async with AsyncExitStack() as stack:
        https = [await stack.enter_async_context(serving(environment, state)) for _ in range(2)]
        party = OAuthParty(https[0], PUBLIC_URL)
        adding = await kyosei(environment, "relying-party", "add", "-", "--state", str(state))
        said, _ = await adding.communicate(json.dumps(party.registration()).encode())
        assert (adding.returncode, said.decode().strip()) == (0, f"{party.id} is registered.")
        await known_everywhere(party, https)
        yield Processes(quick_settings(state, database_url), party, tuple(https))


async def known_everywhere(party: OAuthParty, https: list[httpx.AsyncClient]) -> None:
    """Wait until every process has read who was registered by the command line."""
    give_up_at = time.monotonic() + REGISTERED_SECONDS
    for http in https:
        party.http = http
        while (await party.post("/oauth/token", {"grant_type": "client_credentials"})).status_code != 200:
            assert time.monotonic() < give_up_at, "a process does not learn who was registered"
            await asyncio.sleep(0.2)


async def ask(http: httpx.AsyncClient, token: str, proof: str) -> str:
    """What a request of nobody's information gets: `taken`, or the code of its refusal."""
    headers = {"authorization": f"DPoP {token}", "dpop": proof}
    response = await http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    return "taken" if response.status_code == 200 else codes(response.json())[0]


@pytest.mark.soak
async def test_a_proof_sent_to_two_processes_at_once_succeeds_in_one(running: Processes) -> None:
    party, outcomes = running.party, Counter[tuple[str, ...]]()
    token = await party.access_token()
    for _ in range(full_count(1_000)):
        if sum(outcomes.values()) % 100 == 99:
            token = await party.access_token()
        proof = party.proof("POST", f"{PUBLIC_URL}/graphql", access_token=token)
        both = await asyncio.gather(*(ask(http, token, proof) for http in running.https))
        outcomes[tuple(sorted(both))] += 1
    assert outcomes == {("DPOP_REPLAYED", "taken"): full_count(1_000)}


@pytest.mark.soak
async def test_no_verification_fails_while_keys_are_rotated_under_load(running: Processes) -> None:
    """A new token every tenth request, made by one process and taken by the other; their keys change meanwhile."""
    async with open_operator(running.settings) as operator:
        party, outcomes, stopped, kids = running.party, Counter[str](), asyncio.Event(), set[str]()
        token = await party.access_token()

        async def load() -> None:
            nonlocal token
            number, began, waiting = 0, time.monotonic(), set[asyncio.Task[None]]()
            while not stopped.is_set():
                if number % 10 == 0:
                    party.http = running.https[number // 10 % 2]
                    token = await party.access_token()
                    kids.add(token.partition(".")[0])
                task = asyncio.create_task(one(running.https[(number // 10 + 1) % 2], token))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
                number += 1
                await asyncio.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
            await asyncio.gather(*waiting)

        async def one(http: httpx.AsyncClient, bearer: str) -> None:
            outcomes[await ask(http, bearer, party.proof("POST", f"{PUBLIC_URL}/graphql", access_token=bearer))] += 1

        loading = asyncio.create_task(load())
        rotations = full_count(20)
        for _ in range(rotations):
            await operator.act("keys rotate", {})
            await asyncio.sleep(0.5)
        await asyncio.sleep(PUBLISHED_BEFORE.total_seconds() + 1)
        stopped.set()
        await loading
        print(dict(outcomes), len(kids))
        assert set(outcomes) == {"taken"}
        assert len(kids) > rotations / 2, "tokens were made with the new keys"
