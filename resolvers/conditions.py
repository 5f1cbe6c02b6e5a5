"""The closed operators of rule packs, weighed by Kleene's three-valued logic.

`is`, `in`, `at_least`, `all`, `any`, `not`, `not_applicable`; and `unknown`, which alone is always known: the
claim has no value. A claim that is not applicable is known: it is nothing, is in nothing and reaches nothing.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from resolvers.claim import Claim, ClaimState

Inputs = Mapping[str, Claim[Any]]
Arguments = Mapping[str, int | str]
Settled = Mapping[tuple[str, int], bool]
"""Comparisons of a claim with a threshold that were answered before, and whose answer is frozen."""

NOTHING_SETTLED: Settled = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Weighing:
    """One evaluation: the named claims and the question's arguments.

    `settled` answers a comparison with an asked threshold before the claim is looked at. `held`: how conditions came
    out already, by their text.
    """

    inputs: Inputs
    arguments: Arguments
    settled: Settled = field(default_factory=lambda: NOTHING_SETTLED)
    held: dict[str, bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number, or so many times an argument of the question."""

    number: int
    argument: str | None = None

    def value(self, arguments: Arguments) -> int:
        return self.number if self.argument is None else self.number * int(arguments[self.argument])

    def __str__(self) -> str:
        return str(self.number) if self.argument is None else f"{self.number} x {self.argument}"


@dataclass(frozen=True, slots=True)
class ClaimTest:
    """A condition on one claim. `holds` gets its state and value; None where the claim is unknown."""

    claim: str
    text: str
    holds: Callable[[Claim[Any], Arguments], bool | None]
    threshold: Threshold | None = None

    def weigh(self, weighing: Weighing) -> bool | None:
        text, known = self.text, weighing.held
        if text in known:
            return known[text]
        held = self._settled(weighing)
        if held is None:
            held = self.holds(weighing.inputs[self.claim], weighing.arguments)
        known[text] = held
        return held

    def is_settled(self, weighing: Weighing) -> bool:
        """Whether the answer to this comparison is frozen."""
        return self._settled(weighing) is not None

    def _settled(self, weighing: Weighing) -> bool | None:
        if self.threshold is None or self.threshold.argument is None or not weighing.settled:
            return None
        return weighing.settled.get((self.claim, self.threshold.value(weighing.arguments)))

    def tests(self) -> "Iterator[ClaimTest]":
        yield self


@dataclass(frozen=True, slots=True)
class All:
    """True if every part is; false as soon as one is."""

    parts: "tuple[Condition, ...]"

    def weigh(self, weighing: Weighing) -> bool | None:
        held = [part.weigh(weighing) for part in self.parts]
        return False if False in held else None if None in held else True

    def tests(self) -> Iterator[ClaimTest]:
        for part in self.parts:
            yield from part.tests()


@dataclass(frozen=True, slots=True)
class AnyOf:
    """True as soon as one part is; false if every part is."""

    parts: "tuple[Condition, ...]"

    def weigh(self, weighing: Weighing) -> bool | None:
        held = [part.weigh(weighing) for part in self.parts]
        return True if True in held else None if None in held else False

    def tests(self) -> Iterator[ClaimTest]:
        for part in self.parts:
            yield from part.tests()


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; unknown stays unknown."""

    part: "Condition"

    def weigh(self, weighing: Weighing) -> bool | None:
        held = self.part.weigh(weighing)
        return None if held is None else not held

    def tests(self) -> Iterator[ClaimTest]:
        yield from self.part.tests()


@dataclass(frozen=True, slots=True)
class Always:
    """The `otherwise` of the last row."""

    def weigh(self, weighing: Weighing) -> bool | None:
        return True

    def tests(self) -> Iterator[ClaimTest]:
        yield from ()


Condition = ClaimTest | All | AnyOf | Not | Always


def is_value(claim: str, value: Any) -> ClaimTest:
    def holds(c: Claim[Any], _: Arguments) -> bool | None:
        return bool(c.value == value) if c.state is ClaimState.CONFIRMED else _without_value(c)

    return ClaimTest(claim, f"{claim} is {value}", holds)


def is_in(claim: str, values: tuple[Any, ...]) -> ClaimTest:
    def holds(c: Claim[Any], _: Arguments) -> bool | None:
        return c.value in values if c.state is ClaimState.CONFIRMED else _without_value(c)

    return ClaimTest(claim, f"{claim} in {', '.join(str(value) for value in values)}", holds)


def at_least(claim: str, threshold: Threshold) -> ClaimTest:
    def holds(c: Claim[Any], arguments: Arguments) -> bool | None:
        if c.state is not ClaimState.CONFIRMED:
            return _without_value(c)
        held: bool | None = c.known.at_least(threshold.value(arguments))
        return held

    return ClaimTest(claim, f"{claim} at_least {threshold}", holds, threshold=threshold)


def is_unknown(claim: str) -> ClaimTest:
    return ClaimTest(claim, f"{claim} unknown", lambda c, _: is_claim_unknown(c))


def is_not_applicable(claim: str) -> ClaimTest:
    return ClaimTest(claim, f"{claim} not_applicable", lambda c, _: _is_not_applicable(c))


def is_claim_unknown(claim: Claim[Any]) -> bool:
    """Neither confirmed nor not applicable: pending, unavailable, unsettled or withheld."""
    return claim.state is not ClaimState.CONFIRMED and claim.state is not ClaimState.NOT_APPLICABLE


def _is_not_applicable(claim: Claim[Any]) -> bool | None:
    return None if is_claim_unknown(claim) else claim.state is ClaimState.NOT_APPLICABLE


def _without_value(claim: Claim[Any]) -> bool | None:
    """How a claim without a value compares with anything: not at all, if it is known that there is none."""
    return False if claim.state is ClaimState.NOT_APPLICABLE else None
