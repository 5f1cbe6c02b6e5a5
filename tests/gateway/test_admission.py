"""Who may work: so many at once, a short queue, and the others learn it at once; people have a lane of their own."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour
from gateway.admission import COMPANY, Lane, LaneBounds, away, keep_step
from gateway.consenting import PersonServices
from gateway.errors import OverloadedError
from gateway.http.observing import new_request_id
from gateway.identity.subject import Person
from gateway.metrics import MAX_UNTOLD, Metrics
from gateway.person import PersonSession
from gateway.pipeline import LEASE_SECONDS
from tests.builders import OBSERVED_AT, TODAY, an_identity
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

LAWFUL = request_for("Immigration.statusLawful")


def a_lane(
    *,
    busy: int = 2,
    waiting: int = 1,
    wait_seconds: float = 5.0,
    overloaded_busy: int | None = None,
    overloaded_waiting: int = 1,
    in_flight: int = 100,
) -> Lane:
    bounds = LaneBounds(
        busy=busy,
        waiting=waiting,
        wait_seconds=wait_seconds,
        overloaded_busy=overloaded_busy or busy,
        overloaded_waiting=overloaded_waiting,
    )
    return Lane(bounds, in_flight=in_flight)


class Work:
    """Work in a lane that goes on until it is ended."""

    def __init__(self, lane: Lane) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._do(lane))

    async def _do(self, lane: Lane) -> None:
        with await lane.enter():
            self.begun.set()
            await self.end.wait()


async def settled() -> None:
    """Let everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_who_finds_neither_place_nor_room_to_wait_learns_it_at_once() -> None:
    lane = a_lane()
    works = [Work(lane) for _ in range(3)]
    await settled()
    assert [work.begun.is_set() for work in works] == [True, True, False]
    assert lane.is_full
    with pytest.raises(OverloadedError), await lane.enter():
        raise AssertionError("there was no place")
    works[0].end.set()
    await settled()
    assert works[2].begun.is_set()
    for work in works:
        work.end.set()
    await asyncio.gather(*(work.task for work in works))
    assert (lane.busy, lane.waiting, lane.in_flight) == (0, 0, 0)


async def test_who_waits_too_long_goes_away_and_takes_no_place() -> None:
    lane = a_lane(busy=1, wait_seconds=0.01)
    first = Work(lane)
    await settled()
    with pytest.raises(OverloadedError), await lane.enter():
        raise AssertionError("there was no place")
    first.end.set()
    await first.task
    with await lane.enter():
        assert (lane.busy, lane.waiting) == (1, 0)


async def test_a_burst_is_waited_for_and_a_queue_that_stays_is_not() -> None:
    lane = a_lane(busy=1, waiting=2, overloaded_waiting=0)
    works = [Work(lane) for _ in range(3)]
    await settled()
    assert lane.waiting == 2
    for _ in range(2):
        with pytest.raises(OverloadedError), await lane.enter():
            raise AssertionError("there was no room to wait")
    works[0].end.set()
    works[1].end.set()
    await settled()
    assert (lane.busy, lane.waiting) == (1, 0)
    assert lane.is_full, "an overloaded lane lets nobody wait, although a burst might"
    works[2].end.set()
    await asyncio.gather(*(work.task for work in works))
    with await lane.enter():
        assert lane.busy == 1, "whoever finds a place takes it"


async def test_fewer_work_at_once_while_there_is_no_room_for_all() -> None:
    lane = a_lane(busy=3, waiting=1, overloaded_busy=1, overloaded_waiting=0)
    works = [Work(lane) for _ in range(4)]
    await settled()
    with pytest.raises(OverloadedError), await lane.enter():
        raise AssertionError("there was no room")
    works[0].end.set()
    works[1].end.set()
    await settled()
    assert (lane.busy, lane.waiting) == (1, 1)
    works[2].end.set()
    await settled()
    assert (lane.busy, lane.waiting) == (1, 0), "who waited has the place"
    works[3].end.set()
    await asyncio.gather(*(work.task for work in works))


async def steps_of(count: int, lane: Lane) -> str:
    """In which order so many take their two steps."""
    taken = ""

    async def work() -> None:
        nonlocal taken
        with await lane.enter():
            await asyncio.sleep(0)  # until all are at work
            taken += "1"
            await keep_step()
            taken += "2"

    await asyncio.gather(*(work() for _ in range(count)))
    return taken


async def test_those_who_work_at_once_take_the_same_step_one_right_after_another() -> None:
    assert await steps_of(COMPANY, a_lane(busy=COMPANY)) == "1" * COMPANY + "2" * COMPANY


async def test_without_company_nobody_waits_for_others() -> None:
    assert await steps_of(COMPANY - 1, a_lane(busy=COMPANY)) == "12" * (COMPANY - 1)
    await keep_step()  # where nobody is at work at all, neither


async def test_of_many_who_come_at_once_no_more_are_let_in_than_find_a_place() -> None:
    lane = a_lane(busy=2, waiting=1)
    let_in = []
    for _ in range(5):
        if not lane.will_be_full:
            lane.expect()
            let_in.append(Work(lane))
    assert len(let_in) == 3
    await asyncio.wait_for(let_in[0].begun.wait(), 1)
    await asyncio.wait_for(let_in[1].begun.wait(), 1)
    assert (lane.busy, lane.waiting) == (2, 1)
    for work in let_in:
        work.end.set()
        await work.task
    assert not lane.will_be_full, "those who were expected have come"


async def test_no_more_are_let_in_than_may_be_in_flight() -> None:
    lane = a_lane(busy=3, waiting=3, in_flight=1)
    lane.expect()
    assert lane.will_be_full
    assert not lane.is_full


async def test_who_was_expected_and_does_not_come_takes_no_place() -> None:
    lane = a_lane(busy=1, waiting=0, overloaded_waiting=0)
    lane.expect()
    assert lane.will_be_full
    await asyncio.sleep(0)
    assert not lane.will_be_full


async def test_whoever_gives_up_waiting_leaves_their_turn_to_the_next() -> None:
    lane = a_lane(busy=1, waiting=5)
    first, second, third = Work(lane), Work(lane), Work(lane)
    await settled()
    second.task.cancel()
    await asyncio.gather(second.task, return_exceptions=True)
    first.end.set()
    await settled()
    assert third.begun.is_set()
    third.end.set()
    await asyncio.gather(first.task, third.task)
    assert lane.busy == 0


async def test_a_turn_that_comes_as_its_waiter_goes_is_not_lost() -> None:
    lane = a_lane(busy=1, waiting=5)
    first, second = Work(lane), Work(lane)
    await settled()
    first.end.set()
    await asyncio.sleep(0)
    second.task.cancel()
    await asyncio.gather(first.task, second.task, return_exceptions=True)
    assert (lane.busy, lane.in_flight) == (0, 0)


async def test_who_waits_for_a_source_gives_their_place_away_but_not_without_end() -> None:
    lane, answered = a_lane(busy=1, waiting=1, in_flight=3), asyncio.Event()

    async def asks() -> None:
        with await lane.enter(), away():
            await answered.wait()

    asking = [asyncio.create_task(asks()) for _ in range(3)]
    await settled()
    assert (lane.busy, lane.in_flight) == (0, 3)
    assert lane.is_full
    with pytest.raises(OverloadedError), await lane.enter():
        raise AssertionError("too many are in flight")
    answered.set()
    await asyncio.gather(*asking)
    assert (lane.busy, lane.in_flight) == (0, 0)


async def gives(value: Any, *_: Any, **__: Any) -> Any:
    """A store that has done at once what it was asked."""
    return value


def at_home(person: Person) -> PersonSession:
    """Somebody without consents, whose disputes and erasure are written at once."""
    done = partial(gives, None)
    services = SimpleNamespace(
        now=lambda: OBSERVED_AT,
        reasoning=SimpleNamespace(today=lambda: TODAY),
        grants=SimpleNamespace(of_person=partial(gives, [])),
        disputes=SimpleNamespace(open=done),
        gatherer=SimpleNamespace(cancel=done),
    )
    erasure = SimpleNamespace(erase=partial(gives, 7), forget_keys=done)
    return PersonSession(person, cast(PersonServices, SimpleNamespace(services=services, erasure=erasure)))


@pytest.mark.parametrize(
    "act",
    [
        lambda session: session.open_dispute(claim="Tax.income", record=None, statement="It is wrong."),
        lambda session: session.erase(name="TANAKA MARIA"),
    ],
    ids=["a dispute", "an erasure"],
)
async def test_who_waits_until_the_leases_have_run_out_gives_their_place_away(
    act: Callable[[PersonSession], Awaitable[Any]],
) -> None:
    lane = a_lane(busy=1)

    async def asks() -> None:
        with await lane.enter():
            await act(at_home(Person("P01", b"", an_identity(), OBSERVED_AT)))
            assert lane.busy == 1

    began_at, asking = time.monotonic(), asyncio.create_task(asks())
    await settled()
    assert (lane.busy, lane.in_flight) == (0, 1)
    await asking
    assert time.monotonic() - began_at >= LEASE_SECONDS
    assert (lane.busy, lane.in_flight) == (0, 0)


async def test_one_request_that_waits_in_several_places_has_one_place() -> None:
    lane, answered = a_lane(busy=1), asyncio.Event()

    async def part() -> None:
        with away():
            await answered.wait()

    with await lane.enter():
        parts = [asyncio.create_task(part()) for _ in range(4)]
        await settled()
        assert lane.busy == 0
        answered.set()
        await asyncio.gather(*parts)
        assert lane.busy == 1
    assert lane.busy == 0


async def test_a_request_that_is_cancelled_while_it_waits_leaves_nothing_behind() -> None:
    lane = a_lane(busy=1)

    async def asks() -> None:
        with await lane.enter(), away():
            await asyncio.Event().wait()

    asking = asyncio.create_task(asks())
    await settled()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (lane.busy, lane.in_flight) == (0, 0)


@pytest.mark.parametrize("is_away", [False, True])
async def test_whose_work_has_ended_gives_up_their_place_once(is_away: bool) -> None:
    lane = a_lane()
    with await lane.enter(), await lane.enter() as place:
        with away() if is_away else nullcontext():
            place.end()
            place.end()
            assert (lane.busy, lane.in_flight) == (1, 1)
        assert (lane.busy, lane.in_flight) == (1, 1)
        with away():
            assert lane.busy == 1, "what is left to do takes no place, and has none to give"
    assert (lane.busy, lane.in_flight) == (0, 0)


@asynccontextmanager
async def narrow_sandbox(state: Path) -> AsyncIterator[Caller]:
    """A gateway with one place for relying parties and none to wait, whose sources take a second."""
    settings = settings_for(state, behaviours={SourceAuthority.IMMIGRATION: Behaviour(latency_ms=(1_000, 1_000))})
    admission = settings.gateway.admission
    narrow = admission.model_copy(
        update={
            "in_flight": 1,
            "relying_parties": admission.relying_parties.model_copy(update={"busy": 1, "waiting": 0}),
        }
    )
    gateway = settings.gateway.model_copy(update={"admission": narrow})
    async with own_sandbox(settings.model_copy(update={"gateway": gateway})) as caller:
        yield caller


async def test_when_there_is_no_room_relying_parties_are_told_when_to_come_back_and_people_are_served(
    tmp_path: Path,
) -> None:
    async with narrow_sandbox(tmp_path) as caller:
        token, grant = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        await caller.running.gateway.gatherer.cancel(grant)  # so that it asks the slow source anew
        key = f"Bearer {caller.running.keys['bank']}"
        asking = asyncio.create_task(caller.post(key, LAWFUL, {"consent": token}))
        await asyncio.sleep(0.3)
        refused = await caller.post(key, LAWFUL, {"consent": token})
        assert (refused.status_code, codes(refused.json())) == (503, ["OVERLOADED"])
        assert int(refused.headers["retry-after"]) >= 1
        assert refused.json()["errors"][0]["extensions"]["retryable"] is True
        ready = await caller.http.get("/readyz")
        assert (ready.status_code, ready.json()["why"]) == (503, "no room")
        revoked = await caller.revoke("P01", grant)
        assert revoked["data"]["revokeConsent"]["status"] == "REVOKED"
        answered = (await asking).json()
        assert codes(answered) == ["CONSENT_ENDED"]
        assert (await caller.http.get("/readyz")).status_code == 200


def test_who_is_refused_unread_is_counted_and_makes_nothing_else_look_quick() -> None:
    metrics = Metrics()
    metrics.turned_away()
    refused = {"route": "graphql", "status": "503", "code": "OVERLOADED"}
    assert metrics.registry.get_sample_value("kyosei_requests_total", refused) == 1
    assert metrics.registry.get_sample_value("kyosei_request_seconds_count", {"route": "graphql"}) is None


def test_what_nobody_looks_at_is_told_to_the_library_all_the_same_and_nothing_piles_up() -> None:
    metrics = Metrics()
    for _ in range(10 * MAX_UNTOLD + 1):
        metrics.cost(10)
        assert len(metrics._tally._observed) < MAX_UNTOLD
    assert metrics.registry.get_sample_value("kyosei_operation_cost_count") == 10 * MAX_UNTOLD + 1


def test_a_request_id_is_a_random_uuid() -> None:
    ids = [uuid.UUID(new_request_id()) for _ in range(100)]
    assert {(one.version, one.variant) for one in ids} == {(4, uuid.RFC_4122)}
    assert len(set(ids)) == len(ids)
