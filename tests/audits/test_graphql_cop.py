"""The 13 checks of graphql-cop against a gateway as it stands in the world: each finds nothing.

Once as nobody, and once as a relying party that may run what it likes: what is behind authentication has to hold too.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.store.envelope import read_master_key
from tests.conftest import Caller
from tests.gateway.sandboxes import changed, codes, copied_config, own_sandbox, settings_for
from tests.oauth.party import OAuthParty

PUBLIC_URL = "https://gateway.example"
JSON = "application/json"
FIELDS = "fields { type { " * 4 + "name" + " } }" * 4
CIRCULAR = f"query cop {{ __schema {{ types {{ {FIELDS} }} }} }}"
ASKERS = ("nobody", "a relying party")


class Scanner:
    """Sends what a scanner sends, with or without a relying party's credentials."""

    def __init__(self, http: httpx.AsyncClient, party: OAuthParty, access_token: str) -> None:
        self._http = http
        self._party = party
        self._access_token = access_token

    async def send(
        self, asker: str, content: bytes | None, *, method: str = "POST", path: str = "/graphql", **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if content is not None:
            sent.setdefault("content-type", JSON)
        if asker == "a relying party":
            proof = self._party.proof("POST", f"{PUBLIC_URL}/graphql", access_token=self._access_token)
            sent |= {"authorization": f"DPoP {self._access_token}", "dpop": proof}
        response = await self._http.request(method, path, content=content, headers=sent)
        self._party.heard(response)
        return response

    async def ask(self, asker: str, query: str) -> httpx.Response:
        return await self.send(asker, orjson.dumps({"query": query}))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def outside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """A gateway with sandbox mode off."""
    folder = tmp_path_factory.mktemp("outside")
    config = copied_config(folder)
    changed(config / "gateway.toml", "enabled = true", "enabled = false")
    changed(config / "gateway.toml", 'public_url = ""', f'public_url = "{PUBLIC_URL}"')
    read_master_key(folder / "state" / "keys" / "master.key", may_make=True)  # as an operator has made it
    async with own_sandbox(settings_for(folder / "state", config=config)) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scanner(outside: Caller) -> Scanner:
    party = OAuthParty(outside.http, PUBLIC_URL)
    registration = party.registration(registered_documents_only=False)
    await outside.running.gateway.operator.act("relying-party add", {"registration": registration})
    access_token = await party.access_token()
    made = Scanner(outside.http, party, access_token)
    assert (await made.ask("a relying party", "{ __typename }")).json()["data"] == {"__typename": "Query"}
    return made


def assert_refused(response: httpx.Response, asker: str, code: str) -> None:
    """One error and nothing else: who says nothing of themself is not listened to any further."""
    body: dict[str, Any] = response.json()
    assert "data" not in body
    assert codes(body) == ([code] if asker != "nobody" else ["TOKEN_MISSING"])


DOCUMENTS = {
    "alias_overloading": ("{ " + " ".join(f"alias{n}: __typename" for n in range(101)) + " }", "QUERY_TOO_COMPLEX"),
    "directive_overloading": (f"{{ __typename {'@aa' * 10} }}", "QUERY_TOO_COMPLEX"),
    "field_duplication": ("{ " + "__typename " * 500 + "}", "QUERY_TOO_COMPLEX"),
    "circular_query_introspection": (CIRCULAR, "VALIDATION_FAILED"),  # in the sandbox, too: graphql-core's own rule
    "introspection": ("{ __schema { types { name fields { name } } } }", "INTROSPECTION_DISABLED"),
    "field_suggestions": ("{ subjct(consent: 1) { ref } }", "VALIDATION_FAILED"),
    "unhandled_error_detection": ("qwerty cop { abc }", "VALIDATION_FAILED"),
}


@pytest.mark.parametrize("asker", ASKERS)
@pytest.mark.parametrize("check", DOCUMENTS)
async def test_a_document_of_the_scanner_is_refused_with_one_error(scanner: Scanner, check: str, asker: str) -> None:
    document, code = DOCUMENTS[check]
    response = await scanner.ask(asker, document)
    assert_refused(response, asker, code)
    assert "Did you mean" not in response.text
    assert "Traceback" not in response.text


@pytest.mark.parametrize("asker", ASKERS)
async def test_batch_query_ten_operations_are_not_run(scanner: Scanner, asker: str) -> None:
    content = orjson.dumps([{"query": "{ __typename }"}] * 10)
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
    response = await scanner.ask(asker, "{ __typename }")
    assert set(response.json().get("extensions", {})) == {"requestId"}
    assert "tracing" not in response.text
