"""A PostgreSQL that stands but says nothing, as when its host froze or the network lost it: nobody hangs with it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
from sqlalchemy.engine import make_url

from tests.conftest import Caller, FreshDatabase
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox
from tests.gateway.test_backup import on

LAWFUL = request_for("Immigration.statusLawful")
Ask = Callable[[], Awaitable[httpx.Response]]


class Network:
    """What lies between the gateway and its database."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._flows: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    def lose(self) -> None:
        """What is connected now never hears anything again; who connects anew is served."""
        for flow in self._flows:
            flow.cancel()

    def end(self) -> None:
        self.lose()
        for end in self._ends:
            end.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.append(writer)
        await self._flowing.wait()
        their_reader, their_writer = await asyncio.open_unix_connection(self._server)
        self._ends.append(their_writer)
        for source, sink in ((reader, their_writer), (their_reader, writer)):
            flow = asyncio.create_task(self._flow(source, sink))
            self._flows.add(flow)
            flow.add_done_callback(self._flows.discard)

    async def _flow(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                await self._flowing.wait()
                sink.write(data)
                await sink.drain()
            sink.close()


@asynccontextmanager
async def asked_over_a_network(
    state: Path, url: str, *, statement_seconds: float
) -> AsyncIterator[tuple[Network, Ask, Caller]]:
    """A gateway whose database is behind a network; a question to it."""
    server = make_url(url)
    network = Network(f"{server.query['host']}/.s.PGSQL.5432")
    async with await asyncio.start_server(network.serve, "127.0.0.1", 0) as listening:
        host, port = listening.sockets[0].getsockname()[:2]
        through = server.set(host=host, port=port, query={"command_timeout": str(statement_seconds)})
        async with own_sandbox(on(state, through.render_as_string(hide_password=False))) as caller:
            token, _ = await caller.consent("P02", "bank", "ACCOUNT_MAINTENANCE", LAWFUL)

            async def ask() -> httpx.Response:
                return await caller.post(f"Bearer {caller.running.keys['bank']}", LAWFUL, {"consent": token})

            assert (await ask()).status_code == 200
            yield network, ask, caller
        network.end()


async def answers_again(ask: Ask) -> None:
    async with asyncio.timeout(20):
        for _ in range(100):
            if (await ask()).status_code == 200:
                return
            await asyncio.sleep(0.1)
    raise AssertionError("it answers no more")


async def test_while_the_database_is_frozen_every_request_ends_soon_and_afterwards_all_is_well(
    tmp_path: Path, fresh_postgres: FreshDatabase
) -> None:
    async with asked_over_a_network(tmp_path / "state", fresh_postgres(), statement_seconds=1) as (
        network,
        ask,
        caller,
    ):
        network.freeze()
        began_at = time.monotonic()
        page = await caller.http.get("/consents", headers={"cookie": "__Host-kyosei=" + "A" * 43})
        page_came_at = time.monotonic()
        frozen = await ask()
        ended_at = time.monotonic()
        network.thaw()
        await answers_again(ask)
    assert (page.status_code, page_came_at - began_at < 3) == (503, True)
    assert (codes(frozen.json()), ended_at - page_came_at < 4) == (["DEADLINE_EXCEEDED"], True)


async def test_connections_that_the_network_lost_are_replaced(tmp_path: Path, fresh_postgres: FreshDatabase) -> None:
    async with asked_over_a_network(tmp_path / "state", fresh_postgres(), statement_seconds=1) as (network, ask, _):
        network.lose()
        await answers_again(ask)
