"""OpenID Connect with one provider: where a browser is sent, and what its code brings back, verified.

Authorization code with PKCE S256, state, nonce and `iss`; the ID token is verified with the provider's published
keys, by asymmetric algorithms alone. Source: OpenID Connect Core 1.0 section 3.1; RFC 9700; RFC 9207.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from authlib.common.security import generate_token
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from connectors.errors import SourceUnavailableError
from connectors.transport import HttpxTransport, WireRequest, check_base_url
from gateway.errors import AuthenticationError, OverloadedError
from gateway.identity.provider import IdentityProvider
from gateway.store.sessions import SESSION_LIFE

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
_FORBIDDEN_HEADERS = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "zip", "b64"})
DEADLINE_SECONDS = 5.0
MAX_REPLY_BYTES = 65_536
KEYS_REFETCHED_AFTER = timedelta(seconds=30)
_LEEWAY_SECONDS = 60
MAX_AGE_SECONDS, AGAIN_MAX_AGE_SECONDS = int(SESSION_LIFE.total_seconds()), 60
"""How long ago at most who signs in did so there: as long as a session here lasts; and who signs in again."""

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


@dataclass(frozen=True, slots=True, repr=False)
class Started:
    """A sign-in that has begun: what the browser keeps until it comes back, and where it goes."""

    url: str
    state: str
    nonce: str
    verifier: str


class OpenIDProvider:
    """A provider as this gateway speaks to it. What it publishes is read when it is first needed."""

    def __init__(self, provider: IdentityProvider, *, redirect_uri: str, now: Callable[[], datetime]) -> None:
        self._provider = provider
        self._redirect_uri = redirect_uri
        self._now = now
        self._transports: dict[str, HttpxTransport] = {}
        self._published: Mapping[str, Any] | None = None
        self._keys: tuple[KeySet, datetime] | None = None
        self._reading = asyncio.Lock()

    async def close(self) -> None:
        for transport in self._transports.values():
            await transport.close()

    async def start(self, *, again: bool = False) -> Started:
        """Begin a sign-in. Raises OverloadedError where the provider does not answer.

        `again`: whoever is signed in there shows anew who they are. The ID token tells when they did (`auth_time`).
        Source: OpenID Connect Core 1.0 sections 3.1.2.1 and 15.1.
        """
        published = await self._metadata()
        state, nonce, verifier = generate_token(43), generate_token(43), generate_token(64)
        names = dict.fromkeys(self._provider.claims.all())
        frameworks = sorted({row.trust_framework for row in self._provider.accepted})
        asked = {"verification": {"trust_framework": {"values": frameworks}}, "claims": names}
        url = prepare_grant_uri(
            published["authorization_endpoint"],
            client_id=self._provider.client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=self._provider.scope,
            state=state,
            nonce=nonce,
            code_challenge=create_s256_code_challenge(verifier),
            code_challenge_method="S256",
            claims=json.dumps({"id_token": {"verified_claims": asked}}) if frameworks else None,
            prompt="login" if again else None,
            max_age=AGAIN_MAX_AGE_SECONDS if again else MAX_AGE_SECONDS,
        )
        return Started(url, state, nonce, verifier)

    async def finish(self, answer: Mapping[str, str], *, nonce: str, verifier: str) -> Mapping[str, Any]:
        """The verified claims of the ID token that a code brings. `answer`: the query that came back.

        Raises AuthenticationError for anything that is not this provider's fresh word about this sign-in.
        """
        published = await self._metadata()
        needs_issuer = published.get("authorization_response_iss_parameter_supported") is True
        if answer.get("iss", None if needs_issuer else self._provider.issuer) != self._provider.issuer:
            raise AuthenticationError("iss")
        if "error" in answer or not answer.get("code"):
            raise AuthenticationError("the provider did not sign in")
        token = await self._token(published["token_endpoint"], answer["code"], verifier)
        return await self._verified(token, nonce)

    async def _token(self, endpoint: str, code: str, verifier: str) -> Mapping[str, Any]:
        body = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "client_id": self._provider.client_id,
            "client_secret": self._provider.client_secret.get_secret_value(),
            "code_verifier": verifier,
        }
        return await self._exchange("POST", endpoint, urlencode(body).encode())

    async def _verified(self, token: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        """Source: OpenID Connect Core 1.0 section 3.1.3.7; every claim that it calls for must be there."""
        text = token.get("id_token")
        if not isinstance(text, str) or len(text) > MAX_REPLY_BYTES:
            raise AuthenticationError("id_token")
        try:
            read = await self._decoded(text)
            if _FORBIDDEN_HEADERS & read.header.keys():
                raise AuthenticationError("id_token header")
            options = {
                "iss": {"essential": True, "value": self._provider.issuer},
                "aud": {"essential": True, "value": self._provider.client_id},
                "sub": {"essential": True},
            }
            params = {
                "nonce": nonce,
                "client_id": self._provider.client_id,
                "access_token": token.get("access_token"),
            }
            claims = CodeIDToken(read.claims, read.header, options, params)
            claims.validate(now=int(self._now().timestamp()), leeway=_LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError) as error:
            raise AuthenticationError("id_token") from error
        subject = read.claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise AuthenticationError("sub")
        return read.claims

    async def _decoded(self, text: str) -> jwt.Token:
        """The token, verified; once more with newer keys if those that are known do not verify it."""
        keys, read_at = await self._key_set(newer_than=None)
        try:
            return jwt.decode(text, keys, algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            if self._now() - read_at < KEYS_REFETCHED_AFTER:
                raise
        keys, _ = await self._key_set(newer_than=read_at)
        return jwt.decode(text, keys, algorithms=list(ALGORITHMS))

    async def _key_set(self, *, newer_than: datetime | None) -> tuple[KeySet, datetime]:
        published = await self._metadata()
        async with self._reading:
            if self._keys is None or self._keys[1] == newer_than:
                listed: Any = await self._exchange("GET", published["jwks_uri"])
                try:
                    self._keys = (KeySet.import_key_set(listed), self._now())
                except (JoseError, ValueError, TypeError, KeyError) as error:
                    raise AuthenticationError("jwks") from error
            return self._keys

    async def _metadata(self) -> Mapping[str, Any]:
        """What the provider publishes. Source: OpenID Connect Discovery 1.0 section 4."""
        async with self._reading:
            if self._published is None:
                issuer = self._provider.issuer
                found = await self._exchange("GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
                if found.get("issuer") != issuer or not all(_is_endpoint(found.get(one)) for one in _ENDPOINTS):
                    raise AuthenticationError("the provider publishes another issuer, or no endpoints")
                self._published = found
            return self._published

    async def _exchange(self, method: str, url: str, body: bytes = b"") -> Mapping[str, Any]:
        parts = urlsplit(url)
        form = (("content-type", "application/x-www-form-urlencoded"),) if body else ()
        headers = (("accept", "application/json"), *form)
        path = parts.path + ("?" + parts.query if parts.query else "")
        request = WireRequest(method, path, headers=headers, body=body)
        try:
            transport = self._transport(f"{parts.scheme}://{parts.netloc}")
            reply = await transport.exchange(request, deadline_seconds=DEADLINE_SECONDS, max_bytes=MAX_REPLY_BYTES)
        except (SourceUnavailableError, ValueError) as error:
            raise OverloadedError("the identity provider did not answer") from error
        if reply.status >= 500:
            raise OverloadedError("the identity provider failed")
        return _object(reply.body) if reply.status == 200 else {}

    def _transport(self, origin: str) -> HttpxTransport:
        """Raises ValueError for an origin that is neither https nor loopback."""
        if origin not in self._transports:
            self._transports[origin] = HttpxTransport(origin)
        return self._transports[origin]


def _is_endpoint(url: object) -> bool:
    """Whether a published address is one that a browser or we may be sent to."""
    try:
        check_base_url(url.partition("?")[0] if isinstance(url, str) else "")
    except ValueError:
        return False
    return True


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise AuthenticationError("the provider's reply is not JSON") from error
    if not isinstance(found, dict):
        raise AuthenticationError("the provider's reply is not an object")
    return found
