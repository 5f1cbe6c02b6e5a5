"""A claim: one value about one person, or the reason why there is none."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from connectors.value import Value

T = TypeVar("T", covariant=True)
U = TypeVar("U")


class ClaimState(StrEnum):
    """What a relying party sees of a claim. `value` is set only when CONFIRMED."""

    CONFIRMED = "CONFIRMED"
    PENDING = "PENDING"
    UNAVAILABLE = "UNAVAILABLE"
    EVIDENCE_NEEDED = "EVIDENCE_NEEDED"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    WITHHELD = "WITHHELD"


class Reason(StrEnum):
    """The fine reason behind a state: for the person alone, since it can itself tell something."""

    SOURCE_UNAVAILABLE = "SOURCE_UNAVAILABLE"
    SOURCE_PENDING = "SOURCE_PENDING"
    SOURCE_NOT_CONNECTED = "SOURCE_NOT_CONNECTED"
    RECORD_NOT_FOUND_EXPECTED = "RECORD_NOT_FOUND_EXPECTED"
    RECORD_NOT_FOUND_UNEXPECTED = "RECORD_NOT_FOUND_UNEXPECTED"
    WITHIN_FILING_WINDOW = "WITHIN_FILING_WINDOW"
    IDENTITY_UNRESOLVED = "IDENTITY_UNRESOLVED"
    CONFLICT = "CONFLICT"
    NOT_STATED = "NOT_STATED"
    LOWER_BOUND = "LOWER_BOUND"
    OUT_OF_SCOPE = "OUT_OF_SCOPE"
    PARTIAL_OVERSEAS_PAY = "PARTIAL_OVERSEAS_PAY"
    EXEMPT_BY_AGE = "EXEMPT_BY_AGE"
    NO_LIMIT = "NO_LIMIT"
    NOT_EMPLOYED = "NOT_EMPLOYED"
    STAY_NOT_LAWFUL = "STAY_NOT_LAWFUL"
    LEFT_OUT = "LEFT_OUT"


class Claim(Value, Generic[T], frozen=True):
    """A value with its state; without a value, why, and when asking again may help."""

    value: T | None
    state: ClaimState
    reason: Reason | None = None
    retry_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Claim({self.state}, redacted)"

    def map(self, function: Callable[[T], U]) -> "Claim[U]":
        """Apply `function` to a confirmed value; anything else stays what it is."""
        value = self.value
        return self.without_value() if value is None else confirmed(function(value))

    def then(self, function: "Callable[[T], Claim[U]]") -> "Claim[U]":
        """Go on to another claim from a confirmed value; anything else stays what it is."""
        value = self.value
        return self.without_value() if value is None else function(value)

    def without_value(self) -> "Claim[U]":
        """The same state and reason, typed for another value. Never call it on a confirmed claim."""
        if self.is_confirmed:
            raise ValueError("a confirmed claim has a value")
        return Claim(None, self.state, self.reason, self.retry_at)

    @property
    def is_confirmed(self) -> bool:
        return self.state is ClaimState.CONFIRMED

    @property
    def is_awaited(self) -> bool:
        """The source has not answered: a later answer may differ, so nothing may be concluded from it."""
        return self.state in (ClaimState.PENDING, ClaimState.UNAVAILABLE)

    @property
    def known(self) -> T:
        """The confirmed value."""
        if self.state is not ClaimState.CONFIRMED or self.value is None:
            raise ValueError(f"a claim in state {self.state} has no value")
        return self.value


def confirmed(value: U) -> Claim[U]:
    """A claim with this value."""
    return Claim(value, ClaimState.CONFIRMED)


def evidence_needed(reason: Reason) -> Claim[T]:
    """The sources cannot settle it; unknown never becomes false."""
    return Claim(None, ClaimState.EVIDENCE_NEEDED, reason)


def not_applicable(reason: Reason) -> Claim[T]:
    return Claim(None, ClaimState.NOT_APPLICABLE, reason)


def withheld() -> Claim[T]:
    """Left out by the person: no source was asked for it."""
    return Claim(None, ClaimState.WITHHELD, Reason.LEFT_OUT)


class Quantity(Value, frozen=True):
    """A whole number that rules compare. A lower bound says "at least this many": the records begin there."""

    amount: int
    is_lower_bound: bool = False

    def at_least(self, threshold: int) -> bool | None:
        """Three-valued: None when only a lower bound is known and it lies below the threshold."""
        if self.amount >= threshold:
            return True
        return None if self.is_lower_bound else False
