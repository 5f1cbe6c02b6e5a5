"""The sandbox authorities over real HTTP: all people, all faults."""

import asyncio
from datetime import date, datetime, time, timedelta

import httpx
import pytest

from connectors.errors import ConnectorError, EvidenceInvalidError, SourceUnavailableError
from connectors.immigration.evidence import ImmigrationEvidence
from connectors.insurance.evidence import InsuranceEvidence
from connectors.interface import BindingLevel, IdentityRecord, SourceAuthority
from connectors.labor.evidence import LaborEvidence
from connectors.maintenance import JAPAN, MaintenanceWindow, Weekday, end_of_window
from connectors.profile import Behaviour, Fault
from connectors.restricted import Incident, NumberKind
from connectors.sandbox import SandboxServer
from connectors.tax.evidence import TaxEvidence
from tests.connectors.authorities import (
    AT_ONCE,
    BUILDERS,
    EVERYBODY,
    PEOPLE,
    evidence_of,
    running,
    the_person,
)
from tests.connectors.sources import TODAY

each_authority = pytest.mark.parametrize("authority", list(SourceAuthority))


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
        while (await server.calls())["calls"] == 0:  # noqa: ASYNC110  the count is all that the server tells
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
