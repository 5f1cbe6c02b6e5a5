"""Several gateway processes behind one socket: one PostgreSQL, one Valkey, and everything means the same in each."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
import pytest

from connectors.interface import SourceAuthority
from gateway.consent.share_code import make_share_code
from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.settings import load_settings
from resolvers.catalogue import Purpose
from tests.conftest import ROOT, FreshDatabase
from tests.gateway.gateway_process import quick_settings
from tests.gateway.sandboxes import changed, copied_config
from tests.valkey import running_valkey

DOCUMENT = "query($c: ConsentToken!) { subject(consent: $c) { immigration { statusLawful { value state } } } }"
PREVIEW = 'mutation($d: String!) { previewConsent(document: $d, relyingParty: "landlord", purpose: TENANCY) { id } }'
GRANT = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken grant { id } } }"
REVOKE = "mutation($id: ID!) { revokeConsent(grant: $id) { status } }"
REDEEM = 'mutation { redeemShareCode(code: "T-0000-0000-00", dateOfBirth: "1990-01-01") { consentToken } }'


@dataclass(frozen=True, slots=True)
class Served:
    """Two processes that serve; every call comes on a connection of its own, to whichever takes it."""

    url: str
    keys: Mapping[str, str]
    process: asyncio.subprocess.Process

    async def post(
        self, authorization: str, query: str, variables: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
            return await http.post(
                self.url,
                content=orjson.dumps({"query": query, "variables": variables or {}}),
                headers={"authorization": authorization, "content-type": "application/json"},
            )

    async def data(self, authorization: str, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        return (await self.post(authorization, query, variables)).json()["data"]


def config_for(folder: Path, urls: Mapping[SourceAuthority, str]) -> Path:
    """The configuration, with the authorities where they are."""
    config, settings = copied_config(folder), load_settings(folder / "unused")
    for authority, url in urls.items():
        changed(config / "connectors.toml", settings.connectors.settings_of(authority).base_url, url)
    return config


@asynccontextmanager
async def served(folder: Path, database_url: str, storage_url: str) -> AsyncIterator[Served]:
    people = read_people(default_people_folder())
    state = folder / "state"
    async with open_authorities(quick_settings(state), people.folder, today=people.clock_on, profile="brisk") as urls:
        environment = os.environ | {
            "KYOSEI_CONFIG": str(config_for(folder, urls)),
            "KYOSEI_DATABASE__URL": database_url,
            "KYOSEI_LIMITS__STORAGE_URL": storage_url,
        }
        arguments = ["-m", "gateway", "serve", "--workers", "2", "--port", "0", "--state", str(state)]
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        try:
            assert process.stdout is not None
            line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
            url = next(word for word in line.split() if word.startswith("http://"))
            keys = read_sandbox_keys(quick_settings(state))
            yield Served(url, keys, process)
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
            await process.wait()


async def test_what_one_process_did_holds_in_the_other(tmp_path: Path, fresh_postgres: FreshDatabase) -> None:
    async with AsyncExitStack() as stack:
        _, path = stack.enter_context(running_valkey(tmp_path))
        gateways = await stack.enter_async_context(served(tmp_path, fresh_postgres(), f"async+redis+unix://{path}"))
        landlord = f"Bearer {gateways.keys['landlord']}"
        preview = (await gateways.data("Person P01", PREVIEW, {"d": DOCUMENT}))["previewConsent"]["id"]
        granted = (await gateways.data("Person P01", GRANT, {"id": preview}))["grantConsent"]
        asked = {"c": granted["consentToken"]}
        answers = await asyncio.gather(*(gateways.data(landlord, DOCUMENT, asked) for _ in range(20)))
        assert {answer["subject"]["immigration"]["statusLawful"]["value"] for answer in answers} == {True}
        await gateways.data("Person P01", REVOKE, {"id": granted["grant"]["id"]})
        ended = await asyncio.gather(*(gateways.data(landlord, DOCUMENT, asked) for _ in range(20)))
        assert [answer["subject"] for answer in ended] == [None] * 20

        code = nobodys_code()
        guesses = [await gateways.post(landlord, REDEEM.replace("T-0000-0000-00", code)) for _ in range(8)]
        assert [guess.status_code for guess in guesses] == [200] * 5 + [429] * 3
        other = await gateways.post(f"Bearer {gateways.keys['lender']}", REDEEM.replace("T-0000-0000-00", code))
        assert other.status_code == 200

        workers = psutil.Process(gateways.process.pid).children()
        assert len(workers) == 2
        gateways.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateways.process.wait(), 30) == 0
        assert [worker for worker in workers if worker.is_running()] == []
    assert ended_in(tmp_path) == []


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGKILL, 128 + signal.SIGKILL), (signal.SIGTERM, 1)])
async def test_when_one_process_ends_all_do_and_the_operators_log_says_so(
    tmp_path: Path, fresh_postgres: FreshDatabase, sent: signal.Signals, status: int
) -> None:
    """Whoever supervises them starts them again, on the same terms."""
    async with served(tmp_path, fresh_postgres(), "async+memory://") as gateways:
        workers = psutil.Process(gateways.process.pid).children()
        workers[0].send_signal(sent)
        assert await asyncio.wait_for(gateways.process.wait(), 30) == status
        assert [worker for worker in workers if worker.is_running()] == []
    assert ended_in(tmp_path) == [status]


def ended_in(folder: Path) -> list[int]:
    """The statuses of processes that ended without being asked to, by the operator's log."""
    said = (folder / "log").read_text(encoding="utf-8").splitlines()
    return [orjson.loads(line)["status"] for line in said if "process_ended" in line]


def nobodys_code() -> str:
    """A code that could be one, and is nobody's."""
    return make_share_code(Purpose.TENANCY, bytes(5)).grouped()
