"""Probing: thresholds lie on a published grid, and few of them may be asked. Source: protocols 1, security 1.2."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from gateway.errors import ConsentRequestError
from gateway.plan import Question
from resolvers.disclosed import Comparison, comparisons_of
from resolvers.months import end_of_month
from resolvers.rules import PurposeRules


@dataclass(frozen=True, slots=True)
class ProbingLimits:
    """How finely and how often thresholds may be asked. `grid`: the step of each numeric argument.

    `budget`: distinct thresholds on one fact, by one sector about one person, within `window`; from
    `warn_from` on the person is warned. `questions`: threshold questions in one request.
    """

    grid: Mapping[str, int] = field(default_factory=dict)
    largest: Mapping[str, int] = field(default_factory=dict)
    budget: int = 4
    warn_from: int = 3
    window: timedelta = timedelta(days=90)
    questions: int = 8


def check_grid(questions: Iterable[Question], limits: ProbingLimits) -> None:
    """Refuse a threshold beside the grid, before anybody sees it. Raises ConsentRequestError(OFF_GRID)."""
    asked = [question for question in questions if question.arguments]
    if len(asked) > limits.questions:
        raise ConsentRequestError("thresholds")
    for question in asked:
        for name, value in question.arguments.items():
            if not _is_on_grid(name, value, limits):
                raise ConsentRequestError(f"{question.coordinate}.{name}", code="OFF_GRID")


def _is_on_grid(name: str, value: object, limits: ProbingLimits) -> bool:
    if isinstance(value, date):
        return value == end_of_month(value)
    if isinstance(value, int) and not isinstance(value, bool):
        step = limits.grid.get(name, 1)
        return 0 < value <= limits.largest.get(name, value) and value % step == 0
    return True


def asked_comparisons(questions: Iterable[Question], rules: PurposeRules) -> set[Comparison]:
    """Every comparison with an asked threshold in a request."""
    return {
        comparison
        for question in questions
        for comparison in comparisons_of(question.coordinate, question.arguments, rules)
    }


def over_budget(asked: Iterable[tuple[str, str]], *, limit: int) -> bool:
    """Whether one fact is compared with more than so many thresholds; each is (threshold, fact), and once there."""
    counts = Counter(fact for _, fact in asked)
    return any(count > limit for count in counts.values())
