"""Settings: environment and config/*.toml, validated at start; an unknown key is refused."""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from connectors.profile import ConnectorsConfig
from connectors.transport import is_loopback
from gateway.consent.purpose import PurposeBounds
from gateway.errors import ConfigurationError
from gateway.identity.provider import IdentityProvider
from gateway.identity.relying_party import RelyingParty
from gateway.plain_words import what_is_wrong
from gateway.provider_settings import FILE as PROVIDERS_FILE
from gateway.provider_settings import read_providers
from gateway.settings_checks import (
    check_debug,
    check_disclosed,
    check_environment,
    check_no_sandbox,
    check_parties,
    check_url_secret,
)
from gateway.settings_parts import (
    AdmissionSettings,
    Consent,
    CostSettings,
    DatabaseSettings,
    EvidenceKept,
    Limits,
    Operations,
    Part,
    Probing,
    Query,
    Rules,
    Sandbox,
    Server,
    SourcesSettings,
    Telemetry,
)
from gateway.store.database import is_sqlite, sqlite_url
from resolvers.catalogue import ATTRIBUTES, DECISIONS, Purpose
from resolvers.consent import FetchType
from resolvers.decision import Text


class GatewaySettings(BaseSettings):
    """config/gateway.toml, overridden by KYOSEI_… variables."""

    model_config = SettingsConfigDict(env_prefix="KYOSEI_", env_nested_delimiter="__", extra="forbid", frozen=True)

    server: Server = Server()
    query: Query = Query()
    evidence: EvidenceKept = EvidenceKept()
    consent: Consent = Consent()
    database: DatabaseSettings = DatabaseSettings()
    limits: Limits = Limits()
    cost: CostSettings = CostSettings()
    admission: AdmissionSettings = AdmissionSettings()
    sources: SourcesSettings = SourcesSettings()
    probing: Probing = Probing()
    rules: Rules
    operations: Operations = Operations()
    telemetry: Telemetry = Telemetry()
    sandbox: Sandbox = Sandbox()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


class _Name(Part):
    en: str = Field(min_length=1)
    ja: str = Field(min_length=1)


class _PartyTable(Part):
    name: _Name
    sector: str
    purposes: frozenset[Purpose]
    address: str = ""
    contact: str = ""
    registered_documents_only: bool | None = None


class _PurposeTable(Part):
    decision: str
    name: _Name
    fetch: FetchType
    life_days: int = Field(ge=1, le=366)
    uses: int | None = Field(default=None, ge=1)
    times_per_day: int | None = Field(default=None, ge=1)
    data_life_days: int = Field(ge=1)
    frozen_hours: int = Field(default=24, ge=1)
    attributes: frozenset[str]
    optional_attributes: frozenset[str] = frozenset()


class Settings(Part):
    """Everything that a gateway is built from."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    gateway: GatewaySettings
    connectors: ConnectorsConfig
    relying_parties: tuple[RelyingParty, ...]
    purposes: Mapping[Purpose, PurposeBounds]
    rule_packs: Mapping[str, bytes]
    identity_providers: tuple[IdentityProvider, ...] = ()
    state: Path

    def public_url(self, listens_on: str | None = None) -> str:
        """How others reach the gateway: as configured, or where it listens."""
        server = self.gateway.server
        return server.public_url or listens_on or f"http://{server.host}:{server.port}"

    @property
    def database_url(self) -> str:
        """The database: the one that is configured, or SQLite in the state directory."""
        return self.gateway.database.url or sqlite_url(self.state / "kyosei.sqlite")


def config_folder() -> Path:
    """The folder of the configuration: KYOSEI_CONFIG, or `config` beside the packages."""
    return Path(os.environ.get("KYOSEI_CONFIG") or Path(__file__).parent.parent / "config")


def load_settings(state: Path, *, folder: Path | None = None) -> Settings:
    """Read and check all configuration. Raises ConfigurationError naming the key, never its value."""
    folder = folder or config_folder()
    check_environment(os.environ, GatewaySettings.model_fields)
    try:
        gateway = GatewaySettings(**_toml(folder / "gateway.toml"))
        connectors = ConnectorsConfig.model_validate(_toml(folder / "connectors.toml"))
        parties = TypeAdapter(dict[str, _PartyTable]).validate_python(_toml(folder / "relying_parties.toml"))
        purposes_file = _toml(folder / "purposes.toml")
        kept_back = {"not_disclosed": purposes_file.pop("not_disclosed", [])}
        not_disclosed = TypeAdapter(dict[str, frozenset[str]]).validate_python(kept_back)["not_disclosed"]
        purposes = TypeAdapter(dict[Purpose, _PurposeTable]).validate_python(purposes_file)
    except SettingsError as error:
        field = re.search(r'field "(\w+)"', str(error))
        key = field[1] if field else "environment"
        raise ConfigurationError(f"{key}: its KYOSEI_ variable cannot be read") from None
    except ValidationError as error:
        raise ConfigurationError(f"{error.title}: {what_is_wrong(error)}") from None
    settings = Settings(
        gateway=gateway,
        connectors=connectors,
        relying_parties=tuple(_party(party_id, table) for party_id, table in parties.items()),
        purposes={purpose: _bounds(purpose, table) for purpose, table in purposes.items()},
        rule_packs={path.name: path.read_bytes() for path in sorted((folder / "rules").glob("*.yaml"))},
        identity_providers=read_providers(_toml(folder / PROVIDERS_FILE), folder=folder),
        state=state,
    )
    _check_purposes(settings)
    check_disclosed(settings.purposes.values(), not_disclosed)
    check_parties(settings.relying_parties)
    check_debug(debug=gateway.server.debug, host=gateway.server.host)
    check_url_secret("database.url", gateway.database.url)
    check_url_secret("limits.storage_url", gateway.limits.storage_url)
    check_url_secret("evidence.storage_url", gateway.evidence.storage_url)
    _check_sandbox(settings)
    _check_public_url(settings)
    is_sqlite(settings.database_url)  # refuses what is neither of the two
    return settings


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"{path.name}: the file is missing") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path.name}: not valid TOML") from error


def _party(party_id: str, table: _PartyTable) -> RelyingParty:
    return RelyingParty(
        id=party_id,
        name=Text(table.name.en, table.name.ja),
        sector=table.sector,
        purposes=table.purposes,
        address=table.address,
        contact=table.contact,
        registered_documents_only=table.registered_documents_only,
    )


def _bounds(purpose: Purpose, table: _PurposeTable) -> PurposeBounds:
    """The bounds of a purpose. Raises ConfigurationError for a coordinate that nobody can ask."""
    if table.decision not in DECISIONS:
        raise ConfigurationError(f"purposes.toml: {purpose}.decision")
    for coordinate in table.attributes | table.optional_attributes:
        if coordinate not in ATTRIBUTES or ATTRIBUTES[coordinate].person_only:
            raise ConfigurationError(f"purposes.toml: {purpose}: {coordinate} is no attribute to disclose")
    return PurposeBounds(
        purpose=purpose,
        name=Text(table.name.en, table.name.ja),
        decision=table.decision,
        fetch=table.fetch,
        life_days=table.life_days,
        uses=table.uses,
        times_per_day=table.times_per_day,
        data_life_days=table.data_life_days,
        frozen=timedelta(hours=table.frozen_hours),
        attributes=table.attributes,
        optional_attributes=table.optional_attributes,
    )


def _check_purposes(settings: Settings) -> None:
    """Every purpose has its bounds; only a PERIODIC one has a frequency."""
    for purpose in Purpose:
        if purpose not in settings.purposes:
            raise ConfigurationError(f"purposes.toml: {purpose} is missing")
        bounds = settings.purposes[purpose]
        if bounds.times_per_day is not None and bounds.fetch is not FetchType.PERIODIC:
            raise ConfigurationError(f"purposes.toml: {purpose}.times_per_day: it is not PERIODIC")


def _check_public_url(settings: Settings) -> None:
    """An https origin without a path; on this machine http will do. Source: RFC 8414 section 2 (issuer)."""
    url = settings.gateway.server.public_url
    if not url:
        return
    parts = urlsplit(url)
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
    if not is_secure or not parts.hostname or url != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        raise ConfigurationError("server.public_url: not an https origin such as https://gateway.example")


def _check_sandbox(settings: Settings) -> None:
    """Sandbox mode exists only on loopback, and only where every connector is a sandbox authority; else nowhere."""
    if not settings.gateway.sandbox.enabled:
        check_no_sandbox(
            public_url=settings.gateway.server.public_url,
            authorities=settings.connectors.authorities,
            parties=settings.relying_parties,
        )
        return
    if not is_loopback(settings.gateway.server.host):
        raise ConfigurationError("sandbox.enabled: the bind address server.host is not a loopback address")
    for authority, table in settings.connectors.authorities.items():
        if not table.sandbox:
            raise ConfigurationError(f"sandbox.enabled: authorities.{authority}.sandbox is not true")
