"""An identity provider of a test's own: it says of its accounts what the test lets it say, and lies where told to."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from connectors.interface import BindingLevel
from gateway.http.server import listening_socket, served
from gateway.identity.provider import AcceptedVerification, IdentityProvider, ProviderName

CLIENT_ID, CLIENT_SECRET = "kyosei", "a secret of the test"
JPKI = "jp_jpki"
CHIP = "jp_residence_card"

Claims = dict[str, Any]


def keep(claims: Claims) -> Claims:
    return claims


@dataclass(slots=True)
class Provider:
    """A provider that runs. `account`: who signs in next; `changed`: what it makes of the ID token's claims."""

    issuer: str
    account: Claims = field(default_factory=lambda: {"sub": "somebody"})
    changed: Callable[[Claims], Claims] = keep
    sign: Callable[["Provider", Claims], str] | None = None
    said: dict[str, str] = field(default_factory=dict)
    names_issuer: bool = True
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    begun: dict[str, dict[str, str]] = field(default_factory=dict)
    token_requests: list[dict[str, str]] = field(default_factory=list)

    def settings(self, provider_id: str = "example", **changed: Any) -> IdentityProvider:
        """As it stands in a gateway's configuration."""
        accepted = (
            AcceptedVerification(trust_framework=JPKI, binding_level=BindingLevel.JPKI),
            AcceptedVerification(
                trust_framework=CHIP, assurance_level="ic_chip", binding_level=BindingLevel.IC_VERIFIED
            ),
        )
        given = {
            "id": provider_id,
            "name": ProviderName(en="Example ID", ja="サンプルID"),
            "issuer": self.issuer,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "accepted": accepted,
        }
        return IdentityProvider(**{**given, **changed})

    def signed(self, claims: Claims) -> str:
        if self.sign is not None:
            return self.sign(self, claims)
        return jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key, algorithms=["RS256"])

    async def discovery(self, request: Request) -> Response:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "authorization_response_iss_parameter_supported": self.names_issuer,
        }
        return JSONResponse({**found, **self.said})

    async def jwks(self, request: Request) -> Response:
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def authorize(self, request: Request) -> Response:
        """Sign in whoever is there, at once."""
        asked = dict(request.query_params)
        code = secrets.token_urlsafe(16)
        self.begun[code] = asked
        answer = {"code": code, "state": asked["state"]} | ({"iss": self.issuer} if self.names_issuer else {})
        return RedirectResponse(f"{asked['redirect_uri']}?{urlencode(answer)}", status_code=303)

    async def token(self, request: Request) -> Response:
        sent = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        self.token_requests.append(sent)
        asked = self.begun.pop(sent.get("code", ""), None)
        challenge = _encoded(hashlib.sha256(sent.get("code_verifier", "").encode()).digest())
        right = asked is not None and (asked["code_challenge"], asked["redirect_uri"], CLIENT_SECRET) == (
            challenge,
            sent.get("redirect_uri"),
            sent.get("client_secret"),
        )
        if asked is None or not right:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        id_token = self.signed(self.changed(claims | self.account))
        return JSONResponse({"access_token": secrets.token_urlsafe(8), "token_type": "Bearer", "id_token": id_token})


@asynccontextmanager
async def open_provider() -> AsyncIterator[Provider]:
    """Serve a provider on loopback, on another site than the portal's."""
    listener = listening_socket("127.0.0.1", 0)
    with listener:
        made = Provider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        routes = [
            Route("/.well-known/openid-configuration", made.discovery),
            Route("/jwks", made.jwks),
            Route("/authorize", made.authorize),
            Route("/token", made.token, methods=["POST"]),
        ]
        async with served(Starlette(routes=routes), listener):
            yield made


def verified(claims: Claims, *, framework: str = JPKI, assurance: str | None = None) -> Claims:
    """What a provider says that it verified. Source: OpenID Connect for Identity Assurance 1.0 section 5."""
    verification = {"trust_framework": framework} | ({"assurance_level": assurance} if assurance else {})
    return {"verified_claims": {"verification": verification, "claims": claims}}


def other_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "one"})


def forged(provider: Provider, claims: Claims) -> str:
    """Signed by a key that the provider never published."""
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, other_key(), algorithms=["RS256"])


def with_own_key(provider: Provider, claims: Claims) -> str:
    """With the key to believe in its own header."""
    key = ECKey.generate_key("P-256", {"kid": "one"})
    header = {"alg": "ES256", "kid": "one", "jwk": key.as_dict(private=False)}
    return jwt.encode(header, claims, key, algorithms=["ES256"])


def unsigned(provider: Provider, claims: Claims) -> str:
    return f"{_part({'alg': 'none'})}.{_part(claims)}."


def by_public_key(provider: Provider, claims: Claims) -> str:
    """HMAC with the published key as the secret."""
    return _by_hmac(provider.key.as_pem(private=False), claims)


def by_shared_secret(provider: Provider, claims: Claims) -> str:
    return _by_hmac(CLIENT_SECRET.encode(), claims)


def _by_hmac(secret: bytes, claims: Claims) -> str:
    """Made by hand: the library refuses to."""
    signed = f"{_part({'alg': 'HS256', 'kid': 'one'})}.{_part(claims)}"
    return f"{signed}.{_encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def _part(value: Claims) -> str:
    return _encoded(json.dumps(value).encode())


def _encoded(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()
