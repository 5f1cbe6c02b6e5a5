"""What stands between a connector and its source: opening hours, a breaker, a number of places, one repetition.

It holds for one authority, so that one that fails or is slow takes nothing from the others.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from connectors.breaker import Breaker, BreakerState, Call
from connectors.errors import SourceUnavailableError
from connectors.interface import SourceAuthority
from connectors.maintenance import MaintenanceWindow, closed_until
from connectors.places import Places
from connectors.reply import read_retry_after
from connectors.retries import RetryBudget, pause_seconds
from connectors.transport import (
    MAX_CONNECTIONS,
    UPSTREAM_PROTOCOL,
    UPSTREAM_TIMEOUT,
    UPSTREAM_UNAVAILABLE,
    Transport,
    WireReply,
    WireRequest,
)
from connectors.watch import Watch

UPSTREAM_CLOSED = "UPSTREAM_CLOSED"
UPSTREAM_CIRCUIT_OPEN = "UPSTREAM_CIRCUIT_OPEN"
UPSTREAM_BUSY = "UPSTREAM_BUSY"

_LAST_SECONDS = 0.005
"""Whoever gets a place so shortly before the deadline has no use for it. Timers may end a little early."""

_REPEATED_FAULTS = frozenset({UPSTREAM_UNAVAILABLE, UPSTREAM_PROTOCOL})
"""A second try may go better. After a timeout no time is left, and what is too large stays too large."""

_Outcome = WireReply | SourceUnavailableError


class StandingTransport:
    """`Transport` over another one, for one authority.

    Besides the inner transport's faults: UPSTREAM_CLOSED (its timetable), UPSTREAM_CIRCUIT_OPEN, both with the
    seconds until asking again makes sense, and UPSTREAM_BUSY (no place in time). `max_concurrent`: how many exchanges
    are under way at once. `now`: aware clock. `clock`: monotonic seconds. `chance`: from 0 to 1.
    """

    def __init__(
        self,
        inner: Transport,
        authority: SourceAuthority,
        *,
        watch: Watch,
        now: Callable[[], datetime],
        maintenance: Iterable[MaintenanceWindow] = (),
        max_concurrent: int = MAX_CONNECTIONS,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._inner = inner
        self._authority = authority
        self._watch = watch
        self._now = now
        self._maintenance = tuple(maintenance)
        self._places = Places(max_concurrent)
        self._clock = clock
        self._chance = chance
        self._budget = RetryBudget()
        self._breaker = Breaker(clock=clock, moved=lambda state: watch.breaker_moved(authority, state))

    async def exchange(self, request: WireRequest, *, deadline_seconds: float, max_bytes: int) -> WireReply:
        """Send, and once more if that may help; see `Transport`. The deadline is for all of it."""
        ends_at = asyncio.get_running_loop().time() + deadline_seconds
        outcome = await self._attempt(request, ends_at, max_bytes)
        pause = self._pause_before_repeating(request, outcome, ends_at)
        if pause is not None:
            await asyncio.sleep(pause)
            outcome = await self._attempt(request, ends_at, max_bytes, instead_of=outcome)
        if isinstance(outcome, SourceUnavailableError):
            raise outcome
        return outcome

    async def close(self) -> None:
        """Close the inner transport."""
        await self._inner.close()

    async def _attempt(
        self, request: WireRequest, ends_at: float, max_bytes: int, *, instead_of: _Outcome | None = None
    ) -> _Outcome:
        """One exchange as soon as there is a place; a failure of the source is an outcome.

        `instead_of`: what is repeated. It stays the outcome where the breaker is not closed any more.
        """
        self._refuse_if_closed()
        if instead_of is None and self._breaker.state is not BreakerState.CLOSED:
            return await self._probe(request, ends_at, max_bytes)
        took_time = await self._take_place(ends_at)
        try:
            if took_time:
                self._refuse_if_closed()
            left_seconds = ends_at - asyncio.get_running_loop().time()
            if took_time and left_seconds <= _LAST_SECONDS:
                raise _unavailable(UPSTREAM_BUSY)
            if left_seconds <= 0:
                raise _unavailable(UPSTREAM_TIMEOUT)
            if instead_of is None:
                self._budget.earn()
            elif self._breaker.state is BreakerState.CLOSED:
                self._watch.retried(self._authority)
            else:
                return instead_of
            call = self._breaker.admit()
            if call is None:
                raise self._circuit_open()
            return await self._exchange(call, request, left_seconds, max_bytes)
        finally:
            self._places.give_back()

    async def _probe(self, request: WireRequest, ends_at: float, max_bytes: int) -> _Outcome:
        """The one exchange that an open breaker lets through. It needs no place: calls that hang may hold all."""
        call = self._breaker.admit()
        if call is None:
            raise self._circuit_open()
        left_seconds = ends_at - asyncio.get_running_loop().time()
        if left_seconds <= 0:
            self._breaker.abandoned(call)
            raise _unavailable(UPSTREAM_TIMEOUT)
        self._budget.earn()
        return await self._exchange(call, request, left_seconds, max_bytes)

    async def _exchange(self, call: Call, request: WireRequest, deadline_seconds: float, max_bytes: int) -> _Outcome:
        outcome: _Outcome
        began = self._clock()
        try:
            outcome = await self._inner.exchange(request, deadline_seconds=deadline_seconds, max_bytes=max_bytes)
        except SourceUnavailableError as error:
            outcome = error
        except BaseException:  # cancelled, or a defect of ours: a probe's turn must not stay taken
            self._breaker.abandoned(call)
            raise
        fault = _fault_of(outcome)
        if fault is None:
            self._breaker.succeeded(call)
        else:
            self._breaker.failed(call)
        self._watch.exchanged(self._authority, fault=fault, seconds=self._clock() - began)
        return outcome

    async def _take_place(self, ends_at: float) -> bool:
        """Take one of the authority's places; whether that took time. UPSTREAM_BUSY if none gets free before the
        deadline."""
        try:
            return await self._places.take(ends_at=ends_at)
        except TimeoutError:
            raise _unavailable(UPSTREAM_BUSY) from None

    def _refuse_if_closed(self) -> None:
        """Raise while the authority's timetable or the breaker lets no call through."""
        if self._maintenance:
            now = self._now()
            if opens_at := closed_until(self._maintenance, now):
                raise _unavailable(UPSTREAM_CLOSED, retry_after_seconds=(opens_at - now).total_seconds())
        if self._breaker.seconds_until_probe() > 0:
            raise self._circuit_open()

    def _circuit_open(self) -> SourceUnavailableError:
        return _unavailable(UPSTREAM_CIRCUIT_OPEN, retry_after_seconds=self._breaker.seconds_until_probe())

    def _pause_before_repeating(self, request: WireRequest, outcome: _Outcome, ends_at: float) -> float | None:
        """The pause, once the repetition has been paid for; None where there is to be none."""
        fault = _fault_of(outcome)
        if not request.may_be_repeated or fault not in _REPEATED_FAULTS:
            return None
        asked_seconds = None
        if isinstance(outcome, WireReply) and outcome.status == 503:
            asked_seconds = read_retry_after(outcome.retry_after, self._now())
        pause = pause_seconds(asked_seconds, self._chance)
        if pause is None or pause >= ends_at - asyncio.get_running_loop().time():
            return None
        # Asked last: what is not repeated anyway must not use the budget up.
        return pause if self._breaker.state is BreakerState.CLOSED and self._budget.spend() else None


def _fault_of(outcome: _Outcome) -> str | None:
    """The name of a failure of the source; None where it answered, though it be with a refusal or "too many"."""
    if isinstance(outcome, SourceUnavailableError):
        return outcome.fault
    return UPSTREAM_UNAVAILABLE if outcome.status >= 500 else None


def _unavailable(fault: str, *, retry_after_seconds: float | None = None) -> SourceUnavailableError:
    message = "the source was not asked"
    return SourceUnavailableError(message, fault=fault, retry_after_seconds=retry_after_seconds)
