"""How a relying party proves who it is to the authorization server: `private_key_jwt` (RFC 7523, OIDC Core 9)."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.identity.jws import Parsed, PublicKey, TokenError, check_lifetime, parse_token, text_of, verify_token

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that was checked. `digest`: what to refuse a replay by."""

    relying_party_id: str
    digest: str
    expires_at: datetime


def read_assertion(token: str) -> tuple[str, Parsed]:
    """Who an assertion says that it is from; nothing is verified yet. Raises TokenError."""
    parsed = parse_token(token, typ=None)
    if str(parsed.header.get("typ", "JWT")).lower() not in ("jwt", "client-authentication+jwt"):
        raise TokenError("typ")  # no other kind of token passes for one
    issuer = text_of(parsed.claims, "iss")
    if parsed.claims.get("sub") != issuer:
        raise TokenError("iss and sub differ")
    return issuer, parsed


def check_assertion(parsed: Parsed, key: PublicKey, *, issuer: str, now: datetime) -> Assertion:
    """Check an assertion that is meant for this issuer, not whether it is a replay. Raises TokenError.

    `aud` is the issuer and nothing else. Source: FAPI 2.0 Security Profile section 5.3.2.1.
    """
    verify_token(parsed, key)
    claims = parsed.claims
    if claims.get("aud") not in (issuer, [issuer]):
        raise TokenError("aud")
    expires_at = check_lifetime(claims, now=now, longest=LONGEST_LIFE)
    party_id, jti = text_of(claims, "iss"), text_of(claims, "jti")
    digest = hashlib.sha256(f"assertion\x00{party_id}\x00{jti}".encode()).hexdigest()
    return Assertion(party_id, digest, expires_at)
