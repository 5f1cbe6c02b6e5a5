"""Ask the sources, once each, together, under one deadline.

What has not arrived by the deadline goes on in the background; what arrives later is kept for the next
query, if the grant still stands. A query never fails because a source does.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

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

    async def find(
        self, holder: "Holder", authorities: Iterable[SourceAuthority]
    ) -> dict[SourceAuthority, Evidence]: ...

    async def keep(
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
_Flights = Mapping[SourceAuthority, asyncio.Task[Reply]]

_KEPT_AS: dict[SourceAuthority, Freshness] = {
    SourceAuthority.IMMIGRATION: Freshness.F4,
    SourceAuthority.LABOR: Freshness.F2,
    SourceAuthority.TAX: Freshness.F4,
    SourceAuthority.INSURANCE: Freshness.F3,
}
"""For how long each source's evidence is kept; a question whose classes are shorter asks anew."""


@dataclass(slots=True, eq=False, repr=False)
class _Wait:
    """Somebody who waits until these sources have answered. `over`: they have, or it is too late. With `asyncio.wait`
    each flight would be told of each who waits, and back again."""

    unheard: set[SourceAuthority]
    over: asyncio.Future[None]

    def hear(self, authority: SourceAuthority) -> None:
        self.unheard.discard(authority)
        if not self.unheard:
            self.end()

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


@dataclass(slots=True, eq=False, repr=False)
class _Errand:
    """What is asked for one holder. `flights`: by source, until what it said is kept. `waiting`: who gathers it.
    `kept`: the sources whose evidence is being kept, here or by `keeping`."""

    holder: Holder
    flights: dict[SourceAuthority, asyncio.Task[Reply]] = field(default_factory=dict)
    waiting: list[_Wait] = field(default_factory=list)
    kept: set[SourceAuthority] = field(default_factory=set)
    keeping: asyncio.Task[None] | None = None
    is_cancelled: bool = False


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
        self._errands: dict[tuple[str, str], _Errand] = {}
        self._failures: dict[_Key, tuple[datetime, Absent]] = {}

    def usual_end(self) -> float:
        """The deadline of who sets none, on the event loop's clock."""
        return asyncio.get_running_loop().time() + self._deadline_seconds

    async def gather(
        self, holder: Holder, needs: Needs, *, ends_at: float | None = None
    ) -> dict[SourceAuthority, Reply]:
        """What each needed source says, or why it does not, before the deadline (on the event loop's clock)."""
        ends_at = self.usual_end() if ends_at is None else ends_at
        kept = await self._store.find(holder, needs.sources)
        replies: dict[SourceAuthority, Reply] = {}
        missing: list[SourceAuthority] = []
        for authority in needs.sources:
            at_hand = self._at_hand(holder, authority, needs, kept.get(authority))
            if at_hand is not None:
                replies[authority] = at_hand
            else:
                missing.append(authority)
        return replies | await self._fetch(holder, missing, ends_at) if missing else replies

    def _at_hand(
        self, holder: Holder, authority: SourceAuthority, needs: Needs, kept: Evidence | None
    ) -> Reply | None:
        """Fresh evidence that is kept, or a failure so recent that asking again would be a nuisance."""
        if kept is not None and needs.fresh_until(authority, kept.observed_at) > self._now():
            return Arrived(kept)
        key = (holder.id, holder.version, authority)
        until, failure = self._failures.get(key, (None, None))
        if until is not None and until > self._now():
            return failure
        self._failures.pop(key, None)
        return None

    async def _fetch(
        self, holder: Holder, missing: Sequence[SourceAuthority], ends_at: float
    ) -> dict[SourceAuthority, Reply]:
        """Ask these sources, unless they are being asked for this holder already, and keep what they say."""
        key = (holder.id, holder.version)
        errand = self._errands.get(key)
        if errand is None:
            errand = self._errands[key] = _Errand(holder)
        flights = {authority: self._flight(errand, authority) for authority in missing}
        try:
            with away():
                await _wait_for(errand, flights, ends_at - RESERVED_SECONDS)
        except asyncio.CancelledError:
            self._keep_later(errand)
            self._end_if_over(errand)
            raise
        await self._keep(errand)
        return {
            authority: flight.result() if flight.done() and not flight.cancelled() else self._pending(authority)
            for authority, flight in flights.items()
        }

    def _flight(self, errand: "_Errand", authority: SourceAuthority) -> asyncio.Task[Reply]:
        """The request under way for this holder and source, or a new one."""
        flight = errand.flights.get(authority)
        if flight is None:
            flight = errand.flights[authority] = asyncio.create_task(
                self._ask(errand.holder, authority), name=authority
            )
            flight.add_done_callback(partial(self._landed, errand, authority))
        return flight

    def _landed(self, errand: "_Errand", authority: SourceAuthority, flight: asyncio.Task[Reply]) -> None:
        """Evidence stays at hand here until it is kept; anything else is told to those who wait, and over."""
        _tell_if_broken(flight)
        for wait in errand.waiting:
            wait.hear(authority)
        if not isinstance(_said(flight), Arrived):
            errand.flights.pop(authority, None)
            self._end_if_over(errand)
        else:
            self._keep_later(errand)

    def _keep_later(self, errand: "_Errand") -> None:
        """Keep what nobody waits for any more: it is for the next query."""
        if errand.waiting or errand.keeping is not None or errand.is_cancelled:
            return
        if any(flight.done() and one not in errand.kept for one, flight in errand.flights.items()):
            errand.keeping = asyncio.create_task(self._keep(errand), name="keep evidence")
            errand.keeping.add_done_callback(partial(self._has_kept, errand))

    def _has_kept(self, errand: "_Errand", keeping: asyncio.Task[None]) -> None:
        """More may have landed meanwhile."""
        _tell_if_broken(keeping)
        errand.keeping = None
        self._keep_later(errand)

    async def _keep(self, errand: "_Errand") -> None:
        """Keep together what arrived together, if the holder may have it still."""
        landed = {
            authority: reply.evidence
            for authority, flight in errand.flights.items()
            if authority not in errand.kept and isinstance(reply := _said(flight), Arrived)
        }
        errand.kept |= landed.keys()
        holder = errand.holder
        try:
            if landed and not errand.is_cancelled and await holder.may_keep():
                for authority, evidence in landed.items():
                    keep_until = _KEPT_AS[authority].fresh_until(evidence.observed_at)
                    if holder.keep is not None:
                        keep_until = min(keep_until, evidence.observed_at + holder.keep)
                    await self._store.keep(holder, authority, evidence, keep_until=keep_until)
                if errand.is_cancelled:
                    await self._store.forget(holder.id)
        finally:
            for authority in landed:
                errand.flights.pop(authority, None)
            errand.kept -= landed.keys()
            self._end_if_over(errand)

    def _end_if_over(self, errand: "_Errand") -> None:
        if not errand.flights and not errand.waiting:
            self._forget(errand)

    def _forget(self, errand: "_Errand") -> None:
        key = (errand.holder.id, errand.holder.version)
        if self._errands.get(key) is errand:
            del self._errands[key]

    async def _ask(self, holder: Holder, authority: SourceAuthority) -> Reply:
        limits = self._limits[authority]
        try:
            with step("source", authority=authority):
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
        return Arrived(evidence)

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
        for errand in [errand for errand in self._errands.values() if errand.holder.id == holder_id]:
            await self._cancel(errand)
        for key in [key for key in self._failures if key[0] == holder_id]:
            del self._failures[key]
        await self._store.forget(holder_id)

    async def _cancel(self, errand: "_Errand") -> None:
        """Stop an errand; nothing of it is kept."""
        errand.is_cancelled = True
        self._forget(errand)
        tasks = [*errand.flights.values(), *([errand.keeping] if errand.keeping else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop everything that is under way and close the connectors."""
        for errand in list(self._errands.values()):
            await self._cancel(errand)
        for connector in self._connectors.values():
            await connector.close()
        await self._store.close()


async def _wait_for(errand: _Errand, flights: _Flights, ends_at: float) -> None:
    """Wait until these have landed, or until the end (on the event loop's clock)."""
    loop = asyncio.get_running_loop()
    wait = _Wait({authority for authority, flight in flights.items() if not flight.done()}, loop.create_future())
    if not wait.unheard:
        return
    errand.waiting.append(wait)
    too_late = loop.call_at(ends_at, wait.end)
    try:
        await wait.over
    finally:
        too_late.cancel()
        errand.waiting.remove(wait)


def _said(flight: asyncio.Task[Reply]) -> Reply | None:
    """What a source said; None: nothing yet, or nothing any more."""
    if not flight.done() or flight.cancelled() or flight.exception() is not None:
        return None
    return flight.result()


def _tell_if_broken(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    if error is not None:
        _log.error("gathering_broke", authority=task.get_name(), error=type(error).__name__)
