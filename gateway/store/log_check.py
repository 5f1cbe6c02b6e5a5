"""Verifies the whole log, entry by entry: nothing of it was changed, left out or moved."""

from typing import Any

import orjson
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.checkpoint import Checkpoint
from gateway.audit.merkle import TILE_HEIGHT, TILE_SIZE, CompactRange, leaf_hash, subtree_root
from gateway.store.log_tree import ROWS_AT_ONCE, LogChangedError
from gateway.store.tables import audit_entry, log_head, log_tile

_READ: Select[Any] = select(
    *(audit_entry.c.sequence, audit_entry.c.kind, audit_entry.c.relying_party_id),
    *(audit_entry.c.entry, audit_entry.c.leaf_hash),
).order_by(audit_entry.c.sequence)


async def verify_log(connection: AsyncConnection, last: Checkpoint | None, *, is_whole: bool = False) -> CompactRange:
    """The tree over the log, computed from its entries alone.

    `connection`: sees one moment of the database. `last`: what the log was known to hold. `is_whole`: that is all it
    holds. Raises LogChangedError that says what is wrong with it.
    """
    tree, tile = CompactRange(), list[bytes]()
    tiles = {number: bytes(root) for number, root in await connection.execute(select(log_tile))}
    size = (await connection.execute(select(log_head.c.size))).scalar_one()
    result = await connection.stream(_READ)
    if last is not None and last.size == 0:
        _check_covered(tree, last)
    async for rows in result.partitions(ROWS_AT_ONCE):
        for row in rows:
            leaf = _verified(row, tree.size)
            tree.append(leaf)
            tile.append(leaf)
            if len(tile) == TILE_SIZE:
                number = (tree.size >> TILE_HEIGHT) - 1
                if tiles.get(number, computed := subtree_root(tile)) != computed:
                    raise LogChangedError(f"tile {number} is not the root over its entries")
                tile = []
            if last is not None and tree.size == last.size:
                _check_covered(tree, last)
    if tree.size != size:
        raise LogChangedError(f"it has {tree.size} entries, and its head says {size}")
    if last is not None and (tree.size < last.size or (is_whole and tree.size > last.size)):
        raise LogChangedError(f"it has {tree.size} entries, and its checkpoint covers {last.size}")
    return tree


def _verified(row: Any, number: int) -> bytes:
    """An entry's leaf. The columns beside it are what it is found and shown by, so they have to say the same."""
    if row.sequence != number:
        raise LogChangedError(f"entry {number} is missing")
    body = bytes(row.entry)
    if leaf_hash(body) != bytes(row.leaf_hash) or _said(body) != (number, row.kind, row.relying_party_id):
        raise LogChangedError(f"entry {number} was changed")
    return bytes(row.leaf_hash)


def _said(body: bytes) -> tuple[object, ...] | None:
    try:
        entry = orjson.loads(body)
        return entry["sequence"], entry["kind"], entry["relyingParty"]
    except (ValueError, KeyError, TypeError):
        return None


def _check_covered(tree: CompactRange, last: Checkpoint) -> None:
    if tree.root() != last.root:
        raise LogChangedError(f"its first {last.size} entries are not those of its checkpoint")
