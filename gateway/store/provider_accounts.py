"""Accounts at identity providers: keyed digests of issuer and subject, each bound to one person."""

import asyncio
import uuid
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from gateway.store.alike import AlikePeople, Holds, still_there
from gateway.store.envelope import Envelope
from gateway.store.lookups import Lookups
from gateway.store.people import People
from gateway.store.tables import provider_account
from gateway.store.writer import Writer


class ProviderAccounts:
    """Reads accounts; binds them through the writer."""

    def __init__(
        self, reading: Lookups, *, writer: Writer, people: People, alike: AlikePeople, envelope: Envelope
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._people = people
        self._alike = alike
        self._envelope = envelope

    async def find(self, issuer: str, subject: str) -> str | None:
        """The id of the person whom an account is bound to."""
        async with self._reading.connect() as connection:
            return await self._find_in(connection, self._digest(issuer, subject))

    async def bind(self, issuer: str, subject: str, verified: IdentityRecord, *, now: datetime) -> str | None:
        """Bind an account to the person of a verified record, enrolled now if they are not; the person's id.

        None: the card's number is on record with another name or date of birth.
        """
        return await asyncio.shield(self._bind(self._digest(issuer, subject), verified, now))

    async def _bind(self, digest: str, verified: IdentityRecord, now: datetime) -> str | None:
        async with self._alike.found(verified) as alike:

            async def write(connection: AsyncConnection) -> str | None:
                bound = await self._find_in(connection, digest)
                if bound is not None:
                    return bound
                found = await still_there(connection, alike)
                if Holds.CARD_ALONE in found.values():
                    return None
                own = [one for one, holds in found.items() if holds is Holds.BOTH]
                person_id = min(own) if own else f"p-{uuid.uuid4()}"
                if not own:
                    await self._people.enrol_in(connection, person_id, verified, now)
                row = {"digest": digest, "person_id": person_id, "bound_at": now}
                await connection.execute(insert(provider_account).values(row))
                return person_id

            return (await self._writer.write(write)).outcome

    @staticmethod
    async def _find_in(connection: AsyncConnection, digest: str) -> str | None:
        found = select(provider_account.c.person_id).where(provider_account.c.digest == digest)
        return (await connection.execute(found)).scalar_one_or_none()

    def _digest(self, issuer: str, subject: str) -> str:
        return self._envelope.digest("provider account", f"{issuer}\n{subject}")
