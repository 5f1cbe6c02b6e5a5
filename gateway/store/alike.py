"""Whose record holds what another record holds.

Names and card numbers are kept sealed alone, so every record is opened: once before the transaction that relies on
it, and within that only those that changed since.
"""

import asyncio
from datetime import datetime
from enum import Enum, auto

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from connectors.interface import IdentityRecord
from connectors.japan import card_number
from gateway.identity.provider import is_same_person
from gateway.store.people import HAS_DISPUTES, People
from gateway.store.tables import person

OPENED_AT_ONCE = 50
"""After so many, others have their turn."""


class Holds(Enum):
    """What a person's record holds, beside another: its card number, and the same name and date of birth."""

    NEITHER = auto()
    NAME_ALONE = auto()
    CARD_ALONE = auto()
    BOTH = auto()

    @property
    def is_card(self) -> bool:
        return self in (Holds.CARD_ALONE, Holds.BOTH)


Seen = dict[str, tuple[datetime, Holds]]
"""Whose records were looked at, as they were changed last, and what they hold."""


async def look(connection: AsyncConnection, people: People, record: IdentityRecord, seen: Seen) -> dict[str, Holds]:
    """What everybody holds, as this connection sees it; what was seen and did not change is believed."""
    every = (await connection.execute(select(person.c.id, person.c.updated_at))).all()
    changed = [row.id for row in every if row.id not in seen or seen[row.id][0] != row.updated_at]
    for start in range(0, len(changed), OPENED_AT_ONCE):
        some = person.c.id.in_(changed[start : start + OPENED_AT_ONCE])
        rows = await connection.execute(select(person, HAS_DISPUTES.label("has_disputes")).where(some))
        for row in rows.all():
            seen[row.id] = (row.updated_at, _holds(people.read(row.id, row).identity, record))
        await asyncio.sleep(0)
    return {row.id: seen[row.id][1] for row in every if row.id in seen}


def _holds(known: IdentityRecord, record: IdentityRecord) -> Holds:
    is_card = card_number(known.residence_card_number) == card_number(record.residence_card_number)
    if is_same_person(known, record):
        return Holds.BOTH if is_card else Holds.NAME_ALONE
    return Holds.CARD_ALONE if is_card else Holds.NEITHER
