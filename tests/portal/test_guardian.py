"""What a minor may do alone, and until which day somebody is a ward. Source: Civil Code art. 4, 5 and 818."""

from datetime import date
from pathlib import Path

import pytest

from gateway.portal.consents import ACTIONS
from tests.conftest import Caller
from tests.gateway.sandboxes import codes, own_sandbox, settings_for
from tests.portal.consenting import GUARDIAN, MINOR, asks, granted, previewed, shown_grant, visited
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock

LESSENING = ("revoke", "pause", "reject")
"""What anybody may do alone: after it less is told than before."""
WIDENING = [*(action for action in ACTIONS if action not in LESSENING), "share-code"]
BEFORE, BIRTHDAY = date(2027, 6, 2), date(2027, 6, 3)
NEEDED = "You are under 18. A guardian has to decide this with you"


async def consented(caller: Caller) -> tuple[str, str]:
    """A consent that the guardian gave for the minor: its id and its token."""
    grant_id = await previewed(caller, person=MINOR)
    guardian = await visited(caller, GUARDIAN)
    return grant_id, await granted(guardian, f"/consents/{grant_id}/decide?for={MINOR}")


@pytest.mark.parametrize("action", WIDENING)
async def test_a_minor_alone_does_not_let_more_be_told(caller: Caller, action: str) -> None:
    grant_id, token = await consented(caller)
    minor = await visited(caller, MINOR)
    await minor.get(f"/consents/{grant_id}")
    await minor.post(f"/consents/{grant_id}/pause", {})
    refused = await minor.post(f"/consents/{grant_id}/{action}", {})
    assert (refused.status_code, "CONSENT_REQUEST_INVALID" in refused.text) == (422, True)
    assert (await shown_grant(caller, MINOR, grant_id))["status"] == "PAUSED"
    assert codes(await asks(caller, token, person=MINOR)) == ["CONSENT_PAUSED"]


BY_GRAPHQL = {
    "grant": "grantConsent(preview: $id) { grant { id } }",
    "resume": "resumeConsent(grant: $id) { id }",
    "renew": "renewConsent(grant: $id) { id }",
    "share-code": "createShareCode(grant: $id) { code }",
}


@pytest.mark.parametrize("action", BY_GRAPHQL)
async def test_over_graphql_too_a_minor_alone_lets_nothing_more_be_told(caller: Caller, action: str) -> None:
    grant_id, status = await previewed(caller, person=MINOR), "PENDING"
    if action != "grant":
        grant_id, _ = await consented(caller)
        status = "ACTIVE"
    if action == "resume":
        await caller.as_person(MINOR, "mutation($id: ID!) { pauseConsent(grant: $id) { id } }", {"id": grant_id})
        status = "PAUSED"
    mutation = f"mutation($id: ID!) {{ {BY_GRAPHQL[action]} }}"
    assert codes(await caller.as_person(MINOR, mutation, {"id": grant_id})) == ["CONSENT_REQUEST_INVALID"]
    assert (await shown_grant(caller, MINOR, grant_id))["status"] == status
    assert codes(await caller.as_person(f"{GUARDIAN} for {MINOR}", mutation, {"id": grant_id})) == []


async def test_a_minor_of_the_sandbox_without_a_guardian_stands_for_both_over_graphql_but_not_on_pages(
    tmp_path: Path,
) -> None:
    """People of a sandbox are given without guardians, and what follows for a minor has to be seen."""
    async with own_sandbox(settings_for(tmp_path)) as caller:
        await caller.running.gateway.stores.guardians.record(
            minor_id="P01", guardian_id=GUARDIAN, now=caller.running.gateway.now()
        )
        grant_id = await previewed(caller, person=MINOR)
        minor = await visited(caller, MINOR)
        await minor.get(f"/consents/{grant_id}/decide")
        assert NEEDED in minor.page
        mutation = f"mutation($id: ID!) {{ {BY_GRAPHQL['grant']} }}"
        assert codes(await caller.as_person(MINOR, mutation, {"id": grant_id})) == []
        assert (await shown_grant(caller, MINOR, grant_id))["status"] == "ACTIVE"


async def test_a_consents_page_offers_a_minor_what_they_may_do_and_the_guardian_the_rest(caller: Caller) -> None:
    grant_id, _ = await consented(caller)
    minor, guardian = await visited(caller, MINOR), await visited(caller, GUARDIAN)
    for pause in (False, True):
        if pause:
            await minor.post(f"/consents/{grant_id}/pause", {})
        own = (await minor.get(f"/consents/{grant_id}")).text
        assert NEEDED in own
        assert not [action for action in WIDENING if f'/consents/{grant_id}/{action}"' in own]
        assert f'/consents/{grant_id}/revoke"' in own
        offered = (await guardian.get(f"/consents/{grant_id}?for={MINOR}")).text
        assert NEEDED not in offered
        assert f"/consents/{grant_id}/renew?for={MINOR}" in offered
        assert f"/consents/{grant_id}/{'resume' if pause else 'share-code'}?for={MINOR}" in offered


async def test_a_guardian_resumes_renews_and_hands_over_for_the_minor(caller: Caller) -> None:
    grant_id, token = await consented(caller)
    guardian = await visited(caller, GUARDIAN)
    await guardian.get(f"/consents/{grant_id}?for={MINOR}")
    for action in ("pause", "resume", "renew"):
        done = await guardian.post(f"/consents/{grant_id}/{action}?for={MINOR}", {})
        assert done.headers["location"] == f"/consents?for={MINOR}&done={action}"
    assert (await guardian.post(f"/consents/{grant_id}/share-code?for={MINOR}", {})).status_code == 200
    assert codes(await asks(caller, token, person=MINOR)) == []


async def test_a_guardian_lets_nothing_be_told_of_a_ward_under_their_own_name(caller: Caller) -> None:
    """The ward's consent is none of the guardian's own."""
    grant_id, _ = await consented(caller)
    guardian = await visited(caller, GUARDIAN)
    await guardian.get("/consents")
    for ending in ("", f"?for={GUARDIAN}", "?for="):
        assert (await guardian.get(f"/consents/{grant_id}{ending}")).status_code == 404
        assert (await guardian.post(f"/consents/{grant_id}/revoke{ending}", {})).status_code == 404
    assert (await shown_grant(caller, MINOR, grant_id))["status"] == "ACTIVE"


@pytest.mark.parametrize("day", [BEFORE, BIRTHDAY])
async def test_from_their_eighteenth_birthday_they_decide_alone(tmp_path: Path, day: date) -> None:
    is_minor = day == BEFORE
    async with own_sandbox(settings_for(tmp_path / "state"), day=day) as caller:
        gateway = caller.running.gateway
        await gateway.stores.guardians.record(minor_id=MINOR, guardian_id=GUARDIAN, now=gateway.now())
        guardian, ward = await visited(caller, GUARDIAN), await visited(caller, MINOR)
        grant_id = await previewed(caller, person=MINOR)
        place = f"/consents/{grant_id}/decide"
        await guardian.get("/consents")
        assert (f"for={MINOR}" in guardian.page) == is_minor
        assert (await guardian.get(f"{place}?for={MINOR}")).status_code == (200 if is_minor else 404)
        acting = await caller.post(f"Person {GUARDIAN} for {MINOR}", "{ me { id } }")
        assert acting.status_code == (200 if is_minor else 401), "nor by GraphQL in the sandbox"
        await ward.get(place)
        assert (NEEDED in ward.page) == is_minor
        assert ('value="grant"' in ward.page) != is_minor
        forged = await guardian.post(f"{place}?for={MINOR}", {"decision": "decline"})
        assert forged.status_code == (303 if is_minor else 404)
        if not is_minor:
            await granted(ward, place)
            assert (await shown_grant(caller, MINOR, grant_id))["guardian"] is None
