"""The sandbox authorities over real HTTP: all people, all faults, and swapped-in records."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

import connectors
from connectors.errors import ConnectorError, EvidenceInvalidError, SourceUnavailableError
from connectors.evidence import Evidence
from connectors.immigration.evidence import ImmigrationEvidence
from connectors.immigration.sandbox import build_immigration_sandbox
from connectors.insurance.evidence import InsuranceEvidence
from connectors.insurance.sandbox import build_insurance_sandbox
from connectors.interface import BindingLevel, EvidenceRequest, IdentityRecord, SourceAuthority
from connectors.labor.evidence import LaborEvidence
from connectors.labor.sandbox import build_labor_sandbox
from connectors.profile import Behaviour, Fault, MaintenanceWindow, Weekday
from connectors.restricted import Incident, NumberKind
from connectors.sandbox import JAPAN, SandboxRecordsError, SandboxServer, end_of_window
from connectors.tax.evidence import TaxEvidence
from connectors.tax.sandbox import build_tax_sandbox
from tests.connectors.sources import PERSON, TODAY, make_connector

PEOPLE = Path(connectors.__file__).parent.parent / "config" / "sandbox"
AT_ONCE = Behaviour(latency_ms=(0, 0))
EVERYBODY = tuple(f"P{n:02d}" for n in range(1, 22))
BUILDERS: dict[SourceAuthority, Callable[..., Starlette]] = {
    SourceAuthority.IMMIGRATION: build_immigration_sandbox,
    SourceAuthority.LABOR: build_labor_sandbox,
    SourceAuthority.TAX: build_tax_sandbox,
    SourceAuthority.INSURANCE: build_insurance_sandbox,
}
each_authority = pytest.mark.parametrize("authority", list(SourceAuthority))


def the_person(person_id: str, folder: Path = PEOPLE) -> IdentityRecord:
    """A sandbox person as they enrolled."""
    people = json.loads((folder / "people.json").read_text(encoding="utf-8"))["people"]
    person = next(person for person in people if person["id"] == person_id)
    return IdentityRecord(
        name=person["name"],
        names_kana=tuple(person["names_kana"]),
        alias=person["alias"],
        date_of_birth=date.fromisoformat(person["date_of_birth"]),
        residence_card_number=person["residence_card_number"],
        card_expiry_on=date.fromisoformat(person["card_expiry_on"]),
        address_given=person["address_given"],
        tax_municipality=person["tax_municipality"],
        identity_binding_level=BindingLevel(person["identity_binding_level"]),
    )


@dataclass
class Running:
    """One running authority, and a connector to it."""

    authority: SourceAuthority
    server: SandboxServer
    incidents: list[Incident]

    async def ask(self, identity: IdentityRecord = PERSON) -> Evidence:
        connector = make_connector(self.authority, self.server.base_url, self.incidents)
        try:
            return await connector.fetch(EvidenceRequest(identity), deadline_seconds=5)
        finally:
            await connector.close()

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(base_url=self.server.base_url, trust_env=False) as http:
            return await http.get(path)

    async def calls(self) -> dict[str, int]:
        calls: dict[str, int] = (await self.get("/_sandbox/calls")).json()
        return calls


@asynccontextmanager
async def running(
    authority: SourceAuthority,
    behaviour: Behaviour = AT_ONCE,
    *,
    folder: Path = PEOPLE,
    today: date = TODAY,
    **options: Any,  # Any: `now` and `seed` of the builders
) -> AsyncIterator[Running]:
    server = SandboxServer(BUILDERS[authority](folder, behaviour, today, **options))
    await server.start()
    try:
        yield Running(authority, server, [])
    finally:
        await server.stop()


async def evidence_of(folder: Path, person_ids: tuple[str, ...]) -> dict[tuple[str, SourceAuthority], object]:
    """What each authority says of each person; an error stands for itself."""
    async with AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(running(a, folder=folder)) for a in SourceAuthority]
        keys = [(person_id, server) for person_id in person_ids for server in servers]
        found = await asyncio.gather(
            *(server.ask(the_person(person_id, folder)) for person_id, server in keys), return_exceptions=True
        )
    return {(person_id, server.authority): result for (person_id, server), result in zip(keys, found, strict=True)}


async def test_all_twenty_one_people_are_read_from_all_four_authorities() -> None:
    found = await evidence_of(PEOPLE, EVERYBODY)
    down = found.pop(("P13", SourceAuthority.TAX))
    assert isinstance(down, SourceUnavailableError)
    without = {
        SourceAuthority.LABOR: {"P07", "P14", "P19"},
        SourceAuthority.TAX: {"P06", "P07"},
        SourceAuthority.INSURANCE: {"P12"},
    }
    for (person_id, authority), evidence in found.items():
        match evidence:
            case ImmigrationEvidence():
                is_found = evidence.record is not None
            case LaborEvidence():
                is_found = bool(evidence.notices)
            case TaxEvidence():
                is_found = evidence.record is not None
                assert evidence.levy_year == 2026
            case InsuranceEvidence():
                is_found = len(evidence.records) == 1
            case _:
                pytest.fail(f"{person_id} {authority}: {evidence!r}")
        assert is_found == (person_id not in without.get(authority, set())), (person_id, authority)


async def test_the_my_number_in_the_remarks_is_dropped_and_told() -> None:
    async with running(SourceAuthority.LABOR) as labor:
        evidence = await labor.ask(the_person("P01"))
    assert isinstance(evidence, LaborEvidence)
    assert evidence.notices[0].employment_insured
    kinds = frozenset({NumberKind.MY_NUMBER, NumberKind.EMPLOYMENT_INSURANCE})
    assert labor.incidents == [Incident(SourceAuthority.LABOR, kinds)]


@each_authority
async def test_a_person_nobody_knows_is_an_answer_too(authority: SourceAuthority) -> None:
    stranger = IdentityRecord(
        "NOBODY AT ALL", ("ダレ カ",), None, date(1990, 1, 1), "ZZ99999999ZZ", None, None, None, BindingLevel.NONE
    )
    async with running(authority) as server:
        evidence = await server.ask(stranger)
    nothing = {
        SourceAuthority.IMMIGRATION: ("record", None),
        SourceAuthority.LABOR: ("notices", ()),
        SourceAuthority.TAX: ("record", None),
        SourceAuthority.INSURANCE: ("records", ()),
    }
    name, value = nothing[authority]
    assert getattr(evidence, name) == value


@each_authority
async def test_calls_are_counted_and_counting_is_not(authority: SourceAuthority) -> None:
    async with running(authority) as server:
        await server.ask()
        await server.calls()
        calls = await server.calls()
    assert calls == ({"calls": 3, "applications": 1, "polls": 2} if authority == "TAX" else {"calls": 1})


@each_authority
async def test_a_stopped_authority_refuses_connections_and_comes_back_on_its_port(authority: SourceAuthority) -> None:
    async with running(authority, Behaviour(latency_ms=(60_000, 60_000))) as server:
        waiting = asyncio.create_task(server.ask())
        while (await server.calls())["calls"] == 0:
            await asyncio.sleep(0.01)
        base_url = server.server.base_url
        await server.server.stop()
        with pytest.raises(SourceUnavailableError):
            await waiting
        with pytest.raises(httpx.ConnectError):
            await server.get("/_sandbox/calls")
        await server.server.start()
        assert server.server.base_url == base_url
        assert (await server.get("/_sandbox/calls")).status_code == 200


async def test_two_servers_cannot_take_one_port() -> None:
    async with running(SourceAuthority.TAX) as server:
        port = int(server.server.base_url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match="in use"):
            await SandboxServer(BUILDERS[SourceAuthority.TAX](PEOPLE, AT_ONCE, TODAY), port=port).start()


@each_authority
async def test_an_error_page_makes_the_authority_unavailable(authority: SourceAuthority) -> None:
    async with running(authority, Behaviour(latency_ms=(0, 0), error_rate=1)) as server:
        with pytest.raises(SourceUnavailableError):
            await server.ask()


@pytest.mark.parametrize(
    ("authority", "fault", "error"),
    [
        (SourceAuthority.IMMIGRATION, Fault.TEMPORARY, SourceUnavailableError),
        (SourceAuthority.LABOR, Fault.MISSING, SourceUnavailableError),
        (SourceAuthority.LABOR, Fault.TRUNCATED, EvidenceInvalidError),
        (SourceAuthority.TAX, Fault.SHIFT_JIS_PAGE, SourceUnavailableError),
        (SourceAuthority.INSURANCE, Fault.TRUNCATED, EvidenceInvalidError),
    ],
)
async def test_every_fault_of_the_realistic_profile_is_understood(
    authority: SourceAuthority, fault: Fault, error: type[ConnectorError]
) -> None:
    async with running(authority, Behaviour(latency_ms=(0, 0), fault_rates={fault: 1.0})) as server:
        for _ in range(20):
            with pytest.raises(error):
                await server.ask()


async def test_too_many_calls_in_a_second_are_put_off() -> None:
    async with running(SourceAuthority.INSURANCE, Behaviour(latency_ms=(0, 0), max_per_second=2)) as server:
        await server.ask()
        await server.ask()
        with pytest.raises(SourceUnavailableError) as caught:
            await server.ask()
    assert caught.value.retry_after_seconds == 1


@each_authority
async def test_in_its_maintenance_window_an_authority_is_closed_and_says_until_when(
    authority: SourceAuthority,
) -> None:
    behaviour = Behaviour(latency_ms=(0, 0), maintenance=(MaintenanceWindow(since=time(3), until=time(4, 30)),))
    at_night = datetime(2026, 11, 20, 4, 0, tzinfo=JAPAN)
    async with running(authority, behaviour, now=lambda: at_night) as closed:
        with pytest.raises(SourceUnavailableError) as caught:
            await closed.ask()
    assert caught.value.retry_after_seconds == 30 * 60
    async with running(authority, behaviour, now=lambda: at_night + timedelta(hours=1)) as opened:
        await opened.ask()


async def test_some_municipalities_close_at_night() -> None:
    behaviour = Behaviour(
        latency_ms=(0, 0), maintenance=(MaintenanceWindow(since=time(20), until=time(8), share=0.4),)
    )
    evening = datetime(2026, 11, 20, 21, 0, tzinfo=JAPAN)
    async with running(SourceAuthority.TAX, behaviour, now=lambda: evening) as tax:
        found = await asyncio.gather(*(tax.ask(the_person(p)) for p in EVERYBODY), return_exceptions=True)
    closed = sum(isinstance(result, SourceUnavailableError) for result in found)
    assert 1 < closed < len(EVERYBODY)


WINDOWS = {
    "night": MaintenanceWindow(since=time(23), until=time(5)),
    "weekend": MaintenanceWindow(since=time(8), until=time(20), days=frozenset({Weekday.SAT, Weekday.SUN})),
    "month-end": MaintenanceWindow(since=time(17), until=time(5), month_end_only=True),
}


@pytest.mark.parametrize(
    ("window", "now", "end"),
    [
        ("night", (20, 22, 59), None),
        ("night", (20, 23, 0), (21, 5, 0)),
        ("night", (21, 4, 59), (21, 5, 0)),
        ("night", (21, 5, 0), None),
        ("weekend", (20, 12, 0), None),
        ("weekend", (21, 12, 0), (21, 20, 0)),
        ("weekend", (22, 7, 59), None),
        ("month-end", (29, 18, 0), None),
        ("month-end", (30, 18, 0), (31, 5, 0)),
    ],
)
def test_windows_are_kept_to_the_minute(
    window: str, now: tuple[int, int, int], end: tuple[int, int, int] | None
) -> None:
    def at(day: int, hour: int, minute: int) -> datetime:
        return datetime(2026, 11, 1, hour, minute, tzinfo=JAPAN) + timedelta(days=day - 1)

    assert end_of_window(WINDOWS[window], at(*now)) == (at(*end) if end else None)


@pytest.mark.parametrize(
    ("today", "levy_year"), [(date(2026, 6, 14), 2025), (date(2026, 6, 15), 2026), (date(2027, 1, 5), 2026)]
)
async def test_without_a_record_the_latest_levy_year_is_named(today: date, levy_year: int) -> None:
    async with running(SourceAuthority.TAX, today=today) as tax:
        evidence = await tax.ask(
            IdentityRecord("A", (), None, date(1990, 1, 1), "X", None, None, None, BindingLevel.NONE)
        )
    assert isinstance(evidence, TaxEvidence)
    assert (evidence.levy_year, evidence.record) == (levy_year, None)


async def test_every_application_gets_a_number_of_its_own() -> None:
    async with running(SourceAuthority.TAX, Behaviour(latency_ms=(0, 5), polls_until_done=(1, 4))) as tax:
        people = [the_person(person_id) for person_id in EVERYBODY if person_id != "P13"]
        found = await asyncio.gather(*(tax.ask(person) for person in people))
    for person, evidence in zip(people, found, strict=True):
        assert isinstance(evidence, TaxEvidence)
        assert evidence.record is None or evidence.record.date_of_birth == person.date_of_birth


async def test_an_unknown_application_and_an_unreadable_one_are_refused() -> None:
    async with running(SourceAuthority.TAX) as tax:
        assert (await tax.get("/shinsei/99999999999")).status_code == 404
        async with httpx.AsyncClient(base_url=tax.server.base_url, trust_env=False) as http:
            for body in (b"", b"[]", b'{"x":1}', b'{"\xe7"'):
                assert (await http.post("/shinsei", content=body)).status_code == 400


# Swapped-in records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sandbox people that a test may change."""
    for name in ("people.json", "immigration.xml", "labor.csv", "tax.jsonl", "insurance.xml"):
        shutil.copyfile(PEOPLE / name, tmp_path / name)
    return tmp_path


def _rewrite(path: Path, change: Callable[[str], str], *, encoding: str = "utf-8") -> None:
    path.write_bytes(change(path.read_bytes().decode(encoding)).encode(encoding))


async def test_other_order_other_width_and_other_case_find_the_same_people(folder: Path) -> None:
    def turned(text: str) -> str:
        head, *rows = text.rstrip("\r\n").split("\r\n")
        return "\r\n".join([head, *reversed(rows)]) + "\r\n"

    _rewrite(folder / "labor.csv", lambda text: turned(text).replace("ZZ2026", "ｚｚ２０２６"), encoding="cp932")
    _rewrite(folder / "immigration.xml", lambda text: text.replace("ＺＺ２０２６", "zz2026"))
    _rewrite(folder / "tax.jsonl", lambda text: "\n".join(reversed(text.splitlines())) + "\n\n")
    _rewrite(folder / "insurance.xml", lambda text: text.replace("ｼﾕﾚｽﾀ", "シュレスタ"))
    usual = await evidence_of(PEOPLE, ("P01", "P04", "P19"))
    other = await evidence_of(folder, ("P01", "P04", "P19"))
    for key, evidence in usual.items():
        assert type(other[key]) is type(evidence), key
        assert getattr(other[key], "as_of", 0) == getattr(evidence, "as_of", 0)
    immigration = other["P01", SourceAuthority.IMMIGRATION]
    assert isinstance(immigration, ImmigrationEvidence)
    assert immigration == ImmigrationEvidence(immigration.observed_at, immigration.as_of, immigration.record)
    assert immigration.record == getattr(usual["P01", SourceAuthority.IMMIGRATION], "record", None)


async def test_people_may_be_fewer_or_more(folder: Path) -> None:
    _rewrite(folder / "insurance.xml", lambda _: "<List/>")
    _rewrite(folder / "labor.csv", lambda text: text.split("\r\n")[0] + "\r\n", encoding="cp932")
    _rewrite(folder / "tax.jsonl", lambda _: "")
    found = await evidence_of(folder, ("P01",))
    assert getattr(found["P01", SourceAuthority.INSURANCE], "records", None) == ()
    assert getattr(found["P01", SourceAuthority.LABOR], "notices", None) == ()
    tax = found["P01", SourceAuthority.TAX]
    assert isinstance(tax, TaxEvidence)
    assert tax.record is None


async def test_at_most_five_insurance_records_are_given(folder: Path) -> None:
    def sevenfold(text: str) -> str:
        start, end = text.index("<Hihokensha"), text.index("</Hihokensha>") + len("</Hihokensha>")
        return text[:start] + text[start:end] * 7 + text[end:]

    _rewrite(folder / "insurance.xml", sevenfold)
    found = await evidence_of(folder, ("P01",))
    evidence = found["P01", SourceAuthority.INSURANCE]
    assert isinstance(evidence, InsuranceEvidence)
    assert len(evidence.records) == 5


@pytest.mark.parametrize(
    ("authority", "name", "content", "message"),
    [
        (SourceAuthority.IMMIGRATION, "immigration.xml", b"<List>", "immigration.xml"),
        (SourceAuthority.LABOR, "labor.csv", b"\x81", "labor.csv"),
        (SourceAuthority.LABOR, "labor.csv", b"a,b\r\n", "labor.csv: line 1"),
        (SourceAuthority.LABOR, "labor.csv", "在留カード番号,b\r\n1,2\r\n1\r\n".encode("cp932"), "labor.csv: line 3"),
        (SourceAuthority.TAX, "tax.jsonl", b'{"person": "P01", "status": 200, "json": {}}\n{', "tax.jsonl: line 2"),
        (SourceAuthority.TAX, "tax.jsonl", b'{"person": "P01", "status": 503}', "tax.jsonl: line 1"),
        (SourceAuthority.TAX, "people.json", b"[]", "people.json"),
        (SourceAuthority.INSURANCE, "insurance.xml", b"<!DOCTYPE a><List/>", "insurance.xml"),
        (SourceAuthority.INSURANCE, "insurance.xml", b"<List><Hihokensha/></List>", "insurance.xml: record 1"),
    ],
)
def test_a_broken_file_is_named_with_its_line(
    folder: Path, authority: SourceAuthority, name: str, content: bytes, message: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(SandboxRecordsError, match=message):
        BUILDERS[authority](folder, AT_ONCE, TODAY)


@each_authority
def test_a_missing_file_is_named(tmp_path: Path, authority: SourceAuthority) -> None:
    with pytest.raises(SandboxRecordsError, match="No such file"):
        BUILDERS[authority](tmp_path, AT_ONCE, TODAY)
