"""What developers see of a sandbox, in a real browser: the explorer asks, the reference is readable."""

import pytest
from playwright.async_api import Browser, expect

from gateway.errors import PUBLIC_CODES
from resolvers.catalogue import ATTRIBUTES
from tests.conftest import Caller
from tests.portal.browser import opened_page, violations


async def test_the_explorer_reads_the_schema_and_runs_its_first_query(chromium: Browser, caller: Caller) -> None:
    asked: list[str] = []
    async with opened_page(chromium, caller.running.url) as page:
        page.on("request", lambda request: asked.append(request.url))
        await page.goto("/explorer")
        await page.get_by_role("button", name="Execute query").click()
        await expect(page.locator(".graphiql-response")).to_contain_text('"statusLawful"')
        await page.get_by_role("button", name="Show Documentation Explorer").click()
        await page.get_by_role("link", name="Query").first.click()
        await expect(page.locator(".graphiql-doc-explorer")).to_contain_text("subjects")
    assert [url for url in asked if not url.startswith((caller.running.url, "data:"))] == []


async def test_the_reference_tells_everything_that_can_be_asked(chromium: Browser, caller: Caller) -> None:
    async with opened_page(chromium, caller.running.url, with_script=True) as page:
        await page.goto("/docs")
        text = await page.locator("body").inner_text()
        assert not [code for code in PUBLIC_CODES if code not in text]
        names = {coordinate.partition(".")[2] for coordinate, a in ATTRIBUTES.items() if not a.person_only}
        assert not [name for name in names if name not in text]
        anchors = await page.evaluate(
            "() => [...document.querySelectorAll('a[href^=\"#\"]')]"
            ".filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.hash)"
        )
        assert set(anchors) <= {"#String", "#Int", "#Boolean", "#ID"}, "every type that is ours has its place"
        assert await violations(page) == []


@pytest.mark.parametrize("coordinate", ["Tax.incomeMeets", "Immigration.statusLawful"])
async def test_the_reference_says_for_which_purposes_it_may_be_asked(caller: Caller, coordinate: str) -> None:
    page = (await caller.http.get("/docs")).text
    own = page.partition(f'id="{coordinate}"')[2].partition("<dt")[0]
    assert "Sources: " in own
    assert "May be asked" in own
