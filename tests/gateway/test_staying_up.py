"""A gateway that stops, and one that goes on for long: no accepted request is lost, and nothing grows."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from tests.benchmarks.load import LoadCaller
from tests.benchmarks.overload import DOCUMENT, give, raw
from tests.gateway.gateway_process import GatewayProcess, Launch, quick_settings

DRAIN_SECONDS = 1.0
CALLERS = 8
PEOPLE = ("P01", "P02", "P03", "P04", "P05")
REQUESTS = 100_000 if os.environ.get("KYOSEI_SOAK") else 600
WARM_SHARE = 0.2
"""Until then what is kept on purpose fills up."""


@asynccontextmanager
async def process(tmp_path: Path, *, drain_seconds: float = 0.0) -> AsyncIterator[tuple[GatewayProcess, str]]:
    """A gateway in a process of its own; where it listens."""
    state, people = tmp_path / "state", read_people(default_people_folder())
    async with open_authorities(quick_settings(state), people.folder, today=people.clock_on, profile="brisk") as urls:
        gateway = GatewayProcess(Launch(state, urls, tmp_path / "output", drain_seconds=drain_seconds))
        try:
            yield gateway, await gateway.start()
        finally:
            await gateway.kill()


async def requests_of(url: str, state: Path) -> list[bytes]:
    """Good requests under a few consents."""
    key = f"Bearer {read_sandbox_keys(quick_settings(state))['landlord']}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as http:
        tokens = [(await give(http, person))[0] for person in PEOPLE]
    return [raw(key, DOCUMENT, {"c": token}) for token in tokens]


def caller_of(url: str) -> LoadCaller:
    parts = urlsplit(url)
    return LoadCaller(parts.hostname or "", parts.port or 0)


async def test_a_gateway_that_is_told_to_stop_loses_no_request_that_it_accepted(tmp_path: Path) -> None:
    """Callers who stop asking once it is not ready, as behind a load balancer, lose nothing at all."""
    async with process(tmp_path, drain_seconds=DRAIN_SECONDS) as (gateway, url):
        requests = await requests_of(url, tmp_path / "state")
        load, is_ready = caller_of(url), True

        async def asks(number: int) -> None:
            while is_ready:
                await load.send(requests[number % len(requests)], asyncio.get_running_loop().time())

        async def watches() -> None:
            nonlocal is_ready
            async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
                while is_ready:
                    is_ready = (await http.get("/readyz")).status_code == 200
                    await asyncio.sleep(0.02)

        asking = [asyncio.create_task(asks(number)) for number in range(CALLERS)]
        watching = asyncio.create_task(watches())
        await asyncio.sleep(1.0)
        stopping = asyncio.create_task(gateway.stop())
        await asyncio.gather(*asking, watching)
        async with asyncio.timeout(20):
            await stopping
    statuses = [sample.status for sample in load.samples]
    assert len(statuses) > 20
    assert set(statuses) == {200}
    assert all(sample.has_data for sample in load.samples)


LIVENESS = b"GET /livez HTTP/1.1\r\nHost: gateway\r\n\r\n"


@dataclass(slots=True)
class Insistent:
    """A caller who asks one thing after the other, looks at nothing else, and stops when nobody accepts any more."""

    host: str
    port: int
    keeps_alive: bool
    statuses: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    async def ask(self, requests: Sequence[bytes]) -> None:
        reader = writer = None
        for request in cycle(requests):
            if writer is None or reader is None or reader.at_eof():
                try:
                    reader, writer = await asyncio.open_connection(self.host, self.port)
                except ConnectionRefusedError:
                    return
            try:
                is_last = await self._exchange(reader, writer, request)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(repr(error))
                is_last = True
            if is_last or not self.keeps_alive:
                writer.close()
                reader = writer = None

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bool:
        """One answer; whether the connection ends with it."""
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
        self.statuses.append(int(head.split()[1]))
        return b"connection: close" in head


async def test_a_gateway_that_is_told_to_stop_answers_everybody_whom_it_accepted(tmp_path: Path) -> None:
    """Nor do callers lose anything who notice only that nobody accepts their connections any more."""
    async with process(tmp_path, drain_seconds=DRAIN_SECONDS) as (gateway, url):
        requests = [*await requests_of(url, tmp_path / "state"), LIVENESS]
        where = urlsplit(url)
        callers = [
            Insistent(where.hostname or "", where.port or 0, keeps_alive=number < CALLERS)
            for number in range(2 * CALLERS)
        ]
        asking = [asyncio.create_task(caller.ask(requests)) for caller in callers]
        await asyncio.sleep(0.5)
        async with asyncio.timeout(20):
            await gateway.stop()
            await asyncio.gather(*asking)
    assert [caller.lost for caller in callers if caller.lost] == []
    statuses = [status for caller in callers for status in caller.statuses]
    assert len(statuses) > 100
    assert set(statuses) <= {200, 503}, "503: no room just now, and nothing is lost of it"


async def numbers(http: httpx.AsyncClient) -> dict[str, float]:
    text = (await http.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def bad_requests(key: str) -> list[bytes]:
    """What strangers send."""
    return [
        raw(key, "{ nothing }", {}),
        raw(key, "{ __schema { types { fields { name } } } }", {}),
        raw("Bearer sk_wrong", DOCUMENT, {"c": "x"}),
        raw(key, DOCUMENT, {"c": "kct_never"}),
        raw(key, "{" + "a{" * 300 + "a" + "}" * 300 + "}", {}),
        b"GET /nowhere HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET /sign-in HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET /graphql HTTP/1.1\r\nHost: gateway\r\n\r\n",
    ]


@pytest.mark.soak
async def test_mixed_requests_leave_nothing_behind(tmp_path: Path) -> None:
    async with process(tmp_path) as (_, url):
        good = await requests_of(url, tmp_path / "state")
        key = f"Bearer {read_sandbox_keys(quick_settings(tmp_path / 'state'))['landlord']}"
        mixed, random, load = [*good, *bad_requests(key)], Random(20261120), caller_of(url)

        async def send(count: int) -> None:
            left = iter(range(count))

            async def one() -> None:
                for _ in left:
                    await load.send(random.choice(mixed), asyncio.get_running_loop().time())

            await asyncio.gather(*(one() for _ in range(CALLERS)))

        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=30, limits=limits) as http:
            await send(int(REQUESTS * WARM_SHARE))
            before = await numbers(http)
            await send(int(REQUESTS * (1 - WARM_SHARE)))
            await asyncio.sleep(1)
            after = await numbers(http)
        assert not [sample for sample in load.samples if sample.status in (0, 500)]
        assert after["kyosei_tasks"] - before["kyosei_tasks"] <= 2, "such as the checkpoint's"
        assert abs(after["process_open_fds"] - before["process_open_fds"]) <= CALLERS + 2
        growth = after["process_resident_memory_bytes"] / before["process_resident_memory_bytes"] - 1
        print(f"{REQUESTS} requests: memory {growth:+.1%}")
        assert growth < (0.05 if os.environ.get("KYOSEI_SOAK") else 0.5)
