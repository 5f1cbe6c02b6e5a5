"""Several people in one operation: each under their own consent, each with their own outcome, recorded together."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour
from gateway.plan import MAX_SUBJECTS
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import Clock, codes, difference, own_sandbox, settings_for

LAWFUL = request_for("Immigration.statusLawful")
BOTH = request_for("Immigration.statusLawful", "Tax.residentTax")
ASKED = "immigration { statusLawful { value state } } tax { residentTax { state } } answer { id } ref"
DOCUMENT = f"query($consents: [ConsentToken!]!) {{ subjects(consents: $consents) {{ {ASKED} }} }}"
PEOPLE = [f"P{number:02}" for number in range(1, 13)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


async def ask(caller: Caller, tokens: list[str], *, document: str = DOCUMENT) -> dict[str, Any]:
    return await caller.as_party("lender", document, {"consents": tokens})


async def test_each_gets_what_they_would_get_alone_in_the_order_asked(quick: Caller) -> None:
    tokens = [(await quick.consent(person, "lender", "LENDING", BOTH))[0] for person in PEOPLE]
    together = (await ask(quick, tokens))["data"]["subjects"]
    one = DOCUMENT.replace("$consents: [ConsentToken!]!", "$consents: ConsentToken!")
    alone = [
        (await ask(quick, token, document=one.replace("subjects(consents:", "subject(consent:")))["data"]["subject"]  # type: ignore[arg-type]  # one token
        for token in tokens
    ]
    assert together == alone
    assert len({subject["ref"] for subject in together}) == len(PEOPLE)


async def test_one_outcome_an_item_and_an_error_only_for_whom_it_concerns(quick: Caller) -> None:
    granted, _ = await quick.consent("P01", "lender", "LENDING", BOTH)
    narrow, _ = await quick.consent("P02", "lender", "LENDING", LAWFUL)
    foreign, _ = await quick.consent("P03", "bank", "LENDING", BOTH)
    ended, grant = await quick.consent("P05", "lender", "LENDING", BOTH)
    await quick.as_person("P05", "mutation($g: ID!) { revokeConsent(grant: $g) { id } }", {"g": grant})
    body = await ask(quick, [granted, "kct_never", narrow, foreign, ended, granted])
    first, never, partly, others, over, again = body["data"]["subjects"]
    assert first["immigration"]["statusLawful"] == {"value": True, "state": "CONFIRMED"}
    assert first == again
    assert (never, others, over) == (None, None, None)
    assert partly["immigration"]["statusLawful"]["state"] == "CONFIRMED"
    assert partly["tax"]["residentTax"] is None
    told = [(error["path"], error["extensions"]["code"]) for error in body["errors"]]
    assert told == [
        (["subjects", 1], "CONSENT_INVALID"),
        (["subjects", 2, "tax", "residentTax"], "FIELD_NOT_CONSENTED"),
        (["subjects", 3], "CONSENT_INVALID"),
        (["subjects", 4], "CONSENT_ENDED"),
    ]


async def test_nobodys_source_is_called_for_what_that_person_was_not_asked(quick: Caller) -> None:
    tokens = [(await quick.consent(person, "lender", "LENDING", LAWFUL))[0] for person in PEOPLE[:4]]
    await asyncio.sleep(0)
    before = await quick.calls()
    await ask(quick, ["kct_never", *tokens])
    assert set(difference(before, await quick.calls())) <= {"IMMIGRATION"}


async def test_each_is_recorded_on_its_own_and_all_in_a_few_commits(quick: Caller) -> None:
    tokens = [(await quick.consent(person, "lender", "LENDING", BOTH))[0] for person in PEOPLE]
    writer = quick.running.gateway.writer
    before = writer.commits
    body = await ask(quick, [*tokens, tokens[0]])
    assert not codes(body)
    assert writer.commits - before <= len(tokens) / 2
    accesses = "{ me { accesses { kind relyingParty { id } questions } } }"
    for person in PEOPLE:
        last = (await quick.as_person(person, accesses))["data"]["me"]["accesses"][0]
        assert (last["kind"], last["relyingParty"]["id"]) == ("RELEASED", "lender")
        assert sorted(last["questions"]) == ["Immigration.statusLawful", "Tax.residentTax"]


async def test_who_asks_about_one_person_twice_is_charged_once(quick: Caller) -> None:
    document = 'mutation($d: String!) { previewConsent(relyingParty: "lender", purpose: LENDING, document: $d, '
    document += "terms: { uses: 3 }) { id } }"
    preview = await quick.as_person("P06", document, {"d": BOTH})
    granted = await quick.as_person(
        "P06",
        "mutation($p: ID!) { grantConsent(preview: $p) { consentToken } }",
        {"p": preview["data"]["previewConsent"]["id"]},
    )
    token = granted["data"]["grantConsent"]["consentToken"]
    left = (
        f"query($consents: [ConsentToken!]!) {{ subjects(consents: $consents) {{ {ASKED} grant {{ usesLeft }} }} }}"
    )
    body = await ask(quick, [token] * 5, document=left)
    assert {subject["grant"]["usesLeft"] for subject in body["data"]["subjects"]} == {2}
    assert len({subject["answer"]["id"] for subject in body["data"]["subjects"]}) == 1


async def test_a_hundred_people_are_asked_about_and_no_more(quick: Caller) -> None:
    token, _ = await quick.consent("P07", "lender", "LENDING", BOTH)
    some = [f"kct_{number}" for number in range(MAX_SUBJECTS - 1)]
    body = await ask(quick, [token, *some])
    assert [subject is not None for subject in body["data"]["subjects"]] == [True] + [False] * (MAX_SUBJECTS - 1)
    before = await quick.calls()
    assert codes(await ask(quick, [token, *some, "kct_more"])) == ["QUERY_TOO_COMPLEX"]
    assert difference(before, await quick.calls()) == {}


async def test_nobody_is_answered_about_nobody(quick: Caller) -> None:
    assert (await ask(quick, []))["data"] == {"subjects": []}


@pytest.mark.parametrize(
    "selected",
    [
        'a: subjects(consents: ["x"]) { ref } b: subjects(consents: ["x"]) { ref }',
        'subject(consent: "x") { ref } subjects(consents: ["x"]) { ref }',
        'subjects(consents: ["x"]) { ref } ...F',
    ],
)
async def test_one_operation_asks_about_several_people_once(quick: Caller, selected: str) -> None:
    fragment = ' fragment F on Query { more: subjects(consents: ["y"]) { ref } }' if "...F" in selected else ""
    body = await quick.as_party("lender", f"{{ {selected} }}{fragment}")
    assert codes(body) == ["VALIDATION_FAILED"]


async def test_consent_can_be_asked_for_with_the_document_that_asks_about_several(quick: Caller) -> None:
    token, _ = await quick.consent("P08", "lender", "LENDING", DOCUMENT)
    assert not codes(await ask(quick, [token]))


async def test_a_person_cannot_ask_about_people(quick: Caller) -> None:
    assert codes(await quick.as_person("P01", DOCUMENT, {"consents": ["x"]})) == ["TOKEN_INVALID"]


async def test_what_is_not_there_by_the_deadline_is_pending_for_each(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    slow = {SourceAuthority.TAX: Behaviour(latency_ms=(5_000, 5_000))}
    settings = settings_for(tmp_path_factory.mktemp("state"), behaviours=slow, deadline_seconds=1.0)
    async with own_sandbox(settings, clock=Clock()) as caller:
        tokens = [(await caller.consent(person, "lender", "LENDING", BOTH))[0] for person in PEOPLE[:5]]
        subjects = (await ask(caller, tokens))["data"]["subjects"]
    assert {subject["tax"]["residentTax"]["state"] for subject in subjects} == {"PENDING"}
    assert "CONFIRMED" in {subject["immigration"]["statusLawful"]["state"] for subject in subjects}


async def test_a_consent_taken_back_while_the_others_are_gathered_is_not_answered(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    slow = {SourceAuthority.TAX: Behaviour(latency_ms=(1_500, 1_500))}
    settings = settings_for(tmp_path_factory.mktemp("state"), behaviours=slow)
    async with own_sandbox(settings) as caller:
        kept, _ = await caller.consent("P01", "lender", "LENDING", BOTH)
        taken, grant = await caller.consent("P02", "lender", "LENDING", LAWFUL)
        asking = asyncio.create_task(ask(caller, [taken, kept]))
        await asyncio.sleep(0.4)
        await caller.as_person("P02", "mutation($g: ID!) { revokeConsent(grant: $g) { id } }", {"g": grant})
        body = await asking
    assert [subject is None for subject in body["data"]["subjects"]] == [True, False]
    assert [(error["path"], error["extensions"]["code"]) for error in body["errors"]] == [
        (["subjects", 0], "CONSENT_ENDED")
    ]
