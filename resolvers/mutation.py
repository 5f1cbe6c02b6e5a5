"""What people do with consent, and what relying parties do besides asking. A document has one audience."""

from datetime import date
from typing import Annotated, Any

import strawberry
from strawberry.scalars import JSON

from connectors.interface import SourceAuthority
from resolvers.catalogue import Purpose
from resolvers.consent import (
    ConsentGrant,
    ConsentPreview,
    ConsentTerms,
    Dispute,
    DisputeOutcome,
    Erasure,
    GrantedConsent,
    RecordConfirmation,
    RedeemedConsent,
    RequestedConsent,
    ShareCode,
)
from resolvers.worker import RelyingPartyActions, actions_of

RELYING_PARTY_MUTATIONS = frozenset({"requestConsent", "redeemShareCode"})
"""The mutations whose audience is a relying party; all others are a person's."""


def described_argument(description: str) -> Any:
    return strawberry.argument(description=description)


GrantId = Annotated[strawberry.ID, described_argument("The grant's id.")]
PreviewId = Annotated[strawberry.ID, described_argument("The preview's id.")]
DocumentText = Annotated[str, described_argument("The GraphQL document that would be run.")]
ForPurpose = Annotated[Purpose, described_argument("What for.")]
Variables = Annotated[JSON | None, described_argument("Its variables; the consent token stays open.")]
WithTerms = Annotated[ConsentTerms | None, described_argument("Terms narrower than the purpose's own.")]


@strawberry.type(description="What a person does with consent, and what a relying party does besides asking.")
class Mutation:
    @strawberry.mutation(description="See a request for consent with the answers that it would get today.")
    async def preview_consent(
        self,
        info: strawberry.Info,
        document: DocumentText,
        purpose: ForPurpose,
        relying_party: Annotated[
            strawberry.ID | None, described_argument("Who would run it; null for whoever redeems the share code.")
        ] = None,
        variables: Variables = None,
        terms: WithTerms = None,
    ) -> ConsentPreview | None:
        given: Any = {} if variables is None else variables
        return await actions_of(info).preview(
            document, variables=given, relying_party=relying_party, purpose=purpose, terms=terms
        )

    @strawberry.mutation(description="Open a request that a relying party made, with the answers that it would get.")
    async def open_consent_request(
        self, info: strawberry.Info, request: Annotated[strawberry.ID, described_argument("The request's id.")]
    ) -> ConsentPreview | None:
        return await actions_of(info).open_request(request)

    @strawberry.mutation(description="Grant a consent that was previewed.")
    async def grant_consent(
        self,
        info: strawberry.Info,
        preview: PreviewId,
        leave_out: Annotated[
            list[str] | None, described_argument("Questions to leave out, in canonical text.")
        ] = None,
    ) -> GrantedConsent | None:
        return await actions_of(info).grant(preview, leave_out=leave_out or [])

    @strawberry.mutation(description="Decline a consent that was previewed.")
    async def reject_consent(self, info: strawberry.Info, preview: PreviewId) -> ConsentGrant | None:
        return await actions_of(info).reject(preview)

    @strawberry.mutation(description="Suspend a consent. When this returns, nothing leaves until it is resumed.")
    async def pause_consent(self, info: strawberry.Info, grant: GrantId) -> ConsentGrant | None:
        return await actions_of(info).pause(grant)

    @strawberry.mutation(description="Let a paused consent answer again.")
    async def resume_consent(self, info: strawberry.Info, grant: GrantId) -> ConsentGrant | None:
        return await actions_of(info).resume(grant)

    @strawberry.mutation(description="Let a consent last as long as if granted now; its uses stay what they are.")
    async def renew_consent(self, info: strawberry.Info, grant: GrantId) -> ConsentGrant | None:
        return await actions_of(info).renew(grant)

    @strawberry.mutation(description="Take a consent back. When this returns, nothing leaves any more.")
    async def revoke_consent(self, info: strawberry.Info, grant: GrantId) -> ConsentGrant | None:
        return await actions_of(info).revoke(grant)

    @strawberry.mutation(description="Make a share code for a consent: the first who redeems it is bound to it.")
    async def create_share_code(
        self,
        info: strawberry.Info,
        grant: GrantId,
        valid_days: Annotated[int, described_argument("For how many days it can be redeemed, 30 at most.")] = 7,
    ) -> ShareCode | None:
        return await actions_of(info).make_share_code(grant, valid_days=valid_days)

    @strawberry.mutation(description="Say that a claim, or all that a source holds, is wrong.")
    async def open_dispute(
        self,
        info: strawberry.Info,
        statement: Annotated[str, described_argument("What is wrong about it.")],
        claim: Annotated[str | None, described_argument("The claim's schema coordinate, such as Tax.income.")] = None,
        record: Annotated[SourceAuthority | None, described_argument("The source.")] = None,
    ) -> Dispute | None:
        return await actions_of(info).open_dispute(claim=claim, record=record, statement=statement)

    @strawberry.mutation(description="Close a dispute.")
    async def close_dispute(
        self,
        info: strawberry.Info,
        dispute: Annotated[strawberry.ID, described_argument("The dispute's id.")],
        outcome: Annotated[DisputeOutcome, described_argument("How it ended.")],
        corrected_by: Annotated[
            SourceAuthority | None, described_argument("Who corrected the record; for CORRECTED alone.")
        ] = None,
    ) -> Dispute | None:
        return await actions_of(info).close_dispute(dispute, outcome=outcome, corrected_by=corrected_by)

    @strawberry.mutation(description="Confirm that a record which is probably one's own is: from then on it counts.")
    async def confirm_record(
        self,
        info: strawberry.Info,
        source: Annotated[SourceAuthority, described_argument("The authority that holds it.")],
        name: Annotated[str, described_argument("The name that the record has.")],
        date_of_birth: Annotated[date, described_argument("The date of birth that the record has.")],
    ) -> RecordConfirmation | None:
        return await actions_of(info).confirm_record(source, record_name=name, born_on=date_of_birth)

    @strawberry.mutation(
        description="Take back that a source's record is one's own. When this returns, it counts no more."
    )
    async def disown_record(
        self,
        info: strawberry.Info,
        source: Annotated[SourceAuthority, described_argument("The authority that holds it.")],
    ) -> RecordConfirmation | None:
        return await actions_of(info).disown_record(source)

    @strawberry.mutation(description="Erase all that this gateway holds about oneself, for good.")
    async def erase_me(
        self,
        info: strawberry.Info,
        name: Annotated[str, described_argument("One's name as enrolled, to confirm it.")],
    ) -> Erasure | None:
        return await actions_of(info).erase(name=name)

    @strawberry.mutation(description="Ask for consent, before it is known of whom: a relying party's.")
    async def request_consent(
        self,
        info: strawberry.Info,
        document: DocumentText,
        purpose: ForPurpose,
        variables: Variables = None,
        terms: WithTerms = None,
    ) -> RequestedConsent | None:
        given: Any = {} if variables is None else variables
        return await _party_actions(info).request(document, variables=given, purpose=purpose, terms=terms)

    @strawberry.mutation(description="Redeem a share code: a relying party's.")
    async def redeem_share_code(
        self,
        info: strawberry.Info,
        code: Annotated[str, described_argument("The code; spelling is forgiven.")],
        date_of_birth: Annotated[date, described_argument("The person's date of birth.")],
    ) -> RedeemedConsent | None:
        return await _party_actions(info).redeem(code, born_on=date_of_birth)


def _party_actions(info: strawberry.Info) -> RelyingPartyActions:
    actions: RelyingPartyActions = info.context["relying_party"]
    return actions
