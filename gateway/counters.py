"""Sliding-window counters of one process, each hit in constant time.

The memory storage of `limits` looks through all keys after every hit: a gateway whose relying parties hold many
consents would slow down with each of them. The window is that of its `SlidingWindowCounterRateLimiter`: what was
counted in the window before weighs by how much of it is still within reach.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from limits import RateLimitItem

_FORGOTTEN_AT_ONCE = 2
"""As many idle keys go with each new one, so that they never pile up and going takes no time of its own."""


@dataclass(slots=True)
class _Window:
    """`number`: of the window since 1970. `before`: what the one before it had counted."""

    number: int
    count: int = 0
    before: int = 0


class WindowCounters:
    """Counts hits by item and key. `clock`: seconds since 1970."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._windows: dict[RateLimitItem, dict[tuple[str, ...], _Window]] = {}

    def hit(self, item: RateLimitItem, *key: str, cost: int = 1) -> bool:
        """Count a hit of this cost; False where it would be one too many, and then it is not counted."""
        window, weighed = self._look(item, key)
        if math.floor(weighed) + cost > item.amount:
            return False
        window.count += cost
        return True

    def remaining(self, item: RateLimitItem, *key: str) -> int:
        """How much could be counted now."""
        return max(0, item.amount - math.floor(self._look(item, key)[1]))

    def reset_at(self, item: RateLimitItem, *key: str) -> float:
        """When there will be room for one more, in seconds since 1970; now, where there is."""
        window, _ = self._look(item, key)
        now, length = self._clock(), item.get_expiry()
        left_seconds = (window.number + 1) * length - now
        waits = [left_seconds % (length / window.before)] if window.before else []
        if window.count:
            waits.append(left_seconds)
        return now + min(waits, default=0.0)

    def _look(self, item: RateLimitItem, key: tuple[str, ...]) -> tuple[_Window, float]:
        """A key's window as it is now, and what its count weighs."""
        length = item.get_expiry()
        passed, share = divmod(self._clock() / length, 1)
        number, windows = int(passed), self._windows.setdefault(item, {})
        window = windows.get(key)
        if window is None or window.number != number:
            before = window.count if window is not None and window.number == number - 1 else 0
            windows.pop(key, None)
            window = windows[key] = _Window(number, before=before)  # the last one: the first is idle for longest
            self._forget(windows, number)
        return window, window.count + window.before * (1 - share)

    @staticmethod
    def _forget(windows: dict[tuple[str, ...], _Window], number: int) -> None:
        for _ in range(_FORGOTTEN_AT_ONCE):
            key = next(iter(windows))
            if windows[key].number >= number - 1:
                return
            del windows[key]
