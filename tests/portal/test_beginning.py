"""Begin a consent: a person sees what they show unasked first, and it is told to whom they choose and nobody else."""

from pathlib import Path

import pytest

from gateway.portal.language import LANGUAGES
from resolvers.catalogue import DECISIONS, Purpose
from tests.conftest import Caller
from tests.gateway.sandboxes import codes, own_sandbox, settings_for
from tests.gateway.test_rates_and_costs import sandbox
from tests.portal.consenting import (
    CONSENT_TOKEN,
    GUARDIAN,
    HUONG,
    MINOR,
    SHARE_CODE,
    asks,
    granted,
    shown_grant,
    staff,
    visited,
)
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.readable import readable
from tests.portal.stage import Visitor

BORN = "1997-05-21"
RENT = {"rentYenPerMonth": "62,000"}
LOAN = {"product": "CONSUMER", "amountYen": "５００，０００", "termMonths": "24"}


async def begun(visitor: Visitor, purpose: str, *, ward: str = "", **typed: str) -> str:
    """The screen that a form leads to."""
    ending = f"?for={ward}" if ward else ""
    form = await visitor.get(f"/consents/new?purpose={purpose}{ending.replace('?', '&')}")
    assert form.status_code == 200
    led = await visitor.post(f"/consents/new{ending}", {"purpose": purpose, "to": "", **typed})
    assert led.status_code == 303, readable(led.text)
    return led.headers["location"]


async def test_whoever_was_sent_no_link_hands_a_landlord_a_share_code_all_by_pages(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    assert 'href="/consents/new"' in (await visitor.get("/consents")).text
    assert 'href="/consents/new?purpose=TENANCY"' in (await visitor.get("/consents/new")).text
    screen = await begun(visitor, "TENANCY", **RENT)
    page = readable((await visitor.get(screen)).text)
    assert "a rent of 62,000 yen a month" in page
    assert "Every rule that applies is met." in page, "the person sees the answer first"
    assert await granted(visitor, screen) == "", "there is no token without somebody to give it to"
    own = screen.removesuffix("/decide")
    await visitor.get(own)
    code = SHARE_CODE.search((await visitor.post(f"{own}/share-code", {})).text)
    assert code is not None
    landlord = await staff(caller, "landlord")
    await landlord.get("/check-code")
    checked = await landlord.post("/check-code", {"code": code[0], "born_on": BORN})
    assert "Every rule that applies is met." in readable(checked.text)
    told = readable(checked.text)
    assert not [word for word in ("242,000", "NGUYEN", "Vietnam") if word in told]


async def test_what_is_begun_for_one_party_is_answered_to_it_alone_and_says_the_decision_alone(
    caller: Caller,
) -> None:
    visitor = await visited(caller, HUONG)
    screen = await begun(visitor, "TENANCY", **RENT, to="landlord")
    token = await granted(visitor, screen)
    assert CONSENT_TOKEN.fullmatch(token)
    query = "query($c: ConsentToken!) { subject(consent: $c) { tenancy(rentYenPerMonth: 62000) { outcome } } }"
    for party, expected in (("landlord", []), ("bank", ["CONSENT_INVALID"])):
        assert codes(await caller.as_party(party, query, {"c": token})) == expected
    assert "FIELD_NOT_CONSENTED" in codes(await asks(caller, token)), "the decision, and no attribute beside it"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("purpose", list(Purpose))
async def test_every_purpose_can_be_begun(caller: Caller, purpose: Purpose, language: str) -> None:
    visitor = await visited(caller, HUONG, language=language)
    screen = await begun(visitor, purpose, **(RENT if purpose is Purpose.TENANCY else {}), **LOAN)
    words = next(decision.text for decision in DECISIONS.values() if decision.purpose is purpose)
    assert getattr(words, language) in readable((await visitor.get(screen)).text)


async def test_whoever_begins_a_third_threshold_on_one_amount_is_warned(caller: Caller) -> None:
    visitor, warned = await visited(caller, "P10"), []
    for rent in ("100,000円", "￥１０１，０００", "102000", "103000"):
        screen = await begun(visitor, "TENANCY", rentYenPerMonth=rent)
        warned.append("Several thresholds on one amount tell more" in (await visitor.get(screen)).text)
        await granted(visitor, screen)
    assert warned == [False, False, True, True]


async def test_a_decision_that_is_sent_twice_leads_to_what_became_of_it(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    screen = await begun(visitor, "TENANCY", **RENT, to="landlord")
    await granted(visitor, screen)
    assert "/share-code" in visitor.page, "a code is what staff can read it by"
    for decision in ("grant", "decline"):
        again = await visitor.post(screen, {"decision": decision})
        assert (again.status_code, again.headers["location"]) == (303, screen.removesuffix("/decide"))
    assert "a rent of 62,000 yen a month" in readable((await visitor.get("/consents")).text)


REFUSED = {
    "no number": ("TENANCY", {"rentYenPerMonth": "a lot"}),
    "nothing": ("TENANCY", {"rentYenPerMonth": ""}),
    "less than nothing": ("TENANCY", {"rentYenPerMonth": "-62000"}),
    "between the steps": ("TENANCY", {"rentYenPerMonth": "62001"}),
    "a comma in the wrong place": ("TENANCY", {"rentYenPerMonth": "620,00"}),
    "more than an Int": ("TENANCY", {"rentYenPerMonth": "9" * 11}),
    "more than can be": ("TENANCY", {"rentYenPerMonth": "9" * 13}),
    "above the most": ("TENANCY", {"rentYenPerMonth": "10,001,000"}),
    "another language's query": ("TENANCY", {"rentYenPerMonth": "62000) { outcome } } #"}),
    "no such product": ("LENDING", {**LOAN, "product": "YACHT"}),
    "whom nobody knows": ("TENANCY", {**RENT, "to": "nobody"}),
    "who may not ask this": ("TENANCY", {**RENT, "to": "bank"}),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_cannot_be_begun_is_refused_with_what_was_typed_and_no_source_is_asked(
    caller: Caller, what: str
) -> None:
    purpose, typed = REFUSED[what]
    visitor = await visited(caller, HUONG)
    await visitor.get(f"/consents/new?purpose={purpose}")
    before = await caller.calls()
    refused = await visitor.post("/consents/new", {"purpose": purpose, "to": "", **typed})
    assert (refused.status_code, 'role="alert"' in refused.text) == (422, True)
    if what == "between the steps":
        assert 'value="62001"' in refused.text
        assert "in steps of 1,000, at most 10,000,000" in refused.text
    assert await caller.calls() == before


async def test_there_is_no_form_for_a_purpose_that_there_is_not(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    assert (await visitor.get("/consents/new?purpose=MARRIAGE")).status_code == 404
    await visitor.get("/consents/new")
    assert (await visitor.post("/consents/new", {"purpose": "MARRIAGE", "to": ""})).status_code == 404


async def test_a_minor_begins_and_their_guardian_decides(caller: Caller) -> None:
    minor = await visited(caller, MINOR)
    screen = await begun(minor, "TENANCY", **RENT)
    await minor.get(screen)
    assert (await minor.post(screen, {"decision": "grant"})).status_code >= 400
    guardian = await visited(caller, GUARDIAN)
    place = await begun(guardian, "TENANCY", ward=MINOR, **RENT)
    assert place.endswith(f"/decide?for={MINOR}")
    await granted(guardian, place)
    grant_id = place.split("/")[2]
    assert (await shown_grant(caller, MINOR, grant_id))["status"] == "ACTIVE"


async def test_a_suspended_party_is_not_offered(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        visitor = await visited(caller, HUONG)
        assert 'value="landlord"' in (await visitor.get("/consents/new?purpose=TENANCY")).text
        act = caller.running.gateway.operator.act
        await act("relying-party suspend", {"party_id": "landlord", "suspended": True})
        assert 'value="landlord"' not in (await visitor.get("/consents/new?purpose=TENANCY")).text
        refused = await visitor.post("/consents/new", {"purpose": "TENANCY", "to": "landlord", **RENT})
        assert refused.status_code == 422


async def test_so_many_are_begun_a_day_and_no_more_since_each_asks_the_sources(tmp_path: Path) -> None:
    async with sandbox(tmp_path, limits={"begun_per_day": 2}) as caller:
        visitor = await visited(caller, HUONG)
        for _ in range(2):
            await begun(visitor, "TENANCY", **RENT)
        await visitor.get("/consents/new?purpose=TENANCY")
        slip = await visitor.post("/consents/new", {"purpose": "TENANCY", "to": "", "rentYenPerMonth": "62"})
        assert slip.status_code == 422, "a slip of the pen is not counted, and told even now"
        refused = await visitor.post("/consents/new", {"purpose": "TENANCY", "to": "", **RENT})
        assert (refused.status_code, "You can try again from" in refused.text) == (429, True)
