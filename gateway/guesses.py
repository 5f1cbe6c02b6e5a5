"""How often a code may be guessed wrong. Counted in memory, or in Valkey for several processes."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import ConfigurationError as LimitsConfigurationError
from limits.errors import StorageError
from limits.storage import storage_from_string

from gateway.errors import ConfigurationError, RateLimitedError

WRONG_GUESSES = RateLimitItemPerMinute(5, 10)
"""Five wrong guesses in ten minutes. Source: security 2 C, row 54."""

IN_MEMORY = "async+memory://"

_log = structlog.get_logger("kyosei.limits")


class Guess:
    """One guess that may be made."""

    def __init__(self) -> None:
        self.was_wrong = False


class GuessLimiter:
    """Lets each guesser (a relying party, or who has an invitation) guess, one at a time, until too many were wrong.

    Where the common storage does not answer, each process counts by itself. Source: security 3.2 (10).
    """

    def __init__(self, storage_url: str) -> None:
        self._common = _limiter(storage_url)
        self._own = _limiter(IN_MEMORY)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # kept while somebody waits

    @asynccontextmanager
    async def guess(self, guesser: str) -> AsyncIterator[Guess]:
        """A turn to guess. Raises RateLimitedError after too many wrong ones."""
        async with self._turns.setdefault(guesser, asyncio.Lock()):
            await self._check(guesser)
            made = Guess()
            yield made
            if made.was_wrong:
                await self._count(guesser)

    async def close(self) -> None:
        """Close the connections to the common storage."""
        bridge: Any = getattr(self._common.storage, "bridge", None)  # limits has no closing of its own
        if bridge is not None:
            await bridge.get_connection().aclose()

    async def _check(self, guesser: str) -> None:
        for limiter in (self._own, self._common):
            try:
                stats = await limiter.get_window_stats(WRONG_GUESSES, guesser)
            except StorageError:
                _log.error("limits_storage_unavailable")
                continue
            if stats.remaining <= 0:
                raise RateLimitedError("guesses", retry_after_seconds=_seconds_until(stats.reset_time, WRONG_GUESSES))

    async def _count(self, guesser: str) -> None:
        await self._own.hit(WRONG_GUESSES, guesser)
        try:
            await self._common.hit(WRONG_GUESSES, guesser)
        except StorageError:
            _log.error("limits_storage_unavailable")


def _limiter(storage_url: str) -> MovingWindowRateLimiter:
    """A limiter over a storage. Raises ConfigurationError for a URL that names none."""
    if not storage_url.startswith("async+"):
        raise ConfigurationError("limits.storage_url: it does not begin with async+")
    try:
        options = {} if storage_url == IN_MEMORY else {"implementation": "redispy", "wrap_exceptions": True}
        return MovingWindowRateLimiter(storage_from_string(storage_url, **options))  # type: ignore[arg-type]  # async+
    except (LimitsConfigurationError, ValueError) as error:
        raise ConfigurationError("limits.storage_url: it names no storage") from error


def _seconds_until(moment: float, item: RateLimitItem) -> int:
    """Whole seconds until a moment, at least one, at most the item's window."""
    return min(max(1, math.ceil(moment - time.time())), item.get_expiry())
