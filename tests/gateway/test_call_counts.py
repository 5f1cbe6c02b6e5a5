"""Preview and query together call exactly the sources that a question declares, once each."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from connectors.interface import SourceAuthority
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from tests.conftest import Caller
from tests.gateway.questions import everything, request_for
from tests.gateway.sandboxes import codes, difference, own_sandbox, settings_for

PERSON = "P10"
POLLS = 2
"""How often the sandbox's tax authority is asked for the result of one application."""

DECLARED = {
    "Subject.accountOpening": {"IMMIGRATION", "LABOR", "INSURANCE"},
    "Subject.accountMaintenance": {"IMMIGRATION"},
    "Subject.tenancy": {"IMMIGRATION", "LABOR", "TAX", "INSURANCE"},
    "Subject.lending": {"IMMIGRATION", "LABOR", "TAX", "INSURANCE"},
}
ASKED_AS = {
    Purpose.LENDING: "lender",
    Purpose.TENANCY: "landlord",
    Purpose.ACCOUNT_OPENING: "bank",
    Purpose.ACCOUNT_MAINTENANCE: "bank",
}
MATCH_OVER = {
    Purpose.ACCOUNT_OPENING: {"IMMIGRATION", "LABOR"},
    Purpose.ACCOUNT_MAINTENANCE: {"IMMIGRATION"},
    Purpose.TENANCY: {"IMMIGRATION", "LABOR", "TAX"},
    Purpose.LENDING: {"IMMIGRATION", "LABOR", "TAX", "INSURANCE"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


def purpose_of(coordinate: str) -> Purpose:
    """A purpose that may ask it: the decision's own, or the widest that lists the attribute."""
    if coordinate in DECISIONS:
        return DECISIONS[coordinate].purpose
    return Purpose.ACCOUNT_MAINTENANCE if coordinate in ONLY_MAINTENANCE else (
        Purpose.ACCOUNT_OPENING if coordinate == "Immigration.fefaResidency" else Purpose.LENDING
    )  # fmt: skip


ONLY_MAINTENANCE = {"Immigration.stayBasis", "Immigration.stayRecheckBy"}


def declared(coordinate: str) -> set[str]:
    return DECLARED.get(coordinate) or {source.value for source in ATTRIBUTES[coordinate].sources}


def once(sources: set[str]) -> dict[str, int]:
    """One call each; for tax one application and its polls."""
    return {source: 1 + POLLS if source == "TAX" else 1 for source in sources}


async def applications(caller: Caller) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        counted = await http.get(f"{caller.running.authority_urls[SourceAuthority.TAX]}/_sandbox/calls")
    return int(counted.json()["applications"])


async def asked_and_answered(caller: Caller, purpose: Purpose, document: str) -> dict[str, int]:
    """The calls that preview, query and the same query again have made."""
    before = await caller.calls()
    token, _ = await caller.consent(PERSON, ASKED_AS[purpose], purpose.value, document)
    for _ in range(2):
        body = await caller.as_party(ASKED_AS[purpose], document, {"consent": token})
        assert "errors" not in body
    return difference(before, await caller.calls())


@pytest.mark.parametrize("coordinate", [c for c in everything() if c != "Subject.recordMatch"])
async def test_a_question_calls_the_sources_it_declares_and_no_other(quick: Caller, coordinate: str) -> None:
    made = await asked_and_answered(quick, purpose_of(coordinate), request_for(coordinate))
    assert made == once(declared(coordinate))


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_record_match_calls_the_sources_of_its_purposes_own_rule(quick: Caller, purpose: Purpose) -> None:
    made = await asked_and_answered(quick, purpose, request_for("Subject.recordMatch"))
    assert made == once(MATCH_OVER[purpose])


async def test_everything_at_once_still_calls_each_source_once(quick: Caller) -> None:
    asked = [c for c in everything() if purpose_of(c) is Purpose.LENDING]
    applied = await applications(quick)
    made = await asked_and_answered(quick, Purpose.LENDING, request_for(*asked))
    assert made == once({"IMMIGRATION", "LABOR", "TAX", "INSURANCE"})
    assert await applications(quick) == applied + 1


async def test_a_wholly_refused_query_calls_none(quick: Caller) -> None:
    token, _ = await quick.consent(PERSON, "lender", "LENDING", request_for("Immigration.statusLawful"))
    before = await quick.calls()
    body = await quick.as_party("lender", request_for("Tax.residentTax", "Subject.lending"), {"consent": token})
    assert codes(body) == ["FIELD_NOT_CONSENTED"] * 2
    for document in (request_for("Tax.residentTax"), request_for("Immigration.statusLawful")):
        assert codes(await quick.as_party("lender", document, {"consent": "kct_unknown"})) == ["CONSENT_INVALID"]
    assert difference(before, await quick.calls()) == {}


async def test_a_partly_refused_query_calls_none_for_the_refused_part(quick: Caller) -> None:
    token, _ = await quick.consent(PERSON, "lender", "LENDING", request_for("Immigration.statusLawful"))
    before = await quick.calls()
    asked = request_for("Immigration.statusLawful", "Tax.residentTax", "Insurance.premiums24m")
    body = await quick.as_party("lender", asked, {"consent": token})
    assert body["data"]["subject"]["immigration"]["statusLawful"]["value"] is True
    assert difference(before, await quick.calls()) == {}, "the preview has just fetched what was put"


async def test_what_only_a_left_out_question_needs_is_not_fetched(tmp_path_factory: pytest.TempPathFactory) -> None:
    state = tmp_path_factory.mktemp("state")
    asked = request_for("Immigration.statusLawful", "Tax.residentTax", "Insurance.healthEnrolled")
    async with own_sandbox(settings_for(state)) as caller:
        token, _ = await caller.consent(
            PERSON, "lender", "LENDING", asked, leave_out=("Tax.residentTax", "Insurance.healthEnrolled")
        )
    async with own_sandbox(settings_for(state)) as caller:  # evidence is kept in memory: the restart has lost it
        before = await caller.calls()
        body = await caller.as_party("lender", asked, {"consent": token})
        made = difference(before, await caller.calls())
    assert "errors" not in body
    assert body["data"]["subject"]["tax"]["residentTax"]["state"] == "WITHHELD"
    assert body["data"]["subject"]["insurance"]["healthEnrolled"]["state"] == "WITHHELD"
    assert body["data"]["subject"]["immigration"]["statusLawful"]["value"] is True
    assert made == {"IMMIGRATION": 1}


async def test_another_grant_shares_nothing_with_the_first(quick: Caller) -> None:
    asked = request_for("Immigration.statusLawful")
    for _ in range(2):
        assert await asked_and_answered(quick, Purpose.LENDING, asked) == {"IMMIGRATION": 1}
