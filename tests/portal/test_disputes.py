"""My disputes: what is disputed is told to nobody from then on, in its person's own words, until they close it."""

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gateway.consent.dispute import MAX_STATEMENT
from resolvers.claim import ClaimState
from tests.conftest import Caller
from tests.gateway.sandboxes import codes
from tests.gateway.test_rates_and_costs import sandbox
from tests.portal.consenting import (
    GUARDIAN,
    HUONG,
    MINOR,
    STRANGER,
    UNKNOWN,
    alike,
    asks,
    granted,
    previewed,
    visited,
)
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.own_pages import close, disputed, open_production
from tests.portal.readable import readable
from tests.portal.stage import BORN, CSRF, open_stage

OWN = "{ me { disputes { id claim record statement closedAt outcome correctedBy } } }"
NEEDED = "You are under 18. A guardian has to decide this with you"
MARKUP = ["<script>alert(1)</script>", "{{1234*4321}}{% raise %}", '"><img src=x onerror=alert(1)>', "</textarea><b>"]


async def disputes_of(caller: Caller, person: str) -> dict[str, dict[str, str]]:
    """A person's disputes by their ids, by their own view."""
    body = await caller.as_person(person, OWN)
    return {one["id"]: one for one in body["data"]["me"]["disputes"]}


async def test_what_is_disputed_on_the_page_is_told_to_nobody_until_it_is_closed(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    token = await granted(visitor, f"/consents/{await previewed(caller)}/decide")

    async def employed() -> str:
        return str((await asks(caller, token))["data"]["subject"]["labor"]["employed"]["state"])

    assert await employed() == ClaimState.CONFIRMED
    dispute_id = await disputed(visitor, claim="Labor.employed")
    assert "Nobody is told it until you close the dispute." in visitor.page
    assert await employed() == ClaimState.WITHHELD
    await close(visitor, dispute_id)
    assert await employed() == ClaimState.CONFIRMED


async def test_a_dispute_is_listed_with_what_was_said_and_since_when(caller: Caller) -> None:
    visitor = await visited(caller, "P03")
    await disputed(visitor, "The second job is missing.\r\n二つ目の勤務先がありません。", claim="Tax.income")
    shown = readable((await visitor.get("/disputes")).text)
    opened = shown.partition("## Open")[2]
    assert "### In which band is the yearly income?" in opened
    assert "Disputed since\n" in opened
    assert "The second job is missing. 二つ目の勤務先がありません。" in opened
    assert "## Closed" not in shown
    assert "Those who ask see the same as if the question had been left out." in shown
    (one,) = (await disputes_of(caller, "P03")).values()
    assert one["statement"] == "The second job is missing.\n二つ目の勤務先がありません。"


@pytest.mark.parametrize(
    ("ended", "said", "outcome", "by"),
    [
        ("WITHDRAWN", "You took the dispute back.", "WITHDRAWN", None),
        ("UPHELD", "The source stands by its record.", "UPHELD", None),
        ("CORRECTED TAX", "The source corrected its record.", "CORRECTED", "TAX"),
    ],
)
async def test_a_dispute_is_closed_by_how_it_ended(
    caller: Caller, ended: str, said: str, outcome: str, by: str | None
) -> None:
    visitor = await visited(caller, "P04")
    dispute_id = await disputed(visitor, record="TAX")
    assert f'value="{ended}"' in visitor.page
    await close(visitor, dispute_id, ended)
    closed = readable((await visitor.get("/disputes?done=close")).text).partition("## Closed")[2]
    assert said in closed
    assert ("Corrected by\n    The municipality that levies resident tax" in closed.split("###")[1]) == (by == "TAX")
    one = (await disputes_of(caller, "P04"))[dispute_id]
    assert (one["outcome"], one["correctedBy"]) == (outcome, by)
    await visitor.get("/disputes")
    assert f"/disputes/{dispute_id}/close" not in visitor.page
    again = await visitor.post(f"/disputes/{dispute_id}/close", {"ended": ended})
    assert again.status_code in (403, 422), "there is no form any more, and it is not open"


@pytest.mark.parametrize(
    "ended", ["", "CORRECTED", "WITHDRAWN TAX", "CORRECTED NASA", "REJECTED", "UPHELD LABOR", "CORRECTED LABOR"]
)
async def test_a_dispute_does_not_end_in_any_other_way(caller: Caller, ended: str) -> None:
    visitor = await visited(caller, "P06")
    dispute_id = await disputed(visitor, record="TAX")
    refused = await visitor.post(f"/disputes/{dispute_id}/close", {"ended": ended})
    assert refused.status_code in (400, 422)
    assert (await disputes_of(caller, "P06"))[dispute_id]["closedAt"] is None
    await close(visitor, dispute_id)


async def test_a_stranger_neither_sees_nor_closes_anothers_dispute(caller: Caller) -> None:
    dispute_id = await disputed(await visited(caller, "P07"), "Between the two of us.", claim="Tax.income")
    stranger = await visited(caller, STRANGER)
    await disputed(stranger, claim="Tax.income")
    assert "Between the two of us." not in (await stranger.get("/disputes")).text
    answers = [await stranger.post(f"/disputes/{one}/close", {"ended": "WITHDRAWN"}) for one in (dispute_id, UNKNOWN)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert alike(answers[0].text, dispute_id) == alike(answers[1].text, UNKNOWN)
    assert (await disputes_of(caller, "P07"))[dispute_id]["closedAt"] is None
    for place in ("/disputes?for=P07", "/disputes/new?claim=Tax.income&for=P07"):
        assert (await stranger.get(place)).status_code == 404


@pytest.mark.parametrize("statement", MARKUP)
async def test_markup_in_a_statement_is_shown_as_text(caller: Caller, statement: str) -> None:
    visitor = await visited(caller, "P08")
    dispute_id = await disputed(visitor, statement, claim="Labor.tenure")
    shown = readable(visitor.page)
    await visitor.get("/disputes/new?claim=Labor.tenure")
    too_long = await visitor.post("/disputes", {"claim": "Labor.tenure", "statement": statement * MAX_STATEMENT})
    assert too_long.status_code in (413, 422)
    again = await visitor.post("/disputes", {"claim": "Labor.tenure", "statement": f"{statement}\u202e"})
    for page in (visitor.page, again.text):
        for never in ("<script>alert", "<img", "5332114", "<b>"):
            assert never not in page
    assert statement in shown
    assert (again.status_code, again.text.count("</textarea>")) == (422, 1)
    await visitor.get("/disputes")
    await close(visitor, dispute_id)


@pytest.mark.parametrize(
    "statement", ["", " \r\n ", "\u202eti deksa I", "a\x00b", "x" * (MAX_STATEMENT + 1)], ids=ascii
)
async def test_a_statement_that_cannot_stand_is_asked_for_again_and_nothing_is_opened(
    caller: Caller, statement: str
) -> None:
    visitor = await visited(caller, "P09")
    await visitor.get("/disputes/new?record=LABOR")
    refused = await visitor.post("/disputes", {"record": "LABOR", "statement": statement})
    assert refused.status_code == 422
    assert "Say what is wrong, in plain text and in at most 2,000 letters." in refused.text
    assert 'name="record" value="LABOR"' in refused.text
    assert await disputes_of(caller, "P09") == {}


@pytest.mark.parametrize("letter", ["語", "\U00020bb7"], ids=["three bytes", "four bytes"])
async def test_the_longest_statement_fits_in_any_letters(caller: Caller, letter: str) -> None:
    visitor = await visited(caller, "P10")
    dispute_id = await disputed(visitor, letter * MAX_STATEMENT, claim="Insurance.pensionEnrolled")
    assert (await disputes_of(caller, "P10"))[dispute_id]["statement"] == letter * MAX_STATEMENT
    await close(visitor, dispute_id)


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"claim": "Tax.incom"},
        {"record": "NASA"},
        {"claim": "TAX"},
        {"record": "Tax.income"},
        {"claim": "Tax.income", "record": "TAX"},
        {"claim": "Subject.tenancy"},
        {"claim": "<script>alert(1)</script>"},
    ],
    ids=str,
)
async def test_what_there_is_not_cannot_be_disputed(caller: Caller, about: dict[str, str]) -> None:
    visitor = await visited(caller, "P11")
    refused = await visitor.get(f"/disputes/new?{urlencode(about)}")
    await visitor.get("/disputes/new?claim=Tax.income")
    sent = await visitor.post("/disputes", {**about, "statement": "Wrong."})
    assert (refused.status_code, sent.status_code) == (404, 404)
    assert "<script>alert" not in refused.text + sent.text
    assert await disputes_of(caller, "P11") == {}


async def test_a_dispute_is_opened_and_closed_by_this_browsers_own_form_alone(caller: Caller) -> None:
    visitor = await visited(caller, "P12")
    dispute_id = await disputed(visitor, claim="Tax.income")
    foreign: list[dict[str, str]] = [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]
    about, ended = urlencode({"claim": "Tax.income", "statement": "Wrong."}), "ended=WITHDRAWN"
    for place, body in (("/disputes", about), (f"/disputes/{dispute_id}/close", ended)):
        for proof in ("", f"&csrf={'0' * 64}"):
            assert (await visitor.post_raw(place, body + proof)).status_code == 403
        await visitor.get("/disputes")
        own = CSRF.search(visitor.page)
        assert own is not None
        for headers in foreign:
            assert (await visitor.post_raw(place, f"{body}&csrf={own[1]}", headers)).status_code == 403
    (one,) = (await disputes_of(caller, "P12")).values()
    assert one["closedAt"] is None


async def test_the_line_about_what_was_done_is_one_of_ours(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    for done in ("open<b>", "Your+account+is+locked", "erase", ""):
        assert 'role="status"' not in (await visitor.get(f"/disputes?done={done}")).text


async def test_a_minor_disputes_alone_and_closes_with_a_guardian(caller: Caller) -> None:
    minor, guardian = await visited(caller, MINOR), await visited(caller, GUARDIAN)
    await minor.get("/disputes/new?claim=Immigration.adult")
    opened = await minor.post("/disputes", {"claim": "Immigration.adult", "statement": "Wrong."})
    assert opened.status_code == 303
    await minor.get("/disputes")
    (dispute_id,) = await disputes_of(caller, MINOR)
    assert NEEDED in minor.page
    assert f"/disputes/{dispute_id}/close" not in minor.page
    assert (await minor.post(f"/disputes/{dispute_id}/close", {"ended": "WITHDRAWN"})).status_code == 422
    mutation = "mutation($id: ID!) { closeDispute(dispute: $id, outcome: WITHDRAWN) { id } }"
    assert codes(await caller.as_person(MINOR, mutation, {"id": dispute_id})) == ["CONSENT_REQUEST_INVALID"]
    assert f'href="/disputes?for={MINOR}"' in (await guardian.get("/disputes")).text
    assert f"/disputes/{dispute_id}/close?for={MINOR}" in (await guardian.get(f"/disputes?for={MINOR}")).text
    done = await guardian.post(f"/disputes/{dispute_id}/close?for={MINOR}", {"ended": "WITHDRAWN"})
    assert done.headers["location"] == f"/disputes?for={MINOR}&done=close"

    await guardian.get(f"/disputes/new?record=TAX&for={MINOR}")
    opened = await guardian.post(f"/disputes?for={MINOR}", {"record": "TAX", "statement": "Wrong."})
    assert opened.headers["location"] == f"/disputes?for={MINOR}&done=open"
    assert len(await disputes_of(caller, f"{GUARDIAN} for {MINOR}")) == 2
    assert await disputes_of(caller, GUARDIAN) == {}


async def test_so_many_disputes_a_day_and_no_more_since_each_asks_the_sources_anew(tmp_path: Path) -> None:
    async with sandbox(tmp_path, limits={"disputes_per_day": 2}) as caller:
        visitor = await visited(caller, HUONG)
        for _ in range(2):
            await close(visitor, await disputed(visitor, claim="Tax.income"))
        await visitor.get("/disputes/new?claim=Tax.income")
        refused = await visitor.post("/disputes", {"claim": "Tax.income", "statement": "Wrong."})
        assert (refused.status_code, "RATE_LIMITED" in refused.text) == (429, True)
        assert re.search(r"Too many requests\. You can try again from \d+ \w+ \d+, \d\d:\d\d", refused.text)
        assert int(refused.headers["retry-after"]) > 0
        await disputed(await visited(caller, STRANGER), claim="Tax.income")


async def test_outside_the_sandbox_somebody_sees_what_is_held_disputes_it_and_closes_it(tmp_path: Path) -> None:
    async with open_production(tmp_path) as portal:
        visitor = portal.visitor()
        await visitor.enrol(await portal.code_for(HUONG), BORN[HUONG])
        page = (await visitor.get("/records")).text
        assert "242,000 yen" in page
        assert 'href="/disputes/new?claim=Labor.employed"' in page
        dispute_id = await disputed(visitor, "I left in May.", claim="Labor.employed")
        assert "You have disputed this." in (await visitor.get("/records")).text
        await visitor.get("/my-data")
        exported = (await visitor.post("/my-data/export", {})).json()
        assert [one["statement"] for one in exported["disputes"]] == ["I left in May."]
        await close(visitor, dispute_id, "CORRECTED LABOR")
        assert "The source corrected its record." in (await visitor.get("/disputes")).text
        assert "You have disputed this." not in (await visitor.get("/records")).text


async def test_outside_the_sandbox_silent_authorities_leave_the_page_up(tmp_path: Path) -> None:
    async with open_stage(tmp_path, sandbox=False) as portal:
        visitor = portal.visitor()
        await visitor.enrol(await portal.code_for(HUONG), BORN[HUONG])
        shown = await visitor.get("/records")
        assert (shown.status_code, shown.text.count("It did not answer. That is not a no")) == (200, 4)


async def test_what_is_disputed_already_is_not_disputed_twice(caller: Caller) -> None:
    visitor = await visited(caller, "P16")
    first = await disputed(visitor, record="TAX")
    await visitor.get("/disputes/new?record=TAX")
    again = await visitor.post("/disputes", {"record": "TAX", "statement": "Once more."})
    assert (again.status_code, again.headers["location"]) == (303, "/disputes?done=already")
    assert list(await disputes_of(caller, "P16")) == [first]
    await close(visitor, first)
    await disputed(visitor, record="TAX")
    assert len(await disputes_of(caller, "P16")) == 2
