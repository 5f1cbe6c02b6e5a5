"""kill -9 at any moment: what a caller was told is on record, and the record is whole."""

import asyncio
import hashlib
import hmac
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from connectors.interface import SourceAuthority
from gateway.answer import Answer
from gateway.consent.token import token_digest
from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from gateway.store.database import migrate, sqlite_url
from gateway.store.tables import metadata
from tests.conftest import full_count
from tests.gateway.gateway_process import GatewayProcess, Launch, killed_migration, quick_settings
from tests.gateway.record import Entry, Record, opened_record

ASKERS = 6
PEOPLE = ("P01", "P02", "P03")
QUESTIONS = """
  tenancy(rentYenPerMonth: 62000) { outcome decidedOn rules { id result } }
  immigration { statusLawful { value state asOf } }
  tax { incomeBasis { value state asOf } }
  answer { id }
"""
DOCUMENT = f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {QUESTIONS} }} }}"
PREVIEW = """mutation($document: String!) {
  previewConsent(document: $document, relyingParty: "landlord", purpose: TENANCY) { id }
}"""
GRANT = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken grant { id } } }"
REVOKE = "mutation($id: ID!) { revokeConsent(grant: $id) { status } }"


@dataclass(slots=True)
class Ledger:
    """What callers were told, over all kills."""

    grants: dict[str, str] = field(default_factory=dict)
    revoking: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    receipts: Counter[str] = field(default_factory=Counter)


@pytest_asyncio.fixture(loop_scope="session")
async def authorities(tmp_path: Path) -> AsyncIterator[dict[SourceAuthority, str]]:
    """The four sandbox authorities, in this process: a kill does not touch them."""
    folder = default_people_folder()
    settings = quick_settings(tmp_path / "unused")
    today = read_people(folder).clock_on
    async with open_authorities(settings, folder, today=today, profile="brisk") as urls:
        yield urls


@pytest.mark.soak
async def test_what_a_caller_was_told_survives_a_kill(
    tmp_path: Path, authorities: dict[SourceAuthority, str]
) -> None:
    launch = Launch(tmp_path / "state", authorities, tmp_path / "output")
    process = GatewayProcess(launch)
    ledger = Ledger()
    try:
        for number in range(full_count(50)):
            random = Random(number)
            url = await process.start()
            check_record(ledger, launch.state)
            await load_and_kill(process, url, ledger, launch, random)
            if number % 5 == 4:
                process.spawn()
                await asyncio.sleep(random.uniform(0, 0.3))
                await process.kill()
        url = await process.start()
        check_record(ledger, launch.state)
        await check_behaviour(url, ledger, launch)
    finally:
        await process.kill()
    assert len(ledger.answers) >= full_count(50), "the load was one"
    assert len(ledger.revoked) >= full_count(50) // 5, "some were revoked"


@pytest.mark.soak
async def test_a_gateway_killed_during_its_very_first_start_starts_again(
    tmp_path: Path, authorities: dict[SourceAuthority, str]
) -> None:
    random = Random(1)
    for number in range(full_count(30)):
        process = GatewayProcess(Launch(tmp_path / f"state{number}", authorities, tmp_path / "output"))
        try:
            for _ in range(2):
                process.spawn()
                await asyncio.sleep(random.uniform(0, 0.4))
                await process.kill()
            await process.start()
        finally:
            await process.kill()


@pytest.mark.soak
async def test_a_migration_killed_anywhere_can_be_run_again(tmp_path: Path) -> None:
    random = Random(1)
    for number in range(full_count(200)):
        path = tmp_path / f"{number}.sqlite"
        await killed_migration(sqlite_url(path), after_seconds=random.uniform(0, 0.2))
        await migrate(sqlite_url(path))
        with closing(sqlite3.connect(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            assert set(metadata.tables) <= tables
            assert connection.execute("SELECT size FROM log_head").fetchall() == [(0,)]


async def load_and_kill(process: GatewayProcess, url: str, ledger: Ledger, launch: Launch, random: Random) -> None:
    """The moment of the kill is counted from the first answer, so that it falls into the load; a few fall before."""
    key = read_sandbox_keys(quick_settings(launch.state))["landlord"]
    is_warm = random.random() < 0.85
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as http:
        askers = [asyncio.create_task(_ask(http, key, ledger, Random(random.random()))) for _ in range(ASKERS)]
        known = ledger.receipts.total()
        while is_warm and ledger.receipts.total() == known and not any(a.done() for a in askers):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.005)
        await asyncio.sleep(random.uniform(0, 0.5))
        await process.kill()
        await asyncio.gather(*askers)


async def _ask(http: httpx.AsyncClient, key: str, ledger: Ledger, random: Random) -> None:
    """Grant, ask, ask again, revoke, until the gateway is gone."""
    with suppress(httpx.TransportError):
        while True:
            person = f"Person {random.choice(PEOPLE)}"
            previewed = await _post(http, person, PREVIEW, {"document": DOCUMENT})
            granted = await _post(http, person, GRANT, {"id": previewed["previewConsent"]["id"]})
            token, grant_id = granted["grantConsent"]["consentToken"], granted["grantConsent"]["grant"]["id"]
            ledger.grants[grant_id] = token
            _note_answer(ledger, await _post(http, f"Bearer {key}", DOCUMENT, {"consent": token}))
            if random.random() < 0.5:
                ledger.revoking.add(grant_id)
                revoked = await _post(http, person, REVOKE, {"id": grant_id})
                assert revoked["revokeConsent"]["status"] == "REVOKED"
                ledger.revoked.add(grant_id)
            for _ in range(random.randrange(3)):
                earlier = random.choice(sorted(ledger.grants))
                again = await _post(http, f"Bearer {key}", DOCUMENT, {"consent": ledger.grants[earlier]})
                assert not again.get("subject") or earlier not in ledger.revoked
                _note_answer(ledger, again)


async def _post(http: httpx.AsyncClient, authorization: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    response = await http.post(
        "/graphql",
        content=orjson.dumps({"query": query, "variables": variables}),
        headers={"authorization": authorization, "content-type": "application/json"},
    )
    body: dict[str, Any] = response.json()
    return body.get("data") or {}


def _note_answer(ledger: Ledger, data: dict[str, Any]) -> None:
    subject = data.get("subject")
    if subject is not None:
        ledger.answers[subject["answer"]["id"]] = subject
        ledger.receipts[subject["answer"]["id"]] += 1


def check_record(ledger: Ledger, state: Path) -> None:
    """The database is whole, the log too, and all that was told to a caller is in them."""
    with opened_record(state) as record:
        record.check_whole()
        _check_answers(ledger, record)
        _check_grants(ledger, record)


def _check_answers(ledger: Ledger, record: Record) -> None:
    released: dict[str, list[Entry]] = {}
    for entry in record.entries():
        if entry.kind.startswith("RELEASED") and entry.detail is not None:
            released.setdefault(entry.detail["answer"], []).append(entry)
    bodies = record.answers()
    assert set(bodies) == set(released), "each Answer has its entry, each release its Answer"
    for answer_id, subject in ledger.answers.items():
        body = bodies[answer_id]
        _compare(Answer.from_bytes(body), subject)
        entries = released[answer_id]
        assert len(entries) >= ledger.receipts[answer_id], "an entry for each time that it was released"
        for entry in entries:
            assert entry.detail is not None
            salt = bytes.fromhex(entry.detail["salt"])
            commitment = hmac.new(salt, b"outcome\x00" + body, hashlib.sha256).hexdigest()
            assert entry.entry["commitments"]["outcome"] == commitment


def _compare(answer: Answer, subject: dict[str, Any]) -> None:
    """The Answer on record is the one that the caller got."""
    assert answer.id == subject["answer"]["id"]
    decided = answer.decisions["Subject.tenancy(rentYenPerMonth:62000)"]
    assert decided is not None
    told = subject["tenancy"]
    assert (decided["outcome"], decided["decidedOn"]) == (told["outcome"], told["decidedOn"])
    assert [{name: rule[name] for name in ("id", "result")} for rule in decided["rules"]] == told["rules"]
    for text, claim in (
        ("Immigration.statusLawful", subject["immigration"]["statusLawful"]),
        ("Tax.incomeBasis", subject["tax"]["incomeBasis"]),
    ):
        assert {name: answer.claims[text][name] for name in claim} == claim


def _check_grants(ledger: Ledger, record: Record) -> None:
    digests = {row["grant_id"]: row["digest"] for row in record.rows("SELECT grant_id, digest FROM consent_token")}
    events: dict[str, list[str]] = {}
    for row in record.rows("SELECT grant_id, kind FROM grant_event ORDER BY grant_id, number"):
        events.setdefault(row["grant_id"], []).append(row["kind"])
    for grant_id, token in ledger.grants.items():
        assert digests[grant_id] == token_digest(token)
        assert events[grant_id][:2] == ["REQUESTED", "GRANTED"]
        assert ("REVOKED" in events[grant_id]) or grant_id not in ledger.revoked
        assert ("REVOKED" not in events[grant_id]) or grant_id in ledger.revoking


async def check_behaviour(url: str, ledger: Ledger, launch: Launch) -> None:
    """After the last start: what was revoked is refused, what stands is answered."""
    key = read_sandbox_keys(quick_settings(launch.state))["landlord"]
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=10) as http:
        for grant_id in sorted(ledger.revoked)[:50]:
            assert await _post(http, f"Bearer {key}", DOCUMENT, {"consent": ledger.grants[grant_id]}) == {
                "subject": None
            }
        for grant_id in sorted(set(ledger.grants) - ledger.revoking)[:50]:
            answered = await _post(http, f"Bearer {key}", DOCUMENT, {"consent": ledger.grants[grant_id]})
            assert answered["subject"]["tenancy"]["outcome"]
