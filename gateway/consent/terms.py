"""How often and how long a consent answers: what a request may narrow within its purpose's bounds."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.consent.purpose import PurposeBounds
from gateway.errors import ConsentRequestError
from resolvers.consent import ConsentTerms, FetchType


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of one consent. `uses` None: not counted. `times_per_day`: for PERIODIC alone.

    `until`: an end before the purpose's own; None leaves that one. Source: ReBIT (fetchType, Frequency, DataLife).
    """

    fetch: FetchType
    uses: int | None
    times_per_day: int | None
    data_life_days: int
    until: datetime | None = None

    def expires_at(self, bounds: PurposeBounds, now: datetime) -> datetime:
        """When a consent granted now would end. Who renews it decides anew, up to the purpose's own life."""
        longest = now + timedelta(days=bounds.life_days)
        return longest if self.until is None else min(self.until, longest)


def make_terms(bounds: PurposeBounds, asked: ConsentTerms | None, *, now: datetime) -> Terms:
    """The terms asked for, the purpose's own where nothing is. Raises ConsentRequestError beyond its bounds."""
    asked = asked or ConsentTerms()
    fetch = asked.fetch_type or bounds.fetch
    if fetch is not bounds.fetch and fetch is not FetchType.ONETIME:
        raise ConsentRequestError("terms.fetchType")
    if asked.times_per_day is not None and fetch is not FetchType.PERIODIC:
        raise ConsentRequestError("terms.timesPerDay")
    if asked.expires_at is not None and (
        asked.expires_at.tzinfo is None or not now < asked.expires_at <= now + timedelta(days=bounds.life_days)
    ):
        raise ConsentRequestError("terms.expiresAt")
    return Terms(
        fetch=fetch,
        uses=_narrower("terms.uses", asked.uses, bounds.uses),
        times_per_day=(
            _narrower("terms.timesPerDay", asked.times_per_day, bounds.times_per_day)
            if fetch is FetchType.PERIODIC
            else None
        ),
        data_life_days=_narrower("terms.dataLifeDays", asked.data_life_days, bounds.data_life_days)
        or bounds.data_life_days,
        until=asked.expires_at,
    )


def _narrower(name: str, asked: int | None, bound: int | None) -> int | None:
    """What is asked, within the bound; the bound if nothing is."""
    if asked is None:
        return bound
    if asked < 1 or (bound is not None and asked > bound):
        raise ConsentRequestError(name)
    return asked
