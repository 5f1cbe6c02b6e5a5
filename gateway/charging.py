"""What a relying party's staff ask on a page counts like what its software asks."""

from dataclasses import dataclass

from gateway.consent.token import token_digest
from gateway.cost import Tariff, cost_of
from gateway.errors import RequestError
from gateway.plan import Plan
from gateway.rates import RateLimits
from gateway.reasoning import Reasoning


@dataclass(frozen=True, slots=True)
class Charging:
    """Counts one question under one consent, and takes its cost off the budget."""

    rates: RateLimits
    reasoning: Reasoning
    tariff: Tariff

    async def charge(self, party_id: str, plan: Plan) -> None:
        """Raises RateLimitedError, or RequestError where one question costs too much."""
        await self.rates.count_request(party_id)
        await self.rates.count_consent(party_id, token_digest(plan.consent_token))
        if not self.tariff.is_enforced:
            return
        cost = cost_of((plan,), self.reasoning, self.tariff)
        if cost.total > self.tariff.operation_limit:
            raise RequestError("cost", code="QUERY_TOO_COMPLEX")
        await self.rates.spend(party_id, cost.total)
