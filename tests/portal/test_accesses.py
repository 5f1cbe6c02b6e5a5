"""Who has asked, page by page: it stays with its person, and what people write themselves is not on it."""

import re

import pytest

from tests.conftest import Caller
from tests.gateway.sandboxes import codes
from tests.portal.consenting import GUARDIAN, HUONG, MINOR, granted, previewed, visited
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.readable import readable

DISPUTE = """mutation($said: String!) {
  openDispute(claim: "Tax.incomeBasis", statement: $said) { id statement } }"""
CLOSE = "mutation($id: ID!) { closeDispute(dispute: $id, outcome: WITHDRAWN) { id } }"
STATEMENTS = ["<script>alert(1)</script>", "{{1234*4321}}{% raise %}", '"><img src=x onerror=alert(1)>', "a\n\tb;--"]
UNPRINTABLE = ["\u202eti deksa I", "a\x00b", "\u2066a", "\x1b[2K"]


@pytest.mark.parametrize("statement", STATEMENTS)
async def test_the_words_of_a_dispute_stay_off_the_page(caller: Caller, statement: str) -> None:
    opened = (await caller.as_person("P09", DISPUTE, {"said": statement}))["data"]["openDispute"]
    assert opened["statement"] == statement
    closed = await caller.as_person("P09", CLOSE, {"id": opened["id"]})
    assert codes(closed) == []
    page = (await (await visited(caller, "P09")).get("/accesses")).text
    assert "You disputed a claim or a record." in page
    assert "You took the dispute back." in page
    for never in ("alert(1)", "5332114", "1234*4321", "<img", "b;--"):
        assert never not in page


async def test_a_page_says_you_to_whom_it_is_about_and_not_to_a_guardian(caller: Caller) -> None:
    """What was done for a minor may have been the guardian's doing."""
    visitor, guardian = await visited(caller, HUONG), await visited(caller, GUARDIAN)
    await granted(visitor, f"/consents/{await previewed(caller)}/decide")
    own = [readable((await visitor.get(place)).text) for place in ("/accesses", "/consents")]
    assert "You granted it." in own[0]
    assert not [page for page in own if re.search("[Tt]he person", page)]
    await granted(guardian, f"/consents/{await previewed(caller, person=MINOR)}/decide?for={MINOR}")
    assert "The person granted it." in (await guardian.get(f"/accesses?for={MINOR}")).text
    minor = await visited(caller, MINOR)
    assert "The person granted it." in (await minor.get("/accesses")).text


@pytest.mark.parametrize("statement", UNPRINTABLE, ids=ascii)
async def test_a_dispute_that_could_not_be_read_as_written_is_refused(caller: Caller, statement: str) -> None:
    assert codes(await caller.as_person("P10", DISPUTE, {"said": statement})) == ["CONSENT_REQUEST_INVALID"]
    assert "disputed" not in (await (await visited(caller, "P10")).get("/accesses")).text


async def test_older_pages_of_a_ward_stay_the_wards(caller: Caller) -> None:
    for _ in range(51):
        await previewed(caller, person=MINOR)
    guardian = await visited(caller, GUARDIAN)
    newest = (await guardian.get(f"/accesses?for={MINOR}")).text
    (older,) = re.findall(r'<a href="([^"]*)">Older</a>', newest)
    oldest = (await guardian.get(older.replace("&amp;", "&"))).text
    assert "Who has asked about REYES ANGELA MAE" in oldest
    assert oldest.count('class="card"') >= 1
    (newer,) = re.findall(r'<a href="([^"]*)">Newer</a>', oldest)
    assert newer.replace("&amp;", "&") == f"/accesses?page=1&for={MINOR}"
