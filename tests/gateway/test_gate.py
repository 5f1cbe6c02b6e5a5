"""Nothing is answered that was not put to the person, and nothing is fetched for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.asking import RELYING_PARTY_FOR, example_variables, read_example
from gateway.sandbox import default_people_folder, read_people
from gateway.settings import load_settings
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from tests.conftest import ROOT, Caller
from tests.gateway.questions import asking_for, request_for
from tests.gateway.sandboxes import Clock, codes, difference, own_sandbox, settings_for

TENANCY = read_example(Purpose.TENANCY)
RENT = {"rentYenPerMonth": 62000}
OPENING = read_example(Purpose.ACCOUNT_OPENING)
PURPOSES = load_settings(ROOT).purposes
FORBIDDEN = [
    (coordinate, purpose)
    for purpose, bounds in PURPOSES.items()
    for coordinate, field in (*ATTRIBUTES.items(), *DECISIONS.items())
    if not bounds.allows(coordinate) and not getattr(field, "person_only", False)
]
PERSON_ONLY = [coordinate for coordinate, attribute in ATTRIBUTES.items() if attribute.person_only]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


def below(fields: str) -> str:
    return f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {fields} }} }}"


async def rent(caller: Caller, person: str = "P10") -> str:
    return (await caller.consent(person, "landlord", "TENANCY", TENANCY, RENT))[0]


async def test_each_field_that_was_not_put_is_refused_by_itself_and_the_rest_answered(quick: Caller) -> None:
    token = await rent(quick)
    document = """
        query($consent: ConsentToken!) { who: subject(consent: $consent) {
          money: tax { incomeBasis { value } owed: residentTax { value } }
          ...Stay
          lending(product: CONSUMER, amountYen: 1, termMonths: 1) { outcome } } }
        fragment Stay on Subject { ... { immigration { statusLawful { value } days: stayRemaining { state } } } }
    """
    body = await quick.as_party("landlord", document, {"consent": token})
    assert body["data"]["who"] == {
        "money": {"incomeBasis": {"value": "TAX_CERT"}, "owed": None},
        "immigration": {"statusLawful": {"value": True}, "days": None},
        "lending": None,
    }
    refused = {tuple(error["path"]): error["extensions"] for error in body["errors"]}
    assert {path: told["coordinate"] for path, told in refused.items()} == {
        ("who", "money", "owed"): "Tax.residentTax",
        ("who", "immigration", "days"): "Immigration.stayRemaining",
        ("who", "lending"): "Subject.lending",
    }
    assert {told["code"] for told in refused.values()} == {"FIELD_NOT_CONSENTED"}
    assert all(told["requestId"] == body["extensions"]["requestId"] for told in refused.values())
    assert not any(told["retryable"] for told in refused.values())


@pytest.mark.parametrize("rent_yen", [61999, 62001, 63000, 61000, 0, -62000, 6200, 620000, 2147483647])
async def test_another_threshold_is_refused_before_any_source_is_called(quick: Caller, rent_yen: int) -> None:
    token = await rent(quick)
    before = await quick.calls()
    asked = below(f"tenancy(rentYenPerMonth: {rent_yen}) {{ outcome }}")
    body = await quick.as_party("landlord", asked, {"consent": token})
    assert (body["data"], codes(body)) == ({"subject": {"tenancy": None}}, ["FIELD_NOT_CONSENTED"])
    assert difference(before, await quick.calls()) == {}


async def test_a_later_document_may_ask_less_or_the_same_in_another_shape(quick: Caller) -> None:
    token = await rent(quick)
    shapes = (
        below("tenancy(rentYenPerMonth: 62000) { outcome }"),
        below("x: tenancy(rentYenPerMonth: 62000) { __typename rules { id } } __typename"),
        below("tax { incomeBasis { state } }"),
        below("grant { status } answer { id }"),
        "query($consent: ConsentToken!, $yen: Int = 62000) { subject(consent: $consent) "
        "{ tenancy(rentYenPerMonth: $yen) { outcome } } }",
        "query($consent: ConsentToken!) { a: subject(consent: $consent) { labor { employed { value } } } "
        "b: subject(consent: $consent) { ...F } } fragment F on Subject { labor { employed { value } } }",
    )
    for document in shapes:
        body = await quick.as_party("landlord", document, {"consent": token})
        assert "errors" not in body, document
        assert body["data"], document


async def test_a_literal_and_a_variable_ask_the_same_question(quick: Caller) -> None:
    token = await rent(quick)
    written: tuple[tuple[str, dict[str, int]], ...] = (
        (below("tenancy(rentYenPerMonth: 62000) { outcome } answer { id }"), {}),
        (
            "query($consent: ConsentToken!, $y: Int!) { subject(consent: $consent) "
            "{ tenancy(rentYenPerMonth: $y) { outcome } answer { id } } }",
            {"y": 62000},
        ),
    )
    ids = set()
    for document, variables in written:
        body = await quick.as_party("landlord", document, {**variables, "consent": token})
        ids.add(body["data"]["subject"]["answer"]["id"])
    assert len(ids) == 1, "the same question has the same answer"


@pytest.mark.parametrize("written", ["62000.0", '"62000"', "6.2e4", "true", "null", "[62000, 62000]", "62_000", "０"])
async def test_a_threshold_that_is_no_integer_is_not_a_question(quick: Caller, written: str) -> None:
    token = await rent(quick)
    asked = below(f"tenancy(rentYenPerMonth: {written}) {{ outcome }}")
    body = await quick.as_party("landlord", asked, {"consent": token})
    assert codes(body) == ["VALIDATION_FAILED"]
    assert "data" not in body


async def test_another_purposes_decision_is_refused(quick: Caller) -> None:
    token = await rent(quick, "P10")
    asked = below(
        "lending(product: CONSUMER, amountYen: 2000000, termMonths: 60) { outcome } accountOpening { outcome }"
    )
    body = await quick.as_party("landlord", asked, {"consent": token})
    assert body["data"] == {"subject": {"lending": None, "accountOpening": None}}
    assert codes(body) == ["FIELD_NOT_CONSENTED"] * 2


def unnamed(body: dict[str, Any]) -> bytes:
    request_id = body["extensions"]["requestId"]
    return json.dumps(body).replace(request_id, "").encode()


async def test_every_token_that_gives_nothing_gives_the_same_bytes(quick: Caller) -> None:
    own = await rent(quick)
    pending = (await quick.preview("P10", "landlord", "TENANCY", TENANCY, RENT))["data"]["previewConsent"]["id"]
    tokens = {
        "unknown": "kct_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "pending": pending,
        "malformed": "x",
        "empty": "",
        "long": "kct_" + "a" * 5000,
        "upper case": own.upper(),
        "with a space": f" {own}",
        "odd": "kct_\u202e\u0000💥",
        "prefix": own[:-1],
    }
    bodies = {
        name: await quick.as_party("landlord", TENANCY, {**RENT, "consent": token}) for name, token in tokens.items()
    }
    foreign = await quick.consent("P10", "lender", "LENDING", below("immigration { statusLawful { value } }"))
    bodies["another party's"] = await quick.as_party("landlord", TENANCY, {**RENT, "consent": foreign[0]})
    await quick.revoke("P10", foreign[1])
    bodies["another party's, revoked"] = await quick.as_party("landlord", TENANCY, {**RENT, "consent": foreign[0]})
    different = {unnamed(body) for body in bodies.values()}
    assert len(different) == 1, bodies
    assert (bodies["unknown"]["data"], codes(bodies["unknown"])) == ({"subject": None}, ["CONSENT_INVALID"])


async def test_a_revoked_consent_has_ended_for_its_own_relying_party_only(quick: Caller) -> None:
    token, grant_id = await quick.consent("P10", "landlord", "TENANCY", TENANCY, RENT)
    await quick.revoke("P10", grant_id)
    asked = {**RENT, "consent": token}
    assert codes(await quick.as_party("landlord", TENANCY, asked)) == ["CONSENT_ENDED"]
    for other in ("lender", "bank", "other-bank"):
        assert codes(await quick.as_party(other, TENANCY, asked)) == ["CONSENT_INVALID"]


async def test_revoking_twice_or_a_request_that_waits_is_allowed(quick: Caller) -> None:
    _, grant_id = await quick.consent("P10", "landlord", "TENANCY", TENANCY, RENT)
    for _ in range(2):
        assert (await quick.revoke("P10", grant_id))["data"]["revokeConsent"]["status"] == "REVOKED"
    waiting = (await quick.preview("P10", "landlord", "TENANCY", TENANCY, RENT))["data"]["previewConsent"]["id"]
    assert (await quick.revoke("P10", waiting))["data"]["revokeConsent"]["status"] == "REVOKED"
    query = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }"
    assert codes(await quick.as_person("P10", query, {"id": waiting})) == ["CONSENT_REQUEST_INVALID"]


async def test_a_consent_ends_on_its_day_by_itself(tmp_path: Any) -> None:
    clock = Clock()
    async with own_sandbox(settings_for(tmp_path), clock=clock) as caller:
        token, grant_id = await caller.consent("P10", "landlord", "TENANCY", TENANCY, RENT)
        waiting = (await caller.preview("P10", "landlord", "TENANCY", TENANCY, RENT))["data"]["previewConsent"]["id"]
        clock.pass_by(minutes=59)
        asked = {**RENT, "consent": token}
        assert "errors" not in await caller.as_party("landlord", TENANCY, asked)
        clock.pass_by(minutes=2)
        query = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }"
        assert codes(await caller.as_person("P10", query, {"id": waiting})) == ["CONSENT_REQUEST_INVALID"]
        clock.pass_by(days=29, hours=22, minutes=58)
        assert "errors" not in await caller.as_party("landlord", TENANCY, asked)
        clock.pass_by(minutes=2)
        before = await caller.calls()
        assert codes(await caller.as_party("landlord", TENANCY, asked)) == ["CONSENT_ENDED"]
        assert codes(await caller.as_party("lender", TENANCY, asked)) == ["CONSENT_INVALID"]
        assert difference(before, await caller.calls()) == {}

        seen = (await caller.as_person("P10", "{ me { grants { id status endedAt } } }"))["data"]["me"]["grants"]
        (ended,) = [grant for grant in seen if grant["id"] == grant_id]
        assert ended["status"] == "EXPIRED"
        revoked = (await caller.revoke("P10", grant_id))["data"]["revokeConsent"]
        assert revoked["status"] == "EXPIRED", "a status that is terminal stays"


async def test_stale_evidence_is_fetched_anew_and_a_fresh_answer_is_frozen(tmp_path: Any) -> None:
    clock = Clock()
    async with own_sandbox(settings_for(tmp_path), clock=clock) as caller:
        asked = below("immigration { statusLawful { value } } answer { id }")
        token, _ = await caller.consent("P10", "bank", "ACCOUNT_MAINTENANCE", asked)
        first = await caller.as_party("bank", asked, {"consent": token})
        clock.pass_by(hours=23)
        before = await caller.calls()
        frozen = await caller.as_party("bank", asked, {"consent": token})
        assert frozen["data"] == first["data"]
        assert difference(before, await caller.calls()) == {}
        clock.pass_by(hours=2)
        anew = await caller.as_party("bank", asked, {"consent": token})
        assert anew["data"]["subject"]["answer"]["id"] != first["data"]["subject"]["answer"]["id"]
        assert difference(before, await caller.calls()) == {"IMMIGRATION": 1}


async def test_a_used_up_consent_answers_what_it_answered_and_nothing_else(quick: Caller) -> None:
    everything = below(
        "accountOpening { outcome } immigration { statusLawful { value } } labor { employed { value } }"
    )
    token, _ = await quick.consent("P10", "bank", "ACCOUNT_OPENING", everything)
    sets = (
        "accountOpening { outcome }",
        "immigration { statusLawful { value } }",
        "labor { employed { value } }",
    )
    first = [
        await quick.as_party("bank", below(f"{s} answer {{ id }} grant {{ usesLeft }}"), {"consent": token})
        for s in sets
    ]
    assert [body["data"]["subject"]["grant"]["usesLeft"] for body in first] == [2, 1, 0]
    before = await quick.calls()
    for fourth in (f"{sets[0]} {sets[1]}", f"{sets[1]} {sets[2]}", " ".join(sets)):
        refused = await quick.as_party("bank", below(fourth), {"consent": token})
        assert (refused["data"], codes(refused)) == ({"subject": None}, ["CONSENT_ENDED"])
    for other in ("lender", "other-bank"):
        assert codes(await quick.as_party(other, below(sets[0]), {"consent": token})) == ["CONSENT_INVALID"]
    for body, asked in zip(first, sets, strict=True):
        again = await quick.as_party(
            "bank", below(f"answer {{ id }} x: grant {{ usesLeft }} {asked}"), {"consent": token}
        )
        assert again["data"]["subject"]["answer"] == body["data"]["subject"]["answer"]
        assert again["data"]["subject"]["x"] == {"usesLeft": 0}
    assert difference(before, await quick.calls()) == {}


async def test_a_question_that_was_refused_costs_no_use(quick: Caller) -> None:
    token, _ = await quick.consent("P10", "bank", "ACCOUNT_OPENING", below("accountOpening { outcome }"))
    for _ in range(4):
        refused = await quick.as_party("bank", below("labor { employed { value } }"), {"consent": token})
        assert codes(refused) == ["FIELD_NOT_CONSENTED"]
    asked = below("accountOpening { outcome } grant { usesLeft }")
    assert (await quick.as_party("bank", asked, {"consent": token}))["data"]["subject"]["grant"] == {"usesLeft": 2}


async def test_many_at_once_who_ask_the_same_pay_once(quick: Caller) -> None:
    asked = below("accountOpening { outcome } grant { usesLeft }")
    token, _ = await quick.consent("P10", "bank", "ACCOUNT_OPENING", asked)
    bodies = await asyncio.gather(*(quick.as_party("bank", asked, {"consent": token}) for _ in range(8)))
    assert [codes(body) for body in bodies] == [[]] * 8
    assert [body["data"]["subject"]["grant"]["usesLeft"] for body in bodies] == [2] * 8


async def test_sixty_four_at_once_never_overdraw(quick: Caller) -> None:
    asked = below("accountOpening { outcome } grant { usesLeft }")
    token, _ = await quick.consent("P10", "bank", "ACCOUNT_OPENING", asked)
    bodies = await asyncio.gather(*(quick.as_party("bank", asked, {"consent": token}) for _ in range(64)))
    assert {code for body in bodies for code in codes(body)} <= {"OVERLOADED"}, "a full house, but no consent used up"
    after = await quick.as_party("bank", asked, {"consent": token})
    assert after["data"]["subject"]["grant"] == {"usesLeft": 2}


async def test_a_burst_of_questions_is_answered(quick: Caller) -> None:
    asked = below("tax { incomeBasis { value } }")
    tokens = [await rent(quick) for _ in range(32)]
    bodies = await asyncio.gather(*(quick.as_party("landlord", asked, {"consent": token}) for token in tokens))
    assert [codes(body) for body in bodies] == [[]] * 32


async def test_many_at_once_who_ask_different_things_never_overdraw(quick: Caller) -> None:
    fields = ("statusLawful", "adult", "cardNotRevoked", "stayUnlimited", "renewalPending", "midToLongTermResident")
    everything = below("immigration { " + " ".join(f"{name} {{ value }}" for name in fields) + " }")
    token, _ = await quick.consent("P10", "bank", "ACCOUNT_OPENING", everything)
    asked = [below(f"immigration {{ {name} {{ value }} }} grant {{ usesLeft }}") for name in fields] * 4
    bodies = await asyncio.gather(*(quick.as_party("bank", document, {"consent": token}) for document in asked))
    answered = {document for document, body in zip(asked, bodies, strict=True) if not codes(body)}
    refused = [body for body in bodies if codes(body)]
    assert len(answered) == 3
    assert all(body["data"] == {"subject": None} and codes(body) == ["CONSENT_ENDED"] for body in refused)


async def test_another_persons_consent_cannot_be_granted_revoked_or_read(quick: Caller) -> None:
    preview = (await quick.preview("P10", "landlord", "TENANCY", TENANCY, RENT))["data"]["previewConsent"]["id"]
    grant = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }"
    assert codes(await quick.as_person("P01", grant, {"id": preview})) == ["CONSENT_REQUEST_INVALID"]
    token, grant_id = await quick.consent("P10", "landlord", "TENANCY", TENANCY, RENT)
    refused = await quick.revoke("P01", grant_id)
    unknown = await quick.revoke("P01", "00000000-0000-0000-0000-000000000000")
    assert (refused["data"], codes(refused)) == ({"revokeConsent": None}, ["CONSENT_REQUEST_INVALID"])
    assert unnamed(refused) == unnamed(unknown), "whether it exists is not told"
    assert "errors" not in await quick.as_party("landlord", TENANCY, {**RENT, "consent": token})
    seen = json.dumps(await quick.as_person("P01", "{ me { grants { id } accesses { entry questions } } }"))
    assert grant_id not in seen


@pytest.mark.parametrize(
    "document",
    [
        "{ me { id } }",
        "{ __typename me { grants { id } } }",
        "query { ...Q } fragment Q on Query { me { records { source } } }",
        'mutation { revokeConsent(grant: "x") { id } }',
        'mutation { grantConsent(preview: "x") { consentToken } }',
        "{ me @skip(if: true) { id } }",
        "mutation { __typename }",
    ],
)
async def test_a_relying_party_cannot_act_as_a_person(quick: Caller, document: str) -> None:
    response = await quick.post(f"Bearer {quick.running.keys['bank']}", document)
    assert (response.status_code, codes(response.json())) == (401, ["TOKEN_INVALID"])
    assert "data" not in response.json()


async def test_a_person_cannot_act_as_a_relying_party(quick: Caller) -> None:
    token = await rent(quick)
    response = await quick.post("Person P10", TENANCY, {**RENT, "consent": token})
    assert (response.status_code, codes(response.json())) == (401, ["TOKEN_INVALID"])


@pytest.mark.parametrize(
    "document",
    [
        'query { me { id } subject(consent: "x") { answer { id } } }',
        'query { subject(consent: "x") { answer { id } } ...Q } fragment Q on Query { a: me { id } }',
        'query { subject(consent: "x") { answer { id } } __schema { queryType { name } } }',
        'query { me @skip(if: true) { id } ... { subject(consent: "x") { answer { id } } } }',
    ],
)
@pytest.mark.parametrize("asker", ["Person P10", "bank"])
async def test_a_document_for_two_audiences_is_refused(quick: Caller, document: str, asker: str) -> None:
    authorization = asker if asker.startswith("Person") else f"Bearer {quick.running.keys[asker]}"
    body = (await quick.post(authorization, document)).json()
    assert codes(body) == ["VALIDATION_FAILED"]
    assert "data" not in body


@pytest.mark.parametrize(("coordinate", "purpose"), FORBIDDEN)
async def test_what_a_purpose_does_not_list_cannot_even_be_asked_for(
    quick: Caller, coordinate: str, purpose: Purpose
) -> None:
    before = await quick.calls()
    document = request_for(coordinate)
    body = await quick.preview("P10", RELYING_PARTY_FOR[purpose], purpose.value, document)
    assert (body["data"], codes(body)) == ({"previewConsent": None}, ["PURPOSE_FORBIDS"])
    assert body["errors"][0]["extensions"]["coordinate"] == coordinate
    assert difference(before, await quick.calls()) == {}


async def test_one_forbidden_question_among_allowed_ones_refuses_the_whole_request(quick: Caller) -> None:
    before = (await quick.as_person("P10", "{ me { grants { id } } }"))["data"]["me"]["grants"]
    document = below("immigration { statusLawful { value } } tax { residentTax { value } }")
    assert codes(await quick.preview("P10", "landlord", "TENANCY", document)) == ["PURPOSE_FORBIDS"]
    after = (await quick.as_person("P10", "{ me { grants { id } } }"))["data"]["me"]["grants"]
    assert before == after


@pytest.mark.parametrize("coordinate", PERSON_ONLY)
async def test_what_only_the_person_may_know_is_no_field_of_a_subject(quick: Caller, coordinate: str) -> None:
    body = await quick.as_party("lender", request_for(coordinate), {"consent": "x"})
    assert codes(body) == ["VALIDATION_FAILED"]
    assert codes(await quick.preview("P10", "lender", "LENDING", request_for(coordinate))) == ["VALIDATION_FAILED"]


@pytest.mark.parametrize(
    "field",
    [
        "nationality",
        "immigration { nationality { value } }",
        "immigration { dateOfBirth { value } }",
        "tax { amountYen }",
        "tax { income { reason } }",
        "labor { hoursWithinPermission { value } }",
        "myNumber",
        "name",
        "id",
        "me { id }",
    ],
)
async def test_what_is_never_shared_is_no_field_at_all(quick: Caller, field: str) -> None:
    body = await quick.as_party("lender", below(field), {"consent": "x"})
    assert codes(body) == ["VALIDATION_FAILED"]
    assert "Did you mean" not in json.dumps(body)


@pytest.mark.parametrize(
    ("party", "purpose"),
    [
        ("landlord", "LENDING"),
        ("landlord", "ACCOUNT_OPENING"),
        ("lender", "TENANCY"),
        ("lender", "ACCOUNT_MAINTENANCE"),
        ("bank", "TENANCY"),
        ("other-bank", "TENANCY"),
    ],
)
async def test_a_relying_party_asks_only_for_its_own_purposes(quick: Caller, party: str, purpose: str) -> None:
    asked = below("immigration { statusLawful { value } }")
    assert codes(await quick.preview("P10", party, purpose, asked)) == ["PURPOSE_FORBIDS"]


@pytest.mark.parametrize(
    ("party", "document", "code"),
    [
        ("nobody", below("immigration { statusLawful { value } }"), "CONSENT_REQUEST_INVALID"),
        ("", below("immigration { statusLawful { value } }"), "CONSENT_REQUEST_INVALID"),
        ("bank", below("grant { status }"), "CONSENT_REQUEST_INVALID"),
        ("bank", "{ __typename }", "CONSENT_REQUEST_INVALID"),
        ("bank", "{ me { id } }", "CONSENT_REQUEST_INVALID"),
        ("bank", "mutation { __typename }", "CONSENT_REQUEST_INVALID"),
        ("bank", "", "VALIDATION_FAILED"),
        ("bank", "{", "VALIDATION_FAILED"),
        ("bank", below("nationality"), "VALIDATION_FAILED"),
    ],
)
async def test_a_request_that_asks_nothing_of_a_person_is_refused(
    quick: Caller, party: str, document: str, code: str
) -> None:
    body = await quick.preview("P10", party, "ACCOUNT_OPENING", document)
    assert (body["data"], codes(body)) == ({"previewConsent": None}, [code])


def test_the_questions_of_the_examples_are_all_allowed() -> None:
    people = read_people(default_people_folder())
    for purpose in Purpose:
        example_variables(purpose, people.asks["P01"], person_id="P01")
        assert PURPOSES[purpose].allows(PURPOSES[purpose].decision)
    assert asking_for("Tax.incomeMeets")


async def test_a_purpose_taken_from_a_relying_party_ends_its_consents(tmp_path: Path) -> None:
    settings = settings_for(tmp_path)
    async with own_sandbox(settings) as caller:
        asked = {**RENT, "consent": await rent(caller)}
        assert codes(await caller.as_party("landlord", TENANCY, asked)) == []
    less = tuple(
        replace(party, purposes=frozenset({Purpose.ACCOUNT_OPENING})) if party.id == "landlord" else party
        for party in settings.relying_parties
    )
    async with own_sandbox(settings.model_copy(update={"relying_parties": less})) as caller:
        assert codes(await caller.as_party("landlord", TENANCY, asked)) == ["CONSENT_ENDED"]


async def test_a_day_that_was_left_out_is_not_in_the_decision_either(quick: Caller) -> None:
    document = below("accountMaintenance { outcome recheckOn } immigration { stayRecheckBy { value state } }")
    whole, _ = await quick.consent("P01", "bank", "ACCOUNT_MAINTENANCE", document)
    without, _ = await quick.consent(
        "P01", "bank", "ACCOUNT_MAINTENANCE", document, leave_out=("Immigration.stayRecheckBy",)
    )
    told, kept = [
        (await quick.as_party("bank", document, {"consent": token}))["data"]["subject"] for token in (whole, without)
    ]
    assert told["accountMaintenance"]["recheckOn"] is not None
    assert kept["accountMaintenance"] == told["accountMaintenance"] | {"recheckOn": None}
    assert kept["immigration"]["stayRecheckBy"] == {"value": None, "state": "WITHHELD"}
