"""The clock against the record: time that went back would let ended consents live again."""

from datetime import datetime, timedelta

from sqlalchemy import select

from gateway.errors import ConfigurationError
from gateway.store.database import Database
from gateway.store.tables import audit_entry

TOLERANCE = timedelta(seconds=60)
"""How far the clocks of several processes may lie apart. Source: security 2 E, row 65."""


async def check_clock(database: Database, now: datetime) -> None:
    """Refuse to start on a clock that is not in UTC, or behind the last entry of the record.

    Raises ConfigurationError.
    """
    if now.utcoffset() != timedelta(0):
        raise ConfigurationError("clock: it is not in UTC")
    last = select(audit_entry.c.at).order_by(audit_entry.c.sequence.desc()).limit(1)
    async with database.reading.connect() as connection:
        at = (await connection.execute(last)).scalar_one_or_none()
    if at is not None and now < at - TOLERANCE:
        raise ConfigurationError("clock: it is behind the last entry of the record; set it right")
