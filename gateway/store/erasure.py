"""Erasure: the person's key and rows are destroyed; the log keeps entries that say nothing and still verify.

An entry holds commitments under a random salt, and the salts go with the key. Source: GDPR art. 17; security 3.8.
"""

import asyncio
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import delete, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import EntryFacts
from gateway.errors import ConfigurationError
from gateway.identity.subject import Person
from gateway.store.database import Database
from gateway.store.envelope import forget_ciphers
from gateway.store.erased_list import ErasedList
from gateway.store.log import AuditLog
from gateway.store.notices import announce_stop
from gateway.store.people import People
from gateway.store.tables import (
    answer,
    authorization_code,
    consent_grant,
    consent_token,
    disclosure,
    dispute,
    erased_person,
    grant_event,
    guardianship,
    invitation,
    passkey,
    person,
    portal_session,
    provider_account,
    pushed_request,
    settled_comparison,
    share_code,
    threshold_probe,
)
from gateway.store.writer import Writer
from resolvers.worker import AccessKind

_log = structlog.get_logger("kyosei.erasure")
_OF_GRANTS = (consent_token, share_code, authorization_code, settled_comparison, answer, grant_event)
_OF_PERSON = (
    *(portal_session, passkey, invitation, provider_account, pushed_request),
    *(consent_grant, disclosure, dispute, threshold_probe),
)


class Erasure:
    """Erases people through the writer."""

    def __init__(
        self, database: Database, *, writer: Writer, people: People, log: AuditLog, listed: ErasedList
    ) -> None:
        self._database = database
        self._writer = writer
        self._people = people
        self._log = log
        self._may_have_left_keys = database.is_sqlite  # a process before this one, if it was killed
        self._listed = listed

    async def erase(self, subject: Person, *, now: datetime) -> int | None:
        """Erase a person in one transaction; the number of the entry that says that somebody was erased.

        None: they were erased already.
        """
        entry = await self._erase(subject.id, now)
        try:
            await asyncio.to_thread(self._listed.add, [self._people.digest(subject.id)])
        except (OSError, ConfigurationError) as error:
            _log.error("erased_list_failed", error=type(error).__name__)  # the next start makes up for it
        return entry

    async def erase_again(self, *, now: datetime) -> None:
        """Erase who was erased and came back with an older database; let the list hold all who ever were.

        Raises ConfigurationError if the list cannot be read.
        """
        listed = await asyncio.to_thread(self._listed.read)
        async with self._database.snapshot() as connection:
            known = set((await connection.execute(select(erased_person.c.digest))).scalars())
            back: list[str] = []
            if missing := listed - known:
                ids = (await connection.execute(select(person.c.id))).scalars()
                back = [person_id for person_id in ids if self._people.digest(person_id) in missing]
        for person_id in back:
            await self._erase(person_id, now)
        if back:
            _log.warning("erased_again")
            await self.forget_keys()
        if new := known - listed:
            await asyncio.to_thread(self._listed.add, new)

    async def _erase(self, person_id: str, now: datetime) -> int | None:
        async def write(connection: AsyncConnection) -> int | None:
            if (await connection.execute(select(person.c.id).where(person.c.id == person_id))).first() is None:
                return None
            own_grants = select(consent_grant.c.id).where(consent_grant.c.person_id == person_id)
            for grant_id in (await connection.execute(own_grants)).scalars().all():
                await announce_stop(connection, grant_id)
            for table in _OF_GRANTS:
                await connection.execute(delete(table).where(table.c.grant_id.in_(own_grants)))
            for table in _OF_PERSON:
                await connection.execute(delete(table).where(table.c.person_id == person_id))
            either = or_(guardianship.c.minor_id == person_id, guardianship.c.guardian_id == person_id)
            await connection.execute(delete(guardianship).where(either))
            await self._log.unlink(connection, person_id)
            await connection.execute(delete(person).where(person.c.id == person_id))
            values: dict[str, Any] = {"digest": self._people.digest(person_id), "at": now}
            await connection.execute(insert(erased_person).values(values))
            entry = await self._log.append(connection, EntryFacts(kind=AccessKind.ERASED), person=None, at=now)
            return entry.sequence

        return (await self._writer.write(write, urgent=True)).outcome

    async def forget_keys(self) -> None:
        """Leave no deleted key in memory, nor in the database's files; the sweep does it again, should a reader be in
        the way."""
        forget_ciphers()
        self._may_have_left_keys = True
        self._may_have_left_keys = not await self._database.forget_deleted_keys()
        if self._may_have_left_keys:
            _log.warning("deleted_keys_still_in_the_log")

    async def forget_left_keys(self) -> None:
        """The same again, if a key may have been left."""
        if self._may_have_left_keys:
            await self.forget_keys()
