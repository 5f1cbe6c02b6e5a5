"""What may be used once: proofs, assertions, challenges. Memory refuses first, the database for every process."""

from datetime import datetime

from sqlalchemy import bindparam, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.statement import Statement
from gateway.store.tables import used_once
from gateway.store.writer import Writer

MAX_REMEMBERED = 100_000

ALL_BEFORE = "all before"
"""In place of a digest: what ends no later than this row counts as used. Source: gateway.store.short_lived."""

_USED = Statement(
    select(used_once.c.digest).where(
        or_(
            used_once.c.digest == bindparam("digest"),
            (used_once.c.digest == ALL_BEFORE) & (used_once.c.expires_at >= bindparam("expires_at")),
        )
    )
)
_USE = Statement(insert(used_once), ["digest", "expires_at"])


class UsedOnce:
    """Remembers what was used, through the writer, until it would not be valid any more."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._remembered: dict[str, datetime] = {}

    async def use(self, digest: str, *, expires_at: datetime, now: datetime) -> bool:
        """Whether this is its first use, anywhere. Raises RecordUnavailableError, and then it is not."""
        if digest in self._remembered:
            return False
        self._remember(digest, expires_at, now)

        async def write(connection: AsyncConnection) -> bool:
            if await _USED.first(connection, digest=digest, expires_at=expires_at) is not None:
                return False
            await _USE.run(connection, digest=digest, expires_at=expires_at)
            return True

        return (await self._writer.write(write)).outcome

    def _remember(self, digest: str, expires_at: datetime, now: datetime) -> None:
        """Forgetting early is safe: the database still knows."""
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered = {one: until for one, until in self._remembered.items() if until > now}
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = expires_at
