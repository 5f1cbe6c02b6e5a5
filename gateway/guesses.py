"""How often a code may be guessed wrong. Counted in memory, or in Valkey for several processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

import structlog
from limits import RateLimitItemPerMinute
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from gateway.errors import RateLimitedError
from gateway.rates import IN_MEMORY, close_storage, open_storage, seconds_until

WRONG_GUESSES = RateLimitItemPerMinute(5, 10)
"""Five wrong guesses in ten minutes. Source: security 2 C, row 54."""

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
        self._common = MovingWindowRateLimiter(open_storage(storage_url))
        self._own = MovingWindowRateLimiter(open_storage(IN_MEMORY))
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
        await close_storage(self._common.storage)

    async def _check(self, guesser: str) -> None:
        for limiter in (self._own, self._common):
            try:
                stats = await limiter.get_window_stats(WRONG_GUESSES, guesser)
            except StorageError:
                _log.error("limits_storage_unavailable")
                continue
            if stats.remaining <= 0:
                raise RateLimitedError("guesses", retry_after_seconds=seconds_until(stats.reset_time, WRONG_GUESSES))

    async def _count(self, guesser: str) -> None:
        await self._own.hit(WRONG_GUESSES, guesser)
        try:
            await self._common.hit(WRONG_GUESSES, guesser)
        except StorageError:
            _log.error("limits_storage_unavailable")
