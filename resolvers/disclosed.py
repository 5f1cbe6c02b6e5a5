"""What an answer tells about a hidden quantity, and which comparisons a question makes.

Thresholds on one quantity are one family, whichever field or rule asks them: a monotone function of the
same fact is the same ruler. What follows from a true "at least" or a false one is an interval.
Source: ISO/IEC 18013-5 section 7.2.5 (age_over_NN) for the inference; specification 9.2, security 1.2.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from resolvers.catalogue import ATTRIBUTES, DECISIONS
from resolvers.conditions import All, AnyOf, ClaimTest, Condition, Not
from resolvers.decision import RuleOutcome
from resolvers.rules import PurposeRules, Row, Rule

INCOME = "yearly_income_yen"
STAY = "stay_months_left"
TENURE = "tenure_months"
ENTRY = "months_since_entry"

_FACTS = {
    "Tax.incomeMeets": INCOME,
    "Tax.income": INCOME,
    "Immigration.stayRemaining": STAY,
    "Immigration.stayCoversUntil": STAY,
    "Immigration.stayRecheckBy": STAY,
    "Immigration.timeSinceEntry": ENTRY,
    "Labor.tenure": TENURE,
    "Insurance.premiums24m": "premiums_24m",
}
"""The fact behind an attribute, by the name that rules know it by, where that is not the attribute's own name."""

_MONTHS = {
    "LT_3M": (None, 3),
    "M3_6": (3, 6),
    "M3_12": (3, 12),
    "LT_6M": (None, 6),
    "M6_12": (6, 12),
    "M12_36": (12, 36),
    "GE_36M": (36, None),
    "M36_60": (36, 60),
    "M60_120": (60, 120),
    "GE_120M": (120, None),
}
_MILLION = 1_000_000
_YEN = {
    "LT_1M": (None, _MILLION),
    "M1_2": (_MILLION, 2 * _MILLION),
    "M2_3": (2 * _MILLION, 3 * _MILLION),
    "M3_4": (3 * _MILLION, 4 * _MILLION),
    "M4_6": (4 * _MILLION, 6 * _MILLION),
    "M6_10": (6 * _MILLION, 10 * _MILLION),
    "GE_10M": (10 * _MILLION, None),
}
_BANDS: dict[str, Mapping[str, tuple[int | None, int | None]]] = {
    "Tax.income": _YEN,
    "Tax.incomeBasis": {"NONE": (0, 1)},
    "Immigration.stayRemaining": _MONTHS,
    "Immigration.timeSinceEntry": _MONTHS,
    "Labor.tenure": _MONTHS,
}
_BASIS_FACT = {"Tax.incomeBasis": INCOME}  # without any income the amount is nothing


@dataclass(frozen=True, slots=True)
class Comparison:
    """A fact held against a threshold: a number, or an ISO day for a fact that ends on one."""

    fact: str
    threshold: int | date

    @property
    def text(self) -> str:
        return f"{self.fact} >= {self.threshold}"


@dataclass(frozen=True, slots=True)
class Interval:
    """At least, and below; None: no bound."""

    at_least: int | None = None
    below: int | None = None

    @property
    def is_empty(self) -> bool:
        return self.at_least is not None and self.below is not None and self.at_least >= self.below

    @property
    def is_open(self) -> bool:
        return self.at_least is None and self.below is None

    def meet(self, other: "Interval") -> "Interval":
        """What both tell."""
        return Interval(
            _bound(max, self.at_least, other.at_least),
            _bound(min, self.below, other.below),
        )

    def hull(self, other: "Interval") -> "Interval":
        """What is certain if either holds."""
        if self.is_empty or other.is_empty:
            return other if self.is_empty else self
        at_least = None if None in (self.at_least, other.at_least) else _bound(min, self.at_least, other.at_least)
        below = None if None in (self.below, other.below) else _bound(max, self.below, other.below)
        return Interval(at_least, below)


_NEVER = Interval(0, 0)


def fact_of(coordinate: str) -> str:
    """The fact behind an attribute: attributes of one fact are disputed, frozen and counted together."""
    return _FACTS.get(coordinate) or re.sub(r"(?<!^)([A-Z])", r"_\1", coordinate.partition(".")[2]).lower()


def comparisons_of(coordinate: str, arguments: Mapping[str, Any], rules: PurposeRules | None) -> set[Comparison]:
    """The comparisons with an asked threshold that a question makes; `rules`: a decision's."""
    if coordinate in DECISIONS:
        return set() if rules is None else set(_compared(rules, arguments))
    thresholds = [arguments[argument.name] for argument in ATTRIBUTES[coordinate].arguments]
    return {Comparison(fact_of(coordinate), threshold) for threshold in thresholds}


def _compared(rules: PurposeRules, arguments: Mapping[str, Any]) -> Iterator[Comparison]:
    for rule in rules.rules:
        for variant in rule.variants:
            if variant.argument is not None and arguments.get(variant.argument[0]) != variant.argument[1]:
                continue
            for test in (test for row in variant.rows for test in row.when.tests()):
                if test.threshold is not None and test.threshold.argument is not None:
                    yield Comparison(test.claim, test.threshold.value(arguments))
            if variant.argument is not None:
                break


def told_by_claim(coordinate: str, arguments: Mapping[str, Any], value: Any) -> dict[str, Interval]:
    """What a confirmed claim tells about the quantity behind it."""
    if coordinate == "Tax.incomeMeets":
        threshold = int(arguments["yearlyYen"])
        return {INCOME: Interval(at_least=threshold) if value else Interval(below=threshold)}
    band = _BANDS.get(coordinate, {}).get(str(value))
    return {_BASIS_FACT.get(coordinate, fact_of(coordinate)): Interval(*band)} if band else {}


def told_by_rule(
    rule: Rule, result: RuleOutcome, condition: str | None, *, today: date, arguments: Mapping[str, int | str]
) -> dict[str, Interval]:
    """What a rule's visible result tells about each quantity that it compares."""
    rows = rule.rows(today=today, arguments=arguments)
    tests = [test for row in rows for test in row.when.tests()]
    facts = {test.claim for test in tests if test.threshold is not None}
    could_be_unknown = result is RuleOutcome.EVIDENCE and condition == rule.unknown_condition
    if could_be_unknown:
        return {}
    fired = [at for at, row in enumerate(rows) if row.result is result and row.condition == condition]
    told = {fact: _told_by_rows(rows, fired, fact, arguments) for fact in facts}
    return {fact: interval for fact, interval in told.items() if not interval.is_open}


def _told_by_rows(
    rows: tuple[Row, ...], fired: Iterable[int], fact: str, arguments: Mapping[str, int | str]
) -> Interval:
    """The hull over the rows that could have fired: this one held, and none before it did."""
    hull = _NEVER
    for at in fired:
        told = _told(rows[at].when, True, fact, arguments)
        for before in rows[:at]:
            told = told.meet(_told(before.when, False, fact, arguments))
        hull = hull.hull(told)
    return hull if hull != _NEVER else Interval()


def _told(condition: Condition, held: bool, fact: str, arguments: Mapping[str, int | str]) -> Interval:
    """What is certain of a fact if the condition held, or did not."""
    match condition:
        case ClaimTest() if condition.claim == fact and condition.threshold is not None:
            threshold = condition.threshold.value(arguments)
            return Interval(at_least=threshold) if held else Interval(below=threshold)
        case Not():
            return _told(condition.part, not held, fact, arguments)
        case All() | AnyOf():
            told = [_told(part, held, fact, arguments) for part in condition.parts]
            every_part_did = isinstance(condition, All) is held
            joined = told[0]
            for other in told[1:]:
                joined = joined.meet(other) if every_part_did else joined.hull(other)
            return joined
    return Interval()


def known(told_in_order: Iterable[Interval]) -> Interval:
    """What follows from all that was told, oldest first; a contradiction is news, and starts anew from there."""
    interval = Interval()
    for told in told_in_order:
        both = interval.meet(told)
        interval = told if both.is_empty else both
    return interval


def _bound(choose: Any, one: int | None, other: int | None) -> int | None:
    stated = [bound for bound in (one, other) if bound is not None]
    return choose(stated) if stated else None
