"""Single fields of a reply: exactly one, of the right form, or EvidenceInvalidError naming the field.

The message names the field as the wire format does, and never its content.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date
from typing import TypeVar
from xml.etree.ElementTree import Element

from connectors.errors import EvidenceInvalidError
from connectors.japan import is_not_stated
from connectors.reply import check_text

Value = TypeVar("Value")

_CORPORATE_NUMBER = re.compile(r"[0-9]{13}")


def parse_field(name: str, text: str, parse: Callable[[str], Value]) -> Value:
    """`parse(text)`, its ValueError turned into an error that names the field alone."""
    value = _parsed(text, parse)
    if value is None:
        raise EvidenceInvalidError(f"field {name} is not in its documented form")
    return value[0]


def parse_optional(text: str, parse: Callable[[str], Value]) -> Value | None:
    """`parse(text)`, or None where it is not in its form: a record is of use without this field."""
    value = _parsed(text, parse)
    return None if value is None else value[0]


def required_text(name: str, text: str) -> str:
    """The text without spaces around it; it may not be empty."""
    found = parse_field(name, text, check_text)
    if not found:
        raise EvidenceInvalidError(f"field {name} is empty")
    return found


def only_child(parent: Element, name: str) -> Element:
    """The one child element of this name."""
    found = parent.findall(name)
    if len(found) != 1:
        raise EvidenceInvalidError(f"field {name} must stand exactly once")
    return found[0]


def optional_child(parent: Element, name: str) -> Element | None:
    """The child element of this name, if there is one; two are too many."""
    return only_child(parent, name) if parent.find(name) is not None else None


def child_text(parent: Element, name: str) -> str:
    """The text of the one child of this name, which may be empty and may not hold elements."""
    child = only_child(parent, name)
    if len(child):
        raise EvidenceInvalidError(f"field {name} must hold text alone")
    return parse_field(name, child.text or "", check_text)


def optional_child_text(parent: Element, name: str) -> str:
    """Like `child_text`; empty too where there is no such child, or it says in asterisks that nothing is stated."""
    text = child_text(parent, name) if parent.find(name) is not None else ""
    return "" if is_not_stated(text) else text


def required_child_text(parent: Element, name: str) -> str:
    """Like `child_text`, not empty."""
    return required_text(name, child_text(parent, name))


def parse_corporate_number(text: str) -> str:
    """Thirteen digits of either width, as half-width digits."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if not _CORPORATE_NUMBER.fullmatch(plain):
        raise ValueError("not thirteen digits")
    return plain


def check_not_after(name: str, day: date, *, today: date) -> date:
    """The day, unless it lies in the future."""
    if day > today:
        raise EvidenceInvalidError(f"field {name} lies in the future")
    return day


def _parsed(text: str, parse: Callable[[str], Value]) -> tuple[Value] | None:
    try:
        return (parse(text),)
    except (ValueError, OverflowError):
        return None
