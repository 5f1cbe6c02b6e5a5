"""What stands between a connector and its source: one repetition in ten, a breaker, places, opening hours."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

import pytest

from connectors.breaker import MAX_FAILURES, PROBE_SECONDS, BreakerState
from connectors.errors import ConnectorError, SourceUnavailableError
from connectors.interface import EvidenceRequest, SourceAuthority
from connectors.maintenance import MaintenanceWindow
from connectors.retries import PAUSE_SECONDS
from connectors.standing import StandingTransport
from connectors.transport import HttpxTransport, Transport, WireReply, WireRequest
from tests.connectors.scripted import Step, eventually, hang, head_of, raw, reply, reset, scripted
from tests.connectors.sources import NOW, PERSON, SOURCES, Source, make_connector
from tests.connectors.transports import reach

LOOK = WireRequest("GET", "/x", may_be_repeated=True)
APPLY = WireRequest("POST", "/x", body=b"{}")
GOOD = WireReply(200, "text/plain", None, b"ok")
FAULTS = ("UPSTREAM_UNAVAILABLE", "UPSTREAM_TIMEOUT", "UPSTREAM_PROTOCOL", "UPSTREAM_TOO_LARGE")
EARNING = 10
"""So many exchanges earn one repetition."""

Play = Callable[[], Awaitable[WireReply]]


def status(code: int, retry_after: str | None = None) -> WireReply:
    return WireReply(code, "text/plain", retry_after, b"")


@dataclass
class Told:
    """A `Watch` that remembers."""

    faults: list[str | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    states: list[BreakerState] = field(default_factory=list)
    retries: int = 0

    def exchanged(self, authority: SourceAuthority, *, fault: str | None, seconds: float) -> None:
        self.faults.append(fault)
        self.seconds.append(seconds)

    def retried(self, authority: SourceAuthority) -> None:
        self.retries += 1

    def breaker_moved(self, authority: SourceAuthority, state: BreakerState) -> None:
        self.states.append(state)


class FarEnd:
    """A transport that plays what a test says and counts; what it plays can be changed at any time."""

    def __init__(self, plays: WireReply | str | Play = GOOD) -> None:
        self.plays = plays
        self.deadlines: list[float] = []
        self.at_once = 0
        self.most_at_once = 0

    @property
    def calls(self) -> int:
        return len(self.deadlines)

    async def exchange(self, request: WireRequest, *, deadline_seconds: float, max_bytes: int) -> WireReply:
        self.deadlines.append(deadline_seconds)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if isinstance(self.plays, str):
                raise SourceUnavailableError("played", fault=self.plays)
            return self.plays if isinstance(self.plays, WireReply) else await self.plays()
        finally:
            self.at_once -= 1

    async def close(self) -> None:
        """Nothing."""


@dataclass
class Standing:
    """A standing transport over a far end, on a clock that the test moves."""

    end: FarEnd
    max_concurrent: int = 16
    maintenance: tuple[MaintenanceWindow, ...] = ()
    seconds: float = 0.0
    now: datetime = NOW
    chance: float = 0.0
    told: Told = field(default_factory=Told)

    def __post_init__(self) -> None:
        self.transport = StandingTransport(
            self.end,
            SourceAuthority.TAX,
            watch=self.told,
            now=lambda: self.now,
            maintenance=self.maintenance,
            max_concurrent=self.max_concurrent,
            clock=lambda: self.seconds,
            chance=lambda: self.chance,
        )

    async def ask(self, request: WireRequest = LOOK, *, deadline_seconds: float = 5.0) -> WireReply:
        return await self.transport.exchange(request, deadline_seconds=deadline_seconds, max_bytes=1024)

    async def fault(self, request: WireRequest = LOOK, *, deadline_seconds: float = 5.0) -> SourceUnavailableError:
        with pytest.raises(SourceUnavailableError) as caught:
            await self.ask(request, deadline_seconds=deadline_seconds)
        return caught.value

    async def ask_and_bear(self, request: WireRequest = LOOK) -> None:
        with pytest.raises(SourceUnavailableError):
            await self.ask(request)

    async def earn_a_repetition(self) -> None:
        played, self.end.plays = self.end.plays, GOOD
        for _ in range(EARNING):
            await self.ask()
        self.end.plays = played
        self.end.deadlines.clear()


async def opened() -> Standing:
    standing = Standing(FarEnd("UPSTREAM_UNAVAILABLE"))
    for _ in range(MAX_FAILURES):
        await standing.ask_and_bear(APPLY)
    standing.end.deadlines.clear()
    return standing


# The breaker


@pytest.mark.parametrize("plays", [*FAULTS, *map(status, (500, 502, 503, 599))], ids=str)
async def test_a_source_that_fails_is_not_called_any_more(plays: str | WireReply) -> None:
    standing = Standing(FarEnd(plays))
    for _ in range(100):
        try:
            await standing.ask()
        except SourceUnavailableError as error:
            found = error
    assert standing.end.calls == MAX_FAILURES <= 20
    assert (found.fault, found.retry_after_seconds) == ("UPSTREAM_CIRCUIT_OPEN", PROBE_SECONDS)
    assert standing.told.states == [BreakerState.OPEN]
    assert len(standing.told.faults) == standing.end.calls, "what was not sent is no exchange"


@pytest.mark.parametrize("code", [200, 202, 400, 401, 403, 404, 429])
async def test_a_source_that_refuses_or_has_too_much_to_do_has_not_failed(code: int) -> None:
    standing = Standing(FarEnd(status(code, "1")))
    for _ in range(3 * MAX_FAILURES):
        assert (await standing.ask()).status == code
    assert standing.end.calls == 3 * MAX_FAILURES, "and nothing of it was repeated"
    assert set(standing.told.faults) == {None}


async def test_callers_who_go_away_do_not_open_the_breaker() -> None:
    standing = Standing(FarEnd(asyncio.Event().wait))  # type: ignore[arg-type]  # it never gives anything back
    for _ in range(2 * MAX_FAILURES):
        asking = asyncio.create_task(standing.ask())
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    standing.end.plays = GOOD
    assert await standing.ask() == GOOD
    assert standing.told.faults == [None]


async def test_one_probe_is_let_through_and_the_first_good_one_closes() -> None:
    standing = await opened()
    standing.seconds += PROBE_SECONDS
    may_answer = asyncio.Event()

    async def probed() -> WireReply:
        await may_answer.wait()
        return GOOD

    standing.end.plays = probed
    probe = asyncio.create_task(standing.ask())
    await asyncio.sleep(0)
    for _ in range(50):
        assert (await standing.fault()).fault == "UPSTREAM_CIRCUIT_OPEN"
    assert standing.end.calls == 1
    may_answer.set()
    assert await probe == GOOD
    await asyncio.gather(*(standing.ask() for _ in range(50)))
    assert standing.end.calls == 51
    assert standing.told.states == [BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED]


async def test_a_probe_waits_for_no_place_that_is_held_by_calls_that_hang() -> None:
    standing, never = Standing(FarEnd(), max_concurrent=MAX_FAILURES), asyncio.Event()

    async def hangs() -> WireReply:
        await never.wait()
        return GOOD

    standing.end.plays = hangs
    hanging = [asyncio.create_task(standing.ask_and_bear()) for _ in range(MAX_FAILURES - 1)]
    await asyncio.sleep(0)
    standing.end.plays = "UPSTREAM_UNAVAILABLE"
    for _ in range(MAX_FAILURES):
        await standing.ask_and_bear()
    standing.end.plays = hangs
    assert standing.told.states == [BreakerState.OPEN]
    held = asyncio.create_task(standing.ask_and_bear())  # refused at once, without a place
    await asyncio.gather(held)
    standing.end.plays = GOOD
    standing.seconds += PROBE_SECONDS
    async with asyncio.timeout(1):
        await standing.ask()
    assert standing.told.states[-1] is BreakerState.CLOSED
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_failed_probe_is_not_repeated() -> None:
    standing = Standing(FarEnd())
    for _ in range(2 * EARNING):
        await standing.ask()
    standing.end.plays = "UPSTREAM_UNAVAILABLE"
    for _ in range(MAX_FAILURES):
        await standing.ask_and_bear(APPLY)
    standing.end.deadlines.clear()
    standing.seconds += PROBE_SECONDS
    assert (await standing.fault()).fault == "UPSTREAM_UNAVAILABLE"
    assert standing.end.calls == 1
    assert standing.told.retries == 0


async def test_a_cancelled_probe_gives_its_turn_to_the_next_caller() -> None:
    standing = await opened()
    standing.seconds += PROBE_SECONDS
    standing.end.plays = asyncio.Event().wait  # type: ignore[assignment]  # it never gives anything back
    probe = asyncio.create_task(standing.ask())
    await asyncio.sleep(0)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    standing.end.plays = GOOD
    assert await standing.ask() == GOOD
    assert standing.told.states[-1] is BreakerState.CLOSED


async def test_a_deadline_that_has_passed_is_no_failure_of_the_source() -> None:
    standing = Standing(FarEnd())
    for _ in range(2 * MAX_FAILURES):
        assert (await standing.fault(deadline_seconds=0)).fault == "UPSTREAM_TIMEOUT"
    assert standing.end.calls == 0
    assert await standing.ask() == GOOD


# The repetition


async def test_when_everything_fails_the_source_sees_a_tenth_more_at_most() -> None:
    """With a good reply now and then, so that the breaker does not end the storm."""
    standing = Standing(FarEnd(), chance=0.0)
    numbers = itertools.count()

    async def mostly_fails() -> WireReply:
        if next(numbers) % 20 < MAX_FAILURES - 1:
            raise SourceUnavailableError("played")
        return GOOD

    standing.end.plays = mostly_fails
    for _ in range(1000):
        await asyncio.gather(standing.ask(), return_exceptions=True)
    assert standing.told.retries == standing.end.calls - 1000
    assert 50 < standing.told.retries <= 100


@pytest.mark.parametrize("count", [1, 10, 50, 500])
@pytest.mark.parametrize("together", [True, False])
async def test_a_source_that_is_down_sees_no_storm(count: int, together: bool) -> None:
    standing = Standing(FarEnd("UPSTREAM_UNAVAILABLE"))
    if together:
        await asyncio.gather(*(standing.ask() for _ in range(count)), return_exceptions=True)
    else:
        for _ in range(count):
            await standing.ask_and_bear()
    assert standing.end.calls <= 1.1 * count


@pytest.mark.parametrize("plays", ["UPSTREAM_UNAVAILABLE", "UPSTREAM_PROTOCOL", *map(status, (500, 503))], ids=str)
async def test_what_may_be_repeated_is_repeated_once(plays: str | WireReply) -> None:
    standing = Standing(FarEnd(plays))
    await standing.earn_a_repetition()
    await asyncio.gather(standing.ask(), return_exceptions=True)
    assert standing.end.calls == 2
    assert standing.told.retries == 1


@pytest.mark.parametrize("plays", ["UPSTREAM_TIMEOUT", "UPSTREAM_TOO_LARGE", *map(status, (429, 404))], ids=str)
async def test_what_would_go_the_same_way_again_is_not_repeated(plays: str | WireReply) -> None:
    standing = Standing(FarEnd(plays))
    await standing.earn_a_repetition()
    await asyncio.gather(standing.ask(), return_exceptions=True)
    assert standing.end.calls == 1


async def test_what_may_not_be_repeated_never_is() -> None:
    standing = Standing(FarEnd("UPSTREAM_UNAVAILABLE"))
    await standing.earn_a_repetition()
    await standing.ask_and_bear(APPLY)
    assert standing.end.calls == 1


async def test_a_repetition_that_goes_well_is_the_answer() -> None:
    standing = Standing(FarEnd())
    await standing.earn_a_repetition()
    replies = iter([status(500), GOOD])

    async def played() -> WireReply:
        return next(replies)

    standing.end.plays = played
    assert await standing.ask() == GOOD
    assert standing.told.faults[-2:] == ["UPSTREAM_UNAVAILABLE", None]


@pytest.mark.parametrize(
    ("code", "retry_after", "deadline_seconds", "calls"),
    [
        (503, "0", 5.0, 2),
        (503, "1", 0.5, 1),  # the deadline would have passed
        (503, "60", 120.0, 1),  # longer than anybody waits
        (503, "Fri, 20 Nov 2026 02:00:00 GMT", 120.0, 1),
        (500, "60", 5.0, 2),  # only with 503 is it a promise
        (429, "0", 5.0, 1),
    ],
)
async def test_retry_after_is_honoured(code: int, retry_after: str, deadline_seconds: float, calls: int) -> None:
    standing = Standing(FarEnd(status(code, retry_after)))
    await standing.earn_a_repetition()
    found = await standing.ask(deadline_seconds=deadline_seconds)
    assert (found.status, found.retry_after) == (code, retry_after)
    assert standing.end.calls == calls


async def test_the_pause_is_what_the_source_asks_for_and_chance() -> None:
    standing = Standing(FarEnd(status(503, "1")), chance=1.0)
    await standing.earn_a_repetition()
    await standing.ask(deadline_seconds=5)
    first, second = standing.end.deadlines
    assert first - second >= 1 + PAUSE_SECONDS - 0.01


async def test_no_repetition_begins_that_the_deadline_would_cut_off() -> None:
    standing = Standing(FarEnd("UPSTREAM_UNAVAILABLE"), chance=1.0)
    await standing.earn_a_repetition()
    await standing.fault(deadline_seconds=PAUSE_SECONDS / 2)
    assert standing.end.calls == 1


async def test_no_repetition_after_the_breaker_has_opened_in_the_pause() -> None:
    standing = Standing(FarEnd("UPSTREAM_UNAVAILABLE"), chance=1.0)
    await standing.earn_a_repetition()
    repeating = asyncio.create_task(standing.ask())
    await eventually(lambda: standing.end.calls == 1)
    for _ in range(MAX_FAILURES):
        await asyncio.gather(standing.ask(APPLY), return_exceptions=True)
    before = standing.end.calls
    standing.seconds += PROBE_SECONDS  # a probe is due, and the repetition is none
    with pytest.raises(SourceUnavailableError) as caught:
        await repeating
    assert caught.value.fault == "UPSTREAM_UNAVAILABLE"
    assert standing.end.calls == before


@pytest.mark.parametrize("source", SOURCES, ids=str)
async def test_every_question_but_the_tax_application_may_be_repeated(source: Source) -> None:
    sent: list[WireRequest] = []

    class Recording(HttpxTransport):
        async def exchange(self, request: WireRequest, *, deadline_seconds: float, max_bytes: int) -> WireReply:
            sent.append(request)
            return await super().exchange(request, deadline_seconds=deadline_seconds, max_bytes=max_bytes)

    async with scripted(*source.good()) as server:
        connector = make_connector(source.authority, server.base_url, [], over=Recording)
        await connector.fetch(EvidenceRequest(PERSON), deadline_seconds=5)
        await connector.close()
    repeatable = [(request.method, request.may_be_repeated) for request in sent]
    expected = {
        SourceAuthority.IMMIGRATION: [("POST", True)],
        SourceAuthority.TAX: [("POST", False), ("GET", True)],
    }
    assert repeatable == expected.get(source.authority, [("GET", True)])


# Places


async def test_no_more_than_the_places_are_under_way_at_once() -> None:
    async def answers() -> WireReply:
        await asyncio.sleep(0.001)
        return GOOD

    standing = Standing(FarEnd(answers), max_concurrent=3)
    replies = await asyncio.gather(*(standing.ask() for _ in range(100)))
    assert replies == [GOOD] * 100
    assert standing.end.most_at_once == 3


async def test_whoever_finds_no_place_before_the_deadline_is_told_so_and_the_source_is_not_blamed() -> None:
    may_answer = asyncio.Event()

    async def answers() -> WireReply:
        await may_answer.wait()
        return GOOD

    standing = Standing(FarEnd(answers), max_concurrent=1)
    first = asyncio.create_task(standing.ask(deadline_seconds=60))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        crowd = await asyncio.gather(
            *(standing.ask(deadline_seconds=0.05) for _ in range(3 * MAX_FAILURES)), return_exceptions=True
        )
    assert {found.fault for found in crowd if isinstance(found, SourceUnavailableError)} == {"UPSTREAM_BUSY"}
    assert (standing.end.calls, standing.told.faults) == (1, [])
    may_answer.set()
    assert await first == GOOD
    assert await standing.ask() == GOOD


async def test_a_crowd_at_one_authority_takes_no_place_of_another() -> None:
    slow = Standing(FarEnd(asyncio.Event().wait), max_concurrent=2)  # type: ignore[arg-type]  # never answers
    crowd = [asyncio.create_task(slow.ask(deadline_seconds=60)) for _ in range(50)]
    await asyncio.sleep(0)
    other = Standing(FarEnd(), max_concurrent=2)
    assert await asyncio.gather(*(other.ask() for _ in range(10))) == [GOOD] * 10
    for asking in crowd:
        asking.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_whoever_goes_away_while_waiting_or_asking_leaves_the_place_to_others() -> None:
    standing = Standing(FarEnd(asyncio.Event().wait), max_concurrent=2)  # type: ignore[arg-type]  # never answers
    crowd = [asyncio.create_task(standing.ask(deadline_seconds=60)) for _ in range(50)]
    await asyncio.sleep(0)
    for asking in crowd:
        asking.cancel()
    await asyncio.gather(*crowd, return_exceptions=True)
    standing.end.plays = GOOD
    assert await asyncio.gather(*(standing.ask(deadline_seconds=1) for _ in range(4))) == [GOOD] * 4


async def test_the_wait_for_a_place_and_the_exchange_share_one_deadline() -> None:
    async def answers() -> WireReply:
        await asyncio.sleep(0.1)
        return GOOD

    standing = Standing(FarEnd(answers), max_concurrent=1)
    await asyncio.gather(*(standing.ask(deadline_seconds=5) for _ in range(3)))
    assert standing.end.deadlines[1] <= 5 - 0.09
    assert standing.end.deadlines[2] <= 5 - 0.18


async def test_a_pause_before_a_repetition_holds_no_place() -> None:
    standing = Standing(FarEnd(status(503, "1")), max_concurrent=1)
    await standing.earn_a_repetition()
    pausing = asyncio.create_task(standing.ask())
    await eventually(lambda: standing.end.calls == 1)
    standing.end.plays = GOOD
    assert await standing.ask(deadline_seconds=0.5) == GOOD
    assert await pausing == GOOD


# Opening hours

NIGHT = MaintenanceWindow(since=time(23), until=time(5))


async def test_an_authority_that_is_known_to_be_closed_is_not_called() -> None:
    standing = Standing(FarEnd(), maintenance=(NIGHT,))
    standing.now = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)  # half past midnight in Japan
    for _ in range(3 * MAX_FAILURES):
        found = await standing.fault()
    assert (found.fault, found.retry_after_seconds) == ("UPSTREAM_CLOSED", 4.5 * 60 * 60)
    assert standing.end.calls == 0
    standing.now = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)
    assert await standing.ask() == GOOD, "closed hours are no failures either"


async def test_closing_time_is_kept_by_whoever_waited_for_a_place() -> None:
    may_answer = asyncio.Event()

    async def answers() -> WireReply:
        await may_answer.wait()
        return GOOD

    standing = Standing(FarEnd(answers), max_concurrent=1, maintenance=(NIGHT,))
    first = asyncio.create_task(standing.ask())
    second = asyncio.create_task(standing.fault())
    await asyncio.sleep(0)
    standing.now = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
    may_answer.set()
    assert await first == GOOD
    assert (await second).fault == "UPSTREAM_CLOSED"


# Over a real socket


def over_http(base_url: str, *, max_concurrent: int = 16) -> StandingTransport:
    inner = reach(base_url)
    return StandingTransport(inner, SourceAuthority.TAX, watch=Told(), now=lambda: NOW, max_concurrent=max_concurrent)


async def ask(transport: Transport, *, deadline_seconds: float = 5.0) -> WireReply | ConnectorError:
    try:
        return await transport.exchange(LOOK, deadline_seconds=deadline_seconds, max_bytes=1024)
    except ConnectorError as error:
        return error


@pytest.mark.parametrize(
    "step",
    [reset, raw(b""), reply(b"", "text/plain", status=500), raw(head_of(204))],
    ids=["reset", "eof", "500", "204"],
)
@pytest.mark.parametrize("count", [5, 100])
async def test_a_failing_server_is_called_no_more_than_a_breaker_lets_through(step: Step, count: int) -> None:
    async with scripted(step) as server:
        transport = over_http(server.base_url, max_concurrent=4)
        await asyncio.gather(*(ask(transport) for _ in range(count)))
        seen = len(server.requests)
        assert seen <= min(1.1 * count, MAX_FAILURES + 4)  # four were under way when it opened
        if count >= MAX_FAILURES:
            found = await ask(transport)
            assert isinstance(found, ConnectorError)
            assert found.fault == "UPSTREAM_CIRCUIT_OPEN"
            assert len(server.requests) == seen
        await transport.close()


async def test_nothing_runs_after_the_deadline_and_the_connection_is_closed() -> None:
    async with scripted(hang) as server:
        transport = over_http(server.base_url, max_concurrent=2)
        before = asyncio.all_tasks()
        asking = [ask(transport, deadline_seconds=0.2) for _ in range(10)]
        found = await asyncio.gather(*asking)
        assert {error.fault for error in found if isinstance(error, ConnectorError)} == {
            "UPSTREAM_TIMEOUT",
            "UPSTREAM_BUSY",
        }
        await eventually(lambda: server.open_connections == 0)
        await eventually(lambda: asyncio.all_tasks() <= before)
        assert len(server.requests) <= 2
        await transport.close()


async def test_a_place_that_is_free_too_late_to_be_used_is_none() -> None:
    async with scripted(reply(b"good", "text/plain")) as server:
        transport, loop = over_http(server.base_url, max_concurrent=1), asyncio.get_running_loop()
        await transport._places.take(ends_at=loop.time() + 10)
        loop.call_at(loop.time() + 0.098, transport._places.give_back)
        found = await ask(transport, deadline_seconds=0.1)
        assert isinstance(found, ConnectorError)
        assert found.fault == "UPSTREAM_BUSY"
        assert server.requests == []
        await transport.close()


async def test_a_caller_who_goes_away_closes_the_connection() -> None:
    async with scripted(hang) as server:
        transport = over_http(server.base_url)
        asking = asyncio.create_task(ask(transport, deadline_seconds=60))
        await eventually(lambda: len(server.requests) == 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await eventually(lambda: server.open_connections == 0)
        await transport.close()
