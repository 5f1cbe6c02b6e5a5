"""The documents that relying parties have registered: read into memory, since every request looks there."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.errors import ConfigurationError
from gateway.store.lookups import Lookups
from gateway.store.tables import trusted_document
from gateway.store.writer import Writer

MAX_DOCUMENTS = 500
"""Of one relying party."""

_SHA256 = "sha256:"
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}")


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
    """Finds a relying party's documents by (plain) id or by text; `load` reads what other processes registered."""

    def __init__(self, reading: Lookups, writer: Writer) -> None:
        self._reading = reading
        self._writer = writer
        self._texts: dict[str, dict[str, str]] = {}
        self._known: dict[str, frozenset[str]] = {}

    async def load(self) -> None:
        """Read what is registered now."""
        async with self._reading.connect() as connection:
            rows = (await connection.execute(select(trusted_document))).all()
        texts: dict[str, dict[str, str]] = {}
        for row in rows:
            texts.setdefault(row.relying_party_id, {})[row.id] = row.text
        self._texts = texts
        self._known = {party_id: frozenset(own.values()) for party_id, own in texts.items()}

    def of_party(self, party_id: str) -> Mapping[str, str]:
        """A relying party's documents by their ids."""
        return self._texts.get(party_id, {})

    def find(self, party_id: str, given_id: str) -> str | None:
        """The text that this relying party registered under this id; another's is none."""
        return self._texts.get(party_id, {}).get(given_id)

    def has(self, party_id: str, text: str) -> bool:
        """Whether this relying party registered this text, to the letter."""
        return text in self._known.get(party_id, ())

    async def look(self, party_id: str, given_id: str) -> str | None:
        """`find` in the database itself: another process may have registered it just now."""
        return await self._look(party_id, trusted_document.c.id == given_id)

    async def look_for_text(self, party_id: str, text: str) -> bool:
        """`has` in the database itself."""
        return await self._look(party_id, trusted_document.c.text == text) is not None

    async def _look(self, party_id: str, named: ColumnElement[bool]) -> str | None:
        own = select(trusted_document.c.text).where(trusted_document.c.relying_party_id == party_id, named)
        async with self._reading.connect() as connection:
            text = (await connection.execute(own.limit(1))).scalar_one_or_none()
        if text is not None:
            await self.load()
        return text

    async def add(self, party_id: str, texts: Mapping[str, str], *, now: datetime) -> None:
        """Register documents by their ids. They have been checked.

        Raises ConfigurationError where an id names another text already, or they are too many.
        """
        if all(self.find(party_id, given_id) == text for given_id, text in texts.items()):
            return

        async def write(connection: AsyncConnection) -> str | None:
            own = select(trusted_document.c.id, trusted_document.c.text)
            rows = await connection.execute(own.where(trusted_document.c.relying_party_id == party_id))
            known = {row.id: row.text for row in rows}
            new = {given_id: text for given_id, text in texts.items() if known.get(given_id) != text}
            if new.keys() & known.keys():
                return "document: its id names another one already"
            if len(known) + len(new) > MAX_DOCUMENTS:
                return "document: too many are registered"
            for given_id, text in new.items():
                values = {"relying_party_id": party_id, "id": given_id, "text": text, "added_at": now}
                await connection.execute(insert(trusted_document).values(values))
            return None

        refused = (await self._writer.write(write)).outcome
        if refused is not None:
            raise ConfigurationError(refused)
        await self.load()

    async def remove(self, party_id: str, given_id: str) -> bool:
        """Take a document off the register; False where there is none."""

        async def write(connection: AsyncConnection) -> int:
            named = (trusted_document.c.relying_party_id == party_id) & (trusted_document.c.id == given_id)
            return (await connection.execute(delete(trusted_document).where(named))).rowcount

        removed = (await self._writer.write(write, urgent=True)).outcome
        await self.load()
        return removed > 0
