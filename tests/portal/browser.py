"""A real browser, with an authenticator of its own that says yes."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def browser_path() -> str:
    """Where Chromium is. Skips without one; fails where a browser is required."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        reason = "no chromium on PATH: the tests in a real browser need one"
        if os.environ.get("KYOSEI_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """One Chromium for the session."""
    path = browser_path()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        await browser.close()


@asynccontextmanager
async def opened_page(
    chromium: Browser, url: str, *, language: str = "en", with_script: bool = True
) -> AsyncIterator[Page]:
    """A page in a fresh profile; an error in its script fails the test."""
    context: BrowserContext = await chromium.new_context(
        base_url=url, locale=language, java_script_enabled=with_script
    )
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if "Content Security Policy" in said.text else None)
    try:
        yield page
    finally:
        await context.close()
    assert errors == []


class Authenticator:
    """A virtual authenticator of a page. Source: WebAuthn level 3 section 11."""

    def __init__(self, session: CDPSession, authenticator: str) -> None:
        self._session = session
        self._id = authenticator

    @classmethod
    async def attached(cls, page: Page, *, verifies: bool = True) -> "Authenticator":
        """Give a page one that keeps passkeys. `verifies`: whether it can tell who unlocks it."""
        session = await page.context.new_cdp_session(page)
        await session.send("WebAuthn.enable")
        made = await session.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": verifies,
                    "isUserVerified": verifies,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        return cls(session, made["authenticatorId"])

    async def credentials(self) -> list[dict[str, Any]]:
        found = await self._session.send("WebAuthn.getCredentials", {"authenticatorId": self._id})
        return list(found["credentials"])

    async def give(self, credential: dict[str, Any]) -> None:
        """Put a passkey into it."""
        given = {"authenticatorId": self._id, "credential": credential}
        await self._session.send("WebAuthn.addCredential", given)

    async def forget_all(self) -> None:
        await self._session.send("WebAuthn.clearCredentials", {"authenticatorId": self._id})


async def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page. It is put in by the debugger: the page's policy lets no script in."""
    await page.evaluate(AXE)
    found = await page.evaluate("async () => (await axe.run()).violations")
    return [f"{one['id']}: {one['help']}: {[node['html'] for node in one['nodes']]}" for one in found]
