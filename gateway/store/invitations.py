"""Invitations: one-time codes from an operator's counter, stored as keyed digests."""

import os
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.consent.invitation_code import (
    CODE_RANDOM_BYTES,
    INVITATION_LIFE,
    InvitationCode,
    invitation_digest,
    make_invitation_code,
)
from gateway.errors import RequestError
from gateway.store.lookups import Lookups
from gateway.store.sessions import SignedIn
from gateway.store.tables import invitation, passkey, person, portal_session
from gateway.store.writer import Writer


class Invitations:
    """Makes and accepts invitations through the writer. `keyed`: what makes a digest of a code."""

    def __init__(self, reading: Lookups, writer: Writer, *, keyed: Callable[[bytes], bytes]) -> None:
        self._reading = reading
        self._writer = writer
        self._keyed = keyed

    async def invite_person(self, person_id: str, born_on: date, now: datetime) -> str:
        """A code for an enrolled person whom the counter has identified; an earlier unused one ends.

        Raises RequestError where nobody of this id is enrolled.
        """
        code = make_invitation_code(os.urandom(CODE_RANDOM_BYTES))
        row = self._row(code, born_on, now) | {"person_id": person_id}

        async def write(connection: AsyncConnection) -> bool:
            if (await connection.execute(select(person.c.id).where(person.c.id == person_id))).first() is None:
                return False
            await connection.execute(delete(invitation).where(invitation.c.person_id == person_id))
            await connection.execute(insert(invitation).values(row))
            return True

        if not (await self._writer.write(write)).outcome:
            raise RequestError("person")
        return code.grouped()

    async def invite_staff(self, relying_party_id: str, now: datetime) -> str:
        """A code for somebody of a relying party's staff."""
        code = make_invitation_code(os.urandom(CODE_RANDOM_BYTES))
        row = self._row(code, None, now) | {"relying_party_id": relying_party_id}
        await self._writer.write(lambda connection: connection.execute(insert(invitation).values(row)))
        return code.grouped()

    def _row(self, code: InvitationCode, born_on: date | None, now: datetime) -> dict[str, Any]:
        digest = invitation_digest(code, born_on, keyed=self._keyed)
        return {"digest": digest, "expires_at": now + INVITATION_LIFE}

    async def accept(self, code: InvitationCode, born_on: date | None, *, now: datetime) -> SignedIn | None:
        """Whom a code was for; None for a wrong, an expired and a used one alike, which cost the same.

        A person's earlier passkeys and sessions end in the same transaction: whoever has the code was just
        identified, and whoever has an old passkey perhaps was not.
        """
        open_one = _open(invitation_digest(code, born_on, keyed=self._keyed), now)
        async with self._reading.connect() as connection:
            if (await connection.execute(open_one)).first() is None:
                return None

        async def write(connection: AsyncConnection) -> SignedIn | None:
            row = (await connection.execute(open_one)).first()
            if row is None:
                return None
            used = update(invitation).where(invitation.c.digest == row.digest)
            await connection.execute(used.values(used_at=now))
            if row.person_id is not None:
                await connection.execute(delete(passkey).where(passkey.c.person_id == row.person_id))
                await connection.execute(delete(portal_session).where(portal_session.c.person_id == row.person_id))
            return _invited(row)

        return (await self._writer.write(write)).outcome


def _open(digest: str, now: datetime) -> Select[Any]:
    """The invitation of a digest, if it can be used."""
    return select(invitation).where(
        invitation.c.digest == digest, invitation.c.used_at.is_(None), invitation.c.expires_at > now
    )


def _invited(row: Row[Any]) -> SignedIn:
    return SignedIn(row.person_id, row.relying_party_id)
