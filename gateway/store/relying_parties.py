"""Relying parties that an operator registered, beside those of the configuration."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import ConfigurationError
from gateway.identity.registration import check_registration
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.store.lookups import Lookups
from gateway.store.tables import relying_party
from gateway.store.writer import Writer

_PARTY = TypeAdapter(RelyingParty)
_NO_REGISTRATION = b""


class Registrations:
    """Keeps `registered` as it stands in the database, which other processes write to as well."""

    def __init__(
        self,
        reading: Lookups,
        writer: Writer,
        *,
        configured: Sequence[RelyingParty],
        registered: RelyingParties,
    ) -> None:
        self._reading = reading
        self._writer = writer
        self._configured = {party.id: party for party in configured}
        self._registered = registered

    async def load(self) -> None:
        """Read who is registered now."""
        async with self._reading.connect() as connection:
            self._registered.replace(await self._read(connection))

    async def add(self, party: RelyingParty, *, now: datetime) -> None:
        """Register a relying party, or change its registration.

        Raises ConfigurationError for one that the configuration holds, or whose name is another's.
        """
        if party.id in self._configured:
            raise ConfigurationError("id: the configuration has a relying party of this id")

        async def write(connection: AsyncConnection) -> str | None:
            others = [other for other in await self._read(connection) if other.id != party.id]
            try:
                check_registration(party, others=others)
            except ConfigurationError as error:
                return error.detail
            body = _PARTY.dump_json(replace(party, is_suspended=False))
            known = relying_party.c.id == party.id
            changed = await connection.execute(update(relying_party).where(known).values(body=body))
            if changed.rowcount == 0:
                await connection.execute(insert(relying_party).values(id=party.id, body=body, registered_at=now))
            return None

        refused = (await self._writer.write(write)).outcome
        if refused is not None:
            raise ConfigurationError(refused)
        await self.load()

    async def suspend(self, party_id: str, *, suspended: bool, now: datetime) -> bool:
        """Suspend a relying party, or let it ask again; False if there is none of this id."""

        async def write(connection: AsyncConnection) -> bool:
            at = now if suspended else None
            known = relying_party.c.id == party_id
            changed = await connection.execute(update(relying_party).where(known).values(suspended_at=at))
            if changed.rowcount == 0 and party_id in self._configured:
                values = {"id": party_id, "body": _NO_REGISTRATION, "registered_at": now, "suspended_at": at}
                await connection.execute(insert(relying_party).values(values))
            return changed.rowcount > 0 or party_id in self._configured

        is_known = (await self._writer.write(write, urgent=True)).outcome
        await self.load()
        return is_known

    async def _read(self, connection: AsyncConnection) -> list[RelyingParty]:
        parties = dict(self._configured)
        for row in (await connection.execute(select(relying_party).order_by(relying_party.c.id))).all():
            party = _PARTY.validate_json(row.body) if row.body else parties.get(row.id)
            if party is not None:
                parties[row.id] = replace(party, is_suspended=row.suspended_at is not None)
        return list(parties.values())
