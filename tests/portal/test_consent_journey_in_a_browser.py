"""What browsers do on the way that a reader of the pages cannot see: redirects, keys, narrow screens."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, ViewportSize, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from gateway.http.server import listening_socket, served
from gateway.portal.language import LANGUAGES
from tests.conftest import Caller
from tests.oauth.party import OPENING, OAuthParty
from tests.portal.browser import opened_page
from tests.portal.consenting import HUONG, SHARE_CODE, previewed
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock

NARROW: ViewportSize = {"width": 320, "height": 640}
"""The narrowest screen that nothing may be lost on. Source: WCAG 2.2 criterion 1.4.10."""


@dataclass(slots=True)
class Bank:
    """A relying party with a site of its own on this machine. `leads_on`: from there to its site of another name."""

    party: OAuthParty
    url: str
    other_url: str
    leads_on: bool = False

    @property
    def back(self) -> str:
        return f"{self.url}/back"

    async def push(self) -> str:
        """The address that the person is led to."""
        pushed = (await self.party.push(redirect_uri=self.back)).json()
        return f"{self.party.issuer}/oauth/authorize?client_id={self.party.id}&request_uri={pushed['request_uri']}"

    async def learns(self, url: str) -> str:
        """The outcome that the address stands for to which the browser came back."""
        (code,) = parse_qs(urlsplit(url).query)["code"]
        given = (await self.party.exchange(code, redirect_uri=self.back)).json()
        body = (await self.party.ask(given["access_token"], OPENING, {"consent": given["consent_token"]})).json()
        return str(body["data"]["subject"]["accountOpening"]["outcome"])


@pytest_asyncio.fixture(loop_scope="session")
async def bank(caller: Caller) -> AsyncIterator[Bank]:
    async def back(request: Request) -> Response:
        if made.leads_on and request.url.path == "/back":
            return RedirectResponse(f"{made.other_url}/accounts?{request.url.query}", status_code=303)
        return HTMLResponse("<!doctype html><title>Bank</title><h1>Welcome back</h1>")

    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listening_socket("127.0.0.1", 0))
        port = listener.getsockname()[1]
        party = OAuthParty(caller.http, caller.running.url, id=f"bank-{port}")
        made = Bank(party, f"http://127.0.0.1:{port}", f"http://localhost:{port}")
        oauth = {"keys": [party.public_key()], "redirect_uris": [made.back]}
        name = {"en": f"Kita {port}", "ja": f"北{port}"}
        registration = party.registration(oauth=oauth, name=name, sector=party.id)
        await caller.running.gateway.operator.act("relying-party add", {"registration": registration})
        await stack.enter_async_context(served(Starlette(routes=[Route("/{place}", back)]), listener))
        yield made


async def sign_in(page: Page, kind: str, who: str) -> None:
    await page.goto("/sign-in")
    await page.locator(f"#{kind}").select_option(who)
    await page.locator(f"form:has(#{kind}) button").click()
    await expect(page.locator("nav")).to_be_visible()


async def screen_of_a_pushed_request(page: Page, bank: Bank) -> None:
    """Come from the relying party, sign in, and see the screen."""
    await page.goto(await bank.push())
    await page.locator("#person").select_option(HUONG)
    await page.locator("form:has(#person) button").click()
    await page.wait_for_url("**/authorizations/*")


@pytest.mark.parametrize("leads_on", [False, True])
async def test_the_bank_may_lead_the_browser_on_to_another_of_its_sites(
    chromium: Browser, caller: Caller, bank: Bank, leads_on: bool
) -> None:
    """A browser may check `form-action` against every redirect that follows a form."""
    bank.leads_on = leads_on
    async with opened_page(chromium, caller.running.url, with_script=False) as page:
        await screen_of_a_pushed_request(page, bank)
        await page.get_by_role("button", name="Give consent").click()
        await page.wait_for_url(f"{bank.other_url}/accounts?**" if leads_on else f"{bank.back}?**", timeout=5000)
        assert await bank.learns(page.url) == "ELIGIBLE"


async def pressed(page: Page, words: str) -> list[str]:
    """Go by the tab key to the control that says these words, and press it; what was passed on the way."""
    seen: list[str] = []
    for _ in range(80):
        await page.keyboard.press("Tab")
        said = "document.activeElement.innerText || document.activeElement.name || document.activeElement.tagName"
        seen.append(await page.evaluate(said))
        if words in seen[-1]:
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert await page.evaluate(outline) != "none", "where the keys are can be seen"
            await page.keyboard.press("Enter")
            return seen
    raise AssertionError(f"{words} is not among {seen}")


async def test_the_keys_alone_lead_from_the_bank_and_back_and_take_it_back(
    chromium: Browser, caller: Caller, bank: Bank
) -> None:
    async with opened_page(chromium, caller.running.url) as page:
        await page.goto(await bank.push())
        await page.locator("#person").focus()
        await page.keyboard.type("NGUYEN THI HUONG")
        await pressed(page, "Sign in as this person")
        await page.wait_for_url("**/authorizations/*")
        passed = await pressed(page, "Give consent")
        assert passed[0] == "Skip to the content"
        assert "Decline" not in passed, "it comes after, not instead"
        await page.wait_for_url(f"{bank.back}?**")
        assert await bank.learns(page.url) == "ELIGIBLE"
        await page.goto("/")
        await pressed(page, "Take back")
        await expect(page.get_by_role("status")).to_contain_text("The consent is taken back.")
        await pressed(page, "Who has asked")
        await expect(page.locator("main li").first).to_contain_text("It was taken back, or given back.")


async def is_wider_than_the_screen(page: Page) -> bool:
    return bool(await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nothing_is_cut_off_on_the_narrowest_screen(chromium: Browser, caller: Caller, language: str) -> None:
    wide: dict[str, bool] = {}
    async with opened_page(chromium, caller.running.url, language=language) as page:
        await page.set_viewport_size(NARROW)
        await sign_in(page, "person", HUONG)
        grant_id = await previewed(caller, party=None)
        for place in (f"/consents/{grant_id}/decide", "/consents", "/accesses"):
            await page.goto(place)
            await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
            wide[place] = await is_wider_than_the_screen(page)
        await page.goto(f"/consents/{await previewed(caller)}/decide")
        await page.locator("main button[value=grant]").click()
        await expect(page.locator("main")).to_contain_text("kct_")
        wide["given"] = await is_wider_than_the_screen(page)
        await page.goto(f"/consents/{grant_id}/decide")
        await page.locator("main button[value=grant]").click()
        await page.goto(f"/consents/{grant_id}")
        wide["one consent"] = await is_wider_than_the_screen(page)
        await page.locator("form[action$='/share-code'] button").click()
        code = SHARE_CODE.search(await page.content())
        assert code is not None
        picture = await page.locator(".qr svg").bounding_box()
        assert picture is not None
        assert 100 < picture["width"] <= NARROW["width"]
        wide["share code"] = await is_wider_than_the_screen(page)
        await sign_in(page, "staff_of", "landlord")
        wide["check a code"] = await is_wider_than_the_screen(page)
        await page.locator("#code").fill(code[0])
        await page.locator("#born_on").fill("1997-05-21")
        await page.locator("main button").click()
        await expect(page.locator("main")).to_contain_text("kct_")
        wide["answer"] = await is_wider_than_the_screen(page)
    assert [place for place, is_wide in wide.items() if is_wide] == []
