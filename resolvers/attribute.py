"""An attribute: one thing that can be asked about a person, and the GraphQL fields made from it.

`attribute()` is all that a new one needs: its name, the sources that its derivation looks at, how long
an observation stays fresh, the question in plain words, and the derivation itself.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import Enum, StrEnum
from functools import cache, lru_cache
from typing import Annotated, Any

import strawberry

from connectors.interface import SourceAuthority
from resolvers.claim import Claim, ClaimState, Reason
from resolvers.decision import Text
from resolvers.facts import Facts

JST = timezone(timedelta(hours=9), "JST")
MAX_KEPT_DAYS = 64
"""Observations are of today or of a few weeks before."""


class Freshness(Enum):
    """For how long an observation may be used, counted from when the gateway made it."""

    F1 = timedelta(hours=24)
    F2 = timedelta(days=7)
    F3 = timedelta(days=35)
    F4 = "levy year"
    ENROLMENT = "enrolment"

    def fresh_until(self, observed_at: datetime) -> datetime:
        """The moment from which the observation is stale. F4 ends when the next levy's certificates appear."""
        life = _LIVES.get(self)
        if life is not None:
            return observed_at + life
        if self is Freshness.ENROLMENT:
            return datetime.max.replace(tzinfo=UTC)
        return _levy_ends_at(observed_at.astimezone(JST).date())


_LIVES = {freshness: freshness.value for freshness in Freshness if isinstance(freshness.value, timedelta)}


@cache
def binding_classes(classes: frozenset[Freshness]) -> tuple[Freshness, ...]:
    """Those of these classes that can end first: of those with a length, the shortest alone."""
    lasting = [freshness for freshness in classes if freshness in _LIVES]
    others = [freshness for freshness in classes if freshness not in _LIVES]
    return (min(lasting, key=_LIVES.__getitem__), *others) if lasting else tuple(others)


@lru_cache(maxsize=MAX_KEPT_DAYS)
def _levy_ends_at(day: date) -> datetime:
    return datetime.combine(_next_levy_on(day), time.min, JST).astimezone(UTC)


def _next_levy_on(day: date) -> date:
    """15 June, when every municipality issues the new levy year's certificates. Source: domain notes 3."""
    this_year = date(day.year, 6, 15)
    return this_year if day < this_year else date(day.year + 1, 6, 15)


class ClaimSource(StrEnum):
    """Whose record an attribute is about. Fixed per attribute, so that it tells nothing about a person."""

    IMMIGRATION = "IMMIGRATION"
    LABOR = "LABOR"
    TAX = "TAX"
    INSURANCE = "INSURANCE"
    GATEWAY = "GATEWAY"


@dataclass(frozen=True, slots=True)
class Argument:
    """An argument of an attribute or a decision: Int, enum or date."""

    name: str
    type: type
    text: str

    @property
    def keyword(self) -> str:
        """The name as Python code spells it: yearlyYen → yearly_yen."""
        return "".join(f"_{c.lower()}" if c.isupper() else c for c in self.name)


@dataclass(frozen=True, slots=True)
class Attribute:
    """The definition of one attribute. `over_match_rule`: it looks at the sources of the purpose's match rule."""

    name: str
    value_type: type
    derive: Callable[..., Claim[Any]]
    text: Text
    source: ClaimSource
    sources: frozenset[SourceAuthority]
    freshness: Freshness
    arguments: tuple[Argument, ...] = ()
    person_only: bool = False
    over_match_rule: bool = False
    authority: SourceAuthority | None = field(init=False)
    """Whose record it is about; None: the gateway's own."""

    def __post_init__(self) -> None:
        is_own = self.source is ClaimSource.GATEWAY
        object.__setattr__(self, "authority", None if is_own else SourceAuthority(self.source.value))

    def claim(self, facts: Facts, arguments: Mapping[str, Any]) -> Claim[Any]:
        """Derive the claim for these (GraphQL-named) arguments."""
        if not self.arguments:
            return self.derive(facts)
        return self.derive(facts, **{a.keyword: arguments[a.name] for a in self.arguments})


def attribute(
    name: str,
    value_type: type,
    derive: Callable[..., Claim[Any]],
    *,
    en: str,
    ja: str,
    source: ClaimSource,
    fresh: Freshness,
    also: tuple[SourceAuthority, ...] = (),
    arguments: tuple[Argument, ...] = (),
    person_only: bool = False,
    connected: bool = True,
    over_match_rule: bool = False,
) -> Attribute:
    """Define an attribute. `also`: sources besides its own that the derivation looks at.

    `connected=False`: the source that could tell is not connected yet, so none is asked.
    """
    own = () if source is ClaimSource.GATEWAY else (SourceAuthority(source.value),)
    sources = frozenset((*own, *also)) if connected else frozenset[SourceAuthority]()
    return Attribute(
        name=name,
        value_type=value_type,
        derive=derive,
        text=Text(en, ja),
        source=source,
        sources=sources,
        freshness=fresh,
        arguments=arguments,
        person_only=person_only,
        over_match_rule=over_match_rule,
    )


def described(enum: type[StrEnum], description: str, /, **values: str) -> None:
    """Make an enum a GraphQL enum, with a description for it and for every value."""
    if not hasattr(enum, "__strawberry_definition__"):
        strawberry.enum(enum)
    definition: Any = enum.__strawberry_definition__  # type: ignore[attr-defined]
    definition.description = description
    for value in definition.values:
        value.description = values[value.name]


_CLAIM_TEXTS = {
    "value": "The value; null unless the state is CONFIRMED.",
    "state": "Whether there is a value, and if not, what kind of obstacle there is.",
    "reason": "Why there is no value, in detail: for the person alone.",
    "as_of": "The day the source's record stands for, or the day it was observed.",
    "source": "Whose record the attribute is about.",
    "retry_at": "When asking again may give a value; set while a source is slow or down.",
}


@cache
def claim_type(value_type: type, *, own: bool) -> type:
    """The GraphQL type of claims with this value; the person's own has the fine reason as well."""
    named = {bool: "Boolean", date: "Date"}.get(value_type, value_type.__name__)
    fields: list[tuple[str, Any]] = [("value", value_type | None), ("state", ClaimState)]
    fields += [("reason", Reason | None)] if own else []
    fields += [("as_of", date | None), ("source", ClaimSource), ("retry_at", datetime | None)]
    namespace: dict[str, Any] = {name: strawberry.field(description=_CLAIM_TEXTS[name]) for name, _ in fields}
    name = f"{'Own' if own else ''}{named}Claim"
    whose = "One's own claim" if own else "A claim"
    made: type = strawberry.type(
        type(name, (), namespace | {"__annotations__": dict(fields)}),
        description=f"{whose} whose value is of type {named}.",
    )
    return made


def domain_type(name: str, attributes: Iterable[Attribute], *, own: bool, description: str) -> type:
    """The GraphQL type of one domain: a claim field for each attribute that its reader may see."""
    fields = [(a.name, _claim_field(a, own=own)) for a in attributes if own or not a.person_only]
    full_name = f"{'Own' if own else ''}{name}"
    made: type = strawberry.type(type(full_name, (), dict(fields)), name=full_name, description=description)
    return made


def _claim_field(attribute: Attribute, *, own: bool) -> Any:
    """A field whose root object gives the claim; a relying party's is never executed (it is projected)."""

    def resolve(self: Any, **arguments: Any) -> Any:
        return self.own_claim(attribute, {a.name: arguments[a.keyword] for a in attribute.arguments})

    return graphql_field(
        resolve if own else never_executed,
        name=attribute.name,
        arguments=attribute.arguments,
        returns=claim_type(attribute.value_type, own=own) | None,
        description=attribute.text.en,
    )


def never_executed(self: Any, **_: Any) -> Any:
    """The resolver of every field below `Subject`: only the projector answers a relying party."""
    raise LookupError("a relying party's question never runs through an executor")


def graphql_field(
    resolve: Callable[..., Any], *, name: str, arguments: tuple[Argument, ...] = (), returns: Any, description: str
) -> Any:
    """A GraphQL field whose arguments are known only at run time."""

    def resolver(self: Any, **given: Any) -> Any:
        return resolve(self, **given)

    parameters = [inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
    for argument in arguments:
        described_argument = strawberry.argument(name=argument.name, description=argument.text)
        annotation: Any = Annotated[argument.type, described_argument]
        parameters.append(inspect.Parameter(argument.keyword, inspect.Parameter.KEYWORD_ONLY, annotation=annotation))
    resolver.__signature__ = inspect.Signature(parameters, return_annotation=returns)  # type: ignore[attr-defined]
    resolver.__annotations__ = {p.name: p.annotation for p in parameters[1:]} | {"return": returns}
    return strawberry.field(resolver=resolver, name=name, description=description)
