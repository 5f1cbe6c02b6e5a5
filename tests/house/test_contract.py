"""The rules of the house about the schema as a promise: nothing that somebody relies on changes unnoticed."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema
from graphql.utilities import find_breaking_changes, find_dangerous_changes

from resolvers.schema import schema

RELEASED = Path(__file__).parent / "released"
CHANGELOG = Path(__file__).parents[2] / "CHANGELOG.md"
TODAY = build_schema(schema.as_str())


def version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.stem.removeprefix("schema-").split("."))


def last_release() -> GraphQLSchema:
    newest = max(RELEASED.glob("schema-*.graphql"), key=version_of)
    return build_schema(newest.read_text(encoding="utf-8"))


def accepted() -> Mapping[str, str]:
    """The changes that are accepted, with their reasons."""
    parsed = tomllib.loads((RELEASED / "accepted.toml").read_text(encoding="utf-8"))
    return {change["is"]: change["why"] for change in parsed.get("change", [])}


def changes(old: GraphQLSchema, new: GraphQLSchema) -> set[str]:
    """What could break somebody who relies on the old schema, in graphql-core's words."""
    breaking, dangerous = find_breaking_changes(old, new), find_dangerous_changes(old, new)
    return {change.description for change in breaking} | {change.description for change in dangerous}


def test_whatever_could_break_somebody_was_accepted_with_a_reason() -> None:
    assert changes(last_release(), TODAY) == set(accepted())
    assert all(len(why) > 20 for why in accepted().values())


def unreleased() -> str:
    text = CHANGELOG.read_text(encoding="utf-8")
    found = re.search(r"^## Unreleased$(.*?)(?=^## )", text, flags=re.M | re.S)
    assert found is not None, "CHANGELOG.md has a section Unreleased, before the released ones"
    return found[1]


def test_every_new_field_and_type_is_in_the_changelog() -> None:
    old, told = last_release(), unreleased()
    new_types = set(TODAY.type_map) - set(old.type_map)
    new_fields = {
        name
        for type_name, named in TODAY.type_map.items()
        if type_name in old.type_map
        for name in set(getattr(named, "fields", {})) - set(getattr(old.type_map[type_name], "fields", {}))
    }
    assert not [name for name in sorted(new_types | new_fields) if f"`{name}" not in told]


def test_every_accepted_change_is_in_the_changelog() -> None:
    told = unreleased()
    named = {change: re.findall(r"[A-Z]\w*\.(\w+)", change) for change in accepted()}
    assert not [change for change, names in named.items() if not names or f"`{names[-1]}" not in told]


@pytest.mark.parametrize(
    ("old", "new", "change"),
    [
        ("type Query { a: Int b: Int }", "type Query { a: Int }", "Field Query.b was removed."),
        ("type Query { a: Int! }", "type Query { a: Int }", "Field Query.a changed type from Int! to Int."),
        ("type Query { a: E } enum E { X Y }", "type Query { a: E } enum E { X }", "Enum value E.Y was removed."),
        ("type Query { a: E } enum E { X }", "type Query { a: E } enum E { X Y }", "Enum value E.Y was added."),
        ("type Query { a: Int }", "type Query { a(b: Int!): Int }", "A required argument Query.a(b:) was added."),
    ],
)
def test_a_change_that_could_break_somebody_is_found(old: str, new: str, change: str) -> None:
    assert changes(build_schema(old), build_schema(new)) == {change}
    assert changes(build_schema(old), build_schema(old)) == set()
