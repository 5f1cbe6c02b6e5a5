"""What an answer tells about a hidden quantity: never less than a clever reader concludes from it."""

from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from resolvers.catalogue import ATTRIBUTES
from resolvers.claim import Claim, ClaimState, Quantity, Reason, confirmed
from resolvers.conditions import All, Always, AnyOf, Condition, Not, Threshold, Weighing, at_least, is_value
from resolvers.decision import RuleOutcome
from resolvers.disclosed import (
    INCOME,
    STAY,
    Comparison,
    Interval,
    comparisons_of,
    fact_of,
    known,
    told_by_claim,
    told_by_rule,
)
from resolvers.rules import Row, Rule, Variant, fired_row
from tests.resolvers.test_rules import PACK

TODAY = date(2026, 11, 20)
HIGHEST = 12
UNKNOWN: Claim[Any] = Claim(None, ClaimState.EVIDENCE_NEEDED, Reason.CONFLICT)
OTHERS: tuple[Claim[Any], ...] = (confirmed(True), confirmed(False), UNKNOWN)


def a_condition(random: Random, depth: int = 2) -> Condition:
    kind = random.choice(["x", "x", "b", "all", "any", "not"] if depth else ["x", "b"])
    match kind:
        case "x":
            return at_least("x", Threshold(random.randint(1, HIGHEST)))
        case "b":
            return is_value("b", random.choice([True, False]))
        case "not":
            return Not(a_condition(random, depth - 1))
    parts = tuple(a_condition(random, depth - 1) for _ in range(2))
    return All(parts) if kind == "all" else AnyOf(parts)


def a_rule(random: Random) -> Rule:
    results = [random.choice([RuleOutcome.PASS, RuleOutcome.CONDITION, RuleOutcome.FAIL]) for _ in range(3)]
    rows = (*(Row(a_condition(random), result) for result in results[:2]), Row(Always(), results[2]))
    basis = PACK.purposes["TENANCY"].rules[0].basis
    return Rule("R", basis, (Variant(rows),), None, {}, {})


def visible(rule: Rule, x: Claim[Any], b: Claim[Any]) -> RuleOutcome:
    row = fired_row(rule.rows(today=TODAY, arguments={}), Weighing({"x": x, "b": b}, {}))
    return row.result if row else RuleOutcome.EVIDENCE


def test_nobody_concludes_more_from_a_result_than_is_stated() -> None:
    """Over drawn rules, for every reader who knows everything but the quantity."""
    random = Random(1)
    for _ in range(3_000):
        rule, b, x = a_rule(random), random.choice(OTHERS), random.randint(0, HIGHEST)
        seen = visible(rule, confirmed(Quantity(x)), b)
        possible = [y for y in range(HIGHEST + 2) if visible(rule, confirmed(Quantity(y)), b) is seen]
        weighing = Weighing({"x": confirmed(Quantity(x)), "b": b}, {})
        told = told_by_rule(rule, weighing, today=TODAY).get("x", Interval())
        assert (told.at_least or 0) >= min(possible)
        assert (told.below or HIGHEST + 2) <= max(possible) + 1
        assert (told.at_least or 0) <= x < (told.below or HIGHEST + 2), "and what is stated is true"


def test_a_quantity_that_is_not_known_tells_nothing() -> None:
    random = Random(2)
    for _ in range(500):
        weighing = Weighing({"x": UNKNOWN, "b": random.choice(OTHERS)}, {})
        assert told_by_rule(a_rule(random), weighing, today=TODAY) == {}


@pytest.mark.parametrize(
    ("coordinate", "arguments", "value", "told"),
    [
        ("Tax.incomeMeets", {"yearlyYen": 2_400_000}, True, {INCOME: Interval(at_least=2_400_000)}),
        ("Tax.incomeMeets", {"yearlyYen": 2_400_000}, False, {INCOME: Interval(below=2_400_000)}),
        ("Tax.income", {}, "LT_1M", {INCOME: Interval(below=1_000_000)}),
        ("Tax.income", {}, "M3_4", {INCOME: Interval(3_000_000, 4_000_000)}),
        ("Tax.income", {}, "GE_10M", {INCOME: Interval(at_least=10_000_000)}),
        ("Tax.incomeBasis", {}, "NONE", {INCOME: Interval(0, 1)}),
        ("Tax.incomeBasis", {}, "TAX_CERT", {}),
        ("Immigration.stayRemaining", {}, "M6_12", {STAY: Interval(6, 12)}),
        ("Immigration.stayRemaining", {}, "UNLIMITED", {}),
        ("Immigration.statusLawful", {}, True, {}),
    ],
)
def test_a_claim_tells_the_interval_that_its_value_names(
    coordinate: str, arguments: dict[str, Any], value: Any, told: dict[str, Interval]
) -> None:
    assert told_by_claim(coordinate, arguments, value) == told


@pytest.mark.parametrize(
    ("told", "left"),
    [
        ([], Interval()),
        ([Interval(at_least=3), Interval(below=9), Interval(at_least=5)], Interval(5, 9)),
        ([Interval(3, 9), Interval(at_least=9)], Interval(at_least=9)),
        ([Interval(at_least=5), Interval(below=5), Interval(at_least=2)], Interval(2, 5)),
    ],
    ids=["nothing", "narrower and narrower", "a contradiction is news", "and what follows narrows the news"],
)
def test_what_is_known_is_what_all_answers_leave_open(told: list[Interval], left: Interval) -> None:
    assert known(told) == left


def test_whichever_field_asks_it_is_the_same_comparison() -> None:
    tenancy, lending = PACK.purposes["TENANCY"], PACK.purposes["LENDING"]
    loan = {"product": "CONSUMER", "amountYen": 1_200_000, "termMonths": 24}
    asked = Comparison(INCOME, 3_600_000)
    assert comparisons_of("Tax.incomeMeets", {"yearlyYen": 3_600_000}, None) == {asked}
    assert comparisons_of("Subject.tenancy", {"rentYenPerMonth": 100_000}, tenancy) == {asked}
    assert comparisons_of("Subject.lending", loan, lending) == {asked, Comparison(STAY, 24)}
    assert comparisons_of("Subject.lending", loan | {"product": "MORTGAGE"}, lending) <= {Comparison(STAY, 24)}
    until = TODAY + timedelta(days=40)
    assert comparisons_of("Immigration.stayCoversUntil", {"on": until}, None) == {Comparison(STAY, until)}


def test_every_fact_that_a_rule_compares_with_a_threshold_is_behind_some_attribute() -> None:
    facts = {fact_of(coordinate) for coordinate in ATTRIBUTES}
    compared = {
        test.claim
        for rules in PACK.purposes.values()
        for rule in rules.rules
        for variant in rule.variants
        for row in variant.rows
        for test in row.when.tests()
        if test.threshold is not None
    }
    assert compared <= facts


def test_a_comparison_that_was_settled_before_tells_nothing_again() -> None:
    basis = PACK.purposes["TENANCY"].rules[0].basis
    rows = (Row(at_least("x", Threshold(1, "n")), RuleOutcome.PASS), Row(Always(), RuleOutcome.FAIL))
    rule = Rule("R", basis, (Variant(rows),), None, {}, {})
    inputs = {"x": confirmed(Quantity(3))}
    assert told_by_rule(rule, Weighing(inputs, {"n": 5}), today=TODAY) == {"x": Interval(below=5)}
    assert told_by_rule(rule, Weighing(inputs, {"n": 5}, {("x", 5): True}), today=TODAY) == {}


def test_a_result_that_rests_on_there_being_no_income_tells_that_there_is_none() -> None:
    rent = next(rule for rule in PACK.purposes["TENANCY"].rules if rule.id == "TN-05")
    inputs: dict[str, Claim[Any]] = {"income_basis": confirmed("NONE"), INCOME: confirmed(Quantity(0))}
    weighing = Weighing(inputs, {"rentYenPerMonth": 62_000})
    assert told_by_rule(rent, weighing, today=TODAY) == {INCOME: Interval(0, 1)}
