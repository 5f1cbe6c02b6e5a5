"""What is wrong with what an operator wrote: the place and what belongs there, never what stood there."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_WORDS = {
    "missing": "it is missing",
    "extra_forbidden": "unknown key",
    "bool_parsing": "not true or false",
    "bool_type": "not true or false",
    "dict_type": "not a table",
    "model_type": "not a table",
    "model_attributes_type": "not a table",
    "int_parsing": "not a whole number",
    "int_type": "not a whole number",
    "int_from_float": "not a whole number",
    "float_parsing": "not a number",
    "float_type": "not a number",
    "string_type": "not a text",
    "string_too_short": "it is empty",
    "list_type": "not a list",
    "tuple_type": "not a list",
    "frozen_set_type": "not a list",
}
_ALLOWED = frozenset({"enum", "literal_error"})
_OWN_WORDS = "Value error, "
_BOUND = "Input should be "


def what_is_wrong(error: ValidationError) -> str:
    """The first place and what is wrong with it, such as `server.port: not a whole number`."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return f"{place}: {_words({**first})}"


def _words(first: Mapping[str, Any]) -> str:
    kind: str = first["type"]
    if kind in _ALLOWED:
        return f"not valid; it is one of {first['ctx']['expected'].replace(chr(39), '')}"
    if kind.startswith("date_"):
        return "not valid; a date is written YYYY-MM-DD"
    if kind in _WORDS:
        return _WORDS[kind]
    said: str = first["msg"].removeprefix(_OWN_WORDS)
    return f"it has to be {said.removeprefix(_BOUND)}" if said.startswith(_BOUND) else said
