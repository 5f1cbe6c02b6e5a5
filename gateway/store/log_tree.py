"""The log's Merkle tree, as far as it is committed. Stored tiles spare reading every entry again at each start."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from sqlalchemy import Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.merkle import TILE_HEIGHT, TILE_SIZE, CompactRange, subtree_root
from gateway.store.tables import audit_entry, log_tile

ROWS_AT_ONCE = 500
"""So few that handling them stalls nobody else in the event loop."""


class LogChangedError(Exception):
    """The log is not the one that was read before; the message says how."""


class LogTree:
    """The tree over the entries that were read. It grows; a log that does not go on from it is refused."""

    def __init__(self) -> None:
        self._range = CompactRange()
        self._last: bytes | None = None
        self._open: list[bytes] = []  # the leaves of the tile that is not complete yet
        self._unstored: dict[int, bytes] = {}

    @property
    def size(self) -> int:
        return self._range.size

    def root(self) -> bytes:
        return self._range.root()

    async def grow(self, connection: AsyncConnection, *, to: int | None = None) -> None:
        """Read what was appended; `to`: no more than so many entries in all. Raises LogChangedError."""
        if self.size == 0:
            await self._read_tiles(connection, to)
        begin = max(self.size - 1, 0)
        wanted = select(audit_entry.c.sequence, audit_entry.c.leaf_hash).where(audit_entry.c.sequence >= begin)
        if to is not None:
            wanted = wanted.where(audit_entry.c.sequence < to)
        is_there = self._last is None
        async for sequence, leaf in _streamed(connection, wanted.order_by(audit_entry.c.sequence)):
            if not is_there:
                is_there = sequence == begin and leaf == self._last
                if not is_there:
                    break
                continue
            if sequence != self.size:
                raise LogChangedError(f"entry {self.size} is missing")
            self._append(leaf)
        if not is_there:
            raise LogChangedError(f"it does not hold the {self.size} entries any more that it held")

    async def _read_tiles(self, connection: AsyncConnection, to: int | None) -> None:
        wanted = select(log_tile.c.number, log_tile.c.root).order_by(log_tile.c.number)
        if to is not None:
            wanted = wanted.where(log_tile.c.number < to // TILE_SIZE)
        async for number, root in _streamed(connection, wanted):
            if number != self.size // TILE_SIZE:
                break  # one is missing: from here on the entries tell
            self._range.append(root, height=TILE_HEIGHT)
        last = select(audit_entry.c.leaf_hash).where(audit_entry.c.sequence == self.size - 1)
        self._last = (await connection.execute(last)).scalar_one_or_none()
        if self._last is None and self.size:
            raise LogChangedError(f"entry {self.size - 1} is missing")

    def _append(self, leaf: bytes) -> None:
        self._range.append(leaf)
        self._last = leaf
        self._open.append(leaf)
        if len(self._open) == TILE_SIZE:
            self._unstored[self.size // TILE_SIZE - 1] = subtree_root(self._open)
            self._open = []

    @property
    def unstored(self) -> Mapping[int, bytes]:
        """The tiles that were completed and are not known to be stored, by number."""
        return dict(self._unstored)

    def stored(self, numbers: Mapping[int, bytes]) -> None:
        """These are stored now."""
        for number in numbers:
            self._unstored.pop(number, None)


async def store_tiles(connection: AsyncConnection, tiles: Mapping[int, bytes]) -> None:
    """Keep tiles, but for those that another process has kept already."""
    known = select(log_tile.c.number).where(log_tile.c.number.between(min(tiles), max(tiles)))
    there = set((await connection.execute(known)).scalars())
    rows = [{"number": number, "root": root} for number, root in tiles.items() if number not in there]
    if rows:
        await connection.execute(insert(log_tile), rows)


async def _streamed(connection: AsyncConnection, query: Select[Any]) -> AsyncIterator[tuple[int, bytes]]:
    result = await connection.stream(query)
    async for rows in result.partitions(ROWS_AT_ONCE):
        for number, body in rows:
            yield number, bytes(body)
