"""How often somebody may ask: counted in memory, or in Valkey for several processes.

Where the common storage does not answer, each process counts by itself. Source: security 3.2 (10), 3.6.
"""

import math
import time
from dataclasses import dataclass
from typing import Any

import structlog
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError as LimitsConfigurationError
from limits.errors import StorageError
from limits.storage import Storage, storage_from_string

from gateway.counters import WindowCounters
from gateway.errors import AuthenticationError, ConfigurationError, RateLimitedError

IN_MEMORY = "async+memory://"

_log = structlog.get_logger("kyosei.limits")


@dataclass(frozen=True, slots=True)
class Rates:
    """How often: requests of a relying party a second, and at once; of it under one consent; failures to say who
    one is, from one address, a minute; disputes that one person opens, and consents that they begin, a day."""

    relying_party_per_second: int
    relying_party_burst: int
    consent_per_second: int
    consent_per_day: int
    failures_per_minute: int
    disputes_per_day: int
    begun_per_day: int


class RateLimits:
    """Counts requests, costs and failures. Raises RateLimitedError that says when to come back."""

    def __init__(self, storage_url: str, rates: Rates, *, budget: int) -> None:
        is_shared = storage_url != IN_MEMORY
        self._common = SlidingWindowCounterRateLimiter(open_storage(storage_url)) if is_shared else None
        self._own = WindowCounters()
        burst_seconds = max(1, round(rates.relying_party_burst / rates.relying_party_per_second))
        self._party = RateLimitItemPerSecond(rates.relying_party_burst, burst_seconds)
        self._consent = (
            RateLimitItemPerSecond(rates.consent_per_second),
            RateLimitItemPerDay(rates.consent_per_day),
        )
        self._failures = RateLimitItemPerMinute(rates.failures_per_minute)
        self._disputes = RateLimitItemPerDay(rates.disputes_per_day)
        self._begun = RateLimitItemPerDay(rates.begun_per_day)
        self._budget = RateLimitItemPerMinute(budget)

    async def count_request(self, party_id: str) -> None:
        """A request of a relying party, whatever it asks."""
        await self._count(self._party, "request", party_id)

    async def count_consent(self, party_id: str, token_digest: str) -> None:
        """A question under one consent."""
        for item in self._consent:
            await self._count(item, "consent", party_id, token_digest)

    async def count_failure(self, address: str, error: Exception) -> None:
        """Somebody at this address could not say who they are; asking for a nonce is no failure."""
        if not (isinstance(error, AuthenticationError) and error.challenge == "use_dpop_nonce"):
            await self._count(self._failures, "failure", address)

    async def count_dispute(self, person_id: str) -> None:
        """A dispute that somebody opens, or a record that they confirm: after each their sources are asked anew."""
        await self._count(self._disputes, "dispute", person_id)

    async def count_begun(self, person_id: str) -> None:
        """A consent that somebody begins themself: for each their sources are asked."""
        await self._count(self._begun, "begun", person_id)

    async def spend(self, party_id: str, cost: int) -> None:
        """Take a cost off a relying party's budget for this minute; one above the whole budget takes all of it."""
        await self._count(self._budget, "cost", party_id, cost=min(cost, self._budget.amount))

    async def left_to_spend(self, party_id: str) -> int:
        """What is left of a relying party's budget for this minute."""
        if self._common is not None:
            try:
                return (await self._common.get_window_stats(self._budget, "cost", party_id)).remaining
            except StorageError:
                pass  # whoever counts says so
        return self._own.remaining(self._budget, "cost", party_id)

    async def close(self) -> None:
        if self._common is not None:
            await close_storage(self._common.storage)

    async def _count(self, item: RateLimitItem, *key: str, cost: int = 1) -> None:
        if self._common is not None:
            try:
                if not await self._common.hit(item, *key, cost=cost):
                    stats = await self._common.get_window_stats(item, *key)
                    raise RateLimitedError(key[0], retry_after_seconds=seconds_until(stats.reset_time, item))
                return
            except StorageError:
                _log.error("limits_storage_unavailable")
        if not self._own.hit(item, *key, cost=cost):
            reset_at = self._own.reset_at(item, *key)
            raise RateLimitedError(key[0], retry_after_seconds=seconds_until(reset_at, item))


def open_storage(storage_url: str) -> Storage:
    """Where counts are kept. Raises ConfigurationError for a URL that names no such place."""
    if not storage_url.startswith("async+"):
        raise ConfigurationError("limits.storage_url: it does not begin with async+")
    try:
        options = {} if storage_url == IN_MEMORY else {"implementation": "redispy", "wrap_exceptions": True}
        return storage_from_string(storage_url, **options)  # type: ignore[arg-type, return-value]  # async+ ones
    except (LimitsConfigurationError, ValueError) as error:
        raise ConfigurationError("limits.storage_url: it names no storage") from error


async def close_storage(storage: Any) -> None:
    """Close the connections to a common storage; `limits` has no closing of its own."""
    bridge: Any = getattr(storage, "bridge", None)
    if bridge is not None:
        await bridge.get_connection().aclose()


def seconds_until(moment: float, item: RateLimitItem) -> int:
    """Whole seconds until a moment, at least one, at most the item's window."""
    return min(max(1, math.ceil(moment - time.time())), item.get_expiry())
