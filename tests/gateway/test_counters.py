"""Counting by sliding windows: what was counted fades, and who asks no more is forgotten."""

from limits import RateLimitItemPerMinute

from gateway.counters import WindowCounters

FOUR_A_MINUTE = RateLimitItemPerMinute(4)


class Clock:
    """Seconds since 1970, set by hand."""

    def __init__(self) -> None:
        self.seconds = 60_000.0

    def __call__(self) -> float:
        return self.seconds


def test_what_was_counted_weighs_by_how_much_of_its_window_is_within_reach() -> None:
    clock = Clock()
    counters = WindowCounters(clock)
    assert [counters.hit(FOUR_A_MINUTE, "bank") for _ in range(5)] == [True] * 4 + [False]
    clock.seconds += 60
    assert not counters.hit(FOUR_A_MINUTE, "bank"), "all of the minute before is within reach"
    clock.seconds += 30
    assert [counters.hit(FOUR_A_MINUTE, "bank") for _ in range(3)] == [True, True, False], "half of it still is"
    clock.seconds += 90
    assert counters.remaining(FOUR_A_MINUTE, "bank") == 4


def test_who_is_refused_may_come_when_they_are_told_to() -> None:
    clock = Clock()
    counters = WindowCounters(clock)
    for _ in range(4):
        counters.hit(FOUR_A_MINUTE, "bank")
    while not counters.hit(FOUR_A_MINUTE, "bank"):
        told = counters.reset_at(FOUR_A_MINUTE, "bank")
        assert clock.seconds < told <= 60_000 + 120
        clock.seconds = told + 0.01


def test_whoever_asks_no_more_is_forgotten_as_others_come() -> None:
    clock = Clock()
    counters = WindowCounters(clock)
    for number in range(1_000):
        counters.hit(FOUR_A_MINUTE, f"party {number}")
    clock.seconds += 180
    for number in range(600):
        counters.hit(FOUR_A_MINUTE, f"another {number}")
    assert sum(len(windows) for windows in counters._windows.values()) == 600
