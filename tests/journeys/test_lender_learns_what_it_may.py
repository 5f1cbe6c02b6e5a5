"""A lender is answered, and what only the person may know stays with the person."""

import json
from typing import Any

from gateway.asking import example_variables, read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller

LENDING = read_example(Purpose.LENDING)
MORTGAGE = {"product": "MORTGAGE", "amountYen": 30_000_000, "termMonths": 420}


def rule(decision: dict[str, Any], rule_id: str) -> dict[str, Any]:
    (found,) = [rule for rule in decision["rules"] if rule["id"] == rule_id]
    return dict(found)


async def lend(caller: Caller, person: str, variables: dict[str, Any]) -> dict[str, Any]:
    token, _ = await caller.consent(person, "lender", "LENDING", LENDING, variables)
    body = await caller.as_party("lender", LENDING, {**variables, "consent": token})
    assert "errors" not in body
    return body


def asks(caller: Caller, person: str) -> dict[str, Any]:
    return example_variables(Purpose.LENDING, caller.running.people.asks[person], person_id=person)


async def test_a_lender_is_told_that_more_is_needed_and_not_why(caller: Caller) -> None:
    body = await lend(caller, "P21", asks(caller, "P21"))
    decision = body["data"]["subject"]["lending"]
    told = rule(decision, "LD-08")
    assert (decision["outcome"], told["result"]) == ("NOT_ELIGIBLE_NOW", "EVIDENCE")
    assert told["explanation"] == {"en": "Additional confirmation is needed.", "ja": "追加確認が必要です。"}
    text = json.dumps(body, ensure_ascii=False)
    for kept in ("not yet covered", "当該就労が確認できません", "trace", "person", "held", "reason"):
        assert kept not in text, kept


async def test_the_person_is_told_why_the_lender_asks_for_more(caller: Caller) -> None:
    query = """
        mutation($document: String!, $variables: JSON) {
          previewConsent(document: $document, variables: $variables, relyingParty: "lender", purpose: LENDING) {
            questions { decision { rules { id result explanation { en } trace { condition held } } } } } }
    """
    body = await caller.as_person("P21", query, {"document": LENDING, "variables": asks(caller, "P21")})
    (decision,) = [q["decision"] for q in body["data"]["previewConsent"]["questions"] if q["decision"]]
    own = rule(decision, "LD-08")
    assert own["explanation"]["en"] == "The job is not yet covered by the present permission."
    assert [step["held"] for step in own["trace"]][-1] is not None


async def test_a_permanent_resident_is_eligible_for_a_mortgage(caller: Caller) -> None:
    decision = (await lend(caller, "P10", MORTGAGE))["data"]["subject"]["lending"]
    assert decision["outcome"] == "ELIGIBLE"
    assert rule(decision, "LD-05")["result"] == "NOT_APPLICABLE", "the debt service ratio is the lender's own"


async def test_a_short_stay_ends_a_mortgage_but_only_conditions_a_consumer_loan(caller: Caller) -> None:
    consumer = (await lend(caller, "P01", asks(caller, "P01")))["data"]["subject"]["lending"]
    mortgage = (await lend(caller, "P01", MORTGAGE))["data"]["subject"]["lending"]
    assert rule(consumer, "LD-02")["result"] == "CONDITION"
    assert rule(mortgage, "LD-02")["result"] == "FAIL"
    assert rule(mortgage, "LD-02")["cures"]


async def test_premiums_that_the_employer_paid_late_are_not_held_against_the_person(caller: Caller) -> None:
    body = await lend(caller, "P05", asks(caller, "P05"))
    assert body["data"]["subject"]["insurance"]["premiums24m"]["value"] == "ALL_PAID_SOME_LATE"
    assert rule(body["data"]["subject"]["lending"], "LD-07")["result"] == "PASS"


async def test_a_bank_that_lends_learns_no_exact_day_of_the_stays_end(caller: Caller) -> None:
    decision = (await lend(caller, "P02", asks(caller, "P02")))["data"]["subject"]["lending"]
    assert decision["recheckOn"] in (None, "2026-11-30", "2026-12-31")
    for person in ("P01", "P06", "P20"):
        body = await lend(caller, person, asks(caller, person))
        recheck_on = body["data"]["subject"]["lending"]["recheckOn"]
        assert recheck_on is None or recheck_on[5:] in {
            "01-31", "02-28", "02-29", "03-31", "04-30", "05-31", "06-30",
            "07-31", "08-31", "09-30", "10-31", "11-30", "12-31",
        }  # fmt: skip
