"""Draws valid documents over `Subject`: aliases, fragments, conditions, variables, merged and repeated fields.

Two selections with the same response key on the same type always ask the same field with the same arguments
as written, so that every document that is drawn is valid.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    parse,
)

from gateway.errors import RequestError
from gateway.weighing import check_weight

TOKEN = "kct_aaaaaaaaaaaaaaaaaaaaaaaaaa"
INTEGERS = (0, 1, 62_000, 2_400_000, 2_147_483_647, -5)
DAYS = (date(2026, 11, 20), date(2027, 3, 31), date(2028, 2, 29))
MAX_SELECTIONS = 3
WIDE = ("Query", "Subject", "Decision")
MAX_FRAGMENT_DEPTH = 2


@dataclass(frozen=True, slots=True)
class Drawn:
    """A document with its variables."""

    text: str
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Variable:
    type: str
    default: str | None
    given: bool
    value: Any


@dataclass(slots=True)
class _Draft:
    """One document in the making."""

    random: Random
    schema: GraphQLSchema
    fields: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    variables: dict[str, _Variable] = field(default_factory=dict)
    fragments: dict[str, tuple[str, str]] = field(default_factory=dict)

    def happens(self, one_in: int) -> bool:
        return self.random.randrange(one_in) == 0

    def selection_set(self, of: GraphQLObjectType, nested: int) -> str:
        most = MAX_SELECTIONS if of.name in WIDE else MAX_SELECTIONS - 1
        selections = [self.selection(of, nested) for _ in range(self.random.randint(1, most))]
        return "{ " + " ".join(selections) + " }"

    def selection(self, of: GraphQLObjectType, nested: int) -> str:
        chance = self.random.randrange(10) if nested < MAX_FRAGMENT_DEPTH else 9
        if chance == 0:
            return f"...{self.fragment(of, nested)}{self.conditions()}"
        if chance == 1:
            on = f" on {of.name}" if self.happens(2) else ""
            return f"...{on}{self.conditions()} {self.selection_set(of, nested + 1)}"
        return self.field(of, nested)

    def fragment(self, of: GraphQLObjectType, nested: int) -> str:
        """The name of a fragment on this type: one that is there already, or a new one."""
        known = [name for name, (on, _) in self.fragments.items() if on == of.name]
        if known and self.happens(2):
            return self.random.choice(known)
        body = self.selection_set(of, nested + 1)
        name = f"F{len(self.fragments)}"
        self.fragments[name] = (of.name, body)
        return name

    def field(self, of: GraphQLObjectType, nested: int) -> str:
        name = self.random.choice([*(["subject"] if of.name == "Query" else of.fields), "__typename"])
        key = name if self.happens(2) else self.random.choice([name, "a", "b", *of.fields])
        if (of.name, key) not in self.fields:
            self.fields[of.name, key] = (name, self.arguments(of.fields.get(name)))
        name, arguments = self.fields[of.name, key]
        alias = "" if key == name else f"{key}: "
        definition = of.fields.get(name)
        returned = get_named_type(definition.type) if definition else None
        below = f" {self.selection_set(returned, nested)}" if isinstance(returned, GraphQLObjectType) else ""
        return f"{alias}{name}{arguments}{self.conditions()}{below}"

    def arguments(self, definition: GraphQLField | None) -> str:
        if definition is None or not definition.args:
            return ""
        listed = [f"{name}: {self.value_of(argument)}" for name, argument in definition.args.items()]
        self.random.shuffle(listed)
        return f"({', '.join(listed)})"

    def value_of(self, argument: GraphQLArgument) -> str:
        named = get_named_type(argument.type)
        if isinstance(named, GraphQLEnumType):
            chosen = self.random.choice(list(named.values))
            literal = chosen
        elif named.name == "Int":
            chosen = self.random.choice(INTEGERS)
            literal = str(chosen)
        else:
            chosen = TOKEN if named.name == "ConsentToken" else self.random.choice(DAYS).isoformat()
            literal = json.dumps(chosen)
        assert isinstance(argument.type, GraphQLNonNull), "every argument below Query is required"
        return literal if self.happens(2) else self.variable(named.name, chosen, literal)

    def variable(self, type_name: str, value: Any, literal: str) -> str:
        """A variable that has this value, or an earlier one of the same type."""
        known = [name for name, variable in self.variables.items() if variable.type.rstrip("!") == type_name]
        if known and self.happens(2):
            return f"${self.random.choice(known)}"
        name = f"v{len(self.variables)}"
        default = self.random.choice([None, literal])
        given = default is None or self.happens(2)
        optional = default is not None and self.happens(2)
        self.variables[name] = _Variable(type_name + ("" if optional else "!"), default, given, value)
        return f"${name}"

    def conditions(self) -> str:
        if not self.happens(8):
            return ""
        names = self.random.choice([["skip"], ["include"], ["skip", "include"], ["include", "skip"]])
        return "".join(f" @{name}(if: {self.condition()})" for name in names)

    def condition(self) -> str:
        literal = self.random.choice(["true", "false"])
        return literal if self.happens(2) else self.variable("Boolean", literal == "true", literal)

    def text(self, root: str) -> str:
        declared = ", ".join(
            f"${name}: {variable.type}" + (f" = {variable.default}" if variable.default else "")
            for name, variable in self.variables.items()
        )
        fragments = [f"fragment {name} on {on} {body}" for name, (on, body) in self.fragments.items()]
        whole = [f"query Asked{f'({declared})' if declared else ''} {root}", *fragments]
        self.random.shuffle(whole)
        return "\n".join(whole)


def draw_document(random: Random, schema: GraphQLSchema) -> Drawn:
    """A valid document that asks `subject` at least once, unless a condition leaves it out; it is not too heavy."""
    while True:
        drawn = _draw(random, schema)
        try:
            check_weight(parse(drawn.text))
        except RequestError:
            continue
        return drawn


def _draw(random: Random, schema: GraphQLSchema) -> Drawn:
    draft = _Draft(random, schema)
    assert schema.query_type is not None
    subject = schema.query_type.fields["subject"]
    key = random.choice(["subject", "a"])
    draft.fields["Query", key] = ("subject", draft.arguments(subject))
    below = draft.selection_set(_object(schema, "Subject"), 0)
    sure = f"{'' if key == 'subject' else key + ': '}subject{draft.fields['Query', key][1]} {below}"
    others = [draft.selection(schema.query_type, 0) for _ in range(random.randrange(3))]
    root = [sure, *others]
    random.shuffle(root)
    text = draft.text("{ " + " ".join(root) + " }")
    return Drawn(text, {name: v.value for name, v in draft.variables.items() if v.given})


def _object(schema: GraphQLSchema, name: str) -> GraphQLObjectType:
    found = schema.type_map[name]
    assert isinstance(found, GraphQLObjectType)
    return found


def features(drawn: Drawn) -> Iterator[str]:
    """What kinds of thing a document holds; for a check that the drawing leaves none out."""
    text = drawn.text
    known = {
        "named fragment": "fragment F" in text,
        "fragment in a fragment": any("...F" in part for part in text.split("fragment F")[1:]),
        "inline fragment": "... on " in text,
        "inline fragment without a type": "... {" in text,
        "skip by literal": "@skip(if: t" in text or "@skip(if: f" in text,
        "skip by variable": "@skip(if: $" in text,
        "include by variable": "@include(if: $" in text,
        "both conditions": ") @include(" in text or ") @skip(" in text,
        "condition on a fragment": any(f"...F{number} @" in text for number in range(9)),
        "alias of another field": "tax: " in text or "value: " in text,
        "two subjects": text.count("subject(consent") > 1,
        "argument by variable": "Yen: $" in text or "on: $" in text or "PerMonth: $" in text,
        "argument by literal": "Yen: 6" in text or 'on: "2' in text,
        "default of a variable": "! = " in text,
        "optional variable": any(f"{name} = " in text for name in ("Boolean", "Int", "Date")),
        "typename": "__typename" in text,
    }
    yield from (name for name, is_there in known.items() if is_there)
