"""The sandbox as a whole: four authorities and a gateway on loopback, with the invented people enrolled."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from connectors.immigration.sandbox import build_immigration_sandbox
from connectors.insurance.sandbox import build_insurance_sandbox
from connectors.interface import IdentityRecord, SourceAuthority
from connectors.labor.sandbox import build_labor_sandbox
from connectors.profile import USUAL_PROFILE
from connectors.sandbox import SandboxRecordsError, SandboxServer
from connectors.tax.sandbox import build_tax_sandbox
from gateway.app import Gateway, open_gateway, serving
from gateway.asking import GatewayCaller
from gateway.errors import ConfigurationError
from gateway.http.server import listening_socket, url_of
from gateway.identity.subject import PERSON_ID_WORDS, is_person_id
from gateway.sandbox_keys import read_sandbox_keys
from gateway.settings import Settings, config_folder
from gateway.sources import Sources, today_in_japan
from resolvers.attribute import JST
from resolvers.immigration import ADULT_AGE
from resolvers.months import birthday

_IDENTITY = TypeAdapter(IdentityRecord)

_BUILDERS = {
    SourceAuthority.IMMIGRATION: build_immigration_sandbox,
    SourceAuthority.LABOR: build_labor_sandbox,
    SourceAuthority.TAX: build_tax_sandbox,
    SourceAuthority.INSURANCE: build_insurance_sandbox,
}


@dataclass(frozen=True, slots=True)
class SandboxPeople:
    """The invented people: who they say they are, what they ask for, and who decides for whom."""

    folder: Path
    clock_on: date
    identities: Mapping[str, IdentityRecord]
    asks: Mapping[str, Mapping[str, Any]]
    guardians: Mapping[str, str]

    def deciding(self, person_id: str, today: date) -> str:
        """Who decides about a person's consents on a day, as `Authorization: Person` names them."""
        if person_id not in self.guardians or today >= birthday(self.identities[person_id].date_of_birth, ADULT_AGE):
            return person_id
        return f"{self.guardians[person_id]} for {person_id}"


class _PersonRow(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str
    asks: dict[str, Any] = {}
    guardian: str | None = None


class _PeopleFile(BaseModel):
    clock: datetime
    people: list[_PersonRow]


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """Everything of a sandbox that is running."""

    url: str
    authority_urls: Mapping[SourceAuthority, str]
    gateway: Gateway
    people: SandboxPeople
    keys: Mapping[str, str]
    today: date
    caller: GatewayCaller

    def deciding(self, person_id: str) -> str:
        """Who decides about a person's consents, as `Authorization: Person` names them."""
        return self.people.deciding(person_id, self.today)


def default_people_folder() -> Path:
    return config_folder() / "sandbox"


def read_people(folder: Path) -> SandboxPeople:
    """Read people.json. Raises ConfigurationError naming the person and the field, never a value."""
    path = folder / "people.json"
    try:
        read = _PeopleFile.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path.name} is missing in the folder of people") from error
    except (ValidationError, ValueError) as error:
        raise ConfigurationError(f"{path.name}: not a list of people with a clock") from error
    for number, row in enumerate(read.people, start=1):
        if not is_person_id(row.id):
            raise ConfigurationError(f"{path.name}: person {number}: {PERSON_ID_WORDS}")
    return SandboxPeople(
        folder=folder,
        clock_on=read.clock.astimezone(JST).date(),
        identities={row.id: _identity(row) for row in read.people},
        asks={row.id: row.asks for row in read.people},
        guardians=_guardians(read.people),
    )


def _guardians(rows: list[_PersonRow]) -> dict[str, str]:
    known = {row.id for row in rows}
    for row in rows:
        if row.guardian not in {None, *known} - {row.id}:
            raise ConfigurationError(f"people.json: {row.id}: guardian")
    return {row.id: row.guardian for row in rows if row.guardian is not None}


def _identity(row: _PersonRow) -> IdentityRecord:
    try:
        return _IDENTITY.validate_python(row.model_extra)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ConfigurationError(f"people.json: {row.id}: {place}") from None


@asynccontextmanager
async def open_authorities(
    settings: Settings, folder: Path, *, today: date, profile: str, ports: Mapping[SourceAuthority, int] | None = None
) -> AsyncIterator[dict[SourceAuthority, str]]:
    """Run the four authorities, each a server of its own on loopback; where they listen."""
    if profile not in settings.connectors.profiles:
        raise ConfigurationError(f"--profile: connectors.toml has no profile {profile}")
    async with AsyncExitStack() as stack:
        urls: dict[SourceAuthority, str] = {}
        for authority, build in _BUILDERS.items():
            try:
                app = build(folder, settings.connectors.behaviour(profile, authority), today)
            except SandboxRecordsError as error:
                raise ConfigurationError(f"--people: {error}") from error
            server = SandboxServer(app, port=(ports or {}).get(authority, 0))
            await server.start()
            stack.push_async_callback(server.stop)
            urls[authority] = server.base_url
        yield urls


@asynccontextmanager
async def open_sandbox_gateway(
    settings: Settings,
    people: SandboxPeople,
    *,
    today: date,
    urls: Mapping[SourceAuthority, str] | None = None,
    poll_seconds: float | None = None,
    listens_on: str | None = None,
) -> AsyncIterator[Gateway]:
    """A gateway whose calendar stands still, with the invented people enrolled."""

    def latest() -> date:
        """No record can be younger than this, whichever day the sandbox plays."""
        return max(today, people.clock_on, today_in_japan())

    sources = Sources(urls or {}, poll_seconds=poll_seconds, today=latest)
    async with open_gateway(settings, listens_on=listens_on, sources=sources, today=lambda: today) as gateway:
        await gateway.enrol(people.identities, guardians=people.guardians)
        yield gateway


@asynccontextmanager
async def open_sandbox(
    settings: Settings,
    *,
    people_folder: Path | None = None,
    day: date | None = None,
    profile: str = USUAL_PROFILE,
    port: int = 0,
) -> AsyncIterator[RunningSandbox]:
    """Run authorities and gateway together with everybody enrolled. `day` wins over the people's clock."""
    if not settings.gateway.sandbox.enabled:
        raise ConfigurationError("sandbox.enabled: it is off, and this needs sandbox mode")
    people = read_people(people_folder or default_people_folder())
    today = day or people.clock_on
    async with AsyncExitStack() as stack:
        authority_urls = await stack.enter_async_context(
            open_authorities(settings, people.folder, today=today, profile=profile)
        )
        poll_seconds = settings.connectors.poll_seconds(profile)
        listener = stack.enter_context(listening_socket(settings.gateway.server.host, port))
        gateway = await stack.enter_async_context(
            open_sandbox_gateway(
                settings,
                people,
                today=today,
                urls=authority_urls,
                poll_seconds=poll_seconds,
                listens_on=url_of(listener),
            )
        )
        url = await stack.enter_async_context(serving(gateway, listener))
        caller = GatewayCaller(url)
        stack.push_async_callback(caller.close)
        keys = read_sandbox_keys(settings)
        yield RunningSandbox(url, authority_urls, gateway, people, keys, today, caller)
