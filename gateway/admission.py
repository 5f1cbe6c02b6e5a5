"""Who may work now: so many at once, a short queue, nobody else. Who waits for others gives their place away.

More work at once than the processor takes makes everything late and nothing more is done; so those for whom
there is no room learn it at once. Source: reliability R8, R9. Those who are at work go step by step together.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Self

from gateway.errors import OverloadedError

OVERLOAD_SECONDS = 1.0
"""For so long after the last refusal a lane counts as overloaded."""


COMPANY = 4
"""So many at work are company worth keeping step with; with fewer, each turn of the event loop costs more than it
saves. Source: `make bench-overload` with two and four callers."""


@dataclass(frozen=True, slots=True)
class LaneBounds:
    """How many work at once, and how many may wait, for so long at most: in a burst, and while it is overloaded.

    A burst is over soon and worth waiting for. A queue that stays makes everybody late and helps nobody.
    Source: K. Nichols, V. Jacobson, Controlling Queue Delay, ACM Queue 10(5), 2012.
    """

    busy: int
    waiting: int
    wait_seconds: float
    overloaded_busy: int
    overloaded_waiting: int


class Lane:
    """Admits those who ask for the same kind of thing. `busy`: at work now, not waiting for any source. `clock`:
    monotonic seconds."""

    def __init__(self, bounds: LaneBounds, *, in_flight: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._bounds = bounds
        self._clock = clock
        self._max_in_flight = in_flight
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._overloaded_until = 0.0
        self._expected = 0
        self.busy = 0
        self.in_flight = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @property
    def has_company(self) -> bool:
        """Whether enough are at work for keeping step."""
        return self.busy >= COMPANY

    @property
    def is_crammed(self) -> bool:
        """Whether as many are in flight as may be, most of whom wait for sources."""
        return self.in_flight >= self._max_in_flight

    @property
    def is_full(self) -> bool:
        """Whether whoever enters now is refused."""
        return self._room() <= 0

    @property
    def will_be_full(self) -> bool:
        """The same for whoever comes after those who are expected."""
        return self._room() <= self._expected

    def _room(self) -> int:
        """For how many more there is a place, or one to wait for it."""
        bounds, is_overloaded = self._bounds, self._is_overloaded
        left = (bounds.overloaded_waiting if is_overloaded else bounds.waiting) - len(self._waiting)
        places = self._places - self.busy
        room = (places if places > 0 else 0) + (left if left > 0 else 0)
        return min(room, self._max_in_flight - self.in_flight)

    @property
    def _is_overloaded(self) -> bool:
        return self._clock() < self._overloaded_until

    @property
    def _places(self) -> int:
        return self._bounds.overloaded_busy if self._is_overloaded else self._bounds.busy

    def expect(self) -> None:
        """Somebody has been let in and enters in this turn of the event loop, or as if they had come later.

        Many may come in one turn: without this all of them would be let in, and most only to be refused.
        """
        self._expected += 1
        asyncio.get_running_loop().call_soon(self._have_come)

    def _have_come(self) -> None:
        self._expected -= 1

    async def enter(self) -> "Place":
        """A place to work at, for the length of a context. Raises OverloadedError where none is free soon."""
        await self._wait_for_place()
        self.in_flight += 1
        return Place(self)

    async def _wait_for_place(self) -> None:
        if self.is_full:
            raise self._refuse("no room")
        if self.busy < self._places and not self._waiting:
            self.busy += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(self._bounds.wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.free()  # the turn came as its waiter went
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._refuse("wait") from error
            raise

    def note_refusal(self) -> None:
        """There is no place for somebody: from now on the lane is overloaded for a while."""
        self._overloaded_until = self._clock() + OVERLOAD_SECONDS

    def _refuse(self, why: str) -> OverloadedError:
        self.note_refusal()
        return OverloadedError(why)

    def free(self) -> None:
        """A place is free: for the one who has waited longest."""
        self.busy -= 1
        while self._waiting and self.busy < self._places:
            turn = self._waiting.popleft()
            if not turn.done():
                self.busy += 1
                turn.set_result(None)


class Place:
    """One request's place, while a context lasts; given away while any part of it waits for somebody else."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._away = 0
        self._has_ended = False

    def __enter__(self) -> Self:
        self._token = _place.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        _place.reset(self._token)

    @property
    def has_company(self) -> bool:
        return self._lane.has_company

    def leave(self) -> None:
        self._away += 1
        if self._away == 1 and not self._has_ended:
            self._lane.free()

    def come_back(self) -> None:
        """Without a queue: what has begun is finished."""
        self._away -= 1
        if self._away == 0 and not self._has_ended:
            self._lane.busy += 1

    def end(self) -> None:
        """The work is done, whatever is left to send; a second time is no error."""
        if self._has_ended:
            return
        self._has_ended = True
        self._lane.in_flight -= 1
        if self._away == 0:
            self._lane.free()


_place: ContextVar[Place | None] = ContextVar("place", default=None)


@contextmanager
def away() -> Iterator[None]:
    """While the context lasts, this request waits for somebody else and its place is another's."""
    place = _place.get()
    if place is None:
        yield
        return
    place.leave()
    try:
        yield
    finally:
        place.come_back()


async def keep_step() -> None:
    """Between two steps of this request's work: let the others who are at work come as far.

    A step takes longest where little of what it needs is in the processor's caches; whoever takes the same step right
    after finds it there. Source: J. Larus, M. Parkes, Using Cohort Scheduling to Enhance Server Performance, USENIX
    Annual Technical Conference 2002. It belongs before a step that takes a twentieth of a question or more, and never
    between a lease and the response that leaves under it.
    """
    place = _place.get()
    if place is not None and place.has_company:
        await asyncio.sleep(0)
