"""Evidence that is kept for a while, sealed under the person's key: in memory, bounded, or in a shared cache."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from aiocache.backends.memory import SimpleMemoryCache

from connectors.evidence import Evidence
from connectors.immigration.evidence import ImmigrationEvidence
from connectors.insurance.evidence import InsuranceEvidence
from connectors.interface import SourceAuthority
from connectors.labor.evidence import LaborEvidence
from connectors.tax.evidence import TaxEvidence
from gateway.store.envelope import Envelope

_DECODERS: dict[SourceAuthority, msgspec.json.Decoder[Any]] = {
    SourceAuthority.IMMIGRATION: msgspec.json.Decoder(ImmigrationEvidence),
    SourceAuthority.LABOR: msgspec.json.Decoder(LaborEvidence),
    SourceAuthority.TAX: msgspec.json.Decoder(TaxEvidence),
    SourceAuthority.INSURANCE: msgspec.json.Decoder(InsuranceEvidence),
}
MAX_KEPT_NAMES = 256


class BoundedMemoryCache(SimpleMemoryCache):  # type: ignore[misc]  # aiocache is untyped
    """aiocache's memory cache with a bound: the entry unused for longest goes first."""

    def __init__(self, *, max_entries: int) -> None:
        super().__init__(timeout=None)  # nothing here takes time
        self._cache: OrderedDict[str, bytes] = OrderedDict()
        self._max_entries = max_entries

    async def find(self, names: Sequence[str]) -> list[bytes | None]:
        """What is kept under these names, each found or None."""
        for name in names:
            if name in self._cache:
                self._cache.move_to_end(name)
        found: list[bytes | None] = await self._multi_get(names)  # there is no wire to guard, nor any plugin
        return found

    async def keep(self, name: str, value: bytes, *, ttl: float) -> None:
        """Keep a value for `ttl` seconds."""
        await self._set(name, value, ttl=ttl)
        self._cache.move_to_end(name)
        while len(self._cache) > self._max_entries:
            await self._delete(next(iter(self._cache)))


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

    async def find(self, names: Sequence[str]) -> list[bytes | None]: ...

    async def keep(self, name: str, value: bytes, *, ttl: float) -> None: ...

    async def delete(self, name: str) -> object: ...

    async def close(self) -> object: ...


class EvidenceCache:
    """Keeps evidence per holder (a grant, or the person's own view) and authority."""

    def __init__(self, cache: Cache, envelope: Envelope) -> None:
        self._cache = cache
        self._envelope = envelope
        self._names = lru_cache(maxsize=MAX_KEPT_NAMES)(self._make_names)

    async def find(self, holder: Keeper, authorities: Iterable[SourceAuthority]) -> dict[SourceAuthority, Evidence]:
        """The evidence kept; what does not verify for this holder's version is a miss."""
        names = self._names(holder.id)
        wanted = list(authorities)
        sealed = await self._cache.find([names[authority] for authority in wanted])
        found: dict[SourceAuthority, Evidence] = {}
        for authority, body in zip(wanted, sealed, strict=True):
            evidence = None if body is None else self._opened(holder, authority, body)
            if evidence is not None:
                found[authority] = evidence
        return found

    def _opened(self, holder: Keeper, authority: SourceAuthority, sealed: bytes) -> Evidence | None:
        try:
            body = self._envelope.open(holder.person_key, sealed, place=_place(holder, authority))
            evidence: Evidence = _DECODERS[authority].decode(body)
        except (ValueError, msgspec.MsgspecError):
            return None
        return evidence

    async def keep(
        self, holder: Keeper, authority: SourceAuthority, evidence: Evidence, *, keep_until: datetime
    ) -> None:
        """Keep evidence until `keep_until`."""
        body = msgspec.json.encode(evidence)
        sealed = self._envelope.seal(holder.person_key, body, place=_place(holder, authority))
        seconds = (keep_until - evidence.observed_at).total_seconds()
        await self._cache.keep(self._names(holder.id)[authority], sealed, ttl=seconds)

    async def forget(self, holder: str) -> None:
        """Drop all that is kept for a holder."""
        for name in self._names(holder).values():
            await self._cache.delete(name)

    async def close(self) -> None:
        """Let go of where it is kept."""
        await self._cache.close()

    def _make_names(self, holder: str) -> dict[SourceAuthority, str]:
        """One for each authority, which tells neither holder nor authority."""
        return {
            authority: self._envelope.digest("evidence", f"{holder}\n{authority}") for authority in SourceAuthority
        }


def _place(holder: Keeper, authority: SourceAuthority) -> str:
    return f"evidence/{holder.id}/{holder.version}/{authority}"
