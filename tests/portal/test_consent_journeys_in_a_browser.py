"""The pages about consents in a real browser: the whole way without a script, by keyboard, and for everybody."""

import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from gateway.portal.language import LANGUAGES
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.oauth.party import OAuthParty, registered
from tests.portal.browser import opened_page, violations
from tests.portal.consenting import (
    CONSENT_TOKEN,
    GUARDIAN,
    HUONG,
    MINOR,
    SHARE_CODE,
    UNKNOWN,
    asked_for,
    previewed,
    requested,
)
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock

GIVE = {"en": "Give consent", "ja": "同意する"}
START = "https://bank.example/start"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def party(caller: Caller) -> OAuthParty:
    return await registered(caller)


async def sign_in(page: Page, who: str, *, kind: str = "person") -> None:
    await page.goto("/sign-in")
    await page.locator(f"#{kind}").select_option(who)
    await page.locator(f"form:has(#{kind}) button").click()
    await page.wait_for_url(re.compile("/(consents|check-code)$"))


async def relying_partys_site(page: Page, link: str) -> None:
    """The relying party's own pages: a link to the gateway, and where the browser comes back to."""

    async def answer(route: Route) -> None:
        body = f'<!doctype html><title>Bank</title><a href="{link}">Prove it</a>'
        await route.fulfill(status=200, content_type="text/html", body=body)

    await page.route("https://bank.example/**", answer)


async def pushed(party: OAuthParty, caller: Caller) -> str:
    """The address of a request for a tenancy in which one question is optional."""
    given = asked_for(caller, Purpose.TENANCY, HUONG)
    details = party.details(
        purpose="TENANCY",
        document=given["document"],
        variables=given["variables"],
        optional=["Labor.employed", "Tax.incomeBasis"],
    )
    response = await party.push(details)
    assert response.status_code == 201, response.text
    return f"{party.issuer}/oauth/authorize?client_id={party.id}&request_uri={response.json()['request_uri']}"


async def test_from_the_banks_page_to_the_consent_and_back_without_a_script(
    chromium: Browser, caller: Caller, party: OAuthParty
) -> None:
    async with opened_page(chromium, caller.running.url, with_script=False) as page:
        await sign_in(page, HUONG)
        await relying_partys_site(page, await pushed(party, caller))
        await page.goto(START)
        await page.get_by_role("link", name="Prove it").click()
        await page.wait_for_url("**/authorizations/*")
        await expect(page.get_by_role("heading", level=1)).to_have_text("A request for your consent")
        for words in ("Aozora Trust", "a rent of 62,000 yen a month", "Every rule that applies is met."):
            await expect(page.locator("main")).to_contain_text(words)
        await page.get_by_text("The rules behind it").click()
        await expect(page.get_by_text("It looked at: Is the person 18 or older?")).to_be_visible()
        await expect(page.get_by_role("checkbox", checked=True)).to_have_count(0)
        await page.get_by_role("checkbox").nth(0).check()
        await page.get_by_role("button", name="Give consent").click()
        await page.wait_for_url("https://bank.example/back?**")
        back = {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}
    given = (await party.exchange(back["code"])).json()
    assert back["state"] == "s1"
    document = asked_for(caller, Purpose.TENANCY, HUONG)
    asked = document["variables"] | {"consent": given["consent_token"]}
    subject = (await party.ask(given["access_token"], document["document"], asked)).json()["data"]["subject"]
    assert subject["tenancy"]["outcome"] == "ELIGIBLE"
    assert subject["labor"]["employed"]["state"] == "CONFIRMED"
    assert subject["tax"]["incomeBasis"]["state"] == "WITHHELD"


async def test_who_is_not_signed_in_yet_is_led_through_sign_in_to_the_same_request(
    chromium: Browser, caller: Caller, party: OAuthParty
) -> None:
    async with opened_page(chromium, caller.running.url, with_script=False) as page:
        await relying_partys_site(page, await pushed(party, caller))
        await page.goto(START)
        await page.get_by_role("link", name="Prove it").click()
        await page.wait_for_url("**/sign-in?next=*")
        await page.locator("#person").select_option(HUONG)
        await page.locator("form:has(#person) button").click()
        await page.wait_for_url("**/authorizations/*")
        await page.get_by_role("button", name="Decline").click()
        await page.wait_for_url("https://bank.example/back?**error=access_denied**")


async def test_the_whole_way_by_keyboard(chromium: Browser, caller: Caller) -> None:
    async with opened_page(chromium, caller.running.url) as page:
        await sign_in(page, HUONG)
        await page.goto(f"/requests/{await requested(caller)}")
        seen = []
        for _ in range(60):
            await page.keyboard.press("Tab")
            seen.append(await page.evaluate("document.activeElement.innerText || document.activeElement.type"))
            if seen[-1] == "Give consent":
                break
        assert seen[0] == "Skip to the content"
        assert any("The rules behind it" in one for one in seen)
        assert seen.count("checkbox") == 4
        outline = "getComputedStyle(document.activeElement).outlineStyle"
        assert await page.evaluate(outline) != "none"
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("Your consent is given")
        assert CONSENT_TOKEN.search(await page.content())
        assert not CONSENT_TOKEN.search(page.url)


async def test_yes_and_no_weigh_the_same(chromium: Browser, caller: Caller) -> None:
    weight = """one => { const s = getComputedStyle(one), b = one.getBoundingClientRect();
      return [s.color, s.backgroundColor, s.borderColor, s.fontSize, s.fontWeight, Math.round(b.height)]; }"""
    async with opened_page(chromium, caller.running.url) as page:
        await sign_in(page, HUONG)
        await page.goto(f"/consents/{await previewed(caller)}/decide")
        yes, no = [
            await page.get_by_role("button", name=name).evaluate(weight) for name in ("Give consent", "Decline")
        ]
        assert yes == no


async def test_taking_back_takes_two_clicks_from_anywhere(chromium: Browser, caller: Caller) -> None:
    async with opened_page(chromium, caller.running.url, with_script=False) as page:
        await sign_in(page, HUONG)
        await page.goto(f"/consents/{await previewed(caller)}/decide")
        await page.get_by_role("button", name="Give consent").click()
        await page.get_by_role("link", name="My consents").click()
        await page.get_by_role("button", name="Take back").first.click()
        await expect(page.get_by_role("status")).to_contain_text("The consent is taken back.")


@pytest_asyncio.fixture(loop_scope="session")
async def reachable(caller: Caller) -> AsyncIterator[dict[str, str]]:
    """Pages of a person with everything on them: by what they show."""
    shown = {
        "screen": f"/consents/{await previewed(caller)}/decide",
        "request": f"/requests/{await requested(caller)}",
        "no such page": f"/consents/{UNKNOWN}",
    }
    yield shown


async def looked_at(page: Page, found: dict[str, list[str]], name: str) -> None:
    await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found[name] = await violations(page)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nobody_is_kept_out_by_how_a_persons_page_is_made(
    chromium: Browser, caller: Caller, reachable: dict[str, str], language: str
) -> None:
    found: dict[str, list[str]] = {}
    async with opened_page(chromium, caller.running.url, language=language) as page:
        await sign_in(page, HUONG)
        for name, place in reachable.items():
            await page.goto(place)
            await looked_at(page, found, name)
        await page.goto(reachable["screen"])
        for box in await page.get_by_role("checkbox").all():
            await box.uncheck()
        await page.get_by_role("button", name=GIVE[language]).click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await looked_at(page, found, "nothing ticked")
        await page.get_by_role("checkbox").first.check()
        await page.get_by_role("button", name=GIVE[language]).click()
        await looked_at(page, found, "given")
        await page.locator("main a[href^='/consents/']").click()
        await looked_at(page, found, "one consent")
        await page.locator("form[action$='/share-code'] button").click()
        assert SHARE_CODE.search(await page.content())
        await looked_at(page, found, "share code")
        begun = ("/consents/new", "/consents/new?purpose=LENDING")
        for place in ("/consents?done=revoke", "/consents", "/accesses", *begun):
            await page.goto(place)
            await looked_at(page, found, place)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nobody_is_kept_out_by_how_a_guardians_page_is_made(
    chromium: Browser, caller: Caller, language: str
) -> None:
    found: dict[str, list[str]] = {}
    async with opened_page(chromium, caller.running.url, language=language) as page:
        await sign_in(page, GUARDIAN)
        await page.goto(f"/requests/{await requested(caller, person=MINOR)}")
        await looked_at(page, found, "for whom")
        await page.locator(f"main a[href*='for={MINOR}']").click()
        await looked_at(page, found, "screen for a ward")
        await page.get_by_role("button", name=GIVE[language]).click()
        await looked_at(page, found, "given for a ward")
        for place in ("/consents", f"/consents?for={MINOR}", f"/accesses?for={MINOR}"):
            await page.goto(place)
            await looked_at(page, found, place)
        await sign_in(page, MINOR)
        await page.goto(f"/consents/{await previewed(caller, person=MINOR)}/decide")
        await expect(page.get_by_role("alert")).to_be_visible()
        await looked_at(page, found, "screen of a minor alone")
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nobody_is_kept_out_by_how_a_page_for_staff_is_made(
    chromium: Browser, caller: Caller, language: str
) -> None:
    found: dict[str, list[str]] = {}
    async with opened_page(chromium, caller.running.url, language=language) as page:
        await sign_in(page, HUONG)
        await page.goto(f"/consents/{await previewed(caller, party=None)}/decide")
        await page.get_by_role("button", name=GIVE[language]).click()
        await page.locator("main a[href^='/consents/']").click()
        place = page.url
        await page.locator("form[action$='/share-code'] button").click()
        code = SHARE_CODE.search(await page.content())
        assert code is not None
        await sign_in(page, "landlord", kind="staff_of")
        await looked_at(page, found, "form")
        await page.locator("#code").fill("T-0000-0000-00")
        await page.locator("#born_on").fill("1997-05-21")
        await page.locator("main button").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await looked_at(page, found, "cannot be used")
        await page.locator("#code").fill(code[0].lower())
        await page.locator("#born_on").fill("1997-05-21")
        await page.locator("main button").click()
        await expect(page.locator("main")).to_contain_text("kct_")
        await looked_at(page, found, "answer")
        grant_id = place.rsplit("/", 1)[1]
        await caller.as_person(HUONG, "mutation($id: ID!) { pauseConsent(grant: $id) { id } }", {"id": grant_id})
        await page.locator("main form button").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await looked_at(page, found, "no answer now")
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


async def test_the_enter_key_checks_a_code_and_the_button_for_the_language_keeps_it(
    chromium: Browser, caller: Caller
) -> None:
    """Enter presses the first button of a form, and that of the language stands before the others."""
    async with opened_page(chromium, caller.running.url) as page:
        await sign_in(page, "landlord", kind="staff_of")
        await page.locator("#code").fill("T-0000-0000-00")
        await page.get_by_role("button", name="日本語").click()
        await expect(page.locator("html")).to_have_attribute("lang", "ja")
        await expect(page.locator("#code")).to_have_value("T-0000-0000-00")
        assert "T-0000" not in page.url
        await page.locator("#born_on").fill("1997-05-21")
        await page.locator("#code").press("Enter")
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.locator("html")).to_have_attribute("lang", "ja")
