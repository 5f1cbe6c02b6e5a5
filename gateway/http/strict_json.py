"""JSON as a request may hold it: each name once in an object, not too deep, not too many values. Source: RFC 8259."""

import json
import re
from typing import Any

import orjson

from gateway.errors import RequestError

MAX_JSON_DEPTH = 16
MAX_JSON_VALUES = 1_000
"""As many as a document may have tokens. A hundred people and twenty variables are far fewer."""
_NUL, _REPLACEMENT = rb"\u0000", rb"\ufffd"
_NAME_ENDS = re.compile(rb'"[ \t\n\r]*:')
_HELD_DIGITS = 300
"""A number of so many digits can be held, roughly."""
_HELD_OR_ENDLESS = re.compile(
    rb'((?:"(?:[^"\\]++|\\.)*+"?|[^"0-9]++|[0-9]{1,%d}+(?![0-9]))++)|[0-9]++' % _HELD_DIGITS, re.DOTALL
)
"""All up to the next digits, outside of strings, that are too many; or those. Nothing in it is read twice."""


def parse_json(body: bytes) -> Any:
    """What a body holds. Raises RequestError(BAD_JSON), or RequestError with the code of what is too much.

    Two parsers may choose differently between two values of one name. The first one here is strict about text and
    numbers; only the second, which takes longer, sees names that stand there twice. A NUL is read as U+FFFD, as HTML
    does: PostgreSQL holds none, and like any other letter it makes a name that there is not.
    """
    body = body.replace(_NUL, _REPLACEMENT)
    try:
        parsed = orjson.loads(body)
    except ValueError as error:
        _refuse_endless_integers(body)
        raise RequestError("json", code="BAD_JSON") from error
    _check(parsed, body)
    return parsed


def _refuse_endless_integers(body: bytes) -> None:
    """Raises RequestError for what is JSON but for integers that no parser holds: no variable is as large as that."""
    try:
        shortened = _HELD_OR_ENDLESS.sub(_shortened, body)
        _check(orjson.loads(shortened), shortened)
    except ValueError:
        return
    raise RequestError("integer", code="VALIDATION_FAILED")


def _shortened(found: re.Match[bytes]) -> bytes:
    """What is no integer, or is wrong as one, stays what it is."""
    after = found.string[found.end() : found.end() + 1]
    is_integer = not found[1] and not found[0].startswith(b"0") and after not in (b".", b"e", b"E")
    return found[0][:_HELD_DIGITS] if is_integer else found[0]


def _check(parsed: Any, body: bytes) -> None:
    """Raises RequestError where there is too much of it, or a name stands there twice."""
    names = _count_names(parsed)
    # Each member has one such place of its own, and of two with one name only one was kept: if there are as many
    # places as names, none was lost. A place inside a string only makes it look again.
    if len(_NAME_ENDS.findall(body)) == names:
        return
    try:
        json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise RequestError("json", code="BAD_JSON") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands there twice")
    return found


def _count_names(value: Any) -> int:
    """How many names all objects have. Raises RequestError where values are nested too deeply, or are too many."""
    level, depth, values, names = [value], 0, 0, 0
    while level:
        depth += 1
        values += len(level)
        if depth > MAX_JSON_DEPTH:
            raise RequestError("json depth", code="BAD_JSON")
        if values > MAX_JSON_VALUES:
            raise RequestError("json values", code="QUERY_TOO_COMPLEX")
        objects = [inner for inner in level if isinstance(inner, dict)]
        lists = [inner for inner in level if isinstance(inner, list)]
        names += sum(map(len, objects))
        level = [inner for found in objects for inner in found.values()]
        level += [inner for found in lists for inner in found]
    return names
