"""Sandboxes of a test's own: its configuration, its people, its clock, its broken authorities."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour
from gateway.app import open_gateway, serving
from gateway.asking import GatewayCaller
from gateway.http.server import listening_socket, url_of
from gateway.sandbox import RunningSandbox, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.settings import Settings, load_settings
from gateway.sources import Sources
from tests.conftest import ROOT, Caller

CONFIG = ROOT / "config"
AT_ONCE = Behaviour(latency_ms=(0, 0), poll_seconds=0.01)
PROFILE = "of the test"


@dataclass(slots=True)
class Clock:
    """A clock that a test moves."""

    ahead: timedelta = field(default_factory=timedelta)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def pass_by(self, **duration: float) -> None:
        self.ahead += timedelta(**duration)


def copied_config(folder: Path) -> Path:
    """A configuration that a test may change."""
    return shutil.copytree(CONFIG, folder / "config")


def outside_config(folder: Path, public_url: str = "https://gateway.example") -> Path:
    """The same outside the sandbox: the authorities are real ones, which happen to be on this machine."""
    config = copied_config(folder)
    changed(config / "gateway.toml", "enabled = true", "enabled = false")
    changed(config / "gateway.toml", 'public_url = ""', f'public_url = "{public_url}"')
    connectors = (config / "connectors.toml").read_text(encoding="utf-8")
    real = connectors.replace("sandbox = true", "sandbox = false\nallow_private = true")
    (config / "connectors.toml").write_text(real, encoding="utf-8")
    (config / "relying_parties.toml").write_text("", encoding="utf-8")
    return config


def changed(path: Path, old: str, new: str) -> None:
    """Replace the one place in a file where `old` stands."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{path.name}: {old!r} stands there {text.count(old)} times"
    path.write_text(text.replace(old, new), encoding="utf-8")


def settings_for(
    state: Path,
    *,
    config: Path = CONFIG,
    deadline_seconds: float | None = None,
    behaviours: Mapping[SourceAuthority, Behaviour] | None = None,
) -> Settings:
    """The configuration's settings, with authorities that answer at once unless told otherwise."""
    settings = load_settings(state, folder=config)
    profile = {a.value.lower(): (behaviours or {}).get(a, AT_ONCE) for a in SourceAuthority}
    connectors = settings.connectors.model_copy(
        update={"profiles": {**settings.connectors.profiles, PROFILE: profile}}
    )
    gateway = settings.gateway
    if deadline_seconds is not None:
        query = gateway.query.model_copy(update={"deadline_seconds": deadline_seconds})
        gateway = gateway.model_copy(update={"query": query})
    return settings.model_copy(update={"connectors": connectors, "gateway": gateway})


@asynccontextmanager
async def own_sandbox(
    settings: Settings,
    *,
    people: Path = CONFIG / "sandbox",
    day: date | None = None,
    clock: Clock | None = None,
    elsewhere: Mapping[SourceAuthority, str] | None = None,
) -> AsyncIterator[Caller]:
    """A sandbox on the test's settings. `elsewhere`: where an authority is to be found instead."""
    enrolled = read_people(people)
    today = day or enrolled.clock_on
    now: Callable[[], datetime] = (clock or Clock()).now
    async with AsyncExitStack() as stack:
        urls = await stack.enter_async_context(open_authorities(settings, people, today=today, profile=PROFILE))
        found = {**urls, **(elsewhere or {})}
        sources = Sources(
            found, poll_seconds=settings.connectors.poll_seconds(PROFILE), today=lambda: max(today, now().date())
        )
        listener = stack.enter_context(listening_socket("127.0.0.1", 0))
        gateway = await stack.enter_async_context(
            open_gateway(settings, listens_on=url_of(listener), sources=sources, today=lambda: today, now=now)
        )
        await gateway.enrol(enrolled.identities, guardians=enrolled.guardians)
        url = await stack.enter_async_context(serving(gateway, listener))
        asking = GatewayCaller(url)
        stack.push_async_callback(asking.close)
        caller = Caller(RunningSandbox(url, urls, gateway, enrolled, read_sandbox_keys(settings), today, asking))
        stack.push_async_callback(caller.http.aclose)
        yield caller


def codes(body: Mapping[str, Any]) -> list[str]:
    """The public codes of a body's errors."""
    return [error["extensions"]["code"] for error in body.get("errors", [])]


def rows(state: Path, query: str, *values: Any) -> list[sqlite3.Row]:
    """What the database of a state directory holds."""
    connection = sqlite3.connect(state / "kyosei.sqlite")
    try:
        connection.row_factory = sqlite3.Row
        return connection.execute(query, values).fetchall()
    finally:
        connection.close()


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """The calls made in between, by authority."""
    return {
        authority: after[authority] - before[authority] for authority in after if after[authority] > before[authority]
    }
