"""Evidence that arrives late, together or one after another: it is kept once, for the next question."""

import asyncio
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.errors import SourceUnavailableError
from connectors.evidence import Evidence
from connectors.immigration.evidence import ImmigrationEvidence
from connectors.insurance.evidence import InsuranceEvidence
from connectors.interface import Connector, EvidenceRequest, SourceAuthority
from connectors.labor.evidence import LaborEvidence
from connectors.tax.evidence import TaxEvidence
from gateway.gather import Gatherer, Holder, SourceLimits
from gateway.store.envelope import Envelope
from gateway.store.evidence import BoundedMemoryCache, EvidenceCache
from resolvers.attribute import Freshness
from resolvers.derive import Needs
from resolvers.facts import Arrived
from tests.builders import an_identity

ALL = Needs.of((frozenset(SourceAuthority), Freshness.F3))


def nothing_on_record(authority: SourceAuthority) -> Evidence:
    now = datetime.now(UTC)
    empty: Mapping[SourceAuthority, Evidence] = {
        SourceAuthority.IMMIGRATION: ImmigrationEvidence(now, None, record=None),
        SourceAuthority.LABOR: LaborEvidence(now, None, notices=()),
        SourceAuthority.TAX: TaxEvidence(now, None, levy_year=2026, record=None),
        SourceAuthority.INSURANCE: InsuranceEvidence(now, None, records=()),
    }
    return empty[authority]


class Source:
    """An authority that answers once it is let to."""

    def __init__(self, authority: SourceAuthority) -> None:
        self.authority = authority
        self.may_answer = asyncio.Event()
        self.fails = False
        self.calls = 0

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> Evidence:
        self.calls += 1
        await self.may_answer.wait()
        if self.fails:
            raise SourceUnavailableError("closed")
        return nothing_on_record(self.authority)

    async def close(self) -> None:
        """Nothing is open."""


class Stage:
    """A gatherer over four such sources. Whether evidence may be kept takes a while to find out."""

    def __init__(self) -> None:
        self.sources = {authority: Source(authority) for authority in SourceAuthority}
        connectors: dict[SourceAuthority, Connector[Evidence]] = dict(self.sources)
        cache = EvidenceCache(BoundedMemoryCache(max_entries=100), Envelope(os.urandom(32)))
        limits = dict.fromkeys(SourceAuthority, SourceLimits(10.0, 1.0))
        self.passed = timedelta()
        self.gatherer = Gatherer(
            connectors, cache, limits=limits, deadline_seconds=0.3, now=lambda: datetime.now(UTC) + self.passed
        )
        self.holder = Holder("grant", "1", os.urandom(32), an_identity(), self._may_keep)

    async def _may_keep(self) -> bool:
        await asyncio.sleep(0.02)
        return True

    async def arrived(self) -> set[SourceAuthority]:
        replies = await self.gatherer.gather(self.holder, ALL)
        return {authority for authority, reply in replies.items() if isinstance(reply, Arrived)}

    def calls(self) -> list[int]:
        return [source.calls for source in self.sources.values()]


async def test_what_arrives_late_one_after_another_is_all_kept_and_nothing_is_asked_twice() -> None:
    stage = Stage()
    assert await stage.arrived() == set()
    for source in stage.sources.values():
        source.may_answer.set()
        await asyncio.sleep(0.005)  # the next lands while this one is being kept
    await asyncio.sleep(0.2)
    assert await stage.arrived() == set(SourceAuthority)
    assert stage.calls() == [1, 1, 1, 1]
    await stage.gatherer.close()


async def test_what_arrived_late_is_asked_anew_once_it_is_stale() -> None:
    stage = Stage()
    assert await stage.arrived() == set()
    for source in stage.sources.values():
        source.may_answer.set()
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.2)
    stage.passed = timedelta(days=40)
    assert await stage.arrived() == set(SourceAuthority)
    assert stage.calls() == [2, 2, 2, 2]
    await stage.gatherer.close()


async def test_what_arrives_for_whoever_has_gone_is_kept_for_who_comes_next() -> None:
    stage = Stage()
    gone = asyncio.create_task(stage.arrived())
    await asyncio.sleep(0.01)
    gone.cancel()
    for source in stage.sources.values():
        source.may_answer.set()
    await asyncio.sleep(0.2)
    assert await stage.arrived() == set(SourceAuthority)
    assert stage.calls() == [1, 1, 1, 1]
    await stage.gatherer.close()


@pytest.mark.parametrize("turns", range(8))
async def test_nothing_stays_of_whoever_goes_as_the_last_source_fails(turns: int) -> None:
    stage = Stage()
    for source in stage.sources.values():
        source.fails = True
    gone = asyncio.create_task(stage.arrived())
    await asyncio.sleep(0.005)
    for source in stage.sources.values():
        source.may_answer.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await asyncio.sleep(0.01)
    assert stage.gatherer._errands == {}
    await stage.gatherer.close()


async def test_what_was_under_way_for_a_holder_that_ended_is_not_kept() -> None:
    stage = Stage()
    assert await stage.arrived() == set()
    ending = asyncio.create_task(stage.gatherer.cancel(stage.holder.id))
    for source in stage.sources.values():
        source.may_answer.set()
    await ending
    await asyncio.sleep(0.1)
    assert await stage.arrived() == set(SourceAuthority)
    assert stage.calls() == [2, 2, 2, 2]
    await stage.gatherer.close()


async def test_evidence_that_is_being_kept_is_left_to_who_keeps_it() -> None:
    """Whoever else stops waiting meanwhile begins nothing."""
    stage, made = Stage(), list[str]()
    loop = asyncio.get_running_loop()

    def noted(loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **given)
        made.append(work.__qualname__)
        return task

    one, other = (
        asyncio.create_task(stage.gatherer.gather(stage.holder, Needs.of((frozenset({authority}), Freshness.F3))))
        for authority in (SourceAuthority.IMMIGRATION, SourceAuthority.LABOR)
    )
    await asyncio.sleep(0.005)
    loop.set_task_factory(noted)
    try:
        stage.sources[SourceAuthority.IMMIGRATION].may_answer.set()
        await asyncio.sleep(0.005)
        other.cancel()
        assert isinstance((await one)[SourceAuthority.IMMIGRATION], Arrived)
    finally:
        loop.set_task_factory(None)
    assert "Gatherer._keep" not in made
    await stage.gatherer.close()
