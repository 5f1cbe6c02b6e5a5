"""An adversary who asks about income by every channel never knows more than the person's disclosure meter states."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.adversary.many_people import Earner, write_earners
from tests.conftest import Caller, full_count
from tests.gateway.sandboxes import own_sandbox, settings_for

TENANCY = """query($consent: ConsentToken!, $rent: Int!, $yen: Int!, $more: Int!) { subject(consent: $consent) {
  tenancy(rentYenPerMonth: $rent) { outcome rules { id result } }
  again: tax { a: incomeMeets(yearlyYen: $yen) { value } b: incomeMeets(yearlyYen: $more) { value } }
  tax { incomeBasis { value } } } }"""
LENDING = """query($consent: ConsentToken!, $amount: Int!, $term: Int!, $yen: Int!, $product: LendingProduct!) {
  subject(consent: $consent) {
    lending(product: $product, amountYen: $amount, termMonths: $term) { outcome rules { id result } }
    tax { income { value } incomeBasis { value } incomeMeets(yearlyYen: $yen) { value } } } }"""
METER = "{ me { disclosures { relyingParty family knownAtLeast knownBelow } } }"
BANDS: dict[str, tuple[int, float]] = {
    "LT_1M": (0, 1e6),
    "M1_2": (1_000_000, 2e6),
    "M2_3": (2_000_000, 3e6),
    "M3_4": (3_000_000, 4e6),
    "M4_6": (4_000_000, 6e6),
    "M6_10": (6_000_000, 10e6),
    "GE_10M": (10_000_000, float("inf")),
}
TOGETHER = "all of them together"


@dataclass(slots=True)
class Knowledge:
    """What a reader of responses knows of somebody's income."""

    at_least: int = 0
    below: float = float("inf")

    def learn(self, at_least: int = 0, below: float = float("inf")) -> None:
        self.at_least, self.below = max(self.at_least, at_least), min(self.below, below)

    def learn_comparison(self, threshold: int, held: bool | None) -> None:
        if held is not None:
            self.learn(*((threshold,) if held else (0, threshold)))


@dataclass(slots=True)
class Adversary:
    """Relying parties who write down what they learn, each alone and all together."""

    known: defaultdict[str, Knowledge] = field(default_factory=lambda: defaultdict(Knowledge))

    def hear(self, party: str, subject: dict[str, Any], asked: dict[str, Any]) -> None:
        for knower in (party, TOGETHER):
            self._conclude(self.known[knower], subject, asked)

    @staticmethod
    def _conclude(knowledge: Knowledge, subject: dict[str, Any], asked: dict[str, Any]) -> None:
        decision = subject["tenancy"] if "tenancy" in subject else subject["lending"]
        thresholds = {"TN-05": 36 * asked.get("rent", 0), "LD-05": 3 * asked.get("amount", 0)}
        for rule in decision["rules"]:
            if rule["id"] in thresholds and rule["result"] in ("PASS", "FAIL"):
                knowledge.learn_comparison(thresholds[rule["id"]], rule["result"] == "PASS")
        claims = subject["tax"] | subject.get("again", {})
        for name, threshold in (("a", "yen"), ("b", "more"), ("incomeMeets", "yen")):
            if claims.get(name):
                knowledge.learn_comparison(asked[threshold], claims[name]["value"])
        if claims["incomeBasis"]["value"] == "NONE":
            knowledge.learn(0, 1)
        if claims.get("income") and claims["income"]["value"]:
            knowledge.learn(*BANDS[claims["income"]["value"]])


def some_earners(count: int) -> list[Earner]:
    random = Random(7)
    return [Earner(n, None if random.random() < 0.1 else random.randrange(0, 12_000_000)) for n in range(count)]


def a_question(random: Random) -> tuple[str, str, str, dict[str, Any]]:
    """Who asks, for which purpose, what, with which thresholds, all on the grid."""
    yen, more = (120_000 * random.randrange(1, 90) for _ in range(2))
    if random.random() < 0.5:
        asked = {"rent": 1_000 * random.randrange(20, 250), "yen": yen, "more": more}
        return "landlord", "TENANCY", TENANCY, asked
    party = random.choice(["bank", "lender", "other-bank"])
    product = random.choice(["CONSUMER", "CONSUMER", "MORTGAGE"])
    amount, term = 100_000 * random.randrange(1, 40), random.choice([6, 12, 24, 120])
    return party, "LENDING", LENDING, {"amount": amount, "term": term, "yen": yen, "product": product}


@pytest.mark.soak
async def test_no_adversary_knows_a_narrower_interval_than_the_meter_states(tmp_path: Path) -> None:
    earners = some_earners(full_count(1_000))
    folder = write_earners(tmp_path / "people", earners)
    random, exact = Random(1), 0
    async with own_sandbox(settings_for(tmp_path / "state"), people=folder) as caller:
        for earner in earners:
            adversary = await _asked_about(caller, earner, random)
            meter = (await caller.as_person(earner.id, METER))["data"]["me"]["disclosures"]
            stated = {row["relyingParty"] or TOGETHER: row for row in meter if row["family"] == "yearly_income_yen"}
            for knower, knowledge in adversary.known.items():
                row = stated.get(knower, {"knownAtLeast": None, "knownBelow": None})
                at_least, below = row["knownAtLeast"] or 0, row["knownBelow"] or float("inf")
                assert at_least >= knowledge.at_least, (earner, knower)
                assert below <= knowledge.below, (earner, knower)
                assert at_least <= earner.income_yen < below, "what is stated is true"
                exact += (at_least, below) == (knowledge.at_least, knowledge.below)
    assert exact >= full_count(1_000), "and it is no scare: mostly it states exactly what can be known"


async def _asked_about(caller: Caller, earner: Earner, random: Random) -> Adversary:
    adversary = Adversary()
    for _ in range(random.randint(1, 4)):
        party, purpose, document, asked = a_question(random)
        token, _ = await caller.consent(earner.id, party, purpose, document, asked)
        for _ in range(random.randint(1, 2)):
            body = await caller.as_party(party, document, {**asked, "consent": token})
            assert "errors" not in body, body
            adversary.hear(party, body["data"]["subject"], asked)
    return adversary
