"""Every release and every refusal is on record, once, and the record tells nothing by itself."""

import hashlib
import hmac
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.asking import read_example
from gateway.store.envelope import Envelope, read_master_key
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox, rows, settings_for

TENANCY = read_example(Purpose.TENANCY)
RENT = {"rentYenPerMonth": 62000}
PERSON = "P18"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A sandbox with its state directory."""

    caller: Caller
    state: Path

    def entries(self, since: int = -1) -> list[sqlite3.Row]:
        return rows(self.state, "SELECT * FROM audit_entry WHERE sequence > ? ORDER BY sequence", since)

    def last(self) -> int:
        found: int = rows(self.state, "SELECT coalesce(max(sequence), -1) AS last FROM audit_entry")[0]["last"]
        return found

    async def detail(self, entry: sqlite3.Row) -> dict[str, Any]:
        """What is sealed for the person."""
        found: dict[str, Any] = json.loads(
            await self.opened(entry["detail_sealed"], f"audit_entry/{entry['sequence']}/detail")
        )
        return found

    async def opened(self, sealed: bytes, place: str) -> bytes:
        person = await self.caller.running.gateway.stores.people.find(PERSON)
        assert person is not None
        envelope = Envelope(read_master_key(self.state / "keys" / "master.key", may_make=False))
        return envelope.open(person.key, sealed, place=place)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def recorded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recorded]:
    state = tmp_path_factory.mktemp("state")
    async with own_sandbox(settings_for(state)) as caller:
        yield Recorded(caller, state)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def told(recorded: Recorded) -> list[sqlite3.Row]:
    """A short life: asked for, granted, released, released again, partly and wholly refused, revoked, ended."""
    caller = recorded.caller
    token, grant_id = await caller.consent(PERSON, "landlord", "TENANCY", TENANCY, RENT)
    for _ in range(2):
        assert "errors" not in await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
    partly = request_for("Tax.incomeBasis", "Tax.residentTax")
    wholly = request_for("Tax.residentTax")
    assert codes(await caller.as_party("landlord", partly, {"consent": token})) == ["FIELD_NOT_CONSENTED"]
    assert codes(await caller.as_party("landlord", wholly, {"consent": token})) == ["FIELD_NOT_CONSENTED"]
    assert codes(await caller.as_party("lender", wholly, {"consent": token})) == ["CONSENT_INVALID"]
    await caller.revoke(PERSON, grant_id)
    assert codes(await caller.as_party("landlord", wholly, {"consent": token})) == ["CONSENT_ENDED"]
    return recorded.entries()


def commitment(salt: str, label: str, value: bytes) -> str:
    """By the definition, not by our code: HMAC-SHA-256 over the label, a zero byte and the value."""
    return hmac.new(bytes.fromhex(salt), label.encode() + b"\x00" + value, hashlib.sha256).hexdigest()


async def test_everything_that_happened_has_exactly_one_entry(told: list[sqlite3.Row]) -> None:
    assert [(entry["kind"], entry["relying_party_id"]) for entry in told] == [
        ("CONSENT_REQUESTED", "landlord"),
        ("CONSENT_GRANTED", "landlord"),
        ("RELEASED", "landlord"),
        ("RELEASED_AGAIN", "landlord"),
        ("RELEASED", "landlord"),
        ("REFUSED", "landlord"),
        ("REFUSED", "lender"),
        ("CONSENT_REVOKED", "landlord"),
        ("REFUSED", "landlord"),
    ]


async def test_the_entries_are_numbered_without_a_gap(recorded: Recorded, told: list[sqlite3.Row]) -> None:
    assert [entry["sequence"] for entry in told] == list(range(len(told)))
    (head,) = rows(recorded.state, "SELECT size FROM log_head")
    assert head["size"] == recorded.last() + 1
    assert [json.loads(entry["entry"])["sequence"] for entry in told] == list(range(len(told)))


async def test_a_leaf_is_the_hash_of_its_entry(told: list[sqlite3.Row]) -> None:
    for entry in told:
        assert entry["leaf_hash"] == hashlib.sha256(b"\x00" + entry["entry"]).digest()


async def test_an_entry_is_canonical_json(told: list[sqlite3.Row]) -> None:
    for entry in told:
        read = json.loads(entry["entry"])
        assert entry["entry"] == json.dumps(read, sort_keys=True, separators=(",", ":")).encode()
        assert set(read["commitments"]) == {"person", "detail", "outcome"}


async def test_a_commitment_opens_with_the_persons_salt_and_to_nothing_else(
    recorded: Recorded, told: list[sqlite3.Row]
) -> None:
    own = [entry for entry in told if entry["detail_sealed"]]
    assert len(own) == len(told) - 1, "all but what a stranger asked"
    for entry in own:
        detail = await recorded.detail(entry)
        salt = detail.pop("salt")
        committed = json.loads(entry["entry"])["commitments"]
        assert committed["person"] == commitment(salt, "person", PERSON.encode())
        assert committed["detail"] == commitment(salt, "detail", orjson.dumps(detail, option=orjson.OPT_SORT_KEYS))
        for other in (b"P01", b"", b"p18", b"P18 "):
            assert committed["person"] != commitment(salt, "person", other)
        assert committed["detail"] != commitment(salt, "detail", b"{}")
        assert committed["person"] != commitment("00" * 32, "person", PERSON.encode())


def answer_place(answer: sqlite3.Row) -> str:
    """What the record of an Answer is sealed for."""
    return f"answer/{answer['id']}/{answer['grant_id']}/{answer['questions_digest']}/body"


async def test_the_commitment_to_an_outcome_opens_with_the_stored_answer(
    recorded: Recorded, told: list[sqlite3.Row]
) -> None:
    released = [entry for entry in told if entry["kind"].startswith("RELEASED")]
    assert len(released) == 3
    for entry in released:
        detail = await recorded.detail(entry)
        (answer,) = rows(recorded.state, "SELECT * FROM answer WHERE id = ?", detail["answer"])
        body = await recorded.opened(answer["body_sealed"], answer_place(answer))
        committed = json.loads(entry["entry"])["commitments"]["outcome"]
        assert committed == commitment(detail["salt"], "outcome", body)
        changed = body.replace(b'"ELIGIBLE"', b'"NOT_ELIGIBLE_NOW"').replace(b"TAX_CERT", b"WITHHOLDING")
        assert changed != body
        assert committed != commitment(detail["salt"], "outcome", changed)


async def test_each_entry_has_a_salt_of_its_own(recorded: Recorded, told: list[sqlite3.Row]) -> None:
    salts = [(await recorded.detail(entry))["salt"] for entry in told if entry["detail_sealed"]]
    assert len(set(salts)) == len(salts)
    assert {len(bytes.fromhex(salt)) for salt in salts} == {32}


async def test_an_entry_tells_no_person_no_question_and_no_value(told: list[sqlite3.Row]) -> None:
    for entry in told:
        body = entry["entry"].decode()
        for kept in (PERSON, "Tax", "tenancy", "62000", "ELIGIBLE", "TAX_CERT", "ARREARS", "statusLawful", "kct_",
                     "TENANCY", "FIELD_NOT_CONSENTED"):  # fmt: skip
            assert kept not in body, kept


async def test_what_a_stranger_asked_is_on_record_under_nobody(told: list[sqlite3.Row]) -> None:
    (stranger,) = [entry for entry in told if entry["relying_party_id"] == "lender"]
    assert (stranger["person_id"], stranger["detail_sealed"]) == (None, None)


async def test_the_answer_that_left_is_the_one_on_record(recorded: Recorded) -> None:
    since = recorded.last()
    token, _ = await recorded.caller.consent(PERSON, "lender", "LENDING", request_for("Tax.residentTax"))
    asked = request_for("Tax.residentTax").replace("tax {", "answer { id recordedAt } tax {")
    body = await recorded.caller.as_party("lender", asked, {"consent": token})
    entry = recorded.entries(since)[-1]
    detail = await recorded.detail(entry)
    assert detail["answer"] == body["data"]["subject"]["answer"]["id"]
    (answer,) = rows(recorded.state, "SELECT * FROM answer WHERE id = ?", detail["answer"])
    stored = json.loads(await recorded.opened(answer["body_sealed"], answer_place(answer)))
    left = body["data"]["subject"]["tax"]["residentTax"]
    assert {name: stored["claims"]["Tax.residentTax"][name] for name in left} == left
    assert left["value"] == "ARREARS"


async def test_an_answer_can_be_recomputed_from_its_record(recorded: Recorded) -> None:
    lending = {"product": "CONSUMER", "amountYen": 500000, "termMonths": 24}
    token, _ = await recorded.caller.consent(PERSON, "lender", "LENDING", read_example(Purpose.LENDING), lending)
    since = recorded.last()
    await recorded.caller.as_party("lender", read_example(Purpose.LENDING), {**lending, "consent": token})
    detail = await recorded.detail(recorded.entries(since)[-1])
    (answer,) = rows(recorded.state, "SELECT * FROM answer WHERE id = ?", detail["answer"])
    stored = json.loads(await recorded.opened(answer["body_sealed"], answer_place(answer)))
    assert stored["today"] == "2026-11-20"
    assert stored["inputs"]["resident_tax"] == {"value": "ARREARS", "state": "CONFIRMED", "reason": None}
    assert set(stored["evidence"]) == {"IMMIGRATION", "LABOR", "TAX", "INSURANCE"}
    assert all(set(rests_on) == {"observedAt"} for rests_on in stored["evidence"].values())
    packs = rows(recorded.state, "SELECT * FROM rule_pack WHERE sha256 = ?", stored["rulePack"])
    assert [hashlib.sha256(pack["body"]).hexdigest() for pack in packs] == [stored["rulePack"]]


async def test_what_is_refused_before_it_is_a_question_is_not_in_the_log(recorded: Recorded) -> None:
    since = recorded.last()
    await recorded.caller.as_party("lender", "{ nope }")
    await recorded.caller.post("Bearer x", request_for("Tax.residentTax"), {"consent": "x"})
    await recorded.caller.preview(PERSON, "lender", "LENDING", request_for("Immigration.stayBasis"))
    assert recorded.entries(since) == []


async def test_what_a_person_looks_up_about_themself_is_not_in_the_log(recorded: Recorded) -> None:
    since = recorded.last()
    await recorded.caller.as_person(PERSON, "{ me { records { state } claims { tax { residentTax { value } } } } }")
    assert recorded.entries(since) == []


def spoil(state: Path, *statements: str) -> None:
    connection = sqlite3.connect(state / "kyosei.sqlite", isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


def assert_nothing_left(response: httpx.Response) -> None:
    body = response.json()
    assert (response.status_code, codes(body)) == (503, ["RECORD_UNAVAILABLE"])
    assert "data" not in body
    assert body["errors"][0]["extensions"]["retryable"] is True
    assert "retry-after" in response.headers
    for kept in ("TAX_CERT", "ELIGIBLE", "CONFIRMED"):
        assert kept not in response.text


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE audit_entry",
        "DROP TABLE log_head",
        "DROP TABLE answer",
        "DELETE FROM log_head",
        "CREATE TRIGGER no BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'no'); END",
        "CREATE TRIGGER no BEFORE UPDATE ON log_head BEGIN SELECT RAISE(ABORT, 'no'); END",
    ],
)
async def test_what_cannot_be_recorded_is_not_disclosed(tmp_path: Path, damage: str) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        token, _ = await caller.consent(PERSON, "landlord", "TENANCY", TENANCY, RENT)
        spoil(tmp_path, damage)
        key = f"Bearer {caller.running.keys['landlord']}"
        response = await caller.post(key, TENANCY, {**RENT, "consent": token})
        if damage == "DROP TABLE answer":
            assert response.status_code in (500, 503)
            assert "data" not in response.json()
            assert "TAX_CERT" not in response.text
            return
        assert_nothing_left(response)
        assert_nothing_left(await caller.post(key, TENANCY, {**RENT, "consent": "kct_unknown"}))
        refused = await caller.post(key, request_for("Tax.residentTax"), {"consent": token})
        assert_nothing_left(refused)


async def test_after_the_writer_stopped_nothing_is_disclosed(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        token, _ = await caller.consent(PERSON, "landlord", "TENANCY", TENANCY, RENT)
        assert "errors" not in await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
        await caller.running.gateway.writer.close()
        key = f"Bearer {caller.running.keys['landlord']}"
        assert_nothing_left(await caller.post(key, TENANCY, {**RENT, "consent": token}))


async def test_a_database_that_is_mended_answers_again(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        token, _ = await caller.consent(PERSON, "landlord", "TENANCY", TENANCY, RENT)
        before = rows(tmp_path, "SELECT count(*) AS n FROM audit_entry")[0]["n"]
        spoil(tmp_path, "CREATE TRIGGER no BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'no'); END")
        key = f"Bearer {caller.running.keys['landlord']}"
        assert_nothing_left(await caller.post(key, TENANCY, {**RENT, "consent": token}))
        spoil(tmp_path, "DROP TRIGGER no")
        assert "errors" not in await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
        assert rows(tmp_path, "SELECT count(*) AS n FROM audit_entry")[0]["n"] == before + 1
        assert rows(tmp_path, "SELECT count(*) AS n FROM answer")[0]["n"] == 1, "nothing of the first one is kept"


async def test_an_entry_that_was_moved_to_another_place_does_not_open(
    recorded: Recorded, told: list[sqlite3.Row]
) -> None:
    with pytest.raises(ValueError, match="does not verify"):
        await recorded.opened(told[2]["detail_sealed"], "audit_entry/3/detail")
