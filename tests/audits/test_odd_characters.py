"""No character of a text breaks anything, whatever the database can hold: PostgreSQL holds no NUL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox, settings_for
from tests.oauth.party import OPENING, registered
from tests.portal.stage import Visitor

PERSON, PARTY = "P10", "lender"
LAWFUL = request_for("Immigration.statusLawful")
ODD = ("\0", "a\0b", "", "\ud7ff\uffff", "\u202e", "💥" * 50, "'", "%00", "../x", "a" * 5_000)

OF_A_PERSON = {
    "openConsentRequest": "mutation($x: ID!) { openConsentRequest(request: $x) { id } }",
    "grantConsent": "mutation($x: ID!) { grantConsent(preview: $x) { consentToken } }",
    "rejectConsent": "mutation($x: ID!) { rejectConsent(preview: $x) { id } }",
    "pauseConsent": "mutation($x: ID!) { pauseConsent(grant: $x) { id } }",
    "resumeConsent": "mutation($x: ID!) { resumeConsent(grant: $x) { id } }",
    "renewConsent": "mutation($x: ID!) { renewConsent(grant: $x) { id } }",
    "revokeConsent": "mutation($x: ID!) { revokeConsent(grant: $x) { id } }",
    "createShareCode": "mutation($x: ID!) { createShareCode(grant: $x) { code } }",
    "openDispute": 'mutation($x: String!) { openDispute(statement: $x, claim: "Tax.income") { id } }',
    "openDispute of": 'mutation($x: String!) { openDispute(statement: "s", claim: $x) { id } }',
    "closeDispute": "mutation($x: ID!) { closeDispute(dispute: $x, outcome: WITHDRAWN) { id } }",
    "previewConsent": "mutation($x: String!) "
    '{ previewConsent(document: $x, relyingParty: "lender", purpose: LENDING) { id } }',
    "previewConsent for": "mutation($x: ID!, $d: String!) "
    "{ previewConsent(document: $d, relyingParty: $x, purpose: LENDING) { id } }",
    "eraseMe": "mutation($x: String!) { eraseMe(name: $x) { __typename } }",
}
OF_A_PARTY = {
    "requestConsent": "mutation($x: String!) { requestConsent(document: $x, purpose: LENDING) { id } }",
    "redeemShareCode": "mutation($x: String!) "
    '{ redeemShareCode(code: $x, dateOfBirth: "1990-01-01") { __typename } }',
    "subject": "query($x: ConsentToken!) { subject(consent: $x) { ref } }",
    "subjects": "query($x: ConsentToken!) { subjects(consents: [$x]) { ref } }",
}


def settings_on(state: Path, database_url: str) -> Any:
    settings = settings_for(state)
    database = settings.gateway.database.model_copy(update={"url": database_url})
    return settings.model_copy(update={"gateway": settings.gateway.model_copy(update={"database": database})})


async def broken_by(caller: Caller, query: str, asker: str) -> list[str]:
    """The odd texts at which something broke here."""
    found = []
    for odd in ODD:
        variables = {"x": odd} | ({"d": LAWFUL} if "$d" in query else {})
        response = await caller.post(asker, query, variables)
        if response.status_code >= 500 or "INTERNAL" in codes(response.json()):
            found.append(odd)
    return found


async def test_no_text_breaks_an_operation(fresh_database: Callable[[], str], tmp_path: Path) -> None:
    async with own_sandbox(settings_on(tmp_path, fresh_database())) as caller:
        party = f"Bearer {caller.running.keys[PARTY]}"
        askers = {name: (query, f"Person {PERSON}") for name, query in OF_A_PERSON.items()}
        askers |= {name: (query, party) for name, query in OF_A_PARTY.items()}
        broken = {name: await broken_by(caller, query, asker) for name, (query, asker) in askers.items()}
    assert {name: odd for name, odd in broken.items() if odd} == {}


async def test_no_text_that_names_a_registered_document_breaks_anything(
    fresh_database: Callable[[], str], tmp_path: Path
) -> None:
    async with own_sandbox(settings_on(tmp_path, fresh_database())) as caller:
        headers = {"authorization": f"Bearer {caller.running.keys[PARTY]}", "content-type": "application/json"}
        for odd in ODD:
            for named in ({"documentId": odd}, {"extensions": {"persistedQuery": {"sha256Hash": odd}}}):
                response = await caller.http.post("/graphql", content=orjson.dumps(named), headers=headers)
                assert codes(response.json()) == ["OPERATION_NOT_REGISTERED"]


NAMES_NOTHING = {"VALIDATION_FAILED", "CONSENT_REQUEST_INVALID", "CONSENT_INVALID"}


async def test_a_nul_that_a_document_spells_out_names_nothing(
    fresh_database: Callable[[], str], tmp_path: Path
) -> None:
    async with own_sandbox(settings_on(tmp_path, fresh_database())) as caller:
        for literal in ('"\\u0000"', '"\\u{0}"', '"a\\u0000b"', '"""\0"""'):
            revoked = f"mutation {{ revokeConsent(grant: {literal}) {{ id }} }}"
            default = f"mutation($g: ID! = {literal}) {{ revokeConsent(grant: $g) {{ id }} }}"
            redeemed = f'mutation {{ redeemShareCode(code: {literal}, dateOfBirth: "1990-01-01") {{ __typename }} }}'
            for written in (revoked, default):
                assert set(codes(await caller.as_person(PERSON, written))) <= NAMES_NOTHING
            assert set(codes(await caller.as_party(PARTY, redeemed))) <= NAMES_NOTHING


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_path_with_a_nul_is_no_request(
    fresh_database: Callable[[], str], tmp_path: Path, method: str
) -> None:
    async with own_sandbox(settings_on(tmp_path, fresh_database())) as caller:
        party = await registered(caller)
        token = await party.access_token()
        proof = party.proof(method, f"{party.issuer}/oauth/grants/\0", access_token=token)
        headers = {"Authorization": f"DPoP {token}", "DPoP": proof}
        response = await caller.http.request(method, "/oauth/grants/%00", headers=headers)
    assert (response.status_code, codes(response.json())) == (400, ["BAD_REQUEST"])


async def test_a_pushed_document_with_a_nul_in_a_comment_is_no_document(
    fresh_database: Callable[[], str], tmp_path: Path
) -> None:
    async with own_sandbox(settings_on(tmp_path, fresh_database())) as caller:
        party = await registered(caller)
        response = await party.push(party.details(document=f"{OPENING} # \0"))
    assert (response.status_code, response.json()["error"]) == (400, "invalid_authorization_details")


async def test_a_page_or_a_form_with_a_nul_is_no_server_error(
    fresh_database: Callable[[], str], tmp_path: Path
) -> None:
    async with own_sandbox(settings_on(tmp_path, fresh_database())) as caller:
        visitor = Visitor(caller.running.url, caller.http)
        await visitor.get("/sign-in")
        statuses = {"sign in": (await visitor.post("/sign-in/sandbox", {"person": "\0"})).status_code}
        await visitor.sign_in("P01")
        for place in ("/requests/%00", "/authorizations/%00", "/consents/%00", "/consents/%00/decide"):
            statuses[place] = (await visitor.get(place)).status_code
        await visitor.get("/passkeys")
        statuses["remove"] = (await visitor.post("/passkeys/remove", {"passkey": "\0", "id": "\0"})).status_code
    assert {place: status for place, status in statuses.items() if status >= 500} == {}
