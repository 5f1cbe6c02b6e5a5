"""Passkeys: the public half of each, and when it was used. They authenticate; they never enrol."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.lookups import Lookups
from gateway.store.sessions import SignedIn
from gateway.store.tables import passkey, provider_account
from gateway.store.writer import Writer

MAX_PASSKEYS = 20


@dataclass(frozen=True, slots=True, repr=False)
class Passkey:
    """A passkey of a person, or of somebody of a relying party's staff. `id`: base64url."""

    id: str
    owner: SignedIn
    public_key: bytes
    sign_count: int
    made_at: datetime
    used_at: datetime | None = None


class Passkeys:
    """Reads passkeys; keeps, counts and removes them through the writer."""

    def __init__(self, reading: Lookups, writer: Writer) -> None:
        self._reading = reading
        self._writer = writer

    async def add(self, made: Passkey) -> bool:
        """Keep a new passkey; False if one of its id is known already, or its owner has too many."""
        values = {
            "id": made.id,
            "person_id": made.owner.person_id,
            "relying_party_id": made.owner.relying_party_id,
            "public_key": made.public_key,
            "sign_count": made.sign_count,
            "made_at": made.made_at,
        }

        async def write(connection: AsyncConnection) -> bool:
            known = select(func.count()).where(passkey.c.id == made.id)
            owned = select(func.count()).where(owned_by(made.owner))
            if (await connection.execute(known)).scalar_one():
                return False
            if (await connection.execute(owned)).scalar_one() >= MAX_PASSKEYS:
                return False
            await connection.execute(insert(passkey).values(values))
            return True

        return (await self._writer.write(write)).outcome

    async def find(self, passkey_id: str) -> Passkey | None:
        async with self._reading.connect() as connection:
            row = (await connection.execute(select(passkey).where(passkey.c.id == passkey_id))).first()
        return _passkey(row) if row else None

    async def of(self, owner: SignedIn) -> list[Passkey]:
        """An owner's passkeys, the oldest first."""
        found = select(passkey).where(owned_by(owner)).order_by(passkey.c.made_at, passkey.c.id)
        async with self._reading.connect() as connection:
            return [_passkey(row) for row in (await connection.execute(found)).all()]

    async def has_way_in(self, owner: SignedIn) -> bool:
        """Whether they can sign in again by themselves: with a passkey, or an identity provider."""
        ways = (
            select(func.count()).where(owned_by(owner)),
            select(func.count()).where(provider_account.c.person_id == owner.person_id),
        )
        async with self._reading.connect() as connection:
            return any([(await connection.execute(way)).scalar_one() for way in ways])

    async def count_use(self, used: Passkey, sign_count: int, *, now: datetime) -> bool:
        """Note that a passkey was used; False if it is gone, or its counter has moved on since it was read.

        An authenticator without a counter always says 0. Source: WebAuthn level 3 section 6.1.1.
        """
        same = update(passkey).where(passkey.c.id == used.id, passkey.c.sign_count == used.sign_count)
        counted = same.values(sign_count=sign_count, used_at=now)

        async def write(connection: AsyncConnection) -> bool:
            return (await connection.execute(counted)).rowcount == 1

        return (await self._writer.write(write)).outcome

    async def remove(self, passkey_id: str, owner: SignedIn) -> bool:
        """Remove one's own passkey; False for the last one of somebody who has no other way in."""

        async def write(connection: AsyncConnection) -> bool:
            others = select(func.count()).where(owned_by(owner), passkey.c.id != passkey_id)
            accounts = select(func.count()).where(provider_account.c.person_id == owner.person_id)
            ways = [(await connection.execute(found)).scalar_one() for found in (others, accounts)]
            if not any(ways):
                return False
            await connection.execute(delete(passkey).where(owned_by(owner), passkey.c.id == passkey_id))
            return True

        return (await self._writer.write(write)).outcome


def owned_by(owner: SignedIn) -> ColumnElement[bool]:
    """The rows of a person's passkeys, or of a relying party's staff."""
    if owner.person_id is not None:
        return passkey.c.person_id == owner.person_id
    return passkey.c.relying_party_id == owner.relying_party_id


def _passkey(row: Row[tuple[object, ...]]) -> Passkey:
    owner = SignedIn(row.person_id, row.relying_party_id)
    return Passkey(row.id, owner, row.public_key, row.sign_count, row.made_at, row.used_at)
