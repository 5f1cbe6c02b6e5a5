"""What may be used once: proofs, assertions, challenges. Memory refuses first, the database for every process."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.lookups import Lookups
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
_ALL_BEFORE = Statement(select(used_once.c.expires_at).where(used_once.c.digest == ALL_BEFORE))
_USE = Statement(insert(used_once).on_conflict_do_nothing(), ["digest", "expires_at"])


@dataclass(slots=True, repr=False)
class Use:
    """What a request uses up, until it would not be valid any more. `is_queued`: for a transaction that records it.
    `is_recorded`: durably, for every process."""

    digest: str
    expires_at: datetime
    is_queued: bool = False
    is_recorded: bool = False


class UsedOnce:
    """Remembers what was used, and records it through the writer. `is_alone`: no other process uses anything up."""

    def __init__(self, reading: Lookups, writer: Writer, *, is_alone: bool = False) -> None:
        self._reading = reading
        self._writer = writer
        self._is_alone = is_alone
        self._remembered: dict[str, datetime] = {}
        self._knows_all_since: datetime | None = None

    async def take(
        self, digest: str, *, expires_at: datetime, now: datetime, valid_from: datetime | None = None
    ) -> Use | None:
        """Something to use, for whoever is the first here; None if it was used before, anywhere.

        Of two processes that take it at the same moment, one records it. `valid_from`: before that nobody would have
        taken it; who was there alone since then need not look it up.
        """
        if digest in self._remembered:
            return None
        self._remember(digest, expires_at, now)
        if self._is_alone and valid_from is not None and await self._since(now) < valid_from:
            return Use(digest, expires_at)
        async with self._reading.connect() as connection:
            if await _USED.first(connection, digest=digest, expires_at=expires_at) is not None:
                return None
        return Use(digest, expires_at)

    async def _since(self, now: datetime) -> datetime:
        """From when on all that is used is remembered here, and nothing counts as used that was not."""
        if self._knows_all_since is None:
            async with self._reading.connect() as connection:
                row = await _ALL_BEFORE.first(connection)
            self._knows_all_since = now if row is None else max(now, row.expires_at)
        return self._knows_all_since

    @staticmethod
    async def record(connection: AsyncConnection, use: Use) -> bool:
        """Record a use in the transaction of what comes of it; False if another process was quicker.

        Whoever has committed that transaction marks the use.
        """
        return use.is_recorded or await _USE.run(connection, digest=use.digest, expires_at=use.expires_at) == 1

    async def use_up(self, use: Use) -> bool:
        """Record a use by itself, unless something else does. Raises RecordUnavailableError: then it is not used."""
        if use.is_queued:
            return True
        use.is_queued = True

        async def write(connection: AsyncConnection) -> bool:
            return await self.record(connection, use)

        use.is_recorded = (await self._writer.write(write)).outcome
        return use.is_recorded

    async def use(self, digest: str, *, expires_at: datetime, now: datetime) -> bool:
        """Whether this is its first use, anywhere. Raises RecordUnavailableError, and then it is not."""
        use = await self.take(digest, expires_at=expires_at, now=now)
        return use is not None and await self.use_up(use)

    def _remember(self, digest: str, expires_at: datetime, now: datetime) -> None:
        """Forgetting early is safe: the database still knows, and is asked."""
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered = {one: until for one, until in self._remembered.items() if until > now}
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
            self._knows_all_since = None
        self._remembered[digest] = expires_at
