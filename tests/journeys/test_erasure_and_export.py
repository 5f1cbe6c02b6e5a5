"""A person takes everything along and has it erased: nothing of them is left, and nobody else is touched."""

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.asking import read_example
from gateway.consent.gate import Refusal
from gateway.plan import Plan, Question
from gateway.sandbox import open_authorities, read_people
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.canary_people import CanaryPerson, found_in, make_people, write_folder
from tests.gateway.gateway_process import GatewayProcess, Launch, quick_settings
from tests.gateway.record import opened_record
from tests.gateway.sandboxes import codes, own_sandbox, settings_for
from tests.gateway.test_canaries import RENT, TENANCY, Watched, watched

ERASED, STAYING = make_people()[:2]
STATEMENT = "QXSTATEMENT{} 申立瑠璃"
OPENING = read_example(Purpose.ACCOUNT_OPENING)
ERASE = "mutation($name: String!) { eraseMe(name: $name) { entry erasedAt } }"
DISPUTE = 'mutation($s: String!) { openDispute(claim: "Tax.income", statement: $s) { id } }'
CODE = "mutation($grant: ID!) { createShareCode(grant: $grant) { code } }"
REDEEM = """mutation($code: String!, $born: Date!) {
  redeemShareCode(code: $code, dateOfBirth: $born) { consentToken } }"""
NEVER = "kct_" + "a" * 26


# --- erasure: a gateway in a process of its own, so that everything it writes is in files --------------------


@dataclass(slots=True)
class Told:
    """What somebody was answered, without what names the request."""

    status: int
    body: str

    @property
    def codes(self) -> list[str]:
        return codes(orjson.loads(self.body))


@dataclass(slots=True)
class Seen:
    """What these tests look at: responses by name, and the files as they were at some moments."""

    state: Path
    tokens: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    erasure: Any = None
    left_at_once: list[str] = field(default_factory=list)

    def files(self) -> Iterator[tuple[str, bytes]]:
        for path in self.state.parent.rglob("*"):
            if path.is_file() and "people" not in path.parts:
                yield str(path.relative_to(self.state.parent)), path.read_bytes()


async def ask(http: httpx.AsyncClient, who: str, query: str, variables: Any = None) -> Told:
    body = orjson.dumps({"query": query, "variables": variables or {}})
    headers = {"authorization": who, "content-type": "application/json"}
    response = await http.post("/graphql", content=body, headers=headers)
    request_id = response.json()["extensions"]["requestId"]
    return Told(response.status_code, response.text.replace(request_id, ""))


async def live(callers: Watched, person: CanaryPerson, seen: Seen) -> None:
    """A life at this gateway: consents, an answer, a dispute, a share code, a request left open."""
    who = f"Person {person.id}"
    await callers.whole_story(person)
    consented = await callers.consent(person)
    assert consented is not None
    grant, seen.tokens[person.id] = consented
    asked = {**RENT, "consent": seen.tokens[person.id]}
    assert (await callers.run(f"Bearer {callers.keys['landlord']}", TENANCY, asked))["subject"]
    assert (await callers.run(who, DISPUTE, {"s": STATEMENT.format(person.id)}))["openDispute"]
    seen.codes[person.id] = (await callers.run(who, CODE, {"grant": grant}))["createShareCode"]["code"]
    own = await callers.run(who, "{ me { export records { entries { fields { value } } } } }")
    assert found_in(orjson.dumps(own), person.facts)


async def knock(http: httpx.AsyncClient, keys: Any, seen: Seen, when: str) -> None:
    """What both are answered, and what is answered about both."""
    landlord = f"Bearer {keys['landlord']}"
    for person in (ERASED, STAYING):
        seen.told[f"{when}: {person.id} signs in"] = await ask(http, f"Person {person.id}", "{ me { id } }")
        asked = {**RENT, "consent": seen.tokens[person.id]}
        seen.told[f"{when}: token of {person.id}"] = await ask(http, landlord, TENANCY, asked)
    seen.told[f"{when}: no token"] = await ask(http, landlord, TENANCY, {**RENT, "consent": NEVER})
    seen.told[f"{when}: nobody signs in"] = await ask(http, "Person K99", "{ me { id } }")
    born = {"born": ERASED.identity["date_of_birth"]}
    seen.told[f"{when}: code"] = await ask(http, landlord, REDEEM, {"code": seen.codes[ERASED.id], **born})


def secrets_of(state: Path) -> dict[str, tuple[bytes, bytes]]:
    with opened_record(state) as record:
        wrapped = {row["id"]: row["wrapped_key"] for row in record.rows("SELECT id, wrapped_key FROM person")}
        return {person: (record.keys[person], wrapped[person]) for person in wrapped}


def back_up(state: Path) -> None:
    """A backup as an operator makes one: a copy of the file, and one by the database itself."""
    folder = state.parent / "backup"
    folder.mkdir()
    shutil.copy(state / "kyosei.sqlite", folder / "copied.sqlite")
    with (
        closing(sqlite3.connect(state / "kyosei.sqlite")) as source,
        closing(sqlite3.connect(folder / "backed-up.sqlite")) as target,
    ):
        source.backup(target)


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="seen")
async def make_seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Seen]:
    """Two people live, one is erased, the gateway starts again over the same people."""
    root = tmp_path_factory.mktemp("root")
    seen, folder = Seen(root / "state"), root / "people"
    write_folder(folder, [ERASED, STAYING])
    seen.state.mkdir(mode=0o700)
    settings, today = quick_settings(seen.state), read_people(folder).clock_on
    async with open_authorities(settings, folder, today=today, profile="brisk") as urls:
        process = GatewayProcess(Launch(seen.state, urls, seen.state / "operator.log", folder))
        try:
            async with watched(await process.start(), seen.state) as callers:
                for person in (ERASED, STAYING):
                    await live(callers, person, seen)
                seen.secrets = secrets_of(seen.state)
                who, name = f"Person {ERASED.id}", ERASED.identity["name"]
                for wrong in (STAYING.identity["name"], name[:-1], name.split()[0], "", ERASED.id):
                    seen.told[f"erase {wrong}"] = await ask(callers.http, who, ERASE, {"name": wrong})
                await knock(callers.http, callers.keys, seen, "before")
                seen.erasure = (await callers.run(who, ERASE, {"name": name}))["eraseMe"]
                await knock(callers.http, callers.keys, seen, "after")
                back_up(seen.state)
                seen.left_at_once = left_over(seen)
            await process.kill()
            async with watched(await process.start(), seen.state) as callers:
                await knock(callers.http, callers.keys, seen, "later")
            await process.stop()
        finally:
            await process.kill()
    yield seen


def left_over(seen: Seen) -> list[str]:
    """Every file in which something of the erased person can be found, or their key."""
    key, wrapped = seen.secrets[ERASED.id]
    canaries = [*ERASED.facts, *ERASED.never, *ERASED.restricted, STATEMENT.format(ERASED.id)]
    return [
        name
        for name, body in seen.files()
        if key in body or wrapped in body or found_in(body, canaries) or seen.tokens[ERASED.id].encode() in body
    ]


async def test_after_erasure_no_file_holds_anything_of_the_person(seen: Seen) -> None:
    assert seen.left_at_once == [], "while the gateway runs"
    assert left_over(seen) == [], "and after it ran again"
    files = ("state/kyosei.sqlite", "state/operator.log", "backup/copied.sqlite", "backup/backed-up.sqlite")
    assert {name for name, _ in seen.files()} >= set(files)


async def test_the_search_for_a_key_finds_the_key_of_who_stays(seen: Seen) -> None:
    _, wrapped = seen.secrets[STAYING.id]
    assert "state/kyosei.sqlite" in [name for name, body in seen.files() if wrapped in body]


async def test_in_no_table_is_there_a_row_of_the_person(seen: Seen) -> None:
    found: dict[str, list[str]] = {ERASED.id: [], STAYING.id: []}
    with closing(sqlite3.connect(seen.state / "kyosei.sqlite")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for person in found:
                    found[person] += [table] if person in row else []
    assert found[ERASED.id] == []
    assert {"person", "consent_grant", "audit_entry"} <= set(found[STAYING.id])


@pytest.mark.parametrize("when", ["after", "later"])
async def test_who_was_erased_cannot_sign_in_and_is_not_enrolled_again(seen: Seen, when: str) -> None:
    assert seen.told[f"before: {ERASED.id} signs in"].status == 200
    refused = seen.told[f"{when}: {ERASED.id} signs in"]
    assert (refused.status, refused.codes) == (401, ["TOKEN_INVALID"])
    assert refused == seen.told[f"{when}: nobody signs in"]


@pytest.mark.parametrize("when", ["after", "later"])
async def test_tokens_and_codes_of_who_was_erased_are_like_those_that_never_were(seen: Seen, when: str) -> None:
    assert seen.told[f"before: token of {ERASED.id}"].codes == []
    refused = seen.told[f"{when}: token of {ERASED.id}"]
    assert (refused.status, refused.codes) == (200, ["CONSENT_INVALID"])
    assert refused == seen.told[f"{when}: no token"]
    assert seen.told[f"{when}: code"].codes == ["CONSENT_INVALID"]


@pytest.mark.parametrize("when", ["after", "later"])
async def test_nobody_else_is_touched(seen: Seen, when: str) -> None:
    for what in (f"{STAYING.id} signs in", f"token of {STAYING.id}"):
        assert (seen.told[f"{when}: {what}"].status, seen.told[f"{when}: {what}"].codes) == (200, [])


async def test_erasure_takes_the_enrolled_name_again(seen: Seen) -> None:
    refused = [told for name, told in seen.told.items() if name.startswith("erase ")]
    assert [(told.status, told.codes) for told in refused] == [(200, ["CONSENT_REQUEST_INVALID"])] * 5


async def test_the_audit_log_is_as_whole_as_before_and_says_that_somebody_was_erased(seen: Seen) -> None:
    with opened_record(seen.state) as record:
        record.check_whole()
        (row,) = record.rows(f"SELECT * FROM audit_entry WHERE sequence = {int(seen.erasure['entry'])}")
        assert row["kind"] == "ERASED"
        text = row["entry"].decode()
        assert not [word for word in (ERASED.id, *ERASED.facts) if word in text]
        kinds = [entry["kind"] for entry in record.rows("SELECT kind FROM audit_entry")]
    assert kinds.count("ERASED") == 1
    assert kinds.count("DISPUTE_OPENED") == 2, "what was recorded of the erased is still a leaf of the log"


async def test_a_refusal_that_is_recorded_after_an_erasure_is_of_nobody(tmp_path: Path) -> None:
    """An erasure overtakes what waits to be recorded; whom that is about was found out before."""
    async with own_sandbox(settings_for(tmp_path)) as caller:
        gateway, person_id = caller.running.gateway, "P01"
        person = await gateway.stores.people.find(person_id)
        _, grant_id = await caller.consent(person_id, "bank", "ACCOUNT_OPENING", OPENING)
        found = await gateway.stores.grants.find_of_party(grant_id, "bank")
        assert found is not None
        question = Question("Tax.income", {}, "Tax.income")
        plan = Plan("", (question,), {}, frozenset({"Tax.income"}))
        refusal = Refusal("FIELD_NOT_CONSENTED", plan, found[0])
        name = caller.running.people.identities[person_id].name
        await caller.as_person(person_id, ERASE, {"name": name})
        await gateway.stores.answers.record_refusal(
            refusal, person, relying_party_id="bank", proof=None, now=gateway.now()
        )
    with opened_record(tmp_path) as record:
        record.check_whole()
        *_, last = record.rows("SELECT * FROM audit_entry ORDER BY sequence")
    assert (last["kind"], last["person_id"], last["detail_sealed"]) == ("REFUSED", None, None)


async def test_what_is_asked_while_a_person_is_erased_is_answered_before_or_not_at_all(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        token, _ = await caller.consent("P01", "bank", "ACCOUNT_OPENING", OPENING)
        name = caller.running.people.identities["P01"].name
        asking = [asyncio.create_task(caller.as_party("bank", OPENING, {"consent": token})) for _ in range(16)]
        erased = await caller.as_person("P01", ERASE, {"name": name})
        later = [await caller.as_party("bank", OPENING, {"consent": token}) for _ in range(4)]
        bodies = await asyncio.gather(*asking)
    assert erased["data"]["eraseMe"]["entry"] >= 0
    assert [codes(body) for body in later] == [["CONSENT_INVALID"]] * 4
    allowed = {"CONSENT_INVALID", "CONSENT_ENDED", "OVERLOADED"}
    assert {code for body in bodies for code in codes(body)} <= allowed


# --- export --------------------------------------------------------------------------------------------------

RECORD_FIELDS = (
    "schema_version", "record_id", "pii_principal_id", "privacy_notice", "language", "purposes", "pii_information",
    "pii_controllers", "storage_locations", "retention_period", "jurisdiction", "recipient_third_parties",
    "withdrawal_method", "pii_type", "party_id", "party_address", "party_name", "party_contact", "party_type",
    "event_time", "validity_duration", "entity_id", "event_type", "event_state",
)  # fmt: skip
"""Mandatory in a consent record. Source: ISO/IEC TS 27560, protocols 2.9."""
EXPORT = """{ me { export grants { id status questions leftOut }
  accesses { entry kind } disputes { id statement } disclosures { family } } }"""


def objects_with(value: Any, key: str) -> list[dict[str, Any]]:
    """Every object below a value that has this key, outermost first."""
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict) and key in value else []
    return own + [found for one in below for found in objects_with(one, key)]


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="exported")
async def make_exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The export of somebody with a consent of each status, beside what they see of themself."""
    root = tmp_path_factory.mktemp("root")
    write_folder(root / "people", [ERASED, STAYING])
    async with own_sandbox(settings_for(root / "state"), people=root / "people") as caller:
        await live_with_every_status(caller, ERASED.id)
        body = await caller.as_person(ERASED.id, EXPORT)
    assert "errors" not in body, body
    return dict(body["data"]["me"])


async def live_with_every_status(caller: Caller, person: str) -> None:
    token, _ = await caller.consent(person, "landlord", "TENANCY", TENANCY, RENT)
    assert "errors" not in await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
    _, revoked = await caller.consent(person, "landlord", "TENANCY", TENANCY, RENT)
    await caller.revoke(person, revoked)
    _, paused = await caller.consent(person, "bank", "ACCOUNT_OPENING", OPENING)
    await caller.as_person(person, "mutation($id: ID!) { pauseConsent(grant: $id) { id } }", {"id": paused})
    _, renewed = await caller.consent(person, "bank", "ACCOUNT_OPENING", OPENING)
    await caller.as_person(person, "mutation($id: ID!) { renewConsent(grant: $id) { id } }", {"id": renewed})
    for decision in ("mutation($id: ID!) { rejectConsent(preview: $id) { id } }", None):
        previewed = await caller.preview(person, "landlord", "TENANCY", TENANCY, RENT)
        if decision:
            await caller.as_person(person, decision, {"id": previewed["data"]["previewConsent"]["id"]})
    assert "errors" not in await caller.as_person(person, DISPUTE, {"s": STATEMENT.format(person)})


async def test_the_export_holds_all_that_was_enrolled_and_all_that_was_said(exported: dict[str, Any]) -> None:
    text = orjson.dumps(exported["export"])
    identity = ERASED.identity
    enrolled = [identity["name"], *identity["names_kana"], identity["alias"], identity["residence_card_number"],
                identity["date_of_birth"], identity["address_given"]]  # fmt: skip
    assert found_in(text, enrolled) == sorted(enrolled)
    assert found_in(text, [STATEMENT.format(ERASED.id)]) != []


async def test_the_export_holds_nothing_of_anybody_else_and_no_restricted_number(exported: dict[str, Any]) -> None:
    text = orjson.dumps(exported["export"])
    assert found_in(text, [*STAYING.facts, *ERASED.restricted, *ERASED.never]) == []
    assert b"kct_" not in text


async def test_the_export_holds_every_consent_every_access_and_every_dispute(exported: dict[str, Any]) -> None:
    text = orjson.dumps(exported["export"]).decode()
    for kind in ("grants", "disputes"):
        assert exported[kind]
        assert [own["id"] for own in exported[kind] if own["id"] not in text] == []
    entries = {found["entry"] for found in objects_with(exported["export"], "entry")}
    assert entries >= {access["entry"] for access in exported["accesses"]}
    for question in {question for grant in exported["grants"] for question in grant["questions"]}:
        assert orjson.dumps(question).decode() in text


async def test_the_export_holds_every_answer_that_is_kept(exported: dict[str, Any]) -> None:
    """What was released, and not only that something was."""
    text = orjson.dumps(exported["export"]).decode()
    assert "RELEASED" in {access["kind"] for access in exported["accesses"]}
    for released in ('"outcome"', "TN-05", "statusLawful", "CONFIRMED"):
        assert released in text, released


async def test_every_consent_is_a_record_with_the_standards_field_names(exported: dict[str, Any]) -> None:
    records = {record["record_id"]: record for record in objects_with(exported["export"], "record_id")}
    assert len(records) == len(exported["grants"])
    for record in records.values():
        assert [name for name in RECORD_FIELDS if not objects_with(record, name)] == []
        assert [name for name in ("schema_version", "record_id", "pii_principal_id") if not record.get(name)] == []


async def test_the_last_event_of_a_record_says_where_the_consent_stands(exported: dict[str, Any]) -> None:
    last = {}
    for record in objects_with(exported["export"], "record_id"):
        events = sorted(objects_with(record, "event_state"), key=lambda event: str(event["event_time"]))
        last[record["record_id"]] = events[-1]["event_state"].removeprefix("dpv:")
    states = {
        "PENDING": {"ConsentRequested"},
        "ACTIVE": {"ConsentGiven", "RenewedConsentGiven"},
        "REJECTED": {"ConsentRefused"},
        "REVOKED": {"ConsentWithdrawn"},
    }
    assert {grant["status"] for grant in exported["grants"]} == {*states, "PAUSED"}
    for grant in exported["grants"]:
        assert last[grant["id"]] in states.get(grant["status"], {last[grant["id"]]})
        assert (grant["status"] == "ACTIVE") is (last[grant["id"]] in states["ACTIVE"]), "a ground to process on"
