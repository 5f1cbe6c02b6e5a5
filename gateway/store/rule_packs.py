"""Rule packs are kept for ever, by the SHA-256 of their bytes: a grant pins the one that it was shown."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import rule_pack
from gateway.store.writer import Writer


async def keep_rule_packs(writer: Writer, configured: Mapping[str, bytes], *, now: datetime) -> dict[str, bytes]:
    """Keep the configured packs; every pack that was ever kept, by SHA-256."""

    async def write(connection: AsyncConnection) -> dict[str, bytes]:
        kept = {row.sha256: row.body for row in await connection.execute(select(rule_pack))}
        rows = [{"sha256": s, "body": b, "added_at": now} for s, b in configured.items() if s not in kept]
        if rows:
            await connection.execute(insert(rule_pack), rows)
        return kept | dict(configured)

    return (await writer.write(write)).outcome
