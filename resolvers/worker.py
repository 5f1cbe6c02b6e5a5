"""What the person sees and does about themself: their records, claims, consents, and who asked."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Protocol

import strawberry
from strawberry.scalars import JSON

from connectors.interface import SourceAuthority
from resolvers.attribute import Attribute, claim_type, described, graphql_field
from resolvers.catalogue import SUBJECT_ATTRIBUTES, Purpose
from resolvers.claim import Claim, ClaimState, Reason
from resolvers.consent import (
    ConsentGrant,
    ConsentPreview,
    ConsentTerms,
    Disclosure,
    Dispute,
    DisputeOutcome,
    Erasure,
    GrantedConsent,
    RecordConfirmation,
    RedeemedConsent,
    RelyingParty,
    RequestedConsent,
    ShareCode,
)
from resolvers.subject import OWN_DOMAINS, text_field


class AccessKind(StrEnum):
    """What happened to a person's information or consent."""

    CONSENT_REQUESTED = "CONSENT_REQUESTED"
    CONSENT_GRANTED = "CONSENT_GRANTED"
    CONSENT_REVOKED = "CONSENT_REVOKED"
    CONSENT_REJECTED = "CONSENT_REJECTED"
    CONSENT_PAUSED = "CONSENT_PAUSED"
    CONSENT_RESUMED = "CONSENT_RESUMED"
    CONSENT_RENEWED = "CONSENT_RENEWED"
    SHARE_CODE_MADE = "SHARE_CODE_MADE"
    SHARE_CODE_REDEEMED = "SHARE_CODE_REDEEMED"
    DISPUTE_OPENED = "DISPUTE_OPENED"
    DISPUTE_CLOSED = "DISPUTE_CLOSED"
    RECORD_CONFIRMED = "RECORD_CONFIRMED"
    RECORD_DISOWNED = "RECORD_DISOWNED"
    IDENTITY_CORRECTED = "IDENTITY_CORRECTED"
    ERASED = "ERASED"
    RELEASED = "RELEASED"
    RELEASED_AGAIN = "RELEASED_AGAIN"
    REFUSED = "REFUSED"
    LOG_RECOVERED = "LOG_RECOVERED"


@strawberry.type(description="One field of a record, as the source holds it.")
class RecordField:
    name: str = text_field("The field's name.")
    value: str = text_field("What the source holds.")


@strawberry.type(description="One record or row of a source.")
class RecordEntry:
    fields: list[RecordField] = text_field("Its fields. Restricted numbers, nationality and sex are never collected.")


@strawberry.type(
    description="A record that is probably the person's: the names are alike, day and month of birth swapped."
)
class ProbableRecord:
    name: str = text_field("The name, as the source has it.")
    date_of_birth: date = text_field("The date of birth, as the source has it.")


@strawberry.type(description="What one source holds about the person.")
class SourceRecord:
    source: SourceAuthority = text_field("The authority.")
    state: ClaimState = text_field("Whether it answered.")
    reason: Reason | None = text_field("Why it did not.")
    observed_at: datetime | None = text_field("When the gateway received the reply.")
    as_of: date | None = text_field("The day the source says its records stand for.")
    retry_at: datetime | None = text_field("When asking again may help.")
    entries: list[RecordEntry] = text_field("Its records of the person; none is an answer too.")
    unresolved: int = text_field(
        "How many more records it gave that could not be joined to the person, and may be somebody else's."
    )
    probable: list[ProbableRecord] = text_field("Those that count once the person confirms that they are theirs.")
    confirmed_at: datetime | None = text_field("When the person confirmed that a record of this source is theirs.")


@strawberry.type(description="One event in the person's access log. It never holds a value.")
class Access:
    entry: int = text_field("The number of the audit entry.")
    at: datetime = text_field("When it was recorded.")
    kind: AccessKind = text_field("What happened.")
    relying_party: RelyingParty | None = text_field("Who asked; null for what the person did alone.")
    purpose: Purpose | None = text_field("What for.")
    questions: list[str] = text_field("What was released, or asked to be.")
    refused: list[str] = text_field("What was asked and refused.")
    code: str | None = text_field("The public code of a refusal.")
    about: str | None = text_field("What a dispute was about, and how it ended; whose record was confirmed.")


class PersonActions(Protocol):
    """What a person can see and do. The gateway injects it; errors are the gateway's, with public codes."""

    @property
    def person_id(self) -> str: ...

    async def name(self) -> str: ...

    async def record(self, authority: SourceAuthority) -> SourceRecord: ...

    async def claim(self, attribute: Attribute, arguments: Mapping[str, Any]) -> tuple[Claim[Any], date | None]: ...

    async def grants(self) -> list[ConsentGrant]: ...

    async def accesses(self) -> list[Access]: ...

    async def disclosures(self) -> list[Disclosure]: ...

    async def disputes(self) -> list[Dispute]: ...

    async def export(self) -> dict[str, Any]: ...

    async def preview(
        self,
        document: str,
        *,
        variables: Mapping[str, Any],
        relying_party: str | None,
        purpose: Purpose,
        terms: ConsentTerms | None,
    ) -> ConsentPreview: ...

    async def open_request(self, request_id: str) -> ConsentPreview: ...

    async def grant(self, preview_id: str, *, leave_out: list[str]) -> GrantedConsent: ...

    async def reject(self, preview_id: str) -> ConsentGrant: ...

    async def pause(self, grant_id: str) -> ConsentGrant: ...

    async def resume(self, grant_id: str) -> ConsentGrant: ...

    async def renew(self, grant_id: str) -> ConsentGrant: ...

    async def revoke(self, grant_id: str) -> ConsentGrant: ...

    async def make_share_code(self, grant_id: str, *, valid_days: int) -> ShareCode: ...

    async def open_dispute(self, *, claim: str | None, record: SourceAuthority | None, statement: str) -> Dispute: ...

    async def close_dispute(
        self, dispute_id: str, *, outcome: DisputeOutcome, corrected_by: SourceAuthority | None
    ) -> Dispute: ...

    async def confirm_record(
        self, source: SourceAuthority, *, record_name: str, born_on: date
    ) -> RecordConfirmation: ...

    async def disown_record(self, source: SourceAuthority) -> RecordConfirmation: ...

    async def erase(self, *, name: str) -> Erasure: ...


class RelyingPartyActions(Protocol):
    """What a relying party can do besides asking. The gateway injects it."""

    async def request(
        self, document: str, *, variables: Mapping[str, Any], purpose: Purpose, terms: ConsentTerms | None
    ) -> RequestedConsent: ...

    async def redeem(self, code: str, *, born_on: date) -> RedeemedConsent: ...


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

    @strawberry.field(description="What one's answers so far tell about hidden quantities, and to whom.")
    async def disclosures(self, info: strawberry.Info) -> list[Disclosure]:
        return await actions_of(info).disclosures()

    @strawberry.field(description="One's own disputes, newest first.")
    async def disputes(self, info: strawberry.Info) -> list[Dispute]:
        return await actions_of(info).disputes()

    @strawberry.field(description="All that this gateway holds about oneself; consents as ISO/IEC TS 27560 records.")
    async def export(self, info: strawberry.Info) -> JSON:
        exported = await actions_of(info).export()
        return JSON(exported)


def actions_of(info: strawberry.Info) -> PersonActions:
    """The signed-in person's actions."""
    actions: PersonActions = info.context["person"]
    return actions


described(
    AccessKind,
    "What happened to a person's information or consent.",
    CONSENT_REQUESTED="A consent was asked for.",
    CONSENT_GRANTED="The person granted it.",
    CONSENT_REVOKED="It was taken back, or given back.",
    CONSENT_REJECTED="The person declined it.",
    CONSENT_PAUSED="The person paused it.",
    CONSENT_RESUMED="The person resumed it.",
    CONSENT_RENEWED="The person renewed it.",
    SHARE_CODE_MADE="The person made a share code for it.",
    SHARE_CODE_REDEEMED="A relying party redeemed its share code.",
    DISPUTE_OPENED="The person disputed a claim or a record.",
    DISPUTE_CLOSED="The dispute was closed.",
    RECORD_CONFIRMED="The person confirmed that a record is theirs.",
    RECORD_DISOWNED="The person took back that a record is theirs.",
    IDENTITY_CORRECTED="The identity record was corrected.",
    ERASED="A person was erased.",
    RELEASED="An answer was released.",
    RELEASED_AGAIN="The same answer was released again.",
    REFUSED="A question was refused.",
    LOG_RECOVERED="The operator went on from an older state of the log.",
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
