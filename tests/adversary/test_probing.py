"""Probing: whoever asks about income by every channel learns no more than the person's meter says, and not often.

Thresholds beside the grid, affiliates and corrections that unfreeze are in test_thresholds.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from tests.adversary.income_prober import ALL_TOGETHER, INFINITE, Adversary, Probe, a_probe
from tests.adversary.random_people import Job, RandomPerson, a_person, write_people
from tests.conftest import Caller, full_count
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for

AT_ONCE = 8
DAYS = ("2027-03-30", "2027-04-01", "2028-02-28")
METER = "{ me { disclosures { relyingParty family knownAtLeast knownBelow } } }"
REQUEST = """mutation($d: String!, $p: Purpose!) { requestConsent(document: $d, purpose: $p) { id } }"""
OPEN = "mutation($id: ID!) { openConsentRequest(request: $id) { id questions { question } } }"
PREVIEW = """mutation($d: String!, $r: ID!, $p: Purpose!) {
  previewConsent(document: $d, relyingParty: $r, purpose: $p) { id questions { question } } }"""
GRANT = "mutation($id: ID!, $out: [String!]) { grantConsent(preview: $id, leaveOut: $out) { consentToken } }"


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
    for _ in range(random.choice([1, 1, 1, 2])):
        probe = a_probe(random, adversary.minds[ALL_TOGETHER].span)
        token = await agreed(caller, person, probe, random)
        if token is not None:
            adversary.held.append((probe, token))
    for place, (probe, token) in enumerate(adversary.held):
        if place < adversary.since and random.random() < 0.7:
            continue
        part = replace(probe, asked=tuple(random.sample(probe.asked, random.randint(1, len(probe.asked)))))
        body = await caller.as_party(part.party, part.document, {"consent": token})
        assert codes(body) == [], body
        adversary.hear(part, token, body["data"]["subject"], of_now=place >= adversary.since)


async def wrong_of_the_meter(
    caller: Caller, person: RandomPerson, adversary: Adversary, seen: Counter[str], *, is_unchanged: bool
) -> list[str]:
    """Where the adversary knows more than the meter says, or it says what is not true; counts how the two compare."""
    listed = (await caller.as_person(person.id, METER))["data"]["me"]["disclosures"]
    meter = {row["relyingParty"]: row for row in listed if row["family"] == "yearly_income_yen"}
    found = []
    for knower, mind in adversary.minds.items():
        row = meter.get(knower) or {"knownAtLeast": None, "knownBelow": None}
        stated = row["knownAtLeast"] or 0, row["knownBelow"] or INFINITE
        if not mind.is_covered_by(stated):
            found.append(f"{person.id}: {knower or 'all together'} knows {mind.span}, the meter says {stated}")
        if is_unchanged and person.income_yen is not None and not stated[0] <= person.income_yen < stated[1]:
            found.append(f"{person.id}: has {person.income_yen}, the meter says {stated}")
        seen["same" if mind.span == stated else "wider"] += 1
    return found


@pytest.mark.soak
async def test_whoever_probes_by_every_channel_knows_nothing_that_the_meter_does_not_say(tmp_path: Path) -> None:
    """In two periods: every fourth person's records become others in between, and answers contradict each other."""
    people = [a_person(Random(number), number) for number in range(full_count(1_000))]
    others = [person.at_another_time(Random(-1 - person.number)) for person in people[::4]]
    adversaries = {person.id: Adversary(Random(person.id)) for person in people}
    clock, settings, seen = Clock(), settings_for(tmp_path / "state"), Counter[str]()
    found: list[str] = []
    for period, living in enumerate((people, others)):
        folder = write_people(tmp_path / f"people{period}", living)
        async with own_sandbox(settings, people=folder, clock=clock) as caller:
            for first in range(0, len(living), AT_ONCE):
                batch = [(person, adversaries[person.id]) for person in living[first : first + AT_ONCE]]
                await asyncio.gather(*(probed(caller, person.id, adversary) for person, adversary in batch))
                for person, adversary in batch:
                    found += await wrong_of_the_meter(caller, person, adversary, seen, is_unchanged=period == 0)
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
    both = f"{meets(3_000_000)} {LOAN.replace('1200000', '1000000')}"
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
        assert await told(caller, old, "bank", both) == {"m3000000": True, "lending": "PASS"}
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


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="quick")
async def make_quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as caller:
        yield caller


BESIDE_THE_GRID = [
    *(("TENANCY", "landlord", f'labor {{ employmentCoversUntil(on: "{day}") {{ value }} }}') for day in DAYS),
    *(("TENANCY", "landlord", f'immigration {{ stayCoversUntil(on: "{day}") {{ value }} }}') for day in DAYS),
    ("TENANCY", "landlord", f"tenancy(rentYenPerMonth: 100001) {{ outcome }} {meets(3_600_000)}"),
    ("LENDING", "bank", meets(1_200_000, 2_400_000, 3_600_001)),
    ("LENDING", "bank", LOAN.replace("CONSUMER, amountYen: 1200000", "MORTGAGE, amountYen: 1200001")),
]


@pytest.mark.parametrize(("purpose", "party", "fields"), BESIDE_THE_GRID)
async def test_one_threshold_beside_the_grid_spoils_a_request_before_any_source_is_asked(
    quick: Caller, purpose: str, party: str, fields: str
) -> None:
    before = await quick.calls()
    previewed = await quick.preview("P10", party, purpose, about(fields))
    requested = await quick.as_party(party, REQUEST, {"d": about(fields), "p": purpose})
    assert [codes(previewed), codes(requested)] == [["OFF_GRID"]] * 2
    assert await quick.calls() == before


@pytest.mark.parametrize(
    "instead",
    [
        meets(3_600_000),
        LOAN.replace("1200000", "1300000"),
        LOAN.replace("1200000", "1100000"),
        LOAN.replace("CONSUMER", "MORTGAGE"),
        "tax { income { value } }",
        RENT,
    ],
)
async def test_consent_to_a_threshold_is_consent_to_one_ruler_and_no_source_is_asked_for_another(
    quick: Caller, instead: str
) -> None:
    token, _ = await quick.consent("P10", "bank", "LENDING", about(LOAN))
    before = await quick.calls()
    body = await quick.as_party("bank", about(instead), {"consent": token})
    assert codes(body) == ["FIELD_NOT_CONSENTED"]
    assert await quick.calls() == before


async def test_affiliates_who_are_opened_at_once_overdraw_no_budget_and_spend_nobody_elses(tmp_path: Path) -> None:
    """Twenty thresholds of two parties in one sector, by two rulers; a third party has a sector of its own."""
    settings = settings_for(tmp_path)
    sectors = {"bank": "one group", "lender": "one group"}
    parties = tuple(replace(party, sector=sectors.get(party.id, party.sector)) for party in settings.relying_parties)
    asked = [
        *(("bank", meets(120_000 * number)) for number in range(1, 11)),
        *(
            ("lender", LOAN.replace("1200000", f"{100_000 * number}"))
            for number in (1, 3, 5, 6, 7, 9, 10, 11, 13, 14)
        ),
    ]
    async with own_sandbox(settings.model_copy(update={"relying_parties": parties})) as caller:
        outcomes = await asyncio.gather(*(_opened(caller, party, fields) for party, fields in asked))
        assert Counter(outcomes) == {(): 4, ("PROBE_BUDGET_EXCEEDED",): 16}
        again = [one for one, outcome in zip(asked, outcomes, strict=True) if outcome == ()]
        for party in ("bank", "lender"):
            assert {await _opened(caller, party, fields) for _, fields in again} == {()}, "compared before"
        assert await _opened(caller, "other-bank", meets(6_000_000)) == ()


async def _opened(caller: Caller, party: str, fields: str) -> tuple[str, ...]:
    """A relying party's request, opened by P10: the codes of what went wrong."""
    made = await caller.as_party(party, REQUEST, {"d": about(fields), "p": "LENDING"})
    return tuple(codes(await caller.as_person("P10", OPEN, {"id": made["data"]["requestConsent"]["id"]})))
