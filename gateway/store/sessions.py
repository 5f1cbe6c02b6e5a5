"""Signed-in browsers: what is kept is a digest of the cookie, and who signed in there until when."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select

from gateway.store.lookups import Lookups
from gateway.store.tables import portal_session
from gateway.store.writer import Writer

SESSION_LIFE = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in: a person, or somebody of a relying party's staff."""

    person_id: str | None = None
    relying_party_id: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that is signed in. `signed_in_at`: when who sits there last showed who they are."""

    who: SignedIn
    signed_in_at: datetime


class Sessions:
    """Reads sessions; opens and ends them through the writer."""

    def __init__(self, reading: Lookups, writer: Writer) -> None:
        self._reading = reading
        self._writer = writer

    async def open(self, secret: str, who: SignedIn, *, now: datetime, signed_in_at: datetime | None = None) -> None:
        """Let a cookie's value stand for who signed in. `signed_in_at`: when they did, if that was not now."""
        values = {
            "digest": _digest(secret),
            "person_id": who.person_id,
            "relying_party_id": who.relying_party_id,
            "signed_in_at": signed_in_at or now,
            "expires_at": now + SESSION_LIFE,
        }
        await self._writer.write(lambda connection: connection.execute(insert(portal_session).values(values)))

    async def find(self, secret: str, *, now: datetime) -> Session | None:
        found = select(portal_session).where(
            portal_session.c.digest == _digest(secret), portal_session.c.expires_at > now
        )
        async with self._reading.connect() as connection:
            row = (await connection.execute(found)).first()
        return Session(SignedIn(row.person_id, row.relying_party_id), row.signed_in_at) if row else None

    async def close(self, secret: str) -> None:
        """Sign out one browser."""
        ended = delete(portal_session).where(portal_session.c.digest == _digest(secret))
        await self._writer.write(lambda connection: connection.execute(ended))

    async def close_all(self, who: SignedIn) -> None:
        """Sign out every browser of somebody."""
        of_them = (
            portal_session.c.person_id == who.person_id
            if who.person_id is not None
            else portal_session.c.relying_party_id == who.relying_party_id
        )
        await self._writer.write(lambda connection: connection.execute(delete(portal_session).where(of_them)))


def _digest(secret: str) -> str:
    """The cookies are random, so a plain digest cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
