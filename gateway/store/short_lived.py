"""What must not come back with an older state of the database, and what is forgotten when one is accepted.

A state that is older than the last moment knows nothing of what was used up, ended or taken back in between:

portal_session       a browser that has signed out since would be signed in again; everybody signs in anew
authorization_code   it lives for a minute; one that was redeemed since could be redeemed again
pushed_request       one that was decided since would wait again; the relying party pushes another
consent_request      one that somebody has opened since could be opened by somebody else
share_code           one that was redeemed since could be redeemed by another relying party; the person makes another
invitation           one that was used since would let its holder sign in as the person; the counter gives another
log_tile             it is derived from the log

`used_once` is kept, for what was used before must not be used again. What was used since is not known, so all that
could have been used is refused: until the longest-lived proof that could be has run out, whatever ends before that
counts as used.

The rest comes back as it was: consents, their tokens and events, Answers, budgets, disputes, passkeys, relying
parties, keys. What was ended since is in force again; that the log is shorter than its checkpoint tells of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Table, delete, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.tables import (
    authorization_code,
    consent_request,
    invitation,
    log_tile,
    metadata,
    portal_session,
    pushed_request,
    share_code,
    used_once,
)
from gateway.store.used_once import ALL_BEFORE

ONE_TIME = (portal_session, authorization_code, pushed_request, consent_request, share_code, invitation)

LONGEST_PROOF = timedelta(minutes=5, seconds=10)
"""The longest that a proof, an assertion or a challenge is good for once it could be used: five minutes, and ten
seconds for a clock that is ahead. Source: gateway.identity.assertion, gateway.portal.challenge."""


def tables_to_keep() -> Sequence[Table]:
    """What a backup holds, each table after those that it refers to."""
    return [table for table in metadata.sorted_tables if table not in (*ONE_TIME, log_tile)]


async def refuse_used(connection: AsyncConnection, now: datetime) -> None:
    """Let nothing that may have been used until now be used again."""
    await connection.execute(delete(used_once).where(used_once.c.digest == ALL_BEFORE))
    await connection.execute(insert(used_once).values(digest=ALL_BEFORE, expires_at=now + LONGEST_PROOF))


async def forget_short_lived(connection: AsyncConnection, now: datetime) -> None:
    """Do to a database that fell back what a backup would have done."""
    for table in ONE_TIME:
        await connection.execute(delete(table))
    await refuse_used(connection, now)
