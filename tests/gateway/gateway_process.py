"""A gateway as a process of its own, quick to start again after a kill, over authorities that stay.

The process is forked from a server that has imported everything, so that a start takes a fraction of a second.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour, ConnectorsConfig
from gateway.app import open_gateway
from gateway.http.server import listening_socket, served, url_of
from gateway.operator_log import configure_logging
from gateway.sandbox import default_people_folder, read_people
from gateway.settings import Settings, load_settings
from gateway.sources import Sources, today_in_japan
from gateway.store.database import migrate
from tests.command_line import FORKS

START_SECONDS = 30.0
UNLIMITED = 1_000_000
LEFT_AT = b"x-left-at"
"""The header of a response that tells when it left the gateway: monotonic seconds, the same for all processes."""


@dataclass(frozen=True, slots=True)
class Launch:
    """What a gateway process is given. `output`: where its standard output and error go.

    `way_out_seconds`: the longest that a response takes from the gateway to its socket; most take no time.
    """

    state: Path
    authority_urls: Mapping[SourceAuthority, str]
    output: Path
    people_folder: Path = field(default_factory=default_people_folder)
    way_out_seconds: float = 0.0
    database_url: str = ""
    drain_seconds: float = 0.0


class Clocked:
    """Between the gateway and its sockets: a way out that is sometimes slow, and the moment a response left by it."""

    def __init__(self, app: ASGIApp, delay_seconds: Callable[[], float] | None = None) -> None:
        self._app = app
        self._delay_seconds = delay_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def leave(message: Message) -> None:
            if message["type"] == "http.response.start":
                if self._delay_seconds is not None:
                    await asyncio.sleep(self._delay_seconds())
                message["headers"] = [*message["headers"], (LEFT_AT, str(time.monotonic()).encode())]
            await send(message)

        await self._app(scope, receive, leave)


def quick_settings(state: Path, database_url: str = "") -> Settings:
    """The configuration as it is, but the sandbox authorities answer at once and tax at the first poll, and a relying
    party may ask as fast as it is answered."""
    settings = load_settings(state)
    database = settings.gateway.database.model_copy(update={"url": database_url})
    at_once = Behaviour(latency_ms=(0, 1), polls_until_done=(1, 1), poll_seconds=0.01)
    profile = {authority.value.lower(): at_once for authority in SourceAuthority}
    connectors = ConnectorsConfig(profiles={"brisk": profile}, authorities=settings.connectors.authorities)
    gateway = settings.gateway.model_copy(update={"database": database})
    return unhurried(settings.model_copy(update={"connectors": connectors, "gateway": gateway}))


def unhurried(settings: Settings) -> Settings:
    """The same, and a relying party may ask as fast as it is answered."""
    raised = ("relying_party_per_second", "relying_party_burst", "consent_per_second", "consent_per_day")
    limits = settings.gateway.limits.model_copy(update=dict.fromkeys(raised, UNLIMITED))
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"limits": limits})})


class GatewayProcess:
    """Starts, kills and starts again a gateway on one state directory."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._process: BaseProcess | None = None
        self._line: Connection | None = None

    def spawn(self) -> None:
        """Let it begin to start."""
        self._line, far_end = FORKS.Pipe(duplex=False)
        self._process = FORKS.Process(target=_serve, args=(self._launch, far_end))
        self._process.start()
        far_end.close()

    async def start(self) -> str:
        """Start and wait until it listens; its address. RuntimeError if it ends instead."""
        self.spawn()
        line = self._line
        assert line is not None
        if not await asyncio.to_thread(line.poll, START_SECONDS):
            raise RuntimeError("the gateway did not start")
        try:
            url: str = line.recv()
        except EOFError:
            raise RuntimeError(f"the gateway ended: {self._launch.output.read_text()[-2000:]}") from None
        return url

    async def kill(self) -> None:
        """SIGKILL, and wait until the process is gone. No harm if there is none."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, and wait."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is None or self._process.pid is None or self._line is None:
            return
        if self._process.is_alive():
            os.kill(self._process.pid, number)
        await asyncio.to_thread(self._process.join)
        self._process.close()
        self._line.close()
        self._process = self._line = None


async def killed_migration(url: str, *, after_seconds: float) -> None:
    """Migrate a database in a process that is killed after this time, unless it is ready sooner."""
    process = FORKS.Process(target=_migrate, args=(url,))
    process.start()
    assert process.pid is not None
    await asyncio.to_thread(process.join, after_seconds)
    with suppress(ProcessLookupError):  # it may have ended just now
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
    await asyncio.to_thread(process.join)
    process.close()


def _migrate(url: str) -> None:
    asyncio.run(migrate(url))


def _serve(launch: Launch, line: Connection) -> None:
    output = os.open(launch.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    configure_logging(sys.stderr)
    uvloop.run(_run(launch, line))


async def _run(launch: Launch, line: Connection) -> None:
    settings = quick_settings(launch.state, launch.database_url)
    people = read_people(launch.people_folder)
    sources = Sources(
        launch.authority_urls,
        poll_seconds=settings.connectors.poll_seconds("brisk"),
        today=lambda: max(people.clock_on, today_in_japan()),
    )
    listener = listening_socket("127.0.0.1", 0)
    listens_on = url_of(listener)
    async with open_gateway(
        settings, listens_on=listens_on, sources=sources, today=lambda: people.clock_on
    ) as gateway:
        await gateway.enrol(people.identities)
        random = Random(1)
        app = Clocked(gateway.app, lambda: random.choice([0, 0, random.uniform(0, launch.way_out_seconds)]))
        serving = served(
            app,
            listener,
            draining=gateway.draining,
            drain_seconds=launch.drain_seconds,
            door=gateway.doorkeeper,
            notes_refusal=gateway.refusals.note,
        )
        async with serving as url:
            line.send(url)
            stopped = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
            await stopped.wait()
