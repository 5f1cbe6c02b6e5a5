"""What npm graphql-http 1.23.1 audits of a server of GraphQL over HTTP, by the ids of its audits.

`make interop` runs those audits themselves; these send the same requests, without Node.js.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx
import orjson
import pytest
import pytest_asyncio

from tests.conftest import Caller
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

RESPONSE = "application/graphql-response+json"
JSON = "application/json"
TYPENAME = "{ __typename }"
NAMED = "query Type($name: String!) { __type(name: $name) { name } }"
NO_FIELD = "{ 8f31403dfe404bccbb0e835f2629c6a7 }"
NULL_FOR_AN_ID = {"query": "query CoerceFailure($id: ID!){ __typename }", "variables": {"id": None}}
NO_JSON = b'{ "not a JSON'


@dataclass(frozen=True, slots=True)
class Audit:
    """What is asked for, one request, and what has to come of it.

    `code`: of the refusal, without one it is answered. The audit does not look at it; here nothing is refused for
    another reason than the one that is meant.
    """

    says: str
    status: int = 200
    code: str | None = None
    body: Any = field(default_factory=lambda: {"query": TYPENAME})
    accept: str | None = None
    content_type: str | None = JSON
    answers_with: str | None = None
    by_get: dict[str, str] | None = None


def bad(says: str, body: Any, *, accept: str | None = None) -> Audit:
    """What is no request at all, whatever media type the caller takes."""
    return Audit(says, 400, "BAD_JSON" if body == NO_JSON else "BAD_REQUEST", body, accept)


def wrong(says: str, body: Any, accept: str) -> Audit:
    """A request whose document or variables are wrong: its status is the media type's matter."""
    status = 400 if accept == RESPONSE else 200
    return Audit(says, status, "VALIDATION_FAILED", body, accept)


def good(says: str, accept: str | None = None, **members: Any) -> Audit:
    """A request that is answered, without an error."""
    return Audit(says, body={"query": TYPENAME} | members, accept=accept)


def by_get(says: str, accept: str | None = None, **parameters: str) -> Audit:
    """Nothing is asked by GET here, which a server may decide; the package notices it and no more."""
    return Audit(says, 405, "METHOD_NOT_ALLOWED", accept=accept, by_get=parameters)


def no_text(says: str, prefix: str, member: str) -> dict[str, Audit]:
    """The four things other than text that a member is audited with."""
    return {
        f"{prefix}{n}": bad(f"{says} that is {kind} is refused", {"query": TYPENAME} | {member: value})
        for n, (kind, value) in enumerate(
            {"an object": {"obj": "ect"}, "a number": 0, "false": False, "a list": ["array"]}.items()
        )
    }


def no_map(says: str, prefix: str, member: str) -> dict[str, Audit]:
    """The four things other than a map that a member is audited with."""
    return {
        f"{prefix}{n}": bad(f"{says} that are {kind} are refused", {"query": TYPENAME, member: value})
        for n, (kind, value) in enumerate(
            {"text": "string", "a number": 0, "false": False, "a list": ["array"]}.items()
        )
    }


AUDITS: dict[str, Audit] = {
    "22EB": Audit("the newer media type is answered in kind", accept=RESPONSE, answers_with=RESPONSE),
    "4655": Audit("the older media type is answered in kind", accept=JSON, answers_with=JSON),
    "47DE": Audit("who takes anything gets the older one", accept="*/*", answers_with=JSON),
    "80D8": Audit("who does not say what they take gets the older one", answers_with=JSON),
    "82A3": Audit("what is answered is UTF-8", answers_with=JSON),
    "BF61": Audit("what is asked in UTF-8, and says so, is read",
                  body={"query": '{ __type(name: "Run🏃Swim🏊") { name } }'},
                  content_type=f"{JSON}; charset=utf-8"),
    "78D5": good("what does not say its encoding is UTF-8"),
    "2C94": good("POST is taken"),
    "5A70": by_get("a query by GET is optional", query=TYPENAME),
    "9C48": by_get("a mutation by GET is never run", RESPONSE, query="mutation { __typename }"),
    "9ABE": Audit("a POST of no media type is refused", 415, "UNSUPPORTED_MEDIA_TYPE", content_type=None),
    "03D4": good("JSON by POST is taken"),
    "A5BF": bad("a POST of nothing is refused", None),
    "423L": bad("a request without a document is refused", {"notquery": TYPENAME}, accept=RESPONSE),
    **no_text("a document", "LKJ", "query"),
    "34A2": good("a document that is text is taken, in the newer media type", RESPONSE),
    "13EE": good("a document that is text is taken, in the older one", JSON),
    **no_text("an operation's name", "6C0", "operationName"),
    "8161": good("a name is taken, newer", RESPONSE, query="query Query { __typename }", operationName="Query"),
    "B8B3": good("a name is taken, older", JSON, query="query Query { __typename }", operationName="Query"),
    "94B0": good("variables of null are none, newer", RESPONSE, variables=None),
    "0220": good("variables of null are none, older", JSON, variables=None),
    "94B1": good("a name of null is none, newer", RESPONSE, operationName=None),
    "0221": good("a name of null is none, older", JSON, operationName=None),
    "94B2": good("extensions of null are none, newer", RESPONSE, extensions=None),
    "0222": good("extensions of null are none, older", JSON, extensions=None),
    **no_map("variables", "476", "variables"),
    "2EA1": good("variables are a map, newer", RESPONSE, query=NAMED, variables={"name": "sometype"}),
    "28B9": good("variables are a map, older", JSON, query=NAMED, variables={"name": "sometype"}),
    "D6D5": by_get("variables by GET are optional, newer", RESPONSE, query=NAMED, variables='{"name":"sometype"}'),
    "6A70": by_get("variables by GET are optional, older", JSON, query=NAMED, variables='{"name":"sometype"}'),
    **no_map("extensions", "58B", "extensions"),
    "428F": good("extensions are a map, newer", RESPONSE, extensions={"some": "value"}),
    "1B7A": good("extensions are a map, older", JSON, extensions={"some": "value"}),
    "B6DC": bad("what is no JSON has any status but a redirect's", NO_JSON, accept=JSON),
    "BCF8": bad("what is no JSON is a 400, older", NO_JSON, accept=JSON),
    "B7N8": bad("what is no JSON is a 400, newer", NO_JSON, accept=RESPONSE),
    "8764": bad("a misspelt member is refused", {"qeury": TYPENAME}),
    "3E3A": bad("a misspelt member is a 400", {"qeury": TYPENAME}),
    "572B": wrong("a document that cannot be read is a 200, older", {"query": "{"}, JSON),
    "FDE2": wrong("a document that is not valid is a 200, older", {"query": NO_FIELD}, JSON),
    "7B9B": wrong("a variable of the wrong type is a 200, older", NULL_FOR_AN_ID, JSON),
    "865D": wrong("a document that cannot be read is refused by status, newer", {"query": "{"}, RESPONSE),
    "556A": wrong("a document that cannot be read is a 400, newer", {"query": "{"}, RESPONSE),
    "D586": wrong("a document that cannot be read has no data, newer", {"query": "{"}, RESPONSE),
    "51FE": wrong("a document that is not valid is refused by status, newer", {"query": NO_FIELD}, RESPONSE),
    "74FF": wrong("a document that is not valid is a 400, newer", {"query": NO_FIELD}, RESPONSE),
    "5E5B": wrong("a document that is not valid has no data, newer", {"query": NO_FIELD}, RESPONSE),
    "86EE": wrong("a variable of the wrong type is a 400, newer", NULL_FOR_AN_ID, RESPONSE),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


async def send(caller: Caller, audit: Audit, authorization: str | None) -> httpx.Response:
    content = audit.body if isinstance(audit.body, bytes | None) else orjson.dumps(audit.body)
    request = (
        caller.http.build_request("POST", "/graphql", content=content)
        if audit.by_get is None
        else caller.http.build_request("GET", f"/graphql?{urlencode(audit.by_get)}")
    )
    del request.headers["accept"]
    content_type = audit.content_type if audit.by_get is None else None
    headers = {"accept": audit.accept, "content-type": content_type, "authorization": authorization}
    request.headers.update({name: value for name, value in headers.items() if value is not None})
    return await caller.http.send(request)


def check(audit: Audit, response: httpx.Response) -> None:
    body = response.json()
    assert (response.status_code, codes(body)) == (audit.status, [audit.code] if audit.code else []), audit.says
    assert response.headers["content-type"] == f"{audit.answers_with or audit.accept or JSON}; charset=utf-8"
    assert ("data" in body, "errors" in body) == (audit.code is None, audit.code is not None), audit.says


@pytest.mark.parametrize("audit_id", AUDITS)
async def test_an_audit_of_graphql_over_http_by_nobody(quick: Caller, audit_id: str) -> None:
    check(AUDITS[audit_id], await send(quick, AUDITS[audit_id], None))


@pytest.mark.parametrize("audit_id", AUDITS)
async def test_an_audit_of_graphql_over_http_by_a_relying_party(quick: Caller, audit_id: str) -> None:
    check(AUDITS[audit_id], await send(quick, AUDITS[audit_id], f"Bearer {quick.running.keys['bank']}"))


def test_no_audit_is_left_out() -> None:
    assert len(AUDITS) == 61
