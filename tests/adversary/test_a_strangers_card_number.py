"""Somebody knows a stranger's card number and all else that stands on the card, and has a passkey of their own.

They post it through every form and every page, and an account of theirs at an identity provider asserts it. Nothing
of the stranger is reached: no page names them, no row of theirs changes, no session, passkey or account is theirs.
"""

import itertools
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from starlette.routing import Route

from gateway.store.tables import metadata
from tests.gateway.sandboxes import rows
from tests.portal.browser import Authenticator, opened_page
from tests.portal.browser import chromium as chromium
from tests.portal.provider import JPKI, Claims, Provider, open_provider, verified
from tests.portal.stage import BORN, HUONG, RAHMAN, Portal, Visitor, open_stage

STRANGER, ATTACKER = HUONG, RAHMAN
CARD = "ZZ20260001ZZ"
NAME = "NGUYEN THI HUONG"
FIELDS = [
    "person",
    "staff_of",
    "code",
    "born_on",
    "id",
    "next",
    "name",
    "residence_card_number",
    "card",
    "sub",
    "owner",
]
SAID = [CARD, NAME, BORN[STRANGER], STRANGER, f"{CARD} {BORN[STRANGER]}"]
ASSERTED: list[Claims] = [
    {"residence_card_number": CARD},
    {"residence_card_number": CARD, "name": NAME, "family_name": "NGUYEN", "given_name": "THI HUONG"},
    {"residence_card_number": CARD, "birthdate": BORN[STRANGER], "family_name": "NGUYEN", "given_name": "THI HUONG"},
    {"person_id": STRANGER, "preferred_username": STRANGER, "email": f"{STRANGER}@example.jp"},
]
OWN_FACE = {"family_name": "RAHMAN", "given_name": "MD ASHIQUR", "birthdate": BORN[ATTACKER]}
OF_THE_STRANGER = ASSERTED[2]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[Provider]:
    async with open_provider() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def portal(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> AsyncIterator[Portal]:
    """Both are enrolled; the stranger has been here and left a passkey's row and an open code behind."""
    async with open_stage(
        tmp_path_factory.mktemp("stranger"), sandbox=False, providers=[provider.settings()]
    ) as made:
        stranger = made.visitor()
        await stranger.enrol(await made.code_for(STRANGER), BORN[STRANGER])
        await made.code_for(STRANGER)
        yield made


def of_the_stranger(portal: Portal) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the stranger, in every table that has a person's."""
    named = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name in ("person_id", "minor_id", "guardian_id") or (table.name, column.name) == ("person", "id")
    }
    return {
        f"{table}.{column}": sorted(
            map(tuple, rows(portal.state, f"SELECT * FROM {table} WHERE {column} = ?", STRANGER)), key=repr
        )
        for table, column in sorted(named)
    }


async def attacker_of(portal: Portal) -> Visitor:
    """Signed in as themselves, as anybody may be who showed their own card at the counter."""
    visitor = portal.visitor()
    await visitor.enrol(await portal.code_for(ATTACKER), BORN[ATTACKER])
    return visitor


def says_nothing(text: str) -> bool:
    """Nothing that only the stranger's record can tell."""
    return "HUONG" not in text


def forms(portal: Portal) -> list[str]:
    """Every address of the portal that takes a form or a script's JSON."""
    routes = portal.app.routes
    posts = [route for route in routes if isinstance(route, Route) and "POST" in (route.methods or ())]
    own = [route.path for route in posts if not route.path.startswith(("/graphql", "/oauth"))]
    return sorted({re.sub(r"\{[^}]*\}", STRANGER, path.replace("{provider}", "example")) for path in own})


def pages(portal: Portal) -> list[str]:
    """Every address of the portal that shows a page."""
    gets = [route for route in portal.app.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    return sorted({re.sub(r"\{[^}]*\}", STRANGER, route.path) for route in gets})


@pytest.mark.parametrize("is_enrolled", [False, True], ids=["nobody yet", "with an own enrolment"])
async def test_no_form_gives_anything_for_a_strangers_card(portal: Portal, is_enrolled: bool) -> None:
    visitor = await attacker_of(portal) if is_enrolled else portal.visitor()
    before = of_the_stranger(portal)
    places = forms(portal)
    assert len(places) >= 6
    for place, value in itertools.product(places, SAID):
        if place == "/sign-out":
            continue
        await visitor.get("/passkeys" if is_enrolled else "/enrol")
        fields = {name: value for name in FIELDS if name != "next"} | {"next": "/passkeys", "born_on": BORN[STRANGER]}
        done = await visitor.post(place, fields)
        assert says_nothing(done.text), place
        await visitor.get("/passkeys" if is_enrolled else "/sign-in")
        sent = await visitor.post_json(place, json.dumps({**fields, "userHandle": value, "rawId": value}))
        assert says_nothing(sent.text), place
    expected = "RAHMAN MD ASHIQUR" if is_enrolled else None
    assert await visitor.signed_in_as() == expected
    assert of_the_stranger(portal) == before


@pytest.mark.parametrize("is_enrolled", [False, True], ids=["nobody yet", "with an own enrolment"])
async def test_no_page_shows_anything_for_a_strangers_card(portal: Portal, is_enrolled: bool) -> None:
    visitor = await attacker_of(portal) if is_enrolled else portal.visitor()
    before = of_the_stranger(portal)
    for place, value in itertools.product(pages(portal), [said for said in SAID if said != NAME]):
        query = visitor.http.build_request("GET", place, params=dict.fromkeys(FIELDS, value)).url.query.decode()
        done = await visitor.get(f"{place}?{query}")
        assert done.status_code < 500, place
        assert says_nothing(done.text), place
    assert of_the_stranger(portal) == before


@pytest.mark.parametrize("asserted", ASSERTED, ids=lambda claims: "+".join(claims))
@pytest.mark.parametrize("dress", ["plain", "self-asserted framework", "in the wrong place"])
async def test_an_account_that_only_asserts_a_strangers_card_is_nobody(
    portal: Portal, provider: Provider, asserted: Claims, dress: str
) -> None:
    before = of_the_stranger(portal)
    own = {"verification": {"trust_framework": JPKI}}
    provider.account = {
        "plain": {"sub": "attacker", **asserted},
        "self-asserted framework": {"sub": "attacker"} | verified(asserted, framework="self"),
        "in the wrong place": {"sub": "attacker", **asserted, "verified_claims": own | {"claims": {}, **asserted}},
    }[dress]
    visitor = portal.visitor()
    assert (await at_provider_and_back(visitor)).status_code == 403
    assert await visitor.signed_in_as() is None
    assert of_the_stranger(portal) == before


async def test_own_verified_claims_with_a_strangers_number_mixed_in_are_nobody(
    portal: Portal, provider: Provider
) -> None:
    before = of_the_stranger(portal)
    provider.account = {"sub": "mixer", **OF_THE_STRANGER} | verified(OWN_FACE)
    unverified_number = portal.visitor()
    assert (await at_provider_and_back(unverified_number)).status_code == 403
    provider.account = {"sub": "mixer"} | verified(OWN_FACE | {"residence_card_number": CARD})
    disagreeing = portal.visitor()
    assert (await at_provider_and_back(disagreeing)).status_code == 403
    assert of_the_stranger(portal) == before


async def test_two_verifications_are_never_joined_into_one_person(portal: Portal, provider: Provider) -> None:
    before = of_the_stranger(portal)
    face = verified(OWN_FACE)["verified_claims"]
    number = verified(OF_THE_STRANGER, framework="self")["verified_claims"]
    provider.account = {"sub": "joiner", "verified_claims": [face, number]}
    visitor = portal.visitor()
    assert (await at_provider_and_back(visitor)).status_code == 403
    assert of_the_stranger(portal) == before


async def at_provider_and_back(visitor: Visitor) -> httpx.Response:
    await visitor.get("/sign-in?next=/passkeys")
    led = await visitor.post("/sign-in/provider/example", {"next": "/passkeys"})
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]*)"', led.text)
    assert found
    back = await visitor.http.get(found[1].replace("&amp;", "&"))
    return await visitor.get(back.headers["location"])


@pytest_asyncio.fixture(loop_scope="session")
async def page(chromium: Browser, portal: Portal) -> AsyncIterator[Page]:
    async with opened_page(chromium, portal.url) as made:
        yield made


async def test_an_own_passkey_stays_ones_own_whatever_handle_it_claims(page: Page, portal: Portal) -> None:
    """The authenticator is the attacker's: it can say any user handle, the stranger's id among them."""
    authenticator = await Authenticator.attached(page)
    await page.goto("/enrol")
    await page.locator("#code").fill(await portal.code_for(ATTACKER))
    await page.locator("#born_on").fill(BORN[ATTACKER])
    await page.locator("main button").click()
    await page.wait_for_url("/passkeys")
    before = of_the_stranger(portal)
    await page.get_by_role("button", name="Add a passkey").click()
    await expect(page.locator("tbody tr")).to_have_count(1)
    (own,) = await authenticator.credentials()
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("/sign-in")
    for handle in ("UDAx", "WloyMDI2MDAwMVpa"):  # P01 and the card number, in base64
        await authenticator.forget_all()
        await authenticator.give(own | {"userHandle": handle})
        await page.goto("/sign-in")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.locator("[data-passkey-message]")).to_be_visible()
    await authenticator.forget_all()
    await authenticator.give(own)
    await page.goto("/sign-in?next=/passkeys")
    await page.get_by_role("button", name="Sign in with a passkey").click()
    await page.wait_for_url("/passkeys")
    await page.goto("/sign-in")
    await expect(page.get_by_text("You are signed in as RAHMAN MD ASHIQUR.")).to_be_visible()
    assert of_the_stranger(portal) == before


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("scheme", ["Person", "Bearer", "DPoP"])
async def test_the_other_door_takes_no_persons_name_outside_the_sandbox(
    portal: Portal, scheme: str, said: str
) -> None:
    visitor = await attacker_of(portal)
    headers = {"authorization": f"{scheme} {said}", "content-type": "application/json"}
    done = await visitor.post_raw("/graphql", '{"query":"{ me { records { source } } }"}', headers)
    assert done.status_code == 401
    assert says_nothing(done.text)
