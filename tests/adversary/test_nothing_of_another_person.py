"""With one person's token nothing of another person can be reached, by anybody, in any order."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from resolvers.catalogue import DECISIONS
from tests.conftest import Caller
from tests.gateway.questions import everything, request_for
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

ASKED = request_for("Immigration.stayRemaining", "Tax.incomeBasis", "Tax.residentTax", "Insurance.premiums24m")
PEOPLE = ("P01", "P05", "P10", "P18", "P20")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


def told(body: dict[str, Any]) -> str:
    return json.dumps(body["data"], sort_keys=True)


async def test_many_people_at_once_are_never_mixed_up(quick: Caller) -> None:
    tokens = {person: (await quick.consent(person, "lender", "LENDING", ASKED))[0] for person in PEOPLE}
    alone = {p: told(await quick.as_party("lender", ASKED, {"consent": tokens[p]})) for p in PEOPLE}
    assert len(set(alone.values())) == len(PEOPLE), "each is told apart by what is known"
    order = [person for _ in range(6) for person in PEOPLE]
    bodies = await asyncio.gather(*(quick.as_party("lender", ASKED, {"consent": tokens[p]}) for p in order))
    answered = [(p, body) for p, body in zip(order, bodies, strict=True) if codes(body) != ["OVERLOADED"]]
    assert answered
    assert [p for p, body in answered if told(body) != alone[p]] == []


async def test_two_parties_learn_nothing_to_join_one_person_by(quick: Caller) -> None:
    asked = request_for("Immigration.statusLawful").replace("immigration {", "answer { id } immigration {")
    ids = set()
    for party in ("bank", "other-bank", "lender"):
        token, grant_id = await quick.consent("P10", party, "LENDING", asked)
        body = await quick.as_party(party, asked, {"consent": token})
        ids |= {token, body["data"]["subject"]["answer"]["id"], body["extensions"]["requestId"]}
        assert grant_id not in json.dumps(body)
    assert len(ids) == 9


async def test_no_moment_that_leaves_is_finer_than_a_minute(quick: Caller) -> None:
    asked = request_for("Immigration.statusLawful").replace(
        "immigration {", "answer { recordedAt } grant { expiresAt } immigration {"
    )
    token, _ = await quick.consent("P10", "lender", "LENDING", asked)
    text = json.dumps(await quick.as_party("lender", asked, {"consent": token}))
    moments = re.findall(r"T\d\d:\d\d:(\d\d(?:\.\d+)?)", text)
    assert len(moments) == 2
    assert set(moments) == {"00"}


async def test_everything_that_can_be_asked_tells_no_name_no_number_and_no_birthday(quick: Caller) -> None:
    identity = quick.running.people.identities["P21"]
    bodies = []
    for coordinate in everything():
        document = request_for(coordinate)
        purpose = DECISIONS[coordinate].purpose.value if coordinate in DECISIONS else "LENDING"
        party = {"TENANCY": "landlord", "LENDING": "lender"}.get(purpose, "bank")
        preview = await quick.preview("P21", party, purpose, document)
        if codes(preview) == ["PURPOSE_FORBIDS"]:
            continue
        granted = await quick.as_person(
            "P21",
            "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }",
            {"id": preview["data"]["previewConsent"]["id"]},
        )
        token = granted["data"]["grantConsent"]["consentToken"]
        bodies.append(await quick.as_party(party, document, {"consent": token}))
    assert len(bodies) > 25
    text = json.dumps(bodies, ensure_ascii=False)
    kept = [
        "P21", identity.name, *identity.name.split(), *identity.names_kana, identity.residence_card_number,
        identity.date_of_birth.isoformat(), "reason", "trace", "株式会社", "法人番号",
    ]  # fmt: skip
    assert [word for word in kept if word and word in text] == []


async def test_a_person_reaches_only_their_own_through_every_door(quick: Caller) -> None:
    _, grant_id = await quick.consent("P10", "lender", "LENDING", ASKED)
    pending = (await quick.preview("P10", "lender", "LENDING", ASKED))["data"]["previewConsent"]["id"]
    tries = (
        ("mutation($id: ID!) { revokeConsent(grant: $id) { id questions } }", {"id": grant_id}),
        ("mutation($id: ID!) { revokeConsent(grant: $id) { id questions } }", {"id": pending}),
        ("mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }", {"id": pending}),
        ("mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }", {"id": grant_id}),
    )
    for query, variables in tries:
        body = await quick.as_person("P18", query, variables)
        assert codes(body) == ["CONSENT_REQUEST_INVALID"]
        assert set(body["data"].values()) == {None}
    own = await quick.as_person(
        "P18", "{ me { id grants { id } accesses { questions } records { entries { fields { value } } } } }"
    )
    text = json.dumps(own, ensure_ascii=False)
    assert own["data"]["me"]["id"] == "P18"
    stranger = quick.running.people.identities["P10"]
    for word in (grant_id, pending, stranger.residence_card_number, stranger.name):
        assert word not in text
    still = await quick.as_person(
        "P10", "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }", {"id": pending}
    )
    assert "errors" not in still, "what the stranger tried has changed nothing"


@pytest.mark.parametrize("asker", ["Person P10 ", "Person  P10", "person P10"])
async def test_whoever_signs_in_sees_who_they_are(quick: Caller, asker: str) -> None:
    response = await quick.post(asker.strip(), "{ me { id } }")
    assert response.json()["data"] == {"me": {"id": "P10"}}


@pytest.mark.parametrize(
    "asker", ["Person Ｐ10", "Person P10,P01", "Person P1", "Person %50%3110", "Person P10;P01", "Person *"]
)
async def test_a_name_that_is_almost_ones_own_is_nobodys(quick: Caller, asker: str) -> None:
    headers = [(b"authorization", asker.encode()), (b"content-type", b"application/json")]
    response = await quick.http.post("/graphql", content=b'{"query":"{ me { id } }"}', headers=headers)
    assert (response.status_code, codes(response.json())) == (401, ["TOKEN_INVALID"])
