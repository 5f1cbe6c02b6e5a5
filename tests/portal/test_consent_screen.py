"""Deciding on a page: what is given is what was ticked, and nothing by accident. Source: security T17, T18."""

import asyncio
import re
import time
from enum import StrEnum
from pathlib import Path

import pytest

from connectors.interface import SourceAuthority
from gateway.portal.wording import about_words, asked, by_code, coordinate_of, described, value_words
from gateway.store.requests import Asking
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from resolvers.inputs import RULE_INPUTS
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for
from tests.oauth.party import OAuthParty, registered
from tests.portal.consenting import (
    HUONG,
    STRANGER,
    UNKNOWN,
    alike,
    asked_for,
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
from tests.portal.readable import readable
from tests.portal.stage import Visitor

FOREIGN = [{"origin": "null"}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}]
TOO_MUCH = [b"share=1&" * 125_000, b"a;" * 500_000, b"share=" + b"x" * 1_000_000]
MARKUP = "<script>alert(1)</script>{{1234*4321}}<b>bold</b>"
WARNED = """query($consent: ConsentToken!) { subject(consent: $consent) { tax {
  a: incomeMeets(yearlyYen: 2400000) { value } b: incomeMeets(yearlyYen: 2520000) { value }
  c: incomeMeets(yearlyYen: 2640000) { value } d: incomeMeets(yearlyYen: 2760000) { value } } } }"""


async def test_a_request_is_opened_decided_and_its_token_works(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    request_id = await requested(caller)
    led = await visitor.get(f"/requests/{request_id}")
    assert led.status_code == 303
    place = led.headers["location"]
    token = await granted(visitor, place)
    assert (await asks(caller, token))["data"]["subject"]["tenancy"]["outcome"] == "ELIGIBLE"
    assert token not in place
    assert (await visitor.get(place)).headers["location"] == place.removesuffix("/decide"), "it has been decided"
    assert (await visitor.get(f"/requests/{request_id}")).status_code == 422, "a request is opened once"


async def test_the_screen_can_be_loaded_again_and_is_charged_once(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    place = (await visitor.get(f"/requests/{await requested(caller)}")).headers["location"]
    pages = [alike((await visitor.get(place)).text) for _ in range(3)]
    assert len(set(pages)) == 1


async def test_what_is_not_ticked_is_left_out_and_withheld(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    await visitor.get(f"/consents/{grant_id}/decide")
    kept = [question for question in ticked(visitor.page) if question != "Labor.employed"]
    token = await granted(visitor, f"/consents/{grant_id}/decide", share=kept)
    subject = (await asks(caller, token))["data"]["subject"]
    assert subject["labor"]["employed"]["state"] == "WITHHELD"
    assert subject["immigration"]["statusLawful"]["state"] == "CONFIRMED"
    assert (await shown_grant(caller, HUONG, grant_id))["leftOut"] == ["Labor.employed"]


async def test_nothing_can_be_given_by_ticking_nothing(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    place = f"/consents/{grant_id}/decide"
    await visitor.get(place)
    done = await visitor.post(place, {"decision": "grant"})
    assert done.status_code == 422
    assert "You have ticked no answer to share." in done.text
    assert " checked" not in done.text
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"
    assert await granted(visitor, place)


async def test_what_a_relying_party_can_do_without_is_not_ticked_beforehand(caller: Caller, clock: Clock) -> None:
    given = asked_for(caller, Purpose.TENANCY, HUONG)
    asking = Asking(
        "landlord", Purpose.TENANCY, given["document"], given["variables"], None, optional=("Labor.employed",)
    )
    gateway = caller.running.gateway
    await gateway.stores.requests.keep("one", asking, open_until=clock.now().replace(year=2027), now=clock.now())
    visitor = await visited(caller, HUONG)
    place = (await visitor.get("/requests/one")).headers["location"]
    await visitor.get(place)
    assert ticked(visitor.page) == ["Labor.employed"], "the others are asked for as a whole"
    assert " checked" not in visitor.page
    token = await granted(visitor, place, share=["Subject.unknown(a:1)"])
    assert (await asks(caller, token))["data"]["subject"]["labor"]["employed"]["state"] == "WITHHELD"


async def test_what_is_not_optional_is_shared_whatever_the_form_says(caller: Caller, clock: Clock) -> None:
    given = asked_for(caller, Purpose.TENANCY, HUONG)
    asking = Asking(
        "landlord", Purpose.TENANCY, given["document"], given["variables"], None, optional=("Labor.employed",)
    )
    requests = caller.running.gateway.stores.requests
    await requests.keep("whole", asking, open_until=clock.now().replace(year=2027), now=clock.now())
    visitor = await visited(caller, HUONG)
    place = (await visitor.get("/requests/whole")).headers["location"]
    token = await granted(visitor, place, share=[])
    subject = (await asks(caller, token))["data"]["subject"]
    assert subject["tenancy"]["outcome"] == "ELIGIBLE"
    assert subject["immigration"]["statusLawful"]["state"] == "CONFIRMED"
    assert (await shown_grant(caller, HUONG, place.split("/")[2]))["leftOut"] == ["Labor.employed"]


async def test_a_yes_that_is_sent_twice_at_once_gives_one_consent_and_one_token(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    place = f"/consents/{await previewed(caller)}/decide"
    await visitor.get(place)
    fields = [("decision", "grant"), *(("share", question) for question in ticked(visitor.page))]
    answers = await asyncio.gather(*(visitor.post(place, fields) for _ in range(5)))
    assert sum("kct_" in answer.text for answer in answers) == 1
    statuses = sorted(answer.status_code for answer in answers)
    assert (statuses[0], set(statuses[1:]) <= {303, 422}) == (200, True), "led to it, or refused at the same moment"


async def test_who_declines_gives_nothing_and_it_can_not_be_taken_up_again(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    place = f"/consents/{grant_id}/decide"
    await visitor.get(place)
    done = await visitor.post(place, {"decision": "decline"})
    assert done.headers["location"] == "/consents?done=reject"
    assert "The request is declined." in (await visitor.get("/consents?done=reject")).text
    again = await visitor.post(place, {"decision": "grant", "share": "Labor.employed"})
    assert (again.status_code, again.headers["location"]) == (303, f"/consents/{grant_id}")
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "REJECTED"


@pytest.mark.parametrize("decision", ["", "yes", "GRANT", "grant "])
async def test_neither_yes_nor_no_is_no_decision(caller: Caller, decision: str) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    await visitor.get(f"/consents/{grant_id}/decide")
    assert (await visitor.post(f"/consents/{grant_id}/decide", {"decision": decision})).status_code == 400
    assert (await visitor.post(f"/consents/{grant_id}/decide", [("decision", "grant")] * 2)).status_code == 400
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"


async def test_yes_and_no_look_alike_and_neither_comes_with_a_script(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    await visitor.get(f"/consents/{await previewed(caller)}/decide")
    buttons = re.findall(r"<button ([^>]*)>([^<]*)</button>", visitor.page)
    assert [(attributes, text) for attributes, text in buttons if "decision" in attributes] == [
        ('name="decision" value="grant"', "Give consent"),
        ('name="decision" value="decline"', "Decline"),
    ]
    assert "<script" not in visitor.page


async def test_terms_and_questions_come_from_the_request_and_never_from_the_form(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    place = f"/consents/{grant_id}/decide"
    await visitor.get(place)
    forged = [("expires_at", "2099-01-01T00:00:00Z"), ("purpose", ""), ("relying_party", "bank"), ("uses", "999")]
    kept = [("share", question) for question in [*ticked(visitor.page), "Tax.income"]]
    done = await visitor.post(place, [("decision", "grant"), *forged, *kept])
    assert done.status_code == 200
    found = await shown_grant(caller, HUONG, grant_id)
    assert found["relyingParty"] == {"id": "landlord"}
    body = await caller.as_person(HUONG, "{ me { grants { id purpose questions expiresAt usesLeft } } }")
    (kept_grant,) = [grant for grant in body["data"]["me"]["grants"] if grant["id"] == grant_id]
    assert kept_grant["purpose"] == "TENANCY"
    assert kept_grant["expiresAt"] < "2099"
    assert kept_grant["usesLeft"] is None
    assert "Tax.income" not in kept_grant["questions"]


@pytest.mark.parametrize("page", ["/consents/{}", "/consents/{}/decide"])
async def test_a_strangers_consent_looks_like_none(caller: Caller, page: str) -> None:
    grant_id = await previewed(caller)
    await previewed(caller, person=STRANGER)
    visitor = await visited(caller, STRANGER)
    answers = [await visitor.get(page.format(one)) for one in (grant_id, UNKNOWN)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert alike(answers[0].text, grant_id) == alike(answers[1].text, UNKNOWN)


@pytest.mark.parametrize("fields", [{"decision": "grant", "share": "Labor.employed"}, {"decision": "decline"}])
async def test_a_strangers_decision_changes_nothing(caller: Caller, fields: dict[str, str]) -> None:
    grant_id = await previewed(caller)
    visitor = await visited(caller, STRANGER)
    await visitor.get("/consents")
    answers = [await visitor.post(f"/consents/{one}/decide", fields) for one in (grant_id, UNKNOWN)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert alike(answers[0].text, grant_id) == alike(answers[1].text, UNKNOWN)
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"


async def test_a_link_that_was_used_is_over_or_never_was_says_what_to_do_and_not_which_it_is(
    caller: Caller, clock: Clock
) -> None:
    """A stranger learns nothing: neither whether somebody used it, nor who, nor for whom it was."""
    used, late = await requested(caller), await requested(caller)
    await (await visited(caller, HUONG)).get(f"/requests/{used}")
    clock.pass_by(minutes=61)
    visitor = await visited(caller, STRANGER)
    places = (f"/requests/{used}", f"/requests/{late}", f"/requests/{UNKNOWN}", "/requests/x", "/authorizations/x")
    pages = [await visitor.get(place) for place in (*places, "/oauth/authorize?request_uri=x&client_id=bank")]
    clock.pass_by(minutes=-61)
    assert {page.status_code for page in pages} == {422}
    assert {readable(page.text) for page in pages} == {readable(pages[0].text)}
    assert "CONSENT_REQUEST_INVALID" in pages[0].text
    for words in ("used already, has expired, or never was", "go back to whoever sent you", "My consents"):
        assert words in readable(pages[0].text)


async def test_a_link_that_cannot_be_used_says_so_in_japanese_and_before_anybody_signs_in(caller: Caller) -> None:
    visitor = Visitor(caller.running.url, caller.http)
    await visitor.get("/language/ja")
    page = await visitor.get("/oauth/authorize?request_uri=x&client_id=bank")
    assert "このリンクは使えません" in readable(page.text)
    assert "わたしの同意" not in page.text


@pytest.mark.parametrize("csrf", ["", "0" * 64])
async def test_a_decision_needs_this_browsers_own_form(caller: Caller, csrf: str) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    body = f"csrf={csrf}&decision=grant&share=Labor.employed"
    assert (await visitor.post_raw(f"/consents/{grant_id}/decide", body)).status_code == 403
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_decision_that_another_site_sends_is_none_even_with_the_proof(
    caller: Caller, headers: dict[str, str]
) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    place = f"/consents/{grant_id}/decide"
    for fields in ({"decision": "grant", "share": "Labor.employed"}, {"decision": "decline"}):
        await visitor.get(place)
        refused = await visitor.post(place, fields, headers)
        assert (refused.status_code, "CSRF_FAILED" in refused.text) == (403, True)
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_address_decides_nothing(caller: Caller, method: str) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    await visitor.get(f"/consents/{grant_id}/decide")
    proof = visitor.page.split('name="csrf" value="')[1][:64]
    cookies = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    for decision in ("grant&share=Labor.employed", "decline"):
        place = f"/consents/{grant_id}/decide?csrf={proof}&decision={decision}"
        done = await visitor.http.request(method, place, headers={"cookie": cookies})
        assert done.status_code == 200
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"


@pytest.mark.parametrize("body", TOO_MUCH, ids=["a million bytes of fields", "semicolons", "a megabyte"])
@pytest.mark.parametrize("place", ["decide", "revoke", "share-code"])
async def test_a_large_form_is_refused_before_it_is_read(caller: Caller, place: str, body: bytes) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    began = time.perf_counter()
    assert (await visitor.post_raw(f"/consents/{grant_id}/{place}", body)).status_code == 413
    assert time.perf_counter() - began < 1.0  # with the sending of a megabyte
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "PENDING"


@pytest.mark.parametrize("value", [MARKUP, "\u202ednes", "a\x00b", '"><img src=x onerror=alert(1)>'])
async def test_what_a_form_says_to_share_is_never_shown_again(caller: Caller, value: str) -> None:
    visitor = await visited(caller, HUONG)
    place = f"/consents/{await previewed(caller)}/decide"
    await visitor.get(place)
    page = (await visitor.post(place, [("decision", "grant"), ("share", value)])).text
    assert "You have ticked no answer to share." in page
    for never in ("<script>alert", "5332114", "<img src=x", "\u202e", "\x00"):
        assert never not in page


async def test_who_is_not_signed_in_signs_in_and_comes_back_to_the_screen(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    visitor.cookies.clear()
    led = await visitor.get(f"/requests/{UNKNOWN}")
    assert led.headers["location"] == f"/sign-in?next=%2Frequests%2F{UNKNOWN}"


async def test_a_registered_name_is_text_whatever_it_says(caller: Caller) -> None:
    party: OAuthParty = await registered(
        caller,
        "loud",
        name={"en": "Aozora & Sons' Trust", "ja": "青空信託"},
        sector="loud",
        address=MARKUP,
        contact='"><img src=x onerror=alert(1)>',
        purposes=["TENANCY"],
    )
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller, party=party.id)
    for place in (f"/consents/{grant_id}/decide", "/consents", f"/consents/{grant_id}", "/accesses"):
        page = (await visitor.get(place)).text
        assert "Aozora &amp; Sons&#39; Trust" in page
        assert not re.search(r"<script>alert|<img src=x|<b>bold|5332114", page)


async def test_asking_oneself_for_many_thresholds_warns_and_forbids_nothing(caller: Caller) -> None:
    visitor = await visited(caller, "P10")
    first = await previewed(caller, person="P10", purpose=Purpose.LENDING)
    await granted(visitor, f"/consents/{first}/decide")
    again = await previewed(caller, person="P10", purpose=Purpose.LENDING, document=WARNED, variables={})
    await visitor.get(f"/consents/{again}/decide")
    assert "Several thresholds on one amount tell more about it" in visitor.page
    assert "2,640,000 yen a year" in visitor.page


async def test_only_the_person_sees_why_there_is_no_value(caller: Caller) -> None:
    visitor = await visited(caller, "P04")
    await visitor.get(f"/consents/{await previewed(caller, person='P04')}/decide")
    said = readable(visitor.page)
    assert "Today's answer: The sources cannot settle it; other evidence can." in said
    assert "Why (only you see this): A record may still be on its way." in said


async def test_an_answer_about_an_authority_without_a_record_says_that_it_comes_from_elsewhere(
    caller: Caller,
) -> None:
    """P06 came this year: the municipality holds nothing, and the income follows from the wage."""
    document = request_for("Tax.income", "Immigration.statusLawful", "Tax.nationalTaxClear")
    consent = await previewed(caller, person="P06", purpose=Purpose.LENDING, document=document, variables={})
    visitor = await visited(caller, "P06")
    await visitor.get(f"/consents/{consent}/decide")
    said = readable(visitor.page)
    elsewhere = "The municipality that levies resident tax: it holds no record, so this answer comes from elsewhere."
    assert said.count(elsewhere) == 1, "what nobody can answer comes from nowhere"
    assert "From: The immigration authority · as of 19 November 2026" in said


async def test_a_reason_that_says_no_more_than_the_state_is_not_told_twice(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path), elsewhere={SourceAuthority.LABOR: "http://127.0.0.1:9"}) as caller:
        visitor = await visited(caller, HUONG)
        await visitor.get(f"/consents/{await previewed(caller)}/decide")
    said = readable(visitor.page).partition("### Do the records show a current job?")[2].partition("From:")[0]
    assert said.count("The source is down.") == 1
    assert "Why (only you see this)" not in said
    assert "Asking again may help from" in said


async def test_what_is_disputed_says_so_to_the_person_and_shows_no_statement(caller: Caller) -> None:
    opened = await caller.as_person(
        "P03",
        'mutation($said: String!) { openDispute(claim: "Tax.incomeBasis", statement: $said) { id } }',
        {"said": MARKUP},
    )
    assert "errors" not in opened
    visitor = await visited(caller, "P03")
    await visitor.get(f"/consents/{await previewed(caller, person='P03')}/decide")
    assert "You have disputed this. Until that is settled, it is answered to nobody." in visitor.page
    assert "alert(1)" not in visitor.page
    assert "About\n    On what does the income figure rest?" in readable((await visitor.get("/accesses")).text)
    assert "alert(1)" not in visitor.page


def test_every_question_value_and_rule_has_words() -> None:
    for coordinate in [*ATTRIBUTES, *DECISIONS]:
        assert asked(coordinate).text.en
    for coordinate, attribute in ATTRIBUTES.items():
        values = by_code(attribute.value_type) if issubclass(attribute.value_type, StrEnum) else {}
        assert all(value_words(coordinate, value)[0] for value in values)
    for name in RULE_INPUTS:
        assert ATTRIBUTES[coordinate_of(name)].text.ja


def test_arguments_are_said_in_words() -> None:
    said = asked('Immigration.stayCoversUntil(on:"2027-03-31")').arguments
    assert [str(given["day"]) for _, given in said] == ["2027-03-31"]
    (text, given), *_ = asked("Tax.incomeMeets(yearlyYen:2400000)").arguments
    assert text % given == "2,400,000 yen a year"


def test_what_a_dispute_was_about_is_said_in_words() -> None:
    income, corrected, source = about_words("Tax.income CORRECTED TAX")
    assert income == ATTRIBUTES["Tax.income"].text
    assert (corrected, source) == (
        "The source corrected its record.",
        "The municipality that levies resident tax.",
    )
    assert about_words("TAX") == [source]
    assert described(Purpose.TENANCY) == "To rent out a home."


async def test_a_paused_or_ended_consent_answers_nobody(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller)
    token = await granted(visitor, f"/consents/{grant_id}/decide")
    await visitor.get(f"/consents/{grant_id}")
    assert (await visitor.post(f"/consents/{grant_id}/revoke", {})).status_code == 303
    assert codes(await asks(caller, token)) == ["CONSENT_ENDED"]
