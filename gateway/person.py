"""What a signed-in person may see and do: the PersonActions behind `me` and the mutations."""

import asyncio
import dataclasses
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Any

import strawberry
from graphql import GraphQLSchema

from connectors.evidence import Evidence
from connectors.interface import SourceAuthority
from gateway.answer import value_json
from gateway.consent.grant import Grant
from gateway.consent.purpose import PurposeBounds, check_purpose
from gateway.consent.token import TOKEN_RANDOM_BYTES, make_token, token_digest
from gateway.document import Audience, read_document
from gateway.errors import ConsentRequestError
from gateway.gather import Holder
from gateway.identity.relying_party import RelyingParties, RelyingParty
from gateway.pipeline import LEASE_SECONDS, Services, grant_holder
from gateway.plan import Plan, Question, make_plan
from gateway.reasoning import Circumstances, Concluded
from gateway.store.grants import ConsentRequest
from gateway.store.log import AuditLog, LoggedAccess
from gateway.store.people import Person
from resolvers import worker
from resolvers.attribute import Attribute
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from resolvers.claim import Claim, ClaimState
from resolvers.decision import Decision, RuleResult
from resolvers.derive import Needs, attribute_needs
from resolvers.facts import Absent
from resolvers.subject import ConsentToken, GrantStatus, LocalizedText, RuleBasis, RulePack

OWN_VIEW_KEPT = timedelta(seconds=60)
"""A person's own view is looked up anew after this long, so that a correction shows soon."""


@dataclass(frozen=True, slots=True)
class PersonServices:
    """What a person's actions work with, besides the pipeline's services."""

    services: Services
    log: AuditLog
    relying_parties: RelyingParties
    purposes: Mapping[Purpose, PurposeBounds]
    schema: GraphQLSchema
    request_open: timedelta


class PersonSession:
    """One person's actions within one request. Implements `resolvers.worker.PersonActions`."""

    def __init__(self, person: Person, given: PersonServices) -> None:
        self._person = person
        self._given = given
        self._services = given.services

    @property
    def person_id(self) -> str:
        return self._person.id

    async def name(self) -> str:
        return self._person.identity.name

    async def record(self, authority: SourceAuthority) -> worker.SourceRecord:
        """One source's records, as it holds them."""
        needs = Needs.of((frozenset({authority}), ATTRIBUTES["Immigration.statusLawful"].freshness))
        reply = (await self._services.gatherer.gather(self._own_holder(), needs))[authority]
        if isinstance(reply, Absent):
            return worker.SourceRecord(
                source=authority,
                state=reply.state,
                reason=reply.reason,
                observed_at=None,
                as_of=None,
                retry_at=reply.retry_at,
                entries=[],
            )
        return worker.SourceRecord(
            source=authority,
            state=ClaimState.CONFIRMED,
            reason=None,
            observed_at=reply.evidence.observed_at,
            as_of=reply.evidence.as_of,
            retry_at=None,
            entries=_entries(reply.evidence),
        )

    async def claim(self, attribute: Attribute, arguments: Mapping[str, Any]) -> tuple[Claim[Any], date | None]:
        """One's own claim, from sources asked for oneself."""
        needs = attribute_needs(attribute, tuple(SourceAuthority))
        replies = await self._services.gatherer.gather(self._own_holder(), needs)
        return self._services.reasoning.own_claim(
            attribute, arguments, identity=self._person.identity, replies=replies
        )

    def _own_holder(self) -> Holder:
        async def may_keep() -> bool:
            return True

        person = self._person
        return Holder(f"person:{person.id}", person.key, person.identity, may_keep, keep=OWN_VIEW_KEPT)

    async def grants(self) -> list[worker.ConsentGrant]:
        return [self._grant_view(grant) for grant in await self._services.grants.of_person(self._person)]

    async def accesses(self) -> list[worker.Access]:
        return [self._access_view(access) for access in await self._given.log.of_person(self._person)]

    async def preview(
        self, document: str, *, variables: Mapping[str, Any], relying_party: str, purpose: Purpose
    ) -> worker.ConsentPreview:
        """What a relying party would learn: the questions, each with the answer that it would get today.

        Raises ConsentRequestError (PURPOSE_FORBIDS, CONSENT_REQUEST_INVALID) or RequestError for the document.
        """
        if not isinstance(variables, dict):
            raise ConsentRequestError("variables")
        party = self._party_asking(relying_party, purpose)
        plan = self._plan(document, variables)
        bounds = self._given.purposes[purpose]
        check_purpose(bounds, plan.questions)
        now = self._services.now()
        request = ConsentRequest(
            grant_id=str(uuid.uuid4()),
            person=self._person,
            relying_party_id=party.id,
            purpose=purpose,
            rule_pack_sha256=self._services.reasoning.current_pack.sha256,
            document=document,
            variables=dict(variables),
            questions=[question.text for question in plan.questions],
            open_until=now + self._given.request_open,
            uses=bounds.uses,
        )
        await self._services.grants.request(request, now=now)
        expires_at = now + timedelta(days=bounds.life_days)
        return worker.ConsentPreview(
            id=strawberry.ID(request.grant_id),
            relying_party=party_view(party),
            purpose=purpose,
            questions=await self._previewed(plan, request, expires_at),
            expires_at=expires_at,
            uses=bounds.uses,
            rule_pack=self._pack_view(request.rule_pack_sha256),
        )

    def _party_asking(self, party_id: str, purpose: Purpose) -> RelyingParty:
        party = self._given.relying_parties.find(party_id)
        if party is None:
            raise ConsentRequestError("relying party")
        if purpose not in party.purposes:
            raise ConsentRequestError("relying party", code="PURPOSE_FORBIDS")
        return party

    def _plan(self, text: str, variables: Mapping[str, Any]) -> Plan:
        """The plan of a relying party's document; its consent token stays open."""
        document = read_document(text, self._given.schema)
        if document.audience is not Audience.RELYING_PARTY:
            raise ConsentRequestError("document: it asks nothing about a person")
        coerced = document.coerce({**document.open_tokens(), **variables})
        return make_plan(document.select(coerced), coerced)

    async def _previewed(
        self, plan: Plan, request: ConsentRequest, expires_at: datetime
    ) -> list[worker.PreviewedQuestion]:
        reasoning = self._services.reasoning
        pack = request.rule_pack_sha256
        needs = reasoning.needs(plan.questions, purpose=request.purpose, rule_pack_sha256=pack)
        keep = self._given.request_open  # a request that nobody grants leaves nothing behind
        holder = grant_holder(request.grant_id, self._person, self._services, keep=keep)
        replies = await self._services.gatherer.gather(holder, needs)
        circumstances = Circumstances(self._person.identity, request.purpose, pack, expires_at)
        concluded = reasoning.conclude(plan.questions, circumstances, replies)
        return [
            _previewed_question(
                question,
                concluded[question.text],
                reasoning.needs([question], purpose=request.purpose, rule_pack_sha256=pack),
            )
            for question in plan.questions
        ]

    async def grant(self, preview_id: str, *, leave_out: list[str]) -> worker.GrantedConsent:
        """Grant a previewed request, but for the questions left out. Raises ConsentRequestError."""
        grant = await self._services.grants.find_of_person(preview_id, self._person)
        if grant is None or set(leave_out) - set(grant.questions) or set(leave_out) >= set(grant.questions):
            raise ConsentRequestError("preview or left out")
        token = make_token(os.urandom(TOKEN_RANDOM_BYTES))
        is_granted = await self._services.grants.grant(
            grant,
            self._person,
            digest=token_digest(token),
            left_out=[question for question in grant.questions if question in leave_out],
            life=timedelta(days=self._given.purposes[grant.purpose].life_days),
            now=self._services.now(),
        )
        if not is_granted:
            raise ConsentRequestError("preview: it is not open any more")
        granted = await self._services.grants.find_of_person(preview_id, self._person)
        if granted is None:
            raise ConsentRequestError("preview")
        return worker.GrantedConsent(consent_token=ConsentToken(token), grant=self._grant_view(granted))

    async def revoke(self, grant_id: str) -> worker.ConsentGrant:
        """Take a consent back. When this returns, nothing leaves under it: every lease has run out."""
        grant = await self._services.grants.find_of_person(grant_id, self._person)
        if grant is None:
            raise ConsentRequestError("grant")
        await asyncio.shield(self._revoke(grant))
        revoked = await self._services.grants.find_of_person(grant_id, self._person)
        return self._grant_view(revoked or grant)

    async def _revoke(self, grant: Grant) -> None:
        await self._services.grants.revoke(grant, self._person, now=self._services.now())
        await self._services.gatherer.cancel(grant.id)
        await asyncio.sleep(LEASE_SECONDS)

    def _grant_view(self, grant: Grant) -> worker.ConsentGrant:
        now = self._services.now()
        status = grant.status(now)
        if status is GrantStatus.ACTIVE and grant.rule_pack_sha256 not in self._services.reasoning.usable_packs:
            status = GrantStatus.EXPIRED  # its rules were withdrawn, and it ended with them
        return worker.ConsentGrant(
            id=strawberry.ID(grant.id),
            status=status,
            purpose=grant.purpose,
            relying_party=self._party_view(grant.relying_party_id),
            questions=list(grant.questions),
            left_out=list(grant.left_out),
            requested_at=grant.requested_at,
            granted_at=grant.granted_at,
            ended_at=grant.revoked_at or (grant.expires_at if now >= grant.expires_at else None),
            expires_at=grant.expires_at,
            uses_left=grant.uses_left,
            rule_pack=self._pack_view(grant.rule_pack_sha256),
        )

    def _access_view(self, access: LoggedAccess) -> worker.Access:
        detail = access.detail
        return worker.Access(
            entry=access.sequence,
            at=access.at,
            kind=access.kind,
            relying_party=self._party_view(access.relying_party_id),
            purpose=Purpose(detail["purpose"]) if detail["purpose"] else None,
            questions=detail["questions"],
            refused=detail["refused"],
            code=detail["code"],
        )

    def _party_view(self, party_id: str) -> worker.RelyingParty:
        party = self._given.relying_parties.find(party_id)
        if party is not None:
            return party_view(party)
        return worker.RelyingParty(id=strawberry.ID(party_id), name=LocalizedText(en=party_id, ja=party_id))

    def _pack_view(self, sha256: str) -> RulePack:
        ref = self._services.reasoning.pack_ref(sha256)
        return RulePack(name=ref.name, version=ref.version, sha256=ref.sha256)


def party_view(party: RelyingParty) -> worker.RelyingParty:
    return worker.RelyingParty(id=strawberry.ID(party.id), name=LocalizedText.of(party.name))


def _previewed_question(question: Question, found: Concluded, needs: Needs) -> worker.PreviewedQuestion:
    asked = DECISIONS[question.coordinate] if question.is_decision else ATTRIBUTES[question.coordinate]
    claim = None
    if found.claim is not None:
        value = value_json(found.claim.value)
        claim = worker.PreviewedClaim(
            value=None if value is None else str(value).lower() if isinstance(value, bool) else str(value),
            state=found.claim.state,
            reason=found.claim.reason,
            as_of=found.as_of,
            source=ATTRIBUTES[question.coordinate].source,
            retry_at=found.claim.retry_at,
        )
    return worker.PreviewedQuestion(
        question=question.text,
        text=LocalizedText.of(asked.text),
        sources=sorted(needs.sources),
        claim=claim,
        decision=_decision_view(found.decision) if found.decision is not None else None,
    )


def _decision_view(decision: Decision) -> worker.OwnDecision:
    pack = decision.rule_pack
    return worker.OwnDecision(
        outcome=decision.outcome,
        rules=[_rule_view(rule) for rule in decision.rules],
        recheck_on=decision.recheck_on,
        retry_at=decision.retry_at,
        rule_pack=RulePack(name=pack.name, version=pack.version, sha256=pack.sha256),
        decided_on=decision.decided_on,
    )


def _rule_view(rule: RuleResult) -> worker.OwnRuleResult:
    return worker.OwnRuleResult(
        id=rule.id,
        result=rule.result,
        condition=rule.condition,
        basis=RuleBasis(kind=rule.basis.kind, source=rule.basis.source),
        explanation=LocalizedText.of(rule.person_explanation),
        cures=[LocalizedText.of(cure) for cure in rule.cures],
        trace=[worker.TraceStep(condition=step.condition, held=step.held) for step in rule.trace],
    )


def _entries(evidence: Evidence) -> list[worker.RecordEntry]:
    """The records inside evidence, each as a flat list of fields."""
    base = {field.name for field in dataclasses.fields(Evidence)}
    own = [getattr(evidence, f.name) for f in dataclasses.fields(evidence) if f.name not in base]
    records = [item for value in own for item in (value if isinstance(value, tuple) else (value,))]
    return [
        worker.RecordEntry(fields=list(_fields(record)))
        for record in records
        if dataclasses.is_dataclass(record) and not isinstance(record, type)
    ]


def _fields(record: Any, prefix: str = "") -> list[worker.RecordField]:
    listed: list[worker.RecordField] = []
    for f in dataclasses.fields(record):
        value = getattr(record, f.name)
        for item in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(item) and not isinstance(item, type):
                listed += _fields(item, f"{prefix}{f.name}.")
            elif item is not None:
                text = str(item.value) if isinstance(item, Enum) else str(item)
                listed.append(worker.RecordField(name=f"{prefix}{f.name}", value=text))
    return listed
