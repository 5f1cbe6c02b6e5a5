"""A request for consent, compiled and checked before anybody sees it: document, purpose, terms, grid, budget."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from graphql import GraphQLSchema

from gateway.consent.grant import Grant
from gateway.consent.probing import ProbingLimits, asked_comparisons, check_grid, over_budget
from gateway.consent.purpose import PurposeBounds, check_purpose
from gateway.consent.terms import Terms, make_terms
from gateway.document import Audience, Document, read_document
from gateway.errors import ConsentRequestError
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.plan import Plan, make_plans
from gateway.reasoning import Reasoning
from gateway.store.requests import Asking, Probing
from resolvers.catalogue import Purpose
from resolvers.consent import ConsentTerms, FetchType
from resolvers.disclosed import Comparison


@dataclass(frozen=True, slots=True, repr=False)
class CheckedRequest:
    """A request that may be put to a person."""

    asking: Asking
    party: RelyingParty | None
    plan: Plan
    terms: Terms
    compared: frozenset[Comparison]

    @property
    def optional(self) -> tuple[str, ...] | None:
        """The questions that may be left out, in canonical text; None: any of them."""
        if self.asking.optional is None:
            return None
        return tuple(q.text for q in self.plan.questions if q.coordinate in self.asking.optional)

    def probing(self, request_id: str, limits: ProbingLimits) -> Probing:
        """What a relying party's request is charged for. Raises ConsentRequestError where nobody asks."""
        if self.party is None:
            raise ConsentRequestError("relying party")
        return Probing(request_id, self.party.sector, self.compared, limits)


class Requesting:
    """Reads and checks requests for consent."""

    def __init__(
        self,
        *,
        schema: GraphQLSchema,
        relying_parties: RelyingParties,
        purposes: Mapping[Purpose, PurposeBounds],
        reasoning: Reasoning,
        limits: ProbingLimits,
        open_for: timedelta,
    ) -> None:
        self._schema = schema
        self._relying_parties = relying_parties
        self._purposes = purposes
        self._reasoning = reasoning
        self.limits = limits
        self.open_for = open_for

    def bounds(self, purpose: Purpose) -> PurposeBounds:
        return self._purposes[purpose]

    def check(self, asking: Asking, *, now: datetime) -> CheckedRequest:
        """Refuse what may not be asked for like this, before a person sees it and without a look at any source.

        Raises ConsentRequestError (PURPOSE_FORBIDS, OFF_GRID, PROBE_BUDGET_EXCEEDED, CONSENT_REQUEST_INVALID) or
        RequestError for the document.
        """
        party = self._party(asking)
        bounds = self._purposes[asking.purpose]
        plan = self._open_plan(asking)
        check_purpose(bounds, plan.questions)
        check_grid(plan.questions, self.limits)
        rules = self._reasoning.current_pack.purposes[asking.purpose.value]
        compared = frozenset(asked_comparisons(plan.questions, rules))
        if over_budget(((c.text, c.fact) for c in compared), limit=self.limits.budget):
            raise ConsentRequestError("thresholds", code="PROBE_BUDGET_EXCEEDED")
        if set(asking.optional or ()) - {question.coordinate for question in plan.questions}:
            raise ConsentRequestError("optional: it is not asked")
        terms = make_terms(bounds, terms_of(asking.terms), now=now)
        return CheckedRequest(asking, party, plan, terms, compared)

    def reopen(self, grant: Grant) -> CheckedRequest:
        """A request that was checked when it was made. Raises ConsentRequestError where its party may not ask now."""
        asking = Asking(grant.relying_party_id, grant.purpose, grant.document, grant.variables, None)
        party, plan = self._party(asking), self.plan(asking)
        if grant.optional is not None:
            coordinates = (q.coordinate for q in plan.questions if q.text in grant.optional)
            asking = replace(asking, optional=tuple(coordinates))
        rules = self._reasoning.current_pack.purposes[grant.purpose.value]
        compared = frozenset(asked_comparisons(plan.questions, rules))
        return CheckedRequest(asking, party, plan, grant.terms, compared)

    def plan_of(self, grant: Grant, *, consent_token: str) -> Plan:
        """The plan of the document that a grant came from, under its token."""
        asking = Asking(grant.relying_party_id, grant.purpose, grant.document, grant.variables, None)
        return replace(self.plan(asking), consent_token=consent_token)

    def _party(self, asking: Asking) -> RelyingParty | None:
        if asking.relying_party_id is None:
            return None
        party = self._relying_parties.find(asking.relying_party_id)
        if party is None:
            raise ConsentRequestError("relying party")
        if party.is_suspended:
            raise ConsentRequestError("relying party", code="RELYING_PARTY_SUSPENDED")
        if asking.purpose not in party.purposes:
            raise ConsentRequestError("relying party", code="PURPOSE_FORBIDS")
        return party

    def plan(self, asking: Asking) -> Plan:
        """The plan of a relying party's document; its consent token stays open."""
        return self._plans(asking)[1][0]  # about whom it will be asked does not change what

    def _open_plan(self, asking: Asking) -> Plan:
        """The same for a document that names no consent yet, neither in itself nor by a default."""
        document, plans = self._plans(asking)
        has_default = any(one.default_value is not None for one in document.token_variables)
        if has_default or any(plan.consent_token for plan in plans):
            raise ConsentRequestError("document: its consent is a variable that stays open")
        return plans[0]

    def _plans(self, asking: Asking) -> tuple[Document, tuple[Plan, ...]]:
        if not isinstance(asking.variables, dict):
            raise ConsentRequestError("variables")
        document = read_document(asking.document, self._schema)
        if document.audience is not Audience.RELYING_PARTY:
            raise ConsentRequestError("document: it asks nothing about a person")
        coerced = document.coerce({**asking.variables, **document.open_tokens()})  # whatever token stands there
        plans = make_plans(document.select(coerced), coerced)
        if not plans:
            raise ConsentRequestError("document: it asks about nobody")
        return document, plans


def terms_json(terms: ConsentTerms | None) -> dict[str, Any] | None:
    """Terms as they are kept with a request."""
    return None if terms is None else dataclasses.asdict(terms)


def terms_of(kept: Mapping[str, Any] | None) -> ConsentTerms | None:
    """Terms read back from what `terms_json` gave, or from a store's JSON of it."""
    if kept is None:
        return None
    expires_at, fetch_type = kept["expires_at"], kept["fetch_type"]
    return ConsentTerms(
        fetch_type=FetchType(fetch_type) if fetch_type else None,
        uses=kept["uses"],
        times_per_day=kept["times_per_day"],
        expires_at=datetime.fromisoformat(expires_at) if isinstance(expires_at, str) else expires_at,
        data_life_days=kept["data_life_days"],
    )
