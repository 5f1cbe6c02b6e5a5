"""What is counted for operators: nothing of a person, and of relying parties only how many requests there were.

Source: Prometheus exposition format; security 3.4.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import cache
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from connectors.breaker import BreakerState
from connectors.interface import SourceAuthority
from gateway.errors import OverloadedError

M = TypeVar("M", Counter, Histogram)

MAX_UNTOLD = 512
"""So many observations are told to the library together: one by one they take several times as long."""

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COSTS = (10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000)


class Metrics:
    """One process's counters, each gateway with its own registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._tally = _Tally(self.registry)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self._requests = _children(Counter(
            "kyosei_requests", "Requests by where and how they ended.", ["route", "status", "code"],
            registry=self.registry,
        ))  # fmt: skip
        self._request_seconds = _children(Histogram(
            "kyosei_request_seconds", "From a request's head to its response.", ["route"],
            buckets=_SECONDS, registry=self.registry,
        ))  # fmt: skip
        self._busy = Gauge("kyosei_lane_busy", "Requests at work.", ["lane"], registry=self.registry)
        self._waiting = Gauge(
            "kyosei_lane_waiting", "Requests that wait for a place.", ["lane"], registry=self.registry
        )
        Gauge("kyosei_tasks", "Tasks of the event loop.", registry=self.registry).set_function(_tasks)
        self._outcomes = _children(Counter(
            "kyosei_outcomes", "Questions about a person by how they were answered.", ["outcome"],
            registry=self.registry,
        ))  # fmt: skip
        self._cost = Histogram(
            "kyosei_operation_cost", "What relying parties' operations cost.", buckets=_COSTS, registry=self.registry
        )
        self._exchanges = _children(Counter(
            "kyosei_source_exchanges", "Exchanges with a source by what became of them.", ["authority", "fault"],
            registry=self.registry,
        ))  # fmt: skip
        self._exchange_seconds = _children(Histogram(
            "kyosei_source_seconds", "How long an exchange with a source took.", ["authority"],
            buckets=_SECONDS, registry=self.registry,
        ))  # fmt: skip
        self._retries = _children(Counter(
            "kyosei_source_retries", "Exchanges that were tried again.", ["authority"], registry=self.registry
        ))  # fmt: skip
        self._breakers = Gauge(
            "kyosei_source_breaker_open", "1 while a source is not asked since it failed too often.", ["authority"],
            registry=self.registry,
        )  # fmt: skip

    def request(self, route: str, status: int, code: str, seconds: float) -> None:
        """A request has ended. `code`: the public code of its first error, or nothing."""
        self._tally.count(self._requests(route, str(status), code))
        self._tally.observe(self._request_seconds(route), seconds)

    def turned_away(self) -> None:
        """A question was refused before it was read. How long that took is not counted: it would make the rest look
        quick."""
        self._tally.count(self._requests("graphql", "503", OverloadedError.default_code))

    def outcome(self, outcome: str) -> None:
        """A question about one person was answered, or refused with this code."""
        self._tally.count(self._outcomes(outcome))

    def cost(self, total: int) -> None:
        """An operation of a relying party costs this much."""
        self._tally.observe(self._cost, total)

    def exchanged(self, authority: SourceAuthority, *, fault: str | None, seconds: float) -> None:
        """One exchange with a source ended; this and the next two are `connectors.watch.Watch`."""
        self._tally.count(self._exchanges(authority, fault or ""))
        self._tally.observe(self._exchange_seconds(authority), seconds)

    def retried(self, authority: SourceAuthority) -> None:
        self._tally.count(self._retries(authority))

    def breaker_moved(self, authority: SourceAuthority, state: BreakerState) -> None:
        self._breakers.labels(authority.value).set(state is not BreakerState.CLOSED)

    def watch_lane(self, name: str, *, busy: Callable[[], float], waiting: Callable[[], float]) -> None:
        """Show how many are at work in a lane, and how many wait; read whenever somebody looks."""
        self._busy.labels(name).set_function(busy)
        self._waiting.labels(name).set_function(waiting)

    def exposed(self, accept: str) -> tuple[bytes, str]:
        """Everything, in the format that is accepted, and that format's media type."""
        encode, media_type = choose_encoder(accept)
        return encode(self.registry), media_type


class _Tally(Collector):
    """What has happened since the library was told. Collected before all others, it tells them then."""

    def __init__(self, registry: CollectorRegistry) -> None:
        registry.register(self)
        self._counted: dict[Counter, int] = {}
        self._observed: list[tuple[Histogram, float]] = []

    def count(self, counter: Counter) -> None:
        self._counted[counter] = self._counted.get(counter, 0) + 1

    def observe(self, histogram: Histogram, value: float) -> None:
        self._observed.append((histogram, value))
        if len(self._observed) >= MAX_UNTOLD:
            self._tell()

    def collect(self) -> Iterable[Metric]:
        self._tell()
        return ()

    def _tell(self) -> None:
        counted, observed = self._counted, self._observed
        self._counted, self._observed = {}, []
        for counter, times in counted.items():
            counter.inc(times)
        for histogram, value in observed:
            histogram.observe(value)


def _children(metric: M) -> Callable[..., M]:
    """Gives a metric's child for these labels' values, of which there are few."""
    return cache(metric.labels)


def _tasks() -> int:
    """How many tasks there are; 0 where no event loop asks."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return 0
