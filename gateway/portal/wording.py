"""Codes in plain words: what a question asks, what a claim says, where a consent stands.

A function gives the English text that the catalogue knows; templates look it up in the page's language.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any

from resolvers.attribute import ClaimSource
from resolvers.catalogue import ATTRIBUTES, DECISIONS, LendingProduct, Purpose
from resolvers.claim import ClaimState, Reason
from resolvers.consent import DisputeOutcome, FetchType, TraceStep
from resolvers.decision import BasisKind, Outcome, RuleOutcome, Text
from resolvers.subject import GrantStatus
from resolvers.worker import AccessKind

_SHOWN = (Purpose, ClaimState, Reason, Outcome, RuleOutcome, BasisKind)
_SHOWN_TOO = (GrantStatus, AccessKind, FetchType, ClaimSource, DisputeOutcome)


def _(text: str) -> str:
    """Marks a text for the catalogue."""
    return text


YES, NO = _("Yes"), _("No")
_ARGUMENTS = {
    "yearlyYen": _("%(amount)s yen a year"),
    "rentYenPerMonth": _("a rent of %(amount)s yen a month"),
    "amountYen": _("%(amount)s yen"),
    "termMonths": _("over %(amount)s months"),
}
_PRODUCTS = {LendingProduct.CONSUMER: _("a consumer loan"), LendingProduct.MORTGAGE: _("a housing loan")}
"""Within a question; the schema's own words stand alone."""


_WEIGHED = {
    "stay_months_left": "Immigration.stayRemaining",
    "months_since_entry": "Immigration.timeSinceEntry",
    "tenure_months": "Labor.tenure",
    "yearly_income_yen": "Tax.income",
    "premiums_24m": "Insurance.premiums24m",
}
"""What rules weigh under another name than the attribute that asks for it."""

_PLAINER: dict[tuple[type[StrEnum], str], str] = {
    (ClaimState, "PENDING"): _("A source that answers slowly is still at it."),
    (FetchType, "PERIODIC"): _("Again and again until it ends."),
    (Outcome, "NOT_ELIGIBLE_NOW"): _("Not met at present. Under each rule stands what would change that."),
}
"""Words for a page where the schema's own speak to programmers."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in words. `arguments`: the text of each with its values; a date or an enum stands for itself."""

    text: Text
    is_decision: bool
    arguments: tuple[tuple[str, dict[str, Any]], ...]


def described(value: StrEnum) -> str:
    """The plain words of a code."""
    if (plainer := _PLAINER.get((type(value), value.value))) is not None:
        return plainer
    for listed in type(value).__strawberry_definition__.values:  # type: ignore[attr-defined]  # set by `described`
        if listed.name == value.name:
            return str(listed.description)
    raise LookupError(value.name)


def by_code(codes: type[StrEnum]) -> dict[str, str]:
    """The plain words of every code of a kind."""
    return {code.value: described(code) for code in codes}


def asked(question: str) -> Asked:
    """A question's plain words, from its canonical text `Type.field(a:1,b:"2027-03-31",c:ENUM)`."""
    coordinate, _bracket, listed = question.removesuffix(")").partition("(")
    field = DECISIONS[coordinate] if coordinate in DECISIONS else ATTRIBUTES[coordinate]
    pairs = (pair.partition(":") for pair in listed.split(",") if pair)
    arguments = tuple(_argument(name, value) for name, _colon, value in pairs)
    return Asked(field.text, coordinate in DECISIONS, arguments)


def _argument(name: str, value: str) -> tuple[str, dict[str, Any]]:
    if name in _ARGUMENTS:
        return _ARGUMENTS[name], {"amount": f"{int(value):,}"}
    if name == "product":
        return _PRODUCTS[LendingProduct(value)], {}
    return "%(day)s", {"day": date.fromisoformat(value.strip('"'))}


def value_words(question: str, value: Any) -> tuple[str, date | None]:
    """What a claim's value says: a text of the catalogue, or a day. `value` as it is stored, or as its text."""
    value_type = ATTRIBUTES[question.partition("(")[0]].value_type
    if value_type is bool:
        return (YES if str(value).lower() == "true" else NO), None
    if value_type is date:
        return "%(day)s", date.fromisoformat(str(value))
    return described(value_type(value)), None


def weighed(trace: Iterable[TraceStep]) -> list[Text]:
    """The questions that a rule looked at, each once. A step begins with the name of what it weighs."""
    names = dict.fromkeys(step.condition.partition(" ")[0] for step in trace)
    return [ATTRIBUTES[coordinate_of(name)].text for name in names]


def coordinate_of(name: str) -> str:
    """The attribute that asks for what rules weigh under a name: status_lawful → Immigration.statusLawful."""
    if name in _WEIGHED:
        return _WEIGHED[name]
    first, *others = name.split("_")
    field = first + "".join(word.capitalize() for word in others)
    return next(coordinate for coordinate in ATTRIBUTES if coordinate.partition(".")[2] == field)


def about_words(about: str) -> list[Text | str]:
    """What a dispute is about, and how it ended: `Tax.income`, `TAX`, or either with `CORRECTED TAX` behind it.

    A question's text stands in its languages; the rest are texts of the catalogue.
    """
    return [_about(part) for part in about.split()]


def _about(part: str) -> Text | str:
    if part in ATTRIBUTES:
        return ATTRIBUTES[part].text
    words = by_code(ClaimSource) | by_code(DisputeOutcome)
    return words[part]


def shown_texts() -> Iterator[str]:
    """Every text of a code that a page may show: the catalogue has to know them."""
    enums: set[type[StrEnum]] = {*_SHOWN, *_SHOWN_TOO}
    enums |= {a.value_type for a in ATTRIBUTES.values() if issubclass(a.value_type, StrEnum)}
    for enum in enums:
        yield from (described(value) for value in enum)
