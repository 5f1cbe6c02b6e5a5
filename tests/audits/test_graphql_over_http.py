"""What npm graphql-http 1.23.1 audits of a server of GraphQL over HTTP, by the ids of its audits.

`make interop` runs those audits themselves; these are the same requirements, without Node.js.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from tests.conftest import Caller
from tests.gateway.sandboxes import own_sandbox, settings_for

RESPONSE = "application/graphql-response+json"
JSON = "application/json"
UTF8 = "charset=utf-8"
TYPENAME = "{ __typename }"
COERCES = "query Coerce($id: String!) { __type(name: $id) { name } }"


@dataclass(frozen=True, slots=True)
class Audit:
    """One request and what has to come of it. `data`: whether the body has it (None: either). `broken`: no JSON."""

    statuses: tuple[int, ...]
    body: Any = field(default_factory=lambda: {"query": TYPENAME})
    accept: str | None = JSON
    content_type: str | None = JSON
    answers_with: str | None = None
    data: bool | None = None
    method: str = "POST"
    query: str = ""


FINE = {"statuses": (200,), "data": True}
BAD: tuple[int, ...] = (400,)


def parameter(name: str, value: Any, **more: Any) -> Audit:
    """A request with one parameter like this."""
    return Audit(**{"statuses": BAD, "accept": RESPONSE, "body": {"query": TYPENAME, name: value}} | more)


def fine(name: str, value: Any, accept: str) -> Audit:
    body = {"query": "query Named { __typename }" if name == "operationName" else TYPENAME, name: value}
    return Audit((200,), body, accept, data=True)


AUDITS: dict[str, Audit] = {
    "22EB": Audit((200,), accept=RESPONSE, answers_with=RESPONSE, data=True),
    "4655": Audit((200,), accept=JSON, answers_with=JSON, data=True),
    "47DE": Audit((200,), accept="*/*", answers_with=JSON, data=True),
    "80D8": Audit((200,), accept=None, answers_with=JSON, data=True),
    "82A3": Audit((200,), answers_with=f"{JSON}; {UTF8}"),
    "BF61": Audit((200,), content_type=f"{JSON}; {UTF8}", data=True),
    "78D5": Audit((200,), body={"query": "{ __type(name: \"名\") { name } }"}, data=True),
    "2C94": Audit((200,), data=True),
    "5A70": Audit((405,), method="GET", query="?query=%7B__typename%7D"),
    "9C48": Audit((405,), method="GET", query="?query=mutation%20%7B__typename%7D"),
    "9ABE": Audit((415,), content_type=None),
    "03D4": Audit((200,), data=True),
    "A5BF": Audit(BAD, body=None),
    "423L": Audit(BAD, body={"notquery": TYPENAME}),
    **{f"LKJ{n}": Audit(BAD, body={"query": value}) for n, value in enumerate(({"a": 1}, 0, False, ["array"]))},
    "34A2": fine("query", TYPENAME, RESPONSE),
    "13EE": fine("query", TYPENAME, JSON),
    **{f"6C0{n}": parameter("operationName", v) for n, v in enumerate(({"a": 1}, 0, False, ["array"]))},
    "8161": fine("operationName", "Named", RESPONSE),
    "B8B3": fine("operationName", "Named", JSON),
    "94B0": fine("variables", None, RESPONSE),
    "0220": fine("variables", None, JSON),
    "94B1": fine("operationName", None, RESPONSE),
    "0221": fine("operationName", None, JSON),
    "94B2": fine("extensions", None, RESPONSE),
    "0222": fine("extensions", None, JSON),
    **{f"476{n}": parameter("variables", v) for n, v in enumerate(("string", 0, False, ["array"]))},
    "2EA1": Audit((200,), {"query": COERCES, "variables": {"id": "Query"}}, RESPONSE, data=True),
    "28B9": Audit((200,), {"query": COERCES, "variables": {"id": "Query"}}, JSON, data=True),
    "D6D5": Audit((405,), accept=RESPONSE, method="GET", query="?query=%7B__typename%7D&variables=%7B%7D"),
    "6A70": Audit((405,), accept=JSON, method="GET", query="?query=%7B__typename%7D&variables=%7B%7D"),
    **{f"58B{n}": parameter("extensions", v) for n, v in enumerate(("string", 0, False, ["array"]))},
    "428F": fine("extensions", {"some": "value"}, RESPONSE),
    "1B7A": fine("extensions", {"some": "value"}, JSON),
    "B6DC": Audit(BAD, body=b'{ "not a JSON'),
    "BCF8": Audit(BAD, body=b'{ "not a JSON'),
    "B7N8": Audit(BAD, body=b'{ "not a JSON', accept=RESPONSE),
    "8764": Audit(BAD, body={"qeury": TYPENAME}, accept=RESPONSE),
    "3E3A": Audit(BAD, body={"qeury": TYPENAME}, accept=RESPONSE),
    "572B": Audit((200,), {"query": "{"}, JSON, data=False),
    "FDE2": Audit((200,), {"query": "{ 8f31403dfe404bccbb0e835f2629c6a7 }"}, JSON, data=False),
    "7B9B": Audit((200,), {"query": COERCES, "variables": {"id": None}}, JSON, data=False),
    "865D": Audit(BAD, {"query": "{"}, RESPONSE),
    "556A": Audit(BAD, {"query": "{"}, RESPONSE),
    "D586": Audit(BAD, {"query": "{"}, RESPONSE, data=False),
    "51FE": Audit(BAD, {"query": "{ nothingOfThisName }"}, RESPONSE),
    "74FF": Audit(BAD, {"query": "{ nothingOfThisName }"}, RESPONSE),
    "5E5B": Audit(BAD, {"query": "{ nothingOfThisName }"}, RESPONSE, data=False),
    "86EE": Audit(BAD, {"query": COERCES, "variables": {"id": None}}, RESPONSE, data=False),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


async def send(caller: Caller, audit: Audit, headers: dict[str, str]) -> httpx.Response:
    given = {"accept": audit.accept, "content-type": audit.content_type if audit.method == "POST" else None}
    request = caller.http.build_request(
        audit.method,
        f"/graphql{audit.query}",
        content=audit.body if isinstance(audit.body, bytes | None) else orjson.dumps(audit.body),
        headers=headers,
    )
    del request.headers["accept"]
    request.headers.update({name: value for name, value in given.items() if value is not None})
    return await caller.http.send(request)


@pytest.mark.parametrize("asker", ["nobody", "the bank"])
@pytest.mark.parametrize("audit_id", AUDITS)
async def test_an_audit_of_graphql_over_http(quick: Caller, audit_id: str, asker: str) -> None:
    audit = AUDITS[audit_id]
    headers = {"authorization": f"Bearer {quick.running.keys['bank']}"} if asker == "the bank" else {}
    response = await send(quick, audit, headers)
    assert response.status_code in audit.statuses
    content_type = response.headers["content-type"]
    assert UTF8 in content_type
    if audit.answers_with is not None:
        assert content_type.startswith(audit.answers_with)
    body = response.json()
    assert response.status_code == 200 or "data" not in body
    if audit.data is not None:
        assert ("data" in body) is audit.data
        assert ("errors" in body) is not audit.data


def test_no_audit_is_left_out() -> None:
    assert len(AUDITS) == 61
