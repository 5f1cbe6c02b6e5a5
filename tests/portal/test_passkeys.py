"""Passkeys in a real browser: they let in who made them, and nobody else, and never enrol."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from tests.gateway.sandboxes import rows
from tests.portal.browser import Authenticator, opened_page, violations
from tests.portal.stage import BORN, HUONG, RAHMAN, Portal

KEPT_THERE = '"residentKey": "required"'
NAMES = {HUONG: "NGUYEN THI HUONG", RAHMAN: "RAHMAN MD ASHIQUR"}


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, portal: Portal) -> AsyncIterator[Page]:
    async with opened_page(chromium, portal.url) as made:
        yield made


async def enrol(page: Page, portal: Portal, person: str) -> None:
    """Come in with a code from the counter."""
    await page.goto("/enrol")
    await page.get_by_label("Code", exact=False).first.fill(await portal.code_for(person))
    await page.get_by_label("Date of birth").fill(BORN[person])
    await page.get_by_role("button", name="Continue").click()
    await page.wait_for_url("/passkeys")


async def add_passkey(page: Page, count: int) -> None:
    """Add a passkey; then there are so many."""
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.locator("tbody tr")).to_have_count(count)


async def sign_out(page: Page) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("/sign-in")


async def sign_in(page: Page) -> None:
    await page.goto("/sign-in?next=/passkeys")
    await page.get_by_role("button", name="Sign in with a passkey").click()


async def refused(page: Page) -> None:
    await expect(page.locator("[data-passkey-message]")).to_have_text(
        "The passkey did not work. Please try again, or use another way."
    )
    assert page.url.endswith("/sign-in?next=/passkeys")


def sent_twice(seen: list[Any]) -> Any:
    """Let a request pass, and keep what it carried."""

    async def handle(route: Route) -> None:
        seen.append((route.request.post_data, await route.request.all_headers()))
        await route.continue_()

    return handle


async def test_a_code_then_a_passkey_then_a_second_one_then_recovery(page: Page, portal: Portal) -> None:
    authenticator = await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    await add_passkey(page, 1)
    (first,) = await authenticator.credentials()
    await sign_out(page)

    await sign_in(page)
    await page.wait_for_url("/passkeys")
    await expect(page.get_by_text("Sign out")).to_be_visible()
    await authenticator.forget_all()
    await add_passkey(page, 2)
    (second,) = await authenticator.credentials()
    assert second["credentialId"] != first["credentialId"]
    await sign_out(page)

    await enrol(page, portal, HUONG)
    await expect(page.get_by_text("You have no passkey yet.")).to_be_visible()
    await sign_out(page)
    await authenticator.forget_all()
    await authenticator.give(first)
    await sign_in(page)
    await refused(page)


async def test_a_passkey_lets_in_who_made_it(page: Page, portal: Portal) -> None:
    authenticator = await Authenticator.attached(page)
    await enrol(page, portal, RAHMAN)
    await add_passkey(page, 1)
    await sign_out(page)
    await sign_in(page)
    await page.wait_for_url("/passkeys")
    await page.goto("/sign-in")
    await expect(page.get_by_text(f"You are signed in as {NAMES[RAHMAN]}.")).to_be_visible()
    (credential,) = await authenticator.credentials()
    assert RAHMAN not in credential["userHandle"]


async def test_the_authenticator_is_not_told_whose_passkey_it_is_in_our_words(page: Page, portal: Portal) -> None:
    await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    seen: list[Any] = []

    async def look(route: Route) -> None:
        response = await route.fetch()
        seen.append(await response.json())
        await route.fulfill(response=response)

    await page.route("**/passkeys/options", look)
    await add_passkey(page, 1)
    (options,) = seen
    assert options["rp"]["id"] == "localhost"
    assert options["authenticatorSelection"]["residentKey"] == "required"
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert len(options["user"]["id"]) == 43


async def without_verifying(page: Page) -> None:
    """Let the script ask for less than it was told to: that nobody unlocks the authenticator."""

    async def weaken(route: Route) -> None:
        response = await route.fetch()
        asked = (await response.text()).replace('"required"', '"discouraged"')
        await route.fulfill(response=response, body=asked.replace('"residentKey": "discouraged"', KEPT_THERE))

    await page.route("**/options", weaken)


@pytest.mark.parametrize("is_weakened", [False, True], ids=["as asked", "with a changed script"])
async def test_an_authenticator_that_verifies_nobody_adds_no_passkey(
    chromium: Browser, portal: Portal, is_weakened: bool
) -> None:
    async with opened_page(chromium, portal.url) as page:
        authenticator = await Authenticator.attached(page, verifies=False)
        await enrol(page, portal, HUONG)
        if is_weakened:
            await without_verifying(page)
        await page.get_by_role("button", name="Add a passkey").click()
        await expect(page.locator("[data-passkey-message]")).to_have_text(
            "The passkey was not added. Please try again."
        )
        assert len(await authenticator.credentials()) == is_weakened
        assert not rows(portal.state, "SELECT id FROM passkey WHERE person_id = ?", HUONG)


async def test_a_passkey_that_nobody_unlocked_lets_nobody_in(chromium: Browser, portal: Portal) -> None:
    async with opened_page(chromium, portal.url) as page:
        await Authenticator.attached(page)
        await enrol(page, portal, HUONG)
        await add_passkey(page, 1)
        await sign_out(page)
        await without_verifying(page)
        await sign_in(page)
        await refused(page)


async def test_an_answer_works_once(page: Page, portal: Portal) -> None:
    await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    await add_passkey(page, 1)
    await sign_out(page)
    seen: list[Any] = []
    await page.route("**/sign-in/passkey?*", sent_twice(seen))
    await sign_in(page)
    await page.wait_for_url("/passkeys")
    (body, headers), replayer = seen[0], portal.visitor()
    wanted = {name: headers[name] for name in ("cookie", "x-csrf-token", "content-type", "origin")}
    again = await replayer.http.post("/sign-in/passkey", content=body, headers=wanted)
    assert again.status_code == 401
    assert "set-cookie" not in again.headers


async def test_an_answer_from_one_browser_is_nothing_in_another(page: Page, portal: Portal) -> None:
    await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    await add_passkey(page, 1)
    await sign_out(page)
    seen: list[Any] = []

    async def withhold(route: Route) -> None:
        seen.append(route.request.post_data)
        await route.abort()

    await page.route("**/sign-in/passkey?*", withhold)
    await sign_in(page)
    await refused(page)
    other = portal.visitor()
    await other.get("/sign-in")
    assert (await other.post_json("/sign-in/passkey", seen[0])).status_code == 401
    assert await other.signed_in_as() is None


async def test_an_answer_that_comes_late_is_nothing(page: Page, portal: Portal) -> None:
    await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    await add_passkey(page, 1)
    await sign_out(page)

    async def later(route: Route) -> None:
        portal.clock.pass_by(minutes=5, seconds=1)
        await route.continue_()

    await page.route("**/sign-in/passkey?*", later)
    await sign_in(page)
    await refused(page)


async def test_a_copied_passkey_is_noticed_by_its_counter(page: Page, portal: Portal) -> None:
    authenticator = await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    await add_passkey(page, 1)
    (copy,) = await authenticator.credentials()
    for _ in range(2):
        await sign_out(page)
        await sign_in(page)
        await page.wait_for_url("/passkeys")
    await sign_out(page)
    await authenticator.forget_all()
    await authenticator.give(copy)
    await sign_in(page)
    await refused(page)


async def test_the_last_passkey_is_removed_only_with_another_way_in(page: Page, portal: Portal) -> None:
    authenticator = await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    await add_passkey(page, 1)
    await authenticator.forget_all()
    await add_passkey(page, 2)
    await page.get_by_role("button", name="Remove passkey 1").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Remove passkey 1").click()
    await expect(page.get_by_role("alert").first).to_have_text(
        "This is your last passkey, and you have no other way to sign in. Add another one first."
    )
    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_whoever_has_a_way_in_adds_and_removes_passkeys_only_after_signing_in_again(
    page: Page, portal: Portal
) -> None:
    """Else whoever finds a browser open makes a key of their own, and has just signed in with that."""
    authenticator = await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    portal.clock.pass_by(minutes=6)
    await add_passkey(page, 1)  # the first: with their code used up they could not sign in again
    visitor = portal.visitor()
    visitor.cookies = {one["name"]: one["value"] for one in await page.context.cookies()}
    await visitor.get("/sign-in")
    assert [(await visitor.post_json(place, "{}")).status_code for place in ("/passkeys/options", "/passkeys")] == [
        401,
        401,
    ]
    (kept,) = rows(portal.state, "SELECT id FROM passkey WHERE person_id = ?", HUONG)
    removed = await visitor.post("/passkeys/remove", {"id": kept["id"]})
    assert removed.headers["location"].startswith("/sign-in?"), "nor does anybody remove one there"
    await expect(page.get_by_role("button", name="Add a passkey")).to_have_count(0)
    await page.get_by_role("link", name="Sign in again").click()
    await expect(page.get_by_text("Whoever has a passkey of yours can do everything here.")).to_be_visible()
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await page.wait_for_url("/passkeys")
    await authenticator.forget_all()
    await add_passkey(page, 2)


async def test_nobody_removes_anothers_passkey(page: Page, portal: Portal) -> None:
    await Authenticator.attached(page)
    await enrol(page, portal, HUONG)
    await add_passkey(page, 1)
    (theirs,) = rows(portal.state, "SELECT id FROM passkey WHERE person_id = ?", HUONG)
    other = portal.visitor()
    await other.enrol(await portal.code_for(RAHMAN), BORN[RAHMAN])
    await other.get("/passkeys")
    await other.post("/passkeys/remove", {"id": theirs["id"]})
    assert rows(portal.state, "SELECT id FROM passkey WHERE person_id = ?", HUONG)


async def test_staff_have_passkeys_of_their_own(page: Page, portal: Portal) -> None:
    await Authenticator.attached(page)
    await page.goto("/enrol")
    await page.get_by_label("Code", exact=False).first.fill(await portal.staff_code("bank"))
    await page.get_by_role("button", name="Continue").click()
    await add_passkey(page, 1)
    await sign_out(page)
    await sign_in(page)
    await page.wait_for_url("/passkeys")
    await expect(page.get_by_role("link", name="Check a code")).to_be_visible()
    (kept,) = rows(portal.state, "SELECT person_id, relying_party_id FROM passkey WHERE relying_party_id IS NOT NULL")
    assert tuple(kept) == (None, "bank")


@pytest.mark.parametrize("place", ["/passkeys/options", "/passkeys"])
async def test_who_is_not_signed_in_adds_no_passkey(portal: Portal, place: str) -> None:
    visitor = portal.visitor()
    await visitor.get("/sign-in")
    assert (await visitor.post_json(place, "{}")).status_code == 401


@pytest.mark.parametrize(
    "body",
    ["", "null", "[]", "{}", '{"id": 1}', "{" * 5000, '{"rawId": "AA", "id": "AA", "response": {}, "type": "x"}'],
)
@pytest.mark.parametrize("place", ["/passkeys", "/sign-in/passkey"])
async def test_what_is_no_answer_of_an_authenticator_is_refused(portal: Portal, place: str, body: str) -> None:
    visitor = portal.visitor()
    await visitor.enrol(await portal.code_for(HUONG), BORN[HUONG])
    await visitor.get("/passkeys")
    done = await visitor.post_json(place, body)
    assert done.status_code in (400, 401)
    assert done.json()["errors"][0]["extensions"]["code"] in ("BAD_JSON", "TOKEN_INVALID")


async def test_without_a_script_the_page_says_what_passkeys_need(chromium: Browser, portal: Portal) -> None:
    async with opened_page(chromium, portal.url, with_script=False) as page:
        await page.goto("/sign-in")
        await expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
        await expect(page.locator("[data-passkey]")).to_be_hidden()
        await enrol(page, portal, RAHMAN)
        await expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_nobody_is_kept_out_by_how_a_page_is_made(chromium: Browser, portal: Portal, language: str) -> None:
    async with opened_page(chromium, portal.url, language=language) as page:
        await Authenticator.attached(page)
        found: dict[str, list[str]] = {}
        for place in ("/sign-in", "/enrol"):
            await page.goto(place)
            found[place] = await violations(page)
        await page.locator("#code").fill("none")
        await page.locator("main button").click()
        await expect(page.get_by_role("alert").first).to_be_visible()
        found["refused code"] = await violations(page)
        await page.goto("/enrol")
        await page.locator("#code").fill(await portal.code_for(HUONG))
        await page.locator("#born_on").fill(BORN[HUONG])
        await page.locator("main button").click()
        await page.wait_for_url("/passkeys")
        found["no passkey"] = await violations(page)
        await page.goto("/passkeys")
        await page.locator("[data-passkey]").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        found["passkeys"] = await violations(page)
        await page.goto("/enrol")
        await page.locator("[name=csrf]").last.evaluate("one => { one.value = 'x' }")
        await page.locator("#code").fill("none")
        await page.locator("main button").click()
        await expect(page.locator("code")).to_have_text("CSRF_FAILED")
        found["refusal"] = await violations(page)
        assert await page.locator("html").get_attribute("lang") == language
        assert found == {place: [] for place in found}
