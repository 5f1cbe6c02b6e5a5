"""The ways round an authorization that gateways are known to have left open, one test each.

Each asks for what the person was not asked for, or under what is over: denied, with no call to the source that holds
it. The ways that this schema has no place for stand at the end, so that whoever makes one such place comes here.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio
from graphql import GraphQLInterfaceType, GraphQLUnionType, build_schema

from connectors.interface import SourceAuthority
from connectors.profile import Behaviour
from gateway.errors import ConfigurationError
from resolvers.schema import schema
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import Clock, codes, difference, own_sandbox, settings_for

LAWFUL = "immigration { statusLawful { value } }"
SECRET = "residentTax"
PROTECTED = "TAX"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def token(quick: Caller) -> str:
    """P10 let the lender know one thing: whether the stay is lawful."""
    return (await quick.consent("P10", "lender", "LENDING", request_for("Immigration.statusLawful")))[0]


async def post(caller: Caller, body: Any, *, party: str = "lender") -> httpx.Response:
    return await caller.http.post(
        "/graphql",
        content=orjson.dumps(body),
        headers={"authorization": f"Bearer {caller.running.keys[party]}", "content-type": "application/json"},
    )


def nothing_of_it(body: Any) -> bool:
    """Whether no value of the protected field is anywhere in a response."""
    text = orjson.dumps(body).decode()
    return not any(value in text for value in ("ARREARS", '"CLEAR"', "NOT_LIABLE"))


ASKED = {
    "an alias": f"tax {{ innocent: {SECRET} {{ value }} }}",
    "an alias of the consented field's name": f"immigration: tax {{ statusLawful: {SECRET} {{ value }} }}",
    "the same field twice": f"tax {{ {SECRET} {{ value }} {SECRET} {{ value }} }}",
    "a named fragment": "...Hidden",
    "an inline fragment": f"... on Subject {{ ... {{ tax {{ {SECRET} {{ value }} }} }} }}",
    "sibling fragments with one response key": f"{LAWFUL} ... {{ tax {{ a: {SECRET} {{ value }} }} }} "
    f"... {{ tax {{ a: {SECRET} {{ value }} }} }}",
    "__typename alone of it": f"tax {{ {SECRET} {{ __typename }} }}",
    "include by a literal": f"tax @include(if: true) {{ {SECRET} @skip(if: false) {{ value }} }}",
}


@pytest.mark.parametrize("way", ASKED)
async def test_the_field_is_refused_however_it_is_written(quick: Caller, token: str, way: str) -> None:
    before = await quick.calls()
    hidden = f" fragment Hidden on Subject {{ tax {{ {SECRET} {{ value }} }} }}" if "...Hidden" in ASKED[way] else ""
    document = f"query($c: ConsentToken!) {{ subject(consent: $c) {{ {ASKED[way]} }} }}{hidden}"
    body = await quick.as_party("lender", document, {"c": token})
    assert set(codes(body)) == {"FIELD_NOT_CONSENTED"}
    assert nothing_of_it(body)
    assert PROTECTED not in difference(before, await quick.calls())


async def test_sibling_fragments_with_one_response_key_for_two_fields_are_no_document(
    quick: Caller, token: str
) -> None:
    before = await quick.calls()
    siblings = "... { immigration { a: statusLawful { value } } } ... { immigration { a: adult { value } } }"
    document = f"query($c: ConsentToken!) {{ subject(consent: $c) {{ {siblings} }} }}"
    assert codes(await quick.as_party("lender", document, {"c": token})) == ["VALIDATION_FAILED"]
    assert difference(before, await quick.calls()) == {}


@pytest.mark.parametrize("directive", ["@include(if: $more)", "@skip(if: $less)"])
async def test_a_condition_by_a_variable_is_decided_before_the_gate(
    quick: Caller, token: str, directive: str
) -> None:
    before = await quick.calls()
    document = (
        f"query($c: ConsentToken!, $more: Boolean = true, $less: Boolean = false) {{ subject(consent: $c) "
        f"{{ {LAWFUL} tax {directive} {{ {SECRET} {{ value }} }} more: __typename @include(if: $more) "
        "less: __typename @skip(if: $less) } }"
    )
    for more in (True, False, True):
        body = await quick.as_party("lender", document, {"c": token, "more": more, "less": not more})
        assert codes(body) == (["FIELD_NOT_CONSENTED"] if more else [])
        assert nothing_of_it(body)
    assert PROTECTED not in difference(before, await quick.calls())


async def test_deferred_fields_are_no_document(quick: Caller, token: str) -> None:
    before = await quick.calls()
    document = (
        f"query($c: ConsentToken!) {{ subject(consent: $c) {{ ... @defer {{ tax {{ {SECRET} {{ value }} }} }} }} }}"
    )
    body = await quick.as_party("lender", document, {"c": token})
    assert codes(body) == ["VALIDATION_FAILED"]
    assert difference(before, await quick.calls()) == {}


async def test_a_batched_array_is_no_request(quick: Caller, token: str) -> None:
    before = await quick.calls()
    one = {"query": request_for("Tax.residentTax"), "variables": {"consent": token}}
    body = (await post(quick, [one, one])).json()
    assert codes(body) == ["BATCHING_DISABLED"]
    assert difference(before, await quick.calls()) == {}


@pytest.mark.parametrize("name", ["person", "subject", "sub", "personId", "relyingParty"])
async def test_a_variable_cannot_say_whom_or_as_whom_it_is_asked(quick: Caller, token: str, name: str) -> None:
    before = await quick.calls()
    variables = {"consent": token, name: "P18"}
    body = await quick.as_party("lender", request_for("Immigration.statusLawful"), variables)
    assert codes(body) == ["VALIDATION_FAILED"]
    assert difference(before, await quick.calls()) == {}


async def test_introspection_beside_a_question_is_no_way_in(quick: Caller, token: str) -> None:
    before = await quick.calls()
    asked = f"subject(consent: $c) {{ tax {{ {SECRET} {{ value }} }} }}"
    document = f"query($c: ConsentToken!) {{ __schema {{ queryType {{ name }} }} {asked} }}"
    assert codes(await quick.as_party("lender", document, {"c": token})) == ["VALIDATION_FAILED"]
    assert difference(before, await quick.calls()) == {}


async def test_a_persisted_id_whose_document_changed_opens_nothing_more(quick: Caller, token: str) -> None:
    operator = quick.running.gateway.operator
    harmless, changed = request_for("Immigration.statusLawful"), request_for("Tax.residentTax")
    asked = {"documentId": "mine", "variables": {"consent": token}}
    given = {"party_id": "lender", "manifest": json.dumps({"mine": harmless})}
    await operator.act("document add", given)
    assert codes((await post(quick, asked)).json()) == []
    with pytest.raises(ConfigurationError, match="names another"):
        await operator.act("document add", given | {"manifest": json.dumps({"mine": changed})})
    await operator.act("document remove", {"party_id": "lender", "document_id": "mine"})
    await operator.act("document add", given | {"manifest": json.dumps({"mine": changed})})
    before = await quick.calls()
    body = (await post(quick, asked)).json()
    assert codes(body) == ["FIELD_NOT_CONSENTED"]
    assert nothing_of_it(body)
    assert difference(before, await quick.calls()) == {}


async def test_a_persisted_id_beside_another_text_runs_neither(quick: Caller, token: str) -> None:
    harmless, other = request_for("Immigration.statusLawful"), request_for("Tax.residentTax")
    await quick.running.gateway.operator.act("document add", {"party_id": "lender", "manifest": harmless})
    given_id = hashlib.sha256(harmless.encode()).hexdigest()
    before = await quick.calls()
    body = (await post(quick, {"documentId": given_id, "query": other, "variables": {"consent": token}})).json()
    assert codes(body) == ["BAD_REQUEST"]
    assert nothing_of_it(body)
    assert difference(before, await quick.calls()) == {}


async def test_a_persisted_querys_hash_has_to_be_its_texts(quick: Caller, token: str) -> None:
    before = await quick.calls()
    extensions = {"persistedQuery": {"version": 1, "sha256Hash": "0" * 64}}
    asked = {"query": request_for("Tax.residentTax"), "variables": {"consent": token}, "extensions": extensions}
    assert codes((await post(quick, asked)).json()) == ["BAD_REQUEST"]
    assert difference(before, await quick.calls()) == {}


async def test_another_relying_partys_token_is_no_token(quick: Caller, token: str) -> None:
    before = await quick.calls()
    asked = {"query": request_for("Immigration.statusLawful"), "variables": {"consent": token}}
    body = (await post(quick, asked, party="bank")).json()
    assert (body["data"], codes(body)) == ({"subject": None}, ["CONSENT_INVALID"])
    assert difference(before, await quick.calls()) == {}


async def test_consented_and_unconsented_people_in_one_operation_stay_apart(quick: Caller, token: str) -> None:
    document = "query($c: [ConsentToken!]!) { subjects(consents: $c) { tax { residentTax { value } } } }"
    consented, _ = await quick.consent("P18", "lender", "LENDING", request_for("Tax.residentTax"))
    before = await quick.calls()
    body = await quick.as_party("lender", document, {"c": [token, consented, token]})
    first, second, third = body["data"]["subjects"]
    assert first == third == {"tax": {"residentTax": None}}
    assert second["tax"]["residentTax"] is not None
    assert codes(body) == ["FIELD_NOT_CONSENTED"] * 2
    assert difference(before, await quick.calls()).get(PROTECTED, 0) <= 4  # those of one person, at most


async def test_two_consents_to_different_things_share_neither_cache_nor_call(quick: Caller) -> None:
    both = request_for("Immigration.statusLawful", "Tax.residentTax")
    wide, _ = await quick.consent("P11", "lender", "LENDING", both)
    narrow, _ = await quick.consent("P11", "bank", "LENDING", request_for("Immigration.statusLawful"))
    await quick.as_party("lender", both, {"consent": wide})
    before = await quick.calls()
    body = await quick.as_party("bank", both, {"consent": narrow})
    assert codes(body) == ["FIELD_NOT_CONSENTED"]
    assert body["data"]["subject"]["tax"]["residentTax"] is None
    assert PROTECTED not in difference(before, await quick.calls())


@pytest.mark.parametrize("ending", ["it expires", "it is taken back"])
async def test_a_consent_that_ends_while_the_sources_are_asked_answers_nothing(
    tmp_path_factory: pytest.TempPathFactory, ending: str
) -> None:
    slow = {SourceAuthority.TAX: Behaviour(latency_ms=(1_000, 1_000))}
    clock = Clock()
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"), behaviours=slow), clock=clock) as caller:
        token, grant = await caller.consent("P10", "lender", "LENDING", request_for("Tax.residentTax"))
        await caller.running.gateway.gatherer.cancel(grant)
        asking = asyncio.create_task(caller.as_party("lender", request_for("Tax.residentTax"), {"consent": token}))
        await asyncio.sleep(0.3)
        if ending == "it expires":
            clock.ahead = timedelta(days=400)
        else:
            await caller.revoke("P10", grant)
        body = await asking
    assert (body["data"], codes(body)) == ({"subject": None}, ["CONSENT_ENDED"])


def test_the_schema_has_no_place_for_the_other_ways() -> None:
    """No union, no interface, no subscription, no federation: each has been a way round at some gateway."""
    built = build_schema(schema.as_str())
    kinds = {type(named) for name, named in built.type_map.items() if not name.startswith("__")}
    assert not kinds & {GraphQLUnionType, GraphQLInterfaceType}
    assert built.subscription_type is None
    assert built.query_type is not None
    assert not {"_entities", "_service", "node", "nodes"} & set(built.query_type.fields)
    assert not {"requires", "key", "provides"} & {directive.name for directive in built.directives}


def test_no_permission_is_left_to_the_executor() -> None:
    """Permission classes that forgot to be awaited have let everybody in; the gate stands before execution."""
    definitions: list[Any] = [
        named.definition for named in schema.schema_converter.type_map.values() if hasattr(named.definition, "fields")
    ]
    assert definitions
    assert not [field for one in definitions for field in one.fields if getattr(field, "permission_classes", None)]
