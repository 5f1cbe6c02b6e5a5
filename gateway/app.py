"""The composition root: `open_gateway(settings)` makes a running gateway.

What it keeps is opened in gateway/opening.py, its connectors are made in gateway/sources.py, and what is asked over
HTTP is put together in gateway/assembly.py. Nothing else constructs things.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime

import structlog

from connectors.interface import IdentityRecord
from gateway.assembly import Parts, assemble
from gateway.gather import Gatherer
from gateway.guesses import GuessLimiter
from gateway.http.admitting import Doorkeeper
from gateway.http.connection import Draining
from gateway.http.dispatch import GatewayApp
from gateway.http.observing import ConnectionRefusals
from gateway.http.server import served
from gateway.metrics import Metrics
from gateway.opening import opened_stores
from gateway.operator import Operator, listening_operator
from gateway.packs import open_reasoning
from gateway.pipeline import Services
from gateway.portal.site import open_portal
from gateway.rates import RateLimits
from gateway.reasoning import Reasoning
from gateway.settings import Settings
from gateway.sources import Sources, make_gatherer, today_in_japan
from gateway.store.database import Database
from gateway.store.evidence import BoundedMemoryCache, EvidenceCache
from gateway.store.notices import heard_stops
from gateway.store.retention import Retention, swept
from gateway.store.shared_cache import SharedCache
from gateway.store.writer import Writer
from gateway.stores import ENGINE_VERSION, Stores

REREAD_SECONDS = 2.0
"""How often a process reads what others may have changed: keys and relying parties. Less than a new key waits."""

_log = structlog.get_logger("kyosei")


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that is running: its ASGI app, who stands at its door, what its connections refuse, what it keeps.

    `draining`: it is about to stop.
    """

    app: GatewayApp
    doorkeeper: Doorkeeper
    refusals: ConnectionRefusals
    stores: Stores
    gatherer: Gatherer
    writer: Writer
    operator: Operator
    draining: Draining
    now: Callable[[], datetime]

    async def enrol(
        self, identities: Mapping[str, IdentityRecord], *, guardians: Mapping[str, str] | None = None
    ) -> None:
        """Let people in, and let those who decide for minors decide. `guardians`: by the minors' ids. Who was erased
        stays so, and neither decides nor is decided for."""
        await self.stores.people.enrol(identities, now=self.now())
        for minor_id, guardian_id in (guardians or {}).items():
            if any([await self.stores.people.is_erased(one) for one in (minor_id, guardian_id)]):
                continue
            await self.stores.guardians.record(minor_id=minor_id, guardian_id=guardian_id, now=self.now())


def serving(
    gateway: Gateway, listener: socket.socket, *, drain_seconds: float = 0.0
) -> AbstractAsyncContextManager[str]:
    """Serve a gateway on a socket while the context lasts; where it listens. See `served`."""
    return served(
        gateway.app,
        listener,
        draining=gateway.draining,
        drain_seconds=drain_seconds,
        door=gateway.doorkeeper,
        notes_refusal=gateway.refusals.note,
    )


def utc_now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    *,
    listens_on: str | None = None,
    sources: Sources | None = None,
    today: Callable[[], date] = today_in_japan,
    now: Callable[[], datetime] = utc_now,
) -> AsyncIterator[Gateway]:
    """Build a gateway from settings and run it while the context lasts.

    `listens_on`: the URL it is served at, which is its public one unless that is configured. `today`: the domain's
    calendar; everything else runs on `now`. Raises ConfigurationError for anything that forbids to start.
    """
    async with AsyncExitStack() as stack:
        database, writer, stores = await stack.enter_async_context(opened_stores(settings, now))
        reasoning = await open_reasoning(
            settings.rule_packs, settings.gateway.rules, writer, purposes=settings.purposes, today=today, now=now
        )
        metrics = Metrics()
        gatherer = _gatherer(settings, stores, sources or Sources(), now, metrics)
        stack.push_async_callback(gatherer.close)
        guesses, rates = await stack.enter_async_context(_open_limiters(settings))
        await stores.signing_keys.make_first(now())
        operator = Operator(stores, now=now, today=today, url=listens_on, sources=_elsewhere(sources))
        await stack.enter_async_context(_in_the_background(settings, database, writer, stores, gatherer, operator))
        services = _services(settings, stores, gatherer, reasoning, now)
        public_url = settings.public_url(listens_on)
        portal = await stack.enter_async_context(
            open_portal(
                stores,
                guesses=guesses,
                providers=settings.identity_providers,
                sandbox=settings.gateway.sandbox.enabled,
                public_url=public_url,
                now=now,
            )
        )
        parts = Parts(settings, database, writer, stores, services, guesses, rates, metrics, portal, Draining())
        refusals = ConnectionRefusals(metrics)
        yield Gateway(*assemble(parts), refusals, stores, gatherer, writer, operator, parts.draining, now)


def _elsewhere(sources: Sources | None) -> dict[str, str]:
    """Where authorities are, if not where the configuration says."""
    return {authority.value.lower(): url for authority, url in (sources or Sources()).base_urls.items()}


@asynccontextmanager
async def _open_limiters(settings: Settings) -> AsyncIterator[tuple[GuessLimiter, RateLimits]]:
    limits = settings.gateway.limits
    guesses = GuessLimiter(limits.storage_url)
    rates = RateLimits(limits.storage_url, limits.rates(), budget=settings.gateway.cost.budget_per_minute)
    try:
        yield guesses, rates
    finally:
        await guesses.close()
        await rates.close()


@asynccontextmanager
async def _in_the_background(
    settings: Settings, database: Database, writer: Writer, stores: Stores, gatherer: Gatherer, operator: Operator
) -> AsyncIterator[None]:
    """While the context lasts: stop what another process ended, sweep what is over, hear the operator."""
    retention = Retention(writer, stores.erasure, probing_window=settings.gateway.probing.limits().window)
    changes = listening_operator(settings.state, operator) if database.is_sqlite else _reread(stores)
    async with heard_stops(database, gatherer.cancel), swept(retention, operator.now), changes:
        yield


def _gatherer(
    settings: Settings, stores: Stores, sources: Sources, now: Callable[[], datetime], metrics: Metrics
) -> Gatherer:
    kept = settings.gateway.evidence
    place = SharedCache(kept.storage_url) if kept.storage_url else BoundedMemoryCache(max_entries=kept.max_entries)
    cache = EvidenceCache(place, stores.envelope)
    return make_gatherer(
        settings.connectors,
        cache,
        sources,
        deadline_seconds=settings.gateway.query.deadline_seconds,
        now=now,
        watch=metrics,
        carrier=settings.gateway.sources.transport,
    )


def _services(
    settings: Settings, stores: Stores, gatherer: Gatherer, reasoning: Reasoning, now: Callable[[], datetime]
) -> Services:
    return Services(
        grants=stores.grants,
        answers=stores.answers,
        disclosures=stores.disclosures,
        disputes=stores.disputes,
        used_once=stores.used_once,
        gatherer=gatherer,
        reasoning=reasoning,
        purposes=settings.purposes,
        engine_version=ENGINE_VERSION,
        now=now,
    )


@asynccontextmanager
async def open_operator(settings: Settings, *, now: Callable[[], datetime] = utc_now) -> AsyncIterator[Operator]:
    """An operator over the stores alone. Raises ConfigurationError while a gateway runs on the same SQLite."""
    async with opened_stores(settings, now) as (_, _, stores):
        yield Operator(stores, now=now, today=today_in_japan)


@asynccontextmanager
async def _reread(stores: Stores) -> AsyncIterator[None]:
    """While the context lasts, read again and again what another process may have changed."""
    stopping = asyncio.Event()  # a cancellation in the midst of reading would not reach this task for sure

    async def reread() -> None:
        while not stopping.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), REREAD_SECONDS)
                return
            try:
                await stores.signing_keys.load()
                await stores.registrations.load()
                await stores.trusted_documents.load()
            except Exception as error:
                _log.error("reread_failed", error=type(error).__name__)

    rereading = asyncio.create_task(reread(), name="reread")
    try:
        yield
    finally:
        stopping.set()
        await rereading
