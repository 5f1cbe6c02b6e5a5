"""What forms and addresses may carry: refused, or shown as text; never believed, never run. Source: security 2 C."""

import time

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.http.dispatch import GatewayApp
from gateway.portal.page import Pages
from gateway.portal.rendering import Renderer
from tests.portal.stage import BORN, HUONG, Portal, Visitor

OWN = ["/records", "/disputes", "/disputes/new?claim=Tax.income", "/my-data"]
PAGES = ["/", "/sign-in", "/enrol", "/passkeys", "/language/ja", "/static/style.css", "/static/passkey.js", *OWN]
FORMS = [
    "/sign-in/sandbox",
    "/sign-out",
    "/enrol",
    "/passkeys/remove",
    "/disputes",
    "/my-data/erase",
    "/my-data/export",
]
SCRIPTED = ["/passkeys/options", "/passkeys", "/sign-in/passkey/options", "/sign-in/passkey"]
FIELDS = [
    ("/sign-in/sandbox", "person"),
    ("/sign-in/sandbox", "staff_of"),
    ("/sign-in/sandbox", "next"),
    ("/enrol", "code"),
    ("/enrol", "born_on"),
    ("/passkeys/remove", "id"),
    ("/my-data/erase", "name"),
]
NUL = "a\x00b"
MARKUP = [
    "<script>alert(1)</script>",
    "{{1234*4321}}",
    "{% raise %}",
    "\u202egnp.exe",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\ufe0f",
    '" onfocus="alert(1)" autofocus="',
    "' OR 1=1 --",
    "\ud7ff\ufffe",
    "%0d%0aset-cookie: a=b",
]
WANTED_HEADERS = {
    "cache-control": ("no-store", "no-cache"),
    "x-content-type-options": ("nosniff",),
    "referrer-policy": ("same-origin",),
    "cross-origin-opener-policy": ("same-origin",),
    "cross-origin-resource-policy": ("same-origin",),
}


def directives(policy: str) -> dict[str, str]:
    return {part.split()[0]: " ".join(part.split()[1:]) for part in policy.split(";") if part.strip()}


async def opened(portal: Portal) -> Visitor:
    """Somebody who is signed in and has a page with forms open."""
    visitor = portal.visitor()
    await visitor.sign_in(HUONG)
    await visitor.get("/sign-in")
    return visitor


@pytest.mark.parametrize("place", [*PAGES, *FORMS, *SCRIPTED])
async def test_every_answer_carries_the_headers_that_keep_it_to_itself(sandbox: Portal, place: str) -> None:
    visitor = await opened(sandbox)
    done = await (visitor.get(place) if place in PAGES else visitor.post(place, {}))
    for name, allowed in WANTED_HEADERS.items():
        assert done.headers[name] in allowed
    policy = directives(done.headers["content-security-policy"])
    assert (
        policy["default-src"] == policy["base-uri"] == policy["object-src"] == policy["frame-ancestors"] == "'none'"
    )
    assert policy["form-action"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in done.headers["content-security-policy"]
    assert "server" not in done.headers
    assert "strict-transport-security" not in done.headers  # this one is served by http


BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-language": "ja"}


@pytest.mark.parametrize(
    ("place", "status"), [("/no/such/page-" + "a" * 20, 404), ("/sign-in/<script>", 404), ("/consents/1/pause", 405)]
)
async def test_who_opens_an_address_that_is_none_sees_a_page(sandbox: Portal, place: str, status: int) -> None:
    done = await (await opened(sandbox)).get(place, BROWSER)
    assert done.status_code == status
    assert "ここには何もありません" in done.text
    assert "<script>" not in done.text
    assert "no/such/page" not in done.text
    assert done.headers.get("allow") == ("POST" if status == 405 else None)
    assert directives(done.headers["content-security-policy"])["default-src"] == "'none'"


async def test_what_breaks_is_a_page_too_for_whoever_looks_at_one() -> None:
    async def breaks(request: Request) -> Response:
        raise ValueError("secret")

    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    pages = Pages(Renderer(), is_https=False)
    app = GatewayApp(nothing, [Route("/breaks", breaks)], lambda inner: inner, page=pages.refusal)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as browser:
        done = await browser.get("/breaks", headers=BROWSER)
    assert (done.status_code, "INTERNAL" in done.text, "secret" in done.text) == (500, True, False)
    assert "こちらで問題が起きました" in done.text


async def test_a_program_is_told_the_same_in_json(sandbox: Portal) -> None:
    done = await (await opened(sandbox)).get("/no/such/page", {"accept": "*/*"})
    assert (done.status_code, done.json()["errors"][0]["extensions"]["code"]) == (404, "NOT_FOUND")


def test_over_https_browsers_are_told_to_stay_there() -> None:
    headers = Pages(Renderer(), is_https=True).headers()
    assert headers["Strict-Transport-Security"] == "max-age=63072000; includeSubDomains"


async def test_a_nonce_is_used_for_one_page_only(sandbox: Portal) -> None:
    policies = {(await sandbox.visitor().get("/sign-in")).headers["content-security-policy"] for _ in range(8)}
    assert len(policies) == 8


@pytest.mark.parametrize("csrf", ["", "0" * 64, "%C3%A9", "of another browser"])
@pytest.mark.parametrize("place", FORMS)
async def test_a_form_without_this_browsers_proof_does_nothing(sandbox: Portal, place: str, csrf: str) -> None:
    visitor = await opened(sandbox)
    if csrf == "of another browser":
        csrf = (await opened(sandbox)).page.split('name="csrf" value="')[1][:64]
    done = await visitor.post_raw(place, f"csrf={csrf}&person=P02")
    assert done.status_code == 403
    assert "CSRF_FAILED" in done.text
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "null"},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=lambda headers: ", ".join(f"{name}: {value}" for name, value in headers.items()),
)
@pytest.mark.parametrize("place", [*FORMS, *SCRIPTED])
async def test_another_sites_form_does_nothing_even_with_the_proof(
    sandbox: Portal, place: str, headers: dict[str, str]
) -> None:
    visitor = await opened(sandbox)
    done = await (
        visitor.post_json(place, "{}", headers)
        if place in SCRIPTED
        else visitor.post(place, {"person": "P02"}, headers)
    )
    assert done.status_code == 403
    assert "CSRF_FAILED" in done.text
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"


@pytest.mark.parametrize("place", SCRIPTED)
async def test_what_the_script_asks_needs_the_proof_in_a_header(sandbox: Portal, place: str) -> None:
    visitor = await opened(sandbox)
    done = await visitor.post_json(place, "{}", {"x-csrf-token": "0" * 64})
    assert done.status_code == 403
    assert done.json()["errors"][0]["extensions"]["code"] == "CSRF_FAILED"


@pytest.mark.parametrize("value", [*MARKUP, NUL])
@pytest.mark.parametrize(("place", "name"), FIELDS, ids=lambda one: str(one))
async def test_a_field_is_refused_or_shown_as_text(sandbox: Portal, place: str, name: str, value: str) -> None:
    visitor = await opened(sandbox)
    done = await visitor.post(place, {name: value})
    assert done.status_code in (303, 401, 422)
    assert "<script>alert" not in done.text
    assert "5332114" not in done.text
    assert "autofocus" not in done.text
    assert "set-cookie: a" not in str(done.headers).lower()


@pytest.mark.parametrize("place", ["/sign-in", "/enrol", "/static/style.css"])
async def test_an_address_with_a_nul_is_refused_whole(sandbox: Portal, place: str) -> None:
    assert (await sandbox.visitor().get(f"{place}%00")).status_code == 400
    assert (await sandbox.visitor().get(f"{place}?next=a%00b")).status_code == 400


@pytest.mark.parametrize("value", MARKUP)
@pytest.mark.parametrize("place", ["/sign-in", "/enrol", "/passkeys"])
async def test_an_address_is_refused_or_shown_as_text(sandbox: Portal, place: str, value: str) -> None:
    visitor = await opened(sandbox)
    path = "/" + value.replace(" ", "")  # stays a way back, and stands on the page
    request = visitor.http.build_request("GET", place, params={"next": path, "other": value})
    done = await visitor.get(str(request.url))
    assert done.status_code == 200
    assert "<script>alert" not in done.text
    assert 'onfocus="' not in done.text


@pytest.mark.parametrize("place", [*FORMS, *SCRIPTED])
@pytest.mark.parametrize(
    "body",
    [b"a=1&" * 250_000, b"a;" * 500_000, b"code=" + b"x" * 1_000_000, b"&" * 1_000_000],
    ids=["a million fields", "semicolons", "a megabyte", "ampersands"],
)
async def test_a_large_body_is_refused_before_it_is_read(sandbox: Portal, place: str, body: bytes) -> None:
    visitor = await opened(sandbox)
    headers = {"x-csrf-token": visitor.page.split('data-csrf="')[1][:64], "content-type": "application/json"}
    began = time.perf_counter()
    done = await visitor.post_raw(place, body, headers if place in SCRIPTED else None)
    assert time.perf_counter() - began < 1.0  # with the sending of a megabyte
    has_body = place not in ("/passkeys/options", "/sign-in/passkey/options")
    assert done.status_code == (413 if has_body else 200)


@pytest.mark.parametrize("place", FORMS)
async def test_many_small_fields_are_too_many(sandbox: Portal, place: str) -> None:
    visitor = await opened(sandbox)
    assert (await visitor.post(place, [("a", "1")] * 65)).status_code == 400


@pytest.mark.parametrize("body", ["a", "a=%", "a=%zz", "a=\xff", "=&=", "csrf=1&csrf=2"])
async def test_what_is_no_form_is_no_form(sandbox: Portal, body: str) -> None:
    visitor = await opened(sandbox)
    assert (await visitor.post_raw("/enrol", body.encode("latin-1"))).status_code in (400, 403)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""])
async def test_only_urlencoded_forms_are_read(sandbox: Portal, kind: str) -> None:
    visitor = await opened(sandbox)
    done = await visitor.post_raw("/enrol", "{}", {"content-type": kind})
    assert done.status_code == 415


@pytest.mark.parametrize("name", ["code", "born_on", "csrf"])
async def test_a_field_stands_there_once(sandbox: Portal, name: str) -> None:
    visitor = await opened(sandbox)
    done = await visitor.post("/enrol", [(name, BORN[HUONG]), (name, BORN[HUONG])])
    assert done.status_code == 400


@pytest.mark.parametrize("cookie", ["x" * 65, "x" * 4000, "\xe9", "a b", '"', "../../etc/passwd", "' OR 1=1 --"])
async def test_a_cookie_that_was_never_given_signs_nobody_in(sandbox: Portal, cookie: str) -> None:
    visitor = sandbox.visitor()
    done = await visitor.http.get("/", headers=[(b"cookie", b"__Host-kyosei=" + cookie.encode("latin-1"))])
    assert (done.status_code, done.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize("place", FORMS)
async def test_a_form_is_not_opened_by_an_address(sandbox: Portal, place: str) -> None:
    done = await (await opened(sandbox)).get(place)
    assert done.status_code == (200 if place in ("/enrol", "/disputes") else 405)
