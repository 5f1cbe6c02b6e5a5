"""Checking a code: staff learn what the consent answers and nothing else, once, in time. Source: security 2 C."""

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import fields
from datetime import date, datetime
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import HTMLResponse, Response

from gateway.consent.share_code import CODE_RANDOM_BYTES, make_share_code
from gateway.errors import ConsentRequestError, OverloadedError
from gateway.lease import Leased
from gateway.party import PartyServices, PartySession
from gateway.portal.check_code import LeasedResponse
from resolvers.attribute import JST
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.sandboxes import Clock, own_sandbox, settings_for
from tests.gateway.test_rates_and_costs import sandbox
from tests.oauth.party import registered
from tests.portal.consenting import (
    CONSENT_TOKEN,
    HUONG,
    SHARE_CODE,
    alike,
    asked_for,
    granted,
    previewed,
    staff,
    visited,
)
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.readable import readable
from tests.portal.stage import Visitor

BORN = "1997-05-21"
CANNOT = "This code cannot be used."
GREEK = ("Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Theta", "Kappa")


async def handed_over(
    caller: Caller, *, person: str = HUONG, party: str | None = None, share: list[str] | None = None
) -> tuple[Visitor, str, str]:
    """A consent to a tenancy and a share code for it: the person's browser, the grant's id, the code."""
    visitor = await visited(caller, person)
    grant_id = await previewed(caller, person=person, party=party)
    await granted(visitor, f"/consents/{grant_id}/decide", share=share)
    return visitor, grant_id, await new_code(visitor, grant_id)


async def new_code(visitor: Visitor, grant_id: str) -> str:
    await visitor.get(f"/consents/{grant_id}")
    found = SHARE_CODE.search((await visitor.post(f"/consents/{grant_id}/share-code", {})).text)
    assert found is not None
    return found[0]


async def another_landlord(caller: Caller, name: str) -> Visitor:
    """Staff of a landlord who has guessed nothing yet."""
    given = {"en": f"{name} Homes", "ja": f"{name}住宅"}
    party = await registered(caller, name.lower(), name=given, sector=name.lower(), purposes=["TENANCY"])
    return await staff(caller, party.id)


async def checked(visitor: Visitor, code: str, born_on: str = BORN) -> str:
    """The page for a code, whatever it says."""
    await visitor.get("/check-code")
    answer = await visitor.post("/check-code", {"code": code, "born_on": born_on})
    assert answer.status_code == 200, answer.text
    return answer.text


def unknown_code() -> str:
    return make_share_code(Purpose.TENANCY, bytes(CODE_RANDOM_BYTES)).grouped()


def ungrouped(code: str) -> str:
    return code.replace("-", "")


def written_below(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def wrong_check(code: str) -> str:
    return code[:-1] + ("0" if code[-1] != "0" else "1")


async def test_staff_read_in_words_what_the_consent_answers(caller: Caller) -> None:
    _, _, code = await handed_over(caller)
    landlord = await staff(caller, "landlord")
    page = await checked(landlord, code)
    said = readable(page)
    for words in (
        "Is the stay stable and the income enough for this lease? (a rent of 62,000 yen a month)",
        "Every rule that applies is met.",
        "Do the records show a current job?",
        "Yes",
        "TN-05 Income and rent: ",
    ):
        assert words in said
    token = CONSENT_TOKEN.search(page)
    assert token is not None
    given = asked_for(caller, Purpose.TENANCY, HUONG)
    body = await caller.as_party("landlord", given["document"], {**given["variables"], "consent": token[0]})
    assert body["data"]["subject"]["answer"]["id"] in said, "it is the same recorded answer"
    assert body["data"]["subject"]["tenancy"]["outcome"] == "ELIGIBLE"


async def test_it_reads_in_japanese_too(caller: Caller) -> None:
    _, _, code = await handed_over(caller)
    landlord = await staff(caller, "landlord", language="ja")
    said = readable(await checked(landlord, code))
    for words in ("この賃貸借に在留と収入は足りますか。", "当てはまる基準をすべて満たしています", "家賃 月62,000円"):
        assert words in said
    assert "現在の在留が確認できました。" in said, "each rule says its result"


async def test_the_person_sees_who_used_the_code_and_what_was_told(caller: Caller) -> None:
    visitor, grant_id, code = await handed_over(caller)
    await checked(await staff(caller, "landlord"), code)
    events = (await visitor.get("/accesses")).text.split('<li class="card">')
    assert "An answer was released." in events[1]
    assert "Its share code was used." in events[2]
    assert "Sumai Rentals (sandbox)" in (await visitor.get(f"/consents/{grant_id}")).text


async def test_what_was_left_out_and_why_there_is_no_value_stays_with_the_person(caller: Caller) -> None:
    visitor = await visited(caller, "P04")
    grant_id = await previewed(caller, person="P04", party=None)
    await granted(visitor, f"/consents/{grant_id}/decide", share=["Labor.employed", "Immigration.statusLawful"])
    assert "You left this out." in (await visitor.get(f"/consents/{grant_id}")).text
    page = await checked(await staff(caller, "landlord"), await new_code(visitor, grant_id), "1993-02-09")
    said = readable(page)
    assert "The sources cannot settle it; other evidence can." in said
    assert "Not shared." in said
    for of_the_person in ("left", "LEFT_OUT", "on its way", "WITHIN_FILING_WINDOW", "SHRESTHA", "1993", "Why"):
        assert of_the_person not in said


@pytest.mark.parametrize(
    "slip",
    [str.lower, lambda code: code.replace("-", " "), lambda code: f" {code[0]}{code[1:].replace('0', 'o')} "],
    ids=["lower case", "spaces", "o for 0"],
)
async def test_a_code_is_read_as_people_type_it(caller: Caller, slip: Callable[[str], str]) -> None:
    _, _, code = await handed_over(caller)
    assert "The answer" in await checked(await staff(caller, "landlord"), slip(code))


async def test_why_a_code_cannot_be_used_is_not_told(caller: Caller, clock: Clock) -> None:
    checker = await another_landlord(caller, GREEK[0])
    _, _, used = await handed_over(caller)
    await checked(await staff(caller, "landlord"), used)
    _, _, for_another = await handed_over(caller, party="landlord")
    owner, revoked_grant, revoked = await handed_over(caller)
    await owner.get(f"/consents/{revoked_grant}")
    await owner.post(f"/consents/{revoked_grant}/revoke", {})
    _, _, fresh = await handed_over(caller)
    attempts = [(used, BORN), (for_another, BORN), (revoked, BORN), (fresh, "1990-01-01"), (wrong_check(fresh), BORN)]
    nonsense = [("", ""), (fresh, "yesterday"), ("x" * 64, BORN), (fresh, ""), (fresh, BORN.replace("-", ""))]
    pages = {alike(await checked(checker, code, born_on)) for code, born_on in [*attempts, *nonsense]}
    assert len(pages) == 1
    assert CANNOT in pages.pop()
    assert "The answer" in await checked(await staff(caller, "landlord"), fresh), "and the code still works"


async def test_who_sends_a_used_code_again_is_told_that_they_used_it_and_is_not_locked_out(
    caller: Caller, clock: Clock
) -> None:
    """A reload does. With another date of birth, at another organisation, and after its time, it is like any."""
    checker, other = await another_landlord(caller, "Iota"), await another_landlord(caller, "Sigma")
    _, _, code = await handed_over(caller)
    assert "The answer" in await checked(checker, code)
    used_at = clock.now().astimezone(JST)
    for _ in range(7):
        again = await checked(checker, code)
        assert f"Your organisation has used this code already: {used_at:%-d %B %Y, %H:%M} (Japan time)." in again
        assert (CANNOT in again, CONSENT_TOKEN.search(again), code in again) == (False, None, False)
    one_text = alike(await checked(other, unknown_code()))
    for visitor, born_on in ((checker, "1990-01-01"), (other, BORN)):
        assert alike(await checked(visitor, code, born_on)).replace("Iota", "Sigma") == one_text
    clock.pass_by(days=8)
    assert CANNOT in await checked(await staff(caller, "iota"), code)
    clock.pass_by(days=-8)


async def test_an_expired_code_is_one_of_them(caller: Caller, clock: Clock) -> None:
    _, _, code = await handed_over(caller)
    clock.pass_by(days=8)
    checker = await another_landlord(caller, GREEK[1])
    expired = await checked(checker, code)
    assert alike(expired) == alike(await checked(checker, unknown_code()))
    clock.pass_by(days=-8)


async def test_the_sixth_wrong_guess_has_to_wait_and_nobody_else_does(caller: Caller, clock: Clock) -> None:
    checker = await another_landlord(caller, GREEK[2])
    _, _, code = await handed_over(caller)
    for _ in range(7):
        assert CANNOT in await checked(checker, wrong_check(unknown_code())), "no guess: its check symbols disagree"
        assert CANNOT in await checked(checker, unknown_code(), "no day")
    for _ in range(5):
        assert CANNOT in await checked(checker, unknown_code())
    refused = await checker.post("/check-code", {"code": code, "born_on": BORN})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 600
    assert "your organisation may try 5 wrong ones in 10 minutes. This one was not looked up." in refused.text
    told = re.search(r"You can try again from (.*) \(Japan time\)\.", refused.text)
    assert told is not None
    until = datetime.strptime(told[1], "%d %B %Y, %H:%M").replace(tzinfo=JST)
    waited_seconds = (until - clock.now()).total_seconds() - int(refused.headers["retry-after"])
    assert -5 < waited_seconds < 60, "the first whole minute that is not too early"
    assert code not in str(refused.url) + "".join(re.findall('(?:href|action)="[^"]*"', refused.text))
    assert "The answer" in await checked(await another_landlord(caller, GREEK[3]), code)


async def test_ten_who_use_one_code_at_once_are_one(caller: Caller) -> None:
    _, _, code = await handed_over(caller)
    await another_landlord(caller, GREEK[5])
    visitors = [await staff(caller, GREEK[5].lower()) for _ in range(10)]
    for visitor in visitors:
        await visitor.get("/check-code")
    fields = {"code": code, "born_on": BORN}
    answers = await asyncio.gather(*(visitor.post("/check-code", fields) for visitor in visitors))
    assert sum("Every rule that applies is met." in answer.text for answer in answers) == 1
    assert {answer.status_code for answer in answers} <= {200, 429}


async def test_staff_ask_again_until_the_consent_ends_and_never_for_another_party(caller: Caller) -> None:
    visitor, grant_id, code = await handed_over(caller)
    landlord = await staff(caller, "landlord")
    found = CONSENT_TOKEN.search(await checked(landlord, code))
    assert found is not None
    again = {"consent_token": found[0]}
    assert "Every rule that applies is met." in (await landlord.post("/check-code", again)).text
    await visitor.get(f"/consents/{grant_id}")
    await visitor.post(f"/consents/{grant_id}/pause", {})
    paused = await landlord.post("/check-code", again)
    assert (paused.status_code, found[0] in paused.text) == (422, True)
    assert "The consent is paused." in paused.text
    assert "Every rule that applies is met." not in paused.text
    other = await another_landlord(caller, GREEK[4])
    await other.get("/check-code")
    refusals = [await other.post("/check-code", {"consent_token": one}) for one in (found[0], "kct_" + "a" * 26)]
    assert alike(refusals[0].text) == alike(refusals[1].text)
    assert found[0] not in refusals[0].text
    await visitor.post(f"/consents/{grant_id}/revoke", {})
    assert "The consent has ended." in (await landlord.post("/check-code", again)).text


LIMITED: dict[str, dict[str, dict[str, int]]] = {
    "the party's requests": {"limits": {"relying_party_per_second": 1, "relying_party_burst": 3}},
    "under one consent": {"limits": {"consent_per_second": 1, "consent_per_day": 3}},
    "the party's budget": {"cost": {"budget_per_minute": 120}},
}


@pytest.mark.parametrize("name", LIMITED)
async def test_what_staff_ask_counts_like_what_their_software_asks(tmp_path: Path, name: str) -> None:
    async with sandbox(tmp_path, **LIMITED[name]) as caller:
        _, _, code = await handed_over(caller)
        landlord = await staff(caller, "landlord")
        found = CONSENT_TOKEN.search(await checked(landlord, code))
        assert found is not None
        for _ in range(30):  # a slow machine asks less often than it may
            again = await landlord.post("/check-code", {"consent_token": found[0]})
            if again.status_code != 200:
                break
        assert (again.status_code, "Too many requests." in again.text) == (429, True)
        assert found[0] in again.text, "nothing is lost"
        assert int(again.headers["retry-after"]) >= 1


@pytest.mark.parametrize("place", ["/check-code/{}", "/check-code?code={}", "/check-code?born_on=1&code={}"])
async def test_a_code_in_an_address_is_nothing_and_is_not_logged(
    caller: Caller, place: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    code = unknown_code()
    assert (await (await staff(caller, "landlord")).get(place.format(code))).status_code == 404
    assert code not in "".join(capfd.readouterr()) + caplog.text


async def test_nothing_of_a_code_or_its_answer_is_logged(
    caller: Caller, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    _, _, code = await handed_over(caller)
    landlord = await staff(caller, "landlord")
    page = await checked(landlord, code)
    await checked(landlord, code)
    token = CONSENT_TOKEN.search(page)
    logged = "".join(capfd.readouterr()) + caplog.text
    assert token is not None
    for secret in (code, code.replace("-", ""), token[0], "ELIGIBLE", BORN, "NGUYEN"):
        assert secret not in logged


async def test_nothing_of_a_code_or_its_token_lies_in_a_file(tmp_path: Path) -> None:
    """Only keyed hashes do, also of a code that nobody has used."""
    async with own_sandbox(settings_for(tmp_path / "state")) as caller:
        visitor, grant_id, used = await handed_over(caller)
        unused = await new_code(visitor, grant_id)
        found = CONSENT_TOKEN.search(await checked(await staff(caller, "landlord"), used))
    assert found is not None
    secrets = [found[0], *(form(code) for code in (used, unused) for form in (str, ungrouped))]
    secrets += [hashlib.sha256(secret.encode()).hexdigest() for secret in secrets[1:]]
    written = written_below(tmp_path)
    assert len(written) > 1
    assert not [secret for secret in secrets for text in written if secret.encode() in text]


async def test_a_code_with_wrong_check_symbols_is_neither_looked_up_nor_counted(caller: Caller) -> None:
    """There is nothing to look it up in, and nothing that counts."""
    nothing: Any = None
    party = caller.running.gateway.stores.relying_parties.find("landlord")
    assert party is not None
    session = PartySession(party, PartyServices(*[nothing] * len(fields(PartyServices))))
    with pytest.raises(ConsentRequestError):
        await session.redeem(wrong_check(unknown_code()), born_on=date.fromisoformat(BORN))
    with pytest.raises(TypeError):
        await session.redeem(unknown_code(), born_on=date.fromisoformat(BORN))


async def test_a_suspended_partys_staff_are_out_at_once(caller: Caller) -> None:
    act = caller.running.gateway.operator.act
    _, _, code = await handed_over(caller)
    checker = await another_landlord(caller, GREEK[6])
    await checker.get("/check-code")
    party_id = GREEK[6].lower()
    await act("relying-party suspend", {"party_id": party_id, "suspended": True})
    refused = [
        await checker.post("/check-code", {"code": code, "born_on": BORN}),
        await checker.post("/check-code", {"consent_token": "kct_" + "a" * 26}),
        await checker.get("/check-code"),
    ]
    assert {answer.status_code for answer in refused} == {303}
    assert {answer.headers["location"].partition("?")[0] for answer in refused} == {"/sign-in"}
    await act("relying-party suspend", {"party_id": party_id, "suspended": False})
    assert (await checker.get("/check-code")).status_code == 303, "they sign in anew"
    assert "The answer" in await checked(await staff(caller, "landlord"), code), "and the code was not used"


async def test_who_changes_the_language_keeps_what_they_typed_and_no_address_holds_it(caller: Caller) -> None:
    _, _, code = await handed_over(caller)
    checker = await another_landlord(caller, GREEK[7])
    assert "/language/" not in (await checker.get("/check-code")).text, "a link would lose it"
    for _ in range(6):
        typed = {"code": code.lower(), "born_on": BORN, "language": "ja"}
        page = await checker.post("/check-code", typed)
        assert (page.status_code, page.headers["content-language"]) == (200, "ja")
        assert all(f'value="{kept}"' in page.text for kept in (code.lower(), BORN))
    assert "コードを確かめる" in (await checker.get("/check-code")).text, "and the browser remembers it"
    assert (await checker.post("/check-code", {"code": code, "language": "vi"})).status_code == 404
    assert "回答" in await checked(checker, code), "nothing was looked up before, so nothing was used or counted"


@pytest.mark.parametrize("headers", [{"origin": "null"}, {"origin": "https://evil.example"}], ids=str)
async def test_a_code_that_another_site_sends_is_not_used(caller: Caller, headers: dict[str, str]) -> None:
    _, _, code = await handed_over(caller)
    landlord = await staff(caller, "landlord")
    await landlord.get("/check-code")
    refused = await landlord.post("/check-code", {"code": code, "born_on": BORN}, headers)
    assert (refused.status_code, "CSRF_FAILED" in refused.text) == (403, True)
    assert "The answer" in await checked(landlord, code)


@pytest.mark.parametrize("csrf", ["", "0" * 64])
async def test_a_code_needs_this_browsers_own_form(caller: Caller, csrf: str) -> None:
    _, _, code = await handed_over(caller)
    landlord = await staff(caller, "landlord")
    refused = await landlord.post_raw("/check-code", f"csrf={csrf}&code={code}&born_on={BORN}")
    assert refused.status_code == 403
    assert "The answer" in await checked(landlord, code)


async def test_only_staff_check_codes(caller: Caller) -> None:
    person = await visited(caller, HUONG)
    await person.get("/sign-in")
    for done in (
        await person.get("/check-code"),
        await person.post("/check-code", {"code": unknown_code(), "born_on": BORN}),
    ):
        assert (done.status_code, done.headers["location"].partition("?")[0]) == (303, "/sign-in")


async def test_what_is_typed_is_never_shown_again(caller: Caller) -> None:
    landlord = await staff(caller, "landlord")
    for typed in ("<script>alert(1)</script>", '" autofocus onfocus="alert(1)', "{{1234*4321}}"):
        page = await checked(landlord, typed, typed)
        assert not re.search(r"alert\(1\)|5332114", unescape(page))


# --- the lease ------------------------------------------------------------------------------------------------

PAGE, LATE = HTMLResponse("the answer", headers={"x-page": "1"}), HTMLResponse("no room now", status_code=503)
ENDED = HTMLResponse("the consent has ended", status_code=422)
Renew = Callable[[], Awaitable[Leased[Response]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def no_room() -> Leased[Response]:
    raise OverloadedError


async def sent(*, lease_seconds: float, send: Callable[[list[Any]], Send], renew: Renew = no_room) -> list[Any]:
    """What leaves of a page with a release, over a connection that a test plays."""
    left: list[Any] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    page = LeasedResponse(leased(PAGE, lease_seconds, renew), instead=LATE)
    page.set_cookie("seen", "1")
    await page({"type": "http"}, receive, send(left))
    return left


def leased(page: Response, seconds: float | None, renew: Renew = no_room) -> Leased[Response]:
    return Leased(page, (), None if seconds is None else time.monotonic() + seconds, renew)


def at_once(left: list[Any]) -> Send:
    async def send(message: MutableMapping[str, Any]) -> None:
        left.append(message)

    return send


def stalled_at_first(left: list[Any]) -> Send:
    stalls = iter([0.3])

    async def send(message: MutableMapping[str, Any]) -> None:
        await asyncio.sleep(next(stalls, 0))
        left.append(message)

    return send


async def test_a_page_with_a_release_leaves_within_its_lease() -> None:
    start, body = await sent(lease_seconds=0.1, send=at_once)
    assert (start["status"], body["body"]) == (200, b"the answer")
    assert {b"x-page", b"set-cookie"} <= {name for name, _ in start["headers"]}


@pytest.mark.parametrize(("again", "seconds", "status"), [(PAGE, 0.1, 200), (ENDED, None, 422), (PAGE, 0.0, 503)])
async def test_a_page_that_the_machine_kept_back_leaves_as_it_is_when_looked_at_again(
    again: Response, seconds: float | None, status: int
) -> None:
    async def renew() -> Leased[Response]:
        return leased(again, seconds)

    start, body = await sent(lease_seconds=0.0, send=at_once, renew=renew)
    assert (start["status"], body["body"]) == (status, (LATE if status == 503 else again).body)
    if status != 503:
        assert b"set-cookie" in {name for name, _ in start["headers"]}


@pytest.mark.parametrize(("lease_seconds", "send"), [(0.0, at_once), (-1.0, at_once), (0.05, stalled_at_first)])
async def test_once_the_lease_is_over_nothing_of_the_answer_leaves(
    lease_seconds: float, send: Callable[[list[Any]], Send]
) -> None:
    left = await sent(lease_seconds=lease_seconds, send=send)
    assert b"the answer" not in b"".join(message.get("body", b"") for message in left)
    assert left[0]["status"] == 503
