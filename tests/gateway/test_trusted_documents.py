"""Registered documents: run by their id, and for some relying parties the only ones that are run."""

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from sqlalchemy import event
from sqlalchemy.engine import Engine

from gateway.app import utc_now
from gateway.documents import MAX_KEPT, Documents
from gateway.errors import ConfigurationError
from gateway.http.request import MAX_BODY_BYTES
from gateway.manifest import read_manifest
from gateway.opening import opened_stores
from gateway.operator import ask_running
from gateway.store.document_register import MAX_TEXT_BYTES, DocumentRegister
from gateway.store.trusted_documents import MAX_PARTY_BYTES
from resolvers.schema import schema as graphql_schema
from tests.conftest import Caller, FreshDatabase
from tests.gateway.gateway_process import quick_settings
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import changed, codes, copied_config, difference, own_sandbox, settings_for

LAWFUL = request_for("Immigration.statusLawful")
ADULT = request_for("Immigration.adult")
HASH = hashlib.sha256(LAWFUL.encode()).hexdigest()
ADULT_HASH = hashlib.sha256(ADULT.encode()).hexdigest()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """A sandbox where the bank may run anything, and the lender only what it has registered."""
    folder = tmp_path_factory.mktemp("trusted")
    config = copied_config(folder)
    changed(config / "relying_parties.toml", 'sector = "minato-finance"\n',
            'sector = "minato-finance"\nregistered_documents_only = true\n')  # fmt: skip
    async with own_sandbox(settings_for(folder / "state", config=config)) as made:
        for text in (LAWFUL, "{ __typename }"):
            await register(made, "lender", text)
        await register(made, "bank", ADULT)
        yield made


async def register(caller: Caller, party: str, manifest: str) -> dict[str, Any]:
    return await caller.running.gateway.operator.act("document add", {"party_id": party, "manifest": manifest})


async def post(caller: Caller, party: str, **body: Any) -> dict[str, Any]:
    response = await caller.http.post(
        "/graphql",
        content=orjson.dumps(body),
        headers={"authorization": f"Bearer {caller.running.keys[party]}", "content-type": "application/json"},
    )
    answered: dict[str, Any] = response.json()
    return answered | {"status": response.status_code}


BY_ID: dict[str, dict[str, Any]] = {
    "documentId": {"documentId": HASH},
    "documentId with its hash's name": {"documentId": f"sha256:{HASH}"},
    "documentId in capitals": {"documentId": HASH.upper()},
    "documentId in capitals with its hash's name": {"documentId": f"sha256:{HASH.upper()}"},
    "documentId beside its text": {"query": LAWFUL, "documentId": HASH},
    "persistedQuery": {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH}}},
    "persistedQuery beside its text": {"query": LAWFUL, "extensions": {"persistedQuery": {"sha256Hash": HASH}}},
    "persistedQuery in capitals": {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH.upper()}}},
    "persistedQuery in capitals beside its text": {
        "query": LAWFUL, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH.upper()}},
    },
    "persistedQuery and documentId": {
        "documentId": f"sha256:{HASH}", "extensions": {"persistedQuery": {"version": 1, "sha256Hash": HASH.upper()}},
    },
    "the text itself": {"query": LAWFUL},
}  # fmt: skip


@pytest.mark.parametrize("how", BY_ID)
async def test_a_registered_document_is_run_however_it_is_named(quick: Caller, how: str) -> None:
    token, _ = await quick.consent("P01", "lender", "LENDING", LAWFUL)
    body = await post(quick, "lender", variables={"consent": token}, **BY_ID[how])
    assert body["data"]["subject"]["immigration"]["statusLawful"]["value"] is True


NOT_REGISTERED: dict[str, dict[str, Any]] = {
    "another document": {"query": ADULT},
    "the same with a space more": {"query": f"{LAWFUL} "},
    "an unknown id": {"documentId": "0" * 64},
    "an empty id": {"documentId": ""},
    "another relying party's": {"documentId": ADULT_HASH},
    "an id that climbs": {"documentId": "../../etc/passwd"},
    "an unknown hash": {"extensions": {"persistedQuery": {"sha256Hash": "f" * 64}}},
}


@pytest.mark.parametrize("name", NOT_REGISTERED)
async def test_what_is_not_registered_is_not_run(quick: Caller, name: str) -> None:
    token, _ = await quick.consent("P02", "lender", "LENDING", request_for("Immigration.adult"))
    before = await quick.calls()
    body = await post(quick, "lender", variables={"consent": token}, **NOT_REGISTERED[name])
    assert (body["status"], codes(body)) == (403, ["OPERATION_NOT_REGISTERED"])
    assert difference(before, await quick.calls()) == {}


@pytest.mark.parametrize("party", ["bank", "lender"])
@pytest.mark.parametrize(
    "extensions",
    [
        {"persistedQuery": {"sha256Hash": HASH}},
        {"persistedQuery": {"version": 1}},
        {"persistedQuery": "x"},
        {"persistedQuery": {"sha256Hash": 1}},
    ],
)
async def test_a_hash_that_is_not_the_texts_is_refused(quick: Caller, party: str, extensions: dict[str, Any]) -> None:
    body = await post(quick, party, query="{ __typename }", extensions=extensions)
    assert (body["status"], codes(body)) == (400, ["BAD_REQUEST"])


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 1.0, [1]])
async def test_a_persisted_query_of_another_version_is_refused(quick: Caller, version: Any) -> None:
    extensions = {"persistedQuery": {"version": version, "sha256Hash": HASH}}
    for more in ({}, {"query": LAWFUL}):
        body = await post(quick, "lender", extensions=extensions, **more)
        assert (body["status"], codes(body)) == (400, ["BAD_REQUEST"])


DISAGREEING = {
    "the hash of another registered one": hashlib.sha256(b"{ __typename }").hexdigest(),
    "the hash of none": f"sha256:{'0' * 64}",
    "the name of another registered one": "by name",
    "a name of none": "nothing of this name",
}


@pytest.mark.parametrize("party", ["bank", "lender"])
@pytest.mark.parametrize("given_id", DISAGREEING.values(), ids=DISAGREEING)
async def test_an_id_beside_another_text_runs_neither(quick: Caller, party: str, given_id: str) -> None:
    await register(quick, party, json.dumps({"by name": "query Named { __typename }"}))
    await register(quick, party, LAWFUL)
    token, _ = await quick.consent("P02", party, "LENDING", LAWFUL)
    before = await quick.calls()
    body = await post(quick, party, query=LAWFUL, documentId=given_id, variables={"consent": token})
    assert (body["status"], codes(body), "data" in body) == (400, ["BAD_REQUEST"], False)
    assert difference(before, await quick.calls()) == {}


async def test_a_name_beside_the_text_that_it_was_registered_for_runs_it(quick: Caller) -> None:
    await register(quick, "lender", json.dumps({"typename": "query Typename { __typename }"}))
    body = await post(quick, "lender", query="query Typename { __typename }", documentId="typename")
    assert body["data"] == {"__typename": "Query"}


@pytest.mark.parametrize(
    ("given_id", "code"),
    [(HASH, "BAD_REQUEST"), ("x", "BAD_REQUEST"), (hashlib.sha256(b"{ __typename }").hexdigest(), None)],
)
async def test_a_person_has_registered_nothing_to_name(quick: Caller, given_id: str, code: str | None) -> None:
    response = await quick.http.post(
        "/graphql",
        json={"query": "{ __typename }", "documentId": given_id},
        headers={"authorization": "Person P01"},
    )
    assert codes(response.json()) == ([code] if code else [])


@pytest.mark.parametrize("written", [f"sha256:{ADULT_HASH}", ADULT_HASH.upper(), f"sha256:{ADULT_HASH.upper()}"])
async def test_an_id_is_registered_as_it_will_be_looked_for(quick: Caller, written: str) -> None:
    assert await register(quick, "landlord", json.dumps({written: ADULT})) == {"ids": [ADULT_HASH]}
    token, _ = await quick.consent("P01", "landlord", "TENANCY", ADULT)
    for document_id in (written, ADULT_HASH):
        assert not codes(await post(quick, "landlord", documentId=document_id, variables={"consent": token}))
    removing = {"party_id": "landlord", "document_id": written}
    assert await quick.running.gateway.operator.act("document remove", removing) == {"id": ADULT_HASH}


async def test_in_the_sandbox_others_run_what_they_like(quick: Caller) -> None:
    token, _ = await quick.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
    assert not codes(await post(quick, "bank", query=LAWFUL, variables={"consent": token}))


async def test_a_document_is_registered_while_the_gateway_runs_and_taken_off_again(quick: Caller) -> None:
    other = LAWFUL.replace("asOf", "asOf state2: state")
    token, _ = await quick.consent("P01", "lender", "LENDING", LAWFUL)
    asked = {"query": other, "variables": {"consent": token}}
    assert codes(await post(quick, "lender", **asked)) == ["OPERATION_NOT_REGISTERED"]
    (given_id,) = (await register(quick, "lender", other))["ids"]
    assert not codes(await post(quick, "lender", **asked))
    await quick.running.gateway.operator.act("document remove", {"party_id": "lender", "document_id": given_id})
    assert codes(await post(quick, "lender", **asked)) == ["OPERATION_NOT_REGISTERED"]


async def test_what_a_relying_party_asks_consent_for_it_may_run(quick: Caller) -> None:
    asking = "mutation($d: String!) { requestConsent(document: $d, purpose: LENDING) { id } }"
    document = request_for("Tax.residentTax")
    await register(quick, "lender", asking)
    requested = await post(quick, "lender", query=asking, variables={"d": document})
    opening = "mutation($r: ID!) { openConsentRequest(request: $r) { id } }"
    preview = await quick.as_person("P01", opening, {"r": requested["data"]["requestConsent"]["id"]})
    granting = "mutation($p: ID!) { grantConsent(preview: $p) { consentToken } }"
    granted = await quick.as_person("P01", granting, {"p": preview["data"]["openConsentRequest"]["id"]})
    variables = {"consent": granted["data"]["grantConsent"]["consentToken"]}
    assert not codes(await post(quick, "lender", query=document, variables=variables))


async def test_what_another_process_registered_just_now_is_known(
    fresh_postgres: FreshDatabase, tmp_path: Path
) -> None:
    settings = quick_settings(tmp_path / "state", fresh_postgres())
    async with opened_stores(settings, utc_now) as (_, _, one), opened_stores(settings, utc_now) as (_, _, other):
        await one.trusted_documents.add("bank", {"of a manifest": LAWFUL}, now=utc_now())
        assert not other.trusted_documents.has("bank", LAWFUL)
        assert not await other.trusted_documents.look_for_text("lender", LAWFUL)
        assert await other.trusted_documents.look_for_text("bank", LAWFUL)
        assert other.trusted_documents.find("bank", "of a manifest") == LAWFUL
        assert await other.trusted_documents.look("bank", "none") is None


async def test_what_another_process_took_off_or_registered_anew_is_known_once_it_is_read_again(
    fresh_postgres: FreshDatabase, tmp_path: Path
) -> None:
    settings = quick_settings(tmp_path / "state", fresh_postgres())
    async with opened_stores(settings, utc_now) as (_, _, one), opened_stores(settings, utc_now) as (_, _, other):
        await one.trusted_documents.add("bank", {"a": LAWFUL, "b": LAWFUL, "c": ADULT}, now=utc_now())
        await other.trusted_documents.load()
        await one.trusted_documents.remove("bank", "a")
        await one.trusted_documents.remove("bank", "c")
        await one.trusted_documents.add("bank", {"a": ADULT}, now=utc_now())
        await other.trusted_documents.load()
        assert [other.trusted_documents.find("bank", one_id) for one_id in "abc"] == [ADULT, LAWFUL, None]
        await one.trusted_documents.remove("bank", "b")
        await other.trusted_documents.load()
        assert (other.trusted_documents.has("bank", LAWFUL), other.trusted_documents.has("bank", ADULT)) == (
            False,
            True,
        )
        assert await other.trusted_documents.of_party("bank") == {"a": ADULT}


def long_texts(name: str, size_bytes: int) -> dict[str, str]:
    """Documents that are as long as one may be, so many bytes together."""
    return {
        f"{name}{number}": f"# {name}{number} ".ljust(MAX_BODY_BYTES, "x")
        for number in range(size_bytes // MAX_BODY_BYTES)
    }


@pytest.fixture
def read_texts() -> Iterator[list[str]]:
    """Every statement that reads documents' texts."""
    found: list[str] = []

    def note(statement: str) -> None:
        if "trusted_document.text" in statement.partition("FROM")[0]:
            found.append(statement)

    def on_connect(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(note)

    event.listen(Engine, "connect", on_connect)
    yield found
    event.remove(Engine, "connect", on_connect)


async def test_a_registration_reads_nothing_of_what_was_registered_before(
    read_texts: list[str], tmp_path: Path
) -> None:
    settings = quick_settings(tmp_path / "state")
    async with opened_stores(settings, utc_now) as (_, _, stores):
        for party in ("bank", "lender"):
            await stores.trusted_documents.add(party, long_texts(party, 2**20), now=utc_now())
    async with opened_stores(settings, utc_now) as (_, _, stores):
        read_texts.clear()
        await stores.trusted_documents.add("bank", {"new": LAWFUL}, now=utc_now())
        assert len(read_texts) == 1
        assert "'bank' AND trusted_document.id IN ('new')" in read_texts[0]
        assert stores.trusted_documents.find("bank", "new") == LAWFUL
        read_texts.clear()
        await stores.trusted_documents.remove("bank", "new")
        assert not await stores.trusted_documents.look_for_text("bank", LAWFUL)
        assert await stores.trusted_documents.look("bank", "new") is None
        assert read_texts == []


async def test_a_relying_party_registers_its_share_and_no_more(tmp_path: Path) -> None:
    asking = "mutation($d: String!) { requestConsent(document: $d, purpose: LENDING) { id } }"
    async with own_sandbox(settings_for(tmp_path)) as caller:
        documents = caller.running.gateway.stores.trusted_documents
        await documents.add("lender", long_texts("lender", MAX_PARTY_BYTES), now=utc_now())
        with pytest.raises(ConfigurationError, match="too much"):
            await documents.add("lender", {"one more": LAWFUL}, now=utc_now())
        asked = {"d": request_for("Tax.residentTax")}
        assert codes(await caller.as_party("lender", asking, asked)) == ["CONSENT_REQUEST_INVALID"]
        await documents.remove("lender", "lender0")
        assert codes(await caller.as_party("lender", asking, asked)) == []
        await documents.add("bank", {"another's": LAWFUL}, now=utc_now())


async def test_registrations_at_once_pass_no_bound_together(tmp_path: Path) -> None:
    async with opened_stores(quick_settings(tmp_path / "state"), utc_now) as (_, _, stores):
        halves = [long_texts(name, MAX_PARTY_BYTES // 2 + MAX_BODY_BYTES) for name in ("a", "b")]
        adding = [stores.trusted_documents.add("bank", half, now=utc_now()) for half in halves]
        done = await asyncio.gather(*adding, return_exceptions=True)
        assert [type(one) for one in done] == [type(None), ConfigurationError]


def test_of_many_texts_only_those_used_last_are_at_hand() -> None:
    register, texts = DocumentRegister(), long_texts("a", MAX_TEXT_BYTES + 10 * MAX_BODY_BYTES)
    for given_id, text in texts.items():
        register.remember("bank", given_id, text, added_at=utc_now())
        assert register.find("bank", "a0") == texts["a0"]
    at_hand = [given_id for given_id in texts if register.find("bank", given_id)]
    assert len(at_hand) == MAX_TEXT_BYTES // MAX_BODY_BYTES
    assert at_hand[0] == "a0"
    assert at_hand[-1] == list(texts)[-1]
    assert all(register.has("bank", text) for text in texts.values())
    assert register.find("lender", "a0") is None


async def test_an_id_never_comes_to_mean_another_document(quick: Caller) -> None:
    await register(quick, "bank", json.dumps({"same": ADULT}))
    with pytest.raises(ConfigurationError, match="names another"):
        await register(quick, "bank", json.dumps({"same": LAWFUL}))
    listed = await quick.running.gateway.operator.act("document list", {"party_id": "bank"})
    assert listed["documents"]["same"] == ADULT


async def test_a_running_gateway_takes_documents_from_the_command_line(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        added = await ask_running(tmp_path, "document add", {"party_id": "bank", "manifest": LAWFUL})
        assert added == {"ids": [HASH]}
        token, _ = await caller.consent("P01", "bank", "ACCOUNT_OPENING", LAWFUL)
        assert not codes(await post(caller, "bank", documentId=HASH, variables={"consent": token}))
    async with own_sandbox(settings_for(tmp_path)) as caller:
        assert not codes(await post(caller, "bank", documentId=HASH, variables={"consent": token}))


APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [{"id": HASH, "name": "Lawful", "type": "query", "body": LAWFUL}],
}


def test_the_manifests_of_apollo_and_relay_are_read() -> None:
    assert read_manifest(json.dumps(APOLLO)) == {HASH: LAWFUL}
    assert read_manifest(json.dumps({"6f5902ac237024bdd0c176cb93063dc4": LAWFUL})) == {
        "6f5902ac237024bdd0c176cb93063dc4": LAWFUL
    }
    assert read_manifest(LAWFUL) == {HASH: LAWFUL}
    assert list(read_manifest("{ __typename }").values()) == ["{ __typename }"]


@pytest.mark.parametrize("text", [json.dumps(APOLLO), json.dumps({HASH: LAWFUL}), LAWFUL])
def test_a_byte_order_mark_is_no_part_of_a_document(text: str) -> None:
    assert read_manifest(f"\ufeff{text}") == {HASH: LAWFUL}


def apollo(*operations: tuple[str, str]) -> str:
    return json.dumps({**APOLLO, "operations": [{"id": given_id, "body": body} for given_id, body in operations]})


def relay(*operations: tuple[str, str]) -> str:
    return "{" + ", ".join(f"{json.dumps(given_id)}: {json.dumps(text)}" for given_id, text in operations) + "}"


@pytest.mark.parametrize("written", [apollo, relay])
@pytest.mark.parametrize(("one", "other"), [("x", "x"), (HASH, f"sha256:{HASH}"), (HASH, HASH.upper())])
def test_a_manifest_where_one_id_names_two_documents_is_refused(written: Any, one: str, other: str) -> None:
    with pytest.raises(ConfigurationError, match="manifest: an id names two"):
        read_manifest(written((one, LAWFUL), (other, ADULT)))
    assert list(read_manifest(written((one, LAWFUL), (other, LAWFUL))).values()) == [LAWFUL]


@pytest.mark.parametrize(
    "manifest",
    [
        {**APOLLO, "version": 2},
        {**APOLLO, "operations": {}},
        {**APOLLO, "operations": [{"id": "x"}]},
        {**APOLLO, "operations": ["x"]},
        {"x": 1},
        {"": LAWFUL},
        {"x" * 257: LAWFUL},
    ],
)
def test_a_file_that_is_no_manifest_is_refused(manifest: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="manifest"):
        read_manifest(json.dumps(manifest))


@pytest.mark.parametrize(
    "text", ["{ me { id } }", "{ nothing }", "{", 'mutation { revokeConsent(grant: "x") { id } }']
)
async def test_a_document_that_no_relying_party_could_run_is_not_registered(quick: Caller, text: str) -> None:
    with pytest.raises(ConfigurationError, match="document"):
        await register(quick, "bank", text)


async def test_no_more_documents_are_kept_than_there_is_room_for() -> None:
    schema = graphql_schema._schema
    documents = Documents(schema, None, sandbox=True)  # type: ignore[arg-type]  # none is registered here
    first = documents.read("query A { __typename }")
    for number in range(MAX_KEPT - 1):
        documents.read(f"query B{number} {{ __typename }}")
    assert documents.read("query A { __typename }") is first
    documents.read("query C { __typename }")
    assert documents.read("query A { __typename }") is first, "the one that was not used for longest has gone"
    gone = documents.read("query B0 { __typename }")
    assert documents.read("query B0 { __typename }") is gone


async def test_nothing_is_listed_of_a_relying_party_that_there_is_not(quick: Caller) -> None:
    with pytest.raises(ConfigurationError, match="relying party: there is none of this id"):
        await quick.running.gateway.operator.act("document list", {"party_id": "nobody"})
