"""A relying party's own OAuth client, for tests: keys, assertions, proofs, and whatever may be wrong with them."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64encode

from gateway.identity.assertion import ASSERTION_TYPE
from tests.conftest import Caller

REDIRECT_URI = "https://bank.example/back?from=kyosei"
OPENING = "query($consent: ConsentToken!) { subject(consent: $consent) { accountOpening { outcome } } }"


def seconds(moment: datetime | None = None) -> int:
    return int((moment or datetime.now(UTC)).timestamp())


def signed(header: Mapping[str, Any], claims: Mapping[str, Any], key: ECKey) -> str:
    """A compact JWS signed with ES256, whatever the header says; a member of None is left out."""
    named = {name: value for name, value in header.items() if value is not None}
    text = b".".join(urlsafe_b64encode(json.dumps(part).encode()) for part in (named, dict(claims)))
    private = key.private_key
    assert private is not None
    r, s = decode_dss_signature(private.sign(text, ECDSA(SHA256())))
    return (text + b"." + urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big"))).decode()


@dataclass(slots=True)
class OAuthParty:
    """One relying party that is registered with a key of its own. `now`: its clock."""

    http: httpx.AsyncClient
    issuer: str
    id: str = "oauth-bank"
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    proof_key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    nonce: str | None = None
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def registration(self, **different: Any) -> dict[str, Any]:
        """What `kyosei relying-party add` takes."""
        return {
            "id": self.id,
            "name": {"en": "Aozora Trust", "ja": "青空信託"},
            "sector": "aozora",
            "purposes": ["ACCOUNT_OPENING", "LENDING", "TENANCY"],
            "address": "5-5 Aozora, Sapporo",
            "contact": "privacy@aozora.example",
            "oauth": {"keys": [self.public_key()], "redirect_uris": [REDIRECT_URI]},
        } | different

    def public_key(self) -> dict[str, Any]:
        return {**self.key.as_dict(private=False), "kid": "1", "alg": "ES256"}

    def assertion(self, *, header: Mapping[str, Any] | None = None, **claims: Any) -> str:
        """`private_key_jwt`; a claim of None is left out."""
        given = {
            "iss": self.id,
            "sub": self.id,
            "aud": self.issuer,
            "jti": secrets.token_urlsafe(16),
            "iat": seconds(),
            "exp": seconds() + 60,
        } | claims
        kept = {name: value for name, value in given.items() if value is not None}
        return signed({"alg": "ES256", "kid": "1", **(header or {})}, kept, self.key)

    def proof(
        self,
        method: str,
        url: str,
        *,
        access_token: str | None = None,
        key: ECKey | None = None,
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A DPoP proof; a claim of None is left out."""
        key = key or self.proof_key
        given: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": url,
            "iat": seconds(),
            "nonce": self.nonce,
            "ath": None if access_token is None else ath(access_token),
        } | claims
        kept = {name: value for name, value in given.items() if value is not None}
        named = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
        return signed(named | dict(header or {}), kept, key)

    def authentication(self) -> dict[str, str]:
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}

    async def post(self, path: str, form: Mapping[str, str], *, proof: bool = True) -> httpx.Response:
        """A form with this party's assertion; once more with the nonce that the gateway asks for."""
        for _ in range(2):
            headers = {"DPoP": self.proof("POST", f"{self.issuer}{path}")} if proof else {}
            body = {**self.authentication(), **form}
            response = await self.http.post(path, data=body, headers=headers)
            self.heard(response)
            if not (proof and response.status_code == 400 and response.json()["error"] == "use_dpop_nonce"):
                break
        return response

    def heard(self, response: httpx.Response) -> None:
        self.nonce = response.headers.get("dpop-nonce", self.nonce)

    async def access_token(self, **form: str) -> str:
        response = await self.post("/oauth/token", {"grant_type": "client_credentials", **form})
        assert response.status_code == 200, response.text
        token: str = response.json()["access_token"]
        return token

    def details(self, **different: Any) -> str:
        given = {
            "type": "urn:kyosei:compliance-check:1",
            "locations": [f"{self.issuer}/graphql"],
            "purpose": "ACCOUNT_OPENING",
            "document": OPENING,
        } | different
        return json.dumps([{name: value for name, value in given.items() if value is not None}])

    def pushed_form(self, details: str | None = None, **different: str) -> dict[str, str]:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")
        return {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": REDIRECT_URI,
            "state": "s1",
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "authorization_details": details or self.details(),
        } | different

    async def push(self, details: str | None = None, **different: str) -> httpx.Response:
        return await self.post("/oauth/par", self.pushed_form(details, **different))

    async def exchange(self, code: str, **different: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": self.verifier,
            "redirect_uri": REDIRECT_URI,
        }
        return await self.post("/oauth/token", form | different)

    async def ask(self, access_token: str, query: str, variables: Mapping[str, Any]) -> httpx.Response:
        """A GraphQL request with a fresh proof; once more with the nonce that the gateway asks for."""
        for _ in range(2):
            proof = self.proof("POST", f"{self.issuer}/graphql", access_token=access_token)
            response = await self.http.post(
                "/graphql",
                json={"query": query, "variables": dict(variables)},
                headers={"Authorization": f"DPoP {access_token}", "DPoP": proof},
            )
            self.heard(response)
            if response.status_code != 401 or "use_dpop_nonce" not in response.headers["www-authenticate"]:
                break
        return response

    async def at_grant(self, method: str, access_token: str, grant_id: str) -> httpx.Response:
        """Query or revoke a grant."""
        path = f"/oauth/grants/{grant_id}"
        for _ in range(2):
            proof = self.proof(method, f"{self.issuer}{path}", access_token=access_token)
            headers = {"Authorization": f"DPoP {access_token}", "DPoP": proof}
            response = await self.http.request(method, path, headers=headers)
            self.heard(response)
            if response.status_code != 401 or response.json()["error"] != "use_dpop_nonce":
                break
        return response


def ath(access_token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).decode().rstrip("=")


async def registered(caller: Caller, party_id: str = "oauth-bank", **different: Any) -> OAuthParty:
    """A relying party that the operator has registered."""
    party = OAuthParty(caller.http, caller.running.url, id=party_id)
    registration = party.registration(**different)
    await caller.running.gateway.operator.act("relying-party add", {"registration": registration})
    return party


def led_back(location: str) -> dict[str, str]:
    """The parameters that a browser brings back to the relying party."""
    assert location.startswith(REDIRECT_URI + "&"), location
    brought = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    return {name: value for name, value in brought.items() if name != "from"}
