"""Finds numbers that the gateway may not hold, and takes them out before anything else is read.

My Number (番号法 art. 20 forbids collecting it), the basic pension number (国民年金法 art. 108-4) and the
employment insurance number. Nothing of a number found is kept, logged or hashed: an operator learns which
authority sent which kind of number, and not about whom.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from connectors.interface import SourceAuthority

REMOVED = "〔番号削除〕"
"""Stands where a number was."""


class NumberKind(StrEnum):
    """The kinds of number that may not be kept."""

    MY_NUMBER = "MY_NUMBER"
    BASIC_PENSION = "BASIC_PENSION"
    EMPLOYMENT_INSURANCE = "EMPLOYMENT_INSURANCE"


@dataclass(frozen=True, slots=True)
class Incident:
    """What an operator is told: the source sent numbers that it should not have sent."""

    authority: SourceAuthority
    number_kinds: frozenset[NumberKind]


Report = Callable[[Incident], None]

_HYPHENS = "‐‑‒–—―−－ー﹣﹘ｰ"
_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
_WEIGHTS = (6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)  # Q of the law, for the first eleven digits from the left
_GAP = r"[\s\-]{0,3}"
_DASH = r"\s?-{1,2}\s?"
# The number stands in a look-ahead, so that each place in the text is tried, also inside a match that fails.
_MY_NUMBER = re.compile(rf"(?<![0-9])(?=([0-9]{{4}}{_GAP}[0-9]{{4}}{_GAP}[0-9]{{4}})(?![0-9]))")
_EMPLOYMENT = re.compile(rf"(?<![0-9])(?=([0-9]{{4}}{_DASH}[0-9]{{6}}{_DASH}[0-9])(?![0-9]))")
_PENSION = re.compile(rf"(?<![0-9])(?=([0-9]{{4}}{_DASH}[0-9]{{6}})(?![0-9]))")
_MAY_HOLD = re.compile(r"[0-9][0-9\s\-]{8,}[0-9]")


def scrub(text: str) -> tuple[str, frozenset[NumberKind]]:
    """The text with every restricted number replaced, and the kinds found.

    Digits of any script and width, and all dashes, are recognised on a copy of equal length, so that the rest of
    the text stays as it was. A number inside a longer run of digits (a corporate number has 13) is left alone.
    """
    seen = _mapped(text)
    if not _MAY_HOLD.search(seen):
        return text, frozenset()
    spans = [(match.span(1), NumberKind.EMPLOYMENT_INSURANCE) for match in _EMPLOYMENT.finditer(seen)]
    spans += [
        (match.span(1), NumberKind.MY_NUMBER)
        for match in _MY_NUMBER.finditer(seen)
        if is_my_number(_digits_of(match[1]))
    ]
    spans += [(match.span(1), NumberKind.BASIC_PENSION) for match in _PENSION.finditer(seen)]
    kept = _without_overlaps(spans)
    pieces, position = [], 0
    for (start, end), _ in kept:
        pieces += [text[position:start], REMOVED]
        position = end
    return "".join([*pieces, text[position:]]), frozenset(kind for _, kind in kept)


def is_my_number(digits: str) -> bool:
    """True for twelve ASCII digits whose last is the My Number check digit of the first eleven.

    Source: 行政手続番号法 総務省令85号 (2014) art. 5: 11 − (Σ P·Q mod 11), 0 where the remainder is 0 or 1.
    """
    if len(digits) != 12 or not (digits.isascii() and digits.isdigit()):
        return False
    remainder = sum(int(p) * q for p, q in zip(digits, _WEIGHTS, strict=False)) % 11
    return int(digits[11]) == (0 if remainder <= 1 else 11 - remainder)


def _digits_of(matched: str) -> str:
    return re.sub(r"[\s\-]", "", matched)


def _mapped(text: str) -> str:
    """A copy of equal length in ASCII digits, hyphens and spaces, so that positions agree with the text's."""
    if text.isascii():
        return text
    return "".join(map(_mapped_character, text))


@lru_cache(maxsize=8192)  # bounded: a hostile reply may hold every character there is
def _mapped_character(character: str) -> str:
    if character.isascii():
        return character
    if character in _HYPHENS:
        return "-"
    if character.isspace() or character in _INVISIBLE:
        return " "
    digit = unicodedata.digit(character, None)
    return character if digit is None else str(digit)


def _without_overlaps(
    spans: Iterable[tuple[tuple[int, int], NumberKind]],
) -> list[tuple[tuple[int, int], NumberKind]]:
    """In the order of the text; of two that overlap the one that starts first, and then the longer."""
    kept: list[tuple[tuple[int, int], NumberKind]] = []
    for span, kind in sorted(spans, key=lambda found: (found[0][0], -found[0][1])):
        if not kept or span[0] >= kept[-1][0][1]:
            kept.append((span, kind))
    return kept


class NumberWatch:
    """Collects what is found in all replies of one fetch, and reports it once, however the fetch ends."""

    def __init__(self, authority: SourceAuthority, report: Report) -> None:
        self._authority = authority
        self._report = report
        self._kinds: set[NumberKind] = set()

    def __enter__(self) -> "NumberWatch":
        return self

    def __exit__(self, *_: object) -> None:
        if self._kinds:
            self._report(Incident(self._authority, frozenset(self._kinds)))

    def clean(self, text: str) -> str:
        """The text without restricted numbers; what was found is remembered."""
        cleaned, kinds = scrub(text)
        self._kinds |= kinds
        return cleaned

    def found(self, kind: NumberKind) -> None:
        """A field that is documented to hold such a number was filled."""
        self._kinds.add(kind)
