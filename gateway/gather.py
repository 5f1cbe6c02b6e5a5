"""Ask the sources, once each, together, under one deadline.

What has not arrived by the deadline goes on in the background; what arrives later is kept for the next
query, if the grant still stands. A query never fails because a source does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from connectors.errors import ConnectorError, SourceUnavailableError, SubjectUnmatchedError
from connectors.evidence import Evidence
from connectors.interface import Connector, EvidenceRequest, IdentityRecord, SourceAuthority
from gateway.admission import away
from gateway.tracing import step
from resolvers.attribute import Freshness
from resolvers.claim import ClaimState, Reason
from resolvers.derive import Needs
from resolvers.facts import Absent, Arrived

RESERVED_SECONDS = 0.2
"""What is left of a query's deadline for recording and responding."""

MAX_NEGATIVE_SECONDS = 30
"""For at most this long a source that failed is not asked again. Source: security 3.8."""

_log = structlog.get_logger("kyosei.gather")


class EvidenceStore(Protocol):
    """Where evidence is kept until its freshness runs out."""

    async def get(self, holder: "Holder", authority: SourceAuthority) -> Evidence | None: ...

    async def set(
        self, holder: "Holder", authority: SourceAuthority, evidence: Evidence, *, keep_until: datetime
    ) -> None: ...

    async def forget(self, holder: str) -> None: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """How long one authority may take, and when to ask again if it does not say."""

    deadline_seconds: float
    retry_after_seconds: float


@dataclass(frozen=True, slots=True, repr=False)
class Holder:
    """For whom evidence is gathered: a grant, or the person's own view. Nothing is shared between holders.

    `version`: what was gathered under another one, before the person's record was corrected or disputed, is not
    used. `may_keep`: asked before evidence that arrived is kept. `keep`: the longest it is kept, whatever its class.
    """

    id: str
    version: str
    person_key: bytes
    identity: IdentityRecord
    may_keep: Callable[[], Awaitable[bool]]
    keep: timedelta | None = None


Reply = Arrived[Evidence] | Absent
_Key = tuple[str, str, SourceAuthority]

_KEPT_AS: dict[SourceAuthority, Freshness] = {
    SourceAuthority.IMMIGRATION: Freshness.F4,
    SourceAuthority.LABOR: Freshness.F2,
    SourceAuthority.TAX: Freshness.F4,
    SourceAuthority.INSURANCE: Freshness.F3,
}
"""For how long each source's evidence is kept; a question whose classes are shorter asks anew."""


class Gatherer:
    """Gathers evidence for holders: cached, in flight or asked for now."""

    def __init__(
        self,
        connectors: Mapping[SourceAuthority, Connector[Evidence]],
        store: EvidenceStore,
        *,
        limits: Mapping[SourceAuthority, SourceLimits],
        deadline_seconds: float,
        now: Callable[[], datetime],
    ) -> None:
        self._connectors = connectors
        self._store = store
        self._limits = limits
        self._deadline_seconds = deadline_seconds
        self._now = now
        self._flights: dict[_Key, asyncio.Task[Reply]] = {}
        self._failures: dict[_Key, tuple[datetime, Absent]] = {}

    def usual_end(self) -> float:
        """The deadline of who sets none, on the event loop's clock."""
        return asyncio.get_running_loop().time() + self._deadline_seconds

    async def gather(
        self, holder: Holder, needs: Needs, *, ends_at: float | None = None
    ) -> dict[SourceAuthority, Reply]:
        """What each needed source says, or why it does not, before the deadline (on the event loop's clock)."""
        ends_at = self.usual_end() if ends_at is None else ends_at
        replies: dict[SourceAuthority, Reply] = {}
        flights: dict[SourceAuthority, asyncio.Task[Reply]] = {}
        for authority in needs.sources:
            at_hand = await self._at_hand(holder, authority, needs)
            if at_hand is not None:
                replies[authority] = at_hand
            else:
                flights[authority] = self._flight(holder, authority)
        if flights:
            left_seconds = ends_at - RESERVED_SECONDS - asyncio.get_running_loop().time()
            with away():
                await asyncio.wait(flights.values(), timeout=max(0.0, left_seconds))
        for authority, flight in flights.items():
            landed = flight.done() and not flight.cancelled()
            replies[authority] = flight.result() if landed else self._pending(authority)
        return replies

    async def _at_hand(self, holder: Holder, authority: SourceAuthority, needs: Needs) -> Reply | None:
        """Fresh evidence that is kept, or a failure so recent that asking again would be a nuisance."""
        kept = await self._store.get(holder, authority)
        if kept is not None and needs.fresh_until(authority, kept.observed_at) > self._now():
            return Arrived(kept)
        key = (holder.id, holder.version, authority)
        until, failure = self._failures.get(key, (None, None))
        if until is not None and until > self._now():
            return failure
        self._failures.pop(key, None)
        return None

    def _flight(self, holder: Holder, authority: SourceAuthority) -> asyncio.Task[Reply]:
        """The request under way for this holder and source, or a new one."""
        key = (holder.id, holder.version, authority)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._ask(holder, authority), name=f"ask {authority}")
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    def _landed(self, key: _Key, flight: asyncio.Task[Reply]) -> None:
        self._flights.pop(key, None)
        if not flight.cancelled() and (error := flight.exception()) is not None:
            _log.error("gathering_broke", authority=key[2].value, error=type(error).__name__)

    async def _ask(self, holder: Holder, authority: SourceAuthority) -> Reply:
        limits = self._limits[authority]
        try:
            with step("source", authority=authority.value):
                evidence = await self._connectors[authority].fetch(
                    EvidenceRequest(holder.identity), deadline_seconds=limits.deadline_seconds
                )
        except SubjectUnmatchedError as error:
            _log.error("source_failed", authority=authority.value, fault=error.fault)
            unmatched = Absent(ClaimState.EVIDENCE_NEEDED, Reason.IDENTITY_UNRESOLVED)
            return self._remember(holder, authority, unmatched, seconds=MAX_NEGATIVE_SECONDS)
        except ConnectorError as error:
            _log.warning("source_failed", authority=authority.value, fault=error.fault)
            return self._failed(holder, authority, error)
        if await holder.may_keep():
            await self._keep(holder, authority, evidence)
        return Arrived(evidence)

    async def _keep(self, holder: Holder, authority: SourceAuthority, evidence: Evidence) -> None:
        keep_until = _KEPT_AS[authority].fresh_until(evidence.observed_at)
        if holder.keep is not None:
            keep_until = min(keep_until, evidence.observed_at + holder.keep)
        await self._store.set(holder, authority, evidence, keep_until=keep_until)

    def _failed(self, holder: Holder, authority: SourceAuthority, error: ConnectorError) -> Absent:
        """The source is UNAVAILABLE; it is not asked again before `retry_at`, nor kept waiting for long."""
        seconds = self._limits[authority].retry_after_seconds
        if isinstance(error, SourceUnavailableError) and error.retry_after_seconds is not None:
            seconds = error.retry_after_seconds
        retry_at = self._now() + timedelta(seconds=seconds)
        absent = Absent(ClaimState.UNAVAILABLE, Reason.SOURCE_UNAVAILABLE, retry_at)
        return self._remember(holder, authority, absent, seconds=min(seconds, MAX_NEGATIVE_SECONDS))

    def _remember(self, holder: Holder, authority: SourceAuthority, absent: Absent, *, seconds: float) -> Absent:
        """Do not ask the source again for so long; forget what is over."""
        now = self._now()
        for key in [key for key, (until, _) in self._failures.items() if until <= now]:
            del self._failures[key]
        self._failures[(holder.id, holder.version, authority)] = (now + timedelta(seconds=seconds), absent)
        return absent

    def _pending(self, authority: SourceAuthority) -> Absent:
        retry_after = timedelta(seconds=self._limits[authority].retry_after_seconds)
        return Absent(ClaimState.PENDING, Reason.SOURCE_PENDING, self._now() + retry_after)

    async def cancel(self, holder_id: str) -> None:
        """Stop what is under way for a holder and forget what was kept."""
        flights = [flight for key, flight in self._flights.items() if key[0] == holder_id]
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for key in [key for key in self._failures if key[0] == holder_id]:
            del self._failures[key]
        await self._store.forget(holder_id)

    async def close(self) -> None:
        """Stop everything that is under way and close the connectors."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        for connector in self._connectors.values():
            await connector.close()
        await self._store.close()
