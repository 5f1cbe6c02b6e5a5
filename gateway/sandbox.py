"""The sandbox as a whole: four authorities and a gateway on loopback, with the invented people enrolled."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

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
from gateway.plain_words import what_is_wrong
from gateway.sandbox_keys import read_sandbox_keys
from gateway.settings import Settings, config_folder
from gateway.sources import Sources, today_in_japan
from resolvers.attribute import JST
from resolvers.catalogue import LendingProduct
from resolvers.immigration import ADULT_AGE
from resolvers.months import birthday

PEOPLE = "people.json"
_IDENTITY = TypeAdapter(IdentityRecord)
_MAY_BE_ABSENT: dict[str, Any] = dict.fromkeys(("alias", "card_expiry_on", "address_given", "tax_municipality"))
"""What an identity record may leave empty, a file of people may leave out."""

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


Whole = Annotated[int, Field(strict=True)]


class _Tenancy(BaseModel):
    rent_jpy_per_month: Whole | None = None


class _Lending(BaseModel):
    product: LendingProduct | None = None
    amount_jpy: Whole | None = None
    term_months: Whole | None = None


class _Asks(BaseModel):
    """What the matrix asks for somebody. What is missing here is not asked."""

    tenancy: _Tenancy | None = None
    lending: _Lending | None = None


class _PersonRow(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str
    asks: _Asks | None = None
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

    async def erased(self) -> list[str]:
        """Who of the people was erased in this state directory; they do not come back."""
        people = self.gateway.stores.people
        return [person_id for person_id in self.people.identities if await people.is_erased(person_id)]


def default_people_folder() -> Path:
    return config_folder() / "sandbox"


def read_people(folder: Path) -> SandboxPeople:
    """Read people.json. Raises ConfigurationError naming the person and the field, never a value."""
    given = _read_json(folder / PEOPLE)
    try:
        read = _PeopleFile.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(f"{PEOPLE}: {_what_is_wrong(error, given)}") from None
    for number, row in enumerate(read.people, start=1):
        if not is_person_id(row.id):
            raise ConfigurationError(f"{PEOPLE}: person {number}: {PERSON_ID_WORDS}")
    ids = [row.id for row in read.people]
    if twice := next((one for one in ids if ids.count(one) > 1), None):
        raise ConfigurationError(f"{PEOPLE}: {twice}: id: it is there twice")
    clock = read.clock if read.clock.tzinfo else read.clock.replace(tzinfo=JST)
    return SandboxPeople(
        folder=folder,
        clock_on=clock.astimezone(JST).date(),
        identities={row.id: _identity(row) for row in read.people},
        asks={row.id: row.asks.model_dump(mode="json") if row.asks else {} for row in read.people},
        guardians=_guardians(read.people),
    )


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path.name} is missing in the folder of people") from error
    except OSError as error:
        raise ConfigurationError(f"{path.name}: {error.strerror or 'it cannot be read'}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path.name}: not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"{path.name}: line {error.lineno}: not JSON: {error.msg}") from None


def _what_is_wrong(error: ValidationError, given: Any) -> str:
    """The first place, with the person's id instead of their number, and what belongs there."""
    if not isinstance(given, dict):
        return "it has to hold an object with a clock and a list of people"
    place = error.errors(include_input=False, include_url=False)[0]["loc"]
    said = what_is_wrong(error)
    if len(place) < 2 or place[0] != "people" or not isinstance(place[1], int):
        return said
    person = given["people"][place[1]]
    known = person.get("id") if isinstance(person, dict) else None
    named = known if isinstance(known, str) else f"person {place[1] + 1}"
    return f"{named}: {said.removeprefix(f'people.{place[1]}').lstrip('.: ')}"


def _guardians(rows: list[_PersonRow]) -> dict[str, str]:
    known = {row.id for row in rows}
    for row in rows:
        if row.guardian not in {None, *known} - {row.id}:
            raise ConfigurationError(
                f"{PEOPLE}: {row.id}: guardian: it has to be the id of somebody else of the file"
            )
    return {row.id: row.guardian for row in rows if row.guardian is not None}


def _identity(row: _PersonRow) -> IdentityRecord:
    try:
        return _IDENTITY.validate_python(_MAY_BE_ABSENT | (row.model_extra or {}))
    except ValidationError as error:
        raise ConfigurationError(f"{PEOPLE}: {row.id}: {what_is_wrong(error)}") from None


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
