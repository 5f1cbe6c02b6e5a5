"""Consent as people and relying parties see it: requests, previews, grants, share codes, disputes, erasure."""

from datetime import date, datetime
from enum import StrEnum

import strawberry

from connectors.interface import SourceAuthority
from resolvers.attribute import ClaimSource, described
from resolvers.catalogue import Purpose
from resolvers.claim import ClaimState, Reason
from resolvers.decision import Outcome
from resolvers.subject import ConsentToken, GrantStatus, LocalizedText, RulePack, RuleResult, text_field


class FetchType(StrEnum):
    """How often a consent answers. Source: ReBIT consent artefact."""

    ONETIME = "ONETIME"
    PERIODIC = "PERIODIC"


class DisputeOutcome(StrEnum):
    """How a dispute ended."""

    CORRECTED = "CORRECTED"
    UPHELD = "UPHELD"
    WITHDRAWN = "WITHDRAWN"


@strawberry.input(description="Terms narrower than the purpose's own; what is left out is the purpose's.")
class ConsentTerms:
    fetch_type: FetchType | None = strawberry.field(default=None, description="Once, or again and again.")
    uses: int | None = strawberry.field(default=None, description="How many complete answers.")
    times_per_day: int | None = strawberry.field(default=None, description="How many complete answers in 24 hours.")
    expires_at: datetime | None = strawberry.field(
        default=None, description="When the consent ends, unless the person renews it."
    )
    data_life_days: int | None = strawberry.field(
        default=None, description="For how many days what is learned may be kept."
    )


@strawberry.type(description="A relying party: a bank, a landlord, a lender.")
class RelyingParty:
    id: strawberry.ID = text_field("Its registered id.")
    name: LocalizedText = text_field("Its registered name.")


@strawberry.type(description="A consent grant, as the person sees it.")
class ConsentGrant:
    id: strawberry.ID = text_field("The grant's id.")
    status: GrantStatus = text_field("Where it stands.")
    purpose: Purpose = text_field("What it is for.")
    relying_party: RelyingParty | None = text_field("Who may ask; null until somebody redeems the share code.")
    questions: list[str] = text_field("The questions that may be asked, in canonical text.")
    left_out: list[str] = text_field("The questions that the person left out.")
    guardian: str | None = text_field("The name of the guardian who decided for a minor.")
    requested_at: datetime = text_field("When it was asked for.")
    granted_at: datetime | None = text_field("When the person granted it.")
    paused_at: datetime | None = text_field("When the person paused it; null unless it is paused.")
    ended_at: datetime | None = text_field("When it was declined, taken back or ran out.")
    expires_at: datetime = text_field("When it ends by itself.")
    fetch_type: FetchType = text_field("Whether it answers once or again and again.")
    times_per_day: int | None = text_field("How many complete answers it gives in 24 hours; null if not limited.")
    data_life_days: int = text_field("For how many days the relying party may keep what it learned.")
    uses_left: int | None = text_field("How many more complete answers it gives; null if they are not counted.")
    next_refresh_at: datetime | None = text_field("From when asking the same again gives a new look at the sources.")
    rule_pack: RulePack = text_field("The rules that it pins.")


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
    source_holds_none: bool = text_field("Whether that source has no record: a value then comes from elsewhere.")
    retry_at: datetime | None = text_field("When asking again may help.")


@strawberry.type(description="One question of a request, with the answer that it would get today.")
class PreviewedQuestion:
    question: str = text_field("The question in canonical text.")
    text: LocalizedText = text_field("The question in plain words.")
    sources: list[SourceAuthority] = text_field("The authorities that are asked for it.")
    may_leave_out: bool = text_field("Whether the consent can be granted without it.")
    claim: PreviewedClaim | None = text_field("The claim, if it asks for an attribute.")
    decision: OwnDecision | None = text_field("The decision, if it asks for one.")


@strawberry.type(description="A request for consent, seen before it is granted.")
class ConsentPreview:
    id: strawberry.ID = text_field("The id to grant it by.")
    relying_party: RelyingParty | None = text_field("Who asks; null for whoever redeems the share code.")
    purpose: Purpose = text_field("What for.")
    questions: list[PreviewedQuestion] = text_field("Every question that would be answered.")
    expires_at: datetime = text_field("When the consent would end if it were granted now.")
    uses: int | None = text_field("How many complete answers it would give; null if they are not counted.")
    fetch_type: FetchType = text_field("Whether it would answer once or again and again.")
    times_per_day: int | None = text_field("How many complete answers it would give in 24 hours.")
    data_life_days: int = text_field("For how many days the relying party might keep what it learns.")
    warnings: list[LocalizedText] = text_field("What to think about before granting.")
    rule_pack: RulePack = text_field("The rules that it would pin.")


@strawberry.type(description="A consent just granted. The token is shown once.")
class GrantedConsent:
    consent_token: ConsentToken | None = text_field(
        "What the relying party names in its query; null where only a share code will name one."
    )
    grant: ConsentGrant = text_field("The grant.")


@strawberry.type(description="A consent handed over by word or paper. The code is shown once.")
class ShareCode:
    code: str = text_field("The code: 11 symbols in groups.")
    qr_svg: str = text_field("The same code as a QR code, an SVG image.")
    expires_at: datetime = text_field("When it can no longer be redeemed.")


@strawberry.type(description="A request for consent that waits for its person.")
class RequestedConsent:
    id: strawberry.ID = text_field("What the person opens it by.")
    expires_at: datetime = text_field("Until when it can be opened.")


@strawberry.type(description="A consent got by a share code.")
class RedeemedConsent:
    consent_token: ConsentToken = text_field("What to name in the query.")
    purpose: Purpose = text_field("What it is for.")
    questions: list[str] = text_field("The questions that may be asked, in canonical text.")
    expires_at: datetime = text_field("When the consent ends, to the minute.")


@strawberry.type(description="Something on record that the person says is wrong.")
class Dispute:
    id: strawberry.ID = text_field("The dispute's id.")
    claim: str | None = text_field("The disputed claim's schema coordinate.")
    record: SourceAuthority | None = text_field("The source whose record is disputed as a whole.")
    statement: str = text_field("What the person says about it.")
    opened_at: datetime = text_field("Since when relying parties get no value.")
    closed_at: datetime | None = text_field("When it was closed; null while it is open.")
    outcome: DisputeOutcome | None = text_field("How it ended.")
    corrected_by: SourceAuthority | None = text_field("Who corrected the record.")


@strawberry.type(description="The person's word that a record which is probably theirs is theirs.")
class RecordConfirmation:
    source: SourceAuthority = text_field("The authority that holds the record.")
    confirmed_at: datetime | None = text_field("When it was given; null when it was taken back.")


@strawberry.type(description="What the answers so far tell about a hidden quantity: never less than they do.")
class Disclosure:
    relying_party: strawberry.ID | None = text_field("Who knows it; null: all of them, if they share.")
    family: str = text_field("The quantity.")
    known_at_least: int | None = text_field("It is known to be at least this.")
    known_below: int | None = text_field("It is known to be below this.")


@strawberry.type(description="The record that a person was erased.")
class Erasure:
    entry: int = text_field("The number of the audit entry.")
    erased_at: datetime = text_field("When.")


described(
    FetchType,
    "How often a consent answers.",
    ONETIME="For one occasion: it ends when its uses or its time are over.",
    PERIODIC="Again and again until it ends, so often a day.",
)
described(
    DisputeOutcome,
    "How a dispute ended.",
    CORRECTED="The source corrected its record.",
    UPHELD="The source stands by its record.",
    WITHDRAWN="The person took the dispute back.",
)
