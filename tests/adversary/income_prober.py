"""An adversary who probes for incomes: which documents it thinks of, and what it concludes from the responses alone.

It knows the public rule pack. It aims thresholds into what is not known yet, with whichever ruler comes near: a
claim, the rent of a tenancy, the amount of a loan.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any

INFINITE = float("inf")
ALL_TOGETHER = None
BANDS: dict[str, tuple[int, float]] = {
    "LT_1M": (0, 1_000_000),
    "M1_2": (1_000_000, 2_000_000),
    "M2_3": (2_000_000, 3_000_000),
    "M3_4": (3_000_000, 4_000_000),
    "M4_6": (4_000_000, 6_000_000),
    "M6_10": (6_000_000, 10_000_000),
    "GE_10M": (10_000_000, INFINITE),
}
RULERS = {"tenancy": ("TN-05", 36, 1_000), "lending": ("LD-05", 3, 100_000), "incomeMeets": ("", 1, 120_000)}
"""Of the public rule pack: which rule compares the income, with how many times what was asked, on which grid."""

Span = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Asked:
    """One field of a document that tells of the income: its response key, and how many yen it is held against."""

    field: str
    key: str
    arguments: str = ""
    yen: int = 0

    @property
    def text(self) -> str:
        leaves = "{ rules { id result } }" if self.field in ("tenancy", "lending") else "{ value state }"
        return f"{self.key}: {self.field}{self.arguments} {leaves}"

    @property
    def is_decision(self) -> bool:
        return self.field in ("tenancy", "lending")


@dataclass(frozen=True, slots=True)
class Probe:
    """A document with what it asks, by whom, for what."""

    party: str
    purpose: str
    asked: tuple[Asked, ...]

    @property
    def document(self) -> str:
        decisions = " ".join(one.text for one in self.asked if one.is_decision)
        claims = " ".join(one.text for one in self.asked if not one.is_decision)
        tax = f"tax {{ {claims} }}" if claims else ""
        return (
            f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ answer {{ id }} {decisions} {tax} }} }}"
        )


def a_probe(random: Random, aim: Span) -> Probe:
    """Up to four thresholds, and what else tells of income, under aliases; most aimed at what is not known yet."""
    party, purpose = random.choice(
        [("landlord", "TENANCY"), ("bank", "LENDING"), ("lender", "LENDING"), ("other-bank", "LENDING")]
    )
    decision = "tenancy" if purpose == "TENANCY" else "lending"
    asked = []
    for number in range(random.randint(0, 4)):
        within = random.uniform(aim[0], min(aim[1], 12_000_000))
        yen = random.choice([within, random.randrange(12_000_000)])
        asked.append(_threshold(random, random.choice([decision, decision, "incomeMeets"]), f"t{number}", yen))
    others = ["incomeBasis"] if purpose == "TENANCY" else ["incomeBasis", "income"]
    asked += [Asked(name, f"o{name}") for name in others if random.random() < 0.4]
    return Probe(party, purpose, tuple(asked) or (Asked("incomeBasis", "o"),))


def _threshold(random: Random, name: str, key: str, yen: float) -> Asked:
    _, times, step = RULERS[name]
    amount = max(1, round(yen / times / step)) * step
    if name == "tenancy":
        return Asked(name, key, f"(rentYenPerMonth: {amount})", times * amount)
    if name == "incomeMeets":
        return Asked(name, key, f"(yearlyYen: {amount})", amount)
    product, term = random.choice(["CONSUMER", "CONSUMER", "MORTGAGE"]), random.choice([6, 24, 120])
    return Asked(name, key, f"(product: {product}, amountYen: {amount}, termMonths: {term})", times * amount)


@dataclass(slots=True)
class Mind:
    """What one knower has concluded; `guessed`: if it also takes every doubt for no income at all.

    `doubted`, `compared`: what only says something together, in one period.
    """

    span: Span = (0, INFINITE)
    guessed: Span = (0, INFINITE)
    doubted: bool = False
    compared: bool = False

    def conclude(self, told: list[Span], *, compared: bool, doubted: bool, of_now: bool) -> None:
        """From one answer: first what it says by itself, then with all that was known; news wins over what was.

        TN-05 leaves an amount that is known open only where there is no income at all (row 1 of the rule).
        """
        self.compared, self.doubted = self.compared or (compared and of_now), self.doubted or (doubted and of_now)
        nothing: list[Span] = [(0, 1)] if self.compared and self.doubted else []
        self.span = _folded([self.span, _folded(told + nothing)])
        self.guessed = _folded([self.guessed, _folded([*told, (0, 1)] if doubted else told)])

    def is_covered_by(self, stated: Span) -> bool:
        """Whether what is stated tells at least as much."""
        return any(stated[0] >= span[0] and stated[1] <= span[1] for span in (self.span, self.guessed))


def _folded(told: Iterable[Span]) -> Span:
    span: Span = (0, INFINITE)
    for at_least, below in told:
        both = max(span[0], at_least), min(span[1], below)
        span = both if both[0] < both[1] else (at_least, below)
    return span


@dataclass(slots=True)
class Adversary:
    """All relying parties: each writes down what it reads about one person, and all of them lay it together."""

    random: Random
    minds: dict[str | None, Mind] = field(default_factory=lambda: {ALL_TOGETHER: Mind()})
    read: set[str] = field(default_factory=set)
    frozen: set[tuple[str, int]] = field(default_factory=set)
    held: list[tuple[Probe, str]] = field(default_factory=list)
    since: int = 0

    def new_period(self) -> None:
        """The records may be others from now on; an older consent may go on telling what they were."""
        self.since = len(self.held)
        for mind in self.minds.values():
            mind.doubted = mind.compared = False

    def hear(self, probe: Probe, token: str, subject: dict[str, Any], *, of_now: bool) -> None:
        if subject["answer"] is None or subject["answer"]["id"] in self.read:
            return  # nothing was released, or what was read before
        self.read.add(subject["answer"]["id"])
        told = [span for one in probe.asked for span in self._news(one, probe, token, subject)]
        compared = any(_compares(one, subject) for one in probe.asked)
        doubted = "EVIDENCE" in [_result(one, subject) for one in probe.asked if one.field == "tenancy"]
        for knower in (probe.party, ALL_TOGETHER):
            mind = self.minds.setdefault(knower, Mind())
            mind.conclude(told, compared=compared, doubted=doubted, of_now=of_now)
        self.frozen |= {(token, one.yen) for one in probe.asked if probe.purpose == "LENDING" and _told(one, subject)}

    def _news(self, asked: Asked, probe: Probe, token: str, subject: dict[str, Any]) -> list[Span]:
        """What a field tells now; a lender's frozen comparison that is told again tells nothing of now."""
        return [] if asked.yen and (token, asked.yen) in self.frozen else _told(asked, subject)


def _result(asked: Asked, subject: dict[str, Any]) -> str | None:
    """The result of the rule that compares the income."""
    rule_id = RULERS[asked.field][0]
    decision = subject[asked.key]
    return (
        next((str(rule["result"]) for rule in decision["rules"] if rule["id"] == rule_id), None) if decision else None
    )


def _compares(asked: Asked, subject: dict[str, Any]) -> bool:
    """Whether the answer shows that the amount is known."""
    if asked.is_decision:
        return _result(asked, subject) in ("PASS", "FAIL")
    return asked.field != "incomeBasis" and subject["tax"][asked.key]["value"] is not None


def _told(asked: Asked, subject: dict[str, Any]) -> list[Span]:
    if asked.is_decision:
        told = {"PASS": (asked.yen, INFINITE), "FAIL": (0, asked.yen)}.get(_result(asked, subject) or "")
        return [told] if told else []
    value = subject["tax"][asked.key]["value"]
    if asked.field == "incomeBasis":
        return [(0, 1)] if value == "NONE" else []
    if value is None:
        return []
    if asked.field == "income":
        return [BANDS[value]]
    return [(asked.yen, INFINITE) if value else (0, asked.yen)]
