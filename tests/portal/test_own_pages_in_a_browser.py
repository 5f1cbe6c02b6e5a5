"""The pages about what is held of somebody in a real browser: without a script, on a narrow screen, for everybody."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from gateway.portal.language import LANGUAGES
from tests.conftest import Caller
from tests.gateway.sandboxes import own_sandbox, settings_for
from tests.portal.browser import opened_page, violations
from tests.portal.consenting import GUARDIAN, HUONG, MINOR
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.test_consent_journey_in_a_browser import NARROW
from tests.portal.test_consent_journeys_in_a_browser import sign_in

DISPUTED = {"en": ("record=TAX", "claim=Tax.income"), "ja": ("record=LABOR", "claim=Labor.employed")}
NAME = "NGUYEN THI HUONG"
SILENT = "P13"
"""Whose municipality does not answer."""


async def looked_at(page: Page, found: dict[str, list[str]], place: str = "") -> None:
    """What is wrong with a page, everything on it unfolded; and whether it is wider than the screen."""
    if place:
        await page.goto(place)
    await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    found[page.url] = await violations(page)
    if await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
        found[page.url].append("wider than the screen")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_nobody_is_kept_out_by_how_these_pages_are_made(
    chromium: Browser, caller: Caller, language: str
) -> None:
    found: dict[str, list[str]] = {}
    async with opened_page(chromium, caller.running.url, language=language) as page:
        await page.set_viewport_size(NARROW)
        await sign_in(page, HUONG)
        await looked_at(page, found, "/records")
        for about in DISPUTED[language]:
            await looked_at(page, found, f"/disputes/new?{about}")
            await page.locator("#statement").fill("x" * 200)
            await page.locator("main form button").click()
            await expect(page.get_by_role("status")).to_be_visible()
            await looked_at(page, found)
        await page.locator("select").first.select_option("WITHDRAWN")
        await page.locator("details form button").first.click()
        await expect(page.get_by_role("status")).to_be_visible()
        await looked_at(page, found)
        await looked_at(page, found, "/records")
        await looked_at(page, found, "/my-data")
        await page.locator("#name").fill("Somebody else")
        await page.locator("button.danger").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await looked_at(page, found)
        await sign_in(page, SILENT)
        await looked_at(page, found, "/records")
        await sign_in(page, GUARDIAN)
        for place in (f"/records?for={MINOR}", f"/disputes?for={MINOR}", f"/my-data?for={MINOR}", "/my-data"):
            await looked_at(page, found, place)
        await sign_in(page, MINOR)
        await looked_at(page, found, "/my-data")
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


async def test_from_the_navigation_through_a_dispute_to_erasure_without_a_script(
    chromium: Browser, tmp_path: Path
) -> None:
    async with (
        own_sandbox(settings_for(tmp_path)) as caller,
        opened_page(chromium, caller.running.url, with_script=False) as page,
    ):
        await sign_in(page, HUONG)
        await page.get_by_role("link", name="What the authorities hold", exact=True).click()
        await page.get_by_role("row", name="In which band is the yearly income?").get_by_role("link").click()
        await page.get_by_label("What is wrong?").fill("The second job\nis missing.")
        await page.get_by_role("button", name="Dispute it").click()
        await expect(page.get_by_role("status")).to_contain_text("Nobody is told it")
        await expect(page.locator(".said")).to_have_text("The second job\nis missing.")
        await page.get_by_text("Close this dispute").click()
        await page.get_by_label("How did it end?").select_option("I take it back.")
        await page.get_by_role("button", name="Close", exact=True).click()
        await expect(page.get_by_role("heading", name="Closed")).to_be_visible()

        await page.get_by_role("link", name="My data", exact=True).click()
        async with page.expect_download() as saved:
            await page.get_by_role("button", name="Download the file").click()
        download = await saved.value
        assert download.suggested_filename == "kyosei-2026-11-20.json"
        await download.save_as(tmp_path / "saved.json")
        assert NAME in (tmp_path / "saved.json").read_text(encoding="utf-8")
        await page.get_by_label("To erase everything").fill(NAME)
        await page.get_by_role("button", name="Erase everything").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Everything is erased")
        await page.goto("/my-data")
        await page.wait_for_url("**/sign-in?next=*")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_page_that_says_it_is_done_keeps_nobody_out(
    chromium: Browser, tmp_path: Path, language: str
) -> None:
    found: dict[str, list[str]] = {}
    async with (
        own_sandbox(settings_for(tmp_path)) as caller,
        opened_page(chromium, caller.running.url, language=language) as page,
    ):
        await sign_in(page, HUONG)
        await page.goto("/my-data")
        await page.locator("#name").fill(NAME)
        await page.locator("button.danger").click()
        await expect(page.get_by_role("status")).to_be_visible()
        await looked_at(page, found)
    assert {name: wrong for name, wrong in found.items() if wrong} == {}
