"""The documents that relying parties have registered: known in memory, since every request looks there.

Their texts lie in the database. They are read a few at a time, and only those that are new.
"""

import asyncio
import hashlib
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Row, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import ConfigurationError
from gateway.store.document_register import DocumentRegister
from gateway.store.lookups import Lookups
from gateway.store.tables import trusted_document
from gateway.store.writer import Writer

MAX_DOCUMENTS = 500
"""Of one relying party."""
MAX_PARTY_BYTES = 8 * 1024 * 1024
"""Of one relying party's texts together, as one process counts them."""
_TEXTS_AT_ONCE = 8
"""Half a megabyte at most: about a millisecond."""

_SHA256 = "sha256:"
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")
_own = trusted_document.c.relying_party_id


def document_id(text: str) -> str:
    """What a document is named by where nothing else is said: its SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def plain_id(written: str) -> str:
    """An id as it is kept and looked for: a SHA-256 in small letters without its name, any other to the letter.

    Source: GraphQL over HTTP, persisted documents ("sha256:" names the algorithm).
    """
    digest = written.removeprefix(_SHA256)
    return digest.lower() if _DIGEST.fullmatch(digest) else written


class TrustedDocuments:
    """Finds a relying party's documents by (plain) id or by text; `load` reads what other processes registered.

    `is_alone`: no other process registers any.
    """

    def __init__(self, reading: Lookups, writer: Writer, *, is_alone: bool) -> None:
        self._reading = reading
        self._writer = writer
        self._is_alone = is_alone
        self._register = DocumentRegister()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def load(self) -> None:
        """Learn what is registered now, one relying party after the other."""
        async with self._reading.connect() as connection:
            registered = (await connection.execute(select(_own).distinct())).scalars().all()
        for party_id in self._register.parties().union(registered):
            await self._load(party_id)
            await asyncio.sleep(0)

    async def _load(self, party_id: str) -> None:
        before = frozenset(self._register.of_party(party_id))
        listed = select(trusted_document.c.id, trusted_document.c.added_at).where(_own == party_id)
        async with self._reading.connect() as connection:
            added = {row.id: row.added_at for row in (await connection.execute(listed)).all()}
        known = self._register.of_party(party_id)
        new = [one for one, at in added.items() if one not in known or known[one].added_at != at]
        async for row in self._rows(party_id, new):
            self._register.remember(party_id, row.id, row.text, added_at=row.added_at)
        for given_id in before - added.keys():
            self._register.forget(party_id, given_id)

    async def _rows(self, party_id: str, ids: Sequence[str]) -> AsyncIterator[Row[str, str, datetime]]:
        """Whole documents, a few at a time: in between, others have their turn."""
        columns = select(trusted_document.c.id, trusted_document.c.text, trusted_document.c.added_at)
        for start in range(0, len(ids), _TEXTS_AT_ONCE):
            some = ids[start : start + _TEXTS_AT_ONCE]
            async with self._reading.connect() as connection:
                named = columns.where(_own == party_id, trusted_document.c.id.in_(some))
                rows = (await connection.execute(named)).all()
            for row in rows:
                yield row
            await asyncio.sleep(0)

    async def of_party(self, party_id: str) -> dict[str, str]:
        """The texts of a relying party's documents by their ids, as they are now."""
        await self._load(party_id)
        return {row.id: row.text async for row in self._rows(party_id, list(self._register.of_party(party_id)))}

    def find(self, party_id: str, given_id: str) -> str | None:
        """The text that this relying party registered under this id, if it is at hand; another's is none."""
        return self._register.find(party_id, given_id)

    def has(self, party_id: str, text: str) -> bool:
        """Whether this relying party registered this text, to the letter."""
        return self._register.has(party_id, text)

    async def look(self, party_id: str, given_id: str) -> str | None:
        """`find` in the database itself: the text may not be at hand, or another process registered it just now."""
        if self._is_alone and given_id not in self._register.of_party(party_id):
            return None
        found = [row async for row in self._rows(party_id, [given_id])]
        for row in found:
            self._register.remember(party_id, given_id, row.text, added_at=row.added_at)
        return found[0].text if found else None

    async def look_for_text(self, party_id: str, text: str) -> bool:
        """`has` in the database itself."""
        if not self._is_alone:
            await self._load(party_id)
        return self.has(party_id, text)

    async def add(self, party_id: str, texts: Mapping[str, str], *, now: datetime) -> None:
        """Register documents by their ids. They have been checked.

        Raises ConfigurationError where an id names another text already, or they are too many, or too long together.
        """
        async with self._turns[party_id]:  # none passes the bounds beside another
            new = {one: text for one, text in texts.items() if not self._register.names(party_id, one, text)}
            if not new:
                return
            if (
                self._register.size_bytes(party_id) + sum(len(text.encode()) for text in new.values())
                > MAX_PARTY_BYTES
            ):
                raise ConfigurationError("document: too much is registered")
            refused = (await self._writer.write(lambda connection: _add(connection, party_id, new, now))).outcome
            if refused is not None:
                raise ConfigurationError(refused)
            for given_id, text in new.items():
                self._register.remember(party_id, given_id, text, added_at=now)

    async def remove(self, party_id: str, given_id: str) -> bool:
        """Take a document off the register; False where there is none."""

        async def write(connection: AsyncConnection) -> int:
            named = (_own == party_id) & (trusted_document.c.id == given_id)
            return (await connection.execute(delete(trusted_document).where(named))).rowcount

        removed = (await self._writer.write(write, urgent=True)).outcome
        self._register.forget(party_id, given_id)
        return removed > 0


async def _add(connection: AsyncConnection, party_id: str, texts: Mapping[str, str], now: datetime) -> str | None:
    """Why these documents cannot be registered; None: they are."""
    named = select(trusted_document.c.id, trusted_document.c.text).where(_own == party_id)
    rows = await connection.execute(named.where(trusted_document.c.id.in_(list(texts))))
    known = {row.id: row.text for row in rows}
    if any(texts[given_id] != text for given_id, text in known.items()):
        return "document: its id names another one already"
    counted = await connection.execute(select(func.count()).where(_own == party_id))
    if counted.scalar_one() + len(texts) - len(known) > MAX_DOCUMENTS:
        return "document: too many are registered"
    values = [
        {"relying_party_id": party_id, "id": given_id, "text": text, "added_at": now}
        for given_id, text in texts.items()
        if given_id not in known
    ]
    if values:
        await connection.execute(insert(trusted_document), values)
    return None
