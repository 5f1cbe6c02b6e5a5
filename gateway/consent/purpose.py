"""Purposes: what may be asked why, and the longest that a consent may last. Data: config/purposes.toml."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from gateway.errors import ConsentRequestError
from gateway.plan import Question
from resolvers.catalogue import Purpose
from resolvers.consent import FetchType
from resolvers.decision import Text


@dataclass(frozen=True, slots=True)
class PurposeBounds:
    """The upper bounds of one purpose. `uses` None: as often as needed within its life.

    `times_per_day`: how many complete Answers a PERIODIC consent gives a day. `frozen`: for how long the answer
    to a threshold stays what it was.
    """

    purpose: Purpose
    name: Text
    decision: str
    fetch: FetchType
    life_days: int
    uses: int | None
    times_per_day: int | None
    data_life_days: int
    frozen: timedelta
    attributes: frozenset[str]
    optional_attributes: frozenset[str]

    def allows(self, coordinate: str) -> bool:
        return coordinate == self.decision or coordinate in self.attributes | self.optional_attributes


def check_purpose(bounds: PurposeBounds, questions: Iterable[Question]) -> None:
    """Refuse a request that asks beyond its purpose, before a person ever sees it.

    Raises ConsentRequestError: CONSENT_REQUEST_INVALID if it asks nothing, PURPOSE_FORBIDS beyond it.
    """
    asked = list(questions)
    if not asked:
        raise ConsentRequestError("no question")
    for question in asked:
        if not bounds.allows(question.coordinate):
            raise ConsentRequestError(question.coordinate, code="PURPOSE_FORBIDS")
