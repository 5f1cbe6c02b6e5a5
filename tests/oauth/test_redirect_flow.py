"""The redirect flow over HTTP: pushed, seen and decided by the person, exchanged once, used, given back."""

import json
import re
from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.conftest import Caller
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for
from tests.oauth.party import OPENING, REDIRECT_URI, OAuthParty, led_back, registered
from tests.portal.stage import Visitor

TENANCY = """query($consent: ConsentToken!, $rent: Int!) { subject(consent: $consent) {
  tenancy(rentYenPerMonth: $rent) { outcome }
  labor { tenure { value state } tax: employerVerified { value state } } } }"""
RENT = {"rent": 62_000}


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="clock")
async def make_clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="caller")
async def make_caller(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state")), clock=clock) as caller:
        yield caller


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="party")
async def make_party(caller: Caller) -> OAuthParty:
    return await registered(caller)


async def visited(caller: Caller, person: str) -> Visitor:
    """A person's browser, signed in."""
    visitor = Visitor(caller.running.url, caller.http)
    await visitor.sign_in(person)
    return visitor


async def pushed(party: OAuthParty, details: str | None = None, **different: str) -> str:
    response = await party.push(details, **different)
    assert response.status_code == 201, response.text
    return str(response.json()["request_uri"])


async def opened(visitor: Visitor, party: OAuthParty, request_uri: str) -> str:
    """Where the consent screen is, once the browser has been led there."""
    asked = httpx.QueryParams(client_id=party.id, request_uri=request_uri)
    response = await visitor.get(f"/oauth/authorize?{asked}")
    assert response.status_code == 303, response.text
    place = response.headers["location"]
    screen = await visitor.get(place)
    assert screen.status_code == 200, screen.text
    return str(place)


async def decided(visitor: Visitor, place: str, decision: str, share: tuple[str, ...] = ()) -> dict[str, str]:
    fields = [("decision", decision), *(("share", question) for question in share)]
    response = await visitor.post(place, fields)
    assert response.status_code == 303, response.text
    return led_back(response.headers["location"])


async def consented(caller: Caller, party: OAuthParty, person: str = "P01", **push: Any) -> dict[str, Any]:
    """The whole flow: what the code exchange gave."""
    visitor = await visited(caller, person)
    place = await opened(visitor, party, await pushed(party, party.details(**push)))
    back = await decided(visitor, place, "grant")
    response = await party.exchange(back["code"])
    assert response.status_code == 200, response.text
    given: dict[str, Any] = response.json()
    return given


async def test_from_the_pushed_request_to_the_answer_and_back_again(caller: Caller, party: OAuthParty) -> None:
    visitor = await visited(caller, "P01")
    details = party.details(
        purpose="TENANCY",
        document=TENANCY,
        variables=RENT,
        optional=["Labor.tenure"],
        dataLife={"unit": "DAY", "value": 7},
    )
    place = await opened(visitor, party, await pushed(party, details))
    said = unescape(re.sub(r"<[^>]+>", " ", visitor.page))
    for words in ("Aozora Trust", "To rent out a home.", "a rent of 62,000 yen a month", "Give consent", "Decline"):
        assert words in said
    assert "Every rule that applies is met." in said, "the answer that it would give today"
    back = await decided(visitor, place, "grant", share=("Labor.employerVerified",))
    assert (back["state"], back["iss"]) == ("s1", caller.running.url)

    given = (await party.exchange(back["code"])).json()
    assert given["token_type"] == "DPoP"
    granted = given["authorization_details"][0]
    assert granted["questions"] == [
        "Subject.tenancy(rentYenPerMonth:62000)",
        "Labor.tenure",
        "Labor.employerVerified",
    ]
    assert (granted["dataLife"], granted["status"]) == ({"unit": "DAY", "value": 7}, "ACTIVE")
    token = given["access_token"]
    body = (await party.ask(token, TENANCY, RENT | {"consent": given["consent_token"]})).json()
    subject = body["data"]["subject"]
    assert subject["tenancy"]["outcome"] == "ELIGIBLE"
    assert subject["labor"]["tenure"] == {"value": None, "state": "WITHHELD"}, "what was left out"

    assert (await party.at_grant("GET", token, given["grant_id"])).json()["status"] == "ACTIVE"
    assert (await party.at_grant("DELETE", token, given["grant_id"])).status_code == 204
    assert (await party.at_grant("DELETE", token, given["grant_id"])).status_code == 204, "a second time is no error"
    assert (await party.at_grant("GET", token, given["grant_id"])).json()["status"] == "REVOKED"
    ended = (await party.ask(token, TENANCY, RENT | {"consent": given["consent_token"]})).json()
    assert codes(ended) == ["CONSENT_ENDED"]


async def test_who_declines_is_led_back_and_nothing_is_told(caller: Caller, party: OAuthParty) -> None:
    visitor = await visited(caller, "P02")
    place = await opened(visitor, party, await pushed(party))
    back = await decided(visitor, place, "decline")
    assert back == {"error": "access_denied", "iss": caller.running.url, "state": "s1"}
    assert (await visitor.get(place)).status_code == 422, "it has been decided"


@pytest.mark.parametrize("decision", ["grant", "decline"])
async def test_whoever_decides_later_among_their_consents_is_led_back_just_the_same(
    caller: Caller, party: OAuthParty, decision: str
) -> None:
    visitor = await visited(caller, "P01")
    await opened(visitor, party, await pushed(party))
    await visitor.get("/consents")
    found = re.search(r'href="(/consents/[0-9a-f-]+/decide)"', visitor.page)
    assert found, "it waits there"
    screen = await visitor.get(found[1])
    assert "https://bank.example" in screen.headers["content-security-policy"]
    back = await decided(visitor, found[1], decision)
    if decision == "grant":
        assert (await party.exchange(back["code"])).status_code == 200
    else:
        assert back["error"] == "access_denied"


async def test_a_code_works_once_and_a_second_use_ends_the_consent_on_record(
    caller: Caller, party: OAuthParty
) -> None:
    visitor = await visited(caller, "P01")
    place = await opened(visitor, party, await pushed(party))
    code = (await decided(visitor, place, "grant"))["code"]
    given = (await party.exchange(code)).json()
    assert (
        "errors" not in (await party.ask(given["access_token"], OPENING, {"consent": given["consent_token"]})).json()
    )
    asked = {"consent": given["consent_token"]}
    me = "{ me { grants { id status } accesses { kind } } }"
    before = (await caller.as_person("P01", me))["data"]["me"]["accesses"]
    again = await party.exchange(code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert codes((await party.ask(given["access_token"], OPENING, asked)).json()) == ["CONSENT_INVALID"]
    assert (await party.at_grant("GET", given["access_token"], given["grant_id"])).json()["status"] == "REVOKED"
    third = await party.exchange(code)
    assert third.json()["error"] == "invalid_grant", "a third time is no different"
    own = (await caller.as_person("P01", me))["data"]["me"]
    assert {"id": given["grant_id"], "status": "REVOKED"} in own["grants"], "nobody can use it, so it is not in force"
    since = [one["kind"] for one in own["accesses"][: len(own["accesses"]) - len(before)]]
    assert since.count("CONSENT_REVOKED") == 1


async def test_a_second_use_takes_the_token_and_ends_the_consent_together_or_not_at_all(
    caller: Caller, party: OAuthParty
) -> None:
    visitor = await visited(caller, "P01")
    place = await opened(visitor, party, await pushed(party))
    code = (await decided(visitor, place, "grant"))["code"]
    given = (await party.exchange(code)).json()
    asked = {"consent": given["consent_token"]}
    write = caller.running.gateway.stores.grants._writer.write
    no_ending = "CREATE TRIGGER fails BEFORE INSERT ON grant_event BEGIN SELECT RAISE(ABORT, 'disk'); END"
    await write(lambda connection: connection.execute(text(no_ending)))
    failed = await party.exchange(code)
    await write(lambda connection: connection.execute(text("DROP TRIGGER fails")))
    assert failed.status_code == 503
    assert codes((await party.ask(given["access_token"], OPENING, asked)).json()) == []
    assert (await party.at_grant("GET", given["access_token"], given["grant_id"])).json()["status"] == "ACTIVE"
    assert (await party.exchange(code)).status_code == 400
    assert codes((await party.ask(given["access_token"], OPENING, asked)).json()) == ["CONSENT_INVALID"]
    assert (await party.at_grant("GET", given["access_token"], given["grant_id"])).json()["status"] == "REVOKED"


@pytest.mark.parametrize(
    "wrong",
    [{"code_verifier": "x" * 43}, {"redirect_uri": REDIRECT_URI + "x"}, {"redirect_uri": ""}, {"code": "other"}],
)
async def test_a_code_is_worth_nothing_with_anything_wrong(
    caller: Caller, party: OAuthParty, wrong: dict[str, str]
) -> None:
    visitor = await visited(caller, "P01")
    place = await opened(visitor, party, await pushed(party))
    code = (await decided(visitor, place, "grant"))["code"]
    refused = await party.exchange(**({"code": code} | wrong))
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    assert (await party.exchange(code)).status_code == 200, "and it still works as it should"


async def test_a_code_is_worth_nothing_to_another_party_or_key(caller: Caller, party: OAuthParty) -> None:
    thief = await registered(caller, "thief", name={"en": "Kumo Bank", "ja": "雲銀行"}, sector="kumo")
    thief.verifier = party.verifier
    visitor = await visited(caller, "P01")
    place = await opened(visitor, party, await pushed(party))
    code = (await decided(visitor, place, "grant"))["code"]
    assert (await thief.exchange(code)).json()["error"] == "invalid_grant"
    kept, party.proof_key = party.proof_key, thief.proof_key
    assert (await party.exchange(code)).json()["error"] == "invalid_grant", "the code is bound to the pushing key"
    party.proof_key = kept
    assert (await party.exchange(code)).status_code == 200


async def test_a_code_is_worth_nothing_after_a_minute(caller: Caller, party: OAuthParty, clock: Clock) -> None:
    visitor = await visited(caller, "P01")
    place = await opened(visitor, party, await pushed(party))
    clock.pass_by(seconds=-61)  # so that it was made a minute ago, and the party's own clock is right
    code = (await decided(visitor, place, "grant"))["code"]
    clock.pass_by(seconds=61)
    assert (await party.exchange(code)).json()["error"] == "invalid_grant"


async def test_a_pushed_request_is_for_its_party_for_five_minutes_and_for_whoever_opens_it_first(
    caller: Caller, party: OAuthParty, clock: Clock
) -> None:
    request_uri = await pushed(party)
    visitor, other = await visited(caller, "P01"), await visited(caller, "P02")
    for party_id, uri in (("bank", request_uri), (party.id, request_uri + "x"), (party.id, ""), ("", request_uri)):
        asked = httpx.QueryParams(client_id=party_id, request_uri=uri)
        response = await visitor.get(f"/oauth/authorize?{asked}")
        assert response.status_code == 422, "and nobody is led anywhere"
    place = await opened(visitor, party, request_uri)
    assert (await visitor.get(place)).status_code == 200, "the same person may reload it"
    assert (await other.get(place)).status_code == 422
    await other.get("/consents")
    assert (await other.post(place, {"decision": "grant"})).status_code == 422
    late = await pushed(party)
    clock.pass_by(minutes=5)
    asked = httpx.QueryParams(client_id=party.id, request_uri=late)
    assert (await visitor.get(f"/oauth/authorize?{asked}")).status_code == 422
    clock.pass_by(minutes=-5)


async def test_another_partys_grant_looks_like_none(caller: Caller, party: OAuthParty) -> None:
    given = await consented(caller, party)
    other = await registered(caller, "nosy", name={"en": "Mori Homes", "ja": "森ホームズ"}, sector="mori")
    token = await other.access_token()
    for method in ("GET", "DELETE"):
        answers = [await other.at_grant(method, token, grant_id) for grant_id in (given["grant_id"], "none")]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content
    assert (await party.at_grant("GET", given["access_token"], given["grant_id"])).json()["status"] == "ACTIVE"


async def test_a_token_without_the_scope_manages_no_grant(caller: Caller, party: OAuthParty) -> None:
    given = await consented(caller, party)
    token = await party.access_token(scope="grant_management_query")
    assert (await party.at_grant("GET", token, given["grant_id"])).status_code == 200
    refused = await party.at_grant("DELETE", token, given["grant_id"])
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")


async def test_a_consent_is_given_back_by_its_token_and_nobody_elses_is(caller: Caller, party: OAuthParty) -> None:
    given = await consented(caller, party)
    other = await registered(caller, "returner", name={"en": "Taki Homes", "ja": "滝ホームズ"}, sector="taki")
    assert (await other.post("/oauth/revoke", {"token": given["consent_token"]})).status_code == 200
    asked = {"consent": given["consent_token"]}
    assert "errors" not in (await party.ask(given["access_token"], OPENING, asked)).json()
    assert (await party.post("/oauth/revoke", {"token": given["consent_token"]})).status_code == 200
    assert codes((await party.ask(given["access_token"], OPENING, asked)).json()) == ["CONSENT_ENDED"]
    refused = await party.post("/oauth/revoke", {"token": given["access_token"]})
    assert refused.json()["error"] == "unsupported_token_type"


async def test_the_budget_is_charged_when_the_person_opens_the_request(caller: Caller, party: OAuthParty) -> None:
    meets = "tax {{ incomeMeets(yearlyYen: {}) {{ value }} }}"
    document = "query($consent: ConsentToken!) {{ subject(consent: $consent) {{ " + meets + " }} }}"
    for number in range(1, 6):
        visitor = await visited(caller, "P10")
        details = party.details(purpose="LENDING", document=document.format(120_000 * number))
        asked = httpx.QueryParams(client_id=party.id, request_uri=await pushed(party, details))
        place = (await visitor.get(f"/oauth/authorize?{asked}")).headers["location"]
        response = await visitor.get(place)
        assert response.status_code == (200 if number <= 4 else 422)
    assert "PROBE_BUDGET_EXCEEDED" in response.text


async def test_the_sandbox_keys_and_the_oauth_client_never_pass_for_each_other(
    caller: Caller, party: OAuthParty
) -> None:
    given = await consented(caller, party)
    body = await caller.as_party("bank", OPENING, {"consent": given["consent_token"]})
    assert codes(body) == ["CONSENT_INVALID"]
    assert json.dumps(given).count(party.id) == 0, "nothing in it says who it is for"
