"""Proof of possession (DPoP, RFC 9449): that a request comes from the holder of a key, for this request alone."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from urllib.parse import urlsplit

import orjson

from gateway.identity.jws import (
    AHEAD,
    PublicKey,
    TokenError,
    moment_of,
    parse_token,
    read_public_key,
    text_of,
    verify_token,
)

PROOF_LIFE = timedelta(seconds=60)
NONCE_SECONDS = 120
MAX_KEPT_KEYS = 1024
MAX_KEPT_TARGETS = 64
MAX_KEPT_NONCES = 4
_TAG_BYTES = 16
_SLOT_BYTES = 8
_DEFAULT_PORTS = {"https": 443, "http": 80}


class NonceNeededError(TokenError):
    """The proof is good but for its nonce: make it again with the one that comes with the refusal."""


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that was checked. `jkt`: its key's thumbprint (RFC 7638). `digest`: what to refuse a replay by.
    `valid_from`: before that it was refused, `expires_at`: and from then on."""

    jkt: str
    digest: str
    valid_from: datetime
    expires_at: datetime


class Nonces:
    """Nonces that every process of the gateway makes and knows alike: the time, under a keyed hash.

    A nonce is good for between `NONCE_SECONDS` and twice as long.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

        self._of_slot = lru_cache(maxsize=MAX_KEPT_NONCES)(self._make)

    def make(self, now: datetime) -> str:
        return self._of_slot(int(now.timestamp()) // NONCE_SECONDS)

    def knows(self, nonce: str, now: datetime) -> bool:
        slot = int(now.timestamp()) // NONCE_SECONDS
        return any(hmac.compare_digest(nonce.encode(), self._of_slot(n).encode()) for n in (slot, slot - 1))

    def _make(self, slot: int) -> str:
        number = slot.to_bytes(_SLOT_BYTES, "big")
        tag = hmac.new(self._key, number, hashlib.sha256).digest()[:_TAG_BYTES]
        return base64.urlsafe_b64encode(number + tag).decode().rstrip("=")


def check_proof(
    token: str, *, method: str, url: str, nonces: Nonces, now: datetime, access_token: str | None = None
) -> Proof:
    """Check a proof for this request, and for this access token if there is one; not whether it is a replay.

    Raises NonceNeededError or TokenError. Source: RFC 9449 section 4.3.
    """
    parsed = parse_token(token, typ="dpop+jwt", may_name_key=True)
    members = parsed.header["jwk"]
    if not isinstance(members, dict):
        raise TokenError("jwk")
    try:
        key, jkt = _key_of(orjson.dumps(members, option=orjson.OPT_SORT_KEYS))
    except TypeError as error:
        raise TokenError("jwk") from error  # it is not JSON that can be written, such as half a character
    verify_token(parsed, key)
    claims = parsed.claims
    if claims.get("htm") != method or _target(text_of(claims, "htu", longest=2048)) != _target(url):
        raise TokenError("htm or htu")
    issued_at = moment_of(claims, "iat")
    if not now - PROOF_LIFE <= issued_at <= now + AHEAD:
        raise TokenError("iat")
    if access_token is not None and not hmac.compare_digest(text_of(claims, "ath").encode(), _ath(access_token)):
        raise TokenError("ath")
    jti = text_of(claims, "jti")
    if not nonces.knows(str(claims.get("nonce", "")), now):
        raise NonceNeededError("nonce")
    digest = hashlib.sha256(f"dpop\x00{jkt}\x00{jti}".encode()).hexdigest()
    return Proof(jkt, digest, issued_at - AHEAD, issued_at + PROOF_LIFE + AHEAD)


@lru_cache(maxsize=MAX_KEPT_KEYS)
def _key_of(members: bytes) -> tuple[PublicKey, str]:
    """A public key and its thumbprint, from its JWK in JSON: a holder proves with the same one each time."""
    key = read_public_key(orjson.loads(members))
    return key, key.thumbprint()


def _ath(access_token: str) -> bytes:
    """base64url(SHA-256(the token)). Source: RFC 9449 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).rstrip(b"=")


@lru_cache(maxsize=MAX_KEPT_TARGETS)
def _target(url: str) -> tuple[str, str, int | None, str]:
    """A URL without query and fragment, its scheme, host and port normalised. Source: RFC 3986 section 6.2."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise TokenError("htu") from error
    scheme = parts.scheme.lower()
    return scheme, (parts.hostname or "").lower(), port or _DEFAULT_PORTS.get(scheme), parts.path or "/"
