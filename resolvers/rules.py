"""Rule packs and their three-valued evaluation: named claims in, a decision out.

A rule's rows are read in order: the first whose condition is true gives the result; one whose condition is
unknown stops and gives EVIDENCE. So nothing fails on what is not known. Source: specification 9.3, 9.8.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

from connectors.interface import SourceAuthority
from resolvers.claim import Claim
from resolvers.conditions import NOTHING_SETTLED, All, AnyOf, ClaimTest, Condition, Not, Settled, Weighing
from resolvers.decision import (
    Basis,
    Decision,
    Outcome,
    RuleOutcome,
    RulePackRef,
    RuleResult,
    Text,
    TraceStep,
)
from resolvers.months import add_months, end_of_month

_OUTCOMES = {
    RuleOutcome.FAIL: Outcome.NOT_ELIGIBLE_NOW,
    RuleOutcome.EVIDENCE: Outcome.NEEDS_EVIDENCE,
    RuleOutcome.CONDITION: Outcome.CONDITIONAL,
    RuleOutcome.PASS: Outcome.ELIGIBLE,
    RuleOutcome.NOT_APPLICABLE: Outcome.ELIGIBLE,
}
_WORST_LAST = list(RuleOutcome)
_MAY_IMPROVE = (RuleOutcome.CONDITION, RuleOutcome.EVIDENCE)  # a FAIL stands, whatever is still to come
MAX_KEPT_RESULTS = 512
_Found = tuple[object, ...]
AWAITED = Text(
    "An authority has not answered yet; this point is looked at again once it has. Whether anything has to be done "
    "shows then.",
    "まだ回答していない機関があります。回答があり次第、あらためて確認します。手続が必要かどうかは、そのときに分かります。",
)
"""To the person, of a rule that a silent source leaves without evidence. Relying parties are told the usual words:
they would know a disputed claim by its not being awaited."""
_NO_DAY = Text("the end of the stay", "在留期間の終わり")


@dataclass(frozen=True, slots=True)
class InputKind:
    """What a named claim can be: one of these values, or a quantity (None)."""

    values: tuple[str | bool, ...] | None


@dataclass(frozen=True, slots=True)
class Row:
    """When the condition is true, this is the result. `tests`: those of the condition, in order."""

    when: Condition
    result: RuleOutcome
    condition: str | None = None
    person_text: Text | None = None
    tests: tuple[ClaimTest, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tests", tuple(self.when.tests()))


@dataclass(frozen=True, slots=True)
class Variant:
    """Rows for some of the cases: from and until a day (inclusive), or for one value of an argument.

    `tests`: each of its rows' once, in order.
    """

    rows: tuple[Row, ...]
    effective_from: date | None = None
    effective_until: date | None = None
    argument: tuple[str, str] | None = None
    tests: tuple[ClaimTest, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        tests = {test.text: test for row in self.rows for test in row.tests}
        object.__setattr__(self, "tests", tuple(tests.values()))

    def applies(self, *, today: date, arguments: Mapping[str, int | str]) -> bool:
        if self.effective_from is not None and today < self.effective_from:
            return False
        if self.effective_until is not None and today > self.effective_until:
            return False
        return self.argument is None or arguments.get(self.argument[0]) == self.argument[1]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. The last variant applies always; the first that applies is read.

    `alike_when_unknown`: nothing tells a relying party a false claim from an unknown one, not even when to ask again.
    `results`: those that it gave lately; the same few come again and again.
    """

    id: str
    basis: Basis
    variants: tuple[Variant, ...]
    unknown_condition: str | None
    texts: Mapping[RuleOutcome, Text]
    cures: Mapping[RuleOutcome, tuple[Text, ...]]
    alike_when_unknown: bool = False
    title: Text | None = None
    results: "dict[_Found, RuleResult]" = field(default_factory=dict, init=False, compare=False, repr=False)

    def variant(self, *, today: date, arguments: Mapping[str, int | str]) -> Variant:
        for variant in self.variants:
            if variant.applies(today=today, arguments=arguments):
                return variant
        raise LookupError("a rule's last variant always applies")

    def rows(self, *, today: date, arguments: Mapping[str, int | str]) -> tuple[Row, ...]:
        return self.variant(today=today, arguments=arguments).rows

    @property
    def claims(self) -> frozenset[str]:
        """The named claims that any of its rows weighs."""
        return frozenset(test.claim for variant in self.variants for test in variant.tests)


@dataclass(frozen=True, slots=True)
class PurposeRules:
    """The rules of one purpose. `inputs`: the claims that they weigh. `exact_recheck`: its relying parties may know
    the day the stay ends."""

    match_over: tuple[SourceAuthority, ...]
    arguments: tuple[str, ...]
    exact_recheck: bool
    rules: tuple[Rule, ...]
    inputs: frozenset[str] = field(init=False)
    inputs_in_order: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", frozenset(claim for rule in self.rules for claim in rule.claims))
        object.__setattr__(self, "inputs_in_order", tuple(sorted(self.inputs)))


@dataclass(frozen=True, slots=True)
class RulePack:
    """A pack: immutable, named by the SHA-256 of its bytes."""

    name: str
    version: str
    jurisdiction: str
    sha256: str
    purposes: Mapping[str, PurposeRules]

    @property
    def ref(self) -> RulePackRef:
        return RulePackRef(self.name, self.version, self.sha256)


def decide(
    pack: RulePack,
    purpose: str,
    *,
    inputs: Mapping[str, Claim[Any]],
    arguments: Mapping[str, int | str],
    today: date,
    stay_ends_on: date | None,
    settled: Settled = NOTHING_SETTLED,
) -> Decision:
    """The decision of a purpose: every rule with its result; the outcome is the worst of them."""
    return weigh(pack, purpose, Weighing(inputs, arguments, settled), today=today, stay_ends_on=stay_ends_on)


def weigh(pack: RulePack, purpose: str, weighing: Weighing, *, today: date, stay_ends_on: date | None) -> Decision:
    """The same for claims and arguments in a weighing, which then knows how every condition came out."""
    rules, inputs, arguments = pack.purposes[purpose], weighing.inputs, weighing.arguments
    recheck_on = stay_ends_on
    if stay_ends_on is not None and not rules.exact_recheck:
        recheck_on = month_end_on_or_before(stay_ends_on)
    results: list[RuleResult] = []
    held_up: list[datetime | None] = []
    for rule in rules.rules:
        result = apply_rule(rule, weighing, today=today, recheck_on=recheck_on)
        awaited: frozenset[str] = frozenset()
        if result.result in _MAY_IMPROVE and not rule.alike_when_unknown:
            apart = Weighing(inputs, arguments, weighing.settled)  # which remembers other conditions
            awaited = held_up_by(rule.rows(today=today, arguments=arguments), apart)
        held_up += [inputs[claim].retry_at for claim in awaited]
        is_open = awaited and result.result is RuleOutcome.EVIDENCE
        results.append(replace(result, person_explanation=AWAITED) if is_open else result)
    worst = max((result.result for result in results), key=_WORST_LAST.index)
    return Decision(
        outcome=_OUTCOMES[worst],
        rules=tuple(results),
        recheck_on=recheck_on,
        retry_at=max((at for at in held_up if at is not None), default=None),
        rule_pack=pack.ref,
        decided_on=today,
    )


def month_end_on_or_before(day: date) -> date:
    """The last day of a month that is not after the day: it tells the month, not the day."""
    return day if day == end_of_month(day) else end_of_month(add_months(day, -1))


def apply_rule(rule: Rule, weighing: Weighing, *, today: date, recheck_on: date | None) -> RuleResult:
    """What one rule says, with its trace."""
    variant = rule.variant(today=today, arguments=weighing.arguments)
    # The variant, the day and how its tests came out say all about a result.
    found = (id(variant), recheck_on, *[test.weigh(weighing) for test in variant.tests])
    result = rule.results.get(found)
    if result is None:
        if len(rule.results) >= MAX_KEPT_RESULTS:
            rule.results.clear()
        result = rule.results[found] = _make_result(rule, variant.rows, weighing, recheck_on)
    return result


def _make_result(rule: Rule, rows: tuple[Row, ...], weighing: Weighing, recheck_on: date | None) -> RuleResult:
    row = fired_row(rows, weighing)
    result = row.result if row else RuleOutcome.EVIDENCE
    explanation = dated(rule.texts[result], recheck_on)
    person_text = row.person_text if row else None
    return RuleResult(
        id=rule.id,
        title=rule.title,
        result=result,
        condition=row.condition if row else rule.unknown_condition,
        basis=rule.basis,
        explanation=explanation,
        cures=tuple(dated(cure, recheck_on) for cure in rule.cures.get(result, ())),
        person_explanation=dated(person_text, recheck_on) if person_text else explanation,
        trace=tuple(_trace(rows, weighing)),
    )


def fired_row(rows: tuple[Row, ...], weighing: Weighing) -> Row | None:
    """The first row that holds; None if one before it is unknown."""
    for row in rows:
        held = row.when.weigh(weighing)
        if held is None:
            return None
        if held:
            return row
    raise LookupError("a rule's last row always holds")


def _trace(rows: tuple[Row, ...], weighing: Weighing) -> Iterator[TraceStep]:
    """The conditions that were weighed until a row gave the result."""
    for row in rows:
        for test in row.tests:
            yield TraceStep(test.text, test.weigh(weighing))
        if row.when.weigh(weighing) is not False:
            return


def held_up_by(rows: tuple[Row, ...], weighing: Weighing) -> frozenset[str]:
    """The awaited claims that leave open which row gives the result: once they arrive, another row may."""
    open_claims: set[str] = set()
    for row in rows:
        awaited = {test.claim for test in row.tests if weighing.inputs[test.claim].is_awaited}
        held = _left_open(row.when, awaited).weigh(weighing)
        if held or (held is None and not awaited):
            break
        if held is None:
            open_claims |= awaited
    return frozenset(open_claims)


def _left_open(condition: Condition, claims: set[str]) -> Condition:
    """The condition with every test of these claims undecided, `unknown` too."""
    match condition:
        case ClaimTest() if condition.claim in claims:
            return replace(condition, holds=lambda _claim, _arguments: None)
        case All() | AnyOf():
            return replace(condition, parts=tuple(_left_open(part, claims) for part in condition.parts))
        case Not():
            return Not(_left_open(condition.part, claims))
    return condition


def dated(text: Text, day: date | None) -> Text:
    """Fill `{date}` in: ISO in English, era-free Japanese in Japanese."""
    if "{date}" not in text.en and "{date}" not in text.ja:
        return text
    if day is None:
        return Text(text.en.replace("{date}", _NO_DAY.en), text.ja.replace("{date}", _NO_DAY.ja))
    japanese = f"{day.year}年{day.month}月{day.day}日"
    return Text(text.en.replace("{date}", day.isoformat()), text.ja.replace("{date}", japanese))
