"""Challenges for passkeys: nothing is kept of one until it was used, and then only that it was.

A challenge is 16 random bytes, the second it was made (8 bytes), and an HMAC over both, the browser's cookie and what
it is for; so no other browser and no other ceremony can answer it. Source: WebAuthn level 3 section 13.4.3.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from gateway.store.used_once import UsedOnce

CHALLENGE_LIFE = timedelta(minutes=5)
_RANDOM_BYTES = 16
_SECONDS_BYTES = 8


class Ceremony(StrEnum):
    """What a passkey is asked for."""

    ADDING = "adding"
    SIGNING_IN = "signing in"


class Challenges:
    """Makes challenges, and takes each back once."""

    def __init__(self, key: bytes, used_once: UsedOnce, now: Callable[[], datetime]) -> None:
        self._key = key
        self._used_once = used_once
        self._now = now

    def make(self, ceremony: Ceremony, secret: str) -> bytes:
        """A challenge for the browser that has this cookie."""
        made_at = int(self._now().timestamp()).to_bytes(_SECONDS_BYTES)
        body = secrets.token_bytes(_RANDOM_BYTES) + made_at
        return body + self._mac(body, ceremony, secret)

    async def use(self, challenge: bytes, ceremony: Ceremony, secret: str) -> bool:
        """Whether it was made for this ceremony of this browser, lately, and was not used before."""
        body, mac = challenge[: _RANDOM_BYTES + _SECONDS_BYTES], challenge[_RANDOM_BYTES + _SECONDS_BYTES :]
        if not hmac.compare_digest(mac, self._mac(body, ceremony, secret)):
            return False
        now = self._now()
        expires_at = datetime.fromtimestamp(int.from_bytes(body[_RANDOM_BYTES:]), UTC) + CHALLENGE_LIFE
        if not now < expires_at:
            return False
        digest = hashlib.sha256(b"challenge\n" + challenge).hexdigest()
        return await self._used_once.use(digest, expires_at=expires_at, now=now)

    def _mac(self, body: bytes, ceremony: Ceremony, secret: str) -> bytes:
        return hmac.new(self._key, body + f"\n{ceremony}\n{secret}".encode(), hashlib.sha256).digest()
