"""Thresholds: on the grid, few of them, and answered the same for a while, whatever the sources say meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.adversary.many_people import Earner, write_earners
from tests.conftest import Caller
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for

INCOME = (
    "query($consent: ConsentToken!, $yen: Int!) "
    "{ subject(consent: $consent) { tax { incomeMeets(yearlyYen: $yen) { value asOf } } } }"
)
RENT = (
    "query($consent: ConsentToken!, $rent: Int!) "
    "{ subject(consent: $consent) { tenancy(rentYenPerMonth: $rent) { rules { id result } } } }"
)
LOAN = (
    "query($consent: ConsentToken!, $amount: Int!, $term: Int!) { subject(consent: $consent) "
    "{ lending(product: CONSUMER, amountYen: $amount, termMonths: $term) { rules { id result } } } }"
)
UNTIL = (
    "query($consent: ConsentToken!, $on: Date!) "
    "{ subject(consent: $consent) { immigration { stayCoversUntil(on: $on) { value } } } }"
)
REQUEST = """mutation($d: String!, $v: JSON, $p: Purpose!) {
  requestConsent(document: $d, variables: $v, purpose: $p) { id expiresAt } }"""
OPEN = "mutation($id: ID!) { openConsentRequest(request: $id) { id warnings { en } } }"


async def request(caller: Caller, party: str, purpose: str, document: str, **variables: Any) -> dict[str, Any]:
    return await caller.as_party(party, REQUEST, {"d": document, "v": variables, "p": purpose})


async def opened(caller: Caller, party: str, purpose: str, document: str, **variables: Any) -> list[str]:
    """A relying party's request, opened by P10: the codes of what went wrong."""
    made = await request(caller, party, purpose, document, **variables)
    assert codes(made) == []
    return codes(await caller.as_person("P10", OPEN, {"id": made["data"]["requestConsent"]["id"]}))


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="quick")
async def make_quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as caller:
        yield caller


OFF_GRID = [
    *(("TENANCY", "landlord", RENT, {"rent": rent}) for rent in (62_001, 61_999, 999, 0, -1_000, 10_001_000)),
    *(("LENDING", "lender", INCOME, {"yen": yen}) for yen in (2_400_001, 2_399_999, 100_000, 0, -120_000)),
    *(
        ("LENDING", "lender", LOAN, {"amount": amount, "term": term})
        for amount, term in ((500_001, 24), (0, 24), (-100_000, 24), (500_000, 0), (500_000, -24), (500_000, 601))
    ),
    *(("LENDING", "lender", UNTIL, {"on": day}) for day in ("2027-03-30", "2027-04-01", "2028-02-28")),
]


@pytest.mark.parametrize(("purpose", "party", "document", "variables"), OFF_GRID)
async def test_a_threshold_beside_the_grid_is_refused_before_any_source_is_asked(
    quick: Caller, purpose: str, party: str, document: str, variables: dict[str, Any]
) -> None:
    before = await quick.calls()
    previewed = await quick.preview("P10", party, purpose, document, variables)
    requested = await request(quick, party, purpose, document, **variables)
    assert [codes(previewed), codes(requested)] == [["OFF_GRID"]] * 2
    assert await quick.calls() == before


async def test_a_relying_party_asks_about_four_thresholds_of_one_fact_whichever_field_compares_it(
    tmp_path: Path,
) -> None:
    clock = Clock()
    async with own_sandbox(settings_for(tmp_path), clock=clock) as caller:
        asked: tuple[tuple[str, dict[str, Any]], ...] = (
            (INCOME, {"yen": 1_200_000}),
            (INCOME, {"yen": 2_400_000}),
            (LOAN, {"amount": 1_200_000, "term": 12}),
            (LOAN, {"amount": 1_600_000, "term": 12}),
        )
        for document, variables in asked:
            assert await opened(caller, "bank", "LENDING", document, **variables) == []
        again = (INCOME, {"yen": 3_600_000}), (INCOME, {"yen": 4_800_000}), (LOAN, {"amount": 800_000, "term": 12})
        for document, variables in again:
            assert await opened(caller, "bank", "LENDING", document, **variables) == [], "compared before"
        before = await caller.calls()
        assert await opened(caller, "bank", "LENDING", INCOME, yen=1_320_000) == ["PROBE_BUDGET_EXCEEDED"]
        assert await caller.calls() == before
        assert await opened(caller, "lender", "LENDING", INCOME, yen=1_320_000) == [], "another's budget"
        clock.pass_by(days=89)
        assert await opened(caller, "bank", "LENDING", INCOME, yen=1_320_000) == ["PROBE_BUDGET_EXCEEDED"]
        clock.pass_by(days=2)
        assert await opened(caller, "bank", "LENDING", INCOME, yen=1_320_000) == []


async def test_requests_opened_at_once_do_not_overdraw_the_budget(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        requests = [opened(caller, "bank", "LENDING", INCOME, yen=120_000 * number) for number in range(10, 30)]
        outcomes = await asyncio.gather(*requests)
    assert outcomes.count([]) == 4
    assert outcomes.count(["PROBE_BUDGET_EXCEEDED"]) == 16


async def test_parties_of_one_sector_share_one_budget(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    affiliates = tuple(replace(party, sector="one group") for party in settings.relying_parties)
    async with own_sandbox(settings.model_copy(update={"relying_parties": affiliates})) as caller:
        for party, yen in (("bank", 1_200_000), ("lender", 2_400_000), ("bank", 3_600_000), ("lender", 4_800_000)):
            assert await opened(caller, party, "LENDING", INCOME, yen=yen) == []
        assert await opened(caller, "other-bank", "LENDING", INCOME, yen=1_320_000) == ["PROBE_BUDGET_EXCEEDED"]


async def test_a_request_opens_once_and_only_for_a_while(tmp_path: Path) -> None:
    clock = Clock()
    async with own_sandbox(settings_for(tmp_path), clock=clock) as caller:
        made = [await request(caller, "bank", "LENDING", INCOME, yen=1_200_000) for _ in range(2)]
        first, second = ({"id": body["data"]["requestConsent"]["id"]} for body in made)
        at_once = await asyncio.gather(*(caller.as_person(f"P{n:02}", OPEN, first) for n in range(1, 6)))
        assert sorted(map(codes, at_once)) == [[]] + [["CONSENT_REQUEST_INVALID"]] * 4
        clock.pass_by(minutes=61)
        assert codes(await caller.as_person("P10", OPEN, second)) == ["CONSENT_REQUEST_INVALID"]


async def test_what_the_person_starts_is_never_refused_for_its_many_thresholds_but_they_are_warned(
    quick: Caller,
) -> None:
    aliases = " ".join(f"a{n}: incomeMeets(yearlyYen: {120_000 * n}) {{ value }}" for n in range(10, 13))
    document = f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ tax {{ {aliases} }} }} }}"
    query = (
        'mutation($d: String!) { previewConsent(document: $d, relyingParty: "lender", purpose: LENDING) '
        "{ warnings { en ja } } }"
    )
    warned = await quick.as_person("P11", query, {"d": document})
    assert len(warned["data"]["previewConsent"]["warnings"]) == 1
    calm = await quick.as_person("P11", query, {"d": document.replace("a12", "a10").replace("1440000", "1200000")})
    assert calm["data"]["previewConsent"]["warnings"] == []


def income_rule(body: dict[str, Any]) -> str:
    """The result of the rule that compares the income."""
    subject = body["data"]["subject"]
    decision = subject["tenancy"] if "tenancy" in subject else subject["lending"]
    return str(next(rule["result"] for rule in decision["rules"] if rule["id"] in ("TN-05", "LD-05")))


def earning(folder: Path, yearly_yen: int) -> Path:
    """A folder with one person, who earns so much."""
    return write_earners(folder / str(yearly_yen), [Earner(0, yearly_yen)])


FROZEN = [
    pytest.param("TENANCY", "landlord", RENT, {"rent": 100_000}, 24, id="24 hours"),
    pytest.param("LENDING", "lender", LOAN, {"amount": 1_200_000, "term": 12}, 720, id="30 days"),
]


@pytest.mark.parametrize(("purpose", "party", "document", "asked", "hours"), FROZEN)
async def test_the_answer_to_a_threshold_stays_what_it_was_until_its_refresh_date(
    tmp_path: Path, purpose: str, party: str, document: str, asked: dict[str, Any], hours: int
) -> None:
    """The certificate changes meanwhile: when an answer changes tells nobody when the income did."""
    clock, settings = Clock(), settings_for(tmp_path / "state")
    both = document.removesuffix("} }") + "tax { incomeMeets(yearlyYen: 3600000) { value } } } }"
    async with own_sandbox(settings, people=earning(tmp_path, 5_000_000), clock=clock) as caller:
        token, _ = await caller.consent("R0000", party, purpose, both, asked)
        given = {**asked, "consent": token}
        assert income_rule(await caller.as_party(party, document, given)) == "PASS"
    async with own_sandbox(settings, people=earning(tmp_path, 1_000_000), clock=clock) as caller:
        clock.pass_by(hours=hours - 1)
        body = await caller.as_party(party, both, given)
        assert income_rule(body) == "PASS", "the same comparison, asked by a rule"
        assert body["data"]["subject"]["tax"]["incomeMeets"]["value"] is True, "and by a claim"
        clock.pass_by(hours=25)  # the refresh date, and the last answer is a day old
        later = await caller.as_party(party, both, given)
        assert (codes(later), later["data"]["subject"]) == (["CONSENT_ENDED"], None) or income_rule(later) == "FAIL"


async def test_a_corrected_identity_record_unfreezes_the_answer(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_for(tmp_path / "state")
    async with own_sandbox(settings, people=earning(tmp_path, 5_000_000), clock=clock) as caller:
        token, _ = await caller.consent("R0000", "landlord", "TENANCY", RENT, {"rent": 100_000})
        asked = {"rent": 100_000, "consent": token}
        assert income_rule(await caller.as_party("landlord", RENT, asked)) == "PASS"
        identity = caller.running.people.identities["R0000"]
    async with own_sandbox(settings, people=earning(tmp_path, 1_000_000), clock=clock) as caller:
        assert income_rule(await caller.as_party("landlord", RENT, asked)) == "PASS"
        await caller.running.gateway.enrol({"R0000": replace(identity, address_given="埼玉県蕨市")})
        assert income_rule(await caller.as_party("landlord", RENT, asked)) == "FAIL"


async def test_a_dispute_that_was_settled_unfreezes_the_answer(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "state")
    dispute = 'mutation { openDispute(claim: "Tax.income", statement: "That was another year.") { id } }'
    close = "mutation($id: ID!) { closeDispute(dispute: $id, outcome: CORRECTED, correctedBy: TAX) { outcome } }"
    async with own_sandbox(settings, people=earning(tmp_path, 1_000_000)) as caller:
        token, _ = await caller.consent("R0000", "landlord", "TENANCY", RENT, {"rent": 100_000})
        asked = {"rent": 100_000, "consent": token}
        assert income_rule(await caller.as_party("landlord", RENT, asked)) == "FAIL"
    async with own_sandbox(settings, people=earning(tmp_path, 5_000_000)) as caller:
        opened_one = (await caller.as_person("R0000", dispute))["data"]["openDispute"]["id"]
        assert income_rule(await caller.as_party("landlord", RENT, asked)) == "EVIDENCE"
        assert codes(await caller.as_person("R0000", close, {"id": opened_one})) == []
        assert income_rule(await caller.as_party("landlord", RENT, asked)) == "PASS"
