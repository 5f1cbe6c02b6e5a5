"""Leaves a failing source alone, and tries again with one call at a time.

CLOSED     every call is let through; `MAX_FAILURES` failures among the last `WINDOW` calls open it
OPEN       no call is let through until the next probe is due, `PROBE_SECONDS` after the last failure
HALF_OPEN  one probe is under way; a good one closes, a failed one opens again

A probe that says nothing for `PROBE_SECONDS` is counted as failed, so that one call that hangs does not keep the
others out; if it comes back good after all, it closes too. Pure: no I/O, and the clock is passed in.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

WINDOW = 20
MAX_FAILURES = 10
"""Half of the window: failures in a row open it after ten. Source: reliability R11 allows at most 20."""

PROBE_SECONDS = 4.0
"""Twice this passes at most between a source's recovery and the next probe. Source: reliability R11, 10 s."""


class BreakerState(StrEnum):
    """What the breaker does with a call."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One call that was let through; its end is told once. `turn`: how often the breaker had opened or closed."""

    turn: int
    is_probe: bool


class Breaker:
    """One source's breaker. `clock`: monotonic seconds. `moved` is told the state that a call or its end brings."""

    def __init__(self, *, clock: Callable[[], float], moved: Callable[[BreakerState], None]) -> None:
        self._clock = clock
        self._moved = moved
        self._are_failures: deque[bool] = deque(maxlen=WINDOW)
        self._turn = 0
        self._is_open = False
        self._probe: Call | None = None
        self._probe_due_at = 0.0

    @property
    def state(self) -> BreakerState:
        if not self._is_open:
            return BreakerState.CLOSED
        is_probing = self._probe is not None and self._clock() < self._probe_due_at
        return BreakerState.HALF_OPEN if is_probing else BreakerState.OPEN

    def seconds_until_probe(self) -> float:
        """0 if a call would be let through now; else the time until the next one is."""
        return max(0.0, self._probe_due_at - self._clock()) if self._is_open else 0.0

    def admit(self) -> Call | None:
        """Let a call through, or not."""
        if self.seconds_until_probe() > 0:
            return None
        call = Call(self._turn, is_probe=self._is_open)
        if self._is_open:
            self._probe = call
            self._probe_due_at = self._clock() + PROBE_SECONDS
            self._moved(BreakerState.HALF_OPEN)
        return call

    def succeeded(self, call: Call) -> None:
        """The source answered."""
        if call.turn != self._turn:
            return  # what was let through before the last opening or closing says nothing about now
        if self._is_open:
            self._turn_over(is_open=False)
        else:
            self._are_failures.append(False)

    def failed(self, call: Call) -> None:
        """The source did not answer, or not properly."""
        if call.turn != self._turn:
            return
        if not self._is_open:
            self._are_failures.append(True)
            if sum(self._are_failures) >= MAX_FAILURES:
                self._turn_over(is_open=True)
        elif call is self._probe:
            self._end_probe(next_seconds=PROBE_SECONDS)

    def abandoned(self, call: Call) -> None:
        """The caller went away: nothing was learned, and the next call may be the probe."""
        if call is self._probe:
            self._end_probe(next_seconds=0.0)

    def _end_probe(self, *, next_seconds: float) -> None:
        self._probe = None
        self._probe_due_at = self._clock() + next_seconds
        self._moved(BreakerState.OPEN)

    def _turn_over(self, *, is_open: bool) -> None:
        self._turn += 1
        self._is_open = is_open
        self._probe = None
        self._are_failures.clear()
        self._probe_due_at = self._clock() + PROBE_SECONDS
        self._moved(BreakerState.OPEN if is_open else BreakerState.CLOSED)
