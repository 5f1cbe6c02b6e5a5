"""What an answer tells about a hidden quantity, and which comparisons a question makes.

Thresholds on one quantity are one family, whichever field or rule asks them: a monotone function of the
same fact is the same ruler. What follows from a true "at least" or a false one is an interval.
Source: ISO/IEC 18013-5 section 7.2.5 (age_over_NN) for the inference; specification 9.2, security 1.2.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Any

from resolvers.catalogue import ATTRIBUTES, DECISIONS
from resolvers.conditions import ClaimTest, Weighing
from resolvers.rules import PurposeRules, Rule

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
_BASIS_INPUTS = {"income_basis": "Tax.incomeBasis"}


_NOTHING: Mapping[str, "Interval"] = MappingProxyType({})


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

    def meet(self, other: "Interval") -> "Interval":
        """What both tell."""
        return Interval(
            _bound(max, self.at_least, other.at_least),
            _bound(min, self.below, other.below),
        )


@cache
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
            for test in variant.tests:
                if test.threshold is not None and test.threshold.argument is not None:
                    yield Comparison(test.claim, test.threshold.value(arguments))
            if variant.argument is not None:
                break


def told_by_claim(coordinate: str, arguments: Mapping[str, Any], value: Any) -> Mapping[str, Interval]:
    """What a confirmed claim tells about the quantity behind it."""
    if coordinate == "Tax.incomeMeets":
        threshold = int(arguments["yearlyYen"])
        return {INCOME: Interval(at_least=threshold) if value else Interval(below=threshold)}
    return _told_by_band(coordinate, str(value)) if coordinate in _BANDS else _NOTHING


@cache
def _told_by_band(coordinate: str, value: str) -> Mapping[str, Interval]:
    band = _BANDS[coordinate].get(value)
    fact = _BASIS_FACT.get(coordinate, fact_of(coordinate))
    return MappingProxyType({fact: Interval(*band)}) if band else _NOTHING


def told_by_rule(rule: Rule, weighing: Weighing, *, today: date) -> dict[str, Interval]:
    """What a rule's visible result can tell about each quantity that it compares, at the most.

    A result depends on a quantity only by the tests that were weighed until a row gave it, so nobody concludes
    more than how these came out; whoever knows the other claims of the rule may conclude as much. A comparison
    that was settled before told what it tells when it was settled.
    """
    told: dict[str, Interval] = {}
    for row in rule.rows(today=today, arguments=weighing.arguments):
        for test in row.tests:
            for fact, interval in _told_by_test(test, weighing).items():
                told[fact] = told[fact].meet(interval) if fact in told else interval
        if row.when.weigh(weighing) is not False:
            break
    return told


def _told_by_test(test: ClaimTest, weighing: Weighing) -> Mapping[str, Interval]:
    """The side of its threshold on which a quantity lies; nothing for a test of what is not known."""
    basis = _BASIS_INPUTS.get(test.claim)
    if test.threshold is None and basis is None:
        return _NOTHING
    claim = weighing.inputs[test.claim]
    if not claim.is_confirmed:
        return _NOTHING
    if basis is not None:
        return told_by_claim(basis, {}, claim.value)
    held = None if test.is_settled(weighing) else test.weigh(weighing)
    if test.threshold is None or held is None:
        return _NOTHING
    threshold = test.threshold.value(weighing.arguments)
    return {test.claim: Interval(at_least=threshold) if held else Interval(below=threshold)}


def known(told_in_order: Iterable[Interval]) -> Interval:
    """What follows from all Answers, oldest first; one that contradicts the others is news, and starts anew."""
    interval = Interval()
    for told in told_in_order:
        both = interval.meet(told)
        interval = told if both.is_empty else both
    return interval


def _bound(choose: Any, one: int | None, other: int | None) -> int | None:
    stated = [bound for bound in (one, other) if bound is not None]
    return choose(stated) if stated else None
