"""Evidence that is kept for a while, sealed under the person's key: in memory, bounded, or in a shared cache."""

import hashlib
import hmac
from collections import OrderedDict
from datetime import datetime
from typing import Any, Protocol

from aiocache.backends.memory import SimpleMemoryCache
from pydantic import TypeAdapter

from connectors.evidence import Evidence
from connectors.immigration.evidence import ImmigrationEvidence
from connectors.insurance.evidence import InsuranceEvidence
from connectors.interface import SourceAuthority
from connectors.labor.evidence import LaborEvidence
from connectors.tax.evidence import TaxEvidence
from gateway.store.envelope import Envelope

_ADAPTERS: dict[SourceAuthority, TypeAdapter[Any]] = {
    SourceAuthority.IMMIGRATION: TypeAdapter(ImmigrationEvidence),
    SourceAuthority.LABOR: TypeAdapter(LaborEvidence),
    SourceAuthority.TAX: TypeAdapter(TaxEvidence),
    SourceAuthority.INSURANCE: TypeAdapter(InsuranceEvidence),
}


class BoundedMemoryCache(SimpleMemoryCache):  # type: ignore[misc]  # aiocache is untyped
    """aiocache's memory cache with a bound: the entry unused for longest goes first."""

    def __init__(self, *, max_entries: int) -> None:
        super().__init__(timeout=None)  # nothing here takes time
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._max_entries = max_entries

    async def _get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        if key in self._cache:
            self._cache.move_to_end(key)
        return await super()._get(key, *args, **kwargs)

    async def _set(self, key: str, *args: Any, **kwargs: Any) -> Any:
        stored = await super()._set(key, *args, **kwargs)
        self._cache.move_to_end(key)
        while len(self._cache) > self._max_entries:
            await self._delete(next(iter(self._cache)))
        return stored


class Keeper(Protocol):
    """For whom evidence is kept: a grant or the person's own view, in one state of the person's record."""

    @property
    def id(self) -> str: ...

    @property
    def version(self) -> str: ...

    @property
    def person_key(self) -> bytes: ...


class Cache(Protocol):
    """Where sealed evidence is kept, by a name that tells nothing: in memory, or shared."""

    async def get(self, name: str) -> bytes | None: ...

    async def set(self, name: str, value: bytes, *, ttl: float) -> object: ...

    async def delete(self, name: str) -> object: ...

    async def close(self) -> object: ...


class EvidenceCache:
    """Keeps evidence per holder (a grant, or the person's own view) and authority."""

    def __init__(self, cache: Cache, envelope: Envelope) -> None:
        self._cache = cache
        self._envelope = envelope
        self._key = envelope.derive("evidence")

    async def get(self, holder: Keeper, authority: SourceAuthority) -> Evidence | None:
        """The evidence kept, or None; what does not verify for this holder's version is a miss."""
        sealed = await self._cache.get(self._name(holder.id, authority))
        if sealed is None:
            return None
        try:
            body = self._envelope.open(holder.person_key, sealed, place=_place(holder, authority))
            evidence: Evidence = _ADAPTERS[authority].validate_json(body)
        except ValueError:
            return None
        return evidence

    async def set(
        self, holder: Keeper, authority: SourceAuthority, evidence: Evidence, *, keep_until: datetime
    ) -> None:
        """Keep evidence until `keep_until`."""
        body = _ADAPTERS[authority].dump_json(evidence)
        sealed = self._envelope.seal(holder.person_key, body, place=_place(holder, authority))
        seconds = (keep_until - evidence.observed_at).total_seconds()
        await self._cache.set(self._name(holder.id, authority), sealed, ttl=seconds)

    async def forget(self, holder: str) -> None:
        """Drop all that is kept for a holder."""
        for authority in SourceAuthority:
            await self._cache.delete(self._name(holder, authority))

    async def close(self) -> None:
        """Let go of where it is kept."""
        await self._cache.close()

    def _name(self, holder: str, authority: SourceAuthority) -> str:
        return hmac.new(self._key, f"{holder}\n{authority}".encode(), hashlib.sha256).hexdigest()


def _place(holder: Keeper, authority: SourceAuthority) -> str:
    return f"evidence/{holder.id}/{holder.version}/{authority}"
