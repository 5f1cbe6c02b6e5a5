"""A history of queries and revocations on one monotonic clock, and the check that no consent outlived its end."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What was called."""

    QUERY = "QUERY"
    REVOKE = "REVOKE"


class Result(StrEnum):
    """What came of it. DATA: anything about the person. NOTHING: no response, or one without data."""

    DATA = "DATA"
    NOTHING = "NOTHING"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call. `left_at`: when the first byte of its response left the gateway; None if none did."""

    kind: Kind
    grant: str
    result: Result
    invoked_at: float
    left_at: float | None
    returned_at: float

    def check_clock(self) -> None:
        """Raises ValueError if these moments cannot be of one clock."""
        left_at = self.returned_at if self.left_at is None else self.left_at
        if not self.invoked_at <= left_at <= self.returned_at:
            raise ValueError(f"not one clock: {self}")


@dataclass(frozen=True, slots=True)
class Violation:
    """Data that a revoked grant gave, and by how many seconds it came too late."""

    what: str
    grant: str
    seconds: float


LATE_QUERY = "a query invoked after revoke had returned got data"
LATE_BYTE = "the first byte of data left after revoke had returned"


def find_violations(history: Iterable[Operation]) -> list[Violation]:
    """Every breach of the promise. Raises ValueError for a history that is not of one clock."""
    operations = list(history)
    for operation in operations:
        operation.check_clock()
    ends = _ends(operations)
    found: list[Violation] = []
    for operation in operations:
        if operation.kind is not Kind.QUERY or operation.result is not Result.DATA or operation.grant not in ends:
            continue
        end = ends[operation.grant]
        left_at = operation.returned_at if operation.left_at is None else operation.left_at
        if operation.invoked_at > end:
            found.append(Violation(LATE_QUERY, operation.grant, operation.invoked_at - end))
        elif left_at > end:
            found.append(Violation(LATE_BYTE, operation.grant, left_at - end))
    return found


def _ends(operations: list[Operation]) -> Mapping[str, float]:
    """When each grant was over: when the first answer to a revocation left, which is sooner than its receipt."""
    ends: dict[str, float] = {}
    for operation in operations:
        if operation.kind is Kind.REVOKE and operation.result is Result.REVOKED:
            end = operation.returned_at if operation.left_at is None else operation.left_at
            ends[operation.grant] = min(end, ends.get(operation.grant, end))
    return ends


def races(history: Iterable[Operation]) -> int:
    """How many queries were under way while their grant was being revoked: without any, a check shows nothing."""
    operations = list(history)
    revokes = {o.grant: o for o in operations if o.kind is Kind.REVOKE}
    return sum(
        o.kind is Kind.QUERY
        and o.grant in revokes
        and o.invoked_at < revokes[o.grant].returned_at
        and o.returned_at > revokes[o.grant].invoked_at
        for o in operations
    )
