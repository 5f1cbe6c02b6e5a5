"""Whether and when a failed exchange is repeated: at most once, for at most one exchange in ten.

Repeating everything that fails would double the load on a source that is already failing.
"""

from collections.abc import Callable

PAUSE_SECONDS = 0.2
"""The pause before a repetition is anything from nothing to this, so that callers do not come back together."""

MAX_RETRY_AFTER_SECONDS = 5.0
"""A source that asks for a longer pause is left alone; whoever asked is told when to come back."""

_EARNED_BY = 10
_MAX_SAVED = 2


class RetryBudget:
    """One source's allowance: ten exchanges earn a repetition, and no more than two are saved up.

    Source: reliability R10 (10 %); it starts empty, so that there are never more repetitions than a tenth.
    """

    def __init__(self) -> None:
        self._tenths = 0

    def earn(self) -> None:
        """An exchange was sent that was no repetition."""
        self._tenths = min(self._tenths + 1, _EARNED_BY * _MAX_SAVED)

    def spend(self) -> bool:
        """Take one repetition; False if none is left."""
        if self._tenths < _EARNED_BY:
            return False
        self._tenths -= _EARNED_BY
        return True


def pause_seconds(retry_after_seconds: float | None, chance: Callable[[], float]) -> float | None:
    """How long to wait before the repetition; None: the source wants more time than a caller has.

    `chance`: evenly from 0 to 1.
    """
    asked_seconds = retry_after_seconds or 0.0
    return None if asked_seconds > MAX_RETRY_AFTER_SECONDS else asked_seconds + chance() * PAUSE_SECONDS
