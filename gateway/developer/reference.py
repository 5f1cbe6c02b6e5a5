"""The reference at /docs: the schema, what may be asked for which purpose, the codes and the limits. One page.

Everything on it is read from what the gateway runs on, so it cannot be out of date.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLType,
    get_named_type,
    is_specified_scalar_type,
)
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from gateway.consent.purpose import PurposeBounds
from gateway.errors import PUBLIC_CODES, PublicCode
from gateway.http.request import SAFE_HEADERS
from resolvers.catalogue import ATTRIBUTES, DECISIONS

HERE = Path(__file__).parent
_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_FIRST = ("Query", "Mutation", "Subject")


@dataclass(frozen=True, slots=True)
class Line:
    """A field, an argument of an input or a member of an enum, with what the page says of it."""

    name: str
    type: GraphQLType | None
    description: str
    arguments: Mapping[str, GraphQLArgument]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One type."""

    name: str
    kind: str
    description: str
    lines: tuple[Line, ...]


def reference_routes(
    schema: GraphQLSchema, purposes: Iterable[PurposeBounds], limits: Mapping[str, int]
) -> list[BaseRoute]:
    """The page, made once. `limits`: what a document may have, by what is counted."""
    page = render_reference(schema, tuple(purposes), limits)
    style = (HERE / "static" / "reference.css").read_text(encoding="utf-8")
    headers = {**SAFE_HEADERS, "Content-Security-Policy": _POLICY}

    async def show(request: Request) -> Response:
        return HTMLResponse(page, headers=headers)

    async def give_style(request: Request) -> Response:
        return Response(style, media_type="text/css", headers=headers)

    return [Route("/docs", show, methods=["GET"]), Route("/docs/reference.css", give_style, methods=["GET"])]


def render_reference(schema: GraphQLSchema, purposes: tuple[PurposeBounds, ...], limits: Mapping[str, int]) -> str:
    """The page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["named"] = get_named_type
    return environment.get_template("reference.html").render(
        sections=list(_sections(schema, purposes)),
        purposes=purposes,
        codes=_codes(),
        limits=limits,
    )


def _codes() -> list[PublicCode]:
    return sorted(PUBLIC_CODES.values(), key=lambda row: (row.status, row.code))


def _sections(schema: GraphQLSchema, purposes: tuple[PurposeBounds, ...]) -> Iterable[Section]:
    """The types: where one begins first, then by name."""
    own = [t for name, t in schema.type_map.items() if not name.startswith("__") and not is_specified_scalar_type(t)]
    ordered = sorted(own, key=lambda t: (_FIRST.index(t.name) if t.name in _FIRST else len(_FIRST), t.name))
    return (_section(named, purposes) for named in ordered)


def _section(named: GraphQLNamedType, purposes: tuple[PurposeBounds, ...]) -> Section:
    kind, lines = "scalar", tuple[Line, ...]()
    if isinstance(named, GraphQLObjectType):
        kind = "object"
        lines = tuple(_field(named.name, name, field, purposes) for name, field in named.fields.items())
    elif isinstance(named, GraphQLInputObjectType):
        kind = "input"
        lines = tuple(Line(n, field.type, field.description or "", {}) for n, field in named.fields.items())
    elif isinstance(named, GraphQLEnumType):
        kind = "enum"
        lines = tuple(Line(n, None, value.description or "", {}) for n, value in named.values.items())
    return Section(named.name, kind, named.description or "", lines)


def _field(type_name: str, name: str, field: GraphQLField, purposes: tuple[PurposeBounds, ...]) -> Line:
    notes = tuple(_notes(f"{type_name}.{name}", purposes))
    return Line(name, field.type, field.description or "", field.args, notes)


def _notes(coordinate: str, purposes: tuple[PurposeBounds, ...]) -> Iterable[str]:
    """What is said of an attribute or a decision besides its type."""
    if coordinate in DECISIONS:
        yield f"Decision of the purpose {DECISIONS[coordinate].purpose.value}."
    attribute = ATTRIBUTES.get(coordinate)
    if attribute is None:
        return
    sources = ", ".join(sorted(source.value for source in attribute.sources)) or attribute.source.value
    yield f"Sources: {sources}. Freshness {attribute.freshness.name}."
    needed = [bounds.purpose.value for bounds in purposes if coordinate in bounds.attributes]
    optional = [bounds.purpose.value for bounds in purposes if coordinate in bounds.optional_attributes]
    if needed:
        yield f"May be asked for {', '.join(needed)}."
    if optional:
        yield f"May be asked, and always be left out, for {', '.join(optional)}."
    if not needed and not optional:
        yield "No purpose may ask for it."
