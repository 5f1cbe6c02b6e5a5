"""The files that register documents: a GraphQL document, or the manifest of Apollo's or Relay's compiler.

Source: Apollo, persisted query manifest (format "apollo-persisted-query-manifest", version 1); Relay, persisted
queries (a JSON object from id to text).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from graphql import GraphQLSchema

from gateway.document import Audience, read_document
from gateway.errors import ConfigurationError, RequestError
from gateway.store.trusted_documents import document_id, plain_id

_APOLLO = "apollo-persisted-query-manifest"
_ASKED_BY_RELYING_PARTIES = (Audience.RELYING_PARTY, Audience.RELYING_PARTY_ACTION, Audience.ANYONE)
_BYTE_ORDER_MARK = "\ufeff"
MAX_ID = 256


def read_manifest(text: str) -> dict[str, str]:
    """The documents in a file, by their plain ids. Raises ConfigurationError for a file that is none of the three."""
    text = text.removeprefix(_BYTE_ORDER_MARK)
    parsed = _json_object(text)
    if parsed is None:
        return {document_id(text): text}
    listed = _apollo(parsed) if parsed.get("format") == _APOLLO else list(parsed.items())
    for given_id, document in listed:
        if not isinstance(document, str) or not 0 < len(given_id) <= MAX_ID:
            raise ConfigurationError("manifest: not a map from ids to documents")
    return _by_name((plain_id(given_id), document) for given_id, document in listed)


def check_documents(texts: Mapping[str, str], schema: GraphQLSchema) -> None:
    """Raises ConfigurationError for a document that no relying party could run."""
    for given_id, text in texts.items():
        try:
            audience = read_document(text, schema).audience
        except RequestError as error:
            raise ConfigurationError(f"document {given_id}: {error.code}") from None
        if audience not in _ASKED_BY_RELYING_PARTIES:
            raise ConfigurationError(f"document {given_id}: it is not for relying parties")


def _by_name(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Raises ConfigurationError where a name stands there twice and means two things."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.setdefault(name, value) != value:
            raise ConfigurationError("manifest: an id names two documents, or a member has two values")
    return found


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(text, object_pairs_hook=_by_name)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _apollo(parsed: Mapping[str, Any]) -> list[tuple[str, Any]]:
    operations = parsed.get("operations")
    if parsed.get("version") != 1 or not isinstance(operations, list):
        raise ConfigurationError("manifest: not an Apollo manifest of version 1")
    try:
        return [(str(operation["id"]), operation["body"]) for operation in operations]
    except (TypeError, KeyError):
        raise ConfigurationError("manifest: an operation lacks its id or body") from None
