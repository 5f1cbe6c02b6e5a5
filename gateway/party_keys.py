"""The public keys that relying parties sign with: registered inline, or fetched from where they publish them."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson
import structlog

from connectors.errors import ConnectorError
from connectors.transport import HttpxTransport, WireRequest
from gateway.admission import away
from gateway.identity.jws import Parsed, PublicKey, TokenError, read_public_key
from gateway.identity.relying_party import RelyingParty

REFETCH_SECONDS = 30.0
"""At most one fetch in this time, whatever key ids are asked for. Source: security 2 B, row 41."""

FRESH_SECONDS = 3_600.0
KEPT_SECONDS = 4 * FRESH_SECONDS
"""While they cannot be fetched again, keys are believed for so long: one that was withdrawn has to end."""

DEADLINE_SECONDS = 3.0
MAX_JWKS_BYTES = 65_536
MAX_KEYS = 32

_log = structlog.get_logger("kyosei.party_keys")


@dataclass(slots=True)
class _Fetched:
    """What is published at one place, as it was when it could last be read, and when that was last tried."""

    keys: list[Mapping[str, Any]] = field(default_factory=list)
    fetched_at: float = float("-inf")
    tried_at: float = float("-inf")

    def find(self, kid: Any, *, now: float, max_seconds: float) -> Mapping[str, Any] | None:
        """The key of this id, if it was read within this time."""
        return _named(self.keys, kid) if now - self.fetched_at < max_seconds else None


class PartyKeys:
    """Finds the key that a token was signed with among its relying party's. `clock`: monotonic seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._fetched: defaultdict[str, _Fetched] = defaultdict(_Fetched)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def find(self, party: RelyingParty, parsed: Parsed) -> PublicKey:
        """The party's key that the token's header names. Raises TokenError."""
        kid = parsed.header.get("kid")
        if party.oauth is None:
            raise TokenError("the relying party has no keys")
        members = _named(list(party.oauth.keys), kid)
        if members is None and party.oauth.jwks_uri is not None:
            members = await self._find_published(party.oauth.jwks_uri, kid)
        if members is None:
            raise TokenError("kid")
        return read_public_key(members)

    async def _find_published(self, uri: str, kid: Any) -> Mapping[str, Any] | None:
        known = self._fetched[uri]
        if known.find(kid, now=self._clock(), max_seconds=FRESH_SECONDS) is None:
            with away():
                await self._refetch(uri, kid)
        return known.find(kid, now=self._clock(), max_seconds=KEPT_SECONDS)

    async def _refetch(self, uri: str, kid: Any) -> None:
        """Fetch what is published there, unless somebody just did; what cannot be read changes nothing."""
        async with self._turns[uri]:
            known, now = self._fetched[uri], self._clock()
            is_known = known.find(kid, now=now, max_seconds=FRESH_SECONDS) is not None
            if is_known or now - known.tried_at < REFETCH_SECONDS:
                return
            known.tried_at = now
            keys = await _fetch(uri)
            if keys:
                known.keys, known.fetched_at = keys, now


def _named(keys: list[Mapping[str, Any]], kid: Any) -> Mapping[str, Any] | None:
    """The key of this id; without an id the only one there is."""
    if kid is None:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.get("kid") == kid), None)


async def _fetch(uri: str) -> list[Mapping[str, Any]]:
    """The keys of a JWK Set (RFC 7517 section 5); none where it cannot be read."""
    parts = urlsplit(uri)
    transport = HttpxTransport(urlunsplit((parts.scheme, parts.netloc, "", "", "")))
    path = urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        reply = await transport.exchange(
            WireRequest("GET", path, headers=(("Accept", "application/jwk-set+json, application/json"),)),
            deadline_seconds=DEADLINE_SECONDS,
            max_bytes=MAX_JWKS_BYTES,
        )
        listed = orjson.loads(reply.body)["keys"] if reply.status == 200 else []
    except (ConnectorError, ValueError, KeyError, TypeError):
        listed = []
    finally:
        await transport.close()
    keys: list[Mapping[str, Any]] = (
        [key for key in listed if isinstance(key, dict)] if isinstance(listed, list) else []
    )
    if not keys:
        _log.warning("jwks_unreadable")
    return keys[:MAX_KEYS]
