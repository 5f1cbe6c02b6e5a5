"""A gateway as a process of its own, quick to start again after a kill, over authorities that stay.

The process is forked from a server that has imported everything, so that a start takes a fraction of a second.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour, ConnectorsConfig
from gateway.app import Sources, open_gateway, today_in_japan
from gateway.cli import _configure_logging
from gateway.http.server import served
from gateway.sandbox import default_people_folder, read_people
from gateway.settings import Settings, load_settings

START_SECONDS = 30.0

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["gateway.cli", "alembic.command"])


@dataclass(frozen=True, slots=True)
class Launch:
    """What a gateway process is given. `output`: where its standard output and error go."""

    state: Path
    authority_urls: Mapping[SourceAuthority, str]
    output: Path
    people_folder: Path = default_people_folder()


def quick_settings(state: Path) -> Settings:
    """The configuration as it is, but the sandbox authorities answer at once and tax at the first poll."""
    settings = load_settings(state)
    at_once = Behaviour(latency_ms=(0, 1), polls_until_done=(1, 1), poll_seconds=0.01)
    profile = {authority.value.lower(): at_once for authority in SourceAuthority}
    connectors = ConnectorsConfig(profiles={"brisk": profile}, authorities=settings.connectors.authorities)
    return settings.model_copy(update={"connectors": connectors})


class GatewayProcess:
    """Starts, kills and starts again a gateway on one state directory."""

    def __init__(self, launch: Launch) -> None:
        self._launch = launch
        self._process: BaseProcess | None = None
        self._line: Connection | None = None

    def spawn(self) -> None:
        """Let it begin to start."""
        self._line, far_end = _context.Pipe(duplex=False)
        self._process = _context.Process(target=_serve, args=(self._launch, far_end))
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


def _serve(launch: Launch, line: Connection) -> None:
    output = os.open(launch.output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    _configure_logging(sys.stderr)
    asyncio.run(_run(launch, line))


async def _run(launch: Launch, line: Connection) -> None:
    settings = quick_settings(launch.state)
    people = read_people(launch.people_folder)
    sources = Sources(
        launch.authority_urls,
        poll_seconds=settings.connectors.poll_seconds("brisk"),
        today=lambda: max(people.clock_on, today_in_japan()),
    )
    async with open_gateway(settings, sources=sources, today=lambda: people.clock_on) as gateway:
        await gateway.enrol(people.identities)
        async with served(gateway.app, host="127.0.0.1", port=0) as url:
            line.send(url)
            stopped = asyncio.Event()
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
            await stopped.wait()
