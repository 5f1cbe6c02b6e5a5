"""The 13 checks of graphql-cop against a gateway as it stands in the world: each finds nothing.

As nobody, as a relying party that may run what it likes, and as one that runs what it has registered, which is what a
relying party is unless its registration says otherwise: what is behind authentication has to hold too.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.store.envelope import read_master_key
from tests.conftest import Caller
from tests.gateway.sandboxes import codes, outside_config, own_sandbox, settings_for
from tests.oauth.party import OAuthParty

PUBLIC_URL = "https://gateway.example"
JSON = "application/json"
FIELDS = "fields { type { " * 4 + "name" + " } }" * 4
CIRCULAR = f"query cop {{ __schema {{ types {{ {FIELDS} }} }} }}"
NOBODY, FREE, REGISTERED = "nobody", "a relying party", "a relying party with registered documents"
ASKERS = (NOBODY, FREE, REGISTERED)
HARMLESS = "{ __typename }"


class Scanner:
    """Sends what a scanner sends, with or without a relying party's credentials."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._parties: dict[str, tuple[OAuthParty, str]] = {}

    async def authorize(self, asker: str, party: OAuthParty) -> None:
        self._parties[asker] = party, await party.access_token()

    async def send(
        self, asker: str, content: bytes | None, *, method: str = "POST", path: str = "/graphql", **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            sent.setdefault("content-type", JSON)
        if asker == NOBODY:
            return await self._http.request(method, path, content=content, headers=sent)
        party, access_token = self._parties[asker]
        proof = party.proof("POST", f"{PUBLIC_URL}/graphql", access_token=access_token)
        sent |= {"authorization": f"DPoP {access_token}", "dpop": proof}
        response = await self._http.request(method, path, content=content, headers=sent)
        party.heard(response)
        return response

    async def ask(self, asker: str, query: str) -> httpx.Response:
        return await self.send(asker, orjson.dumps({"query": query}))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """A gateway with sandbox mode off."""
    folder = tmp_path_factory.mktemp("outside")
    config = outside_config(folder, PUBLIC_URL)
    read_master_key(folder / "state" / "keys" / "master.key", may_make=True)  # as an operator has made it
    async with own_sandbox(settings_for(folder / "state", config=config)) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scanner(outside: Caller) -> Scanner:
    made = Scanner(outside.http)
    operator = outside.running.gateway.operator
    for asker, different in ((FREE, {"registered_documents_only": False}), (REGISTERED, {})):
        party = OAuthParty(outside.http, PUBLIC_URL, id=f"oauth-{len(different)}")
        await operator.act("relying-party add", {"registration": party.registration(**different)})
        await operator.act("document add", {"party_id": party.id, "manifest": HARMLESS})
        await made.authorize(asker, party)
        assert (await made.ask(asker, HARMLESS)).json()["data"] == {"__typename": "Query"}
    return made


def assert_refused(response: httpx.Response, asker: str, code: str) -> None:
    """One error and nothing else: who says nothing of themself is not listened to any further."""
    body: dict[str, Any] = response.json()
    assert "data" not in body
    assert codes(body) == ([code] if asker != NOBODY else ["TOKEN_MISSING"])


DOCUMENTS = {
    "alias_overloading": ("{ " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }", "QUERY_TOO_COMPLEX"),
    "directive_overloading": (f"{{ __typename {'@aa' * 10} }}", "QUERY_TOO_COMPLEX"),
    "field_duplication": ("{ " + "__typename " * 500 + "}", "QUERY_TOO_COMPLEX"),
    "circular_query_introspection": (CIRCULAR, "INTROSPECTION_DISABLED"),
    "introspection": ("{ __schema { types { name fields { name } } } }", "INTROSPECTION_DISABLED"),
    "field_suggestions": ("{ subjct(consent: 1) { ref } }", "VALIDATION_FAILED"),
    "unhandled_error_detection": ("qwerty cop { abc }", "VALIDATION_FAILED"),
    "two operations": ("{ __typename } { __typename }", "OPERATION_AMBIGUOUS"),
    "two operations with names": ("query A { __typename } query B { __typename }", "OPERATION_AMBIGUOUS"),
    "introspection in a fragment": (
        "{ ...F } fragment F on Query { __schema { __typename } }",
        "INTROSPECTION_DISABLED",
    ),
}
"""Those of graphql-cop by its names, and rows 15, 16 and 24 of the bad inputs."""


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("check", DOCUMENTS)
async def test_a_document_of_the_scanner_is_refused_with_one_error(scanner: Scanner, check: str, asker: str) -> None:
    document, code = DOCUMENTS[check]
    response = await scanner.ask(asker, document)
    is_unknown = asker == REGISTERED and check == "field_suggestions"  # what is not registered is not validated
    assert_refused(response, asker, "OPERATION_NOT_REGISTERED" if is_unknown else code)
    assert "Did you mean" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("asker", ASKERS)
async def test_batch_query_ten_operations_are_not_run(scanner: Scanner, asker: str) -> None:
    content = orjson.dumps([{"query": HARMLESS}] * 10)
    assert_refused(await scanner.send(asker, content), asker, "BATCHING_DISABLED")


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("check", ["get_method_support", "get_based_mutation"])
async def test_nothing_is_run_by_get(scanner: Scanner, check: str, asker: str) -> None:
    query = "query%20cop%7B__typename%7D" if check == "get_method_support" else "mutation%20cop%7B__typename%7D"
    response = await scanner.send(asker, None, method="GET", path=f"/graphql?query={query}")
    assert (response.status_code, codes(response.json())) == (405, ["METHOD_NOT_ALLOWED"])


@pytest.mark.parametrize("asker", ASKERS)
async def test_post_based_csrf_a_form_is_no_request(scanner: Scanner, asker: str) -> None:
    form = "application/x-www-form-urlencoded"
    response = await scanner.send(asker, b"query=%7B__typename%7D", content_type=form)
    assert (response.status_code, codes(response.json())) == (415, ["UNSUPPORTED_MEDIA_TYPE"])


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("path", ["/graphql", "/graphiql", "/explorer", "/playground", "/console", "/v1/explorer"])
async def test_detect_graphiql_there_is_no_page_to_ask_from(scanner: Scanner, path: str, asker: str) -> None:
    response = await scanner.send(asker, None, method="GET", path=path, accept="text/html")
    assert response.status_code in (404, 406)
    assert "graphiql" not in response.text.lower()


@pytest.mark.parametrize("asker", ASKERS)
async def test_trace_mode_no_response_tells_how_it_was_made(scanner: Scanner, asker: str) -> None:
    response = await scanner.ask(asker, HARMLESS)
    assert set(response.json().get("extensions", {})) == {"requestId"}
    assert "tracing" not in response.text
