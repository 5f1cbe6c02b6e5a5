"""A GraphQL document, read once: parsed, validated, flattened to what it selects.

Fragments are inlined and fields with the same response key merged, so that what follows (plan, projector)
walks a plain tree. Conditions (`@skip`, `@include`) are settled per set of their variables' values.
"""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_directive_values,
    get_named_type,
    is_leaf_type,
    parse,
    type_from_ast,
    validate,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective

from gateway.errors import RequestError
from resolvers.mutation import RELYING_PARTY_MUTATIONS

MAX_TOKENS = 1_000
MAX_FIELDS = 400
MAX_DEPTH = 12
MAX_SAME_FIELDS = 16
"""How often one response key may stand in one place. Validation compares all pairs of them."""


class Audience(StrEnum):
    """For whom an operation is. One operation has one audience."""

    RELYING_PARTY = "RELYING_PARTY"
    RELYING_PARTY_ACTION = "RELYING_PARTY_ACTION"
    PERSON = "PERSON"
    ANYONE = "ANYONE"


@dataclass(frozen=True, slots=True)
class Selection:
    """One selected field. `coordinate` is `Type.field`; `key` is the response key and decides nothing."""

    key: str
    coordinate: str
    node: FieldNode
    definition: GraphQLField | None
    children: tuple["Selection", ...]

    @property
    def name(self) -> str:
        return self.node.name.value

    @property
    def type_name(self) -> str:
        return self.coordinate.partition(".")[0]

    @property
    def is_leaf(self) -> bool:
        """By its type, never by what is selected below it: `@skip` may leave an object with nothing."""
        return self.definition is None or is_leaf_type(get_named_type(self.definition.type))

    def arguments(self, variables: VariableValues) -> dict[str, Any]:
        """The coerced arguments, defaults filled, by the names of the schema. Raises RequestError for a null."""
        if self.definition is None:
            return {}
        try:
            return get_argument_values(self.definition, self.node, variables)
        except GraphQLError as error:
            raise RequestError("variables", code="VALIDATION_FAILED") from error


@dataclass(frozen=True, slots=True)
class Document:
    """A valid document with its one operation."""

    text: str
    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    audience: Audience
    asks_introspection: bool
    condition_variables: tuple[str, ...]

    def coerce(self, variables: Mapping[str, Any]) -> VariableValues:
        """Coerced variables with defaults. Raises RequestError for missing, wrong or undeclared ones."""
        declared = {definition.variable.name.value for definition in self.operation.variable_definitions or ()}
        if undeclared := set(variables) - declared:
            raise RequestError(f"undeclared variables: {len(undeclared)}", code="VALIDATION_FAILED")
        coerced = get_variable_values(self.schema, self.operation.variable_definitions or (), dict(variables))
        if isinstance(coerced, list):
            raise RequestError("variables", code="VALIDATION_FAILED")
        return coerced

    def open_tokens(self) -> dict[str, str]:
        """A stand-in for each variable that will name a consent: it stays open until there is one."""
        return {
            definition.variable.name.value: ""
            for definition in self.operation.variable_definitions or ()
            if get_named_type(type_from_ast(self.schema, definition.type)) is self.schema.type_map["ConsentToken"]
        }

    def condition_key(self, variables: VariableValues) -> tuple[Any, ...]:
        """The values that decide which selections are in."""
        return tuple(variables.coerced.get(name) for name in self.condition_variables)

    def select(self, variables: VariableValues) -> tuple[Selection, ...]:
        """The flattened selections for these (coerced) variables."""
        return _Flattening(self, variables).of(self.root_type, [self.operation.selection_set], 1)

    @property
    def root_type(self) -> GraphQLObjectType:
        root = self.schema.get_root_type(self.operation.operation)
        if root is None:
            raise RequestError("no such root type", code="VALIDATION_FAILED")
        return root


class _Flattening:
    """One walk over a document's selection sets, bounded in fields and depth."""

    def __init__(self, document: Document, variables: VariableValues) -> None:
        self._document = document
        self._variables = variables
        self._fields = 0

    def of(self, parent: GraphQLObjectType, sets: list[SelectionSetNode], depth: int) -> tuple[Selection, ...]:
        if depth > MAX_DEPTH:
            raise RequestError("depth", code="QUERY_TOO_COMPLEX")
        grouped: OrderedDict[str, list[FieldNode]] = OrderedDict()
        for selection_set in sets:
            for node in self._fields_of(parent, selection_set):
                key = node.alias.value if node.alias else node.name.value
                grouped.setdefault(key, []).append(node)
        return tuple(self._selection(parent, key, nodes, depth) for key, nodes in grouped.items())

    def _fields_of(self, parent: GraphQLObjectType, selection_set: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection_set.selections:
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                self._count()
                yield node
                continue
            nested: InlineFragmentNode | FragmentDefinitionNode
            if isinstance(node, FragmentSpreadNode):
                nested = self._document.fragments[node.name.value]
            elif isinstance(node, InlineFragmentNode):
                nested = node
            else:
                raise RequestError("unknown selection", code="VALIDATION_FAILED")
            self._count()
            if nested.type_condition is None or nested.type_condition.name.value == parent.name:
                yield from self._fields_of(parent, nested.selection_set)

    def _count(self) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise RequestError("fields", code="QUERY_TOO_COMPLEX")

    def _is_included(self, node: Any) -> bool:
        try:
            skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
            include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        except GraphQLError as error:
            raise RequestError("variables", code="VALIDATION_FAILED") from error
        return not (skip and skip["if"]) and not (include and not include["if"])

    def _selection(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode], depth: int) -> Selection:
        name = nodes[0].name.value
        definition = parent.fields.get(name)
        children: tuple[Selection, ...] = ()
        sets = [node.selection_set for node in nodes if node.selection_set is not None]
        if definition is not None and sets:
            returned = get_named_type(definition.type)
            if isinstance(returned, GraphQLObjectType):
                children = self.of(returned, sets, depth + 1)
        return Selection(key, f"{parent.name}.{name}", nodes[0], definition, children)


class _Weighing:
    """A walk before validation, bounded in steps: what is too large is refused before it costs anything.

    Unknown and cyclic fragments are left to validation; introspection answers only in the sandbox.
    """

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self._fragments = fragments
        self._steps = 0
        self._same: dict[tuple[str, ...], int] = {}

    def weigh(self, selection_set: SelectionSetNode, path: tuple[str, ...], within: frozenset[str]) -> None:
        """Count a selection set at a path of response keys. Raises RequestError(QUERY_TOO_COMPLEX)."""
        for node in selection_set.selections:
            self._steps += 1
            if self._steps > MAX_FIELDS or len(path) > MAX_DEPTH:
                raise RequestError("fields", code="QUERY_TOO_COMPLEX")
            if isinstance(node, FieldNode):
                self._weigh_field(node, path, within)
            elif isinstance(node, InlineFragmentNode):
                self.weigh(node.selection_set, path, within)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in self._fragments and name not in within:
                    self.weigh(self._fragments[name].selection_set, path, within | {name})

    def _weigh_field(self, node: FieldNode, path: tuple[str, ...], within: frozenset[str]) -> None:
        place = (*path, node.alias.value if node.alias else node.name.value)
        self._same[place] = self._same.get(place, 0) + 1
        if self._same[place] > MAX_SAME_FIELDS:
            raise RequestError("the same field", code="QUERY_TOO_COMPLEX")
        if node.selection_set is not None and node.name.value not in ("__schema", "__type"):
            self.weigh(node.selection_set, place, within)


def read_document(text: str, schema: GraphQLSchema) -> Document:
    """Parse and validate. Raises RequestError with a public code; nothing of the text is repeated."""
    try:
        tree = parse(text, max_tokens=MAX_TOKENS)
    except GraphQLError as error:
        is_large = "Parsing aborted" in error.message  # too many tokens, or nested too deeply
        code = "QUERY_TOO_COMPLEX" if is_large else "VALIDATION_FAILED"
        raise RequestError("syntax", code=code) from error
    except RecursionError as error:
        raise RequestError("depth", code="QUERY_TOO_COMPLEX") from error
    operations = [d for d in tree.definitions if isinstance(d, OperationDefinitionNode)]
    if len(operations) != 1:
        raise RequestError("operations", code="OPERATION_AMBIGUOUS" if operations else "VALIDATION_FAILED")
    fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
    _Weighing(fragments).weigh(operations[0].selection_set, (), frozenset())
    if validate(schema, tree, max_errors=1):
        raise RequestError("validation", code="VALIDATION_FAILED")
    operation = operations[0]
    if operation.operation is OperationType.SUBSCRIPTION:
        raise RequestError("subscription", code="VALIDATION_FAILED")
    roots = set(_root_names(operation.selection_set, fragments, set()))
    return Document(
        text=text,
        schema=schema,
        operation=operation,
        fragments=fragments,
        audience=_audience(operation, roots),
        asks_introspection=bool(roots & {"__schema", "__type"}),
        condition_variables=_condition_variables(tree.definitions),
    )


def _root_names(
    selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], seen: set[str]
) -> Iterator[str]:
    """The fields at the root; each fragment is looked into once, however often it is spread."""
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            yield node.name.value
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
            seen.add(node.name.value)
            yield from _root_names(fragments[node.name.value].selection_set, fragments, seen)
        elif isinstance(node, InlineFragmentNode):
            yield from _root_names(node.selection_set, fragments, seen)


def _audience(operation: OperationDefinitionNode, roots: set[str]) -> Audience:
    """Who may run it. Raises RequestError when a document mixes audiences."""
    named = {root for root in roots if root != "__typename"}
    if operation.operation is OperationType.MUTATION:
        if named and named <= RELYING_PARTY_MUTATIONS:
            return Audience.RELYING_PARTY_ACTION
        if named & RELYING_PARTY_MUTATIONS:
            raise RequestError("one operation has one audience", code="VALIDATION_FAILED")
        return Audience.PERSON
    if not named or named <= {"__schema", "__type"}:
        return Audience.ANYONE
    if named == {"subject"}:
        return Audience.RELYING_PARTY
    if "subject" in named:
        raise RequestError("one operation has one audience", code="VALIDATION_FAILED")
    return Audience.PERSON


def _condition_variables(nodes: Any) -> tuple[str, ...]:
    """The names of the variables used in `@skip` and `@include`, anywhere in the document."""
    names: dict[str, None] = {}

    def visit(node: Any) -> None:
        for directive in getattr(node, "directives", None) or ():
            for argument in directive.arguments or ():
                if argument.value.kind == "variable":
                    names[argument.value.name.value] = None
        selection_set = getattr(node, "selection_set", None)
        for child in selection_set.selections if selection_set else ():
            visit(child)

    for node in nodes:
        visit(node)
    return tuple(names)
