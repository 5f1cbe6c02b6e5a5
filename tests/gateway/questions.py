"""One question at a time: a document for any attribute or decision of the catalogue."""

from resolvers.catalogue import ATTRIBUTES, DECISIONS

ARGUMENTS = {
    "Tax.incomeMeets": "(yearlyYen: 2400000)",
    "Immigration.stayCoversUntil": '(on: "2027-03-31")',
    "Labor.employmentCoversUntil": '(on: "2027-03-31")',
    "Subject.tenancy": "(rentYenPerMonth: 62000)",
    "Subject.lending": "(product: CONSUMER, amountYen: 500000, termMonths: 24)",
}
CLAIM = "{ value state asOf source retryAt }"
DECISION = (
    "{ outcome recheckOn retryAt decidedOn rulePack { name version sha256 } "
    "rules { id result condition explanation { en ja } cures { en ja } basis { kind source } } }"
)


def asking_for(coordinate: str) -> str:
    """The selection of one question below `Subject`, everything of its answer included."""
    type_name, _, name = coordinate.partition(".")
    leaves = DECISION if coordinate in DECISIONS else CLAIM
    field = f"{name}{ARGUMENTS.get(coordinate, '')} {leaves}"
    return field if type_name == "Subject" else f"{type_name.lower()} {{ {field} }}"


def request_for(*coordinates: str) -> str:
    """A document that asks these questions."""
    asked = " ".join(asking_for(coordinate) for coordinate in coordinates)
    return f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {asked} }} }}"


def everything() -> list[str]:
    """What a relying party can ask: every coordinate but the person-only ones."""
    return [c for c, attribute in ATTRIBUTES.items() if not attribute.person_only] + list(DECISIONS)
