"""Access tokens: who a relying party is, for five minutes, bound to a key (RFC 9068, RFC 9449)."""

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc import jwt
from joserfc.jwk import ECKey

from gateway.identity.jws import TokenError, check_lifetime, parse_token, text_of, verify_token

TOKEN_LIFE = timedelta(seconds=300)
TYP = "at+jwt"
JTI_BYTES = 16
MAX_KEPT = 1024


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """One of the gateway's own keys for ES256. `kid` is its RFC 7638 thumbprint. It signs from `signs_from` on."""

    kid: str
    key: ECKey
    signs_from: datetime


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What a verified access token says."""

    relying_party_id: str
    jkt: str
    scopes: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token that was good, by which key, and until when it is."""

    access: AccessToken
    kid: str
    ends_at: datetime


class AccessTokens:
    """Makes and verifies the gateway's access tokens. `keys`: all that may have signed a token still valid."""

    def __init__(self, *, issuer: str, keys: Callable[[], Sequence[SigningKey]]) -> None:
        self._issuer = issuer
        self._keys = keys
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def make(self, party_id: str, *, jkt: str, scopes: frozenset[str], now: datetime) -> str:
        """A token for a relying party that holds the key of this thumbprint."""
        signing = max((key for key in self._keys() if key.signs_from <= now), key=lambda key: key.signs_from)
        issued_at = int(now.timestamp())
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": party_id,
            "client_id": party_id,
            "iat": issued_at,
            "exp": issued_at + int(TOKEN_LIFE.total_seconds()),
            "jti": secrets.token_urlsafe(JTI_BYTES),
            "scope": " ".join(sorted(scopes)),
            "cnf": {"jkt": jkt},
        }
        header = {"alg": "ES256", "typ": TYP, "kid": signing.kid}
        return jwt.encode(header, claims, signing.key, algorithms=["ES256"])

    def verify(self, token: str, *, now: datetime) -> AccessToken:
        """Raises TokenExpiredError or TokenError. Source: RFC 9068 section 4.

        A token is verified once and known by its SHA-256 until it ends, or its key is no longer ours.
        """
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is not None and known.ends_at > now and any(key.kid == known.kid for key in self._keys()):
            return known.access
        verified = self._verified[digest] = self._verify(token, now=now)
        if len(self._verified) > MAX_KEPT:
            self._verified.popitem(last=False)
        return verified.access

    def _verify(self, token: str, *, now: datetime) -> _Verified:
        parsed = parse_token(token, typ=TYP)
        signing = next((key for key in self._keys() if key.kid == parsed.header.get("kid")), None)
        if signing is None:
            raise TokenError("kid")
        verify_token(parsed, signing.key)
        claims = parsed.claims
        if claims.get("iss") != self._issuer or claims.get("aud") != self._issuer:
            raise TokenError("iss or aud")
        text_of(claims, "jti")
        if "iat" not in claims:
            raise TokenError("iat")
        ends_at = check_lifetime(claims, now=now, longest=TOKEN_LIFE)
        bound_to = claims.get("cnf")
        if not isinstance(bound_to, dict):
            raise TokenError("cnf")
        scopes = claims.get("scope", "")
        if not isinstance(scopes, str) or claims.get("sub") != claims.get("client_id"):
            raise TokenError("scope or sub")
        access = AccessToken(text_of(claims, "client_id"), text_of(bound_to, "jkt"), frozenset(scopes.split()))
        return _Verified(access, signing.kid, ends_at)
