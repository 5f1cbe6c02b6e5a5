"""A consent that is wrong, malformed or another's is refused in the same bytes and in the same time."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import pytest_asyncio

from gateway.asking import read_example
from gateway.consent.share_code import CODE_RANDOM_BYTES, make_share_code
from gateway.consent.token import TOKEN_RANDOM_BYTES, make_token
from resolvers.catalogue import Purpose
from tests.adversary.test_share_code_guessing import every_clock
from tests.conftest import Caller, full_count
from tests.gateway.gateway_process import unhurried
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for
from tests.journeys.test_worker_hands_over_a_share_code import CREATE_FOR, RENT, TENANCY, grant_for, hand_over, redeem

LEAST_P = 0.01
MEASUREMENTS = 3
"""A difference is real if it is there every time: chance alone shows one of this size once in a million."""

Seconds = dict[str, list[float]]

OPENING = read_example(Purpose.ACCOUNT_OPENING)
SECRET = "query($consent: ConsentToken!) { subject(consent: $consent) { immigration { statusLawful { value } } } }"
MALFORMED = {
    "empty": "",
    "one letter": "x",
    "a shorter one": "kct_aaaaaaaaaaaaaaaaaaaaaaaaa",
    "a longer one": "kct_aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "capitals": "KCT_AAAAAAAAAAAAAAAAAAAAAAAAAA",
    "another prefix": "sk_aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "NUL": "kct_aaaaaaaaaaaaa\x00aaaaaaaaaaaa",
    "bidi": "kct_aaaaaaaaaaaaa\u202eaaaaaaaaaaaa",
    "markup": "<script>alert(1)</script>",
    "SQL": "' OR 1=1 --",
    "a path": "../../etc/passwd",
    "twenty thousand letters": "k" * 20_000,
}


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="quick")
async def make_quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


def unnamed(response: httpx.Response) -> tuple[bytes, dict[str, str]]:
    """A response without what names the request and its second."""
    request_id = response.json()["extensions"]["requestId"].encode()
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return response.content.replace(request_id, b""), headers


async def asked_with(
    caller: Caller, token: str, *, party: str = "landlord", document: str = SECRET
) -> httpx.Response:
    return await caller.post(f"Bearer {caller.running.keys[party]}", document, {"consent": token})


def never_made(random: Random) -> str:
    return make_token(random.randbytes(TOKEN_RANDOM_BYTES))


async def act(caller: Caller, mutation: str, grant_id: str) -> None:
    body = await caller.as_person(
        "P01", f"mutation($id: ID!) {{ {mutation}(grant: $id) {{ id }} }}", {"id": grant_id}
    )
    assert "errors" not in body, body


# --- the same bytes ------------------------------------------------------------------------------------------


async def foreign(caller: Caller) -> str:
    return (await caller.consent("P01", "bank", "ACCOUNT_OPENING", OPENING))[0]


async def foreign_paused(caller: Caller) -> str:
    token, grant_id = await caller.consent("P01", "bank", "ACCOUNT_OPENING", OPENING)
    await act(caller, "pauseConsent", grant_id)
    return token


async def foreign_revoked(caller: Caller) -> str:
    token, grant_id = await caller.consent("P01", "bank", "ACCOUNT_OPENING", OPENING)
    await act(caller, "revokeConsent", grant_id)
    return token


async def foreign_redeemed(caller: Caller) -> str:
    given = await hand_over(caller, purpose=Purpose.ACCOUNT_OPENING)
    redeemed = await redeem(caller, "bank", given.code)
    token: str = redeemed["data"]["redeemShareCode"]["consentToken"]
    return token


async def foreign_used_up(caller: Caller) -> str:
    names = ("statusLawful", "adult", "cardNotRevoked")
    fields = " ".join(f"{name} {{ value }}" for name in names)
    token, _ = await caller.consent(
        "P01", "bank", "ACCOUNT_OPENING", SECRET.replace("statusLawful { value }", fields)
    )
    for name in names:
        asked = SECRET.replace("statusLawful", name)
        assert "errors" not in await caller.as_party("bank", asked, {"consent": token})
    return token


async def an_id_of_a_grant(caller: Caller) -> str:
    return (await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT))[1]


async def an_id_of_a_request(caller: Caller) -> str:
    body = await caller.preview("P01", "landlord", "TENANCY", TENANCY, RENT)
    found: str = body["data"]["previewConsent"]["id"]
    return found


async def a_share_code(caller: Caller) -> str:
    return (await hand_over(caller)).code


async def a_key(caller: Caller) -> str:
    return caller.running.keys["landlord"]


OF_OTHERS: list[Callable[[Caller], Awaitable[str]]] = [
    foreign, foreign_paused, foreign_revoked, foreign_redeemed, foreign_used_up,
    an_id_of_a_grant, an_id_of_a_request, a_share_code, a_key,
]  # fmt: skip


@pytest.mark.parametrize("made", OF_OTHERS, ids=lambda made: made.__name__)
async def test_what_names_no_consent_of_ones_own_is_refused_like_what_never_was(
    quick: Caller, made: Callable[[Caller], Awaitable[str]]
) -> None:
    plain = await asked_with(quick, never_made(Random(1)))
    refused = await asked_with(quick, await made(quick))
    assert (refused.status_code, codes(refused.json())) == (200, ["CONSENT_INVALID"])
    assert refused.json()["data"] == {"subject": None}
    assert unnamed(refused) == unnamed(plain)


@pytest.mark.parametrize("kind", MALFORMED)
async def test_a_malformed_token_is_refused_like_one_that_never_was(quick: Caller, kind: str) -> None:
    plain = await asked_with(quick, never_made(Random(1)))
    assert unnamed(await asked_with(quick, MALFORMED[kind])) == unnamed(plain)


async def test_a_foreign_consent_that_ran_out_is_refused_like_one_that_never_was(tmp_path: Path) -> None:
    clock = Clock()
    async with own_sandbox(settings_for(tmp_path), clock=clock) as caller:
        token = await foreign(caller)
        clock.pass_by(days=31)
        assert codes((await asked_with(caller, token, party="bank")).json()) == ["CONSENT_ENDED"], "its own is told"
        assert unnamed(await asked_with(caller, token)) == unnamed(await asked_with(caller, never_made(Random(1))))


async def test_which_party_is_refused_makes_no_difference(quick: Caller) -> None:
    token = never_made(Random(1))
    refused = [await asked_with(quick, token, party=party) for party in quick.running.keys]
    assert len({(body, tuple(headers.items())) for body, headers in map(unnamed, refused)}) == 1


# --- the same time -------------------------------------------------------------------------------------------


def rank_test(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p of the Mann-Whitney test, by the normal approximation with ties and continuity."""
    pooled = sorted([*first, *second])
    ties = Counter(pooled)
    rank: dict[float, float] = {}
    below = 0
    for value in sorted(ties):
        rank[value] = below + (ties[value] + 1) / 2
        below += ties[value]
    n, m = len(first), len(second)
    u = sum(rank[value] for value in first) - n * (n + 1) / 2
    total = n + m
    tied = sum(count**3 - count for count in ties.values()) / (total * (total - 1))
    deviation = math.sqrt(n * m / 12 * (total + 1 - tied))
    return 1.0 if deviation == 0 else math.erfc(max(0.0, abs(u - n * m / 2) - 0.5) / deviation / math.sqrt(2))


Made = Callable[[], str]
"""What is sent: another each time, or the same."""


async def seconds_taken(rounds: int, ask: Callable[[str], Awaitable[Any]], kinds: Mapping[str, Made]) -> Seconds:
    """What each kind of request takes; in every round one of each, in an order that changes."""
    taken: Seconds = {kind: [] for kind in kinds}
    random = Random(8)
    for _ in range(rounds):
        for kind in random.sample(list(kinds), len(kinds)):
            sent = kinds[kind]()
            began_at = time.perf_counter()
            await ask(sent)
            taken[kind].append(time.perf_counter() - began_at)
    return taken


async def assert_alike(ask: Callable[[str], Awaitable[Any]], plain: Made, others: Mapping[str, Made]) -> None:
    """No kind differs in time from the plain one every time that 2,000 pairs are measured."""
    suspects = dict(others)
    found: dict[str, list[float]] = {kind: [] for kind in others}
    for _ in range(MEASUREMENTS):
        taken = await seconds_taken(full_count(2_000), ask, {"": plain, **suspects})
        for kind in suspects:
            found[kind].append(rank_test(taken[""], taken[kind]))
        suspects = {kind: made for kind, made in suspects.items() if found[kind][-1] <= LEAST_P}
        if not suspects:
            return
    raise AssertionError(f"told apart by time every time: p = {found}")


@pytest.mark.soak
async def test_a_refusal_takes_as_long_whatever_is_wrong_with_the_token(tmp_path: Path) -> None:
    async with own_sandbox(unhurried(settings_for(tmp_path))) as caller:
        random, others = Random(9), cycle([await made(caller) for made in (foreign, foreign_paused, foreign_revoked)])

        async def ask(token: str) -> None:
            assert b"CONSENT_INVALID" in (await asked_with(caller, token)).content

        await assert_alike(
            ask, lambda: never_made(random), {"foreign": lambda: next(others), "malformed": lambda: "kct_?"}
        )


@pytest.mark.soak
async def test_a_refusal_takes_as_long_whatever_is_wrong_with_the_share_code(tmp_path: Path) -> None:
    """All clocks move on, so that no guess is one too many."""
    clock, random = Clock(), Random(10)
    async with AsyncExitStack() as stack:
        stack.enter_context(every_clock(clock))
        caller = await stack.enter_async_context(own_sandbox(settings_for(tmp_path), clock=clock))
        known = cycle([await spent_code(caller, kind) for kind in ("expired", "used", "revoked", "another's")])
        clock.pass_by(days=2)

        async def ask(code: str) -> None:
            clock.pass_by(minutes=2.6)
            assert codes(await redeem(caller, "other-bank", code)) == ["CONSENT_INVALID"]

        def wrong() -> str:
            return make_share_code(Purpose.ACCOUNT_OPENING, random.randbytes(CODE_RANDOM_BYTES)).text

        await assert_alike(ask, wrong, {"known, but not to be redeemed": lambda: next(known)})


async def spent_code(caller: Caller, kind: str) -> str:
    """A code that nobody can redeem, or no other than the bank; an expired one is so from tomorrow on."""
    party = "bank" if kind == "another's" else None
    grant_id = (await grant_for(caller, party=party, purpose=Purpose.ACCOUNT_OPENING))["grant"]["id"]
    made = await caller.as_person("P01", CREATE_FOR, {"grant": grant_id, "days": 1 if kind == "expired" else 30})
    code: str = made["data"]["createShareCode"]["code"]
    if kind == "used":
        assert "errors" not in await redeem(caller, "other-bank", code)
    if kind == "revoked":
        await caller.revoke("P01", grant_id)
    return code


def test_the_rank_test_is_the_one_that_is_published() -> None:
    """Source: the example of SciPy's mannwhitneyu, method "asymptotic"."""
    males, females = [19, 22, 16, 29, 24], [20, 11, 17, 12]
    assert rank_test(males, females) == pytest.approx(0.11134688653314041)
    assert rank_test(females, males) == pytest.approx(0.11134688653314041)
    assert rank_test([1, 1, 1], [1, 1, 1]) == 1.0


def test_the_rank_test_sees_a_twentieth_of_the_noise_and_nothing_in_noise_alone() -> None:
    random = Random(11)
    first, second, third = ([random.gauss(1.0, 0.2) + more for _ in range(20_000)] for more in (0, 0, 0.01))
    assert rank_test(first, second) > LEAST_P
    assert rank_test(first, third) < LEAST_P


async def test_a_refusal_that_takes_a_tenth_longer_is_told_apart() -> None:
    """The measurement's own test: a far end whose refusals of one kind take longer."""

    async def ask(kind: str) -> None:
        until = time.perf_counter() + (0.0011 if kind == "slower" else 0.001)
        while time.perf_counter() < until:
            pass

    taken = await seconds_taken(100, ask, {"quick": lambda: "quick", "slower": lambda: "slower"})
    assert rank_test(taken["quick"], taken["slower"]) < LEAST_P
