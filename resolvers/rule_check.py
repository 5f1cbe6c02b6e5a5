"""What a rule must be: every row reachable, every case answered, no failure on what is unknown, no text missing.

Decided by trying every case: each value of each claim, unknown, not applicable, and quantities on both
sides of every threshold.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from resolvers.claim import Claim, ClaimState, Quantity, Reason, confirmed
from resolvers.conditions import ClaimTest, Weighing, is_claim_unknown
from resolvers.decision import RuleOutcome
from resolvers.errors import RulePackError
from resolvers.rules import InputKind, Row, Rule, fired_row

SAMPLE_ARGUMENT = 12
MAX_CASES = 200_000

UNKNOWN: Claim[Any] = Claim(None, ClaimState.EVIDENCE_NEEDED, Reason.NOT_STATED)
NOT_APPLICABLE: Claim[Any] = Claim(None, ClaimState.NOT_APPLICABLE, Reason.NO_LIMIT)

Case = tuple[Claim[Any], ...]


def check_rule(
    rule: Rule, *, input_kinds: Mapping[str, InputKind], arguments: Mapping[str, list[str] | None]
) -> None:
    """Raises RulePackError naming the rule."""
    for variant in rule.variants:
        results = _check_rows(rule.id, variant.rows, input_kinds, arguments)
        for result in results:
            if result not in rule.texts:
                raise RulePackError(f"{rule.id}: {result} has no text")


def _check_rows(
    rule_id: str,
    rows: tuple[Row, ...],
    input_kinds: Mapping[str, InputKind],
    arguments: Mapping[str, list[str] | None],
) -> set[RuleOutcome]:
    tests = [test for row in rows for test in row.tests]
    fired: set[int] = set()
    results: set[RuleOutcome] = set()
    for sample in _samples(tests, arguments):
        results |= _try_every_case(rule_id, rows, tests, input_kinds, sample, fired)
    for number in range(len(rows)):
        if number not in fired:
            raise RulePackError(f"{rule_id}: row {number + 1} can never be reached")
    return results


def _samples(tests: list[ClaimTest], arguments: Mapping[str, list[str] | None]) -> Iterator[dict[str, int | str]]:
    """Arguments on both sides of every number that a claim is compared with as well."""
    thresholds = [test.threshold for test in tests if test.threshold is not None]
    numbers = {threshold.number for threshold in thresholds if threshold.argument is None}
    times = {threshold.number for threshold in thresholds if threshold.argument is not None} - {0}
    near = {max(1, number // factor + step) for number in numbers for factor in times for step in (0, 1)}
    numeric: list[int | str] = [SAMPLE_ARGUMENT, *sorted(near - {SAMPLE_ARGUMENT})]
    used = {threshold.argument for threshold in thresholds}
    choices: list[list[int | str]] = [
        [values[0]] if values else numeric if name in used else [SAMPLE_ARGUMENT]
        for name, values in arguments.items()
    ]
    return (dict(zip(arguments, choice, strict=True)) for choice in product(*choices))


def _try_every_case(
    rule_id: str,
    rows: tuple[Row, ...],
    tests: list[ClaimTest],
    input_kinds: Mapping[str, InputKind],
    sample: Mapping[str, int | str],
    fired: set[int],
) -> set[RuleOutcome]:
    """The results that the rows can give with these arguments; adds the rows that gave them to `fired`."""
    claims = sorted({test.claim for test in tests})
    domains = [_domain(claim, tests, input_kinds[claim], sample) for claim in claims]
    results: dict[tuple[int, ...], RuleOutcome] = {}
    indexes = list(product(*(range(len(domain)) for domain in domains)))
    if len(indexes) > MAX_CASES:
        raise RulePackError(f"{rule_id}: too many claims in one rule")
    for index in indexes:
        case = {claim: domains[i][index[i]] for i, claim in enumerate(claims)}
        row = _row_for(rule_id, rows, Weighing(case, sample))
        if row is not None:
            fired.add(rows.index(row))
        results[index] = row.result if row else RuleOutcome.EVIDENCE
    _check_no_failure_on_unknown(rule_id, domains, results)
    return set(results.values())


def _row_for(rule_id: str, rows: tuple[Row, ...], weighing: Weighing) -> Row | None:
    try:
        return fired_row(rows, weighing)
    except LookupError as error:
        raise RulePackError(f"{rule_id}: some case reaches no row; end with `otherwise`") from error


def _check_no_failure_on_unknown(
    rule_id: str, domains: list[list[Claim[Any]]], results: Mapping[tuple[int, ...], RuleOutcome]
) -> None:
    """A failure must stand whatever an unknown claim turns out to be."""
    for index, result in results.items():
        if result is not RuleOutcome.FAIL:
            continue
        for place, domain in enumerate(domains):
            if not is_claim_unknown(domain[index[place]]):
                continue
            for other in range(len(domain)):
                learnt = (*index[:place], other, *index[place + 1 :])
                if results[learnt] is not RuleOutcome.FAIL:
                    raise RulePackError(f"{rule_id}: it can fail on a claim that is not known")


def _domain(claim: str, tests: list[ClaimTest], kind: InputKind, sample: Mapping[str, int | str]) -> list[Claim[Any]]:
    """The cases of one claim that the tests can tell apart."""
    if kind.values is not None:
        values: Iterator[Any] = iter(kind.values)
        return [*(confirmed(value) for value in values), UNKNOWN, NOT_APPLICABLE]
    numbers: set[int] = set()
    for test in tests:
        if test.claim == claim and test.threshold is not None:
            number = test.threshold.value(sample)
            numbers |= {number, number - 1}
    quantities = [Quantity(number) for number in sorted(numbers)]
    bounds = [Quantity(number, is_lower_bound=True) for number in sorted(numbers)]
    return [*(confirmed(q) for q in quantities + bounds), UNKNOWN, NOT_APPLICABLE]
