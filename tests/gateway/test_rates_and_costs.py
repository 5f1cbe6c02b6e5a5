"""How often and how dearly a relying party may ask; what an operation costs tells nothing of a person."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from gateway.cost import CostMode
from gateway.errors import RateLimitedError
from gateway.http.address import caller_address
from gateway.rates import IN_MEMORY, RateLimits, Rates
from gateway.settings_parts import Limits
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, difference, own_sandbox, settings_for
from tests.oauth.party import registered
from tests.valkey import running_valkey

LAWFUL = request_for("Immigration.statusLawful")
MANY = LAWFUL.replace("$consent: ConsentToken!", "$consents: [ConsentToken!]!").replace(
    "subject(consent: $consent)", "subjects(consents: $consents)"
)
FEW = Rates(
    relying_party_per_second=5,
    relying_party_burst=10,
    consent_per_second=3,
    consent_per_day=1_000,
    failures_per_minute=4,
    disputes_per_day=2,
    begun_per_day=2,
)


@asynccontextmanager
async def sandbox(state: Path, **changes: dict[str, Any]) -> AsyncIterator[Caller]:
    """A sandbox with these settings instead of the sandbox's generous ones."""
    settings = settings_for(state)
    tables = {name: getattr(settings.gateway, name).model_copy(update=values) for name, values in changes.items()}
    async with own_sandbox(
        settings.model_copy(update={"gateway": settings.gateway.model_copy(update=tables)})
    ) as made:
        yield made


async def post(caller: Caller, party: str, body: dict[str, Any]) -> httpx.Response:
    return await caller.http.post(
        "/graphql",
        content=orjson.dumps(body),
        headers={"authorization": f"Bearer {caller.running.keys[party]}", "content-type": "application/json"},
    )


def assert_limited(response: httpx.Response) -> None:
    assert (response.status_code, codes(response.json())) == (429, ["RATE_LIMITED"])
    assert int(response.headers["retry-after"]) >= 1


async def until_limited(limits: RateLimits, party: str, *, tries: int = 40) -> int:
    """How many requests of a relying party are let through."""
    for number in range(tries):
        try:
            await limits.count_request(party)
        except RateLimitedError as error:
            return number if error.retry_after_seconds >= 1 else -1
    return tries


async def test_a_relying_party_that_asks_too_often_is_limited_and_no_other() -> None:
    limits = RateLimits(IN_MEMORY, FEW, budget=100)
    assert [await until_limited(limits, party) for party in ("bank", "lender")] == [10, 10]


@pytest.mark.parametrize("count", [RateLimits.count_dispute, RateLimits.count_begun])
async def test_whoever_configures_no_limit_has_fifty_disputes_and_begun_consents_a_day_for_each_person(
    count: Callable[[RateLimits, str], Awaitable[None]],
) -> None:
    limits = RateLimits(IN_MEMORY, Limits().rates(), budget=100)
    for _ in range(50):
        await count(limits, "P01")
    with pytest.raises(RateLimitedError):
        await count(limits, "P01")
    await count(limits, "P02")


async def test_processes_count_together_and_each_by_itself_where_the_storage_is_gone(tmp_path: Path) -> None:
    with running_valkey(tmp_path) as (_, path):
        url = f"async+redis+unix://{path}"
        one, two = RateLimits(url, FEW, budget=100), RateLimits(url, FEW, budget=100)
        let_through = await until_limited(one, "bank") + await until_limited(two, "bank")
        assert let_through == 10
    assert 1 <= await until_limited(one, "other-bank") <= 11
    await one.close()
    await two.close()


async def test_questions_under_one_consent_are_limited_and_those_under_another_are_not(tmp_path: Path) -> None:
    async with sandbox(tmp_path, limits={"consent_per_second": 3}) as caller:
        token, _ = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        other, _ = await caller.consent("P02", "bank", "ACCOUNT_OPENING", LAWFUL)
        asked = [await post(caller, "bank", {"query": LAWFUL, "variables": {"consent": token}}) for _ in range(12)]
        limited = [response for response in asked if response.status_code == 429]
        assert limited
        assert_limited(limited[0])
        assert not codes((await post(caller, "bank", {"query": LAWFUL, "variables": {"consent": other}})).json())


async def test_whoever_fails_to_say_who_they_are_is_limited_and_others_at_the_same_address_are_not(
    tmp_path: Path,
) -> None:
    async with sandbox(tmp_path, limits={"failures_per_minute": 4}) as caller:
        token, _ = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        statuses = [(await caller.post("Bearer sk_wrong", LAWFUL)).status_code for _ in range(8)]
        assert statuses == [401] * 4 + [429] * 4
        assert not codes((await post(caller, "bank", {"query": LAWFUL, "variables": {"consent": token}})).json())


async def test_wrong_assertions_are_limited_and_asking_for_a_nonce_is_not(tmp_path: Path) -> None:
    async with sandbox(tmp_path, limits={"failures_per_minute": 4}) as caller:
        party = await registered(caller)
        for _ in range(6):
            party.nonce = None  # each token takes a refusal that brings a nonce
            await party.access_token()
        form = {**party.authentication(), "client_assertion": "x.y.z", "grant_type": "client_credentials"}
        statuses = [(await caller.http.post("/oauth/token", data=form)).status_code for _ in range(6)]
        assert statuses == [401] * 4 + [429] * 2
        await party.access_token()


async def test_the_token_endpoint_is_limited_and_giving_back_is_not(tmp_path: Path) -> None:
    changes = {"relying_party_per_second": 1, "relying_party_burst": 3}
    async with sandbox(tmp_path, limits=changes) as caller:
        party = await registered(caller)
        asked = [await party.post("/oauth/token", {"grant_type": "client_credentials"}) for _ in range(6)]
        limited = [response for response in asked if response.status_code == 429]
        assert limited
        assert int(limited[0].headers["retry-after"]) >= 1
        assert limited[0].json()["error"] == "temporarily_unavailable"
        given_back = [await party.post("/oauth/revoke", {"token": "kct_x"}, proof=False) for _ in range(4)]
        assert {response.status_code for response in given_back} == {200}


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_managing_grants_is_limited_too(tmp_path: Path, method: str) -> None:
    changes = {"relying_party_per_second": 1, "relying_party_burst": 8}
    async with sandbox(tmp_path, limits=changes) as caller:
        party = await registered(caller)
        token = await party.access_token()
        statuses = [(await party.at_grant(method, token, "none")).status_code for _ in range(12)]
        assert statuses[0] == 404
        assert statuses[-1] == 429


@pytest.mark.parametrize(
    ("client", "forwarded", "hops", "address"),
    [
        ("203.0.113.7", None, 0, "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1", 0, "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", 1, "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1", 1, "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", 2, "198.51.100.1"),
        ("127.0.0.1", None, 1, "127.0.0.1"),
        ("127.0.0.1", "not an address", 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", None, 0, "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.7", None, 0, "203.0.113.7"),
    ],
)
def test_a_caller_is_where_the_proxies_that_we_know_say(
    client: str, forwarded: str | None, hops: int, address: str
) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())] if forwarded is not None else []
    scope = {"type": "http", "client": (client, 1), "headers": headers}
    assert caller_address(scope, trusted_hops=hops) == address


async def test_an_operation_that_costs_too_much_is_refused_before_any_source_is_called(tmp_path: Path) -> None:
    async with sandbox(tmp_path, cost={"operation_limit": 30}) as caller:
        tokens = [(await caller.consent(p, "bank", "ACCOUNT_OPENING", LAWFUL))[0] for p in ("P01", "P02", "P03")]
        before = await caller.calls()
        refused = await post(caller, "bank", {"query": MANY, "variables": {"consents": tokens}})
        assert codes(refused.json()) == ["QUERY_TOO_COMPLEX"]
        assert difference(before, await caller.calls()) == {}
        assert not codes((await post(caller, "bank", {"query": MANY, "variables": {"consents": tokens[:2]}})).json())


async def test_a_relying_party_spends_its_own_budget(tmp_path: Path) -> None:
    async with sandbox(tmp_path, cost={"budget_per_minute": 25}) as caller:
        token, _ = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        theirs, _ = await caller.consent("P01", "lender", "LENDING", LAWFUL)
        asked = {"query": LAWFUL, "variables": {"consent": token}, "extensions": {"cost": True}}
        first = (await post(caller, "bank", asked)).json()["extensions"]["cost"]
        assert (first["operation"], first["budget"], first["budgetLeft"]) == (11, 25, 14)
        assert not codes((await post(caller, "bank", asked)).json())
        assert_limited(await post(caller, "bank", asked))
        assert not codes((await post(caller, "lender", {**asked, "variables": {"consent": theirs}})).json())


async def test_costs_that_are_only_measured_refuse_nothing(tmp_path: Path) -> None:
    changes = {"operation_limit": 1, "budget_per_minute": 1, "mode": CostMode.MEASURE}
    async with sandbox(tmp_path, cost=changes) as caller:
        token, _ = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        asked = {"query": LAWFUL, "variables": {"consent": token}, "extensions": {"cost": True}}
        body = (await post(caller, "bank", asked)).json()
        assert not codes(body)
        assert body["extensions"]["cost"]["mode"] == "measure"


async def test_what_it_costs_is_told_to_those_alone_who_ask(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as caller:
        token, _ = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        asked = {"query": LAWFUL, "variables": {"consent": token}}
        assert set((await post(caller, "bank", asked)).json()["extensions"]) == {"requestId"}


async def test_the_cost_is_the_same_whatever_a_person_left_out_and_whatever_is_known_already(tmp_path: Path) -> None:
    document = request_for("Immigration.statusLawful", "Tax.residentTax")
    async with sandbox(tmp_path) as caller:
        whole, _ = await caller.consent("P01", "lender", "LENDING", document)
        partly, _ = await caller.consent("P02", "lender", "LENDING", document, leave_out=("Tax.residentTax",))
        costs = []
        for token in (whole, whole, partly, "kct_never"):
            asked = {"query": document, "variables": {"consent": token}, "extensions": {"cost": True}}
            costs.append((await post(caller, "lender", asked)).json()["extensions"]["cost"])
        assert {cost["operation"] for cost in costs} == {22}
        assert {tuple(cost["sources"]) for cost in costs} == {("IMMIGRATION", "TAX")}


async def test_a_hundred_people_cost_a_hundred_times_as_much(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as caller:
        asked = {
            "query": MANY,
            "variables": {"consents": [f"kct_{n}" for n in range(100)]},
            "extensions": {"cost": True},
        }
        cost = (await post(caller, "bank", asked)).json()["extensions"]["cost"]
        assert (cost["operation"], cost["people"]) == (1_100, 100)
