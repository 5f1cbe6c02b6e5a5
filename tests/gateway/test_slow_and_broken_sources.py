"""A source that is slow, down or silent costs its own claims, and never the query."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour
from gateway.settings import Settings
from resolvers.rules import AWAITED
from tests.conftest import Caller
from tests.connectors.scripted import ScriptedSource
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import Clock, codes, difference, own_sandbox, settings_for
from tests.gateway.trouble import MODES, Place, a_place

DEADLINE_SECONDS = 0.6
GRACE_SECONDS = 0.5
"""Ten times what is promised: other tests run on this machine too."""

GUARD_SECONDS = 10
"""Far beyond the deadline: it only tells an answer from none."""

OWN = {
    SourceAuthority.IMMIGRATION: "Immigration.statusLawful",
    SourceAuthority.LABOR: "Labor.employed",
    SourceAuthority.TAX: "Tax.residentTax",
    SourceAuthority.INSURANCE: "Insurance.healthEnrolled",
}
INDEPENDENT = "Immigration.statusLawful"
PERSON = "P10"
GOOD_NEWS = {
    "Immigration.statusLawful": True,
    "Labor.employed": True,
    "Tax.residentTax": "CLEAR",
    "Insurance.healthEnrolled": "YES",
}
"""What is told of this person when every authority is well."""

SILENCE = {
    **dict.fromkeys(MODES, "UNAVAILABLE"),
    "black-hole": "PENDING",
    "slow-header": "PENDING",
    "drip": "PENDING",
    "somebody-else": "EVIDENCE_NEEDED",
}
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(GUARD_SECONDS * 10)


@asynccontextmanager
async def broken_authority(handler: Handler) -> AsyncIterator[str]:
    """A server on loopback that misbehaves."""
    waiting: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        waiting.add(task)
        try:
            await handler(reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            waiting.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


@asynccontextmanager
async def nobody_there() -> AsyncIterator[str]:
    """An address where nothing listens, nor anybody else begins to meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


async def within_guard(coroutine: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    async with asyncio.timeout(GUARD_SECONDS):
        return await coroutine


def claim(body: dict[str, Any], coordinate: str) -> dict[str, Any]:
    domain, _, name = coordinate.partition(".")
    return dict(body["data"]["subject"][domain.lower()][name])


async def lend(caller: Caller, *coordinates: str, person: str = PERSON) -> tuple[dict[str, Any], str]:
    asked = request_for("Subject.lending", *coordinates)
    token, _ = await caller.consent(person, "lender", "LENDING", asked)
    return await within_guard(caller.as_party("lender", asked, {"consent": token})), token


Stages = Callable[[SourceAuthority, int], Awaitable[tuple[Caller, Place]]]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stages(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stages]:
    """For an authority and a number: a sandbox in which that authority is at a place of the test's own."""
    opened: dict[tuple[SourceAuthority, int], tuple[Caller, Place]] = {}
    async with AsyncExitStack() as stack:

        async def stage(silent: SourceAuthority, number: int) -> tuple[Caller, Place]:
            if (silent, number) not in opened:
                folder = tmp_path_factory.mktemp("stage")
                place = stack.enter_context(a_place(folder, silent))
                sandbox = own_sandbox(with_authority_at(place, folder), elsewhere={silent: place.base_url})
                opened[silent, number] = await stack.enter_async_context(sandbox), place
            return opened[silent, number]

        yield stage


def with_authority_at(place: Place, state: Path) -> Settings:
    settings = settings_for(state, deadline_seconds=DEADLINE_SECONDS)
    name, tables = place.source.authority.value.lower(), settings.connectors.authorities
    own = {"ca_file": place.certificate, "deadline_seconds": 3 * DEADLINE_SECONDS}
    connectors = settings.connectors.model_copy(
        update={"authorities": {**tables, name: tables[name].model_copy(update=own)}}
    )
    return settings.model_copy(update={"connectors": connectors})


HALVES = (list(MODES)[::2], list(MODES)[1::2])
"""Eight failures are fewer than open the breaker, which would hide the others: each half has a gateway of its own."""

MATRIX = [
    pytest.param(silent, half, mode, id=f"{silent.value.lower()}-{mode}")
    for silent in SourceAuthority
    for half, modes in enumerate(HALVES)
    for mode in modes
]


@pytest.mark.parametrize(("silent", "half", "mode"), MATRIX)
async def test_one_authority_in_trouble_costs_only_its_own_claims(
    stages: Stages, silent: SourceAuthority, half: int, mode: str
) -> None:
    caller, place = await stages(silent, half)
    asked = request_for("Subject.lending", *OWN.values())
    async with MODES[mode](place) as playing:
        token, _ = await caller.consent(PERSON, "lender", "LENDING", asked)
        began = time.monotonic()
        body = await within_guard(caller.as_party("lender", asked, {"consent": token}))
        took_seconds = time.monotonic() - began
        if isinstance(playing, ScriptedSource):
            assert playing.requests or mode == "wrong-host-in-the-certificate", "the mode was met"
    assert took_seconds <= DEADLINE_SECONDS + GRACE_SECONDS
    assert "errors" not in body
    lost = claim(body, OWN[silent])
    assert (lost["state"], lost["value"]) == (SILENCE[mode], None)
    untouched = {c: claim(body, c) for a, c in OWN.items() if a is not silent and not needs(c, silent)}
    assert len(untouched) >= 2
    assert {c: (found["state"], found["value"]) for c, found in untouched.items()} == {
        c: ("CONFIRMED", GOOD_NEWS[c]) for c in untouched
    }
    decision = body["data"]["subject"]["lending"]
    assert "FAIL" not in [rule["result"] for rule in decision["rules"]], "silence is never a no"
    assert decision["outcome"] == "NEEDS_EVIDENCE"
    if lost["state"] != "EVIDENCE_NEEDED":
        assert lost["retryAt"] is not None
        assert decision["retryAt"] is not None


def needs(coordinate: str, silent: SourceAuthority) -> bool:
    """Whether the claim looks at the silent source besides its own."""
    return {
        "Labor.employed": silent is SourceAuthority.INSURANCE,
        "Tax.residentTax": silent is SourceAuthority.IMMIGRATION,
    }.get(coordinate, False)


async def test_all_broken_at_once_is_still_an_answer(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, deadline_seconds=DEADLINE_SECONDS)
    async with broken_authority(never_answers) as url:
        elsewhere = dict.fromkeys(SourceAuthority, url)
        async with own_sandbox(settings, elsewhere=elsewhere) as caller:
            body, _ = await lend(caller, *OWN.values())
            own = await within_guard(
                caller.as_person(PERSON, "{ me { records { source state retryAt entries { fields { name } } } } }")
            )
    assert "errors" not in body
    assert {claim(body, c)["state"] for c in OWN.values()} == {"PENDING"}
    assert body["data"]["subject"]["lending"]["outcome"] == "NEEDS_EVIDENCE"
    assert [(r["state"], r["entries"]) for r in own["data"]["me"]["records"]] == [("PENDING", [])] * 4


async def test_the_person_is_not_told_to_mend_what_a_source_has_not_said(tmp_path: Path) -> None:
    preview = """mutation($d: String!) {
      previewConsent(document: $d, relyingParty: "lender", purpose: LENDING) {
        questions { decision { rules { id result explanation { en } cures { en } } } }
      }
    }"""
    settings = settings_for(tmp_path, deadline_seconds=DEADLINE_SECONDS)
    async with nobody_there() as url, own_sandbox(settings, elsewhere={SourceAuthority.TAX: url}) as caller:
        body = await caller.as_person("P18", preview, {"d": request_for("Subject.lending")})
    rules = {rule["id"]: rule for rule in body["data"]["previewConsent"]["questions"][0]["decision"]["rules"]}
    assert rules["LD-06"]["explanation"] == {"en": AWAITED.en}
    assert rules["LD-06"]["cures"] == []


@pytest.mark.parametrize("person", ["P11", "P18", "P21"])
async def test_a_refusal_that_rests_on_a_silent_source_is_no_refusal(tmp_path: Path, person: str) -> None:
    settings = settings_for(tmp_path, deadline_seconds=DEADLINE_SECONDS)
    failing = {"P11": "IMMIGRATION", "P18": "TAX", "P21": "LABOR"}[person]
    async with nobody_there() as url, own_sandbox(settings, elsewhere={SourceAuthority(failing): url}) as caller:
        body, _ = await lend(caller, person=person)
    rules = {rule["id"]: rule["result"] for rule in body["data"]["subject"]["lending"]["rules"]}
    resting_on = {"P11": ("LD-01", "LD-02"), "P18": ("LD-06",), "P21": ("LD-04",)}[person]
    assert {rules[rule] for rule in resting_on} <= {"EVIDENCE"}


async def test_a_job_without_permission_and_one_that_cannot_be_judged_look_alike(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "a")
    async with own_sandbox(settings) as caller:
        known, _ = await lend(caller, person="P21")
    async with nobody_there() as url:
        unknown_at = {SourceAuthority.LABOR: url}
        async with own_sandbox(settings_for(tmp_path / "b"), elsewhere=unknown_at) as caller:
            unknown, _ = await lend(caller, person="P21")
    (without,) = [rule for rule in known["data"]["subject"]["lending"]["rules"] if rule["id"] == "LD-08"]
    (unjudged,) = [rule for rule in unknown["data"]["subject"]["lending"]["rules"] if rule["id"] == "LD-08"]
    assert without == unjudged


async def counted(caller: Caller) -> dict[str, int]:
    async with httpx.AsyncClient(trust_env=False) as http:
        url = caller.running.authority_urls[SourceAuthority.TAX]
        found: dict[str, int] = (await http.get(f"{url}/_sandbox/calls")).json()
    return found


async def test_what_arrives_late_is_there_next_time_without_a_second_application(tmp_path: Path) -> None:
    slow = Behaviour(latency_ms=(450, 450), polls_until_done=(1, 1), poll_seconds=0.01)
    settings = settings_for(tmp_path, deadline_seconds=0.6, behaviours={SourceAuthority.TAX: slow})
    asked = request_for("Tax.residentTax", "Immigration.statusLawful")
    async with own_sandbox(settings) as caller:
        token, _ = await caller.consent(PERSON, "lender", "LENDING", asked)
        first = await caller.as_party("lender", asked, {"consent": token})
        while claim(first, "Tax.residentTax")["state"] == "PENDING":
            await asyncio.sleep(0.1)
            first = await within_guard(caller.as_party("lender", asked, {"consent": token}))
        assert claim(first, "Tax.residentTax") == {
            **claim(first, "Tax.residentTax"), "state": "CONFIRMED", "value": "CLEAR", "retryAt": None,
        }  # fmt: skip
        assert await counted(caller) == {"calls": 2, "applications": 1, "polls": 1}


async def test_a_query_that_comes_while_a_source_answers_joins_it(tmp_path: Path) -> None:
    slow = Behaviour(latency_ms=(700, 700), polls_until_done=(1, 1), poll_seconds=0.01)
    settings = settings_for(tmp_path, deadline_seconds=0.4, behaviours={SourceAuthority.TAX: slow})
    asked = request_for("Tax.residentTax")
    async with own_sandbox(settings) as caller:
        token, _ = await caller.consent(PERSON, "lender", "LENDING", asked)
        bodies = await asyncio.gather(*(caller.as_party("lender", asked, {"consent": token}) for _ in range(5)))
        assert {claim(body, "Tax.residentTax")["state"] for body in bodies} == {"PENDING"}
        assert (await counted(caller))["applications"] == 1


async def test_an_answer_that_waits_for_a_source_costs_no_use(tmp_path: Path) -> None:
    slow = Behaviour(latency_ms=(900, 900))
    settings = settings_for(tmp_path, deadline_seconds=0.4, behaviours={SourceAuthority.LABOR: slow})
    asked = request_for("Labor.employed").replace("labor {", "grant { usesLeft } labor {")
    async with own_sandbox(settings) as caller:
        token, _ = await caller.consent(PERSON, "bank", "ACCOUNT_OPENING", asked)
        pending = await caller.as_party("bank", asked, {"consent": token})
        assert claim(pending, "Labor.employed")["state"] == "PENDING"
        assert pending["data"]["subject"]["grant"] == {"usesLeft": 3}
        await asyncio.sleep(0.8)
        complete = await caller.as_party("bank", asked, {"consent": token})
        assert claim(complete, "Labor.employed")["state"] == "CONFIRMED"
        assert complete["data"]["subject"]["grant"] == {"usesLeft": 2}


async def test_a_source_that_failed_is_left_alone_for_a_while(tmp_path: Path) -> None:
    clock = Clock()
    failing = Behaviour(latency_ms=(0, 0), error_rate=1.0)
    settings = settings_for(tmp_path, behaviours={SourceAuthority.LABOR: failing})
    asked = request_for("Labor.employed", INDEPENDENT)
    async with own_sandbox(settings, clock=clock) as caller:
        token, _ = await caller.consent(PERSON, "lender", "LENDING", asked)
        before = await caller.calls()
        for _ in range(3):
            body = await caller.as_party("lender", asked, {"consent": token})
            assert codes(body) == []
            assert claim(body, "Labor.employed")["state"] == "UNAVAILABLE"
            assert claim(body, INDEPENDENT)["state"] == "CONFIRMED"
        assert difference(before, await caller.calls()) == {}
        clock.pass_by(seconds=31)
        await caller.as_party("lender", asked, {"consent": token})
        assert difference(before, await caller.calls()) == {"LABOR": 1}


async def test_revoking_stops_what_is_under_way(tmp_path: Path) -> None:
    slow = Behaviour(latency_ms=(300, 300), polls_until_done=(20, 20), poll_seconds=0.01)
    settings = settings_for(tmp_path, deadline_seconds=0.4, behaviours={SourceAuthority.TAX: slow})
    asked = request_for("Tax.residentTax")
    async with own_sandbox(settings) as caller:
        token, grant_id = await caller.consent(PERSON, "lender", "LENDING", asked)
        assert (
            claim(await caller.as_party("lender", asked, {"consent": token}), "Tax.residentTax")["state"] == "PENDING"
        )
        await within_guard(caller.revoke(PERSON, grant_id))
        at_revocation = await counted(caller)
        await asyncio.sleep(0.7)
        assert await counted(caller) == at_revocation
