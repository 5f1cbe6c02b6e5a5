"""A GraphQL document, read once: weighed, validated, flattened to what it selects.

Fragments are inlined and fields with the same response key merged, so that what follows (plan, projector)
walks a plain tree. Conditions (`@skip`, `@include`) are settled per set of their variables' values.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
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
    VariableDefinitionNode,
    get_directive_values,
    get_named_type,
    is_leaf_type,
    type_from_ast,
    validate,
)
from graphql.execution.values import VariableValues, get_argument_values, get_variable_values
from graphql.type import GraphQLIncludeDirective, GraphQLSkipDirective

from gateway.errors import RequestError
from gateway.weighing import INTROSPECTION, WeighedDocument, weigh_document
from resolvers.mutation import RELYING_PARTY_MUTATIONS

RELYING_PARTY_QUERIES = frozenset({"subject", "subjects"})


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
    digest: str
    schema: GraphQLSchema
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    audience: Audience
    asks_introspection: bool
    condition_variables: tuple[str, ...]
    token_variables: tuple[VariableDefinitionNode, ...]

    @property
    def operation_name(self) -> str | None:
        return self.operation.name.value if self.operation.name else None

    def coerce(self, variables: Mapping[str, Any]) -> VariableValues:
        """Coerced variables with defaults. Raises RequestError for missing, wrong or undeclared ones."""
        declared = {definition.variable.name.value for definition in self.operation.variable_definitions or ()}
        if undeclared := set(variables) - declared:
            raise RequestError(f"undeclared variables: {len(undeclared)}", code="VALIDATION_FAILED")
        return self._coerced(self.operation.variable_definitions or (), variables)

    def coerce_tokens(self, tokens: Mapping[str, Any]) -> VariableValues:
        """The variables that name consents, coerced. Raises RequestError for missing or wrong ones."""
        return self._coerced(self.token_variables, tokens)

    def _coerced(self, definitions: Sequence[VariableDefinitionNode], variables: Mapping[str, Any]) -> VariableValues:
        coerced = get_variable_values(self.schema, definitions, dict(variables), max_errors=1)
        if isinstance(coerced, list):
            raise RequestError("variables", code="VALIDATION_FAILED")
        return coerced

    def split(self, variables: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The variables that name consents, and the others. No consent is used for anything but to name a person."""
        names = self.open_tokens()
        tokens = {name: value for name, value in variables.items() if name in names}
        return tokens, {name: value for name, value in variables.items() if name not in names}

    def open_tokens(self) -> dict[str, str]:
        """A stand-in for each variable that will name a consent: it stays open until there is one."""
        return {definition.variable.name.value: "" for definition in self.token_variables}

    def condition_key(self, variables: VariableValues) -> tuple[Any, ...]:
        """The values that decide which selections are in."""
        return tuple(variables.coerced.get(name) for name in self.condition_variables)

    def select(self, variables: VariableValues) -> tuple[Selection, ...]:
        """The flattened selections for these (coerced) variables."""
        return _Flattening(self, variables).of(self.root_type, [self.operation.selection_set])

    @property
    def root_type(self) -> GraphQLObjectType:
        root = self.schema.get_root_type(self.operation.operation)
        if root is None:
            raise RequestError("no such root type", code="VALIDATION_FAILED")
        return root


class _Flattening:
    """One walk over a document's selection sets; what they weigh has been checked."""

    def __init__(self, document: Document, variables: VariableValues) -> None:
        self._document = document
        self._variables = variables

    def of(self, parent: GraphQLObjectType, sets: list[SelectionSetNode]) -> tuple[Selection, ...]:
        grouped: OrderedDict[str, list[FieldNode]] = OrderedDict()
        for selection_set in sets:
            for node in self._fields_of(parent, selection_set):
                key = node.alias.value if node.alias else node.name.value
                grouped.setdefault(key, []).append(node)
        return tuple(self._selection(parent, key, nodes) for key, nodes in grouped.items())

    def _fields_of(self, parent: GraphQLObjectType, selection_set: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection_set.selections:
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                yield node
                continue
            nested: InlineFragmentNode | FragmentDefinitionNode
            if isinstance(node, FragmentSpreadNode):
                nested = self._document.fragments[node.name.value]
            elif isinstance(node, InlineFragmentNode):
                nested = node
            else:
                raise RequestError("unknown selection", code="VALIDATION_FAILED")
            if nested.type_condition is None or nested.type_condition.name.value == parent.name:
                yield from self._fields_of(parent, nested.selection_set)

    def _is_included(self, node: Any) -> bool:
        try:
            skip = get_directive_values(GraphQLSkipDirective, node, self._variables)
            include = get_directive_values(GraphQLIncludeDirective, node, self._variables)
        except GraphQLError as error:
            raise RequestError("variables", code="VALIDATION_FAILED") from error
        return not (skip and skip["if"]) and not (include and not include["if"])

    def _selection(self, parent: GraphQLObjectType, key: str, nodes: list[FieldNode]) -> Selection:
        name = nodes[0].name.value
        definition = parent.fields.get(name)
        children: tuple[Selection, ...] = ()
        sets = [node.selection_set for node in nodes if node.selection_set is not None]
        if definition is not None and sets:
            returned = get_named_type(definition.type)
            if isinstance(returned, GraphQLObjectType):
                children = self.of(returned, sets)
        return Selection(key, f"{parent.name}.{name}", nodes[0], definition, children)


def read_document(text: str, schema: GraphQLSchema) -> Document:
    """Weigh and validate. Raises RequestError with a public code; nothing of the text is repeated."""
    return validate_document(weigh_document(text), schema)


def validate_document(weighed: WeighedDocument, schema: GraphQLSchema) -> Document:
    """Raises RequestError for what this schema does not have."""
    if validate(schema, weighed.tree, max_errors=1):
        raise RequestError("validation", code="VALIDATION_FAILED")
    operation = weighed.operation
    if operation.operation is OperationType.SUBSCRIPTION:
        raise RequestError("subscription", code="VALIDATION_FAILED")
    return Document(
        text=weighed.text,
        digest=hashlib.sha256(weighed.text.encode()).hexdigest(),
        schema=schema,
        operation=operation,
        fragments=weighed.fragments,
        audience=_audience(operation, weighed.roots),
        asks_introspection=weighed.asks_introspection,
        condition_variables=_condition_variables(weighed.tree.definitions),
        token_variables=_token_variables(operation, schema),
    )


def _audience(operation: OperationDefinitionNode, roots: frozenset[str]) -> Audience:
    """Who may run it. Raises RequestError when a document mixes audiences."""
    named = {root for root in roots if root != "__typename"}
    if operation.operation is OperationType.MUTATION:
        if named and named <= RELYING_PARTY_MUTATIONS:
            return Audience.RELYING_PARTY_ACTION
        if named & RELYING_PARTY_MUTATIONS:
            raise RequestError("one operation has one audience", code="VALIDATION_FAILED")
        return Audience.PERSON
    if not named or named <= INTROSPECTION:
        return Audience.ANYONE
    if named <= RELYING_PARTY_QUERIES:
        return Audience.RELYING_PARTY
    if named & (RELYING_PARTY_QUERIES | INTROSPECTION):
        raise RequestError("one operation has one audience", code="VALIDATION_FAILED")
    return Audience.PERSON


def _token_variables(operation: OperationDefinitionNode, schema: GraphQLSchema) -> tuple[VariableDefinitionNode, ...]:
    """The variables that name consents."""
    token = schema.type_map["ConsentToken"]
    return tuple(
        definition
        for definition in operation.variable_definitions or ()
        if get_named_type(type_from_ast(schema, definition.type)) is token
    )


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
