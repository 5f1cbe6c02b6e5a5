"""What the person sees and does about themself: their records, claims, consents, and who asked."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import strawberry
from strawberry.scalars import JSON

from connectors.interface import SourceAuthority
from resolvers.attribute import Attribute, ClaimSource, claim_type, described, graphql_field
from resolvers.catalogue import SUBJECT_ATTRIBUTES, Purpose
from resolvers.claim import Claim, ClaimState, Reason
from resolvers.decision import Outcome
from resolvers.subject import (
    OWN_DOMAINS,
    ConsentToken,
    GrantStatus,
    LocalizedText,
    RulePack,
    RuleResult,
    text_field,
)


class AccessKind(StrEnum):
    """What happened to a person's information or consent."""

    CONSENT_REQUESTED = "CONSENT_REQUESTED"
    CONSENT_GRANTED = "CONSENT_GRANTED"
    CONSENT_REVOKED = "CONSENT_REVOKED"
    RELEASED = "RELEASED"
    RELEASED_AGAIN = "RELEASED_AGAIN"
    REFUSED = "REFUSED"


@strawberry.type(description="A relying party: a bank, a landlord, a lender.")
class RelyingParty:
    id: strawberry.ID = text_field("Its registered id.")
    name: LocalizedText = text_field("Its registered name.")


@strawberry.type(description="One field of a record, as the source holds it.")
class RecordField:
    name: str = text_field("The field's name.")
    value: str = text_field("What the source holds.")


@strawberry.type(description="One record or row of a source.")
class RecordEntry:
    fields: list[RecordField] = text_field("Its fields. Restricted numbers, nationality and sex are never collected.")


@strawberry.type(description="What one source holds about the person.")
class SourceRecord:
    source: SourceAuthority = text_field("The authority.")
    state: ClaimState = text_field("Whether it answered.")
    reason: Reason | None = text_field("Why it did not.")
    observed_at: datetime | None = text_field("When the gateway received the reply.")
    as_of: date | None = text_field("The day the source says its records stand for.")
    retry_at: datetime | None = text_field("When asking again may help.")
    entries: list[RecordEntry] = text_field("Its records; none is an answer too.")


@strawberry.type(description="A consent grant, as the person sees it.")
class ConsentGrant:
    id: strawberry.ID = text_field("The grant's id.")
    status: GrantStatus = text_field("Where it stands.")
    purpose: Purpose = text_field("What it is for.")
    relying_party: RelyingParty = text_field("Who may ask.")
    questions: list[str] = text_field("The questions that may be asked, in canonical text.")
    left_out: list[str] = text_field("The questions that the person left out.")
    requested_at: datetime = text_field("When it was asked for.")
    granted_at: datetime | None = text_field("When the person granted it.")
    ended_at: datetime | None = text_field("When it was taken back or ran out.")
    expires_at: datetime = text_field("When it ends by itself.")
    uses_left: int | None = text_field("How many more complete answers it gives; null if they are not counted.")
    rule_pack: RulePack = text_field("The rules that it pins.")


@strawberry.type(description="One event in the person's access log. It never holds a value.")
class Access:
    entry: int = text_field("The number of the audit entry.")
    at: datetime = text_field("When it was recorded.")
    kind: AccessKind = text_field("What happened.")
    relying_party: RelyingParty = text_field("Who asked.")
    purpose: Purpose | None = text_field("What for.")
    questions: list[str] = text_field("What was released, or asked to be.")
    refused: list[str] = text_field("What was asked and refused.")
    code: str | None = text_field("The public code of a refusal.")


@strawberry.type(description="One condition that was weighed.")
class TraceStep:
    condition: str = text_field("The condition, as it stands in the rule pack.")
    held: bool | None = text_field("Whether it held; null if that is unknown.")


@strawberry.type(description="What one rule said, in full.")
class OwnRuleResult(RuleResult):
    trace: list[TraceStep] = text_field("The conditions that were weighed, in order.")


@strawberry.type(description="A decision as the person sees it, with the reasons in full.")
class OwnDecision:
    outcome: Outcome = text_field("The verdict.")
    rules: list[OwnRuleResult] = text_field("Every rule of the purpose.")
    recheck_on: date | None = text_field("When the stay should be looked at again.")
    retry_at: datetime | None = text_field("When asking again may help.")
    rule_pack: RulePack = text_field("The rules that were applied.")
    decided_on: date = text_field("The day in Japan for which it was decided.")


@strawberry.type(description="The answer that a question would get today.")
class PreviewedClaim:
    value: str | None = text_field("The value as text; null unless the state is CONFIRMED.")
    state: ClaimState = text_field("What the relying party would see.")
    reason: Reason | None = text_field("Why there is no value: the person alone sees this.")
    as_of: date | None = text_field("The day the record stands for.")
    source: ClaimSource = text_field("Whose record it is.")
    retry_at: datetime | None = text_field("When asking again may help.")


@strawberry.type(description="One question of a request, with the answer that it would get today.")
class PreviewedQuestion:
    question: str = text_field("The question in canonical text.")
    text: LocalizedText = text_field("The question in plain words.")
    sources: list[SourceAuthority] = text_field("The authorities that are asked for it.")
    claim: PreviewedClaim | None = text_field("The claim, if it asks for an attribute.")
    decision: OwnDecision | None = text_field("The decision, if it asks for one.")


@strawberry.type(description="A request for consent, seen before it is granted.")
class ConsentPreview:
    id: strawberry.ID = text_field("The id to grant it by.")
    relying_party: RelyingParty = text_field("Who asks.")
    purpose: Purpose = text_field("What for.")
    questions: list[PreviewedQuestion] = text_field("Every question that would be answered.")
    expires_at: datetime = text_field("When the consent would end if it were granted now.")
    uses: int | None = text_field("How many complete answers it would give; null if they are not counted.")
    rule_pack: RulePack = text_field("The rules that it would pin.")


@strawberry.type(description="A consent just granted. The token is shown once.")
class GrantedConsent:
    consent_token: ConsentToken = text_field("What the relying party names in its query.")
    grant: ConsentGrant = text_field("The grant.")


class PersonActions(Protocol):
    """What a person can see and do. The gateway injects it; errors are the gateway's, with public codes."""

    @property
    def person_id(self) -> str: ...

    async def name(self) -> str: ...

    async def record(self, authority: SourceAuthority) -> SourceRecord: ...

    async def claim(self, attribute: Attribute, arguments: Mapping[str, Any]) -> tuple[Claim[Any], date | None]: ...

    async def grants(self) -> list[ConsentGrant]: ...

    async def accesses(self) -> list[Access]: ...

    async def preview(
        self, document: str, *, variables: Mapping[str, Any], relying_party: str, purpose: Purpose
    ) -> ConsentPreview: ...

    async def grant(self, preview_id: str, *, leave_out: list[str]) -> GrantedConsent: ...

    async def revoke(self, grant_id: str) -> ConsentGrant: ...


class OwnView:
    """The root of one's own claims: every field asks the person's actions for its claim."""

    def __init__(self, actions: PersonActions) -> None:
        self._actions = actions

    async def own_claim(self, attribute: Attribute, arguments: Mapping[str, Any]) -> Any:
        claim, as_of = await self._actions.claim(attribute, arguments)
        return claim_type(attribute.value_type, own=True)(
            value=claim.value,
            state=claim.state,
            reason=claim.reason,
            as_of=as_of,
            source=attribute.source,
            retry_at=claim.retry_at,
        )


def _own_claims_fields() -> dict[str, Any]:
    def same_view(self: Any) -> Any:
        return self

    def field_for(a: Attribute) -> Any:
        async def resolve(self: Any) -> Any:
            return await self.own_claim(a, {})

        returns = claim_type(a.value_type, own=True) | None
        return graphql_field(resolve, name=a.name, returns=returns, description=a.text.en)

    fields = {
        name.lower(): graphql_field(
            same_view, name=name.lower(), returns=own_type, description=f"One's own {name.lower()} claims."
        )
        for name, own_type in OWN_DOMAINS.items()
    }
    return fields | {a.name: field_for(a) for a in SUBJECT_ATTRIBUTES}


OwnClaims: Any = strawberry.type(
    type("OwnClaims", (), _own_claims_fields()),
    name="OwnClaims",
    description="One's own claims, with the fine reasons, the person-only ones included.",
)


@strawberry.type(description="Oneself.")
class Me:
    id: strawberry.ID = text_field("One's id at this gateway.")

    @strawberry.field(description="One's name, as enrolled.")
    async def name(self, info: strawberry.Info) -> str:
        return await actions_of(info).name()

    @strawberry.field(description="One's own records, as each source holds them.")
    async def records(
        self,
        info: strawberry.Info,
        source: Annotated[SourceAuthority | None, strawberry.argument(description="Only this source.")] = None,
    ) -> list[SourceRecord]:
        asked = [actions_of(info).record(a) for a in SourceAuthority if source in (None, a)]
        return list(await asyncio.gather(*asked))

    @strawberry.field(description="One's own claims.", graphql_type=OwnClaims)
    def claims(self, info: strawberry.Info) -> Any:
        return OwnView(actions_of(info))

    @strawberry.field(description="One's own consents, newest first.")
    async def grants(self, info: strawberry.Info) -> list[ConsentGrant]:
        return await actions_of(info).grants()

    @strawberry.field(description="Who asked what and when, refused questions included, newest first.")
    async def accesses(self, info: strawberry.Info) -> list[Access]:
        return await actions_of(info).accesses()


def actions_of(info: strawberry.Info) -> PersonActions:
    """The signed-in person's actions."""
    actions: PersonActions = info.context["person"]
    return actions


@strawberry.type(name="Mutation", description="What a person does with consent.")
class PersonMutation:
    @strawberry.mutation(description="See a request for consent with the answers that it would get today.")
    async def preview_consent(
        self,
        info: strawberry.Info,
        document: Annotated[str, strawberry.argument(description="The GraphQL document that would be run.")],
        relying_party: Annotated[strawberry.ID, strawberry.argument(description="Who would run it.")],
        purpose: Annotated[Purpose, strawberry.argument(description="What for.")],
        variables: Annotated[
            JSON | None, strawberry.argument(description="Its variables; the consent token stays open.")
        ] = None,
    ) -> ConsentPreview | None:
        given: Any = {} if variables is None else variables
        return await actions_of(info).preview(document, variables=given, relying_party=relying_party, purpose=purpose)

    @strawberry.mutation(description="Grant a consent that was previewed.")
    async def grant_consent(
        self,
        info: strawberry.Info,
        preview: Annotated[strawberry.ID, strawberry.argument(description="The preview's id.")],
        leave_out: Annotated[
            list[str] | None, strawberry.argument(description="Questions to leave out, in canonical text.")
        ] = None,
    ) -> GrantedConsent | None:
        return await actions_of(info).grant(preview, leave_out=leave_out or [])

    @strawberry.mutation(description="Take a consent back. When this returns, nothing leaves any more.")
    async def revoke_consent(
        self,
        info: strawberry.Info,
        grant: Annotated[strawberry.ID, strawberry.argument(description="The grant's id.")],
    ) -> ConsentGrant | None:
        return await actions_of(info).revoke(grant)


described(
    AccessKind,
    "What happened to a person's information or consent.",
    CONSENT_REQUESTED="A consent was asked for.",
    CONSENT_GRANTED="The person granted it.",
    CONSENT_REVOKED="The person took it back.",
    RELEASED="An answer was released.",
    RELEASED_AGAIN="The same answer was released again.",
    REFUSED="A question was refused.",
)
described(
    SourceAuthority,
    "The authorities that hold a person's records.",
    IMMIGRATION="The immigration authority.",
    LABOR="The labor authority.",
    TAX="The municipality that levies resident tax.",
    INSURANCE="The social insurance authority.",
)
described(
    Reason,
    "Why a claim has no value, in detail.",
    SOURCE_UNAVAILABLE="The source is down.",
    SOURCE_PENDING="The source is still answering.",
    SOURCE_NOT_CONNECTED="The source that could tell is not connected.",
    RECORD_NOT_FOUND_EXPECTED="No record, which can be right.",
    RECORD_NOT_FOUND_UNEXPECTED="No record where there should be one.",
    WITHIN_FILING_WINDOW="A record may still be on its way.",
    IDENTITY_UNRESOLVED="The record could not be joined to the person.",
    CONFLICT="The record contradicts itself.",
    NOT_STATED="The record does not state it.",
    LOWER_BOUND="The record only tells a part.",
    OUT_OF_SCOPE="This gateway draws no conclusion from this kind of record.",
    PARTIAL_OVERSEAS_PAY="The certificate leaves pay abroad out.",
    EXEMPT_BY_AGE="No month counts yet.",
    NO_LIMIT="No limit applies.",
    NOT_EMPLOYED="No job is on record.",
    STAY_NOT_LAWFUL="No current stay is on record.",
    LEFT_OUT="The person left it out.",
)
