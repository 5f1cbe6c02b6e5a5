"""Planted facts come to light nowhere: not in a file, not in a log, not in an error, under any fault."""

import asyncio
import json
import logging
import sqlite3
import stat
import unicodedata
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from connectors.evidence import Evidence
from connectors.interface import SourceAuthority
from connectors.sandbox import SandboxServer
from gateway.app import open_gateway
from gateway.gather import EvidenceStore, Holder
from gateway.http.server import listening_socket, served
from gateway.sandbox import _BUILDERS, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.sources import Sources, today_in_japan
from resolvers.schema import schema
from tests.conftest import ROOT
from tests.gateway.canary_people import CanaryPerson, found_in, make_people, write_folder
from tests.gateway.gateway_process import GatewayProcess, Launch, quick_settings
from tests.gateway.record import opened_record

PEOPLE = make_people()
FACTS = [canary for person in PEOPLE for canary in (*person.facts, *person.never, *person.restricted)]
RESTRICTED = [number for person in PEOPLE for number in person.restricted]
SENT = "QXSENT4711"
SPOILT = "QXSPOILT4712"
RAISED = "QXRAISED4713"
TENANCY = (ROOT / "examples" / "tenancy.graphql").read_text(encoding="utf-8")
RENT = {"rentYenPerMonth": 62_000}
PREVIEW = """mutation($document: String!, $variables: JSON, $party: ID!, $purpose: Purpose!) {
  previewConsent(document: $document, variables: $variables, relyingParty: $party, purpose: $purpose) {
    id questions { question claim { value state reason } decision { outcome rules { id trace { condition } } } }
  }
}"""
GRANT = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken grant { id } } }"
LEAVE_OUT = "mutation($o: [String!]) { grantConsent(preview: 1, leaveOut: $o) { consentToken } }"
RECORDS = "query($a: SourceAuthority) { me { records(source: $a) { state } } }"
REVOKE = "mutation($id: ID!) { revokeConsent(grant: $id) { status } }"
OWN_VIEW = """{ me { id name accesses { kind questions refused code } grants { id questions status }
  claims { tax { income { value state reason } } recordMatch { value } }
  records { source state entries { fields { name value } } } } }"""


# --- authorities that can be spoilt --------------------------------------------------------------------------


@dataclass(slots=True)
class Reply:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def _cut(reply: Reply) -> None:
    reply.body = reply.body[: len(reply.body) * 2 // 3] + SPOILT.encode()


def _wrong_fields(reply: Reply) -> None:
    for old in (b"20280412", b"5-100412", "令和７年分".encode(), b"7030310", b"202411"):
        reply.body = reply.body.replace(old, SPOILT.encode())


def _other_person(reply: Reply) -> None:
    reply.body = reply.body.replace("ＱＸ２０".encode(), "ＱＹ２０".encode()).replace(b"QX20", b"QY20")


def _page(reply: Reply) -> None:
    reply.status, reply.body = 500, f"<html>{SPOILT} {' '.join(FACTS)}</html>".encode()


def _redirect(reply: Reply) -> None:
    reply.status, reply.headers = 302, [(b"location", f"http://127.0.0.1:9/{SPOILT}".encode())]


def _headers(reply: Reply) -> None:
    reply.status, reply.headers = 503, [(b"retry-after", SPOILT.encode()), (b"content-type", SPOILT.encode())]


def _bytes(reply: Reply) -> None:
    reply.body = b"\xff\xfe" + SPOILT.encode() + reply.body


def _entity(reply: Reply) -> None:
    reply.body = f'<!DOCTYPE a [<!ENTITY b "{SPOILT}">]><a>&b;{" ".join(FACTS)}</a>'.encode()


def _other_format(reply: Reply) -> None:
    reply.body = orjson.dumps({SPOILT: FACTS, "状態": SPOILT, "受付番号": SPOILT})


def _as_it_is(reply: Reply) -> None:
    pass


SPOILS: list[Callable[[Reply], None]] = [
    *(_as_it_is, _cut, _wrong_fields, _other_person, _page),
    *(_redirect, _headers, _bytes, _entity, _other_format),
]


@dataclass(slots=True)
class Spoilable:
    """An authority whose replies are spoilt on demand; without `now` it is as it is."""

    app: ASGIApp
    now: Callable[[Reply], None] = _as_it_is

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent: list[Message] = []

        async def keep(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in sent)
        headers = [(name, value) for name, value in sent[0]["headers"] if name != b"content-length"]
        reply = Reply(sent[0]["status"], headers, body)
        self.now(reply)
        length = (b"content-length", str(len(reply.body)).encode())
        await send({"type": "http.response.start", "status": reply.status, "headers": [*reply.headers, length]})
        await send({"type": "http.response.body", "body": reply.body})


@dataclass(slots=True)
class Authorities:
    """The four, with what they are told to spoil."""

    servers: dict[SourceAuthority, SandboxServer] = field(default_factory=dict)
    spoilable: list[Spoilable] = field(default_factory=list)

    @property
    def urls(self) -> dict[SourceAuthority, str]:
        return {authority: server.base_url for authority, server in self.servers.items()}

    def spoil(self, how: Callable[[Reply], None]) -> None:
        for one in self.spoilable:
            one.now = how


@asynccontextmanager
async def opened_authorities(folder: Path, state: Path) -> AsyncIterator[Authorities]:
    settings = quick_settings(state)
    made = Authorities()
    for authority, build in _BUILDERS.items():
        app = Spoilable(build(folder, settings.connectors.behaviour("brisk", authority), date(2026, 11, 20)))
        made.spoilable.append(app)
        made.servers[authority] = SandboxServer(app)  # type: ignore[arg-type]  # any ASGI app will do
        await made.servers[authority].start()
    try:
        yield made
    finally:
        for server in made.servers.values():
            await server.stop()


# --- a gateway under observation -----------------------------------------------------------------------------


@dataclass(slots=True)
class Watched:
    """Callers of a gateway who keep every response: of relying parties, and of errors to anybody."""

    http: httpx.AsyncClient
    keys: Mapping[str, str]
    tokens: list[str] = field(default_factory=list)
    responses: list[tuple[str, bytes]] = field(default_factory=list)

    async def send(self, who: str, body: bytes, *, path: str = "/graphql", **headers: str) -> httpx.Response:
        """`who`: the Authorization header; empty sends none."""
        given = {"content-type": "application/json", **({"authorization": who} if who else {}), **headers}
        response = await self.http.post(path, content=body, headers=given)
        head = "\n".join(f"{name}: {value}" for name, value in response.headers.items()).encode()
        self.responses.append((who, head + b"\n\n" + response.content))
        return response

    async def run(self, who: str, query: str, variables: Mapping[str, Any] | None = None) -> Any:
        response = await self.send(who, orjson.dumps({"query": query, "variables": variables or {}}))
        return response.json().get("data")

    async def consent(self, person: CanaryPerson) -> tuple[str, str] | None:
        """Preview and grant; None where the gateway could not."""
        who = f"Person {person.id}"
        asked = {"document": TENANCY, "variables": RENT, "party": "landlord", "purpose": "TENANCY"}
        previewed = await self.run(who, PREVIEW, asked)
        if not previewed:
            return None
        granted = (await self.run(who, GRANT, {"id": previewed["previewConsent"]["id"]}))["grantConsent"]
        self.tokens.append(granted["consentToken"])
        return granted["grant"]["id"], granted["consentToken"]

    async def whole_story(self, person: CanaryPerson) -> None:
        """Preview, grant, ask, ask too much, look at oneself, revoke, be refused."""
        landlord = f"Bearer {self.keys['landlord']}"
        consented = await self.consent(person)
        if consented is None:
            return
        grant, token = consented
        await self.run(landlord, TENANCY, {**RENT, "consent": token})
        await self.run(landlord, TENANCY, {"rentYenPerMonth": 1, "consent": token})
        too_much = "query($c: ConsentToken!) { subject(consent: $c) { tax { income { value } } answer { id } } }"
        await self.run(landlord, too_much, {"c": token})
        await self.run(f"Bearer {self.keys['bank']}", TENANCY, {**RENT, "consent": token})
        await self.run(f"Person {person.id}", OWN_VIEW)
        await self.run(f"Person {person.id}", REVOKE, {"id": grant})
        await self.run(landlord, TENANCY, {**RENT, "consent": token})

    def check_responses(self) -> None:
        """No relying party ever sees a fact; what was sent or spoilt is repeated to nobody."""
        for who, body in self.responses:
            assert found_in(body, [SENT, SPOILT, RAISED, *RESTRICTED]) == [], body
            if not who.startswith("Person K"):
                assert found_in(body, FACTS) == [], body
            for person in PEOPLE:
                own = f"Person {person.id}" == who
                assert own or found_in(body, person.facts) == [], body
                assert found_in(body, person.never) == [], body


@asynccontextmanager
async def watched(url: str, state: Path) -> AsyncIterator[Watched]:
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as http:
        yield Watched(http, read_sandbox_keys(quick_settings(state)))


def check_files(state: Path, *, tokens: list[str]) -> None:
    """No canary in any file of the state directory; no token either, and no key but in its own file."""
    keys = list(read_sandbox_keys(quick_settings(state)).values())
    files = [path for path in state.rglob("*") if path.is_file()]
    assert {"kyosei.sqlite", "operator.log", "master.key", "sandbox_keys.json"} <= {path.name for path in files}
    for path in files:
        body = path.read_bytes()
        secrets = [*tokens, *(keys if path.name != "sandbox_keys.json" else [])]
        assert found_in(body, [SENT, SPOILT, RAISED, *FACTS, *secrets]) == [], path.name


def check_record(state: Path) -> None:
    """In the clear the log holds no fact; opened, neither it nor any Answer holds a restricted number."""
    with opened_record(state) as record:
        record.check_whole()
        entries = record.entries()
        assert {entry.kind for entry in entries} >= {"RELEASED", "REFUSED", "CONSENT_GRANTED", "CONSENT_REVOKED"}
        for entry in entries:
            assert found_in(orjson.dumps(entry.entry), [SENT, SPOILT, *FACTS]) == []
            assert found_in(orjson.dumps(entry.detail), [SPOILT, *FACTS]) == []
        for body in record.answers().values():
            never = [canary for person in PEOPLE for canary in person.never]
            assert found_in(body, [SPOILT, *RESTRICTED, *never]) == []


# --- what a caller can do wrong ------------------------------------------------------------------------------


def wrong_requests(key: str, token: str) -> list[tuple[str, bytes, str, dict[str, str]]]:
    """Who, body, path and headers of requests with something planted where it does not belong."""
    party, person = f"Bearer {key}", "Person K00"
    asking = {**RENT, "consent": token}
    preview = {"document": TENANCY, "variables": RENT, "party": "landlord", "purpose": "TENANCY"}
    leaving_out = 'mutation { grantConsent(preview: "%s", leaveOut: ["%s"]) { consentToken } }'
    good = orjson.dumps({"query": TENANCY, "variables": asking})

    def asked(query: str, variables: Any = None, **more: Any) -> bytes:
        return orjson.dumps({"query": query, "variables": variables, **more})

    subject = "query($c: ConsentToken!) { subject(consent: $c) { %s } }"
    return [
        (party, f'{{"query": "{SENT}'.encode(), "/graphql", {}),
        (party, f"{SENT}".encode(), "/graphql", {}),
        (party, b"\xff\xfe" + SENT.encode(), "/graphql", {}),
        (party, orjson.dumps([{"query": SENT}]), "/graphql", {}),
        (party, orjson.dumps({"query": {SENT: 1}}), "/graphql", {}),
        (party, asked(SENT), "/graphql", {}),
        (party, asked("{ " + SENT), "/graphql", {}),
        (party, asked("{ " + SENT + " }"), "/graphql", {}),
        (party, asked(subject % SENT, {"c": token}), "/graphql", {}),
        (party, asked(subject % f"tenancy(rentYenPerMonth: {SENT}) {{ outcome }}", {"c": token}), "/graphql", {}),
        (party, asked(subject % f'tenancy(rentYenPerMonth: "{SENT}") {{ outcome }}', {"c": token}), "/graphql", {}),
        (party, asked(subject % "grant { status }", {"c": SENT}), "/graphql", {}),
        (party, asked(subject % "grant { status }", {"c": [SENT]}), "/graphql", {}),
        (party, asked(subject % "grant { status }", {"c": {SENT: SENT}}), "/graphql", {}),
        (party, asked(subject % "grant { status }", {SENT: token}), "/graphql", {}),
        (party, asked(subject % "grant { status }", SENT), "/graphql", {}),
        (party, asked(f'{{ subject(consent: "{SENT}") {{ grant {{ status }} }} }}'), "/graphql", {}),
        (party, asked(TENANCY, asking, operationName=SENT, extensions={SENT: SENT}), "/graphql", {}),
        (party, asked(TENANCY, {"rentYenPerMonth": SENT, "consent": token}), "/graphql", {}),
        (party, asked(f"query($c: {SENT}!) {{ __typename }}", {"c": 1}), "/graphql", {}),
        (party, good, f"/graphql?access_token={token}{SENT}", {}),
        (party, good, f"/graphql?consent={token}&key={key}", {}),
        (party, good, f"/{SENT}/{token}", {}),
        (party, good, f"/graphql/{token}", {}),
        (party, good, "/graphql", {"content-type": SENT}),
        (party, good, "/graphql", {"accept": SENT}),
        (party, good, "/graphql", {"content-encoding": SENT}),
        (party, good, "/graphql", {"cookie": f"session={token}{SENT}", "x-request-id": SENT, "referer": f"/{token}"}),
        (f"Bearer {SENT}", good, "/graphql", {}),
        (f"Bearer {token}", good, "/graphql", {}),
        (f"Basic {key}", good, "/graphql", {}),
        (f"{key}", good, "/graphql", {}),
        (f"Person {SENT}", good, "/graphql", {}),
        (f"Person {token}", good, "/graphql", {}),
        (f"Person {PEOPLE[0].facts[0]}", good, "/graphql", {}),
        ("", good, "/graphql", {}),
        (party, asked(TENANCY, {**RENT, "consent": key}), "/graphql", {}),
        (person, good, "/graphql", {}),
        (person, asked(REVOKE, {"id": SENT}), "/graphql", {}),
        (person, asked(REVOKE, {"id": {SENT: SENT}}), "/graphql", {}),
        (person, asked(REVOKE, {"id": [SENT]}), "/graphql", {}),
        (person, asked(REVOKE, {"id": token}), "/graphql", {}),
        (person, asked(GRANT, {"id": SENT, SENT: SENT}), "/graphql", {}),
        (person, asked(leaving_out % (SENT, SENT)), "/graphql", {}),
        (person, asked(LEAVE_OUT, {"o": [SENT, {SENT: 1}]}), "/graphql", {}),
        (person, asked(PREVIEW, {"document": SENT, "party": SENT, "purpose": "TENANCY"}), "/graphql", {}),
        (person, asked(PREVIEW, {"document": SENT, "party": "landlord", "purpose": "TENANCY"}), "/graphql", {}),
        (person, asked(PREVIEW, preview | {"purpose": SENT}), "/graphql", {}),
        (person, asked(PREVIEW, preview | {"variables": {"rentYenPerMonth": SENT}}), "/graphql", {}),
        (person, asked(PREVIEW, preview | {"variables": SENT}), "/graphql", {}),
        (person, asked(PREVIEW, preview | {"variables": [SENT]}), "/graphql", {}),
        (person, asked(RECORDS, {"a": SENT}), "/graphql", {}),
        (person, asked("{ me { records(source: " + SENT + ") { state } } }"), "/graphql", {}),
    ]  # fmt: skip


async def send_nonsense(url: str) -> None:
    """Bytes that are no HTTP, with something planted."""
    host, port = url.removeprefix("http://").split(":")
    for nonsense in (f"{SENT} / HTTP/9.9\r\n\r\n", f"GET /{SENT} HTTP/1.1\r\n{SENT}\r\n\r\n", SENT * 20_000):
        reader, writer = await asyncio.open_connection(host, int(port))
        with suppress(OSError, TimeoutError):
            writer.write(nonsense.encode())
            await writer.drain()
            await asyncio.wait_for(reader.read(1000), 0.3)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


# --- the promise ---------------------------------------------------------------------------------------------


async def test_no_fact_comes_to_light_under_any_fault(tmp_path: Path) -> None:
    folder, state = tmp_path / "people", tmp_path / "state"
    write_folder(folder, PEOPLE)
    state.mkdir(mode=0o700)
    async with opened_authorities(folder, state) as authorities:
        process = GatewayProcess(Launch(state, authorities.urls, state / "operator.log", folder))
        try:
            url = await process.start()
            async with watched(url, state) as callers:
                for how in SPOILS:
                    authorities.spoil(how)
                    for person in PEOPLE[: 2 if how is _as_it_is else 1]:
                        await callers.whole_story(person)
                authorities.spoil(_as_it_is)
                await authorities.servers[SourceAuthority.TAX].stop()
                await callers.whole_story(PEOPLE[0])
                await authorities.servers[SourceAuthority.TAX].start()
                consented = await callers.consent(PEOPLE[0])
                assert consented is not None
                for who, body, path, headers in wrong_requests(callers.keys["landlord"], consented[1]):
                    response = await callers.send(who, body, path=path, **headers)
                    assert response.status_code < 500, (body[:200], response.text)
                await send_nonsense(url)
            await process.kill()
            check_files(state, tokens=callers.tokens)

            _break_identity(state, PEOPLE[2].id)
            async with watched(await process.start(), state) as later:
                _break_identity(state, PEOPLE[2].id)
                await later.run(f"Person {PEOPLE[2].id}", OWN_VIEW)
                await later.whole_story(PEOPLE[2])
                assert b"INTERNAL" in later.responses[0][1], "an exception inside"
                await later.whole_story(PEOPLE[1])
            await process.stop()
            check_files(state, tokens=callers.tokens + later.tokens)
        finally:
            await process.kill()
    callers.check_responses()
    later.check_responses()
    check_record(state)
    log = (state / "operator.log").read_text()
    assert "source_failed" in log, "the faults were noticed"
    assert "RESTRICTED_NUMBER_RECEIVED" in log
    assert "request_failed" in log
    told = [body for who, body in callers.responses if who.startswith("Bearer sk_")]
    assert any(b'"outcome":"ELIGIBLE"' in body for body in told), "something was answered"
    own = [body for who, body in callers.responses if who == f"Person {PEOPLE[0].id}"]
    assert any(found_in(body, PEOPLE[0].facts[-2:]) for body in own), "and shown to whom it belongs"


def _break_identity(state: Path, person_id: str) -> None:
    """Flip the last bit of a sealed identity record."""
    with closing(sqlite3.connect(state / "kyosei.sqlite", timeout=5)) as connection, connection:
        query = "SELECT identity_sealed FROM person WHERE id = ?"
        (sealed,) = connection.execute(query, [person_id]).fetchone()
        broken = sealed[:-1] + bytes([sealed[-1] ^ 1])
        connection.execute("UPDATE person SET identity_sealed = ? WHERE id = ?", [broken, person_id])


async def test_the_state_directory_is_its_owners_alone(tmp_path: Path) -> None:
    folder, state = tmp_path / "people", tmp_path / "made" / "state"
    write_folder(folder, PEOPLE)
    state.parent.mkdir()
    people = read_people(folder)
    async with open_gateway(quick_settings(state), today=lambda: people.clock_on) as gateway:
        await gateway.enrol(people.identities)
        modes = {str(path.relative_to(state)): stat.S_IMODE(path.stat().st_mode) for path in state.rglob("*")}
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
        assert modes["keys"] == 0o700
        assert modes["keys/master.key"] == 0o400
        assert modes["keys/sandbox_keys.json"] == 0o600


async def test_no_restricted_number_is_in_kept_evidence_or_in_a_persons_own_records(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """In this process, so that the evidence kept in memory can be opened too; the records are not empty."""
    folder, state = tmp_path / "people", tmp_path / "state"
    write_folder(folder, PEOPLE)
    people = read_people(folder)
    caplog.set_level(logging.INFO)
    async with opened_authorities(folder, state) as authorities:
        sources = Sources(authorities.urls, poll_seconds=0.01, today=lambda: max(people.clock_on, today_in_japan()))
        async with (
            open_gateway(quick_settings(state), sources=sources, today=lambda: people.clock_on) as gateway,
            served(gateway.app, listening_socket("127.0.0.1", 0)) as url,
            watched(url, state) as callers,
        ):
            await gateway.enrol(people.identities)
            for person in PEOPLE:
                consented = await callers.consent(person)
                assert consented is not None
                own = await callers.run(f"Person {person.id}", OWN_VIEW)
                assert found_in(orjson.dumps(own), [*RESTRICTED, *person.never]) == []
                shown = set(found_in(orjson.dumps(own), person.facts))
                assert set(person.facts[:2]) <= shown, "one's own records are shown to oneself"
                store: EvidenceStore = gateway.gatherer._store  # what is kept in memory has no other door
                for holder in (consented[0], f"person:{person.id}"):
                    kept = await _kept(store, holder, (await gateway.stores.people.find(person.id)))
                    assert len(kept) == len(SourceAuthority)
                    assert found_in(repr_of(kept), [*RESTRICTED, *person.never]) == []
    callers.check_responses()
    said = capfd.readouterr()
    told = "\n".join([said.out, said.err, caplog.text]).encode()
    assert found_in(told, FACTS) == []


async def _kept(store: EvidenceStore, holder: str, person: Any) -> list[Evidence]:
    async def may_keep() -> bool:
        return True

    named = Holder(holder, person.unfrozen_at.isoformat(), person.key, person.identity, may_keep)
    return list((await store.find(named, SourceAuthority)).values())


def repr_of(kept: list[Evidence]) -> bytes:
    """Everything inside evidence; its own repr tells nothing."""
    return orjson.dumps(kept, default=str)


class BrokenActions:
    """A person's actions in which something breaks, with a fact in the exception."""

    person_id = "K00"

    def __getattr__(self, name: str) -> Any:
        async def broken(*_: Any, **__: Any) -> Any:
            raise RuntimeError(f"{RAISED} {PEOPLE[0].facts[0]}")

        return broken


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("{ me { name } }", {}),
        ("{ me { grants { id } accesses { kind } } }", {}),
        (REVOKE, {"id": "1"}),
        (REVOKE, {"id": {SENT: SENT}}),
        (RECORDS, {"a": SENT}),
    ],
)
async def test_an_exception_inside_the_executor_is_logged_without_its_text(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], query: str, variables: dict[str, Any]
) -> None:
    caplog.set_level(logging.INFO)
    result = await schema.execute(query, variable_values=variables, context_value={"person": BrokenActions()})
    assert result.errors
    said = capfd.readouterr()
    assert found_in("\n".join([said.out, said.err, caplog.text]).encode(), [RAISED, SENT, *FACTS]) == []


@pytest.mark.parametrize(
    "canary", [FACTS[0], PEOPLE[1].facts[4], PEOPLE[2].never[0], PEOPLE[0].facts[-1], RESTRICTED[1]]
)
def test_the_search_finds_a_canary_however_it_is_written(canary: str) -> None:
    for body in (
        canary.encode(),
        f"x{canary}y".encode("utf-16-le"),
        canary.encode("cp932"),
        json.dumps({"a": f"b{canary}"}).encode(),
        repr({"a": canary.encode()}).encode(),
        unicodedata.normalize("NFKC", canary).lower().encode(),
        canary.encode().hex().encode(),
    ):
        assert canary in found_in(body, FACTS)
    assert found_in(canary[:-1].encode(), [canary]) == []
