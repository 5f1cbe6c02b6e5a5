"""What a relying party can ask about a person. These types are the contract; the answer is projected
from the recorded Answer by the gateway and never runs through an executor."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, NewType

import strawberry

from resolvers.attribute import (
    ClaimSource,
    claim_type,
    described,
    domain_type,
    graphql_field,
    never_executed,
)
from resolvers.catalogue import DECISIONS, DOMAINS, SUBJECT_ATTRIBUTES
from resolvers.claim import ClaimState
from resolvers.decision import BasisKind, Outcome, RuleOutcome, Text

ConsentToken = NewType("ConsentToken", str)


class GrantStatus(StrEnum):
    """Where a consent grant stands. Terminal: REJECTED, REVOKED, EXPIRED."""

    PENDING = "PENDING"
    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    REJECTED = "REJECTED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"


def text_field(description: str) -> Any:
    """A field that only needs its description."""
    return strawberry.field(description=description)


@strawberry.type(description="The same words in English and Japanese.")
class LocalizedText:
    en: str = text_field("In English.")
    ja: str = text_field("In Japanese.")

    @classmethod
    def of(cls, text: Text) -> "LocalizedText":
        return cls(en=text.en, ja=text.ja)


@strawberry.type(description="What a rule rests on.")
class RuleBasis:
    kind: BasisKind = text_field("Law, guidance, practice, or this project's own care.")
    source: str = text_field("Where it is written.")


@strawberry.type(description="What one rule of the pack said.")
class RuleResult:
    id: str = text_field("The rule's id in the pack.")
    title: LocalizedText | None = text_field("What the rule is about; null where its pack does not say.")
    result: RuleOutcome = text_field("Its result.")
    condition: str | None = text_field("A code for what follows from the result, where there is one.")
    basis: RuleBasis = text_field("What the rule rests on.")
    explanation: LocalizedText = text_field("The result in plain words.")
    cures: list[LocalizedText] = text_field("What the person can do about it.")


@strawberry.type(description="The rules that were applied.")
class RulePack:
    name: str = text_field("The pack's name.")
    version: str = text_field("The pack's version.")
    sha256: str = text_field("The SHA-256 of the pack's bytes, in hexadecimal.")


@strawberry.type(description="A verdict about now, with every rule of the purpose.")
class Decision:
    outcome: Outcome = text_field("The worst result of all rules, as a verdict.")
    rules: list[RuleResult] = text_field("Every rule of the purpose, those that do not apply included.")
    recheck_on: date | None = text_field("When the stay should be looked at again.")
    retry_at: datetime | None = text_field("When asking again may help, if a silent source kept it from passing.")
    rule_pack: RulePack = text_field("The rules that were applied.")
    decided_on: date = text_field("The day in Japan for which it was decided.")


@strawberry.type(description="The record of this answer.")
class Answer:
    id: strawberry.ID = text_field("The answer's id, by which its audit entry is found.")
    recorded_at: datetime = text_field("When it was recorded, to the minute.")


@strawberry.type(description="The consent under which the question was asked.")
class Grant:
    status: GrantStatus = text_field("Where the grant stands.")
    expires_at: datetime = text_field("When it ends, to the minute.")
    uses_left: int | None = text_field("How many more complete answers it gives; null if they are not counted.")
    next_refresh_at: datetime | None = text_field(
        "From when asking the same again gives a new look at the sources, to the minute."
    )


_DOMAIN_TEXTS = {
    "Immigration": "Claims from the immigration record.",
    "Labor": "Claims from the employers' notifications.",
    "Tax": "Claims from the resident tax record.",
    "Insurance": "Claims from the social insurance record.",
}

RELYING_PARTY_DOMAINS: dict[str, Any] = {
    name: domain_type(name, attributes, own=False, description=_DOMAIN_TEXTS[name])
    for name, attributes in DOMAINS.items()
}

OWN_DOMAINS: dict[str, Any] = {
    name: domain_type(name, attributes, own=True, description=f"One's own view: {_DOMAIN_TEXTS[name].lower()}")
    for name, attributes in DOMAINS.items()
}


def _subject_fields() -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in DOMAINS:
        fields[name.lower()] = graphql_field(
            never_executed,
            name=name.lower(),
            returns=RELYING_PARTY_DOMAINS[name] | None,
            description=_DOMAIN_TEXTS[name],
        )
    for a in SUBJECT_ATTRIBUTES:
        returns = claim_type(a.value_type, own=False) | None
        fields[a.name] = graphql_field(never_executed, name=a.name, returns=returns, description=a.text.en)
    for d in DECISIONS.values():
        fields[d.name] = graphql_field(
            never_executed, name=d.name, arguments=d.arguments, returns=Decision | None, description=d.text.en
        )
    return fields


class _SubjectBase:
    ref: strawberry.ID = text_field("The person's pseudonym for this relying party's sector: the same every time.")
    answer: Answer | None = text_field("The record of this answer; null if nothing was released.")
    grant: Grant | None = text_field("The consent under which the question was asked.")


Subject: Any = strawberry.type(
    type(
        "Subject",
        (),
        {
            "__annotations__": _SubjectBase.__annotations__,
            "ref": _SubjectBase.ref,
            "answer": _SubjectBase.answer,
            "grant": _SubjectBase.grant,
            **_subject_fields(),
        },
    ),
    name="Subject",
    description="What the person lets this relying party know about them.",
)

described(
    ClaimState,
    "Whether a claim has a value, and if not, what kind of obstacle there is.",
    CONFIRMED="The value is set.",
    PENDING="A slow source is still answering; `retryAt` is set.",
    UNAVAILABLE="The source is down.",
    EVIDENCE_NEEDED="The sources cannot settle it; other evidence can.",
    NOT_APPLICABLE="The question does not apply to this person.",
    WITHHELD="Not shared.",
)
described(
    ClaimSource,
    "Whose record an attribute is about.",
    IMMIGRATION="The immigration authority.",
    LABOR="The labor authority.",
    TAX="The municipality that levies resident tax.",
    INSURANCE="The social insurance authority.",
    GATEWAY="The gateway's own enrolment and matching.",
)
described(
    GrantStatus,
    "Where a consent grant stands.",
    PENDING="Asked for; the person has not decided.",
    ACTIVE="Granted and in force.",
    PAUSED="Suspended by the person for now.",
    REJECTED="Declined by the person.",
    REVOKED="Taken back by the person, or given back.",
    EXPIRED="Its time is over.",
)
described(
    Outcome,
    "The verdict of a decision: about now, never for ever.",
    ELIGIBLE="Every rule that applies is met.",
    CONDITIONAL="Met, with a condition.",
    NEEDS_EVIDENCE="Something has to be shown first.",
    NOT_ELIGIBLE_NOW="Not met at present; the cures say what would change it.",
)
described(
    RuleOutcome,
    "The result of one rule.",
    NOT_APPLICABLE="The rule does not apply.",
    PASS="Met.",  # noqa: S106 - the name of a result, not a password
    CONDITION="Met, with a condition.",
    EVIDENCE="Not settled: evidence is needed.",
    FAIL="Not met, on confirmed facts.",
)
described(
    BasisKind,
    "What a rule rests on.",
    LAW="A law or an ordinance.",
    GUIDANCE="An authority's guidance.",
    PRACTICE="The practice of the trade.",
    PROJECT="This project's own care.",
)
