"""OAuth requests that wait for a person, and the codes that their decisions are fetched by."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.consent.grant import GrantEvent
from gateway.store.grants import Grants
from gateway.store.lookups import Lookups
from gateway.store.tables import authorization_code, consent_token, pushed_request
from gateway.store.writer import Writer
from resolvers.subject import GrantStatus

CODE_LIFE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class PushedRequest:
    """What a relying party pushed. `request_id`: the request for consent behind it. `begin_until`: until when a
    browser may come with it. `person_id`, `grant_id`: once somebody has opened it."""

    relying_party_id: str
    request_id: str
    redirect_uri: str
    state: str | None
    code_challenge: str
    dpop_jkt: str | None
    begin_until: datetime
    person_id: str | None = None
    grant_id: str | None = None


@dataclass(frozen=True, slots=True)
class Redemption:
    """What a relying party redeems a code with."""

    relying_party_id: str
    redirect_uri: str
    code_verifier: str
    dpop_jkt: str
    token_digest: str


@dataclass(frozen=True, slots=True)
class Redeemed:
    """The grant behind a code. `is_again`: the code was used before, so it gives nothing and has ended the grant."""

    grant_id: str
    is_again: bool


class PushedRequests:
    """Reads requests and codes; keeps them through the writer. Handles and codes are kept as digests."""

    def __init__(self, reading: Lookups, writer: Writer, grants: Grants) -> None:
        self._reading = reading
        self._writer = writer
        self._grants = grants

    async def push(self, handle: str, pushed: PushedRequest, *, expires_at: datetime) -> None:
        body = {
            "redirect_uri": pushed.redirect_uri,
            "state": pushed.state,
            "code_challenge": pushed.code_challenge,
            "dpop_jkt": pushed.dpop_jkt,
            "begin_until": pushed.begin_until.isoformat(),
        }
        values = {
            "digest": digest_of(handle),
            "relying_party_id": pushed.relying_party_id,
            "request_id": pushed.request_id,
            "body": orjson.dumps(body),
            "expires_at": expires_at,
        }
        await self._writer.write(lambda connection: connection.execute(insert(pushed_request).values(values)))

    async def find(self, handle: str, *, now: datetime) -> PushedRequest | None:
        """A request that waits for its decision."""
        return await self._find(pushed_request.c.digest == digest_of(handle), now)

    async def find_opened(self, grant_id: str, *, now: datetime) -> PushedRequest | None:
        """The request behind a grant that waits for its decision; None where it did not come like this."""
        return await self._find(pushed_request.c.grant_id == grant_id, now)

    async def _find(self, condition: ColumnElement[bool], now: datetime) -> PushedRequest | None:
        waiting = select(pushed_request).where(condition, pushed_request.c.expires_at > now)
        async with self._reading.connect() as connection:
            row = (await connection.execute(waiting)).first()
        return None if row is None else _read(row)

    async def open(self, handle: str, *, person_id: str, grant_id: str) -> bool:
        """Bind a request to the person who opened it and to what they decide about; False if somebody else did."""
        unopened = (pushed_request.c.digest == digest_of(handle)) & pushed_request.c.person_id.is_(None)
        opened = update(pushed_request).where(unopened).values(person_id=person_id, grant_id=grant_id)

        async def write(connection: AsyncConnection) -> bool:
            return (await connection.execute(opened)).rowcount == 1

        return (await self._writer.write(write)).outcome

    async def decide(self, grant_id: str, *, code: str | None, now: datetime) -> bool:
        """End an opened request; with a code to fetch the decision by, if it is a yes. False if it is over."""

        async def write(connection: AsyncConnection) -> bool:
            here = pushed_request.c.grant_id == grant_id
            row = (await connection.execute(select(pushed_request).where(here))).first()
            if row is None:
                return False
            await connection.execute(delete(pushed_request).where(here))
            if code is not None:
                await connection.execute(insert(authorization_code).values(_code_row(code, _read(row), now)))
            return True

        return (await self._writer.write(write)).outcome

    async def redeem(self, code: str, redemption: Redemption, *, now: datetime) -> Redeemed | None:
        """The grant behind a code, with a token from now on; None for whatever cannot be redeemed.

        A code that is redeemed a second time takes back the token that it gave, and ends the grant with it: somebody
        else may hold the token. Source: RFC 6749 section 4.1.2; RFC 9700 section 4.5.
        """
        here = authorization_code.c.digest == digest_of(code)

        async def write(connection: AsyncConnection) -> Redeemed | None:
            row = (await connection.execute(select(authorization_code).where(here))).first()
            if row is None or not _may_redeem(row, redemption):
                return None
            if row.used_at is not None:
                await self._take_back(connection, row, now)
                return Redeemed(row.grant_id, is_again=True)
            status = await self._grants.status(connection, row.grant_id, now)
            if row.expires_at <= now or status is not GrantStatus.ACTIVE:
                return None
            used = {"used_at": now, "token_digest": redemption.token_digest}
            await connection.execute(update(authorization_code).where(here).values(used))
            await self._grants.add_token(connection, row.grant_id, redemption.token_digest, now)
            return Redeemed(row.grant_id, is_again=False)

        return (await self._writer.write(write)).outcome

    async def _take_back(self, connection: AsyncConnection, code: Row[Any], now: datetime) -> None:
        """The token that a code gave, and the grant."""
        await connection.execute(delete(consent_token).where(consent_token.c.digest == code.token_digest))
        found = await self._grants.find_in(connection, code.grant_id)
        if found is not None:
            await self._grants.change_in(connection, *found, GrantEvent.REVOKED, now=now)


def digest_of(secret: str) -> str:
    """What is kept of a handle or code: they are random, so a plain digest cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()


def challenge_of(verifier: str) -> str:
    """The S256 challenge of a PKCE verifier. Source: RFC 7636 section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def _may_redeem(row: Row[Any], redemption: Redemption) -> bool:
    return (
        row.relying_party_id == redemption.relying_party_id
        and row.redirect_uri == redemption.redirect_uri
        and hmac.compare_digest(row.code_challenge, challenge_of(redemption.code_verifier))
        and row.dpop_jkt in (None, redemption.dpop_jkt)
    )


def _code_row(code: str, pushed: PushedRequest, now: datetime) -> dict[str, Any]:
    return {
        "digest": digest_of(code),
        "grant_id": pushed.grant_id,
        "relying_party_id": pushed.relying_party_id,
        "redirect_uri": pushed.redirect_uri,
        "code_challenge": pushed.code_challenge,
        "dpop_jkt": pushed.dpop_jkt,
        "expires_at": now + CODE_LIFE,
    }


def _read(row: Row[Any]) -> PushedRequest:
    body = orjson.loads(row.body)
    return PushedRequest(
        relying_party_id=row.relying_party_id,
        request_id=row.request_id,
        redirect_uri=body["redirect_uri"],
        state=body["state"],
        code_challenge=body["code_challenge"],
        dpop_jkt=body["dpop_jkt"],
        begin_until=datetime.fromisoformat(body["begin_until"]),
        person_id=row.person_id,
        grant_id=row.grant_id,
    )
