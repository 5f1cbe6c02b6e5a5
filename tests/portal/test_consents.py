"""A change to a consent comes from a page of ours, from a consent that allows it, and from nowhere else."""

import pytest

from tests.conftest import Caller
from tests.gateway.sandboxes import codes
from tests.portal.consenting import HUONG, asks, granted, previewed, shown_grant, visited
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock

CHANGES = ["revoke", "pause", "resume", "renew", "reject", "share-code"]
FOREIGN = [{"origin": "null"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_another_site_changes_nothing_even_with_the_proof(caller: Caller, headers: dict[str, str]) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    token = await granted(visitor, f"/consents/{grant_id}/decide")
    for action in CHANGES:
        await visitor.get(f"/consents/{grant_id}")
        refused = await visitor.post(f"/consents/{grant_id}/{action}", {}, headers)
        assert (refused.status_code, "CSRF_FAILED" in refused.text) == (403, True)
    assert codes(await asks(caller, token)) == []


@pytest.mark.parametrize("action", CHANGES)
async def test_what_has_ended_stays_ended(caller: Caller, action: str) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    token = await granted(visitor, f"/consents/{grant_id}/decide")
    await visitor.get(f"/consents/{grant_id}")
    await visitor.post(f"/consents/{grant_id}/revoke", {})
    again = await visitor.post(f"/consents/{grant_id}/{action}", {})
    assert again.status_code == (303 if action == "revoke" else 422), "to take it back twice is no error"
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "REVOKED"
    assert codes(await asks(caller, token)) == ["CONSENT_ENDED"]


@pytest.mark.parametrize("action", ["pause", "resume", "renew", "share-code"])
async def test_what_is_not_decided_can_only_be_decided(caller: Caller, action: str) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    await visitor.get("/consents")
    assert (await visitor.post(f"/consents/{grant_id}/{action}", {})).status_code == 422
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"


async def test_no_code_is_made_for_a_consent_that_is_paused(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    await granted(visitor, f"/consents/{grant_id}/decide")
    await visitor.get(f"/consents/{grant_id}")
    await visitor.post(f"/consents/{grant_id}/pause", {})
    assert "/share-code" not in (await visitor.get(f"/consents/{grant_id}")).text
    assert (await visitor.post(f"/consents/{grant_id}/share-code", {})).status_code == 422
