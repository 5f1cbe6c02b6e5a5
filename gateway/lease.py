"""Until when an operation's answers may leave: made together for all its people, recorded late, sent at once.

Revoking waits for as long as a lease lasts. So what leaves within a lease leaves before any revocation returns that
came after the lease began; where the making outlasts it, every grant is looked at again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from gateway.admission import keep_step
from gateway.consent.gate import Refusal
from gateway.errors import OverloadedError, ReplayedError
from gateway.pipeline import LEASE_SECONDS, Asker, Prepared, Release, Services, answer, prepare, release
from gateway.plan import Plan

T = TypeVar("T")

MAX_LEASES = 5
"""How often a lease is taken for answers whose making outlasts it."""

ReleaseOrRefusal = Release | Refusal


@dataclass(frozen=True, slots=True)
class Leased(Generic[T]):
    """What was made of an operation's outcomes, and until when it may leave (monotonic seconds; None: any time).

    `renew`: makes the same under a lease that begins now; raises what `answer_in_time` does.
    """

    made: T
    outcomes: Sequence[ReleaseOrRefusal]
    ends_at: float | None
    renew: Callable[[], Awaitable["Leased[T]"]]


async def answer_in_time(
    plans: Sequence[Plan],
    asker: Asker,
    services: Services,
    make: Callable[[Sequence[ReleaseOrRefusal]], T],
    *,
    ends_at: float | None = None,
) -> Leased[T]:
    """Answer every plan on its own and make of the outcomes, in the plans' order, what leaves.

    `ends_at`: the deadline on the event loop's clock; None: the usual one. Raises OverloadedError where no lease
    was long enough, RecordUnavailableError where nothing could be recorded.
    """
    ends_at = services.gatherer.usual_end() if ends_at is None else ends_at
    outcomes = await _answer_all(plans, asker, services, ends_at=ends_at)
    await keep_step()
    return await _made_in_time(outcomes, asker, services, make, ends_at=ends_at)


async def _made_in_time(
    outcomes: Sequence[ReleaseOrRefusal],
    asker: Asker,
    services: Services,
    make: Callable[[Sequence[ReleaseOrRefusal]], T],
    *,
    ends_at: float,
) -> Leased[T]:
    for _ in range(MAX_LEASES):
        lease_ends_at = min((o.lease_ends_at for o in outcomes if isinstance(o, Release)), default=None)
        if lease_ends_at is not None and time.monotonic() >= lease_ends_at:
            outcomes = await _leased_again(outcomes, asker, services, ends_at=ends_at)
            continue
        made = make(outcomes)
        if lease_ends_at is None or time.monotonic() < lease_ends_at:
            renew = partial(_made_in_time, outcomes, asker, services, make, ends_at=ends_at)
            return Leased(made, outcomes, lease_ends_at, renew)
    raise OverloadedError("the lease ran out")


async def _answer_all(
    plans: Sequence[Plan], asker: Asker, services: Services, *, ends_at: float
) -> tuple[ReleaseOrRefusal, ...]:
    """The outcome of every plan; of those under one consent once. All are recorded after the last is prepared."""
    distinct = {plan.consent_token: plan for plan in plans}
    if len(distinct) == 1:
        only = await answer(plans[0], asker, services, ends_at=ends_at)
        return (only,) * len(plans)
    if asker.proof is not None and not await services.used_once.use_up(asker.proof):
        raise ReplayedError  # before the first of several, which are recorded each on its own
    prepared = await _together(prepare(plan, asker, services, ends_at=ends_at) for plan in distinct.values())
    outcomes = await _together(_release(one, asker, services, ends_at=ends_at) for one in prepared)
    found = dict(zip(distinct, outcomes, strict=True))
    return tuple(found[plan.consent_token] for plan in plans)


async def _release(
    prepared: Prepared | Refusal, asker: Asker, services: Services, *, ends_at: float
) -> ReleaseOrRefusal:
    if isinstance(prepared, Refusal):
        return prepared
    released = await release(prepared, asker, services)
    if released is None:
        return await answer(prepared.approved.plan, asker, services, ends_at=ends_at)
    return released


async def _leased_again(
    outcomes: Sequence[ReleaseOrRefusal], asker: Asker, services: Services, *, ends_at: float
) -> tuple[ReleaseOrRefusal, ...]:
    """The same releases under a lease that begins now; whoever's grant or record changed is answered anew."""
    unfrozen_at = {o.approved.grant.id: o.person.unfrozen_at for o in outcomes if isinstance(o, Release)}
    looked = await services.answers.still_stand(unfrozen_at, now=services.now())
    anew: dict[str, ReleaseOrRefusal] = {}
    leased: list[ReleaseOrRefusal] = []
    for outcome in outcomes:
        if isinstance(outcome, Refusal):
            leased.append(outcome)
        elif outcome.approved.grant.id in looked.outcome:
            leased.append(replace(outcome, lease_ends_at=looked.began_at + LEASE_SECONDS))
        else:
            plan = outcome.approved.plan
            if plan.consent_token not in anew:
                anew[plan.consent_token] = await answer(plan, asker, services, ends_at=ends_at)
            leased.append(anew[plan.consent_token])
    return tuple(leased)


async def _together(works: Iterable[Awaitable[T]]) -> list[T]:
    """All of them at once; if one fails, none goes on."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
