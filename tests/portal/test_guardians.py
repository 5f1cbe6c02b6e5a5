"""A guardian decides for a minor, under both names; a minor alone does not, and nobody else can."""

import httpx
import pytest

from tests.conftest import Caller
from tests.gateway.sandboxes import Clock, codes
from tests.oauth.party import OPENING, led_back, registered
from tests.portal.consenting import (
    GUARDIAN,
    MINOR,
    STRANGER,
    alike,
    asks,
    granted,
    previewed,
    requested,
    shown_grant,
    ticked,
    visited,
)
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock

GUARDIAN_NAME, MINOR_NAME = "SANTOS MARIA LOURDES", "REYES ANGELA MAE"
BOTH = f"{GUARDIAN_NAME}, guardian of {MINOR_NAME}"


async def test_a_guardian_is_asked_for_whom_and_both_names_stand_on_the_consent(caller: Caller) -> None:
    guardian = await visited(caller, GUARDIAN)
    request_id = await requested(caller, person=MINOR)
    choice = await guardian.get(f"/requests/{request_id}")
    assert f"For myself: {GUARDIAN_NAME}" in choice.text
    assert f"As guardian for {MINOR_NAME}" in choice.text
    led = await guardian.get(f"/requests/{request_id}?for={MINOR}")
    place = led.headers["location"]
    assert place.endswith(f"/decide?for={MINOR}")
    token = await granted(guardian, place)
    assert BOTH in guardian.page
    assert (await asks(caller, token, person=MINOR))["data"]["subject"]["tenancy"]["outcome"]

    grant_id = place.split("/")[2]
    assert (await shown_grant(caller, MINOR, grant_id))["guardian"] == GUARDIAN_NAME
    for page in (f"/consents?for={MINOR}", f"/consents/{grant_id}?for={MINOR}"):
        assert BOTH in (await guardian.get(page)).text
    exported = await caller.as_person(MINOR, "{ me { export } }")
    (record,) = [one for one in exported["data"]["me"]["export"]["consent_records"] if one["record_id"] == grant_id]
    (given,) = [event for event in record["events"] if event["event_type"] == "given"]
    assert given["entity_id"] == f"{GUARDIAN_NAME}, guardian"
    minor = await visited(caller, MINOR)
    assert BOTH in (await minor.get(f"/consents/{grant_id}")).text


async def test_a_guardian_decides_about_a_request_that_came_by_redirect(caller: Caller) -> None:
    party = await registered(caller)
    pushed = (await party.push()).json()["request_uri"]
    guardian = await visited(caller, GUARDIAN)
    query = httpx.QueryParams(client_id=party.id, request_uri=pushed)
    place = (await guardian.get(f"/oauth/authorize?{query}")).headers["location"]
    assert f'href="{place}?for={MINOR}"' in (await guardian.get(place)).text
    await guardian.get(f"{place}?for={MINOR}")
    assert f"You, {GUARDIAN_NAME}, decide for {MINOR_NAME}." in guardian.page
    minor = await visited(caller, MINOR)
    await minor.get("/consents")
    assert (await minor.post(place, {"decision": "grant"})).status_code == 422
    done = await guardian.post(f"{place}?for={MINOR}", {"decision": "grant"})
    given = (await party.exchange(led_back(done.headers["location"])["code"])).json()
    assert (await shown_grant(caller, MINOR, given["grant_id"]))["guardian"] == GUARDIAN_NAME
    body = await party.ask(given["access_token"], OPENING, {"consent": given["consent_token"]})
    assert body.json()["data"]["subject"]["accountOpening"]["outcome"]


async def test_a_minor_alone_can_decline_and_take_back_but_not_give(caller: Caller) -> None:
    minor = await visited(caller, MINOR)
    grant_id = await previewed(caller, person=MINOR)
    place = f"/consents/{grant_id}/decide"
    await minor.get(place)
    assert "You are under 18. A guardian has to decide this with you" in minor.page
    assert 'value="grant"' not in minor.page
    fields = [("decision", "grant"), *(("share", question) for question in ticked(minor.page))]
    assert (await minor.post(place, fields)).status_code == 422
    assert (await shown_grant(caller, MINOR, grant_id))["status"] == "PENDING"
    assert (await minor.post(place, {"decision": "decline"})).status_code == 303

    guardian = await visited(caller, GUARDIAN)
    given = await previewed(caller, person=MINOR)
    token = await granted(guardian, f"/consents/{given}/decide?for={MINOR}")
    await minor.get(f"/consents/{given}")
    assert (await minor.post(f"/consents/{given}/revoke", {})).status_code == 303
    assert codes(await asks(caller, token, person=MINOR)) == ["CONSENT_ENDED"]


async def test_a_guardian_takes_back_and_sees_who_has_asked(caller: Caller) -> None:
    guardian = await visited(caller, GUARDIAN)
    grant_id = await previewed(caller, person=MINOR)
    token = await granted(guardian, f"/consents/{grant_id}/decide?for={MINOR}")
    assert f'href="/consents?for={MINOR}"' in (await guardian.get("/consents")).text
    assert f'href="/accesses?for={MINOR}"' in (await guardian.get("/accesses")).text
    assert f"Who has asked about {MINOR_NAME}" in (await guardian.get(f"/accesses?for={MINOR}")).text
    await guardian.get(f"/consents/{grant_id}?for={MINOR}")
    done = await guardian.post(f"/consents/{grant_id}/revoke?for={MINOR}", {})
    assert done.headers["location"] == f"/consents?for={MINOR}&done=revoke"
    assert codes(await asks(caller, token, person=MINOR)) == ["CONSENT_ENDED"]


async def test_a_guardian_still_decides_for_themself_under_their_own_name(caller: Caller) -> None:
    guardian = await visited(caller, GUARDIAN)
    grant_id = await previewed(caller, person=GUARDIAN)
    assert await granted(guardian, f"/consents/{grant_id}/decide")
    assert (await shown_grant(caller, GUARDIAN, grant_id))["guardian"] is None


@pytest.mark.parametrize("place", ["/consents", "/consents/{}", "/consents/{}/decide", "/accesses"])
async def test_a_stranger_is_no_guardian(caller: Caller, place: str) -> None:
    grant_id = await previewed(caller, person=MINOR)
    stranger = await visited(caller, STRANGER)
    answers = [await stranger.get(f"{place.format(grant_id)}?for={one}") for one in (MINOR, "P99")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert alike(answers[0].text, f"for={MINOR}", f"for%3D{MINOR}") == alike(answers[1].text, "for=P99", "for%3DP99")
    await stranger.get("/sign-in")
    forged = await stranger.post(f"/consents/{grant_id}/decide?for={MINOR}", {"decision": "grant"})
    assert forged.status_code == 404
    assert (await shown_grant(caller, MINOR, grant_id))["status"] == "PENDING"


async def test_in_the_sandbox_a_guardian_acts_by_the_header_and_nobody_else_does(caller: Caller) -> None:
    body = (await caller.post(f"Person {GUARDIAN} for {MINOR}", "{ me { id name } }")).json()
    assert body["data"]["me"] == {"id": MINOR, "name": MINOR_NAME}
    for other in (
        f"Person {STRANGER} for {MINOR}",
        f"Person {GUARDIAN} for {STRANGER}",
        f"Person {GUARDIAN} for P99",
    ):
        refused = await caller.post(other, "{ me { id } }")
        assert (refused.status_code, codes(refused.json())) == (401, ["TOKEN_INVALID"])


async def test_whoever_is_of_age_decides_alone(caller: Caller) -> None:
    gateway = caller.running.gateway  # the counter would refuse: this was recorded while they were a minor
    await gateway.stores.guardians.record(minor_id=STRANGER, guardian_id="P09", now=gateway.now())
    once = await visited(caller, "P09")
    assert (await once.get(f"/consents?for={STRANGER}")).status_code == 404
    assert f"for={STRANGER}" not in (await once.get("/consents")).text


async def test_a_guardianship_that_has_ended_decides_nothing_more(caller: Caller, clock: Clock) -> None:
    act = caller.running.gateway.operator.act
    await act("person guardian", {"minor_id": MINOR, "guardian_id": "P10"})
    other = await visited(caller, "P10")
    grant_id = await previewed(caller, person=MINOR)
    assert (await other.get(f"/consents/{grant_id}/decide?for={MINOR}")).status_code == 200
    await act("person guardian", {"minor_id": MINOR, "guardian_id": "P10", "ended": True})
    done = await other.post(f"/consents/{grant_id}/decide?for={MINOR}", {"decision": "grant"})
    assert done.status_code == 404
    assert (await shown_grant(caller, MINOR, grant_id))["status"] == "PENDING"
