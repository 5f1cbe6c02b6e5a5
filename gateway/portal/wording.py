"""Codes in plain words: what a question asks, what a claim says, where a consent stands.

A function gives the English text that the catalogue knows; templates look it up in the page's language.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Protocol

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
    (AccessKind, "SHARE_CODE_REDEEMED"): _("Its share code was used."),
    (FetchType, "PERIODIC"): _("Again and again until it ends."),
    (Outcome, "NOT_ELIGIBLE_NOW"): _("Not met at present. Under each rule stands what would change that."),
}
"""Words for a page where the schema's own speak to programmers."""

_TO_ONESELF: dict[str, str] = {
    "The person granted it.": _("You granted it."),
    "The person declined it.": _("You declined it."),
    "The person paused it.": _("You paused it."),
    "The person resumed it.": _("You resumed it."),
    "The person renewed it.": _("You renewed it."),
    "The person made a share code for it.": _("You made a share code for it."),
    "The person disputed a claim or a record.": _("You disputed a claim or a record."),
    "The person took the dispute back.": _("You took the dispute back."),
    "The person confirmed that a record is theirs.": _("You confirmed that a record is yours."),
    "The person took back that a record is theirs.": _("You took back that a record is yours."),
    "Asked for; the person has not decided.": _("Asked for; you have not decided."),
    "Suspended by the person for now.": _("Paused until you resume it."),
    "Declined by the person.": _("Declined by you."),
    "Taken back by the person, or given back.": _("Taken back by you, or given back."),
    "The person was not asked for consent to this question.": _("You were not asked for consent to this question."),
    "Too many different thresholds were asked about this person.": _(
        "Too many different thresholds were asked about you."
    ),
    "The question does not apply to this person.": _("The question does not apply to you."),
    "The record could not be joined to the person.": _("The record could not be joined to you."),
    "The person left it out.": _("You left it out."),
    "All that answered belong to the person.": _("All that answered belong to you."),
    "One probably does; the person has to confirm it.": _("One probably does; you have to confirm it."),
    "No record: the person declares no work.": _("No record: you declare no work."),
    "By the person's own word.": _("By your own word."),
    "The person.": _("You."),
    "Not yet assessed: the person came after the levy day.": _("Not yet assessed: you came after the levy day."),
    "Not yet: the person came after the levy day.": _("Not yet: you came after the levy day."),
}
"""What the schema says of the person, to the person."""


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


class Reader(Protocol):
    """Who reads a page about somebody: see `Deciding`."""

    @property
    def is_oneself(self) -> bool: ...


def told(text: str, reader: Reader | None) -> str:
    """A code's words as they are told to whoever reads them; None: to a relying party's staff."""
    return _TO_ONESELF.get(text, text) if reader and reader.is_oneself else text


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
    """What a dispute is about, and how it ended: `Tax.income`, `TAX`, or either with `CORRECTED TAX` behind it; or
    whose record was confirmed.

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
    arguments = [argument for decision in DECISIONS.values() for argument in decision.arguments]
    enums |= {argument.type for argument in arguments if issubclass(argument.type, StrEnum)}
    for enum in enums:
        yield from (described(value) for value in enum)
    yield from (argument.text for argument in arguments)
