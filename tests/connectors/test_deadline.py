"""One timer follows a deadline that moves: it passes when it was set last, not before, and not once it is lifted."""

import asyncio
from collections.abc import Callable
from typing import cast

import pytest
import uvloop

from connectors.deadline import Deadline


class Timer:
    def __init__(self, at: float, call: Callable[[], object]) -> None:
        self.at = at
        self.call = call
        self.is_cancelled = False

    def when(self) -> float:
        return self.at

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """An event loop's clock and timers, moved by hand. `made`: every timer that there ever was."""

    def __init__(self) -> None:
        self.now = 100.0
        self.made: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, at: float, call: Callable[[], object]) -> Timer:
        self.made.append(Timer(at, call))
        return self.made[-1]

    def open(self) -> list[Timer]:
        return [timer for timer in self.made if not timer.is_cancelled]

    def pass_until(self, now: float) -> None:
        while due := sorted((timer for timer in self.open() if timer.at <= now), key=Timer.when):
            due[0].is_cancelled, self.now = True, max(self.now, due[0].at)
            due[0].call()
        self.now = now


class Watched:
    def __init__(self) -> None:
        self.loop = Loop()
        self.passed_at: list[float] = []
        told = cast(asyncio.AbstractEventLoop, self.loop)
        self.deadline = Deadline(told, lambda: self.passed_at.append(self.loop.now))


def test_it_passes_once_and_not_before_its_time() -> None:
    watched = Watched()
    watched.deadline.set(103.0)
    watched.loop.pass_until(102.9)
    assert watched.passed_at == []
    assert watched.deadline.is_set
    watched.loop.pass_until(200.0)
    assert watched.passed_at == [103.0]
    assert not watched.deadline.is_set


def test_what_is_put_off_passes_later_and_takes_one_timer_as_long_as_it_moves() -> None:
    watched = Watched()
    for step in range(1_000):
        watched.deadline.set(101.0 + step / 1_000)
    assert len(watched.loop.made) == 1
    watched.loop.pass_until(101.5)
    assert watched.passed_at == []
    watched.loop.pass_until(110.0)
    assert watched.passed_at == [101.999]
    assert len(watched.loop.made) == 2


def test_what_is_brought_forward_passes_sooner() -> None:
    watched = Watched()
    watched.deadline.set(160.0)
    watched.deadline.set(101.0)
    watched.loop.pass_until(102.0)
    assert watched.passed_at == [101.0]
    assert watched.loop.open() == []


def test_what_was_lifted_does_not_pass_unless_it_is_set_again() -> None:
    watched = Watched()
    watched.deadline.set(101.0)
    watched.deadline.lift()
    assert not watched.deadline.is_set
    watched.loop.pass_until(102.0)
    assert watched.passed_at == []
    watched.deadline.set(103.0)
    watched.deadline.lift()
    watched.deadline.set(104.0)
    watched.loop.pass_until(110.0)
    assert watched.passed_at == [104.0]


def test_what_has_ended_leaves_no_timer_behind() -> None:
    watched = Watched()
    watched.deadline.set(160.0)
    watched.deadline.end()
    assert watched.loop.open() == []
    assert not watched.deadline.is_set


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("moments", [(0.05,), (0.0,), (60.0, 0.0), (0.0, 0.0), (0.0, 0.02)])
def test_it_passes_on_the_event_loops_that_there_are(run: Callable[..., object], moments: tuple[float, ...]) -> None:
    """They may wake a little early, and a timer of uvloop for a moment that is now is none."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        passed: asyncio.Future[float] = loop.create_future()
        deadline, now = Deadline(loop, lambda: passed.set_result(loop.time())), loop.time()
        for moment in moments:
            deadline.set(now + moment)
        async with asyncio.timeout(10):
            assert await passed >= now + moments[-1] - 0.002

    run(main())
