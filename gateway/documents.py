"""The documents that are run: read once, kept while there is room, and for some relying parties registered first."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from graphql import GraphQLSchema
from graphql.execution.values import VariableValues

from gateway.document import Document, Selection, validate_document
from gateway.errors import RequestError
from gateway.identity.relying_party import RelyingParty
from gateway.plan import Asked, Plan, make_asked
from gateway.projector import Project, compile_projector
from gateway.store.trusted_documents import TrustedDocuments, document_id
from gateway.weighing import WeighedDocument, weigh_document

MAX_KEPT = 256
"""What is made of one document takes 200 KiB at most, and its text 64."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Compiled:
    """A document under one set of conditions: what it selects, and its projector."""

    selections: tuple[Selection, ...]
    project: Project


class Documents:
    """Reads documents, and keeps what it made of them.

    `sandbox`: introspection is answered, and a relying party whose registration does not say otherwise runs what it
    likes.
    """

    def __init__(self, schema: GraphQLSchema, trusted: TrustedDocuments, *, sandbox: bool) -> None:
        self._schema = schema
        self._trusted = trusted
        self._sandbox = sandbox
        self._read: _Kept[str, Document] = _Kept()
        self._compiled: _Kept[tuple[object, ...], Compiled] = _Kept()
        self._asked: _Kept[tuple[str, bytes], tuple[Asked, Project]] = _Kept()

    async def of_party(self, party: RelyingParty, text: str | None, given_id: str | None) -> Document:
        """The document that a relying party asks with.

        Raises RequestError: BAD_REQUEST for an id that is not the text's; OPERATION_NOT_REGISTERED for an id of none
        of its own, and for a text that it had to register first; before that, what is wrong with the text whoever
        sends it.
        """
        if text is None:
            text = await self._find(party, given_id or "")
            if text is None:
                raise RequestError("document id", code="OPERATION_NOT_REGISTERED")
            return self.read(text)
        if given_id not in (None, document_id(text)) and await self._find(party, given_id or "") != text:
            raise RequestError("document id")
        if self._is_held_to_register(party) and not self._trusted.has(party.id, text):
            self._weigh(text)
            if not await self._trusted.look_for_text(party.id, text):
                raise RequestError("document", code="OPERATION_NOT_REGISTERED")
        return self.read(text)

    def of_person(self, text: str | None, given_id: str | None) -> Document:
        """The document that a person asks with, or nobody: they have registered none. Raises RequestError."""
        if text is None:
            raise RequestError("document id", code="OPERATION_NOT_REGISTERED")
        if given_id not in (None, document_id(text)):
            raise RequestError("document id")
        return self.read(text)

    def read(self, text: str) -> Document:
        """A document, weighed and validated. Raises RequestError."""
        return self._read.get(text, lambda: validate_document(self._weigh(text), self._schema))

    def _weigh(self, text: str) -> WeighedDocument:
        """Raises RequestError for what is refused whoever registered it."""
        weighed = weigh_document(text)
        if weighed.asks_introspection and not self._sandbox:
            raise RequestError("introspection", code="INTROSPECTION_DISABLED")
        return weighed

    def plan(self, document: Document, variables: Mapping[str, Any]) -> tuple[tuple[Plan, ...], Project]:
        """Whom and what a relying party's document asks with these variables, and the projector of the answers.

        What does not hang on the people is worked out once for a document and its other variables. Raises
        RequestError.
        """
        tokens, others = document.split(variables)
        key = (document.text, orjson.dumps(others, option=orjson.OPT_SORT_KEYS))
        kept = self._asked.find(key)
        if kept is None:
            coerced = document.coerce(variables)
            compiled = self.compile(document, coerced)
            asked = make_asked(compiled.selections, coerced)
            plans = asked.plans(coerced)
            self._asked.keep(key, (asked, compiled.project))
            return plans, compiled.project
        asked, project = kept
        return asked.plans(document.coerce_tokens(tokens)), project

    def compile(self, document: Document, variables: VariableValues) -> Compiled:
        """What a document selects under these (coerced) variables' conditions, and its projector."""
        key = (document.text, document.condition_key(variables))

        def make() -> Compiled:
            selections = document.select(variables)
            return Compiled(selections, compile_projector(selections))

        return self._compiled.get(key, make)

    async def _find(self, party: RelyingParty, given_id: str) -> str | None:
        return self._trusted.find(party.id, given_id) or await self._trusted.look(party.id, given_id)

    def _is_held_to_register(self, party: RelyingParty) -> bool:
        return not self._sandbox if party.registered_documents_only is None else party.registered_documents_only


class _Kept(Generic[K, V]):
    """So many values at most; the one that was not used for longest goes first."""

    def __init__(self) -> None:
        self._values: OrderedDict[K, V] = OrderedDict()

    def get(self, key: K, make: Callable[[], V]) -> V:
        """The value kept for a key, or a new one."""
        found = self.find(key)
        if found is None:
            found = make()
            self.keep(key, found)
        return found

    def find(self, key: K) -> V | None:
        found = self._values.get(key)
        if found is not None:
            self._values.move_to_end(key)
        return found

    def keep(self, key: K, value: V) -> None:
        self._values[key] = value
        if len(self._values) > MAX_KEPT:
            self._values.popitem(last=False)
