"""The authorization server: who a relying party is, what it may push. Source: FAPI 2.0 Security Profile, RFC 9700."""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

from tests.conftest import Caller
from tests.gateway.sandboxes import own_sandbox, settings_for
from tests.oauth.party import OPENING, REDIRECT_URI, OAuthParty, registered, seconds

ED25519 = OKPKey.generate_key("Ed25519")
TOKEN = {"grant_type": "client_credentials"}


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="caller")
async def make_caller(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as caller:
        yield caller


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="party")
async def make_party(caller: Caller) -> OAuthParty:
    party = await registered(caller)
    await party.access_token()
    return party


def refused(response: httpx.Response, error: str, status: int = 400, says: str = "") -> None:
    body = response.json()
    assert (response.status_code, body["error"]) == (status, error), response.text
    assert says in body.get("error_description", ""), response.text
    assert response.headers["cache-control"] == "no-store"


async def test_the_metadata_name_every_endpoint_and_promise_no_more_than_there_is(caller: Caller) -> None:
    metadata = (await caller.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["issuer"] == caller.running.url
    assert metadata["require_pushed_authorization_requests"] is True
    assert metadata["authorization_response_iss_parameter_supported"] is True
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    for use in ("token_endpoint_auth", "revocation_endpoint_auth", "dpop"):
        assert set(metadata[f"{use}_signing_alg_values_supported"]) == {"ES256", "PS256", "Ed25519", "EdDSA"}
    for name in ("pushed_authorization_request_endpoint", "token_endpoint", "revocation_endpoint"):
        response = await caller.http.post(metadata[name], data={"a": "b"})
        refused(response, "invalid_client", 401)
    keys = (await caller.http.get(metadata["jwks_uri"])).json()["keys"]
    assert [key.keys() & {"d", "p", "q"} for key in keys] == [set()]
    assert {(key["kid"], key["alg"]) for key in keys} == {(ECKey.import_key(keys[0]).thumbprint(), "ES256")}


async def test_an_access_token_lasts_five_minutes_and_is_bound_to_the_key_of_its_proof(party: OAuthParty) -> None:
    response = await party.post("/oauth/token", TOKEN)
    body = response.json()
    assert (body["token_type"], body["expires_in"]) == ("DPoP", 300)
    header, claims = (json.loads(_decoded(part)) for part in body["access_token"].split(".")[:2])
    assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
    assert (claims["sub"], claims["client_id"], claims["aud"]) == (party.id, party.id, party.issuer)
    assert claims["cnf"] == {"jkt": party.proof_key.thumbprint()}
    assert claims["exp"] - claims["iat"] == 300


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


@dataclass(frozen=True, slots=True)
class FromNow:
    """A moment so many seconds from when the test runs."""

    offset: int


BAD_ASSERTIONS: dict[str, dict[str, Any]] = {
    "for another server": {"aud": "https://other.example"},
    "for the token endpoint": {"aud": "{issuer}/oauth/token"},
    "for another one too": {"aud": ["{issuer}", "https://other.example"]},
    "for nobody": {"aud": None},
    "of another party": {"sub": "bank"},
    "of a party that is not registered": {"iss": "nobody", "sub": "nobody"},
    "of a party without keys": {"iss": "bank", "sub": "bank"},
    "expired": {"exp": FromNow(-1)},
    "without an end": {"exp": None},
    "for a year": {"exp": FromNow(31_536_000)},
    "from a minute ahead": {"iat": FromNow(61)},
    "not before a minute": {"nbf": FromNow(61)},
    "without an id": {"jti": None},
    "exp as text": {"exp": "9999999999"},
    "exp as truth": {"exp": True},
    "alg none": {"header": {"alg": "none"}},
    "alg HS256": {"header": {"alg": "HS256"}},
    "alg PS256": {"header": {"alg": "PS256"}},
    "another kid": {"header": {"kid": "2"}},
    "crit": {"header": {"crit": ["x"]}},
    "jwk": {"header": {"jwk": ECKey.generate_key("P-256").as_dict(private=False)}},
    "jku": {"header": {"jku": "http://127.0.0.1:9/keys"}},
    "typ of a proof": {"header": {"typ": "dpop+jwt"}},
}


@pytest.mark.parametrize("name", BAD_ASSERTIONS)
async def test_an_assertion_with_one_thing_wrong_says_nothing_about_what(party: OAuthParty, name: str) -> None:
    given = {key: _at(value, party.issuer) for key, value in BAD_ASSERTIONS[name].items()}
    header: Mapping[str, Any] | None = given.pop("header", None)
    form = {**party.authentication(), "client_assertion": party.assertion(header=header, **given), **TOKEN}
    response = await party.http.post("/oauth/token", data=form)
    refused(response, "invalid_client", 401)
    assert response.json()["error_description"] == "client_assertion", "the same for every one of them"


def _at(value: Any, issuer: str) -> Any:
    if isinstance(value, FromNow):
        return seconds() + value.offset
    if isinstance(value, list):
        return [_at(one, issuer) for one in value]
    return value.replace("{issuer}", issuer) if isinstance(value, str) else value


@pytest.mark.parametrize("claims", [{"iat": FromNow(9)}, {"aud": ["{issuer}"]}, {"iat": None}])
async def test_what_fapi_allows_in_an_assertion_is_taken(party: OAuthParty, claims: dict[str, Any]) -> None:
    given = {name: _at(value, party.issuer) for name, value in claims.items()}
    form = {**party.authentication(), "client_assertion": party.assertion(**given), **TOKEN}
    proof = party.proof("POST", f"{party.issuer}/oauth/token")
    response = await party.http.post("/oauth/token", data=form, headers={"DPoP": proof})
    assert response.status_code == 200, response.text


async def test_an_assertion_is_used_once(party: OAuthParty) -> None:
    form = {**party.authentication(), **TOKEN}
    for status in (200, 401):
        headers = {"DPoP": party.proof("POST", f"{party.issuer}/oauth/token")}
        response = await party.http.post("/oauth/token", data=form, headers=headers)
        assert response.status_code == status, response.text


async def test_no_token_without_a_proof_and_none_for_a_proof_used_before(party: OAuthParty) -> None:
    refused(await party.post("/oauth/token", TOKEN, proof=False), "invalid_dpop_proof")
    headers = {"DPoP": party.proof("POST", f"{party.issuer}/oauth/token")}
    for status in (200, 400):
        response = await party.http.post("/oauth/token", data={**party.authentication(), **TOKEN}, headers=headers)
        assert response.status_code == status, response.text
    refused(response, "invalid_dpop_proof", says="DPOP_REPLAYED")


async def test_a_proof_without_the_servers_nonce_gets_one(party: OAuthParty) -> None:
    headers = {"DPoP": party.proof("POST", f"{party.issuer}/oauth/token", nonce=None)}
    response = await party.http.post("/oauth/token", data={**party.authentication(), **TOKEN}, headers=headers)
    refused(response, "use_dpop_nonce")
    assert response.headers["dpop-nonce"]


async def test_a_proof_that_only_lacks_its_nonce_costs_nobody_the_assertion_beside_it(party: OAuthParty) -> None:
    form = {**party.authentication(), **TOKEN}
    for nonce, status in ((None, 400), (party.nonce, 200), (party.nonce, 401)):
        headers = {"DPoP": party.proof("POST", f"{party.issuer}/oauth/token", nonce=nonce)}
        response = await party.http.post("/oauth/token", data=form, headers=headers)
        assert response.status_code == status, response.text


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # our peers use its older name all the same
@pytest.mark.parametrize(
    ("key", "alg", "names"),
    [
        (RSAKey.generate_key(2048), "PS256", {"PS256": 200, "RS256": 401, "EdDSA": 401}),
        (ED25519, "Ed25519", {"Ed25519": 200, "EdDSA": 200, "ES256": 401}),
        (ED25519, "EdDSA", {"Ed25519": 200, "EdDSA": 200, "ES256": 401}),
    ],
)
async def test_a_key_signs_with_the_one_algorithm_that_it_is_for(
    caller: Caller, key: RSAKey | OKPKey, alg: str, names: dict[str, int]
) -> None:
    """An Ed25519 key's has two names; which of them is registered ties nobody to it."""
    party = OAuthParty(caller.http, caller.running.url, id=f"party-{alg.lower()}")
    public = {**key.as_dict(private=False), "kid": "1", "alg": alg}
    called = {"en": f"Bank {alg}", "ja": f"銀行 {alg}"}
    registration = party.registration(oauth={"keys": [public]}, name=called, sector=alg)
    await caller.running.gateway.operator.act("relying-party add", {"registration": registration})
    claims = {"iss": party.id, "sub": party.id, "aud": party.issuer, "exp": seconds() + 60}
    party.nonce = (await party.http.post("/oauth/token")).headers["dpop-nonce"]
    for named, status in names.items():
        if status == 200:
            assertion = jwt.encode({"alg": named, "kid": "1"}, claims | {"jti": named}, key, algorithms=[named])
        else:
            assertion = party.assertion(header={"alg": named}, jti=named)
        form = {**party.authentication(), "client_assertion": assertion, **TOKEN}
        headers = {"DPoP": party.proof("POST", f"{party.issuer}/oauth/token")}
        response = await party.http.post("/oauth/token", data=form, headers=headers)
        assert response.status_code == status, response.text


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "unsupported_grant_type"),
        ({**TOKEN, "scope": "everything"}, "invalid_scope"),
        ({"grant_type": "authorization_code"}, "invalid_grant"),
        ({"grant_type": "authorization_code", "code": "x", "code_verifier": "y" * 43}, "invalid_grant"),
    ],
)
async def test_the_token_endpoint_gives_what_it_names_and_nothing_else(
    party: OAuthParty, form: dict[str, str], error: str
) -> None:
    refused(await party.post("/oauth/token", form), error)


async def test_bodies_that_are_no_form_are_refused(party: OAuthParty) -> None:
    for path in ("/oauth/token", "/oauth/par", "/oauth/revoke"):
        refused(await party.http.post(path, json=party.authentication()), "invalid_request", 415)
        form = {"content-type": "application/x-www-form-urlencoded"}
        twice = f"client_assertion_type=a&client_assertion_type=a&grant_type={path[-1]}"
        refused(await party.http.post(path, content=twice, headers=form), "invalid_request")
        refused(await party.http.post(path, content="a=" + "b" * 70_000, headers=form), "invalid_request", 413)
        refused(await party.http.post(path, content="a;" * 30_000, headers=form), "invalid_request")
        refused(await party.http.post(path, content="&".join(["a=b"] * 1_000), headers=form), "invalid_request")
        refused(await party.http.post(path, content=b"a=\xff", headers=form), "invalid_request")


BAD_PUSHES: dict[str, tuple[dict[str, str], str]] = {
    "a redirect URI that is not registered": ({"redirect_uri": "https://evil.example/"}, "invalid_request"),
    "one that begins alike": ({"redirect_uri": REDIRECT_URI + "&x=y"}, "invalid_request"),
    "one of another case": ({"redirect_uri": REDIRECT_URI.upper()}, "invalid_request"),
    "no redirect URI": ({"redirect_uri": ""}, "invalid_request"),
    "no PKCE": ({"code_challenge": ""}, "invalid_request"),
    "plain PKCE": ({"code_challenge_method": "plain"}, "invalid_request"),
    "a challenge that is none": ({"code_challenge": "short"}, "invalid_request"),
    "an implicit flow": ({"response_type": "token"}, "unsupported_response_type"),
    "a hybrid flow": ({"response_type": "code id_token"}, "unsupported_response_type"),
    "a response in a form": ({"response_mode": "form_post"}, "invalid_request"),
    "a response in the fragment": ({"response_mode": "fragment"}, "invalid_request"),
    "a request object": ({"request": "eyJ"}, "invalid_request"),
    "a request in a request": ({"request_uri": "urn:x"}, "invalid_request"),
    "another's id": ({"client_id": "bank"}, "invalid_client"),
    "a grant to merge": ({"grant_management_action": "merge"}, "invalid_request"),
    "a key that is not the proof's": ({"dpop_jkt": "a" * 43}, "invalid_dpop_proof"),
    "a state without end": ({"state": "x" * 600}, "invalid_request"),
    "an unknown scope": ({"scope": "openid"}, "invalid_scope"),
    "no details": ({"authorization_details": ""}, "invalid_authorization_details"),
    "details that are no JSON": ({"authorization_details": "{"}, "invalid_authorization_details"),
    "details that are no list": ({"authorization_details": "{}"}, "invalid_authorization_details"),
    "no object in the details": ({"authorization_details": "[]"}, "invalid_authorization_details"),
}


@pytest.mark.parametrize("name", BAD_PUSHES)
async def test_a_request_that_fapi_forbids_is_refused_when_it_is_pushed(party: OAuthParty, name: str) -> None:
    form, error = BAD_PUSHES[name]
    given = {key: value for key, value in party.pushed_form(**form).items() if value}
    refused(await party.post("/oauth/par", given), error, 401 if error == "invalid_client" else 400)


async def test_a_request_names_how_its_answer_comes_back_or_leaves_it(party: OAuthParty) -> None:
    metadata = (await party.http.get("/.well-known/oauth-authorization-server")).json()
    assert metadata["response_modes_supported"] == ["query"]
    for named in ({}, {"response_mode": "query"}):
        assert (await party.push(**named)).status_code == 201


TAX = "query($consent: ConsentToken!) {{ subject(consent: $consent) {{ tax {{ {} }} }} }}"
MEETS = "t{0}: incomeMeets(yearlyYen: {0}) {{ value }}"
FORBIDDEN: dict[str, tuple[dict[str, Any], str]] = {
    "a purpose that is none": ({"purpose": "GOSSIP"}, "CONSENT_REQUEST_INVALID"),
    "a purpose that is not the party's": ({"purpose": "ACCOUNT_MAINTENANCE"}, "PURPOSE_FORBIDS"),
    "a question that the purpose forbids": ({"document": TAX.format("income { value }")}, "PURPOSE_FORBIDS"),
    "a threshold beside the grid": (
        {"purpose": "LENDING", "document": TAX.format(MEETS.format(3_600_001))},
        "OFF_GRID",
    ),
    "five thresholds": (
        {"purpose": "LENDING", "document": TAX.format(" ".join(MEETS.format(n * 120_000) for n in range(1, 6)))},
        "PROBE_BUDGET_EXCEEDED",
    ),
    "longer than the purpose allows": ({"consentExpiry": "2099-01-01T00:00:00Z"}, "CONSENT_REQUEST_INVALID"),
    "more uses than the purpose allows": ({"uses": 4}, "CONSENT_REQUEST_INVALID"),
    "uses in words": ({"uses": "1"}, "CONSENT_REQUEST_INVALID"),
    "uses as a yes": ({"uses": True}, "CONSENT_REQUEST_INVALID"),
    "uses in part": ({"uses": 1.0}, "CONSENT_REQUEST_INVALID"),
    "an end as a number": ({"consentExpiry": 1_796_000_000}, "CONSENT_REQUEST_INVALID"),
    "a consent token in the document": (
        {"document": '{ subject(consent: "kct_x") { accountOpening { outcome } } }'},
        "CONSENT_REQUEST_INVALID",
    ),
    "a consent token as a default": (
        {"document": OPENING.replace("ConsentToken!", 'ConsentToken! = "kct_x"')},
        "CONSENT_REQUEST_INVALID",
    ),
    "a consent token among several": (
        {
            "document": "query($consent: ConsentToken!) "
            '{ subjects(consents: [$consent, "kct_x"]) { accountOpening { outcome } } }'
        },
        "CONSENT_REQUEST_INVALID",
    ),
    "kept for longer": ({"dataLife": {"unit": "DAY", "value": 31}}, "CONSENT_REQUEST_INVALID"),
    "periodic, where it is for once": ({"fetchType": "PERIODIC"}, "CONSENT_REQUEST_INVALID"),
    "questions by hand": ({"questions": ["Subject.accountOpening"]}, "CONSENT_REQUEST_INVALID"),
    "another type": ({"type": "urn:other"}, "CONSENT_REQUEST_INVALID"),
    "another gateway": ({"locations": ["https://other.example/graphql"]}, "CONSENT_REQUEST_INVALID"),
    "optional, but not asked": ({"optional": ["Labor.tenure"]}, "CONSENT_REQUEST_INVALID"),
    "a document that is none": ({"document": "{"}, "VALIDATION_FAILED"),
    "a document about nobody": ({"document": "{ __typename }"}, "CONSENT_REQUEST_INVALID"),
    "a person's document": ({"document": "{ me { id } }"}, "CONSENT_REQUEST_INVALID"),
    "no document": ({"document": None}, "CONSENT_REQUEST_INVALID"),
}


@pytest.mark.parametrize("name", FORBIDDEN)
async def test_what_purpose_grid_or_budget_forbid_is_refused_with_its_code_before_anybody_sees_it(
    caller: Caller, party: OAuthParty, name: str
) -> None:
    before = await caller.calls()
    different, code = FORBIDDEN[name]
    refused(await party.push(party.details(**different)), "invalid_authorization_details", says=code)
    assert await caller.calls() == before


async def test_two_consents_are_two_requests(party: OAuthParty) -> None:
    both = json.dumps(json.loads(party.details()) * 2)
    refused(await party.push(both), "invalid_authorization_details", says="one object")


async def test_a_good_request_is_kept_for_less_than_ten_minutes(party: OAuthParty) -> None:
    response = await party.push()
    assert response.status_code == 201, response.text
    assert response.json()["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
    assert 0 < response.json()["expires_in"] < 600
    other = await party.push(party.details(document=OPENING, uses=1, dataLife={"unit": "DAY", "value": 1}))
    assert other.json()["request_uri"] != response.json()["request_uri"]
