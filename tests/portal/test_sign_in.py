"""Signing in and out: sessions that cannot be planted, cookies for this host alone, and ways back that stay here."""

import pytest

from gateway.portal.browser import SESSION_COOKIE
from gateway.portal.language import LANGUAGE_COOKIE
from tests.portal.stage import HUONG, RAHMAN, Portal


async def test_a_person_of_the_sandbox_signs_in_and_out(sandbox: Portal) -> None:
    visitor = sandbox.visitor()
    await visitor.sign_in(HUONG)
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"
    out = await visitor.post("/sign-out", {})
    assert (out.status_code, out.headers["location"]) == (303, "/sign-in")
    assert out.headers["clear-site-data"] == '"cache", "cookies", "storage"'
    assert await visitor.signed_in_as() is None


async def test_what_was_a_session_before_signing_out_is_none_any_more(sandbox: Portal) -> None:
    visitor, thief = sandbox.visitor(), sandbox.visitor()
    await visitor.sign_in(HUONG)
    thief.cookies = dict(visitor.cookies)
    await visitor.get("/sign-in")
    await visitor.post("/sign-out", {})
    assert await thief.signed_in_as() is None


async def test_staff_sign_in_for_their_relying_party_and_begin_where_codes_are_checked(sandbox: Portal) -> None:
    visitor = sandbox.visitor()
    await visitor.get("/sign-in")
    await visitor.post("/sign-in/sandbox", {"staff_of": "bank"})
    assert (await visitor.get("/")).headers["location"] == "/check-code"


async def test_everybody_begins_where_they_belong(sandbox: Portal) -> None:
    visitor = sandbox.visitor()
    assert (await visitor.get("/")).headers["location"] == "/sign-in"
    await visitor.sign_in(HUONG)
    assert (await visitor.get("/")).headers["location"] == "/consents"


@pytest.mark.parametrize("fields", [{"person": "P99"}, {"staff_of": "nobody"}, {"person": ""}, {}])
async def test_nobody_signs_in_as_somebody_who_does_not_exist(sandbox: Portal, fields: dict[str, str]) -> None:
    visitor = sandbox.visitor()
    await visitor.get("/sign-in")
    assert (await visitor.post("/sign-in/sandbox", fields)).status_code == 401
    assert await visitor.signed_in_as() is None


async def test_outside_the_sandbox_nobody_just_signs_in(portal: Portal) -> None:
    visitor = portal.visitor()
    page = await visitor.get("/sign-in")
    assert "NGUYEN" not in page.text
    assert (await visitor.post("/sign-in/sandbox", {"person": HUONG})).status_code == 404


async def test_a_planted_cookie_is_another_one_after_signing_in(sandbox: Portal) -> None:
    victim, attacker = sandbox.visitor(), sandbox.visitor()
    await attacker.get("/sign-in")
    planted = attacker.session
    assert planted is not None
    victim.cookies = dict(attacker.cookies)
    await victim.sign_in(HUONG)
    assert victim.session not in (None, planted)
    assert await attacker.signed_in_as() is None


async def test_who_signs_in_again_leaves_the_earlier_session(sandbox: Portal) -> None:
    visitor, earlier = sandbox.visitor(), sandbox.visitor()
    await visitor.sign_in(HUONG)
    earlier.cookies = dict(visitor.cookies)
    await visitor.sign_in(RAHMAN)
    assert await earlier.signed_in_as() is None
    assert await visitor.signed_in_as() == "RAHMAN MD ASHIQUR"


async def test_a_session_ends_after_eight_hours(sandbox: Portal) -> None:
    visitor = sandbox.visitor()
    await visitor.sign_in(HUONG)
    sandbox.clock.pass_by(hours=8, seconds=1)
    assert await visitor.signed_in_as() is None


async def test_every_cookie_is_for_this_host_alone_over_a_secure_connection(sandbox: Portal) -> None:
    visitor = sandbox.visitor()
    first = await visitor.get("/sign-in")
    signed_in = await visitor.post("/sign-in/sandbox", {"person": HUONG})
    language = await visitor.get("/language/ja")
    lines = [line for done in (first, signed_in, language) for line in done.headers.get_list("set-cookie")]
    assert [line.partition("=")[0] for line in lines] == [SESSION_COOKIE, SESSION_COOKIE, LANGUAGE_COOKIE]
    for line in lines:
        attributes = {part.strip().lower() for part in line.split(";")[1:]}
        assert {"secure", "httponly", "samesite=strict", "path=/"} <= attributes
        assert not any(one.startswith("domain") for one in attributes)


async def test_a_page_that_another_site_leads_to_does_not_end_the_session(sandbox: Portal) -> None:
    visitor, linked = sandbox.visitor(), sandbox.visitor()
    await visitor.sign_in(HUONG)
    page = await linked.get("/passkeys?a=1", {"sec-fetch-site": "cross-site"})
    assert page.status_code == 200
    assert '<meta http-equiv="refresh" content="0;url=/passkeys?a=1">' in page.text
    assert "set-cookie" not in page.headers
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"


PLACES = ["//evil.example", "https:evil.example", "https://evil.example", "\\\\evil.example", "/\\evil.example"]
TRICKS = ["/\tevil", "/\n/evil.example", "javascript:alert(1)", "evil", "", " /consents", "///evil.example"]


@pytest.mark.parametrize("place", [*PLACES, *TRICKS])
async def test_the_way_back_never_leads_elsewhere(sandbox: Portal, place: str) -> None:
    visitor = sandbox.visitor()
    await visitor.get("/sign-in")
    done = await visitor.post("/sign-in/sandbox", {"person": HUONG, "next": place})
    assert (done.status_code, done.headers["location"]) == (303, "/")


@pytest.mark.parametrize("place", PLACES)
async def test_choosing_a_language_never_leads_elsewhere(sandbox: Portal, place: str) -> None:
    done = await sandbox.visitor().http.get("/language/en", params={"next": place})
    assert (done.status_code, done.headers["location"]) == (303, "/")


async def test_who_is_not_signed_in_signs_in_and_comes_back(sandbox: Portal) -> None:
    visitor = sandbox.visitor()
    led = await visitor.get("/passkeys?from=here")
    assert led.headers["location"] == "/sign-in?next=%2Fpasskeys%3Ffrom%3Dhere"
    await visitor.get(led.headers["location"])
    assert 'name="next" value="/passkeys?from=here"' in visitor.page
    done = await visitor.post("/sign-in/sandbox", {"person": HUONG, "next": "/passkeys?from=here"})
    assert done.headers["location"] == "/passkeys?from=here"


async def test_the_language_is_what_was_chosen_and_else_what_the_browser_asks_for(sandbox: Portal) -> None:
    visitor = sandbox.visitor()
    asked = await visitor.get("/sign-in", {"accept-language": "vi, ja;q=0.8, en;q=0.5"})
    assert 'lang="ja"' in asked.text
    assert asked.headers["content-language"] == "ja"
    await visitor.get("/language/en?next=/enrol")
    assert "<h1>Sign in</h1>" in (await visitor.get("/sign-in", {"accept-language": "ja"})).text
    assert (await visitor.get("/language/vi")).status_code == 404


@pytest.mark.parametrize("name", ["style.css", "passkey.js"])
async def test_a_static_file_is_what_it_says(sandbox: Portal, name: str) -> None:
    found = await sandbox.visitor().get(f"/static/{name}")
    kind = {"style.css": "text/css", "passkey.js": "text/javascript"}[name]
    assert found.headers.get_list("content-type") == [f"{kind}; charset=utf-8"]
    assert found.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["layout.html", "..%2fpage.py", "%2e%2e/page.py", ""])
async def test_nothing_else_is_served_as_a_file(sandbox: Portal, name: str) -> None:
    assert (await sandbox.visitor().get(f"/static/{name}")).status_code == 404


async def test_in_the_sandbox_whoever_comes_by_another_name_is_led_to_the_one_that_forms_work_at(
    sandbox: Portal,
) -> None:
    visitor = sandbox.visitor()
    response = await visitor.get("/sign-in?next=/consents", {"host": "127.0.0.1:1"})
    assert (response.status_code, response.headers["location"]) == (303, f"{sandbox.url}/sign-in?next=/consents")
