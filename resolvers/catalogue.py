"""Everything that can be asked: attributes and decisions by schema coordinate."""

from dataclasses import dataclass
from enum import StrEnum

from connectors.interface import BindingLevel
from resolvers import immigration, insurance, labor, tax
from resolvers.attribute import Argument, Attribute, ClaimSource, Freshness, attribute, described
from resolvers.claim import Claim, confirmed
from resolvers.decision import Text
from resolvers.facts import Facts
from resolvers.linkage import RecordMatch, derive_record_match


class Purpose(StrEnum):
    """Why a relying party asks: a closed list."""

    ACCOUNT_OPENING = "ACCOUNT_OPENING"
    ACCOUNT_MAINTENANCE = "ACCOUNT_MAINTENANCE"
    TENANCY = "TENANCY"
    LENDING = "LENDING"


class LendingProduct(StrEnum):
    """What is lent."""

    CONSUMER = "CONSUMER"
    MORTGAGE = "MORTGAGE"


@dataclass(frozen=True, slots=True)
class DecisionField:
    """A decision that can be asked for: the field of `Subject`, its purpose and its arguments."""

    name: str
    purpose: Purpose
    text: Text
    arguments: tuple[Argument, ...] = ()


def derive_identity_binding(facts: Facts) -> Claim[BindingLevel]:
    return confirmed(facts.identity.identity_binding_level)


SUBJECT_ATTRIBUTES = (
    attribute(
        "identityBinding",
        BindingLevel,
        derive_identity_binding,
        source=ClaimSource.GATEWAY,
        fresh=Freshness.ENROLMENT,
        en="How firmly was the person's identity checked?",
        ja="本人確認はどの程度確かですか。",
    ),
    attribute(
        "recordMatch",
        RecordMatch,
        derive_record_match,
        source=ClaimSource.GATEWAY,
        fresh=Freshness.F1,
        over_match_rule=True,
        en="Could the sources' records be joined to the person?",
        ja="各機関の記録を本人のものと突合できましたか。",
    ),
)

DOMAINS: dict[str, tuple[Attribute, ...]] = {
    "Immigration": immigration.ATTRIBUTES,
    "Labor": labor.ATTRIBUTES,
    "Tax": tax.ATTRIBUTES,
    "Insurance": insurance.ATTRIBUTES,
}

ATTRIBUTES: dict[str, Attribute] = {
    f"{domain}.{a.name}": a
    for domain, attributes in (("Subject", SUBJECT_ATTRIBUTES), *DOMAINS.items())
    for a in attributes
}
"""Every attribute by its schema coordinate, the person-only ones included."""

DECISIONS: dict[str, DecisionField] = {
    f"Subject.{d.name}": d
    for d in (
        DecisionField(
            "accountOpening",
            Purpose.ACCOUNT_OPENING,
            Text("May this person open an account?", "口座を開設できますか。"),
        ),
        DecisionField(
            "accountMaintenance",
            Purpose.ACCOUNT_MAINTENANCE,
            Text("May this person keep the account as it is?", "口座をそのまま継続できますか。"),
        ),
        DecisionField(
            "tenancy",
            Purpose.TENANCY,
            Text("Is the stay stable and the income enough for this lease?", "この賃貸借に在留と収入は足りますか。"),
            (Argument("rentYenPerMonth", int, "The monthly rent in yen."),),
        ),
        DecisionField(
            "lending",
            Purpose.LENDING,
            Text("Do the records support this loan?", "この融資を記録が裏づけますか。"),
            (
                Argument("product", LendingProduct, "What is lent."),
                Argument("amountYen", int, "The amount in yen."),
                Argument("termMonths", int, "The term in months."),
            ),
        ),
    )
}
"""Every decision by its schema coordinate."""

described(
    BindingLevel,
    "How firmly a person was tied to the identity record, weakest first.",
    NONE="Not at all.",
    ASSERTED="By the person's own word.",
    CARD_FACE="By the face of the residence card.",
    IC_VERIFIED="By the card's chip.",
    JPKI="By the public certification service.",
)
described(
    RecordMatch,
    "Whether the sources' records could be joined to the person.",
    MATCHED="All that answered belong to the person.",
    PROBABLE="One probably does; the person has to confirm it.",
    UNRESOLVED="At least one could not be joined.",
)
described(
    Purpose,
    "Why a relying party asks.",
    ACCOUNT_OPENING="To open an account.",
    ACCOUNT_MAINTENANCE="To keep an account open.",
    TENANCY="To rent out a home.",
    LENDING="To lend money.",
)
described(LendingProduct, "What is lent.", CONSUMER="A consumer loan.", MORTGAGE="A housing loan.")
