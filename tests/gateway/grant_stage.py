"""Where a machine runs its histories: authorities, one gateway at a time on one database, a clock, the operations."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import orjson
from sqlalchemy import select

from gateway.app import Gateway, open_gateway
from gateway.sandbox import SandboxPeople, default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.settings import Settings
from gateway.settings_parts import DatabaseSettings
from gateway.sources import Sources
from gateway.store.database import open_database
from gateway.store.tables import audit_entry, log_head
from tests.gateway.gateway_process import quick_settings
from tests.gateway.sandboxes import Clock

PREVIEW = """mutation($document: String!, $party: ID, $purpose: Purpose!, $terms: ConsentTerms) {
  preview: previewConsent(document: $document, relyingParty: $party, purpose: $purpose, terms: $terms) {
    id uses } }"""
REQUEST = """mutation($document: String!, $purpose: Purpose!, $terms: ConsentTerms) {
  requestConsent(document: $document, purpose: $purpose, terms: $terms) { id } }"""
OPEN = "mutation($id: ID!) { preview: openConsentRequest(request: $id) { id uses } }"
GRANT = """mutation($id: ID!, $out: [String!]) {
  grantConsent(preview: $id, leaveOut: $out) { consentToken grant { id status usesLeft } } }"""
CHANGE = {
    "reject": "mutation($id: ID!) { rejectConsent(preview: $id) { id } }",
    **{
        action: f"mutation($id: ID!) {{ {action}Consent(grant: $id) {{ id }} }}"
        for action in ("pause", "resume", "renew", "revoke")
    },
}
SHARE = "mutation($id: ID!, $days: Int!) { createShareCode(grant: $id, validDays: $days) { code expiresAt } }"
REDEEM = """mutation($code: String!, $born: Date!) {
  redeemShareCode(code: $code, dateOfBirth: $born) { consentToken purpose questions } }"""
DISPUTE = """mutation($claim: String, $record: SourceAuthority) {
  openDispute(claim: $claim, record: $record, statement: "It is wrong.") { id } }"""
CLOSE = """mutation($id: ID!, $outcome: DisputeOutcome!, $by: SourceAuthority) {
  closeDispute(dispute: $id, outcome: $outcome, correctedBy: $by) { id } }"""
ERASE = "mutation($name: String!) { eraseMe(name: $name) { entry } }"
ME = """{ me { grants { id status usesLeft relyingParty { id } }
  accesses { entry kind relyingParty { id } questions refused code about } } }"""

T = TypeVar("T")


def asking(questions: frozenset[str]) -> str:
    """The document of a set of questions."""
    fields = ""
    for question in sorted(questions):
        domain, _, name = question.partition(".")
        fields += f"{domain.lower()} {{ {name} {{ value state }} }} "
    return (
        "query($consent: ConsentToken!) { subject(consent: $consent) { "
        f"{fields} ref answer {{ id }} grant {{ status usesLeft nextRefreshAt }} }} }}"
    )


class Stage:
    """One database with the gateways that are opened on it one after another, on an event loop of its own."""

    def __init__(
        self, config: Settings, people: SandboxPeople, run: Callable[[Coroutine[Any, Any, Any]], Any]
    ) -> None:
        self._settings = config
        self.people = people
        self._run = run
        self._open = AsyncExitStack()
        self._urls: Mapping[Any, str] = {}
        self.database = open_database(config.database_url)
        self.clock = Clock()
        self.machines = 0
        self.gateway: Gateway
        self._http: httpx.AsyncClient

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        done: T = self._run(work)
        return done

    async def serve_sources(self, stack: AsyncExitStack) -> None:
        opened = open_authorities(self._settings, self.people.folder, today=self.people.clock_on, profile="brisk")
        self._urls = await stack.enter_async_context(opened)
        stack.push_async_callback(self.database.close)

    async def open(self) -> None:
        """Let a gateway start."""
        today = self.people.clock_on
        sources = Sources(self._urls, poll_seconds=0.01, today=lambda: max(today, self.clock.now().date()))
        self.gateway = await self._open.enter_async_context(
            open_gateway(self._settings, sources=sources, today=lambda: today, now=self.clock.now)
        )
        transport = httpx.ASGITransport(self.gateway.app)
        self._http = await self._open.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://gateway")
        )
        self.keys = read_sandbox_keys(self._settings)

    async def close(self) -> None:
        await self._open.aclose()

    async def post(self, authorization: str, query: str, variables: Mapping[str, Any]) -> httpx.Response:
        """A response; whoever finds no room asks again."""
        for _ in range(100):
            response = await self._http.post(
                "/graphql",
                content=orjson.dumps({"query": query, "variables": variables}),
                headers={"authorization": authorization, "content-type": "application/json"},
            )
            if response.status_code != 503:
                break
            await asyncio.sleep(0.05)
        return response

    def as_person(self, person: str, query: str, **variables: Any) -> Any:
        return self.run(self.post(f"Person {person}", query, variables)).json()

    def as_party(self, party: str, query: str, **variables: Any) -> httpx.Response:
        return self.run(self.post(f"Bearer {self.keys[party]}", query, variables))

    async def drop_evidence(self, grant_id: str, person_id: str) -> None:
        """Forget what was gathered for a grant."""
        person = await self.gateway.stores.people.find(person_id)
        assert person is not None
        await self.gateway.gatherer.cancel(grant_id)

    async def log(self, *, since: int) -> tuple[int, list[tuple[int, bytes, bytes]]]:
        """The size that the log's head tells, and the entries from a number on, each with its hash."""
        columns = audit_entry.c
        entries = select(columns.sequence, columns.entry, columns.leaf_hash).where(columns.sequence >= since)
        async with self.database.reading.connect() as connection:
            size = (await connection.execute(select(log_head.c.size))).scalar_one()
            rows = (await connection.execute(entries.order_by(columns.sequence))).all()
        return size, [(row.sequence, bytes(row.entry), bytes(row.leaf_hash)) for row in rows]


@contextmanager
def opened_stage(state: Path, url: str) -> Iterator[Stage]:
    """A stage on a database; `url` empty: SQLite in the state directory."""
    config = quick_settings(state)
    if url:
        gateway = config.gateway.model_copy(update={"database": DatabaseSettings(url=url)})
        config = config.model_copy(update={"gateway": gateway})
    people = read_people(default_people_folder())
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        stage = Stage(config, people, runner.run)
        stack = AsyncExitStack()
        try:
            stage.run(stage.serve_sources(stack))
            yield stage
        finally:
            runner.run(stack.aclose())
