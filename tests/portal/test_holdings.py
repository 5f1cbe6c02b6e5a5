"""Everything that is held of somebody: taken along as a file, or erased by typing one's name, and nobody else's."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import TypeAdapter

from connectors.interface import IdentityRecord
from gateway.errors import ConfigurationError
from tests.conftest import Caller
from tests.gateway.sandboxes import codes, own_sandbox, rows, settings_for
from tests.portal.consenting import GUARDIAN, HUONG, MINOR, STRANGER, asks, granted, previewed, visited
from tests.portal.consenting import caller as caller
from tests.portal.consenting import clock as clock
from tests.portal.own_pages import disputed, open_production
from tests.portal.readable import readable
from tests.portal.stage import BORN, RAHMAN, Visitor

OTHER_MINOR = "P97"
NAME, MINORS_NAME = "NGUYEN THI HUONG", "REYES ANGELA MAE"
NEEDED = "You are under 18. A guardian has to decide this with you"


async def erased(visitor: Visitor, name: str, ending: str = "") -> int:
    """Try to erase by this name; the page's status."""
    await visitor.get(f"/my-data{ending}")
    return (await visitor.post(f"/my-data/erase{ending}", {"name": name})).status_code


async def is_there(caller: Caller, person: str) -> bool:
    return await caller.running.gateway.stores.people.find(person) is not None


async def taken_along(visitor: Visitor, ending: str = "") -> httpx.Response:
    """The file, by the form on the page."""
    await visitor.get(f"/my-data{ending}")
    return await visitor.post(f"/my-data/export{ending}", {})


async def test_the_file_holds_what_the_export_does_and_is_saved_and_not_kept(caller: Caller) -> None:
    visitor = await visited(caller, HUONG)
    await disputed(visitor, "<script>alert(1)</script>", claim="Tax.income")
    file = await taken_along(visitor)
    assert file.headers["content-type"] == "application/json"
    assert file.headers["content-disposition"] == 'attachment; filename="kyosei-2026-11-20.json"'
    assert file.headers["cache-control"] == "no-store"
    assert file.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in file.headers["content-security-policy"]
    by_graphql = (await caller.as_person(HUONG, "{ me { export } }"))["data"]["me"]["export"]
    assert {**file.json(), "exported_at": ""} == {**by_graphql, "exported_at": ""}
    assert file.json()["identity"]["name"] == NAME
    assert (await visitor.get("/my-data/export")).status_code == 405, "a link elsewhere would do"


async def test_the_page_says_what_erasure_takes_and_what_remains(caller: Caller) -> None:
    said = readable((await (await visited(caller, HUONG)).get("/my-data")).text)
    for words in (
        "What is erased",
        "Every consent ends at once: nothing leaves any more.",
        "What remains",
        "What those who asked have learned already.",
        "It cannot be undone.",
        f"type the name as it stands here: {NAME}",
    ):
        assert words in said


@pytest.mark.parametrize(
    "name", ["", "NGUYEN", "NGUYEN THI HUONGG", "RAHMAN MD ASHIQUR", HUONG, "<script>alert(1)</script>"]
)
async def test_a_wrong_name_erases_nothing_and_says_so(caller: Caller, name: str) -> None:
    visitor = await visited(caller, HUONG)
    await visitor.get("/my-data")
    refused = await visitor.post("/my-data/erase", {"name": name})
    assert refused.status_code == 422
    assert "That is not the name. Nothing was erased." in refused.text
    assert "<script>alert" not in refused.text
    assert await is_there(caller, HUONG)
    assert (await visitor.get("/my-data")).status_code == 200


@pytest.mark.parametrize("body", [f"name={NAME.replace(' ', '+')}", f"name={NAME.replace(' ', '+')}&csrf={'0' * 64}"])
async def test_nobody_is_erased_without_the_forms_own_proof(caller: Caller, body: str) -> None:
    visitor = await visited(caller, HUONG)
    assert (await visitor.post_raw("/my-data/erase", body)).status_code == 403
    assert (await visitor.get("/my-data/erase")).status_code == 405
    assert await is_there(caller, HUONG)


async def test_who_is_erased_is_signed_out_everywhere_and_nothing_leaves_any_more(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        visitor, elsewhere = await visited(caller, HUONG), await visited(caller, HUONG)
        token = await granted(visitor, f"/consents/{await previewed(caller)}/decide")
        assert codes(await asks(caller, token)) == []
        await visitor.get("/my-data")
        done = await visitor.post("/my-data/erase", {"name": "nguyen  thi ＨＵＯＮＧ"})
        said = readable(done.text)
        assert "# Everything is erased" in said
        assert "You are signed out." in said
        assert "Entry in the log\n" in said
        assert NAME not in done.text
        assert "/consents" not in done.text
        assert '"cookies"' in done.headers["clear-site-data"]
        assert visitor.session is None
        for one in (visitor, elsewhere):
            led = await one.get("/my-data")
            assert (led.status_code, led.headers["location"].partition("?")[0]) == (303, "/sign-in")
        assert codes(await asks(caller, token)) == ["CONSENT_INVALID"]
        assert not await is_there(caller, HUONG)
        assert await is_there(caller, STRANGER)
    assert rows(tmp_path, "SELECT count(*) AS n FROM consent_grant")[0]["n"] == 0


async def test_a_minor_alone_takes_along_and_does_not_erase(caller: Caller) -> None:
    minor = await visited(caller, MINOR)
    page = (await minor.get("/my-data")).text
    assert NEEDED in page
    assert "/my-data/erase" not in page
    assert (await taken_along(minor)).json()["person"] == MINOR
    await minor.get("/consents")
    assert await erased(minor, MINORS_NAME) == 422
    erase = "mutation($name: String!) { eraseMe(name: $name) { entry } }"
    assert codes(await caller.as_person(MINOR, erase, {"name": MINORS_NAME})) == ["CONSENT_REQUEST_INVALID"]
    assert await is_there(caller, MINOR)


async def test_a_minor_decides_for_no_other_minor(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        gateway, known = caller.running.gateway, await caller.running.gateway.stores.people.find(MINOR)
        assert known
        other_minor = replace(known.identity, residence_card_number="ZZ20250099ZZ")
        await gateway.stores.people.enrol({OTHER_MINOR: other_minor}, now=datetime.now(UTC))
        with pytest.raises(ConfigurationError, match="guardian"):
            await gateway.operator.act("person guardian", {"minor_id": MINOR, "guardian_id": OTHER_MINOR})
        await gateway.stores.guardians.record(minor_id=MINOR, guardian_id=OTHER_MINOR, now=datetime.now(UTC))
        other = await visited(caller, OTHER_MINOR)
        assert (await other.get(f"/my-data?for={MINOR}")).status_code == 404


@pytest.mark.parametrize("typed", ["ＲＥＹＥＳ　ＰＥＤＲＯ", "Reyes Pedro"])
async def test_a_name_is_known_however_it_was_recorded_and_typed(tmp_path: Path, typed: str) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        people = caller.running.gateway.stores.people
        known = await people.find(HUONG)
        assert known
        identity = replace(known.identity, name="ＲＥＹＥＳ　ＰＥＤＲＯ", residence_card_number="ZZ20250099ZZ")
        await people.enrol({"P98": identity}, now=datetime.now(UTC))
        assert await erased(await visited(caller, "P98"), typed) == 200


async def test_a_guardian_erases_the_ward_by_the_wards_name_and_stays(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path)) as caller:
        act = caller.running.gateway.operator.act
        await act("person guardian", {"minor_id": MINOR, "guardian_id": GUARDIAN})
        guardian, minor = await visited(caller, GUARDIAN), await visited(caller, MINOR)
        ending = f"?for={MINOR}"
        assert f'href="/my-data{ending}"' in (await guardian.get("/my-data")).text
        assert f"That you decide for {MINORS_NAME}." in guardian.page
        assert (await taken_along(guardian, ending)).json()["person"] == MINOR
        assert await erased(guardian, "SANTOS MARIA LOURDES", ending) == 422
        assert await erased(guardian, MINORS_NAME, ending) == 200
        assert f"What was held about {MINORS_NAME} is erased" in guardian.page
        assert not await is_there(caller, MINOR)
        assert (await minor.get("/my-data")).status_code == 303
        assert await guardian.signed_in_as() == "SANTOS MARIA LOURDES"
        assert (await guardian.get(f"/my-data{ending}")).status_code == 404


async def test_nobody_elses_data_is_to_be_had(caller: Caller) -> None:
    stranger = await visited(caller, STRANGER)
    for other in (HUONG, MINOR, "P99"):
        assert (await stranger.get(f"/my-data?for={other}")).status_code == 404
        await stranger.get("/my-data")
        assert (await stranger.post(f"/my-data/export?for={other}", {})).status_code == 404
    await stranger.get("/my-data")
    assert (await stranger.post(f"/my-data/erase?for={MINOR}", {"name": MINORS_NAME})).status_code == 404
    assert await is_there(caller, MINOR)


async def test_outside_the_sandbox_somebody_takes_everything_along_and_is_erased(tmp_path: Path) -> None:
    async with open_production(tmp_path) as portal:
        visitor = portal.visitor()
        await visitor.enrol(await portal.code_for(HUONG), BORN[HUONG])
        assert (await taken_along(visitor)).json()["identity"]["name"] == NAME
        assert await erased(visitor, "RAHMAN MD ASHIQUR") == 422
        assert await visitor.signed_in_as() == NAME
        assert await erased(visitor, NAME) == 200
        assert "Everything is erased" in visitor.page
        assert await visitor.signed_in_as() is None
        assert [row["id"] for row in rows(tmp_path, "SELECT id FROM person")] == ["P02"]
        assert rows(tmp_path, "SELECT * FROM portal_session") == []


async def test_outside_the_sandbox_only_who_signed_in_just_now_erases_anybody(tmp_path: Path) -> None:
    """Else whoever finds a browser open could, within its eight hours. A guardian at theirs, too."""
    async with open_production(tmp_path) as portal:
        minor = TypeAdapter(IdentityRecord).dump_python(portal.identities[MINOR], mode="json")
        await portal.operator.act("person invite", {"person_id": MINOR, "identity": minor})
        await portal.operator.act("person guardian", {"minor_id": MINOR, "guardian_id": RAHMAN})
        for person, ending in ((HUONG, ""), (RAHMAN, f"?for={MINOR}")):
            visitor = portal.visitor()
            await visitor.enrol(await portal.code_for(person), BORN[person])
            portal.clock.pass_by(minutes=4)
            assert 'action="/my-data/erase' in (await visitor.get(f"/my-data{ending}")).text, "they may yet"
            portal.clock.pass_by(minutes=2)
            led = await visitor.post(f"/my-data/erase{ending}", {"name": MINORS_NAME if ending else NAME})
            assert led.status_code == 303
            assert (await visitor.get(f"/my-data{ending}")).status_code == 200, "looking is no matter"
            assert 'action="/my-data/erase' not in visitor.page
            assert f'href="{led.headers["location"].replace("&", "&amp;")}"' in visitor.page
            for language, said in (("en", "Erasing everything cannot be undone."), ("ja", "すべての消去は元に戻す")):
                await visitor.get(f"/language/{language}")
                assert said in (await visitor.get(led.headers["location"])).text
            await visitor.get("/language/en")
            place = httpx.QueryParams(urlsplit(led.headers["location"]).query)["next"]
            assert place == f"/my-data{ending}"
            await visitor.enrol(await portal.code_for(person), BORN[person])
            assert await erased(visitor, MINORS_NAME if ending else NAME, ending) == 200
        assert [row["id"] for row in rows(tmp_path, "SELECT id FROM person")] == [RAHMAN]
