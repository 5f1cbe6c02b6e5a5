"""What many tests share: a running sandbox, and callers for relying parties and people."""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.sandbox import RunningSandbox, open_sandbox
from gateway.settings import load_settings
from gateway.store.database import sqlite_url
from tests.postgres import running_postgres

ROOT = Path(__file__).parents[1]

FreshDatabase = Callable[[], str]
"""Makes an empty database; its URL."""


def full_count(count: int, *, parts: int = 10) -> int:
    """The number of rounds of a heavy test: all of them in `make soak`, a tenth, or another part, otherwise."""
    return count if os.environ.get("KYOSEI_SOAK") else max(1, count // parts)


class Caller:
    """Speaks GraphQL to one gateway over a real socket."""

    def __init__(self, running: RunningSandbox) -> None:
        self.running = running
        self.http = httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30)

    async def post(
        self, authorization: str, query: str, variables: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """The whole response to one operation."""
        return await self.http.post(
            "/graphql",
            content=orjson.dumps({"query": query, "variables": variables or {}}),
            headers={"authorization": authorization, "content-type": "application/json"},
        )

    async def as_party(self, party: str, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The body of a relying party's operation."""
        body: dict[str, Any] = (await self.post(f"Bearer {self.running.keys[party]}", query, variables)).json()
        return body

    async def as_person(self, person: str, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The body of a person's operation."""
        body: dict[str, Any] = (await self.post(f"Person {person}", query, variables)).json()
        return body

    async def preview(
        self, person: str, party: str, purpose: str, document: str, variables: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The body of a preview, with every previewed question."""
        query = """
            mutation($document: String!, $variables: JSON, $party: ID!, $purpose: Purpose!) {
              previewConsent(document: $document, variables: $variables, relyingParty: $party, purpose: $purpose) {
                id expiresAt uses
                questions { question claim { value state reason } decision { outcome rules { id result } } }
              }
            }
        """
        given = {"document": document, "variables": variables or {}, "party": party, "purpose": purpose}
        return await self.as_person(person, query, given)

    async def consent(
        self,
        person: str,
        party: str,
        purpose: str,
        document: str,
        variables: Mapping[str, Any] | None = None,
        leave_out: tuple[str, ...] = (),
    ) -> tuple[str, str]:
        """Preview and grant, a minor with their guardian: the consent token and the grant's id."""
        preview = (await self.preview(person, party, purpose, document, variables))["data"]["previewConsent"]
        granted = await self.as_person(
            self.running.deciding(person),
            "mutation($id: ID!, $out: [String!]) "
            "{ grantConsent(preview: $id, leaveOut: $out) { consentToken grant { id } } }",
            {"id": preview["id"], "out": list(leave_out)},
        )
        made = granted["data"]["grantConsent"]
        return made["consentToken"], made["grant"]["id"]

    async def revoke(self, person: str, grant_id: str) -> dict[str, Any]:
        """Take a consent back."""
        return await self.as_person(
            person, "mutation($id: ID!) { revokeConsent(grant: $id) { id status } }", {"id": grant_id}
        )

    async def calls(self) -> dict[str, int]:
        """How often each sandbox authority was called, by its own count."""
        counts: dict[str, int] = {}
        async with httpx.AsyncClient(trust_env=False) as http:
            for authority, url in self.running.authority_urls.items():
                counts[authority.value] = (await http.get(f"{url}/_sandbox/calls")).json()["calls"]
        return counts


@pytest.fixture(scope="session")
def fresh_postgres() -> Iterator[FreshDatabase]:
    """A PostgreSQL server of this session: every call makes an empty database."""
    with running_postgres() as fresh:
        yield fresh


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_database(request: pytest.FixtureRequest, tmp_path: Path) -> FreshDatabase:
    """An empty database of either kind."""
    if request.param == "postgresql":
        made: FreshDatabase = request.getfixturevalue("fresh_postgres")
        return made
    return lambda: sqlite_url(tmp_path / "kyosei.sqlite")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningSandbox]:
    """One sandbox for the whole session: authorities, gateway, everybody enrolled."""
    state = tmp_path_factory.mktemp("state")
    async with open_sandbox(load_settings(state)) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def caller(running: RunningSandbox) -> AsyncIterator[Caller]:
    """A caller of the shared sandbox."""
    made = Caller(running)
    yield made
    await made.http.aclose()
