"""A relying party's question over GraphQL: its plans, what they cost, their answers, within deadline and lease."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from gateway.admission import keep_step
from gateway.answer import moment
from gateway.charging import Charging
from gateway.consent.gate import Refusal
from gateway.consent.grant import Grant
from gateway.cost import Cost
from gateway.document import Document
from gateway.documents import Documents
from gateway.errors import GatewayError, public_code
from gateway.http.observing import Notes
from gateway.http.request import GraphQLRequest
from gateway.http.response import Json, Response, error_json
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.lease import Leased, ReleaseOrRefusal, answer_in_time
from gateway.metrics import Metrics
from gateway.pipeline import Asker, Release, Services
from gateway.projector import About, GrantView, Projection, Unanswered
from gateway.tracing import step

GRACE_SECONDS = 0.1
"""How long after its deadline an operation is given up, whatever it waits for. Source: reliability R7."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long an operation may take if its caller does not say, and at the longest if they do."""

    usual_seconds: float
    longest_seconds: float

    def is_short(self, asked_seconds: float | None) -> bool:
        """Whether a caller waits for less than usual."""
        return asked_seconds is not None and asked_seconds < self.usual_seconds

    def ends_at(self, asked_seconds: float | None) -> float:
        """The deadline of an operation that begins now, on the event loop's clock."""
        seconds = self.usual_seconds if asked_seconds is None else min(asked_seconds, self.longest_seconds)
        return asyncio.get_running_loop().time() + seconds


class Answering:
    """Answers relying parties' operations. `ref_of`: a person's pseudonym for a sector."""

    def __init__(
        self,
        services: Services,
        documents: Documents,
        *,
        charging: Charging,
        relying_parties: RelyingParties,
        metrics: Metrics,
        deadlines: Deadlines,
        ref_of: Callable[[str, str], str],
    ) -> None:
        self._services = services
        self._documents = documents
        self._charging = charging
        self._relying_parties = relying_parties
        self._metrics = metrics
        self.deadlines = deadlines
        self._ref_of = ref_of

    async def answer(
        self, asker: Asker, document: Document, request: GraphQLRequest, *, ends_at: float, notes: Notes
    ) -> Response:
        """The response to an operation about people. Raises GatewayError for what is refused as a whole."""
        with step("plan"):
            plans, project = self._documents.plan(document, request.variables)
        await keep_step()
        party = asker.party
        cost = await self._charging.charge(party.id, plans)
        notes.cost = cost.total
        extensions = {"extensions": {"cost": await self._cost_view(party, cost)}} if request.wants_cost else {}
        await keep_step()

        def make(outcomes: Sequence[ReleaseOrRefusal]) -> Json:
            data, errors = project([self._about(outcome, party) for outcome in outcomes])
            return {"data": data, **({"errors": errors} if errors else {}), **extensions}

        leased = await answer_in_time(plans, asker, self._services, make, ends_at=ends_at)
        for outcome in leased.outcomes:
            self._metrics.outcome("RELEASED" if isinstance(outcome, Release) else outcome.code)
        return self._response(leased, party)

    def _response(self, leased: Leased[Json], party: RelyingParty) -> Response:
        async def renew() -> Response:
            self._relying_parties.active(party.id)  # who was suspended since gets nothing
            return self._response(await leased.renew(), party)

        return Response(200, leased.made, leased.ends_at, renew)

    async def _cost_view(self, party: RelyingParty, cost: Cost) -> Json:
        return {
            "operation": cost.total,
            "operationLimit": self._charging.tariff.operation_limit,
            "sources": sorted(cost.sources),
            "people": cost.people,
            "budget": self._charging.tariff.budget,
            "budgetLeft": await self._charging.rates.left_to_spend(party.id),
            "mode": self._charging.tariff.mode.value,
        }

    def _about(self, outcome: ReleaseOrRefusal, party: RelyingParty) -> About:
        """What is answered about one person: each refused field with its error, or nothing with one."""
        now = self._services.now()
        if isinstance(outcome, Release):
            answer, plan, refused = outcome.answer, outcome.approved.plan, outcome.approved.refused
            person_id, view = outcome.approved.grant.person_id, lambda: _view(_as_left(outcome), now)
        elif outcome.code == "FIELD_NOT_CONSENTED" and (grant := outcome.grant) is not None:
            answer, plan, refused = None, outcome.plan, outcome.plan.questions
            person_id, view = grant.person_id, lambda: _view(grant, now)
        else:
            return _unanswered(outcome)
        return Projection(
            answer=answer,
            grant=view,
            ref=lambda: self._ref_of(party.sector, person_id),
            question_texts=plan.texts,
            refused=frozenset([question.text for question in refused]),
        )


def _view(grant: Grant, now: datetime) -> GrantView:
    return GrantView(grant.status(now).value, grant.expires_at, grant.uses_left, grant.next_refresh_at(now))


def _as_left(released: Release) -> Grant:
    """The grant as this release has left it."""
    grant = released.approved.grant
    just_now = (released.answer.recorded_at,) if released.is_charged else ()
    return replace(
        grant,
        uses_left=released.uses_left,
        fresh_until=released.answer.fresh_until if released.answer.complete else None,
        charged_at=(*grant.charged_at, *just_now),
    )


def _unanswered(refusal: Refusal) -> Unanswered:
    error = error_json(public_code(GatewayError(code=refusal.code)))
    if refusal.retry_at is not None:
        error["extensions"]["retryAt"] = moment(refusal.retry_at)
    return Unanswered(error)
