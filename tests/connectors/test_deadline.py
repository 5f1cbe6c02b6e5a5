"""One timer follows a deadline that moves: it passes when it was set last, not before, and not once it is lifted."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from connectors.deadline import Deadline


class Watched:
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.passed_at: list[float] = []
        self.deadline = Deadline(self.loop, lambda: self.passed_at.append(self.loop.time()))

    def set(self, seconds: float) -> float:
        ends_at = self.loop.time() + seconds
        self.deadline.set(ends_at)
        return ends_at


@pytest_asyncio.fixture(loop_scope="session")
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    made.deadline.end()


async def test_it_passes_once_and_not_before_its_time(watched: Watched) -> None:
    ends_at = watched.set(0.03)
    await asyncio.sleep(0.1)
    (passed_at,) = watched.passed_at
    assert passed_at >= ends_at - 0.002
    assert not watched.deadline.is_set


async def test_what_is_put_off_passes_later(watched: Watched) -> None:
    watched.set(0.02)
    ends_at = watched.set(0.12)
    await asyncio.sleep(0.06)
    assert watched.passed_at == []
    await asyncio.sleep(0.15)
    (passed_at,) = watched.passed_at
    assert passed_at >= ends_at - 0.002


async def test_what_is_brought_forward_passes_sooner(watched: Watched) -> None:
    watched.set(60)
    watched.set(0.02)
    await asyncio.sleep(0.1)
    assert len(watched.passed_at) == 1


async def test_what_was_lifted_does_not_pass_unless_it_is_set_again(watched: Watched) -> None:
    watched.set(0.02)
    watched.deadline.lift()
    await asyncio.sleep(0.06)
    assert watched.passed_at == []
    watched.set(0.02)
    watched.deadline.lift()
    watched.set(0.04)
    await asyncio.sleep(0.1)
    assert len(watched.passed_at) == 1


async def test_what_has_ended_leaves_no_timer_behind(watched: Watched) -> None:
    watched.set(60)
    timer = watched.deadline._timer
    assert timer is not None
    watched.deadline.end()
    assert timer.cancelled()
    assert not watched.deadline.is_set
