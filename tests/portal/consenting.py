"""A sandbox with its authorities, and the people and staff who use its pages about consents."""

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from gateway.asking import RELYING_PARTY_FOR, example_variables, read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.sandboxes import Clock, own_sandbox, settings_for
from tests.portal.stage import Visitor

HUONG, MINOR, GUARDIAN, STRANGER = "P01", "P14", "P05", "P02"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
PREVIEW = """mutation($document: String!, $variables: JSON, $party: ID, $purpose: Purpose!) {
  previewConsent(document: $document, variables: $variables, relyingParty: $party, purpose: $purpose) { id }
}"""
REQUEST = """mutation($document: String!, $variables: JSON, $purpose: Purpose!) {
  requestConsent(document: $document, variables: $variables, purpose: $purpose) { id } }"""
CONSENT_TOKEN = re.compile(r"kct_[0-9a-z]{26}")
SHARE_CODE = re.compile(r"\b[OMTL]-[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{2}\b")
BYTES_THAT_DIFFER = re.compile(r'[0-9a-f]{64}|nonce="[^"]*"')


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def caller(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> AsyncIterator[Caller]:
    """A sandbox of the module's own, in which P05 is the guardian of P14."""
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state")), clock=clock) as made:
        act = made.running.gateway.operator.act
        await act("person guardian", {"minor_id": MINOR, "guardian_id": GUARDIAN})
        yield made


async def visited(caller: Caller, person: str, *, language: str = "en") -> Visitor:
    """A person's browser, signed in."""
    visitor = Visitor(caller.running.url, caller.http)
    await visitor.get(f"/language/{language}")
    await visitor.sign_in(person)
    return visitor


async def staff(caller: Caller, party: str, *, language: str = "en") -> Visitor:
    """A relying party's staff, signed in."""
    visitor = Visitor(caller.running.url, caller.http)
    await visitor.get(f"/language/{language}")
    await visitor.get("/sign-in")
    assert (await visitor.post("/sign-in/sandbox", {"staff_of": party})).status_code == 303
    return visitor


def asked_for(caller: Caller, purpose: Purpose, person: str) -> dict[str, Any]:
    """A purpose's own example, with what this person asks for."""
    variables = example_variables(purpose, caller.running.people.asks[person], person_id=person)
    return {"document": read_example(purpose), "variables": variables, "purpose": purpose.value}


async def previewed(
    caller: Caller,
    *,
    person: str = HUONG,
    purpose: Purpose = Purpose.TENANCY,
    party: str | None = "",
    **different: Any,
) -> str:
    """A consent that the person has begun themself and not decided: its id. `party` None: for a share code."""
    given = asked_for(caller, purpose, person) | different
    given["party"] = RELYING_PARTY_FOR[purpose] if party == "" else party
    body = await caller.as_person(person, PREVIEW, given)
    assert "errors" not in body, body
    return str(body["data"]["previewConsent"]["id"])


async def requested(
    caller: Caller, *, purpose: Purpose = Purpose.TENANCY, person: str = HUONG, **different: Any
) -> str:
    """What a relying party asks for by `requestConsent`: the id to open it by."""
    given = asked_for(caller, purpose, person) | different
    body = await caller.as_party(RELYING_PARTY_FOR[purpose], REQUEST, given)
    assert "errors" not in body, body
    return str(body["data"]["requestConsent"]["id"])


def ticked(page: str) -> list[str]:
    """The questions with a tick box on the page."""
    return [unescaped(value) for value in re.findall(r'name="share" value="([^"]*)"', page)]


def unescaped(value: str) -> str:
    return value.replace("&#34;", '"').replace("&amp;", "&")


async def granted(visitor: Visitor, place: str, *, share: list[str] | None = None) -> str:
    """Open a consent's screen and say yes; the token that is shown, or "" where there is none. `share`: what is
    ticked; None: whatever there is to tick."""
    assert (await visitor.get(place)).status_code == 200, visitor.page
    kept = ticked(visitor.page) if share is None else share
    done = await visitor.post(place, [("decision", "grant"), *(("share", question) for question in kept)])
    assert done.status_code == 200, done.text
    found = CONSENT_TOKEN.search(done.text)
    return found[0] if found else ""


async def asks(caller: Caller, token: str, *, person: str = HUONG) -> dict[str, Any]:
    """What the tenancy example answers to the landlord who names this person's token."""
    given = asked_for(caller, Purpose.TENANCY, person)
    return await caller.as_party("landlord", given["document"], {**given["variables"], "consent": token})


def alike(page: str, *ids: str) -> str:
    """A page without what differs between any two."""
    for one in ids:
        page = page.replace(one, "ID")
    return BYTES_THAT_DIFFER.sub("", page)


async def shown_grant(caller: Caller, person: str, grant_id: str) -> Mapping[str, Any]:
    """How a grant stands, by the person's own view."""
    body = await caller.as_person(
        person, "{ me { grants { id status leftOut guardian relyingParty { id } usesLeft } } }"
    )
    (found,) = [grant for grant in body["data"]["me"]["grants"] if grant["id"] == grant_id]
    return dict(found)
