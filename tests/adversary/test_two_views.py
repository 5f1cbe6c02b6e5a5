"""Two relying parties lay their answers side by side: nothing but what was meant to be told is the same in both."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from resolvers.months import end_of_month
from tests.conftest import Caller
from tests.gateway.sandboxes import own_sandbox, settings_for

ABOUT = "ref answer { id recordedAt } grant { status expiresAt usesLeft nextRefreshAt }"
STAY = "immigration { statusLawful { value state asOf source retryAt } adult { value asOf } }"
WORK = "labor { employed { value state asOf source } tenure { value asOf } }"
WHOLE = (
    "outcome decidedOn retryAt rulePack { name version sha256 } rules { id result explanation { en } cures { en } }"
)
LOAN = "product: CONSUMER, amountYen: 500000, termMonths: 24"
LAWFUL = "immigration { statusLawful { asOf } }"
DOCUMENTS = {
    "landlord": ("TENANCY", f"tenancy(rentYenPerMonth: 62000) {{ {WHOLE} }} {STAY} {WORK}"),
    "bank": ("ACCOUNT_OPENING", f"accountOpening {{ {WHOLE} }} {STAY}"),
    "lender": ("LENDING", f"lending({LOAN}) {{ {WHOLE} }} {STAY} {WORK}"),
    "other-bank": ("ACCOUNT_MAINTENANCE", f"accountMaintenance {{ {WHOLE} }} {LAWFUL}"),
    "affiliate": ("TENANCY", f"tenancy(rentYenPerMonth: 71000) {{ {WHOLE} }} {STAY} {WORK}"),
}
MEANT_TO_BE_TOLD = {"value", "state", "asOf", "outcome", "result", "en", "retryAt"}
"""Claims and decisions: what the person consented to show, to both. Everything else is the answer's packaging."""


@dataclass(frozen=True, slots=True)
class View:
    """One answer as its relying party got it. `packaging`: each leaf that is not meant to be told, with its place."""

    person: str
    party: str
    ref: str
    body: str
    packaging: frozenset[tuple[str, str]]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            if key not in MEANT_TO_BE_TOLD:
                yield from leaves(child, f"{path}.{key}")
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child, path)
    else:
        yield path.rpartition(".")[2], str(value)


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="views")
async def make_views(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[list[View]]:
    """Every sandbox person's answer to five relying parties, asked for in no order; twice each."""
    settings = settings_for(tmp_path_factory.mktemp("state"))
    landlord = next(party for party in settings.relying_parties if party.id == "landlord")
    affiliate = replace(landlord, id="affiliate", sector="another sector")
    settings = settings.model_copy(update={"relying_parties": (*settings.relying_parties, affiliate)})
    async with own_sandbox(settings) as caller:
        pairs = [(person, party) for person in caller.running.people.identities for party in DOCUMENTS]
        Random(1).shuffle(pairs)
        yield [await _view(caller, person, party) for person, party in pairs * 2]


async def _view(caller: Caller, person: str, party: str) -> View:
    purpose, fields = DOCUMENTS[party]
    document = f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {ABOUT} {fields} }} }}"
    token, _ = await caller.consent(person, party, purpose, document)
    response = await caller.post(f"Bearer {caller.running.keys[party]}", document, {"consent": token})
    body = response.json()
    assert "errors" not in body, body
    subject = body["data"]["subject"]
    return View(person, party, subject["ref"], response.text, frozenset(leaves(body)))


def test_the_packaging_of_answers_joins_nobody_better_than_chance(views: list[View]) -> None:
    """For each pair of parties: match everybody's answers by what they share, the rarer the more it counts."""
    right = matched = 0
    telling: Counter[tuple[str, str]] = Counter()
    for one, other in combinations(DOCUMENTS, 2):
        left, candidates = (
            [view for view in views[: len(views) // 2] if view.party == name] for name in (one, other)
        )
        rarity = Counter(leaf for view in candidates for leaf in view.packaging)
        for view in left:
            best = max(candidates, key=lambda c: sum(1 / rarity[leaf] for leaf in c.packaging & view.packaging))
            right += best.person == view.person
            if best.person == view.person:
                telling.update(leaf for leaf in best.packaging & view.packaging if rarity[leaf] < len(candidates))
            matched += 1
    people = matched // len(list(combinations(DOCUMENTS, 2)))
    expected = matched / people
    assert right <= expected + 4 * expected**0.5, f"{right} of {matched} joined, by {telling}"


def test_a_person_has_one_ref_for_a_sector_and_another_for_every_other(views: list[View]) -> None:
    refs: dict[tuple[str, str], set[str]] = {}
    for view in views:
        refs.setdefault((view.person, view.party), set()).add(view.ref)
    assert {len(found) for found in refs.values()} == {1}
    assert len(set.union(*refs.values())) == len(refs)


def test_no_answer_has_a_moment_finer_than_a_minute(views: list[View]) -> None:
    for view in views:
        for moment in re.findall(r"\d{4}-\d\d-\d\dT[^\"]*", view.body):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:00(\+00:00|Z)", moment), moment


@pytest.mark.parametrize("party", DOCUMENTS)
def test_no_answer_names_the_person_their_card_or_a_day_of_their_own(
    views: list[View], party: str, running: Any
) -> None:
    for view in (view for view in views if view.party == party):
        identity = running.people.identities[view.person]
        ends_on = identity.card_expiry_on
        days = {identity.date_of_birth.isoformat()}
        if ends_on is not None and ends_on != end_of_month(ends_on):  # a month end may be told, and is many people's
            days.add(ends_on.isoformat())
        for own in (f'"{view.person}"', identity.residence_card_number, identity.name, *identity.names_kana, *days):
            assert own not in view.body
