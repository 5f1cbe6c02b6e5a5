"""Accounts at identity providers: keyed digests of issuer and subject, each bound to one person."""

import uuid
from collections.abc import Callable
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from connectors.japan import card_number
from gateway.identity.provider import is_same_person
from gateway.store.lookups import Lookups
from gateway.store.people import People
from gateway.store.tables import person, provider_account
from gateway.store.writer import Writer


class Holds(Enum):
    """What a person's record holds, beside a verified one: its card number, and the same name and date of birth."""

    OTHER_CARD = auto()
    OWN = auto()
    ANOTHERS = auto()


Seen = dict[str, tuple[datetime, Holds]]
"""Whose records were looked at, as they were changed last, and what they hold."""


class ProviderAccounts:
    """Reads accounts; binds them through the writer. `keyed`: what makes a digest of issuer and subject."""

    def __init__(self, reading: Lookups, writer: Writer, people: People, *, keyed: Callable[[bytes], bytes]) -> None:
        self._reading = reading
        self._writer = writer
        self._people = people
        self._keyed = keyed

    async def find(self, issuer: str, subject: str) -> str | None:
        """The id of the person whom an account is bound to."""
        async with self._reading.connect() as connection:
            return await self._find_in(connection, self._digest(issuer, subject))

    async def bind(self, issuer: str, subject: str, verified: IdentityRecord, *, now: datetime) -> str | None:
        """Bind an account to the person of a verified record, enrolled now if they are not; the person's id.

        None: the card's number is on record with another name or date of birth. Card numbers are kept sealed alone,
        so every record is opened once, and only those that changed since are opened while the writer waits.
        """
        digest = self._digest(issuer, subject)
        seen: Seen = {}
        async with self._reading.connect() as connection:
            await self._look(connection, verified, seen)

        async def write(connection: AsyncConnection) -> str | None:
            bound = await self._find_in(connection, digest)
            if bound is not None:
                return bound
            found = await self._look(connection, verified, dict(seen))
            if Holds.ANOTHERS in found.values():
                return None
            own = [one for one, holds in found.items() if holds is Holds.OWN]
            person_id = min(own) if own else f"p-{uuid.uuid4()}"
            if not own:
                await self._people.enrol_in(connection, person_id, verified, now)
            row = {"digest": digest, "person_id": person_id, "bound_at": now}
            await connection.execute(insert(provider_account).values(row))
            return person_id

        return (await self._writer.write(write)).outcome

    async def _look(self, connection: AsyncConnection, verified: IdentityRecord, seen: Seen) -> dict[str, Holds]:
        """What everybody holds, as this transaction sees it; what was seen and did not change is believed."""
        found: dict[str, Holds] = {}
        for row in (await connection.execute(select(person.c.id, person.c.updated_at))).all():
            changed_at, holds = seen.get(row.id, (None, Holds.OTHER_CARD))
            if changed_at != row.updated_at:
                known = await self._people.find_in(connection, row.id)
                holds = _holds(known.identity, verified) if known else Holds.OTHER_CARD
                seen[row.id] = (row.updated_at, holds)
            found[row.id] = holds
        return found

    @staticmethod
    async def _find_in(connection: AsyncConnection, digest: str) -> str | None:
        found = select(provider_account.c.person_id).where(provider_account.c.digest == digest)
        return (await connection.execute(found)).scalar_one_or_none()

    def _digest(self, issuer: str, subject: str) -> str:
        return self._keyed(f"{issuer}\n{subject}".encode()).hex()


def _holds(known: IdentityRecord, verified: IdentityRecord) -> Holds:
    if card_number(known.residence_card_number) != verified.residence_card_number:
        return Holds.OTHER_CARD
    return Holds.OWN if is_same_person(known, verified) else Holds.ANOTHERS
