"""The sandbox authorities, running for a test, and their people."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

import connectors
from connectors.evidence import Evidence
from connectors.immigration.sandbox import build_immigration_sandbox
from connectors.insurance.sandbox import build_insurance_sandbox
from connectors.interface import BindingLevel, EvidenceRequest, IdentityRecord, SourceAuthority
from connectors.labor.sandbox import build_labor_sandbox
from connectors.profile import Behaviour
from connectors.restricted import Incident
from connectors.sandbox import SandboxServer
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
