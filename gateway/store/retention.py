"""What is kept no longer than it may be: a sweep from time to time. Nothing relies on it: reading checks the time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import structlog
from sqlalchemy import BigInteger, Select, cast, delete, select, type_coerce, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.erasure import Erasure
from gateway.store.tables import (
    answer,
    authorization_code,
    consent_grant,
    consent_request,
    invitation,
    microseconds,
    portal_session,
    pushed_request,
    settled_comparison,
    share_code,
    threshold_probe,
    used_once,
)
from gateway.store.writer import Writer

SWEEP_SECONDS = 3_600

CLOCK_STEP = timedelta(hours=2)
"""What was used is remembered for longer than a clock is set back by, so that no proof becomes good again."""
_DAY_MICROSECONDS = 86_400_000_000
_OVER_WHEN_EXPIRED = (
    *(consent_request, share_code, pushed_request, authorization_code),
    *(portal_session, invitation),
)

_log = structlog.get_logger("kyosei.retention")


class Retention:
    """Deletes what is over, through the writer."""

    def __init__(self, writer: Writer, erasure: Erasure, *, probing_window: timedelta) -> None:
        self._writer = writer
        self._erasure = erasure
        self._probing_window = probing_window

    async def sweep(self, now: datetime) -> None:
        """Delete Answers past their data life, frozen comparisons, old thresholds, all that has expired, and keys of
        people who were erased, where one was left."""

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(
                update(answer).where(answer.c.id.in_(_past_data_life(now))).values(body_sealed=None)
            )
            await connection.execute(delete(settled_comparison).where(settled_comparison.c.frozen_until <= now))
            for table in _OVER_WHEN_EXPIRED:
                await connection.execute(delete(table).where(table.c.expires_at <= now))
            await connection.execute(delete(used_once).where(used_once.c.expires_at <= now - CLOCK_STEP))
            over = threshold_probe.c.requested_at <= now - self._probing_window
            await connection.execute(delete(threshold_probe).where(over))

        await self._writer.write(write)
        await self._erasure.forget_left_keys()


def _past_data_life(now: datetime) -> Select[tuple[str]]:
    """The Answers that the relying party may not keep any longer, and neither do we."""
    life = cast(consent_grant.c.data_life_days, BigInteger) * _DAY_MICROSECONDS
    ends_at = type_coerce(answer.c.recorded_at, BigInteger) + life
    past = select(answer.c.id).join(consent_grant, consent_grant.c.id == answer.c.grant_id)
    return past.where(answer.c.body_sealed.is_not(None), ends_at <= microseconds(now))


@asynccontextmanager
async def swept(retention: Retention, now: Callable[[], datetime]) -> AsyncIterator[None]:
    """While the context lasts, sweep from time to time."""

    async def sweep() -> None:
        while True:
            try:
                await retention.sweep(now())
            except Exception as error:
                _log.error("sweep_failed", error=type(error).__name__)  # the next one finds it all
            await asyncio.sleep(SWEEP_SECONDS)

    sweeping = asyncio.create_task(sweep(), name="retention")
    try:
        yield
    finally:
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
