"""Signed tokens (JWS, RFC 7515): nothing in a header is believed but which of the known keys is meant.

The algorithm comes from the key's record; a header that names a key, a place to fetch one, or an extension is
refused, and so is a duplicate member. Source: RFC 8725; security 0.8.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey, import_key
from joserfc.util import urlsafe_b64decode

PublicKey = ECKey | OKPKey | RSAKey

MAX_TOKEN_BYTES = 4096
MIN_RSA_BITS = 2048
AHEAD = timedelta(seconds=10)
"""By how much a sender's clock may be ahead of ours. Source: FAPI 2.0 Security Profile section 5.3.2.1."""

ALGORITHMS = ("ES256", "PS256", "Ed25519", "EdDSA")
_ALGORITHMS = {name: jws.JWSRegistry.algorithms[name] for name in ALGORITHMS}
_OTHER_NAMES = {"EdDSA": "Ed25519"}
"""Of one and the same algorithm. Source: RFC 8037 section 3.1 (the older name); RFC 9864 section 2.2 (the newer)."""
MAX_KEPT_HEADERS = 1024
_FORBIDDEN_HEADERS = frozenset({"jku", "x5u", "x5c", "crit", "zip", "b64"})
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class TokenError(ValueError):
    """A token is not what it has to be; the message names the rule, never a value."""


class TokenExpiredError(TokenError):
    """A token that was good once."""


@dataclass(frozen=True, slots=True, repr=False)
class Parsed:
    """A token that has the right form; its signature is not verified yet."""

    text: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def parse_token(token: str, *, typ: str | None, may_name_key: bool = False) -> Parsed:
    """Read a compact JWS. `typ`: the media type that its header has to name. Raises TokenError."""
    if len(token) > MAX_TOKEN_BYTES or token.count(".") != 2:
        raise TokenError("not a compact JWS of at most 4 KiB")
    header_part, claims_part, signature = token.split(".")
    header, claims = _header_of(header_part), _json_object(claims_part)
    if not signature or header.keys() & _FORBIDDEN_HEADERS or ("jwk" in header) != may_name_key:
        raise TokenError("header")
    if typ is not None and str(header.get("typ", "")).lower().removeprefix("application/") != typ:
        raise TokenError("typ")
    if header.get("alg") not in ALGORITHMS:
        raise TokenError("alg")
    return Parsed(token, header, claims)


def verify_token(parsed: Parsed, key: PublicKey) -> None:
    """Check the signature with the one algorithm that the key is for. Raises TokenError."""
    algorithm = algorithm_of(key)
    if _named_algorithm(parsed.header["alg"]) != algorithm:
        raise TokenError("alg: it is not the key's")
    signed, _, signature = parsed.text.rpartition(".")
    try:
        is_good = _ALGORITHMS[algorithm].verify(
            signed.encode("ascii"), urlsafe_b64decode(signature.encode("ascii")), key
        )
    except (JoseError, ValueError) as error:
        raise TokenError("signature") from error
    if not is_good:
        raise TokenError("signature")


def algorithm_of(key: PublicKey) -> str:
    """The algorithm that a key signs with here. Raises TokenError for a key that none of them fits."""
    members = key.as_dict(private=False)
    match key:
        case ECKey() if members.get("crv") == "P-256":
            found = "ES256"
        case OKPKey() if members.get("crv") == "Ed25519":
            found = "Ed25519"
        case RSAKey() if key.raw_value.key_size >= MIN_RSA_BITS:
            found = "PS256"
        case _:
            raise TokenError("key")
    if _named_algorithm(members.get("alg", found)) != found or members.get("use", "sig") != "sig":
        raise TokenError("key: it is for something else")
    return found


def _named_algorithm(name: Any) -> Any:
    return _OTHER_NAMES.get(name, name) if isinstance(name, str) else name


def read_public_key(members: Mapping[str, Any]) -> PublicKey:
    """A public key from its JWK (RFC 7517). Raises TokenError, for a private one too."""
    if members.keys() & _PRIVATE_MEMBERS:
        raise TokenError("key: it is not public")
    try:
        key = import_key(dict(members))
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise TokenError("key") from error
    if not isinstance(key, PublicKey):
        raise TokenError("key")
    algorithm_of(key)
    return key


def check_lifetime(claims: Mapping[str, Any], *, now: datetime, longest: timedelta) -> datetime:
    """When a token ends. Raises TokenError unless it is valid now, and for no longer than `longest`."""
    issued_at = moment_of(claims, "iat") if "iat" in claims else now
    begins_at = moment_of(claims, "nbf") if "nbf" in claims else issued_at
    ends_at = moment_of(claims, "exp")
    if max(issued_at, begins_at) > now + AHEAD:
        raise TokenError("iat or nbf: ahead of the clock")
    if ends_at <= now:
        raise TokenExpiredError("exp")
    if ends_at > now + longest + AHEAD:
        raise TokenError("exp: too far ahead")
    return ends_at


def moment_of(claims: Mapping[str, Any], name: str) -> datetime:
    """A NumericDate (RFC 7519 section 2). Raises TokenError for anything else."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**36:
        raise TokenError(f"{name}: not a moment")
    return datetime.fromtimestamp(value, UTC)


def text_of(claims: Mapping[str, Any], name: str, *, longest: int = 256) -> str:
    """A claim that has to be a text. Raises TokenError."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise TokenError(f"{name}: not a text")
    return value


@lru_cache(maxsize=MAX_KEPT_HEADERS)
def _header_of(part: str) -> Mapping[str, Any]:
    """A header: whoever proves something does so with the same one each time."""
    return MappingProxyType(_json_object(part))


def _json_object(part: str) -> dict[str, Any]:
    """A part of a token: JSON in UTF-8 (RFC 7515 section 3)."""
    try:
        value = _DECODER.decode(urlsafe_b64decode(part.encode("ascii")).decode())
    except (ValueError, RecursionError) as error:
        raise TokenError("not JSON") from error
    if not isinstance(value, dict):
        raise TokenError("not a JSON object")
    return value


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a member twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant)
