"""Guardians: who decides for a minor, as the operator's counter has recorded it."""

from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import RequestError
from gateway.store.lookups import Lookups
from gateway.store.tables import guardianship, person
from gateway.store.writer import Writer


class Guardians:
    """Reads who is whose guardian; records and ends it through the writer."""

    def __init__(self, reading: Lookups, writer: Writer) -> None:
        self._reading = reading
        self._writer = writer

    async def record(self, *, minor_id: str, guardian_id: str, now: datetime) -> None:
        """Let somebody decide for a minor; twice is as once. Raises RequestError where one is not enrolled."""
        pair = {"minor_id": minor_id, "guardian_id": guardian_id}

        async def write(connection: AsyncConnection) -> bool:
            both = select(person.c.id).where(person.c.id.in_([minor_id, guardian_id]))
            if len((await connection.execute(both)).all()) != 2:
                return False
            known = select(guardianship.c.minor_id).filter_by(**pair)
            if (await connection.execute(known)).first() is None:
                await connection.execute(insert(guardianship).values(pair | {"recorded_at": now}))
            return True

        if not (await self._writer.write(write)).outcome:
            raise RequestError("person")

    async def end(self, *, minor_id: str, guardian_id: str) -> None:
        """Let somebody decide for a minor no longer."""
        ended = delete(guardianship).where(
            guardianship.c.minor_id == minor_id, guardianship.c.guardian_id == guardian_id
        )
        await self._writer.write(lambda connection: connection.execute(ended))

    async def has_any(self, minor_id: str) -> bool:
        """Whether somebody decides for this person."""
        found = select(guardianship.c.minor_id).where(guardianship.c.minor_id == minor_id)
        async with self._reading.connect() as connection:
            return (await connection.execute(found)).first() is not None

    async def wards_of(self, guardian_id: str) -> list[str]:
        """The ids of those whom somebody decides for."""
        found = select(guardianship.c.minor_id).where(guardianship.c.guardian_id == guardian_id)
        async with self._reading.connect() as connection:
            return list((await connection.execute(found.order_by(guardianship.c.minor_id))).scalars())
