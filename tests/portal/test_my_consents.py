"""My consents and who has asked: what is done on a page holds at once, for oneself alone."""

import re
from collections.abc import Sequence

import pytest

from gateway.portal.language import LANGUAGES
from gateway.portal.wording import by_code
from resolvers.worker import AccessKind
from tests.conftest import Caller
from tests.gateway.sandboxes import Clock, codes
from tests.portal.consenting import (
    HUONG,
    SHARE_CODE,
    STRANGER,
    UNKNOWN,
    alike,
    asks,
    granted,
    previewed,
    shown_grant,
    visited,
)
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.readable import readable
from tests.portal.stage import Visitor

CHANGES = ["revoke", "pause", "resume", "renew", "reject", "share-code"]


async def consented(caller: Caller, visitor: Visitor, *, share: Sequence[str] | None = None) -> tuple[str, str]:
    """A consent for the landlord: its id and its token."""
    grant_id = await previewed(caller)
    kept = None if share is None else list(share)
    return grant_id, await granted(visitor, f"/consents/{grant_id}/decide", share=kept)


async def done(visitor: Visitor, grant_id: str, action: str) -> str:
    """What the page says after an action."""
    await visitor.get(f"/consents/{grant_id}")
    answer = await visitor.post(f"/consents/{grant_id}/{action}", {})
    assert answer.headers["location"] == f"/consents?done={action}"
    return (await visitor.get(answer.headers["location"])).text


async def test_taking_back_on_the_page_ends_the_consent_at_once(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, token = await consented(caller, visitor)
    assert codes(await asks(caller, token)) == []
    page = await done(visitor, grant_id, "revoke")
    assert "The consent is taken back. Nothing leaves under it any more." in page
    assert codes(await asks(caller, token)) == ["CONSENT_ENDED"]
    ended = (await visitor.get(f"/consents/{grant_id}")).text
    assert "Taken back by you, or given back." in ended
    assert f"/consents/{grant_id}/" not in ended, "nothing more can be done with it"


ENDS = {
    "en": ("To be decided by", "Once granted, it lasts until", "The consent lasts until", "Ended on"),
    "ja": ("決定の期限", "同意した場合の有効期限", "同意の有効期限", "終了した日時"),
}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_when_it_has_to_be_decided_is_never_taken_for_how_long_it_lasts(caller: Caller, language: str) -> None:
    visitor = await visited(caller, HUONG, language=language)
    grant_id = await previewed(caller)
    own, screen = f"/consents/{grant_id}", f"/consents/{grant_id}/decide"
    said = [readable((await visitor.get(place)).text) for place in (own, screen)]
    await granted(visitor, screen)
    said.append(readable((await visitor.get(own)).text))
    await visitor.post(f"{own}/revoke", {})
    said.append(readable((await visitor.get(own)).text))
    found = [[words for words in ENDS[language] if f"\n{words}\n" in page] for page in said]
    assert found == [[words] for words in ENDS[language]]


async def test_a_paused_consent_answers_nobody_until_it_is_resumed(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, token = await consented(caller, visitor)
    assert "Nothing leaves until you resume it." in await done(visitor, grant_id, "pause")
    assert codes(await asks(caller, token)) == ["CONSENT_PAUSED"]
    assert "The consent is in force again." in await done(visitor, grant_id, "resume")
    assert codes(await asks(caller, token)) == []


async def test_renewing_lets_a_consent_last_as_if_it_were_given_today(caller: Caller, clock: Clock) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, token = await consented(caller, visitor)
    clock.pass_by(days=20)
    await visitor.sign_in(HUONG)
    assert "The consent is renewed." in await done(visitor, grant_id, "renew")
    clock.pass_by(days=20)
    assert codes(await asks(caller, token)) == []
    clock.pass_by(days=-40)
    await done(visitor, grant_id, "revoke")


async def test_an_action_that_the_consent_does_not_allow_says_so_and_changes_nothing(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, _ = await consented(caller, visitor)
    await visitor.get(f"/consents/{grant_id}")
    for action in ("resume", "reject"):
        assert (await visitor.post(f"/consents/{grant_id}/{action}", {})).status_code == 422
    assert (await visitor.post(f"/consents/{grant_id}/erase", {})).status_code == 404
    assert (await visitor.post(f"/consents/{grant_id}/session", {})).status_code == 404
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "ACTIVE"


@pytest.mark.parametrize("action", CHANGES)
async def test_a_stranger_changes_nothing_and_learns_nothing(caller: Caller, action: str) -> None:
    own = await visited(caller, HUONG)
    grant_id, _ = await consented(caller, own)
    stranger = await visited(caller, STRANGER)
    assert await granted(stranger, f"/consents/{await previewed(caller, person=STRANGER)}/decide")
    await stranger.get("/sign-in")
    answers = [await stranger.post(f"/consents/{one}/{action}", {}) for one in (grant_id, UNKNOWN)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert alike(answers[0].text, grant_id) == alike(answers[1].text, UNKNOWN)
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "ACTIVE"


@pytest.mark.parametrize("action", CHANGES)
async def test_a_change_needs_this_browsers_own_form(caller: Caller, action: str) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, _ = await consented(caller, visitor)
    for body in ("", f"csrf={'0' * 64}"):
        assert (await visitor.post_raw(f"/consents/{grant_id}/{action}", body)).status_code == 403
    assert (await visitor.get(f"/consents/{grant_id}/{action}")).status_code == 405
    assert (await shown_grant(caller, HUONG, grant_id))["status"] == "ACTIVE"


async def test_the_list_says_where_each_consent_stands_the_newest_first(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, _ = await consented(caller, visitor, share=["Immigration.statusLawful"])
    waiting = await previewed(caller)
    page = (await visitor.get("/consents")).text
    said = readable(page)
    assert page.index(f"/consents/{waiting}/decide") < page.index(f"/consents/{grant_id}")
    first, second = said.split("## ")[1:3]
    assert "Asked for; you have not decided." in first
    assert "Granted and in force." in second
    assert "Left out\n" in second
    assert "Do the records show a current job?" in second


async def test_the_line_about_what_was_done_is_one_of_ours(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    for done_ in ("revoke<b>", "Your+account+is+locked", "erase", ""):
        assert 'role="status"' not in (await visitor.get(f"/consents?done={done_}")).text


async def test_a_share_code_is_shown_once_with_its_picture_and_redeemed_once(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, _ = await consented(caller, visitor)
    await visitor.get(f"/consents/{grant_id}")
    made = await visitor.post(f"/consents/{grant_id}/share-code", {})
    code = SHARE_CODE.search(made.text)
    assert code is not None
    assert "<svg" in made.text
    assert "for Sumai Rentals (sandbox). Nobody else can use it" in readable(made.text)
    assert made.headers["cache-control"] == "no-store"
    for place in (f"/consents/{grant_id}", "/consents", "/accesses"):
        assert code[0] not in (await visitor.get(place)).text
    redeem = 'mutation($code: String!) { redeemShareCode(code: $code, dateOfBirth: "1997-05-21") { purpose } }'
    assert codes(await caller.as_party("landlord", redeem, {"code": code[0]})) == []
    assert codes(await caller.as_party("landlord", redeem, {"code": code[0]})) == ["CONSENT_INVALID"]


async def test_a_share_code_for_nobody_in_particular_is_for_whoever_uses_it_first(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id = await previewed(caller, party=None)
    await granted(visitor, f"/consents/{grant_id}/decide")
    await visitor.get(f"/consents/{grant_id}")
    made = await visitor.post(f"/consents/{grant_id}/share-code", {})
    assert "Whoever uses it first" in readable(made.text)
    assert "Nobody else can use it" not in readable(made.text)


async def test_the_log_says_who_asked_what_and_what_was_refused(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    grant_id, token = await consented(caller, visitor)
    await asks(caller, token)
    await done(visitor, grant_id, "revoke")
    await asks(caller, token)
    events = (await visitor.get("/accesses")).text.split('<li class="card">')[1:4]
    refused, taken_back, released = (readable(f"<main>{event}") for event in events)
    for words in ("A question was refused.", "Sumai Rentals (sandbox)", "The consent has ended.", "Not answered"):
        assert words in refused
    assert "It was taken back, or given back." in taken_back
    for words in ("An answer was released.", "To rent out a home.", "Do the records show a current job?"):
        assert words in released
    assert "Not answered" not in released


@pytest.mark.parametrize("person", [HUONG, "P09"])
async def test_my_consents_say_how_a_check_begins_and_lead_only_to_pages_that_exist(
    caller: Caller, person: str
) -> None:
    visitor = await visited(caller, person)
    await visitor.get("/consents")
    begins = visitor.page.partition('<section aria-labelledby="begins">')[2].partition("</section>")[0]
    assert "A consent usually begins with somebody who asks, such as a bank, a landlord or a lender" in begins
    places = re.findall(r'href="([^"]+)"', begins)
    assert places == ["/consents/new", "/enrol", "/records#concluded"]
    for place in places:
        page, _, there = place.partition("#")
        shown = await visitor.get(page)
        assert (shown.status_code, f'id="{there}"' in shown.text or not there) == (200, True)


async def test_nobody_elses_log_is_shown(caller: Caller) -> None:
    await consented(caller, await visited(caller, HUONG))
    stranger = await visited(caller, "P09")
    assert "There is none yet." in (await stranger.get("/accesses")).text
    assert "There is none yet." in (await stranger.get("/consents")).text
    for place in (f"/accesses?for={HUONG}", f"/consents?for={HUONG}", "/consents?for=P99"):
        assert (await stranger.get(place)).status_code == 404


async def test_the_log_comes_in_pages_of_fifty(caller: Caller) -> None:
    visitor = await visited(caller, "P10")
    for _ in range(51):
        await previewed(caller, person="P10")
    newest = (await visitor.get("/accesses")).text
    assert newest.count('class="card"') == 50
    assert '<a href="/accesses?page=2">Older</a>' in newest
    oldest = (await visitor.get("/accesses?page=2")).text
    assert oldest.count('class="card"') == 1
    assert '<a href="/accesses?page=1">Newer</a>' in oldest
    for page in ("0", "-1", "x", "99999999999999999999", "²", "1e3"):
        assert (await visitor.get(f"/accesses?page={page}")).text.count('class="card"') == 50
    assert "There is none yet." in (await visitor.get("/accesses?page=3")).text


@pytest.mark.parametrize("place", ["/consents", "/accesses", f"/consents/{UNKNOWN}", f"/requests/{UNKNOWN}"])
async def test_staff_of_a_relying_party_see_nothing_of_anybody(caller: Caller, place: str) -> None:
    visitor = Visitor(caller.running.url, caller.http)
    await visitor.get("/sign-in")
    await visitor.post("/sign-in/sandbox", {"staff_of": "bank"})
    led = await visitor.get(place)
    assert (led.status_code, led.headers["location"].partition("?")[0]) == (303, "/sign-in")


def test_every_kind_of_event_has_words() -> None:
    assert len(set(by_code(AccessKind).values())) == len(AccessKind)
