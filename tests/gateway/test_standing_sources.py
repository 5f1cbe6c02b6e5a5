"""A source that fails is spared, one that is closed is not called, and who asks the same is asked for together."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.breaker import MAX_FAILURES, PROBE_SECONDS, BreakerState
from connectors.errors import ConnectorError
from connectors.interface import EvidenceRequest, SourceAuthority
from connectors.maintenance import JAPAN, MaintenanceWindow
from connectors.profile import AuthoritySettings, Behaviour
from gateway.gather import Holder
from gateway.settings import Settings
from gateway.sources import Sources, make_connectors
from resolvers.attribute import Freshness
from resolvers.derive import Needs
from resolvers.facts import Arrived
from tests.conftest import Caller
from tests.connectors.scripted import hang, scripted
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import AT_ONCE, difference, own_sandbox, settings_for

LABOR = SourceAuthority.LABOR
ASKED = request_for("Labor.employed", "Immigration.statusLawful")
EVERY_SOURCE = request_for(
    "Immigration.statusLawful", "Labor.employed", "Tax.residentTax", "Insurance.healthEnrolled"
)
ONCE_EACH = {"IMMIGRATION": 1, "LABOR": 1, "TAX": 3, "INSURANCE": 1}
"""Tax: the application and two questions for its result."""

DEADLINE_SECONDS = 20.0
"""So long that a busy machine is none of a test's concern."""

TOLD_IN = timedelta(minutes=1)
"""A moment to come back is told in whole minutes, rounded up."""

SLOW = Behaviour(latency_ms=(200, 200), polls_until_done=(2, 2), poll_seconds=0.01)
EVERYBODY = [f"P{number:02d}" for number in range(1, 22)]


def claim(body: dict[str, Any], domain: str, name: str) -> dict[str, Any]:
    return dict(body["data"]["subject"][domain][name])


def with_table(settings: Settings, authority: SourceAuthority, **changes: object) -> Settings:
    """The settings with something else in one authority's table."""
    name, tables = authority.value.lower(), settings.connectors.authorities
    changed = AuthoritySettings.model_validate(tables[name].model_dump() | changes)
    connectors = settings.connectors.model_copy(update={"authorities": {**tables, name: changed}})
    return settings.model_copy(update={"connectors": connectors})


async def forget(caller: Caller, *grant_ids: str) -> None:
    """What granting handed over is gone, as it is after a restart."""
    for grant_id in grant_ids:
        await caller.running.gateway.gatherer.cancel(grant_id)


async def until_called(caller: Caller, before: dict[str, int], authority: SourceAuthority) -> None:
    while difference(before, await caller.calls()).get(authority.value, 0) == 0:  # noqa: ASYNC110  another server's count
        await asyncio.sleep(0.01)


async def test_a_source_that_only_fails_is_spared_and_the_others_answer(tmp_path: Path) -> None:
    failing = {LABOR: Behaviour(latency_ms=(0, 0), error_rate=1.0)}
    async with own_sandbox(settings_for(tmp_path, behaviours=failing)) as caller:
        offered = EVERYBODY[:MAX_FAILURES]
        tokens = [(await caller.consent(person, "bank", "ACCOUNT_OPENING", ASKED))[0] for person in offered]
        opened_at, at_opening = time.monotonic(), await caller.calls()
        assert at_opening["LABOR"] <= 1.1 * len(offered)
        await caller.consent(EVERYBODY[-1], "bank", "ACCOUNT_OPENING", ASKED)
        body = await caller.as_party("bank", ASKED, {"consent": tokens[0]})
        called = difference(at_opening, await caller.calls()).get("LABOR", 0)
        probes = int((time.monotonic() - opened_at) / PROBE_SECONDS)
        assert called <= probes, "none, unless this machine is very busy"
    assert claim(body, "labor", "employed")["state"] == "UNAVAILABLE"
    assert claim(body, "immigration", "statusLawful")["state"] == "CONFIRMED"


async def test_whoever_meets_an_open_circuit_is_told_when_it_makes_sense_to_come_back(tmp_path: Path) -> None:
    failing = {LABOR: Behaviour(latency_ms=(0, 0), error_rate=1.0)}
    settings = with_table(settings_for(tmp_path, behaviours=failing), LABOR, retry_after_seconds=3600)
    async with own_sandbox(settings) as caller:
        for person in EVERYBODY[:MAX_FAILURES]:
            await caller.preview(person, "bank", "ACCOUNT_OPENING", ASKED)
        token, _ = await caller.consent(EVERYBODY[-1], "bank", "ACCOUNT_OPENING", ASKED)
        body = await caller.as_party("bank", ASKED, {"consent": token})
    retry_at = datetime.fromisoformat(claim(body, "labor", "employed")["retryAt"])
    assert retry_at <= datetime.now(UTC) + timedelta(seconds=PROBE_SECONDS) + TOLD_IN


async def test_a_slow_authority_has_its_places_and_takes_none_of_the_others(tmp_path: Path) -> None:
    settings = with_table(settings_for(tmp_path, deadline_seconds=1.0), LABOR, max_concurrent=2)
    async with scripted(hang) as slow, own_sandbox(settings, elsewhere={LABOR: slow.base_url}) as caller:
        asking = [caller.preview(person, "bank", "ACCOUNT_OPENING", ASKED) for person in EVERYBODY[:8]]
        bodies = await asyncio.gather(*asking)
        assert slow.connections == 2
    told = [question["claim"]["state"] for body in bodies for question in body["data"]["previewConsent"]["questions"]]
    assert sorted(told) == ["CONFIRMED"] * 8 + ["PENDING"] * 8


async def test_an_authority_in_its_maintenance_window_is_not_called(tmp_path: Path) -> None:
    now = datetime.now(JAPAN)
    opens_at = (now + timedelta(hours=2)).replace(second=0, microsecond=0)
    window = MaintenanceWindow(since=(now - timedelta(hours=1)).time(), until=opens_at.time())
    closed = [window.model_dump(exclude_defaults=True)]
    async with own_sandbox(with_table(settings_for(tmp_path), LABOR, maintenance=closed)) as caller:
        token, _ = await caller.consent("P10", "bank", "ACCOUNT_OPENING", ASKED)
        body = await caller.as_party("bank", ASKED, {"consent": token})
        assert (await caller.calls())["LABOR"] == 0
    found = claim(body, "labor", "employed")
    assert found["state"] == "UNAVAILABLE"
    assert opens_at <= datetime.fromisoformat(found["retryAt"]) <= opens_at + TOLD_IN
    assert claim(body, "immigration", "statusLawful")["state"] == "CONFIRMED"


def a_holder(caller: Caller, grant_id: str) -> Holder:
    async def may_keep() -> bool:
        return True

    return Holder(grant_id, "1", b"k" * 32, caller.running.people.identities["P10"], may_keep)


@pytest.mark.parametrize("error_rate", [0.0, 1.0])
async def test_five_hundred_who_ask_the_same_at_once_are_one_call_for_each_source(
    tmp_path: Path, error_rate: float
) -> None:
    """The first goes away while the sources answer; the others hear what they say."""
    manner = Behaviour(latency_ms=(200, 200), poll_seconds=0.01, error_rate=error_rate)
    behaviours = dict.fromkeys(SourceAuthority, manner)
    settings = settings_for(tmp_path, deadline_seconds=DEADLINE_SECONDS, behaviours=behaviours)
    async with own_sandbox(settings) as caller:
        gatherer = caller.running.gateway.gatherer
        needs = Needs.of((frozenset(SourceAuthority), Freshness.F4))
        holder = a_holder(caller, "grant")
        first, *others = [asyncio.create_task(gatherer.gather(holder, needs)) for _ in range(500)]
        await until_called(caller, dict.fromkeys(ONCE_EACH, 0), LABOR)
        first.cancel()
        replies = await asyncio.gather(*others)
        assert first.cancelled()
        assert await caller.calls() == (dict.fromkeys(ONCE_EACH, 1) if error_rate else ONCE_EACH)
    assert all(reply == replies[0] for reply in replies)
    assert {isinstance(found, Arrived) for found in replies[0].values()} == {not error_rate}


async def test_many_queries_at_once_are_one_call_for_each_source(tmp_path: Path) -> None:
    behaviours = dict.fromkeys(SourceAuthority, SLOW)
    settings = settings_for(tmp_path, deadline_seconds=DEADLINE_SECONDS, behaviours=behaviours)
    async with own_sandbox(settings) as caller:
        token, grant_id = await caller.consent("P10", "lender", "LENDING", EVERY_SOURCE)
        await forget(caller, grant_id)
        before = await caller.calls()
        asking = [caller.as_party("lender", EVERY_SOURCE, {"consent": token}) for _ in range(50)]
        bodies = await asyncio.gather(*asking)
        assert difference(before, await caller.calls()) == ONCE_EACH
    assert [claim(body, "labor", "employed")["state"] for body in bodies] == ["CONFIRMED"] * 50


@pytest.mark.parametrize(("error_rate", "state"), [(0.0, "CONFIRMED"), (1.0, "UNAVAILABLE")])
async def test_when_the_first_who_asked_goes_away_the_others_hear_all_the_same(
    tmp_path: Path, error_rate: float, state: str
) -> None:
    slow = Behaviour(latency_ms=(500, 500), error_rate=error_rate)
    settings = settings_for(tmp_path, deadline_seconds=DEADLINE_SECONDS, behaviours={LABOR: slow})
    async with own_sandbox(settings) as caller:
        token, grant_id = await caller.consent("P10", "bank", "ACCOUNT_OPENING", ASKED)
        await forget(caller, grant_id)
        before = await caller.calls()
        asked = {"query": ASKED, "variables": {"consent": token}}
        key = {"authorization": f"Bearer {caller.running.keys['bank']}"}
        async with httpx.AsyncClient(base_url=caller.running.url, trust_env=False) as leaving:
            first = asyncio.create_task(leaving.post("/graphql", json=asked, headers=key))
            await until_called(caller, before, LABOR)
            others = asyncio.gather(*(caller.as_party("bank", ASKED, {"consent": token}) for _ in range(20)))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        bodies = await others
        assert difference(before, await caller.calls())["LABOR"] == 1
    assert {claim(body, "labor", "employed")["state"] for body in bodies} == {state}


async def test_two_grants_never_share_a_call(tmp_path: Path) -> None:
    behaviours = dict.fromkeys(SourceAuthority, SLOW)
    settings = settings_for(tmp_path, deadline_seconds=DEADLINE_SECONDS, behaviours=behaviours)
    async with own_sandbox(settings) as caller:
        granted = [await caller.consent("P10", "lender", "LENDING", EVERY_SOURCE) for _ in range(2)]
        await forget(caller, *(grant_id for _, grant_id in granted))
        before = await caller.calls()
        asking = [
            caller.as_party("lender", EVERY_SOURCE, {"consent": token}) for token, _ in granted for _ in range(10)
        ]
        await asyncio.gather(*asking)
        assert difference(before, await caller.calls()) == {name: 2 * count for name, count in ONCE_EACH.items()}


class Told:
    """A `Watch` that remembers."""

    def __init__(self) -> None:
        self.exchanges: list[tuple[SourceAuthority, str | None]] = []
        self.states: list[tuple[SourceAuthority, BreakerState]] = []

    def exchanged(self, authority: SourceAuthority, *, fault: str | None, seconds: float) -> None:
        assert seconds >= 0
        self.exchanges.append((authority, fault))

    def retried(self, authority: SourceAuthority) -> None:
        """Nothing."""

    def breaker_moved(self, authority: SourceAuthority, state: BreakerState) -> None:
        self.states.append((authority, state))


async def test_the_watch_is_told_of_every_authority_by_its_name(tmp_path: Path) -> None:
    failing = {LABOR: Behaviour(latency_ms=(0, 0), error_rate=1.0)}
    settings = settings_for(tmp_path, behaviours=failing)
    told = Told()
    async with own_sandbox(settings) as caller:
        sources = Sources(caller.running.authority_urls, poll_seconds=AT_ONCE.poll_seconds)
        connectors = make_connectors(
            settings.connectors, sources, report=lambda _: None, now=lambda: datetime.now(UTC), watch=told
        )
        question = EvidenceRequest(caller.running.people.identities["P10"])
        for authority, connector in connectors.items():
            for _ in range(MAX_FAILURES if authority is LABOR else 1):
                try:
                    await connector.fetch(question, deadline_seconds=5)
                except ConnectorError:
                    assert authority is LABOR
            await connector.close()
    assert told.exchanges.count((LABOR, "UPSTREAM_UNAVAILABLE")) == MAX_FAILURES
    well = [authority for authority, fault in told.exchanges if fault is None]
    assert {authority.value: well.count(authority) for authority in well} == {
        name: count for name, count in ONCE_EACH.items() if name != "LABOR"
    }
    assert told.states == [(LABOR, BreakerState.OPEN)]
