"""A deadline that moves all the time: one timer of the event loop follows it, instead of a new one for each move."""

import asyncio
from collections.abc import Callable

_EARLY_SECONDS = 0.001
"""A timer may fire this much early: event loops count in milliseconds."""


class Deadline:
    """Calls `passed` once the deadline has passed that was set last, unless it was lifted meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, passed: Callable[[], object]) -> None:
        self._loop = loop
        self._passed = passed
        self._ends_at: float | None = None
        self._timer: asyncio.Handle | None = None
        self._wakes_at = 0.0

    @property
    def is_set(self) -> bool:
        return self._ends_at is not None

    def set(self, ends_at: float) -> None:
        """Set it to a moment on the event loop's clock."""
        self._ends_at = ends_at
        if self._timer is not None and self._wakes_at > ends_at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._wake_at(ends_at)

    def lift(self) -> None:
        """There is none until the next is set; the timer stays, and does nothing when it fires."""
        self._ends_at = None

    def end(self) -> None:
        """Lift it, and cancel the timer."""
        self._ends_at = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake_at(self, moment: float) -> None:
        self._wakes_at = moment  # of a moment that is now uvloop's handle does not say so
        self._timer = self._loop.call_at(moment, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._ends_at is None:
            return
        if self._loop.time() + _EARLY_SECONDS < self._ends_at:
            self._wake_at(self._ends_at)
            return
        self._ends_at = None
        self._passed()
