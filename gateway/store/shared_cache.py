"""A cache that several processes share, on Redis or Valkey, as far as it answers: whatever goes wrong is a miss.

What it holds was sealed by who put it there. Whoever has it may read, keep back or exchange that, or fill it with
anything: nothing is believed before it verifies.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from gateway.errors import ConfigurationError

T = TypeVar("T")

ANSWER_SECONDS = 0.1
"""A cache that takes longer is no help."""

PAUSE_SECONDS = 1.0
"""For so long after a failure it is left alone: nobody waits for it again and again."""

MAX_VALUE_BYTES = 1024 * 1024
_PREFIX = "kyosei:evidence:"

_log = structlog.get_logger("kyosei.cache")


class SharedCache:
    """Bytes by name, each for a while. Raises ConfigurationError for a URL that names no such place.

    The URL may be written as for the limits, too.
    """

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._client = Redis.from_url(
                _as_the_driver_writes_it(url),
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
                decode_responses=False,
            )
        except ValueError as error:
            raise ConfigurationError("evidence.storage_url: it names no Redis or Valkey") from error
        self._clock = clock
        self._left_alone_until = 0.0

    async def find(self, names: Sequence[str]) -> list[bytes | None]:
        """What is kept under these names, in one exchange; None for what is not. No more is fetched than was ever put
        there."""

        async def fetch() -> list[Any]:
            async with self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.getrange(_PREFIX + name, 0, MAX_VALUE_BYTES)
                return list(await pipeline.execute(raise_on_error=False))

        found = await self._answered(fetch) or [None] * len(names)
        return [one if isinstance(one, bytes) and 0 < len(one) <= MAX_VALUE_BYTES else None for one in found]

    async def keep(self, name: str, value: bytes, *, ttl: float) -> None:
        """Keep a value for `ttl` seconds."""
        if ttl > 0 and len(value) <= MAX_VALUE_BYTES:
            await self._answered(self._client.psetex, _PREFIX + name, max(1, int(ttl * 1000)), value)

    async def delete(self, name: str) -> None:
        """Forget a value; if the cache does not answer, its time will."""
        await self._answered(self._client.delete, _PREFIX + name)

    async def answers(self) -> bool:
        """Whether it can be reached now, and is quick enough."""
        return bool(await self._answered(self._client.ping))

    async def close(self) -> None:
        await self._client.aclose()

    async def _answered(self, command: Callable[..., Awaitable[T]], *given: object) -> T | None:
        if self._clock() < self._left_alone_until:
            return None
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await command(*given)
        except (RedisError, OSError) as error:
            self._left_alone_until = self._clock() + PAUSE_SECONDS
            _log.warning("cache_unavailable", error=type(error).__name__)
            return None


def _as_the_driver_writes_it(url: str) -> str:
    """`limits.storage_url` wants `async+redis://` or `async+redis+unix://`; this driver knows neither."""
    plain = url.removeprefix("async+")
    return plain.removeprefix("redis+") if plain.startswith("redis+unix://") else plain
