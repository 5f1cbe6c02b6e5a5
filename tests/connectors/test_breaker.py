"""The breaker opens on failures, leaves the source alone, and closes on the first good probe."""

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from connectors.breaker import MAX_FAILURES, PROBE_SECONDS, WINDOW, Breaker, BreakerState, Call


@dataclass
class Moves:
    """A breaker on a clock that the test moves, and what it told."""

    seconds: float = 1000.0
    told: list[BreakerState] = field(default_factory=list)

    def breaker(self) -> Breaker:
        return Breaker(clock=lambda: self.seconds, moved=self.told.append)


def let_through(breaker: Breaker) -> Call:
    call = breaker.admit()
    assert call is not None
    return call


def opened(moves: Moves) -> Breaker:
    breaker = moves.breaker()
    for _ in range(MAX_FAILURES):
        breaker.failed(let_through(breaker))
    return breaker


def test_a_source_that_only_fails_is_left_alone_after_at_most_20_failures() -> None:
    breaker = Moves().breaker()
    failures = 0
    while failures <= 20 and (call := breaker.admit()):
        breaker.failed(call)
        failures += 1
    assert failures == MAX_FAILURES <= 20


def test_a_long_calm_does_not_put_the_opening_off() -> None:
    breaker = Moves().breaker()
    for _ in range(10_000):
        breaker.succeeded(let_through(breaker))
    for _ in range(MAX_FAILURES):
        breaker.failed(let_through(breaker))
    assert breaker.state is BreakerState.OPEN


def test_fewer_failures_than_half_of_the_window_never_open() -> None:
    breaker = Moves().breaker()
    for n in range(100 * WINDOW):
        end = breaker.failed if n % WINDOW < MAX_FAILURES - 1 else breaker.succeeded
        end(let_through(breaker))
    assert breaker.state is BreakerState.CLOSED


def test_open_says_when_the_next_probe_is_let_through_and_keeps_it() -> None:
    moves = Moves()
    breaker = opened(moves)
    moves.seconds += 1
    assert breaker.seconds_until_probe() == pytest.approx(PROBE_SECONDS - 1)
    moves.seconds += PROBE_SECONDS - 1.001
    assert breaker.admit() is None
    moves.seconds += 0.001
    assert let_through(breaker).is_probe


def test_the_first_good_probe_closes() -> None:
    moves = Moves()
    breaker = opened(moves)
    moves.seconds += PROBE_SECONDS
    breaker.succeeded(let_through(breaker))
    assert moves.told == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]
    for _ in range(MAX_FAILURES - 1):  # and it starts afresh
        breaker.failed(let_through(breaker))
    assert breaker.state is BreakerState.CLOSED


def test_a_source_that_recovers_is_asked_again_within_ten_seconds_even_while_a_probe_hangs() -> None:
    moves = Moves()
    breaker = opened(moves)
    moves.seconds += PROBE_SECONDS
    let_through(breaker)  # hangs for ever; the source recovers now
    recovered_at = moves.seconds
    while (probe := breaker.admit()) is None:
        moves.seconds += 0.01
        assert moves.seconds - recovered_at <= 10
    breaker.succeeded(probe)
    assert breaker.state is BreakerState.CLOSED


def test_a_probe_that_hung_and_is_good_after_all_closes_too() -> None:
    moves = Moves()
    breaker = opened(moves)
    moves.seconds += PROBE_SECONDS
    slow = let_through(breaker)
    moves.seconds += PROBE_SECONDS
    let_through(breaker)
    breaker.succeeded(slow)
    assert breaker.state is BreakerState.CLOSED


def test_a_cancelled_probe_gives_its_turn_to_the_next_call() -> None:
    moves = Moves()
    breaker = opened(moves)
    moves.seconds += PROBE_SECONDS
    breaker.abandoned(let_through(breaker))
    assert let_through(breaker).is_probe


def test_what_was_sent_before_the_opening_does_not_close() -> None:
    moves = Moves()
    breaker = moves.breaker()
    early = let_through(breaker)
    for _ in range(MAX_FAILURES):
        breaker.failed(let_through(breaker))
    breaker.succeeded(early)
    assert breaker.state is BreakerState.OPEN


class BreakerMachine(RuleBasedStateMachine):
    """Any interleaving of calls, ends and time, against what the breaker promises."""

    under_way = Bundle("under_way")

    def __init__(self) -> None:
        super().__init__()
        self.moves = Moves()
        self.breaker = self.moves.breaker()
        self.is_open = False
        self.silent_until = float("-inf")
        """While open: no call may be let through before this."""
        self.current: set[Call] = set()
        """What was let through since the last opening or closing, and has not ended."""
        self.probe: Call | None = None
        self.recent: list[bool] = []

    @rule(target=under_way)
    def call(self) -> object:
        call = self.breaker.admit()
        expected = not self.is_open or self.moves.seconds >= self.silent_until
        assert (call is not None) == expected
        if call is None:
            return multiple()
        assert call.is_probe == self.is_open
        self.current.add(call)
        if self.is_open:
            self.probe = call
            self.silent_until = self.moves.seconds + PROBE_SECONDS
        return call

    @rule(call=consumes(under_way))
    def answers(self, call: Call) -> None:
        self.breaker.succeeded(call)
        if call in self.current:
            if self.is_open:
                self._turn_over(is_open=False)
            else:
                self._remember(is_failure=False)
        self.current.discard(call)

    @rule(call=consumes(under_way))
    def fails(self, call: Call) -> None:
        self.breaker.failed(call)
        if call in self.current and not self.is_open:
            self._remember(is_failure=True)
        elif call is self.probe:
            self.probe, self.silent_until = None, self.moves.seconds + PROBE_SECONDS
        self.current.discard(call)

    @rule(call=consumes(under_way))
    def is_cancelled(self, call: Call) -> None:
        self.breaker.abandoned(call)
        if call is self.probe:
            self.probe, self.silent_until = None, self.moves.seconds
        self.current.discard(call)

    @rule(count=st.integers(1, WINDOW), is_failure=st.booleans())
    def many_calls_end_at_once(self, count: int, is_failure: bool) -> None:
        for _ in range(count):
            call = self.call()
            if isinstance(call, Call):
                (self.fails if is_failure else self.answers)(call)

    @rule(seconds=st.sampled_from([0.001, 1.0, PROBE_SECONDS - 0.001, PROBE_SECONDS, 3600.0]))
    def time_passes(self, seconds: float) -> None:
        self.moves.seconds += seconds

    def _remember(self, *, is_failure: bool) -> None:
        self.recent = [*self.recent, is_failure][-WINDOW:]
        if sum(self.recent) >= MAX_FAILURES:
            self._turn_over(is_open=True)

    def _turn_over(self, *, is_open: bool) -> None:
        self.is_open, self.recent, self.probe = is_open, [], None
        self.current.clear()
        self.silent_until = self.moves.seconds + PROBE_SECONDS

    @invariant()
    def it_is_open_exactly_when_it_must_be(self) -> None:
        assert (self.breaker.state is not BreakerState.CLOSED) == self.is_open

    @invariant()
    def it_says_how_long_it_will_be_silent_and_never_longer_than_a_probe_may_take(self) -> None:
        seconds = self.breaker.seconds_until_probe()
        expected = max(0.0, self.silent_until - self.moves.seconds) if self.is_open else 0.0
        assert seconds == pytest.approx(expected)
        assert seconds <= PROBE_SECONDS

    @invariant()
    def half_open_means_that_one_probe_is_under_way(self) -> None:
        if self.breaker.state is BreakerState.HALF_OPEN:
            assert self.probe in self.current

    @invariant()
    def the_last_state_that_was_told_is_closed_exactly_when_it_is(self) -> None:
        told = self.moves.told[-1] if self.moves.told else BreakerState.CLOSED
        assert (told is BreakerState.CLOSED) == (self.breaker.state is BreakerState.CLOSED)


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
