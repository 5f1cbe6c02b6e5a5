"""What happens to a consent, and what may not: every transition, pause, renewal, frequency."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from gateway.sandbox import default_people_folder, open_authorities, read_people
from gateway.sandbox_keys import read_sandbox_keys
from tests.conftest import Caller
from tests.gateway.gateway_process import LEFT_AT, GatewayProcess, Launch, quick_settings
from tests.gateway.sandboxes import Clock, codes, own_sandbox, settings_for

LOOKS = [f"immigration {{ {name} {{ value }} }}" for name in ("statusLawful", "cardNotRevoked", "renewalPending")]
BELOW = "query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {} }} }}"
OPENING = BELOW.format("accountOpening { outcome } " + " ".join(LOOKS))
KEEPING = BELOW.format("accountMaintenance { outcome } " + " ".join(LOOKS))
PREVIEW = """mutation($document: String!, $variables: JSON, $party: ID, $purpose: Purpose!, $terms: ConsentTerms) {
  previewConsent(document: $document, variables: $variables, relyingParty: $party, purpose: $purpose, terms: $terms) {
    id } }"""
VIEW = """mutation($document: String!, $variables: JSON, $party: ID, $purpose: Purpose!, $terms: ConsentTerms) {
  previewConsent(document: $document, variables: $variables, relyingParty: $party, purpose: $purpose, terms: $terms) {
    id } }"""
REQUEST = """mutation($document: String!, $variables: JSON, $purpose: Purpose!, $terms: ConsentTerms) {
  requestConsent(document: $document, variables: $variables, purpose: $purpose, terms: $terms) { id expiresAt } }"""
VIEW = "id status expiresAt pausedAt endedAt usesLeft fetchType timesPerDay dataLifeDays nextRefreshAt"
ON_GRANT = f"mutation($id: ID!) {{ %s(grant: $id) {{ {VIEW} }} }}"
ACTIONS = {
    "grant": "mutation($id: ID!) { grantConsent(preview: $id) { grant { id status } } }",
    "reject": "mutation($id: ID!) { rejectConsent(preview: $id) { id status } }",
    **{name: ON_GRANT % f"{name}Consent" for name in ("pause", "resume", "renew", "revoke")},
}
LEADS_TO = {
    ("PENDING", "grant"): "ACTIVE",
    ("PENDING", "reject"): "REJECTED",
    ("PENDING", "revoke"): "REVOKED",  # the request is closed: as long as there has been a revoke
    ("ACTIVE", "pause"): "PAUSED",
    ("ACTIVE", "renew"): "ACTIVE",
    ("ACTIVE", "revoke"): "REVOKED",
    ("PAUSED", "resume"): "ACTIVE",
    ("PAUSED", "renew"): "PAUSED",
    ("PAUSED", "revoke"): "REVOKED",
    ("REVOKED", "revoke"): "REVOKED",
    ("REJECTED", "revoke"): "REJECTED",
    ("EXPIRED", "revoke"): "EXPIRED",
    ("PAUSED, EXPIRED", "revoke"): "EXPIRED",
    ("PENDING, EXPIRED", "revoke"): "EXPIRED",
}
"""Source: protocols 1. What is not here is refused; to revoke what has ended changes nothing."""

STATES = ("PENDING", "ACTIVE", "PAUSED", "REVOKED", "REJECTED", "EXPIRED", "PAUSED, EXPIRED", "PENDING, EXPIRED")
TOLD = {
    "ACTIVE": [],
    "PAUSED": ["CONSENT_PAUSED"],
    "REVOKED": ["CONSENT_ENDED"],
    "EXPIRED": ["CONSENT_ENDED"],
    "PAUSED, EXPIRED": ["CONSENT_ENDED"],
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A sandbox with its clock, and the one person of these tests."""

    caller: Caller
    clock: Clock
    person: str = "P01"

    async def run(self, query: str, **variables: Any) -> dict[str, Any]:
        return await self.caller.as_person(self.person, query, variables)

    async def act(self, action: str, grant_id: str) -> dict[str, Any]:
        return await self.run(ACTIONS[action], id=grant_id)

    async def preview(
        self, *, document: str = OPENING, purpose: str = "ACCOUNT_OPENING", terms: Any = None
    ) -> dict[str, Any]:
        return await self.run(PREVIEW, document=document, party="bank", purpose=purpose, terms=terms)

    async def consent(self, **asked: Any) -> tuple[str, str]:
        """A grant's id and token."""
        previewed = (await self.preview(**asked))["data"]["previewConsent"]["id"]
        query = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken grant { id } } }"
        granted = (await self.run(query, id=previewed))["data"]["grantConsent"]
        return granted["grant"]["id"], granted["consentToken"]

    async def standing(self, state: str) -> tuple[str, str | None]:
        """A grant that stands there, and its token if it ever had one."""
        if state in ("PENDING", "REJECTED", "PENDING, EXPIRED"):
            grant_id, token = (await self.preview())["data"]["previewConsent"]["id"], None
        else:
            grant_id, token = await self.consent()
        for named, action in (("PAUSED", "pause"), ("REVOKED", "revoke"), ("REJECTED", "reject")):
            if named in state:
                assert "errors" not in await self.act(action, grant_id)
        if "EXPIRED" in state:
            self.clock.pass_by(hours=2) if "PENDING" in state else self.clock.pass_by(days=30, minutes=1)
        return grant_id, token

    async def grant(self, grant_id: str) -> dict[str, Any]:
        """The person's own view."""
        grants = (await self.run(f"{{ me {{ grants {{ {VIEW} }} }} }}"))["data"]["me"]["grants"]
        (found,) = [grant for grant in grants if grant["id"] == grant_id]
        return dict(found)

    async def ask(self, token: str | None, fields: str = "accountOpening { outcome }", party: str = "bank") -> Any:
        return await self.caller.as_party(party, BELOW.format(fields), {"consent": token})


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="stage")
async def make_stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    clock = Clock()
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state")), clock=clock) as caller:
        yield Stage(caller, clock)


def close_to(moment: str, expected: datetime) -> bool:
    return abs(datetime.fromisoformat(moment) - expected) < timedelta(minutes=2)


# --- transitions ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("state", STATES)
async def test_a_consent_goes_only_where_it_may(stage: Stage, state: str, action: str) -> None:
    grant_id, _ = await stage.standing(state)
    before = await stage.grant(grant_id)
    assert before["status"] == state.rpartition(", ")[2]
    body = await stage.act(action, grant_id)
    after = await stage.grant(grant_id)
    if (state, action) in LEADS_TO:
        assert "errors" not in body, body
        assert after["status"] == LEADS_TO[state, action]
    else:
        assert (list(body["data"].values()), codes(body)) == ([None], ["CONSENT_REQUEST_INVALID"])
        assert after == before, "and nothing of it has changed"


@pytest.mark.parametrize("state", TOLD)
async def test_its_own_relying_party_is_told_where_a_consent_stands_and_others_are_not(
    stage: Stage, state: str
) -> None:
    _, token = await stage.standing(state)
    own = await stage.ask(token)
    assert codes(own) == TOLD[state]
    assert (own["data"]["subject"] is None) is bool(TOLD[state])
    other = await stage.ask(token, party="other-bank")
    assert (other["data"], codes(other)) == ({"subject": None}, ["CONSENT_INVALID"])


@pytest.mark.parametrize("action", ["pause", "resume", "renew", "reject", "grant"])
async def test_nobody_changes_another_persons_consent(stage: Stage, action: str) -> None:
    state = {"resume": "PAUSED", "reject": "PENDING", "grant": "PENDING"}.get(action, "ACTIVE")
    grant_id, _ = await stage.standing(state)
    refused = await Stage(stage.caller, stage.clock, "P18").act(action, grant_id)
    assert codes(refused) == ["CONSENT_REQUEST_INVALID"]
    assert (await stage.grant(grant_id))["status"] == state


@pytest.mark.parametrize("order", [("pause", "revoke", "resume", "renew"), ("renew", "resume", "revoke", "pause")])
async def test_whatever_is_done_at_once_what_is_revoked_stays_revoked(stage: Stage, order: tuple[str, ...]) -> None:
    grant_id, token = await stage.consent()
    bodies = await asyncio.gather(*(stage.act(action, grant_id) for action in order))
    assert {code for body in bodies for code in codes(body)} <= {"CONSENT_REQUEST_INVALID"}
    assert (await stage.grant(grant_id))["status"] == "REVOKED"
    assert codes(await stage.ask(token)) == ["CONSENT_ENDED"]


async def test_every_change_is_in_the_persons_access_log_once(stage: Stage) -> None:
    person = Stage(stage.caller, stage.clock, "P12")
    grant_id, _ = await person.consent()
    for action in ("pause", "pause", "resume", "resume", "renew", "revoke", "revoke"):
        await person.act(action, grant_id)
    await person.act("reject", (await person.preview())["data"]["previewConsent"]["id"])
    accesses = (await person.run("{ me { accesses { kind } } }"))["data"]["me"]["accesses"]
    assert [access["kind"].removeprefix("CONSENT_") for access in reversed(accesses)] == [
        *("REQUESTED", "GRANTED", "PAUSED", "RESUMED", "RENEWED", "REVOKED", "REQUESTED", "REJECTED"),
    ]  # fmt: skip


# --- pause ---------------------------------------------------------------------------------------------------


async def test_a_paused_consent_answers_nothing_and_after_resuming_what_it_did(stage: Stage) -> None:
    grant_id, token = await stage.consent()
    asked = "accountOpening { outcome } answer { id } grant { usesLeft }"
    first = await stage.ask(token, asked)
    paused = (await stage.act("pause", grant_id))["data"]["pauseConsent"]
    assert (paused["status"], paused["endedAt"]) == ("PAUSED", None)
    assert close_to(paused["pausedAt"], stage.clock.now())
    for fields in (asked, "immigration { statusLawful { value } }", "grant { status }"):
        refused = await stage.ask(token, fields)
        assert (refused["data"], codes(refused)) == ({"subject": None}, ["CONSENT_PAUSED"])
    resumed = (await stage.act("resume", grant_id))["data"]["resumeConsent"]
    assert (resumed["status"], resumed["pausedAt"]) == ("ACTIVE", None)
    assert (await stage.ask(token, asked))["data"] == first["data"]


@dataclass(slots=True)
class Callers:
    """A person who pauses and resumes, and a relying party that never stops asking.

    `answered`: when the first byte of each answer left.
    """

    http: httpx.AsyncClient
    key: str
    answered: list[float] = field(default_factory=list)

    async def post(self, who: str, query: str, variables: dict[str, Any]) -> httpx.Response:
        body = orjson.dumps({"query": query, "variables": variables})
        headers = {"authorization": who, "content-type": "application/json"}
        return await self.http.post("/graphql", content=body, headers=headers)

    async def keep_asking(self, token: str) -> None:
        document = "query($c: ConsentToken!) { subject(consent: $c) { accountOpening { outcome } } }"
        while True:
            response = await self.post(f"Bearer {self.key}", document, {"c": token})
            if b'"outcome"' in response.content:
                self.answered.append(float(response.headers[LEFT_AT.decode()]))

    async def consent(self) -> tuple[str, str]:
        asked = {"document": OPENING, "party": "bank", "purpose": "ACCOUNT_OPENING"}
        previewed = (await self.post("Person P01", PREVIEW, asked)).json()["data"]["previewConsent"]["id"]
        query = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken grant { id } } }"
        granted = (await self.post("Person P01", query, {"id": previewed})).json()["data"]["grantConsent"]
        return granted["grant"]["id"], granted["consentToken"]

    async def pause_and_resume(self, grant_id: str) -> tuple[float, float]:
        """From when to when nothing may leave: the pause is told, and the resume not yet asked for."""
        paused = await self.post("Person P01", ACTIONS["pause"], {"id": grant_id})
        await asyncio.sleep(0.06)
        resumed_at = time.monotonic()
        resumed = await self.post("Person P01", ACTIONS["resume"], {"id": grant_id})
        assert "errors" not in paused.json() | resumed.json()
        await self.answered_since(resumed_at)
        return float(paused.headers[LEFT_AT.decode()]), resumed_at

    async def answered_since(self, moment: float) -> None:
        """Wait until an answer has come back again."""
        for _ in range(1_000):
            if self.answered and max(self.answered) > moment:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("nothing came back for ten seconds")


async def test_once_pause_has_returned_nothing_leaves_until_it_is_resumed(tmp_path: Path) -> None:
    """Answers are slow on their way out, so that some are under way while the consent is paused."""
    settings = quick_settings(tmp_path / "state")
    people = read_people(default_people_folder())
    async with open_authorities(settings, people.folder, today=people.clock_on, profile="brisk") as urls:
        process = GatewayProcess(Launch(settings.state, urls, tmp_path / "output", way_out_seconds=0.15))
        try:
            async with httpx.AsyncClient(base_url=await process.start(), trust_env=False, timeout=10) as http:
                callers = Callers(http, read_sandbox_keys(settings)["bank"])
                grant_id, token = await callers.consent()
                asking = [asyncio.create_task(callers.keep_asking(token)) for _ in range(6)]
                quiet = [await callers.pause_and_resume(grant_id) for _ in range(8)]
                for task in asking:
                    task.cancel()
                await asyncio.gather(*asking, return_exceptions=True)
        finally:
            await process.kill()
    late = [at for at in callers.answered for paused_at, resumed_at in quiet if paused_at < at < resumed_at]
    assert late == []
    assert len(quiet) == 8, "and it came back every time"


# --- renewal -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "document", "life_days"), [("ACCOUNT_OPENING", OPENING, 30), ("ACCOUNT_MAINTENANCE", KEEPING, 90)]
)
async def test_renewing_lets_a_consent_last_as_long_as_if_it_were_granted_now(
    stage: Stage, purpose: str, document: str, life_days: int
) -> None:
    grant_id, token = await stage.consent(purpose=purpose, document=document)
    await stage.ask(token, "immigration { statusLawful { value } }")
    before = await stage.grant(grant_id)
    stage.clock.pass_by(days=life_days - 1)
    renewed = (await stage.act("renew", grant_id))["data"]["renewConsent"]
    assert close_to(renewed["expiresAt"], stage.clock.now() + timedelta(days=life_days))
    assert renewed["usesLeft"] == before["usesLeft"], "its uses stay what they are"
    stage.clock.pass_by(days=life_days - 1)
    assert "errors" not in await stage.ask(token, "immigration { statusLawful { value } }")
    stage.clock.pass_by(days=1, minutes=1)
    assert codes(await stage.ask(token, "immigration { statusLawful { value } }")) == ["CONSENT_ENDED"]
    assert codes(await stage.act("renew", grant_id)) == ["CONSENT_REQUEST_INVALID"], "what has ended stays ended"


# --- frequency and what the relying party sees ---------------------------------------------------------------


async def test_a_periodic_consent_answers_so_often_a_day_and_says_when_again(stage: Stage) -> None:
    terms = {"fetchType": "PERIODIC", "timesPerDay": 2}
    grant_id, token = await stage.consent(purpose="ACCOUNT_MAINTENANCE", document=KEEPING, terms=terms)
    began_at = stage.clock.now()
    first = [await stage.ask(token, f"{look} answer {{ id }}") for look in LOOKS[:2]]
    assert [codes(body) for body in first] == [[], []]
    third = await stage.ask(token, LOOKS[2])
    assert (third["data"], codes(third)) == ({"subject": None}, ["RATE_LIMITED"])
    assert close_to(third["errors"][0]["extensions"]["retryAt"], began_at + timedelta(days=1))
    again = await stage.ask(token, f"{LOOKS[0]} answer {{ id }}")
    assert again["data"] == first[0]["data"], "what was answered today is answered again"
    stage.clock.pass_by(hours=23)
    assert codes(await stage.ask(token, LOOKS[2])) == ["RATE_LIMITED"]
    stage.clock.pass_by(hours=1, minutes=1)
    assert "errors" not in await stage.ask(token, LOOKS[2])
    view = await stage.grant(grant_id)
    assert (view["fetchType"], view["timesPerDay"], view["usesLeft"]) == ("PERIODIC", 2, None)


async def test_a_relying_party_sees_where_its_consent_stands_and_when_it_is_worth_asking_again(stage: Stage) -> None:
    _, token = await stage.consent(purpose="ACCOUNT_MAINTENANCE", document=KEEPING)
    asked = f"{LOOKS[0]} answer {{ id }} grant {{ status expiresAt usesLeft nextRefreshAt }}"
    first = (await stage.ask(token, asked))["data"]["subject"]
    seen = first["grant"]
    assert (seen["status"], seen["usesLeft"]) == ("ACTIVE", None)
    assert close_to(seen["expiresAt"], stage.clock.now() + timedelta(days=90))
    refresh_at = datetime.fromisoformat(seen["nextRefreshAt"])
    assert stage.clock.now() < refresh_at < datetime.fromisoformat(seen["expiresAt"])
    assert refresh_at.second == refresh_at.microsecond == 0, "no finer than a minute"
    stage.clock.pass_by(seconds=(refresh_at - stage.clock.now()).total_seconds() - 90)
    assert (await stage.ask(token, asked))["data"]["subject"]["answer"] == first["answer"]
    stage.clock.pass_by(seconds=180)
    assert (await stage.ask(token, asked))["data"]["subject"]["answer"] != first["answer"], "a new look"


async def test_a_relying_party_sees_how_often_it_may_still_ask(stage: Stage) -> None:
    _, token = await stage.consent(terms={"uses": 2})
    asked = [f"{look} grant {{ usesLeft }}" for look in LOOKS[:2]]
    bodies = [await stage.ask(token, fields) for fields in asked]
    assert [body["data"]["subject"]["grant"]["usesLeft"] for body in bodies] == [1, 0]
    assert codes(await stage.ask(token, "accountOpening { outcome }")) == ["CONSENT_ENDED"]
