"""Signing in with an identity provider: its fresh word alone counts, and only what it verified enrols anybody."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from gateway.errors import ConfigurationError
from gateway.http.server import listening_socket
from gateway.portal.browser import SESSION_COOKIE
from gateway.portal.provider_sign_in import STATE_COOKIE
from gateway.provider_settings import read_providers
from gateway.settings import load_settings
from tests.gateway.sandboxes import copied_config, rows
from tests.portal import provider as signing
from tests.portal.browser import opened_page
from tests.portal.provider import CHIP, JPKI, Claims, Provider, open_provider, verified
from tests.portal.stage import Portal, Visitor, open_stage

HUONGS = {
    "family_name": "NGUYEN",
    "given_name": "THI HUONG",
    "birthdate": "1997-05-21",
    "residence_card_number": "ZZ20260001ZZ",
}
NEW = {
    "family_name": "GARCIA",
    "given_name": "MARIA",
    "birthdate": "1990-02-03",
    "residence_card_number": "AB12345678CD",
    "residence_card_expiry": "2028-01-31",
    "address": {"formatted": "東京都江東区"},
}
CONTINUE = re.compile(r'http-equiv="refresh" content="0;url=([^"]*)"')


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[Provider]:
    async with open_provider() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def portal(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> AsyncIterator[Portal]:
    async with open_stage(tmp_path_factory.mktemp("portal"), sandbox=False, providers=[provider.settings()]) as made:
        yield made


@pytest.fixture(autouse=True)
def honest(provider: Provider) -> None:
    """Every test begins with a provider that tells the truth."""
    provider.changed, provider.sign, provider.said, provider.names_issuer = signing.keep, None, {}, True


async def begin(visitor: Visitor, place: str = "/passkeys") -> str:
    """Press the provider's button; where the browser is led."""
    await visitor.get(f"/sign-in?next={place}")
    done = await visitor.post("/sign-in/provider/example", {"next": place})
    assert done.status_code == 200
    found = CONTINUE.search(done.text)
    assert found
    return found[1].replace("&amp;", "&")


async def at_provider(visitor: Visitor, url: str) -> str:
    """Sign in there; where it leads back to."""
    return str((await visitor.http.get(url)).headers["location"])


async def sign_in(visitor: Visitor, account: Claims, provider: Provider) -> httpx.Response:
    """The whole way, as a browser goes it."""
    provider.account = account
    back = await at_provider(visitor, await begin(visitor))
    return await visitor.get(back)


async def test_verified_claims_of_somebody_new_enrol_them(portal: Portal, provider: Provider) -> None:
    visitor = portal.visitor()
    done = await sign_in(visitor, {"sub": "new"} | verified(NEW), provider)
    assert done.status_code == 200
    assert CONTINUE.search(done.text)[1] == "/passkeys"  # type: ignore[index]  # the line above fails first
    assert await visitor.signed_in_as() == "GARCIA MARIA"
    again = portal.visitor()
    await sign_in(again, {"sub": "new"}, provider)
    assert await again.signed_in_as() == "GARCIA MARIA"


async def test_the_binding_level_is_the_configured_one(portal: Portal, provider: Provider) -> None:
    visitor = portal.visitor()
    claims = NEW | {"residence_card_number": "AB00000001CD"}
    await sign_in(visitor, {"sub": "chip"} | verified(claims, framework=CHIP, assurance="ic_chip"), provider)
    assert await visitor.signed_in_as() == "GARCIA MARIA"


async def test_verified_claims_of_somebody_enrolled_bind_the_account_to_them(
    portal: Portal, provider: Provider
) -> None:
    before = len(rows(portal.state, "SELECT id FROM person"))
    visitor = portal.visitor()
    claims = HUONGS | {"residence_card_number": "zz 2026 0001 ＺＺ", "given_name": "thi  Huong"}
    await sign_in(visitor, {"sub": "huong"} | verified(claims), provider)
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"
    assert len(rows(portal.state, "SELECT id FROM person")) == before


@pytest.mark.parametrize(
    "account",
    [
        {"sub": "a"},
        {"sub": "b", **HUONGS},
        {"sub": "c", "unverified_claims": verified(HUONGS)["verified_claims"]},
        {"sub": "d"} | verified(HUONGS, framework="self_asserted"),
        {"sub": "e"} | verified(HUONGS, framework=CHIP),
        {"sub": "f"} | verified(HUONGS, framework=CHIP, assurance="photo"),
        {"sub": "g", "verified_claims": {"claims": HUONGS}},
        {"sub": "h", "verified_claims": {"verification": {}, "claims": HUONGS}},
        {"sub": "i", "verified_claims": {"verification": JPKI, "claims": HUONGS}},
        {"sub": "j", "verified_claims": {"verification": {"trust_framework": [JPKI]}, "claims": HUONGS}},
        {"sub": "k", **HUONGS} | verified({"birthdate": HUONGS["birthdate"]}),
        {"sub": "l"} | verified(HUONGS | {"family_name": "SMITH"}),
        {"sub": "m"} | verified(HUONGS | {"birthdate": "1997-05-22"}),
        {"sub": "n"} | verified(HUONGS | {"residence_card_number": "1"}),
        {"sub": "o"} | verified(HUONGS | {"residence_card_number": ["ZZ20260001ZZ"]}),
        {"sub": "p"} | verified(HUONGS | {"birthdate": 19970521}),
        {"sub": "s"} | verified(HUONGS | {"birthdate": "19970521"}),
        {"sub": "q", "verified_claims": [None, 1, "x", verified(HUONGS, framework="x")["verified_claims"]]},
        {"sub": "r"} | verified(HUONGS | {"family_name": "\u202eNEYUGN"}),
    ],
    ids=lambda account: account["sub"],
)
async def test_whatever_is_not_verified_or_disagrees_binds_nobody(
    portal: Portal, provider: Provider, account: Claims
) -> None:
    before = rows(portal.state, "SELECT digest FROM provider_account"), rows(portal.state, "SELECT id FROM person")
    visitor = portal.visitor()
    done = await sign_in(visitor, account, provider)
    assert done.status_code == 403
    assert "counter" in done.text
    assert await visitor.signed_in_as() is None
    after = rows(portal.state, "SELECT digest FROM provider_account"), rows(portal.state, "SELECT id FROM person")
    assert [[*map(tuple, one)] for one in after] == [[*map(tuple, one)] for one in before]


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://evil.example"},
        {"aud": "another"},
        {"aud": ["kyosei", "another"]},
        {"aud": "another", "azp": "kyosei"},
        {"azp": "another"},
        {"exp": int(time.time()) - 3600},
        {"exp": "9999999999"},
        {"exp": None},
        {"iat": int(time.time()) + 3600},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"sub": ""},
        {"sub": 1},
        {"at_hash": "AAAA"},
    ],
    ids=" ".join,  # of the claims' names: what they say changes with the time
)
async def test_an_id_token_that_is_not_about_this_sign_in_is_refused(
    portal: Portal, provider: Provider, lie: Claims
) -> None:
    provider.changed = lambda claims: {k: v for k, v in (claims | lie).items() if v is not None}
    visitor = portal.visitor()
    assert (await sign_in(visitor, {"sub": "liar"} | verified(HUONGS), provider)).status_code == 401
    assert await visitor.signed_in_as() is None


@pytest.mark.parametrize(
    "sign",
    [signing.forged, signing.with_own_key, signing.unsigned, signing.by_public_key, signing.by_shared_secret],
    ids=lambda sign: sign.__name__,
)
async def test_an_id_token_that_the_providers_key_did_not_sign_is_refused(
    portal: Portal, provider: Provider, sign: Callable[[Provider, Claims], str]
) -> None:
    provider.sign = sign
    visitor = portal.visitor()
    assert (await sign_in(visitor, {"sub": "forger"} | verified(HUONGS), provider)).status_code == 401
    assert await visitor.signed_in_as() is None


async def test_a_provider_that_changes_its_keys_is_believed_with_the_new_ones(
    portal: Portal, provider: Provider
) -> None:
    await sign_in(portal.visitor(), {"sub": "huong"} | verified(HUONGS), provider)
    provider.key = signing.other_key()
    portal.clock.pass_by(seconds=31)
    visitor = portal.visitor()
    await sign_in(visitor, {"sub": "huong"} | verified(HUONGS), provider)
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"


async def test_the_browser_is_sent_with_state_nonce_and_a_challenge_and_led_back_exactly(
    portal: Portal, provider: Provider
) -> None:
    asked = {name: values[0] for name, values in parse_qs(urlsplit(await begin(portal.visitor())).query).items()}
    assert asked["redirect_uri"] == f"{portal.url}/sign-in/provider/example/callback"
    assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    assert "verified_claims" in asked["claims"]


async def test_the_cookie_of_a_sign_in_is_short_and_for_this_host_alone(portal: Portal) -> None:
    visitor = portal.visitor()
    await visitor.get("/sign-in")
    done = await visitor.post("/sign-in/provider/example", {})
    (line,) = [one for one in done.headers.get_list("set-cookie") if one.startswith(STATE_COOKIE)]
    attributes = {part.strip().lower() for part in line.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/", "max-age=600"} <= attributes


@pytest.mark.parametrize(
    "change",
    [
        lambda back: back.replace("state=", "state=x"),
        lambda back: back.replace("state=", "other="),
        lambda back: back.replace("iss=", "other="),
        lambda back: back.replace("iss=http", "iss=https"),
        lambda back: back.replace("code=", "other="),
        lambda back: back.replace("code=", "code=x"),
        lambda back: back + "&error=access_denied",
    ],
    ids=["state", "no state", "no issuer", "another issuer", "no code", "another code", "error"],
)
async def test_an_answer_that_was_changed_on_its_way_signs_nobody_in(
    portal: Portal, provider: Provider, change: Callable[[str], str]
) -> None:
    provider.account = {"sub": "huong"} | verified(HUONGS)
    visitor = portal.visitor()
    back = await at_provider(visitor, await begin(visitor))
    assert (await visitor.get(change(back))).status_code in (401, 403)
    assert await visitor.signed_in_as() is None


async def test_an_answer_is_nothing_in_another_browser_and_nothing_twice(portal: Portal, provider: Provider) -> None:
    provider.account = {"sub": "huong"} | verified(HUONGS)
    visitor, victim = portal.visitor(), portal.visitor()
    back = await at_provider(visitor, await begin(visitor))
    assert (await victim.get(back)).status_code == 403
    assert await victim.signed_in_as() is None
    assert (await visitor.get(back)).status_code == 200
    assert (await visitor.get(back)).status_code == 403


async def test_a_browser_that_kept_its_strict_cookie_back_is_signed_in_too(
    portal: Portal, provider: Provider
) -> None:
    """One that does not say where a page was opened from: the session's cookie is set once, by the sign-in."""
    provider.account = {"sub": "huong"} | verified(HUONGS)
    visitor = portal.visitor()
    back = await at_provider(visitor, await begin(visitor))
    sent = {"cookie": f"{STATE_COOKIE}={visitor.cookies[STATE_COOKIE]}"}
    done = await visitor.http.get(back, headers=sent)
    given = [line for line in done.headers.get_list("set-cookie") if line.startswith(f"{SESSION_COOKIE}=")]
    assert len(given) == 1
    visitor.cookies = {SESSION_COOKIE: given[0].partition("=")[2].partition(";")[0]}
    assert await visitor.signed_in_as() == "NGUYEN THI HUONG"


async def test_only_a_provider_that_says_when_somebody_signed_in_there_lets_them_erase(
    portal: Portal, provider: Provider
) -> None:
    """It may know them by a sign-in of this morning, at a browser where somebody else sits now."""
    visitor, now = portal.visitor(), int(portal.clock.now().timestamp())
    for told, may_erase in (({}, False), ({"auth_time": now - 301}, False), ({"auth_time": now + 3600}, True)):
        provider.account = {"sub": "huong", **verified(HUONGS), **told}
        url = await begin(visitor)
        await visitor.get(await at_provider(visitor, url))
        asked = parse_qs(urlsplit(url).query)
        again = {"prompt": ["login"], "max_age": ["60"]} if told else {"max_age": ["28800"]}
        assert {name: asked[name] for name in ("prompt", "max_age") if name in asked} == again
        assert ('action="/my-data/erase' in (await visitor.get("/my-data")).text) == may_erase
        assert ("Where you signed in did not say when." in visitor.page) == (not told), "what would help is said"
    portal.clock.pass_by(minutes=6)
    later = await visitor.get("/my-data")
    portal.clock.pass_by(minutes=-6)
    assert 'action="/my-data/erase' not in later.text, "what is said to be yet to come was now"


async def test_another_providers_answer_is_not_this_ones(tmp_path: Path, provider: Provider) -> None:
    providers = [provider.settings("example"), provider.settings("second")]
    async with open_stage(tmp_path, sandbox=False, providers=providers) as portal:
        provider.account = {"sub": "huong"} | verified(HUONGS)
        visitor = portal.visitor()
        back = await at_provider(visitor, await begin(visitor))
        assert (await visitor.get(back.replace("/example/", "/second/"))).status_code == 403


async def test_a_provider_that_is_silent_or_speaks_nonsense_is_told_as_such(tmp_path: Path) -> None:
    silent = Provider("http://127.0.0.1:9")
    async with (
        open_provider() as strange,
        open_stage(
            tmp_path, sandbox=False, providers=[silent.settings("silent"), strange.settings("strange")]
        ) as portal,
    ):
        strange.said = {"authorization_endpoint": "javascript:alert(1)"}
        visitor = portal.visitor()
        await visitor.get("/sign-in")
        assert (await visitor.post("/sign-in/provider/silent", {})).status_code == 503
        await visitor.get("/sign-in")
        assert (await visitor.post("/sign-in/provider/strange", {})).status_code == 401
        await visitor.get("/sign-in")
        assert (await visitor.post("/sign-in/provider/none", {})).status_code == 404


async def test_in_a_browser_the_way_there_and_back_ends_where_it_began(
    portal: Portal, provider: Provider, chromium: Browser
) -> None:
    provider.account = {"sub": "huong"} | verified(HUONGS)
    async with opened_page(chromium, portal.url) as page:
        await page.goto("/sign-in?next=/passkeys")
        await page.get_by_role("button", name="Sign in with Example ID").click()
        await page.wait_for_url("/passkeys")
        await expect(page.get_by_role("heading", name="My passkeys")).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("/sign-in")


async def test_it_works_with_a_provider_that_others_wrote(tmp_path: Path) -> None:
    """oidc-provider-mock in a process of its own: discovery, PKCE, RS256, and claims that are not verified."""
    with listening_socket("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--host", "127.0.0.1", "--port", str(port)]
    quiet = asyncio.subprocess.DEVNULL
    running = await asyncio.create_subprocess_exec(*command, stdout=quiet, stderr=quiet)
    try:
        issuer = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(trust_env=False) as http:
            for _ in range(200):
                try:
                    await http.get(f"{issuer}/.well-known/openid-configuration")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
            users: list[tuple[str, dict[str, Any]]] = [("verified", verified(HUONGS)), ("asserts", HUONGS)]
            for subject, claims in users:
                assert (await http.put(f"{issuer}/users/{subject}", json=claims)).status_code < 300
        settings = Provider(issuer).settings()
        async with open_stage(tmp_path, sandbox=False, providers=[settings]) as portal:
            for subject, name in (("asserts", None), ("verified", "NGUYEN THI HUONG")):
                visitor = portal.visitor()
                led = await visitor.http.post(await begin(visitor), data={"sub": subject})
                await visitor.get(led.headers["location"])
                assert await visitor.signed_in_as() == name
    finally:
        running.terminate()
        await running.wait()


GOOD = {"name": {"en": "A", "ja": "あ"}, "issuer": "https://id.example", "client_id": "kyosei"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"issuer": "http://id.example"}, "issuer"),
        ({"issuer": "ftp://id.example"}, "issuer"),
        ({"client_id": ""}, "client_id"),
        ({"client_secret": "changeme"}, "client_secret"),
        ({"unknown": 1}, "unknown"),
        ({"accepted": [{"trust_framework": "x", "binding_level": "CARD_FACE"}]}, "binding_level"),
        ({"accepted": [{"trust_framework": "x", "binding_level": "ASSERTED"}]}, "binding_level"),
        ({"client_secret_file": "missing"}, "client_secret_file"),
    ],
    ids=str,
)
def test_a_provider_that_may_not_be_configured_forbids_to_start(tmp_path: Path, change: Claims, named: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret-value")
    secret.chmod(0o400)
    with pytest.raises(ConfigurationError, match=named) as caught:
        read_providers({"example": {**GOOD, "client_secret_file": "secret", **change}}, folder=tmp_path)
    assert "s3cret-value" not in str(caught.value)
    assert "changeme" not in str(caught.value)


def test_a_secret_that_others_can_read_forbids_to_start(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    (tmp_path / "secret").chmod(0o644)
    with pytest.raises(ConfigurationError, match="readable by others"):
        read_providers({"example": {**GOOD, "client_secret_file": "secret"}}, folder=tmp_path)


def test_a_configured_provider_is_read_with_its_secret(tmp_path: Path) -> None:
    folder = copied_config(tmp_path)
    (folder / "secret").write_text("of a file\n")
    (folder / "secret").chmod(0o400)
    example = (folder / "identity_providers.toml").read_text(encoding="utf-8").partition("# [example]")[2]
    lines = "".join(f"{line.removeprefix('# ')}\n" for line in example.splitlines())
    text = "[example]\n" + lines.replace("/etc/kyosei/example.secret", "secret")
    (folder / "identity_providers.toml").write_text(text, encoding="utf-8")
    (found,) = load_settings(tmp_path / "state", folder=folder).identity_providers
    assert found.client_secret.get_secret_value() == "of a file"
    assert [row.binding_level for row in found.accepted] == ["JPKI", "IC_VERIFIED"]
    assert "of a file" not in repr(found)


def test_no_provider_is_configured_by_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path).identity_providers == ()
