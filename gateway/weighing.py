"""What a document may weigh: parsed and counted before validation, which costs more the larger a document is.

One walk over the selections, as if every fragment stood where it is spread; it ends at the first limit that is
passed, so it takes at most as many steps as a document may have fields, however its fragments are nested.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from graphql import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValueNode,
    parse,
)

from gateway.errors import RequestError

MAX_TOKENS = 1_000
MAX_FRAGMENTS = 10
MAX_VARIABLES = 20
MAX_FIELDS = 400
MAX_DEPTH = 6
MAX_ALIASES = 8
MAX_DIRECTIVES = 5
MAX_SAME_FIELDS = 16
"""How often one response key may stand in one place. Validation compares all pairs of them."""
MAX_VALUE_DEPTH = 16
MAX_STRING = 256
MAX_INTROSPECTION_DEPTH = 20
"""The usual introspection query is deep. It is answered in the sandbox alone."""

LIMITS: Mapping[str, int] = MappingProxyType(
    {
        "tokens": MAX_TOKENS,
        "fragments": MAX_FRAGMENTS,
        "variables": MAX_VARIABLES,
        "fields, fragments expanded": MAX_FIELDS,
        "depth": MAX_DEPTH,
        "aliases, fragments expanded": MAX_ALIASES,
        "directives": MAX_DIRECTIVES,
        "characters in a string literal": MAX_STRING,
    }
)
"""What a document may have. Source: security 3.9."""

INTROSPECTION = frozenset({"__schema", "__type"})


@dataclass(frozen=True, slots=True)
class WeighedDocument:
    """A document of one operation that is not too heavy. The schema need not know any name in it.

    `roots`: the names of the fields at the root.
    """

    text: str
    tree: DocumentNode
    operation: OperationDefinitionNode
    fragments: Mapping[str, FragmentDefinitionNode]
    roots: frozenset[str]

    @property
    def asks_introspection(self) -> bool:
        return bool(self.roots & INTROSPECTION)


def weigh_document(text: str) -> WeighedDocument:
    """Parse and weigh. Raises RequestError with a public code; nothing of the text is repeated."""
    tree = _parsed(text)
    operations = [d for d in tree.definitions if isinstance(d, OperationDefinitionNode)]
    if len(operations) != 1:
        raise RequestError("operations", code="OPERATION_AMBIGUOUS" if operations else "VALIDATION_FAILED")
    check_weight(tree)
    fragments = {d.name.value: d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)}
    roots = frozenset(_root_names(operations[0].selection_set, fragments, set()))
    return WeighedDocument(text, tree, operations[0], fragments, roots)


def _parsed(text: str) -> DocumentNode:
    if "\0" in text:
        raise RequestError("text", code="VALIDATION_FAILED")  # not every database can hold it, be it in a comment
    try:
        return parse(text, max_tokens=MAX_TOKENS)
    except GraphQLError as error:
        is_large = "Parsing aborted" in error.message  # too many tokens, or nested too deeply
        code = "QUERY_TOO_COMPLEX" if is_large else "VALIDATION_FAILED"
        raise RequestError("syntax", code=code) from error
    except RecursionError as error:
        raise RequestError("depth", code="QUERY_TOO_COMPLEX") from error


def _root_names(
    selection_set: SelectionSetNode, fragments: Mapping[str, FragmentDefinitionNode], seen: set[str]
) -> Iterator[str]:
    """The fields at the root; each fragment that there is is looked into once, however often it is spread."""
    for node in selection_set.selections:
        if isinstance(node, FieldNode):
            yield node.name.value
        elif isinstance(node, InlineFragmentNode):
            yield from _root_names(node.selection_set, fragments, seen)
        elif isinstance(node, FragmentSpreadNode) and node.name.value in fragments.keys() - seen:
            seen.add(node.name.value)
            yield from _root_names(fragments[node.name.value].selection_set, fragments, seen)


def check_weight(tree: DocumentNode) -> None:
    """Nothing is validated that was not weighed. The document has one operation.

    Raises RequestError: QUERY_TOO_COMPLEX for a document that weighs too much; VALIDATION_FAILED for a fragment that
    the walk from the operation does not reach, and for whatever is neither an operation nor a fragment. Unknown and
    cyclic fragments are left to validation.
    """
    defined = [d for d in tree.definitions if isinstance(d, FragmentDefinitionNode)]
    _check(len(defined), MAX_FRAGMENTS, "fragments")
    fragments = {d.name.value: d for d in defined}
    if len(fragments) < len(defined):
        raise RequestError("a fragment's name twice", code="VALIDATION_FAILED")
    weighing = _Weighing(fragments)
    for definition in tree.definitions:
        if isinstance(definition, OperationDefinitionNode):
            weighing.weigh_operation(definition)
        elif isinstance(definition, FragmentDefinitionNode):
            weighing.weigh_directives(definition.directives)
        else:
            raise RequestError("definitions", code="VALIDATION_FAILED")
    if weighing.reached != fragments.keys():
        raise RequestError("a fragment that is never spread", code="VALIDATION_FAILED")


class _Weighing:
    """Counts as it walks. Raises RequestError(QUERY_TOO_COMPLEX) at the first limit. `reached`: what was spread."""

    def __init__(self, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.reached: set[str] = set()
        self._fragments = fragments
        self._fields = 0
        self._aliases = 0
        self._directives = 0
        self._same: dict[tuple[str, ...], int] = {}

    def weigh_operation(self, operation: OperationDefinitionNode) -> None:
        variables = operation.variable_definitions or ()
        _check(len(variables), MAX_VARIABLES, "variables")
        for variable in variables:
            self.weigh_directives(variable.directives)
            if variable.default_value is not None:
                _check_value(variable.default_value, 1)
        self.weigh_directives(operation.directives)
        self._weigh(operation.selection_set, (), frozenset(), MAX_DEPTH)

    def weigh_directives(self, directives: Iterable[DirectiveNode] | None) -> None:
        for directive in directives or ():
            self._directives += 1
            _check(self._directives, MAX_DIRECTIVES, "directives")
            for argument in directive.arguments or ():
                _check_value(argument.value, 1)

    def _weigh(
        self, selection_set: SelectionSetNode, path: tuple[str, ...], within: frozenset[str], max_depth: int
    ) -> None:
        """Count a selection set at a path of response keys, inside these fragments."""
        _check(len(path) + 1, max_depth, "depth")
        for node in selection_set.selections:
            self._fields += 1
            _check(self._fields, MAX_FIELDS, "fields")
            self.weigh_directives(node.directives)
            if isinstance(node, FieldNode):
                self._weigh_field(node, path, within, max_depth)
            elif isinstance(node, InlineFragmentNode):
                self._weigh(node.selection_set, path, within, max_depth)
            elif isinstance(node, FragmentSpreadNode):
                name = node.name.value
                if name in self._fragments and name not in within:
                    self.reached.add(name)
                    self._weigh(self._fragments[name].selection_set, path, within | {name}, max_depth)

    def _weigh_field(self, node: FieldNode, path: tuple[str, ...], within: frozenset[str], max_depth: int) -> None:
        place = (*path, node.alias.value if node.alias else node.name.value)
        self._same[place] = self._same.get(place, 0) + 1
        _check(self._same[place], MAX_SAME_FIELDS, "the same field")
        self._aliases += node.alias is not None
        _check(self._aliases, MAX_ALIASES, "aliases")
        for argument in node.arguments or ():
            _check_value(argument.value, 1)
        if node.selection_set is not None:
            deepest = MAX_INTROSPECTION_DEPTH if node.name.value in INTROSPECTION else max_depth
            self._weigh(node.selection_set, place, within, deepest)


def _check_value(value: ValueNode, depth: int) -> None:
    """A literal: neither nested deeply nor a long text."""
    _check(depth, MAX_VALUE_DEPTH, "values")
    if isinstance(value, StringValueNode):
        _check(len(value.value), MAX_STRING, "text")
        if "\0" in value.value:
            raise RequestError("text", code="VALIDATION_FAILED")  # a database may not hold it
    elif isinstance(value, ListValueNode):
        for item in value.values:
            _check_value(item, depth + 1)
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            _check_value(field.value, depth + 1)


def _check(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise RequestError(what, code="QUERY_TOO_COMPLEX")
