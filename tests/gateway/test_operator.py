"""What an operator does: while the gateway runs through its socket, otherwise on the database itself."""

import asyncio
import json
import os
import sqlite3
import stat
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import event
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from connectors.interface import IdentityRecord
from gateway.app import open_operator
from gateway.errors import ConfigurationError, OverloadedError
from gateway.opening import make_shared_keys
from gateway.operating import operate
from gateway.operator import MAX_LINE_BYTES, SOCKET, ask_running, near
from gateway.sandbox import default_people_folder, read_people
from gateway.store.alike import MAX_WAITING
from gateway.store.database import is_sqlite, migrate, version_of
from tests.command_line import kyosei
from tests.conftest import FreshDatabase
from tests.gateway.gateway_process import quick_settings
from tests.gateway.sandboxes import codes, own_sandbox, settings_for
from tests.oauth.party import OAuthParty

ASK = "{ __typename }"
NAMELESS = OAuthParty(None, "http://127.0.0.1:1")  # type: ignore[arg-type]  # it only writes registrations here


async def test_the_command_line_changes_a_running_gateway_at_once(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with own_sandbox(settings_for(state)) as caller:
        assert "errors" not in await caller.as_party("bank", ASK)
        assert await kyosei("relying-party", "suspend", "bank", "--state", str(state)) == (
            0,
            "bank is suspended.",
            "",
        )
        assert codes(await caller.as_party("bank", ASK)) == ["RELYING_PARTY_SUSPENDED"]
        lifted = await kyosei("relying-party", "suspend", "bank", "--lift", "--state", str(state))
        assert lifted == (0, "bank is active again.", "")
        assert "errors" not in await caller.as_party("bank", ASK)
        added = await kyosei("relying-party", "add", "-", "--state", str(state), said=json.dumps(registration()))
        assert added == (0, "oauth-bank is registered.", "")
        await ask_running(state, "relying-party suspend", {"party_id": "oauth-bank", "suspended": True})
        again = await kyosei("relying-party", "add", "-", "--state", str(state), said=json.dumps(registration()))
        assert again == (0, "oauth-bank is updated. It stays suspended.", "")
        _, listed, _ = await kyosei("relying-party", "list", "--json", "--state", str(state))
        assert {party["id"] for party in json.loads(listed)} >= {"bank", "oauth-bank"}


def registration(**different: Any) -> dict[str, Any]:
    return NAMELESS.registration(**different)


async def test_what_was_done_while_it_stood_still_holds_when_it_runs(tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "state")
    async with open_operator(settings) as operator:
        await operator.act("relying-party suspend", {"party_id": "bank", "suspended": True})
        await operator.act("relying-party add", {"registration": registration()})
    async with own_sandbox(settings) as caller:
        assert codes(await caller.as_party("bank", ASK)) == ["RELYING_PARTY_SUSPENDED"]
        assert caller.running.gateway.stores.relying_parties.find("oauth-bank")


async def test_only_its_owner_reaches_the_socket_and_it_goes_with_the_gateway(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with own_sandbox(settings_for(state)):
        assert stat.S_IMODE((state / SOCKET).stat().st_mode) == 0o600
        assert (await ask_running(state, "keys list", {})) is not None
    assert not (state / SOCKET).exists()
    assert await ask_running(state, "keys list", {}) is None


async def test_the_socket_is_found_however_long_the_path_is(tmp_path: Path) -> None:
    state = tmp_path / ("a" * 100) / ("b" * 100)
    async with own_sandbox(settings_for(state)):
        assert (await ask_running(state, "relying-party list", {})) is not None


async def test_what_is_no_request_stops_nothing(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with own_sandbox(settings_for(state)):
        for said in (b"\n", b"{\n", b'{"action": "rm"}\n', b"[1]\n", b"x" * (MAX_LINE_BYTES + 10) + b"\n", b""):
            with near(state) as folder:
                reader, writer = await asyncio.open_unix_connection(str(folder / SOCKET))
            writer.write(said)
            writer.write_eof()
            await asyncio.wait_for(reader.read(), 10)
            writer.close()
        assert (await ask_running(state, "keys list", {})) is not None


@pytest.mark.parametrize(
    ("different", "names"),
    [
        ({"id": "Bank!"}, "id"),
        ({"id": "bank"}, "id"),
        ({"secret": "x"}, "secret"),
        ({"name": {"en": "Ноkaidō"}}, "name.ja"),
        ({"name": {"en": "Наshi Bank", "ja": "橋銀行"}}, "name.en"),
        ({"name": {"en": "Hikari Bank sandbox", "ja": "光銀行"}}, "name"),
        ({"names": {"xx": "Bank"}}, "name.xx"),
        ({"sector": ""}, "sector"),
        ({"purposes": []}, "purposes"),
        ({"purposes": ["GOSSIP"]}, "purposes"),
        ({"oauth": {}}, "jwks"),
        ({"oauth": {"jwks_uri": "http://bank.example/keys"}}, "jwks_uri"),
        ({"oauth": {"jwks_uri": "https://a@bank.example/keys"}}, "jwks_uri"),
        ({"oauth": {"keys": [{"kty": "oct", "k": "AAAA"}]}}, "jwks.keys.0"),
        ({"oauth": {"keys": [NAMELESS.key.as_dict(private=True)]}}, "jwks.keys.0"),
        ({"oauth": {"keys": [NAMELESS.public_key()] * 2}}, "jwks.keys"),
        *(
            ({"oauth": {"keys": [NAMELESS.public_key()], "redirect_uris": [uri]}}, "redirect_uris.0")
            for uri in (
                "http://bank.example/back",
                "https://bank.example/back#x",
                "https://bank.example/../back",
                "https://u:p@bank.example/",
                "javascript:alert(1)",
                "bank.example/back",
                "https://bank.example/\r\nx: y",
                "https://bank.example:99999/",
                "https://bank.example;sandbox/back",
                "https://a,b/back",
                "https://*/back",
                "",
            )
        ),
    ],
)
async def test_a_registration_with_something_wrong_is_refused_by_its_name(
    tmp_path: Path, different: dict[str, Any], names: str
) -> None:
    async with open_operator(settings_for(tmp_path / "state")) as operator:
        with pytest.raises(ConfigurationError) as refused:
            await operator.act("relying-party add", {"registration": registration(**different)})
        assert refused.value.detail.startswith(names), refused.value.detail
        listed = (await operator.act("relying-party list", {}))["relying_parties"]
        assert "oauth-bank" not in {party["id"] for party in listed}


async def test_who_is_not_there_is_neither_suspended_nor_invited(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with open_operator(settings_for(state)) as operator:
        for action, arguments in (
            ("relying-party suspend", {"party_id": "nobody", "suspended": True}),
            ("relying-party invite", {"party_id": "nobody"}),
            ("person invite", {"person_id": "nobody"}),
            ("person invite", {"person_id": "new", "identity": {"name": "A"}}),
        ):
            with pytest.raises(ConfigurationError):
                await operator.act(action, arguments)
    status, _, said = await kyosei("person", "invite", "nobody", "--state", str(state))
    assert (status, said) == (78, "kyosei: person: nobody of this id is enrolled")


async def test_no_code_is_made_for_the_staff_of_a_suspended_party_until_that_is_lifted(tmp_path: Path) -> None:
    async with open_operator(settings_for(tmp_path / "state")) as operator:
        await operator.act("relying-party add", {"registration": registration()})
        for party in ("bank", "oauth-bank"):
            await operator.act("relying-party suspend", {"party_id": party, "suspended": True})
            with pytest.raises(ConfigurationError, match="it is suspended, so its staff are not let in"):
                await operator.act("relying-party invite", {"party_id": party})
        updated = await operator.act("relying-party add", {"registration": registration()})
        assert updated == {"id": "oauth-bank", "updated": True, "suspended": True}
        await operator.act("relying-party suspend", {"party_id": "oauth-bank", "suspended": False})
        assert (await operator.act("relying-party invite", {"party_id": "oauth-bank"}))["code"]
        updated = await operator.act("relying-party add", {"registration": registration()})
        assert updated == {"id": "oauth-bank", "updated": True, "suspended": False}


@pytest.mark.parametrize(
    "command",
    ["backup {file}", "relying-party list", "relying-party suspend bank", "document list bank", "keys rotate",
     "keys list", "person invite P01", "person guardian P14 P05", "log verify", "log recover --reason x",
     "sandbox key bank"],
)  # fmt: skip
async def test_a_state_directory_that_was_mistyped_does_not_become_a_new_gateway(
    tmp_path: Path, command: str
) -> None:
    nowhere = tmp_path / "nowhere"
    arguments = command.format(file=tmp_path / "backup").split()
    status, output, said = await kyosei(*arguments, "--state", str(nowhere))
    assert status in (1, 78)
    assert "there is none yet" in said or "is missing" in output + said
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("version", "says"), [(None, "it is empty"), ("0004", "earlier version; run kyosei migrate")]
)
async def test_looking_and_copying_leave_an_empty_and_an_earlier_database_as_they_are(
    tmp_path: Path, fresh_database: FreshDatabase, version: str | None, says: str
) -> None:
    url = fresh_database()
    settings = quick_settings(tmp_path / "state", url)
    make_shared_keys(settings)
    if version:
        await migrate(settings.database_url, to=version)
    elif is_sqlite(url):
        (tmp_path / "kyosei.sqlite").touch()
    file = tmp_path / "new.backup"
    given: dict[str, dict[str, str]] = {"backup": {"file": str(file)}, "keys list": {}, "relying-party list": {}}
    for action, arguments in given.items():
        with pytest.raises(ConfigurationError, match=says):
            await operate(settings, action, arguments)
    assert not file.exists()
    engine = create_async_engine(settings.database_url)
    async with engine.connect() as connection:
        assert await connection.run_sync(version_of) == version
    await engine.dispose()


async def test_what_is_kept_is_its_owners_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with own_sandbox(settings_for(state)):
        pass
    async with open_operator(settings_for(state)):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in state.iterdir() if path.is_file()}
    assert {"kyosei.sqlite", "kyosei.sqlite-wal", "gateway.lock", "log.checkpoint.lock"} <= set(modes)
    assert {name for name, mode in modes.items() if mode & 0o077} == set()


@pytest.mark.parametrize(("minor", "guardian"), [("P05", "P14"), ("P14", "P14"), ("P14", "nobody"), ("P05", "P06")])
async def test_a_guardian_decides_for_a_minor_alone(tmp_path: Path, minor: str, guardian: str) -> None:
    async with own_sandbox(settings_for(tmp_path / "state")) as caller:
        operator = caller.running.gateway.operator
        with pytest.raises(ConfigurationError):
            await operator.act("person guardian", {"minor_id": minor, "guardian_id": guardian})
        assert await caller.running.gateway.stores.guardians.wards_of(guardian) == []
        await operator.act("person guardian", {"minor_id": "P14", "guardian_id": "P05"})


FACE = {
    "name": "KIM MINJI",
    "names_kana": ["キム ミンジ"],
    "alias": None,
    "date_of_birth": "1998-02-03",
    "card_expiry_on": None,
    "address_given": None,
    "tax_municipality": None,
    "identity_binding_level": "CARD_FACE",
}


async def test_a_card_number_is_one_and_is_one_persons(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path / "state")) as caller:
        operator, people = caller.running.gateway.operator, caller.running.gateway.stores.people

        async def enrol(person_id: str, number: str) -> None:
            record = FACE | {"residence_card_number": number}
            await operator.act("person invite", {"person_id": person_id, "identity": record})

        for number in ("", "1234", "ZZ2026000ZZ", "ZZ202600011ZZ", "Z120260001ZZ", "ZZ20260001Z9"):
            with pytest.raises(ConfigurationError, match="residence_card_number: two letters"):
                await enrol("new", number)
        for number in ("ZZ20260001ZZ", "zz-20260001-ｚｚ"):
            with pytest.raises(ConfigurationError, match="on record for another person's id"):
                await enrol("new", number)
        assert await people.find("new") is None
        await enrol("new", "ab 1234 5678 cd")
        await enrol("new", "AB12345678CD")
        known = await people.find("new")
        assert known is not None
        assert known.identity.residence_card_number == "AB12345678CD", "as the sources are asked for it"
        await enrol("new", "AB87654321CD")
        await enrol("another", "AB12345678CD")


ODD_IDS = ("", " ", "P 1", "P05 for P14", "../P01", "P/1", "P?1", "-P1", "..", "Ｐ１", "佐藤", "P1\n", "x" * 65)


async def test_nobody_is_enrolled_under_an_id_that_is_read_in_two_ways_and_who_was_before_keeps_it(
    tmp_path: Path,
) -> None:
    record = FACE | {"residence_card_number": "AB12345678CD"}
    people = json.loads((default_people_folder() / "people.json").read_text(encoding="utf-8"))
    async with open_operator(settings_for(tmp_path / "state")) as operator:
        for odd in ODD_IDS:
            with pytest.raises(ConfigurationError, match="person: an id has 1 to 64 letters"):
                await operator.act("person invite", {"person_id": odd, "identity": record})
            people["people"][0]["id"] = odd
            (tmp_path / "people.json").write_text(json.dumps(people), encoding="utf-8")
            with pytest.raises(ConfigurationError, match="person 1: an id has 1 to 64 letters"):
                read_people(tmp_path)
        assert await operator._stores.people.all() == []
        before = TypeAdapter(IdentityRecord).validate_python(record)
        await operator._stores.people.enrol({"佐藤 1": before}, now=operator.now())
        for digit, kept in enumerate(("佐藤 1", "x" * 64, "0", "A.b-c_9")):
            given = {"person_id": kept, "identity": record | {"residence_card_number": f"AB1234567{digit}EF"}}
            assert (await operator.act("person invite", given))["code"]


@pytest.fixture
def written() -> Iterator[list[str]]:
    """What the connections of look-ups and of the writer run, on SQLite."""
    found: list[str] = []

    def on_connect(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.set_trace_callback(found.append)

    event.listen(Engine, "connect", on_connect)
    yield found
    event.remove(Engine, "connect", on_connect)


async def test_who_enrols_somebody_keeps_nobody_waiting_while_everybody_is_looked_at(
    tmp_path: Path, written: list[str]
) -> None:
    async with open_operator(settings_for(tmp_path / "state")) as operator:
        for one, number in (("one", "AB12345678CD"), ("two", "AB12345679CD"), ("one", "AB12345670CD")):
            written.clear()
            record = FACE | {"residence_card_number": number}
            await operator.act("person invite", {"person_id": one, "identity": record})
            looked = [statement for statement in written if statement.startswith("SELECT") and "person" in statement]
            assert looked
            with closing(sqlite3.connect(tmp_path / "state" / "kyosei.sqlite")) as database:
                plans = [database.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall() for statement in looked]
            assert "SCAN person" not in str(plans)


async def test_of_many_enrolled_at_once_some_wait_and_the_rest_are_told_to_come_again(tmp_path: Path) -> None:
    """Each has everybody's records looked at: whoever asks for that again and again does not make everybody wait."""
    async with open_operator(settings_for(tmp_path / "state")) as operator:
        given = [
            {"person_id": f"new-{number}", "identity": FACE | {"residence_card_number": f"AB{number:08}CD"}}
            for number in range(3 * MAX_WAITING)
        ]
        acts = (operator.act("person invite", one) for one in given)
        ended = await asyncio.gather(*acts, return_exceptions=True)
        told_to_wait = [one for one in ended if isinstance(one, OverloadedError)]
        assert (len(told_to_wait), len(ended)) == (2 * MAX_WAITING, 3 * MAX_WAITING)


async def test_of_two_enrolled_at_once_with_one_card_number_one_is_refused(
    tmp_path: Path, fresh_database: FreshDatabase
) -> None:
    """On PostgreSQL by two processes, too."""
    url = fresh_database()
    settings = quick_settings(tmp_path / "state", url)
    async with AsyncExitStack() as stack:
        operator = await stack.enter_async_context(open_operator(settings))
        other = operator if is_sqlite(url) else await stack.enter_async_context(open_operator(settings))
        record = FACE | {"residence_card_number": "AB12345678CD"}
        done = await asyncio.gather(
            *(
                counter.act("person invite", {"person_id": one, "identity": record})
                for counter, one in ((operator, "one"), (other, "two"))
            ),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in done) == ["ConfigurationError", "dict"]
        assert len(await operator._stores.people.all()) == 1


async def test_the_id_of_somebody_who_was_erased_is_told_as_that_and_not_used_again(tmp_path: Path) -> None:
    async with own_sandbox(settings_for(tmp_path / "state")) as caller:
        operator, stores = caller.running.gateway.operator, caller.running.gateway.stores
        person = await stores.people.find("P06")
        assert person is not None
        await stores.erasure.erase(person, now=caller.running.gateway.now())
        for identity in ({"identity": FACE | {"residence_card_number": "AB12345678CD"}}, {}):
            with pytest.raises(ConfigurationError, match="was erased, and it is not free again; use another id"):
                await operator.act("person invite", {"person_id": "P06"} | identity)
        assert await stores.people.find("P06") is None


async def test_whoever_is_enrolled_again_under_another_card_number_is_enrolled_with_a_warning(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with own_sandbox(settings_for(state)) as caller:

        async def enrolled(person_id: str, **different: str) -> Any:
            given = {"person_id": person_id, "identity": FACE | different}
            return (await caller.running.gateway.operator.act("person invite", given))["namesakes"]

        assert await enrolled("one", residence_card_number="AB12345678CD") == []
        record = json.dumps(FACE | {"residence_card_number": "AB12345679CD", "name": "ＫＩＭ  Minji"})
        given = ("person", "invite", "two", "--identity", "-", "--state", str(state))
        status, code, told = await kyosei(*given, said=record)
        assert (status, len(code)) == (0, 22)
        first, done, warning = told.split("\n")
        assert "with their date of birth; valid 7 days" in first
        assert done == "two is enrolled."
        assert warning.startswith("Warning: one has the same name and date of birth under another card number.")
        assert await enrolled("three", residence_card_number="AB12345670CD", date_of_birth="1998-02-04") == []


async def test_a_mistyped_id_does_not_make_somebodys_record_another_persons(tmp_path: Path) -> None:
    """Unless the operator says that it is a correction. What stays the same proves that it is one."""
    own = FACE | {"residence_card_number": "AB12345678CD"}
    other = FACE | {"residence_card_number": "AB12345679CD", "name": "TRAN HUONG", "date_of_birth": "1997-05-21"}
    async with open_operator(settings_for(tmp_path / "state")) as operator:

        async def invited(**given: Any) -> Any:
            return await operator.act("person invite", {"person_id": "one", **given})

        with pytest.raises(ConfigurationError, match="--correct: it goes with --identity"):
            await invited(correct=True)
        assert (await invited(identity=own))["is_new"] is True
        for identity in (other, other | {"residence_card_number": "AB12345678CD"}):
            with pytest.raises(ConfigurationError, match="somebody of another name and another date of birth"):
                await invited(identity=identity)
        known = await operator._stores.people.find("one")
        assert known is not None
        assert known.identity.name == "KIM MINJI"
        done = [await invited(identity=one) for one in (own, own | {"name": "KIM MIN"})]
        done.append(await invited(identity=other, correct=True))
        assert [one["corrected"] for one in done] == [
            [],
            ["name"],
            ["name", "date_of_birth", "residence_card_number"],
        ]
        assert not any(one["is_new"] for one in done)


async def test_a_migration_leaves_a_line_and_one_that_changes_nothing_none(tmp_path: Path) -> None:
    for expected in (["migrate"], []):
        status, said, log = await kyosei("migrate", "--state", str(tmp_path / "state"))
        assert (status, said) == (0, "The database has this version's schema.")
        assert [json.loads(line)["action"] for line in log.splitlines()] == expected


@pytest.mark.parametrize(
    ("different", "says"),
    [
        ({"alias": ...}, "alias: it is missing"),
        ({"date_of_birth": "3.2.1998"}, "date_of_birth: not valid; a date is written YYYY-MM-DD"),
        ({"card_expiry_on": "soon"}, "card_expiry_on: not valid; a date is written YYYY-MM-DD"),
        (
            {"identity_binding_level": "CARD"},
            "identity_binding_level: not valid; it is one of NONE, ASSERTED, CARD_FACE, IC_VERIFIED or JPKI",
        ),
        ({"name": 7}, "name: not a text"),
    ],
)
async def test_an_identity_record_with_something_wrong_is_told_what_belongs_there(
    tmp_path: Path, different: Mapping[str, Any], says: str
) -> None:
    whole: dict[str, Any] = {**FACE, "residence_card_number": "AB12345678CD", **different}
    record = {key: value for key, value in whole.items() if value is not ...}
    async with open_operator(settings_for(tmp_path / "state")) as operator:
        with pytest.raises(ConfigurationError) as refused:
            await operator.act("person invite", {"person_id": "new", "identity": record})
        assert refused.value.detail == f"identity: {says}"


@pytest.mark.parametrize(
    "command", ["migrate", "log verify", "keys list", "log recover --reason x", "serve --port 0"]
)
async def test_a_database_that_a_server_does_not_have_is_told_as_that(
    tmp_path: Path, fresh_postgres: FreshDatabase, command: str
) -> None:
    url = make_url(fresh_postgres()).set(database="mistyped").render_as_string(hide_password=False)
    make_shared_keys(settings_for(tmp_path / "state"))
    given = (*command.split(), "--state", str(tmp_path / "state"))
    status, _, said = await kyosei(*given, environment={"KYOSEI_DATABASE__URL": url})
    assert (status, "database.url: the server has no database of this name" in said) == (78, True), said
