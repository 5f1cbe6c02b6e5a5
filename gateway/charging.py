"""Counts what a relying party asks, by its software or by its staff, and takes what it costs off the budget."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.consent.token import token_digest
from gateway.cost import Cost, Tariff, cost_of
from gateway.errors import RequestError
from gateway.metrics import Metrics
from gateway.plan import Plan
from gateway.rates import RateLimits
from gateway.reasoning import Reasoning


@dataclass(frozen=True, slots=True)
class Charging:
    """What questions under consents cost. `rates` count requests as well."""

    rates: RateLimits
    reasoning: Reasoning
    tariff: Tariff
    metrics: Metrics

    async def charge(self, party_id: str, plans: Sequence[Plan]) -> Cost:
        """Count an operation's plans. Raises RateLimitedError, or RequestError where one operation costs too much."""
        for digest in {token_digest(plan.consent_token) for plan in plans}:
            await self.rates.count_consent(party_id, digest)
        cost = cost_of(plans, self.reasoning, self.tariff)
        self.metrics.cost(cost.total)
        if self.tariff.is_enforced:
            if cost.total > self.tariff.operation_limit:
                raise RequestError("cost", code="QUERY_TOO_COMPLEX")
            await self.rates.spend(party_id, cost.total)
        return cost
