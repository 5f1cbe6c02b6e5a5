"""A record that is only probably somebody's counts once they say that it is theirs, and no longer than that."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from connectors.interface import SourceAuthority
from gateway.asking import example_variables, read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.connectors.scripted import Connection, ScriptedSource, reply, scripted
from tests.gateway.sandboxes import codes, own_sandbox, rows, settings_for
from tests.portal.consenting import GUARDIAN, MINOR, visited

SWAPPED = "P12"
NAME, BORN = "ﾀﾞｼﾙﾊﾞ ｻﾝﾄｽ ﾏﾘﾔ", "1990-05-04"
BORN_AS_ASKED = {SWAPPED: b"seinen=7020405", MINOR: b"seinen=7210603"}
LENDING = read_example(Purpose.LENDING)
OF_INSURANCE = {"LD-07", "LD-09"}
CONFIRM = """mutation($source: SourceAuthority!, $name: String!, $born: Date!) {
  confirmRecord(source: $source, name: $name, dateOfBirth: $born) { source confirmedAt } }"""
DISOWN = "mutation { disownRecord(source: INSURANCE) { source confirmedAt } }"
MATCH = "{ me { claims { recordMatch { value } } } }"
REFUSED = ["CONSENT_REQUEST_INVALID"]


@dataclass(slots=True)
class Loose:
    """A sandbox whose insurance authority finds records by another birth date than was asked for."""

    caller: Caller
    names: dict[str, str]
    state: Path

    async def match(self, person: str = SWAPPED) -> Any:
        return (await self.caller.as_person(person, MATCH))["data"]["me"]["claims"]["recordMatch"]["value"]

    async def confirm(self, who: str, source: str = "INSURANCE", name: str = NAME, born: str = BORN) -> list[str]:
        given = {"source": source, "name": name, "born": born}
        return codes(await self.caller.as_person(who, CONFIRM, given))


def insured(name: str, born: str) -> bytes:
    months = f'<Tsuki from="202411" to="202610">{"2" * 23}-</Tsuki>'
    record = f"<ShimeiKana>{name}</ShimeiKana><SeinenYmd>{born}</SeinenYmd><Kenpo>協会けんぽ</Kenpo>{months}"
    return f"<List><Hihokensha>{record}</Hihokensha></List>".encode()


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="loose")
async def make_loose(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Loose]:
    names, born = {SWAPPED: NAME, MINOR: "ﾚｲｴｽ ｱﾝｼﾞｴﾗ ﾏｴ"}, {SWAPPED: "7020504", MINOR: "7210306"}
    found: list[ScriptedSource] = []

    async def answer(connection: Connection) -> None:
        person = next((one for one, key in BORN_AS_ASKED.items() if key in found[0].requests[-1]), None)
        body = insured(names[person], born[person]) if person else b"<List/>"
        await reply(body, "application/xml; charset=utf-8", status=200 if person else 404)(connection)

    async with AsyncExitStack() as stack:
        found.append(await stack.enter_async_context(scripted(answer)))
        state, at = tmp_path_factory.mktemp("state"), {SourceAuthority.INSURANCE: found[0].base_url}
        yield Loose(await stack.enter_async_context(own_sandbox(settings_for(state), elsewhere=at)), names, state)


def unlike_a_pass(decision: dict[str, Any]) -> set[str]:
    return {rule["id"] for rule in decision["rules"] if rule["result"] not in ("PASS", "NOT_APPLICABLE")}


async def lending(loose: Loose, token: str) -> set[str]:
    """The rules that a lender is told are not met."""
    given = example_variables(Purpose.LENDING, loose.caller.running.people.asks[SWAPPED], person_id=SWAPPED)
    body = await loose.caller.as_party("lender", LENDING, {**given, "consent": token})
    return unlike_a_pass(body["data"]["subject"]["lending"])


async def previewed(loose: Loose) -> set[str]:
    """The same, as its person sees it before they consent."""
    given = example_variables(Purpose.LENDING, loose.caller.running.people.asks[SWAPPED], person_id=SWAPPED)
    body = await loose.caller.preview(SWAPPED, "lender", "LENDING", LENDING, given)
    found = [question["decision"] for question in body["data"]["previewConsent"]["questions"] if question["decision"]]
    return unlike_a_pass(found[0])


async def press(loose: Loose, button: str, person: str = SWAPPED, ending: str = "") -> str:
    """Open the page, send one of its forms, and read what it says then."""
    visitor = await visited(loose.caller, person)
    page = (await visitor.get(f"/records{ending}")).text
    form = re.search(rf'<form method="post" action="/records/{button}.*?</form>', page, re.DOTALL)
    assert form is not None, page
    fields = re.findall(r'name="(source|name|born_on)" value="([^"]*)"', form[0])
    done = await visitor.post(f"/records/{button}{ending}", fields)
    assert (done.status_code, f"done={button}" in done.headers["location"]) == (303, True), done.text
    return (await visitor.get(done.headers["location"])).text


async def test_once_confirmed_a_probable_record_counts_in_every_answer_until_it_is_disowned(loose: Loose) -> None:
    given = example_variables(Purpose.LENDING, loose.caller.running.people.asks[SWAPPED], person_id=SWAPPED)
    token, _ = await loose.caller.consent(SWAPPED, "lender", "LENDING", LENDING, given)
    assert await loose.match() == "PROBABLE"
    doubted = await lending(loose, token)
    assert doubted >= OF_INSURANCE
    assert await previewed(loose) == doubted

    page = await press(loose, "confirm")
    assert "Pension, month by month" in page, "it is shown like any other record"
    assert await loose.match() == "MATCHED"
    assert await lending(loose, token) == doubted - OF_INSURANCE, "no Answer from before is given again"
    assert await previewed(loose) == doubted - OF_INSURANCE

    assert "Is this your record?" in await press(loose, "disown")
    assert await loose.match() == "PROBABLE"
    assert await lending(loose, token) == doubted
    assert await previewed(loose) == doubted


async def test_what_was_confirmed_is_in_the_list_of_accesses_and_in_the_export_but_not_what_the_record_says(
    loose: Loose,
) -> None:
    assert not await loose.confirm(SWAPPED)
    body = await loose.caller.as_person(SWAPPED, "{ me { accesses { kind about relyingParty { id } } export } }")
    assert {"kind": "RECORD_CONFIRMED", "about": "INSURANCE", "relyingParty": None} in body["data"]["me"]["accesses"]
    assert [one["source"] for one in body["data"]["me"]["export"]["confirmed_records"]] == ["INSURANCE"]
    assert not codes(await loose.caller.as_person(SWAPPED, DISOWN))
    body = await loose.caller.as_person(SWAPPED, "{ me { accesses { kind about } export } }")
    assert body["data"]["me"]["accesses"][0] == {"kind": "RECORD_DISOWNED", "about": "INSURANCE"}
    assert body["data"]["me"]["export"]["confirmed_records"] == []
    assert codes(await loose.caller.as_person(SWAPPED, DISOWN)) == REFUSED, "there is none any more"


async def test_a_record_whose_name_has_changed_is_probable_again(loose: Loose) -> None:
    assert not await loose.confirm(SWAPPED)
    assert await loose.match() == "MATCHED"
    loose.names[SWAPPED] = "ﾀﾞｼﾙﾊﾞ ｻﾝﾄｽ ﾏﾘﾊ"
    await loose.caller.running.gateway.gatherer.cancel(f"person:{SWAPPED}")  # as a minute later
    assert await loose.match() == "PROBABLE"
    assert await loose.confirm(SWAPPED) == REFUSED, "the record that was seen is not there any more"
    loose.names[SWAPPED] = NAME
    assert not codes(await loose.caller.as_person(SWAPPED, DISOWN))


@pytest.mark.parametrize(
    "record",
    [
        pytest.param({"name": "ﾔﾏﾀﾞ ﾊﾅｺ"}, id="another name than it has"),
        pytest.param({"born": "1990-04-05"}, id="another birth date than it has"),
        pytest.param({"source": "TAX"}, id="a source with no probable record"),
        pytest.param({"source": "LABOR", "name": "DA SILVA SANTOS MARIA"}, id="a record that matches anyway"),
    ],
)
async def test_nothing_else_than_the_probable_record_can_be_confirmed(loose: Loose, record: dict[str, str]) -> None:
    assert await loose.confirm(SWAPPED, **record) == REFUSED
    assert await loose.match() == "PROBABLE"


async def test_a_minor_confirms_with_their_guardian_alone_and_both_can_disown(loose: Loose) -> None:
    guardianship = {"minor_id": MINOR, "guardian_id": GUARDIAN}
    await loose.caller.running.gateway.operator.act("person guardian", guardianship)
    alone = await visited(loose.caller, MINOR)
    page = (await alone.get("/records")).text
    assert "A guardian has to decide this with you" in page
    assert "/records/confirm" not in page
    sent = {"source": "INSURANCE", "name": loose.names[MINOR], "born_on": "2009-03-06"}
    assert (await alone.post("/records/confirm", sent)).status_code == 422
    page = await press(loose, "confirm", GUARDIAN, f"?for={MINOR}")
    assert "It is not the record of" in page
    await press(loose, "disown", MINOR)


async def test_erasure_leaves_no_confirmation(loose: Loose) -> None:
    assert not await loose.confirm(SWAPPED)
    kept = "SELECT confirmations_sealed FROM person WHERE id = ?"
    sealed = rows(loose.state, kept, SWAPPED)[0][0]
    assert NAME.encode() not in sealed
    assert BORN.encode() not in sealed
    erase = 'mutation { eraseMe(name: "DA SILVA SANTOS MARIA") { entry } }'
    assert not codes(await loose.caller.as_person(SWAPPED, erase))
    assert rows(loose.state, kept, SWAPPED) == []
