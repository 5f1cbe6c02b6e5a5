"""`Request-Timeout-Ms`: whoever asks says how long they will wait, and hears by then what is known by then."""

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from connectors.interface import SourceAuthority
from tests.conftest import Caller
from tests.connectors.scripted import hang, scripted
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, own_sandbox, settings_for

SHORT_MS = 300
USUAL_SECONDS = 2.0
IN_TIME_SECONDS = 1.0
"""A busy machine is slow, and yet sooner than the usual deadline."""

ASKED = request_for("Labor.employed", "Immigration.statusLawful")
PREVIEW = """
  mutation($document: String!) {
    previewConsent(document: $document, relyingParty: "bank", purpose: ACCOUNT_OPENING) {
      id questions { question claim { value state } }
    }
  }
"""
OWN = "{ me { claims { labor { employed { state } } } records { source state } } }"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def silent(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    """A sandbox where labor says nothing."""
    settings = settings_for(tmp_path_factory.mktemp("state"), deadline_seconds=USUAL_SECONDS)
    async with (
        scripted(hang) as labor,
        own_sandbox(settings, elsewhere={SourceAuthority.LABOR: labor.base_url}) as made,
    ):
        yield made


async def asked(
    caller: Caller, asker: str, query: str, variables: dict[str, Any], told: str | list[str]
) -> tuple[httpx.Response, float]:
    """The response to who says this of their time, and after how many seconds it came."""
    headers = [("authorization", asker), ("content-type", "application/json")]
    headers += [("request-timeout-ms", value) for value in ([told] if isinstance(told, str) else told)]
    began_at = time.monotonic()
    content = orjson.dumps({"query": query, "variables": variables})
    response = await caller.http.post("/graphql", content=content, headers=headers)
    return response, time.monotonic() - began_at


async def test_a_relying_party_hears_in_its_time_what_is_known_by_then(silent: Caller) -> None:
    token, _ = await silent.consent("P10", "bank", "ACCOUNT_OPENING", ASKED)
    bank = f"Bearer {silent.running.keys['bank']}"
    response, seconds = await asked(silent, bank, ASKED, {"consent": token}, str(SHORT_MS))
    assert seconds < IN_TIME_SECONDS
    assert response.json()["data"]["subject"]["labor"]["employed"]["state"] == "PENDING"


async def test_whoever_does_not_wait_pays_for_what_they_hear_once(silent: Caller) -> None:
    """Else a consent for one look would be a look at every source whenever its evidence is stale."""
    document = request_for("Labor.employed", "Immigration.statusLawful", "Immigration.adult").replace(
        "subject(consent: $consent) {", "subject(consent: $consent) { grant { usesLeft }"
    )
    token, _ = await silent.consent("P03", "bank", "ACCOUNT_OPENING", document)
    bank = f"Bearer {silent.running.keys['bank']}"
    left: list[int] = []
    hurries: tuple[str | list[str], ...] = ([], "0", "0", [])
    for told in hurries:
        response, _ = await asked(silent, bank, document, {"consent": token}, told)
        subject = response.json()["data"]["subject"]
        assert subject["immigration"]["statusLawful"]["state"] == "CONFIRMED"
        assert subject["labor"]["employed"]["state"] in ("PENDING", "UNAVAILABLE")
        left.append(subject["grant"]["usesLeft"])
    assert left == [left[0], left[0] - 1, left[0] - 1, left[0] - 1]


async def test_a_person_sees_a_preview_in_their_time_with_what_is_known_by_then(silent: Caller) -> None:
    response, seconds = await asked(silent, "Person P11", PREVIEW, {"document": ASKED}, str(SHORT_MS))
    assert seconds < IN_TIME_SECONDS
    questions = response.json()["data"]["previewConsent"]["questions"]
    assert {one["question"]: one["claim"]["state"] for one in questions}["Labor.employed"] == "PENDING"


async def test_a_person_sees_what_is_held_about_them_in_their_time(silent: Caller) -> None:
    response, seconds = await asked(silent, "Person P12", OWN, {}, str(SHORT_MS))
    assert seconds < IN_TIME_SECONDS
    me = response.json()["data"]["me"]
    assert me["claims"]["labor"]["employed"]["state"] == "PENDING"
    assert {"source": "LABOR", "state": "PENDING"} in me["records"]


async def test_whoever_says_nothing_waits_for_the_usual_time(silent: Caller) -> None:
    response, seconds = await asked(silent, "Person P13", PREVIEW, {"document": ASKED}, [])
    assert seconds > USUAL_SECONDS - 0.5
    assert not codes(response.json())


@pytest.mark.parametrize("told", ["9999999999", "9" * 400, "0" * 20 + "4000", "60000"])
async def test_a_long_time_is_the_longest_there_is(silent: Caller, told: str) -> None:
    response, _ = await asked(silent, "Person P01", "{ __typename }", {}, told)
    assert response.json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("told", ["", "soon", "-1", "1.5", "1e3", "0x10", "+5", "1 2", ["300", "300"]])
async def test_what_is_no_time_is_refused_by_the_headers_name(silent: Caller, told: str | list[str]) -> None:
    response, _ = await asked(silent, "Person P01", "{ __typename }", {}, told)
    assert (response.status_code, codes(response.json())) == (400, ["BAD_REQUEST"])
    (error,) = response.json()["errors"]
    assert error["extensions"]["header"] == "Request-Timeout-Ms"
    expected = "it has to be a whole number of milliseconds, and stand there once"
    assert error["message"] == f"The header Request-Timeout-Ms is not valid: {expected}."


async def test_nobody_waits_for_longer_than_the_longest_time(silent: Caller) -> None:
    """5 s by config/gateway.toml, more than the usual time of this sandbox."""
    response, seconds = await asked(silent, "Person P14", PREVIEW, {"document": ASKED}, "9" * 30)
    assert USUAL_SECONDS + 0.5 < seconds < 10
    assert not codes(response.json())
