"""Whoever guesses at share codes finds nothing, learns nothing, and locks out nobody but themself."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.consent.share_code import CODE_RANDOM_BYTES, make_share_code
from resolvers.catalogue import Purpose
from tests.conftest import Caller, full_count
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for
from tests.journeys.test_worker_hands_over_a_share_code import (
    REDEEM,
    RENT,
    TENANCY,
    HandedOver,
    grant_for,
    hand_over,
    new_code,
    redeem,
)

MAX_GUESSES = 5
WINDOW_MINUTES = 10
JSON = {"content-type": "application/json"}
BODY_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@contextmanager
def every_clock(clock: Clock) -> Iterator[None]:
    """The machine's own time moves with the gateway's: guesses are counted by a library that looks there."""
    machines = time.time
    time.time = lambda: machines() + clock.ahead.total_seconds()
    try:
        yield
    finally:
        time.time = machines


@pytest.fixture(scope="module", name="clock")
def make_clock() -> Iterator[Clock]:
    clock = Clock()
    with every_clock(clock):
        yield clock


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="sandbox")
async def make_sandbox(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state")), clock=clock) as made:
        yield made


@pytest.fixture(name="quick")
def make_quick(sandbox: Caller, clock: Clock) -> Caller:
    """So much later that nobody is locked any more."""
    clock.pass_by(minutes=2 * WINDOW_MINUTES)
    return sandbox


def guess(random: Random, purpose: Purpose = Purpose.TENANCY) -> str:
    """A code whose check symbols agree, and that nobody was given."""
    return make_share_code(purpose, random.randbytes(CODE_RANDOM_BYTES)).text


def with_wrong_check(code: str) -> str:
    """The same code with its last check symbol another."""
    plain = code.replace("-", "")
    return plain[:-1] + BODY_ALPHABET[(BODY_ALPHABET.index(plain[-1]) + 1) % len(BODY_ALPHABET)]


def unnamed(body: dict[str, Any]) -> str:
    """A body without what names the request."""
    request_id = body["extensions"]["requestId"]
    return orjson.dumps(body).decode().replace(request_id, "")


async def post_redeem(caller: Caller, party: str, code: str, *, born: str = "1997-05-21") -> httpx.Response:
    return await caller.post(f"Bearer {caller.running.keys[party]}", REDEEM, {"code": code, "born": born})


async def assert_redeems(caller: Caller, party: str, given: HandedOver) -> None:
    body = await redeem(caller, party, given.code, person=given.person)
    assert "errors" not in body, body
    assert body["data"]["redeemShareCode"]["consentToken"].startswith("kct_")


# --- what a refusal tells ------------------------------------------------------------------------------------

Prepared = Callable[[Caller, Clock], Awaitable[tuple[str, str]]]


async def never_made(caller: Caller, clock: Clock) -> tuple[str, str]:
    return "landlord", guess(Random(1))


async def wrong_check(caller: Caller, clock: Clock) -> tuple[str, str]:
    return "landlord", with_wrong_check((await hand_over(caller)).code)


async def expired(caller: Caller, clock: Clock) -> tuple[str, str]:
    given = await hand_over(caller)
    clock.pass_by(days=7, minutes=1)
    return "landlord", given.code


async def used_by_another(caller: Caller, clock: Clock) -> tuple[str, str]:
    given = await hand_over(caller, purpose=Purpose.ACCOUNT_OPENING)
    await assert_redeems(caller, "bank", given)
    return "other-bank", given.code


async def used_by_oneself(caller: Caller, clock: Clock) -> tuple[str, str]:
    given = await hand_over(caller)
    await assert_redeems(caller, "landlord", given)
    return "landlord", given.code


async def revoked(caller: Caller, clock: Clock) -> tuple[str, str]:
    given = await hand_over(caller)
    await caller.revoke("P01", given.grant_id)
    return "landlord", given.code


async def of_another_party(caller: Caller, clock: Clock) -> tuple[str, str]:
    return "other-bank", (await hand_over(caller, party="bank", purpose=Purpose.ACCOUNT_OPENING)).code


async def for_a_forbidden_purpose(caller: Caller, clock: Clock) -> tuple[str, str]:
    return "landlord", (await hand_over(caller, purpose=Purpose.LENDING)).code


async def of_somebody_born_on_another_day(caller: Caller, clock: Clock) -> tuple[str, str]:
    return "landlord", (await hand_over(caller, person="P05")).code


WRONG: list[Prepared] = [
    never_made, wrong_check, expired, used_by_another, used_by_oneself, revoked,
    of_another_party, for_a_forbidden_purpose, of_somebody_born_on_another_day,
]  # fmt: skip
NO_CODES = {
    "empty": "",
    "a word": "hello",
    "a letter that no purpose has": "X-8F3K-2Q9Z-5M",
    "too long": "T" + "0" * 60,
    "much too long": "T-" * 5_000,
    "another script": "Т8Г3К2Ц9З5М",
    "NUL": "T8F3K\x002Q9Z5M",
    "bidi": "T8F3K\u202e2Q9Z5M",
    "markup": "<script>alert(1)</script>",
    "template": "{{7*7}}",
    "emoji": "T\U0001f468\u200d\U0001f469\u200d\U0001f467",
}


@pytest.mark.parametrize("prepare", WRONG, ids=lambda prepared: prepared.__name__)
async def test_whatever_is_wrong_with_a_code_the_refusal_is_the_same(
    quick: Caller, clock: Clock, prepare: Prepared
) -> None:
    party, code = await prepare(quick, clock)
    other = "lender" if party != "lender" else "bank"
    plain = await post_redeem(quick, other, guess(Random(2)))
    refused = await post_redeem(quick, party, code)
    assert (refused.status_code, codes(refused.json())) == (200, ["CONSENT_INVALID"])
    assert refused.json()["data"] == {"redeemShareCode": None}
    assert unnamed(refused.json()) == unnamed(plain.json())
    heads = [{name: value for name, value in r.headers.items() if name != "date"} for r in (refused, plain)]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("kind", NO_CODES)
async def test_what_is_no_code_at_all_is_refused_in_the_same_words_and_is_no_guess(quick: Caller, kind: str) -> None:
    plain = unnamed((await post_redeem(quick, "lender", guess(Random(2)))).json())
    for _ in range(MAX_GUESSES + 1):
        refused = await post_redeem(quick, "landlord", NO_CODES[kind])
        assert (refused.status_code, unnamed(refused.json())) == (200, plain)
    await assert_redeems(quick, "landlord", await hand_over(quick))


async def test_a_code_that_one_has_used_oneself_is_no_guess_and_with_another_date_it_is_one(quick: Caller) -> None:
    given = await hand_over(quick)
    await assert_redeems(quick, "landlord", given)
    for _ in range(MAX_GUESSES + 1):
        assert codes(await redeem(quick, "landlord", given.code)) == ["CONSENT_INVALID"]
    for _ in range(MAX_GUESSES):
        assert codes(await redeem(quick, "landlord", given.code, born="1990-01-01")) == ["CONSENT_INVALID"]
    assert codes(await redeem(quick, "landlord", given.code)) == ["RATE_LIMITED"]


async def test_a_code_for_another_purpose_is_not_used_up_by_the_wrong_party(quick: Caller) -> None:
    given = await hand_over(quick, purpose=Purpose.LENDING)
    assert codes(await redeem(quick, "landlord", given.code)) == ["CONSENT_INVALID"]
    assert codes(await redeem(quick, "lender", given.code, born="1990-01-01")) == ["CONSENT_INVALID"]
    await assert_redeems(quick, "lender", given)


# --- who guesses is stopped ----------------------------------------------------------------------------------


async def test_wrong_check_symbols_are_no_guess(quick: Caller) -> None:
    given = await hand_over(quick)
    for _ in range(4 * MAX_GUESSES):
        assert codes(await redeem(quick, "landlord", with_wrong_check(given.code))) == ["CONSENT_INVALID"]
    await assert_redeems(quick, "landlord", given)


async def test_nothing_is_looked_up_for_wrong_check_symbols(tmp_path: Path) -> None:
    """Without the table of codes, what is looked up breaks, and what is not does not."""
    async with own_sandbox(settings_for(tmp_path)) as caller:
        given = await hand_over(caller)
        with closing(sqlite3.connect(tmp_path / "kyosei.sqlite", isolation_level=None)) as database:
            database.execute("DROP TABLE share_code")
        assert codes(await redeem(caller, "landlord", with_wrong_check(given.code))) == ["CONSENT_INVALID"]
        assert codes(await redeem(caller, "landlord", given.code)) != ["CONSENT_INVALID"], "this one was looked up"


@pytest.mark.parametrize("wrong", ["code", "birth date", "both in turn"])
async def test_the_sixth_wrong_guess_is_too_many_for_this_party_alone(quick: Caller, wrong: str) -> None:
    given, random = await hand_over(quick, purpose=Purpose.ACCOUNT_OPENING), Random(3)
    for number in range(MAX_GUESSES):
        by_code = wrong == "code" or (wrong == "both in turn" and number % 2)
        tried = (guess(random, Purpose.ACCOUNT_OPENING), "1997-05-21") if by_code else (given.code, "1997-05-22")
        assert codes((await post_redeem(quick, "bank", tried[0], born=tried[1])).json()) == ["CONSENT_INVALID"]
    sixth = await post_redeem(quick, "bank", guess(random, Purpose.ACCOUNT_OPENING))
    assert (sixth.status_code, codes(sixth.json())) == (429, ["RATE_LIMITED"])
    assert 0 < int(sixth.headers["retry-after"]) <= WINDOW_MINUTES * 60
    assert sixth.json()["errors"][0]["extensions"]["retryable"] is True
    right = await post_redeem(quick, "bank", given.code)
    assert (right.status_code, codes(right.json())) == (429, ["RATE_LIMITED"]), "the right one is no better now"
    await assert_redeems(quick, "other-bank", given)


async def test_who_is_locked_out_of_redeeming_is_still_answered(quick: Caller) -> None:
    token, _ = await quick.consent("P01", "landlord", "TENANCY", TENANCY, RENT)
    random = Random(4)
    statuses = [(await post_redeem(quick, "landlord", guess(random))).status_code for _ in range(MAX_GUESSES + 1)]
    assert statuses == [200] * MAX_GUESSES + [429]
    assert "errors" not in await quick.as_party("landlord", TENANCY, {**RENT, "consent": token})


async def test_after_ten_minutes_a_party_may_try_again(quick: Caller, clock: Clock) -> None:
    given, random = await hand_over(quick), Random(5)
    statuses = [(await post_redeem(quick, "landlord", guess(random))).status_code for _ in range(MAX_GUESSES + 1)]
    assert statuses[-1] == 429
    clock.pass_by(minutes=WINDOW_MINUTES - 1)
    assert (await post_redeem(quick, "landlord", given.code)).status_code == 429
    clock.pass_by(minutes=2)
    await assert_redeems(quick, "landlord", given)


@pytest.mark.parametrize("parties", [("bank",), ("bank", "other-bank")])
async def test_of_ten_who_redeem_at_once_exactly_one_succeeds(quick: Caller, parties: tuple[str, ...]) -> None:
    given = await hand_over(quick, purpose=Purpose.ACCOUNT_OPENING)
    askers = [parties[number % len(parties)] for number in range(10)]
    responses = await asyncio.gather(*(post_redeem(quick, party, given.code) for party in askers))
    bodies = [response.json() for response in responses]
    redeemed = [body["data"]["redeemShareCode"] for body in bodies if not codes(body)]
    assert len(redeemed) == 1
    assert {code for body in bodies for code in codes(body)} <= {"CONSENT_INVALID", "RATE_LIMITED"}
    grants = (await quick.as_person("P01", "{ me { grants { id relyingParty { id } } } }"))["data"]["me"]["grants"]
    (winner,) = [party for party, body in zip(askers, bodies, strict=True) if not codes(body)]
    assert [grant["relyingParty"] for grant in grants if grant["id"] == given.grant_id] == [{"id": winner}]


async def test_wrong_guesses_at_once_are_all_counted(quick: Caller) -> None:
    random = Random(6)
    tried = [guess(random) for _ in range(40)]
    statuses = [r.status_code for r in await asyncio.gather(*(post_redeem(quick, "landlord", g) for g in tried))]
    assert Counter(statuses) == {200: MAX_GUESSES, 429: 40 - MAX_GUESSES}


async def guess_at_once(caller: Caller, party: str, guessed: Iterable[str]) -> tuple[Counter[int], list[bytes]]:
    """Guess without a socket, for the many: how often each status came, and every body with a token."""
    statuses, hits = Counter[int](), []
    headers = {"authorization": f"Bearer {caller.running.keys[party]}", **JSON}
    app = httpx.ASGITransport(app=caller.running.gateway.app)
    async with httpx.AsyncClient(transport=app, base_url=caller.running.url, headers=headers) as http:
        for code in guessed:
            body = orjson.dumps({"query": REDEEM, "variables": {"code": code, "born": "1997-05-21"}})
            response = await http.post("/graphql", content=body)
            statuses[response.status_code] += 1
            hits += [response.content] if b"kct_" in response.content else []
    return statuses, hits


@pytest.mark.parametrize("count", [1, 4, 7])
async def test_many_guesses_in_one_document_are_none(quick: Caller, count: int) -> None:
    given, random = await hand_over(quick, purpose=Purpose.ACCOUNT_OPENING), Random(8)
    guessed = [guess(random, Purpose.ACCOUNT_OPENING) for _ in range(count)] + [given.code]
    fields = " ".join(
        f'a{number}: redeemShareCode(code: "{code}", dateOfBirth: "1997-05-21") {{ consentToken }}'
        for number, code in enumerate(guessed)
    )
    response = await quick.post(f"Bearer {quick.running.keys['bank']}", f"mutation {{ {fields} }}")
    assert codes(response.json()) == ["QUERY_TOO_COMPLEX"]
    await assert_redeems(quick, "bank", given)


@pytest.mark.soak
async def test_a_hundred_thousand_guesses_find_nothing_and_lock_only_the_guesser(quick: Caller) -> None:
    granted = await grant_for(quick)
    living = [(await new_code(quick, granted["grant"]["id"]))["code"] for _ in range(30)]
    random, count = Random(7), full_count(full_count(100_000))  # a hundredth in `make test`: each takes 3 ms
    guessed = (guess(random, random.choice(list(Purpose))) for _ in range(count))
    statuses, hits = await guess_at_once(quick, "bank", guessed)
    assert hits == []
    assert statuses == {200: MAX_GUESSES, 429: count - MAX_GUESSES}
    assert (await redeem(quick, "landlord", living[-1]))["data"]["redeemShareCode"] is not None
    _, found = await guess_at_once(quick, "landlord", [(await hand_over(quick)).code])
    assert len(found) == 1, "a hit would have been seen"
