"""From a reply's bytes to text that may be read: what every source can do wrong, and the three formats.

The readers give back structures whose every text has passed the `NumberWatch`; they raise EvidenceInvalidError
for anything that breaks the format, and never quote it.
"""

import csv
import io
import json
import math
import re
import unicodedata
from datetime import datetime
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from connectors.errors import EvidenceInvalidError, SourceRefusedError, SourceUnavailableError
from connectors.restricted import NumberWatch
from connectors.transport import UPSTREAM_PROTOCOL, WireReply

MAX_DEPTH = 32
MAX_RETRY_AFTER_SECONDS = 24 * 60 * 60.0
_SNIFFED_BYTES = 1024
_HTML = re.compile(r"(?:<\?xml[^>]*>|<!--[^>]*-->|\s)*<(?:!doctype\s+html|html|head|title|body)\b", re.IGNORECASE)

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def check_reply(reply: WireReply, *, now: datetime, expected: frozenset[int] = frozenset({200})) -> None:
    """Raise for a reply that is not the source's answer, in the ways common to all sources.

    An HTML page is recognised by its content, whatever it is labelled; a page labelled HTML is one too.
    """
    if reply.status in (401, 403):
        raise SourceRefusedError("the source refused our credentials or our right to ask")
    wait_seconds = read_retry_after(reply.retry_after, now)
    if reply.status == 429 or reply.status >= 500 or is_html(reply):
        raise SourceUnavailableError("the source is closed, busy or broken", retry_after_seconds=wait_seconds)
    if reply.status not in expected:
        raise SourceUnavailableError("the source answered with an unexpected status", fault=UPSTREAM_PROTOCOL)


def is_html(reply: WireReply) -> bool:
    """True for a page meant for people, in UTF-8 or a Japanese encoding."""
    if reply.content_type.split(";")[0].strip().lower() in ("text/html", "application/xhtml+xml"):
        return True
    # The tags are ASCII in every encoding that sources use, so a byte-wise decoding is enough.
    opening = reply.body[:_SNIFFED_BYTES].removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    return _HTML.match(opening) is not None


def read_xml(body: bytes, watch: NumberWatch) -> Element:
    """The root element, with texts and attributes cleaned. No DTD, no entities, at most `MAX_DEPTH` levels."""
    parser = DefusedXMLParser(target=_ShallowTree(), forbid_dtd=True)
    try:
        parser.feed(body)
        root = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        root = None
    if not isinstance(root, Element):
        raise EvidenceInvalidError("the reply is not well-formed XML")
    for element in root.iter():
        element.text = watch.clean(element.text or "")
        element.tail = watch.clean(element.tail or "")
        for name, value in element.items():
            element.set(name, watch.clean(value))
    return root


def read_json(body: bytes, watch: NumberWatch) -> dict[str, Json]:
    """A JSON object, with names and values cleaned at any depth. No duplicate names, no NaN, no infinity."""
    try:
        parsed = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        cleaned = _clean_json(parsed, watch, depth=0)
    except (ValueError, RecursionError):
        cleaned = None
    if not isinstance(cleaned, dict):
        raise EvidenceInvalidError("the reply is not a JSON object")
    return cleaned


def read_csv(body: bytes, header: tuple[str, ...], watch: NumberWatch) -> list[dict[str, str]]:
    """The rows of a CP932 file as {column: cleaned cell}; the header must be the given one, in this order.

    Every line ends in CRLF, the last one too: a file that was cut off has another ending or a short row. One blank
    line may follow the last row.
    """
    try:
        text = body.decode("cp932")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True)) if text.endswith("\r\n") else []
    except (UnicodeDecodeError, csv.Error):
        rows = []
    if rows and not rows[-1]:
        rows.pop()
    rows = [[watch.clean(cell) for cell in row] for row in rows]
    if not rows or tuple(rows[0]) != header or any(len(row) != len(header) for row in rows):
        raise EvidenceInvalidError("the reply is not the documented CSV file")
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def check_text(text: str) -> str:
    """The text without spaces around it; ValueError if it holds control characters or halves of characters."""
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\t\r\n" for c in text):
        raise ValueError("text with control characters")
    return text.strip()


def read_retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header in either of its forms; None where it is missing or unreadable."""
    if header is None:
        return None
    if header.isascii() and header.strip().isdigit():
        return min(float(header.strip()[:9]), MAX_RETRY_AFTER_SECONDS)
    try:
        seconds = (parsedate_to_datetime(header) - now).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)


class _ShallowTree(TreeBuilder):
    """Builds elements, and stops at a depth that no documented format reaches."""

    def __init__(self) -> None:
        super().__init__()
        self._depth = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError("elements are nested too deeply")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._depth -= 1
        return super().end(tag)


def _object_without_duplicates(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number beyond all bounds")
    return number


def _clean_json(value: Json, watch: NumberWatch, *, depth: int) -> Json:
    if depth > MAX_DEPTH:
        raise ValueError("values are nested too deeply")
    match value:
        case bool() | None:
            return value
        case str():
            return watch.clean(value)
        case int() | float():
            text = str(int(value)) if value == int(value) else repr(value)
            cleaned = watch.clean(text)
            return value if cleaned == text else cleaned
        case list():
            return [_clean_json(item, watch, depth=depth + 1) for item in value]
        case dict():
            return {watch.clean(key): _clean_json(item, watch, depth=depth + 1) for key, item in value.items()}
