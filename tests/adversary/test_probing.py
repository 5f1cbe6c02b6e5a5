"""Probing: whoever asks about income by every channel learns no more than the person's meter says, and not often.

The adversary knows the public rule pack and reads responses alone. It aims each threshold into the middle of
what is not known yet, with whichever ruler comes near: a claim, the rent of a tenancy, the amount of a loan.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.adversary.random_people import Job, RandomPerson, a_person, write_people
from tests.conftest import Caller, full_count
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for

INFINITE = float("inf")
ALL_TOGETHER = None
AT_ONCE = 8
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

METER = "{ me { disclosures { relyingParty family knownAtLeast knownBelow } } }"
REQUEST = """mutation($d: String!, $p: Purpose!) { requestConsent(document: $d, purpose: $p) { id } }"""
OPEN = "mutation($id: ID!) { openConsentRequest(request: $id) { id questions { question } } }"
PREVIEW = """mutation($d: String!, $r: ID!, $p: Purpose!) {
  previewConsent(document: $d, relyingParty: $r, purpose: $p) { id questions { question } } }"""
GRANT = "mutation($id: ID!, $out: [String!]) { grantConsent(preview: $id, leaveOut: $out) { consentToken } }"

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
        middle = (aim[0] + min(aim[1], 12_000_000)) / 2
        yen = random.choice([middle, middle, random.randrange(12_000_000)])
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

    def conclude(self, told: list[Span], *, compared: bool, doubted: bool) -> None:
        """From one answer: first what it says by itself, then with all that was known; news wins over what was.

        TN-05 leaves an amount that is known open only where there is no income at all (row 1 of the rule).
        """
        self.compared, self.doubted = self.compared or compared, self.doubted or doubted
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
        compared = of_now and any(_compares(one, subject) for one in probe.asked)
        doubted = of_now and any(
            one.field == "tenancy" and _result(one, subject) == "EVIDENCE" for one in probe.asked
        )
        for knower in (probe.party, ALL_TOGETHER):
            self.minds.setdefault(knower, Mind()).conclude(told, compared=compared, doubted=doubted)
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


async def agreed(caller: Caller, person: str, probe: Probe, random: Random) -> str | None:
    """A consent to a probe, asked for by either side, sometimes without a part; None where the budget is spent."""
    if random.random() < 0.5:
        made = await caller.as_party(probe.party, REQUEST, {"d": probe.document, "p": probe.purpose})
        if codes(made) == ["PROBE_BUDGET_EXCEEDED"]:
            return None
        opened = await caller.as_person(person, OPEN, {"id": made["data"]["requestConsent"]["id"]})
    else:
        asked = {"d": probe.document, "r": probe.party, "p": probe.purpose}
        opened = await caller.as_person(person, PREVIEW, asked)
    if codes(opened):
        assert codes(opened) == ["PROBE_BUDGET_EXCEEDED"], opened
        return None
    preview = next(iter(opened["data"].values()))
    questions = [one["question"] for one in preview["questions"]]
    out = random.sample(questions, 1) if len(questions) > 1 and random.random() < 0.2 else []
    granted = await caller.as_person(person, GRANT, {"id": preview["id"], "out": out})
    return str(granted["data"]["grantConsent"]["consentToken"])


async def probed(caller: Caller, person: str, adversary: Adversary) -> None:
    """New consents, asked in whole and in part, and now and then the old ones again."""
    random = adversary.random
    adversary.new_period()
    for _ in range(random.randint(1, 2)):
        probe = a_probe(random, adversary.minds[ALL_TOGETHER].span)
        token = await agreed(caller, person, probe, random)
        if token is not None:
            adversary.held.append((probe, token))
    for place, (probe, token) in enumerate(adversary.held):
        if place < adversary.since and random.random() < 0.5:
            continue
        part = replace(probe, asked=tuple(random.sample(probe.asked, random.randint(1, len(probe.asked)))))
        body = await caller.as_party(part.party, part.document, {"consent": token})
        assert codes(body) == [], body
        adversary.hear(part, token, body["data"]["subject"], of_now=place >= adversary.since)


async def narrower_than_the_meter(caller: Caller, person: str, adversary: Adversary, seen: Counter[str]) -> list[str]:
    """Where the adversary knows more than the meter says; counts how the two compare."""
    listed = (await caller.as_person(person, METER))["data"]["me"]["disclosures"]
    meter = {row["relyingParty"]: row for row in listed if row["family"] == "yearly_income_yen"}
    found = []
    for knower, mind in adversary.minds.items():
        row = meter.get(knower) or {"knownAtLeast": None, "knownBelow": None}
        at_least, below = row["knownAtLeast"] or 0, row["knownBelow"] or INFINITE
        if mind.span[0] > at_least or mind.span[1] < below:
            found.append(
                f"{person}: {knower or 'all together'} knows {mind.span}, the meter says {(at_least, below)}"
            )
        seen["same" if mind.span == (at_least, below) else "wider"] += 1
    return found


@pytest.mark.soak
async def test_whoever_probes_by_every_channel_knows_nothing_that_the_meter_does_not_say(tmp_path: Path) -> None:
    """In two periods: everybody's records become others in between, so that answers contradict each other."""
    people = [a_person(Random(number), number) for number in range(full_count(1_000))]
    others = [person.at_another_time(Random(-1 - person.number)) for person in people]
    adversaries = {person.id: Adversary(Random(person.id)) for person in people}
    clock, settings, seen = Clock(), settings_for(tmp_path / "state"), Counter[str]()
    found: list[str] = []
    for period, living in enumerate((people, others)):
        folder = write_people(tmp_path / f"people{period}", living)
        async with own_sandbox(settings, people=folder, clock=clock) as caller:
            for first in range(0, len(living), AT_ONCE):
                batch = [(person.id, adversaries[person.id]) for person in living[first : first + AT_ONCE]]
                await asyncio.gather(*(probed(caller, person, adversary) for person, adversary in batch))
                for person, adversary in batch:
                    found += await narrower_than_the_meter(caller, person, adversary, seen)
        clock.pass_by(days=2)
    print(dict(seen))
    assert found == [], "\n".join([f"{len(found)} of {seen.total()}", *found[:20]])
    assert seen["wider"] <= seen.total() / 10, f"it is no scare: mostly it says just what can be known, {seen}"


def earning(certified_yen: int | None, **different: Any) -> RandomPerson:
    """Somebody with one job for years and a certificate over so much."""
    job = Job(date(2022, 4, 1), None, 250_000)
    return replace(RandomPerson(0, jobs=(job,), certified_yen=certified_yen), **different)


async def told(caller: Caller, token: str, party: str, fields: str) -> dict[str, Any]:
    """What a relying party reads, as the values of its claims and the results of the rules on income."""
    body = await caller.as_party(party, about(fields), {"consent": token})
    assert codes(body) == [], body
    subject = body["data"]["subject"]
    read = {key: claim["value"] for key, claim in subject.pop("tax", {}).items()}
    for key, decision in subject.items():
        read[key] = next(rule["result"] for rule in decision["rules"] if rule["id"] in ("TN-05", "LD-05"))
    return read


def about(fields: str) -> str:
    return f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {fields} }} }}"


def meets(*thresholds: int) -> str:
    return "tax { " + " ".join(f"m{yen}: incomeMeets(yearlyYen: {yen}) {{ value }}" for yen in thresholds) + " }"


async def meter_of(caller: Caller, knower: str | None) -> tuple[int | None, int | None]:
    listed = (await caller.as_person("R0000", METER))["data"]["me"]["disclosures"]
    rows = [row for row in listed if (row["relyingParty"], row["family"]) == (knower, "yearly_income_yen")]
    return rows[0]["knownAtLeast"], rows[0]["knownBelow"]


RENT = "tenancy(rentYenPerMonth: 100000) { rules { id result } }"
LOAN = "lending(product: CONSUMER, amountYen: 1200000, termMonths: 12) { rules { id result } }"


async def test_the_meter_counts_that_a_doubt_beside_a_known_amount_means_no_income(tmp_path: Path) -> None:
    nobody = earning(None, jobs=(), declares_work=False)
    folder = write_people(tmp_path / "people", [nobody])
    async with own_sandbox(settings_for(tmp_path / "state"), people=folder) as caller:
        for party, purpose, fields, read in (
            ("landlord", "TENANCY", RENT, {"tenancy": "EVIDENCE"}),
            ("bank", "LENDING", LOAN, {"lending": "FAIL"}),
        ):
            token, _ = await caller.consent("R0000", party, purpose, about(fields))
            assert await told(caller, token, party, fields) == read
        assert await meter_of(caller, ALL_TOGETHER) == (0, 1)


async def test_of_an_answer_that_is_news_the_meter_keeps_every_part(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_for(tmp_path / "state")
    for number, (yen, thresholds) in enumerate([(5_000_000, (3_600_000,)), (2_000_000, (1_200_000, 2_400_000))]):
        folder = write_people(tmp_path / str(number), [earning(yen)])
        async with own_sandbox(settings, people=folder, clock=clock) as caller:
            token, _ = await caller.consent("R0000", "landlord", "TENANCY", about(meets(*thresholds)))
            await told(caller, token, "landlord", meets(*thresholds))
            stated = await meter_of(caller, "landlord")
        clock.pass_by(days=2)
    assert stated == (1_200_000, 2_400_000)


async def test_a_frozen_answer_that_is_told_again_undoes_nothing_of_what_was_learned_since(tmp_path: Path) -> None:
    clock, settings = Clock(), settings_for(tmp_path / "state")
    both = meets(3_000_000) + " " + LOAN
    async with own_sandbox(
        settings, people=write_people(tmp_path / "5", [earning(5_000_000)]), clock=clock
    ) as caller:
        old, _ = await caller.consent("R0000", "bank", "LENDING", about(both))
        assert await told(caller, old, "bank", meets(3_000_000)) == {"m3000000": True}
    clock.pass_by(days=2)
    async with own_sandbox(
        settings, people=write_people(tmp_path / "1", [earning(1_500_000)]), clock=clock
    ) as caller:
        new, _ = await caller.consent("R0000", "bank", "LENDING", about(meets(2_400_000)))
        assert await told(caller, new, "bank", meets(2_400_000)) == {"m2400000": False}
        assert await told(caller, old, "bank", both) == {"m3000000": True, "lending": "FAIL"}
        assert await meter_of(caller, "bank") == (None, 2_400_000)


async def test_a_renewed_consent_of_a_lender_tells_of_a_new_job_after_thirty_days_and_not_before(
    tmp_path: Path,
) -> None:
    """The wage is what is compared, and the same comparison is frozen whether a claim or a rule makes it."""
    clock, settings = Clock(), settings_for(tmp_path / "state")
    both = f"{meets(3_600_000)} {LOAN}"
    before, after = (earning(None, jobs=(Job(date(2022, 4, 1), None, wage),)) for wage in (300_000, 299_000))
    async with own_sandbox(settings, people=write_people(tmp_path / "before", [before]), clock=clock) as caller:
        token, grant = await caller.consent("R0000", "lender", "LENDING", about(both))
        assert await told(caller, token, "lender", LOAN) == {"lending": "PASS"}
    async with own_sandbox(settings, people=write_people(tmp_path / "after", [after]), clock=clock) as caller:
        clock.pass_by(days=20)
        await caller.as_person("R0000", "mutation($id: ID!) { renewConsent(grant: $id) { id } }", {"id": grant})
        assert await told(caller, token, "lender", meets(3_600_000)) == {"m3600000": True}
        assert await told(caller, token, "lender", both) == {"m3600000": True, "lending": "PASS"}
        clock.pass_by(days=9, hours=23)
        assert await told(caller, token, "lender", LOAN) == {"lending": "PASS"}
        clock.pass_by(days=2)
        assert await told(caller, token, "lender", both) == {"m3600000": False, "lending": "FAIL"}
