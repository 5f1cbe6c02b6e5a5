"""Share codes: stored as keyed digests, redeemed once, bound to the relying party that redeems them first."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.audit.entry import EntryFacts
from gateway.consent.grant import Grant, GrantEvent
from gateway.identity.relying_party import RelyingParty
from gateway.identity.subject import Person
from gateway.store.grants import LAST_EVENT, Grants, facts_of
from gateway.store.log import AuditLog
from gateway.store.lookups import Lookups
from gateway.store.tables import consent_grant, share_code
from gateway.store.writer import Writer
from resolvers.subject import GrantStatus
from resolvers.worker import AccessKind

_IN_FORCE = (GrantEvent.GRANTED.value, GrantEvent.RESUMED.value)


@dataclass(frozen=True, slots=True)
class Redeemer:
    """Who redeems, and the token that it would get."""

    party: RelyingParty
    token_digest: str
    usable_packs: Collection[str]


@dataclass(frozen=True, slots=True)
class RedeemedBefore:
    """The same relying party has redeemed this code already."""

    at: datetime


class ShareCodes:
    """Makes and redeems share codes through the writer."""

    def __init__(self, reading: Lookups, *, writer: Writer, grants: Grants, log: AuditLog) -> None:
        self._reading = reading
        self._writer = writer
        self._grants = grants
        self._log = log

    async def make(self, grant: Grant, person: Person, *, digest: str, expires_at: datetime, now: datetime) -> bool:
        """Keep a new code for a grant; False unless the grant is active."""
        values = {"digest": digest, "grant_id": grant.id, "made_at": now, "expires_at": expires_at}

        async def write(connection: AsyncConnection) -> bool:
            if await self._grants.status(connection, grant.id, now) is not GrantStatus.ACTIVE:
                return False
            await connection.execute(insert(share_code).values(values))
            await self._log.append(connection, facts_of(grant, AccessKind.SHARE_CODE_MADE), person=person, at=now)
            return True

        return (await self._writer.write(write)).outcome

    async def redeem(self, digest: str, redeemer: Redeemer, *, now: datetime) -> Grant | RedeemedBefore | None:
        """Bind the grant to who redeems its code first; None for everybody else, whatever the reason.

        What cannot be redeemed costs one look-up and one entry, whether there is such a code or not.
        """

        async def write(connection: AsyncConnection) -> Grant | RedeemedBefore | None:
            found_code = await self._redeemable(connection, digest, redeemer, now)
            if found_code is None or found_code.redeemed_at is not None:
                refused = EntryFacts(
                    kind=AccessKind.REFUSED, relying_party_id=redeemer.party.id, code="CONSENT_INVALID"
                )
                await self._log.append(connection, refused, person=None, at=now)
                return None if found_code is None else RedeemedBefore(found_code.redeemed_at)
            grant_id: str = found_code.id
            await connection.execute(update(share_code).where(share_code.c.digest == digest).values(redeemed_at=now))
            binding = update(consent_grant).where(consent_grant.c.id == grant_id)
            await connection.execute(binding.values(relying_party_id=redeemer.party.id))
            await self._grants.add_token(connection, grant_id, redeemer.token_digest, now)
            found = await self._grants.find_in(connection, grant_id)
            if found is None:
                raise LookupError("a grant without its person")
            grant, person = found
            facts = facts_of(grant, AccessKind.SHARE_CODE_REDEEMED)
            await self._log.append(connection, facts, person=person, at=now)
            return grant

        return (await self._writer.write(write)).outcome

    @staticmethod
    async def _redeemable(connection: AsyncConnection, digest: str, redeemer: Redeemer, now: datetime) -> Any:
        """The grant's `id` of a code that this party may redeem now, or has: `redeemed_at` tells."""
        is_usable = and_(
            share_code.c.redeemed_at.is_(None),
            consent_grant.c.expires_at > now,
            consent_grant.c.relying_party_id.in_(("", redeemer.party.id)),
            consent_grant.c.purpose.in_([purpose.value for purpose in redeemer.party.purposes]),
            consent_grant.c.rule_pack_sha256.in_(list(redeemer.usable_packs)),
            LAST_EVENT.in_(_IN_FORCE),
        )
        is_own = and_(share_code.c.redeemed_at.is_not(None), consent_grant.c.relying_party_id == redeemer.party.id)
        found = (
            select(consent_grant.c.id, share_code.c.redeemed_at)
            .join(share_code, share_code.c.grant_id == consent_grant.c.id)
            .where(share_code.c.digest == digest, share_code.c.expires_at > now, or_(is_usable, is_own))
        )
        return (await connection.execute(found)).one_or_none()
