"""The tables of config/gateway.toml: their keys, defaults and bounds. An unknown key is refused."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from connectors.interface import SourceAuthority
from connectors.transport import Carrier
from gateway.admission import LaneBounds
from gateway.consent.probing import ProbingLimits
from gateway.cost import CostMode, Tariff
from gateway.rates import IN_MEMORY, Rates


class Part(BaseModel):
    """One table."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Part):
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""
    trusted_hops: int = Field(default=0, ge=0, le=8)
    debug: bool = False


class Query(Part):
    deadline_seconds: float = Field(default=3.0, gt=0, le=30)
    longest_seconds: float = Field(default=5.0, gt=0, le=30)


class EvidenceKept(Part):
    max_entries: int = Field(default=10_000, ge=1)
    storage_url: str = ""


class Consent(Part):
    request_open_minutes: int = Field(default=60, ge=1)
    privacy_notice: str = "README.md"


class DatabaseSettings(Part):
    url: str = ""


class Limits(Part):
    storage_url: str = IN_MEMORY
    relying_party_per_second: int = Field(default=50, ge=1)
    relying_party_burst: int = Field(default=100, ge=1)
    consent_per_second: int = Field(default=1, ge=1)
    consent_per_day: int = Field(default=60, ge=1)
    failures_per_minute: int = Field(default=10, ge=1)
    disputes_per_day: int = Field(default=50, ge=1)
    begun_per_day: int = Field(default=50, ge=1)

    def rates(self) -> Rates:
        return Rates(
            relying_party_per_second=self.relying_party_per_second,
            relying_party_burst=self.relying_party_burst,
            consent_per_second=self.consent_per_second,
            consent_per_day=self.consent_per_day,
            failures_per_minute=self.failures_per_minute,
            disputes_per_day=self.disputes_per_day,
            begun_per_day=self.begun_per_day,
        )


class CostSettings(Part):
    mode: CostMode = CostMode.ENFORCE
    of_source: dict[SourceAuthority, Annotated[int, Field(ge=0)]] = dict.fromkeys(SourceAuthority, 10)
    of_question: int = Field(default=1, ge=0)
    operation_limit: int = Field(default=10_000, ge=1)
    budget_per_minute: int = Field(default=200_000, ge=1)

    def tariff(self) -> Tariff:
        return Tariff(
            mode=self.mode,
            of_source={source: self.of_source.get(source, 0) for source in SourceAuthority},
            of_question=self.of_question,
            operation_limit=self.operation_limit,
            budget=self.budget_per_minute,
        )


class LaneSettings(Part):
    busy: int = Field(ge=1)
    waiting: int = Field(ge=0)
    wait_seconds: float = Field(gt=0, le=30)
    overloaded_busy: int | None = Field(default=None, ge=1)
    """None: as many as at other times."""
    overloaded_waiting: int = Field(ge=0)

    @field_validator("overloaded_busy")
    @classmethod
    def _within_busy(cls, value: int | None, info: ValidationInfo) -> int | None:
        """Overload takes places away; it adds none."""
        if value is not None and value > info.data.get("busy", value):
            raise ValueError("it is above busy")
        return value

    def bounds(self) -> LaneBounds:
        return LaneBounds(
            busy=self.busy,
            waiting=self.waiting,
            wait_seconds=self.wait_seconds,
            overloaded_busy=self.overloaded_busy or self.busy,
            overloaded_waiting=self.overloaded_waiting,
        )


class AdmissionSettings(Part):
    relying_parties: LaneSettings = LaneSettings(
        busy=64, waiting=32, wait_seconds=0.2, overloaded_busy=16, overloaded_waiting=0
    )
    people: LaneSettings = LaneSettings(busy=64, waiting=256, wait_seconds=5.0, overloaded_waiting=256)
    revocations: LaneSettings = LaneSettings(busy=64, waiting=256, wait_seconds=5.0, overloaded_waiting=256)
    in_flight: int = Field(default=1_000, ge=1)


class SourcesSettings(Part):
    transport: Carrier = Carrier.HTTPTOOLS


class Operations(Part):
    metrics_from: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
    drain_seconds: float = Field(default=1.0, ge=0, le=60)


class Telemetry(Part):
    otlp_endpoint: str = ""
    service_name: str = "kyosei-gateway"


class Probing(Part):
    budget: int = Field(default=4, ge=1)
    warn_from: int = Field(default=3, ge=1)
    window_days: int = Field(default=90, ge=1)
    questions: int = Field(default=8, ge=1)
    grid: dict[str, Annotated[int, Field(ge=1)]] = {}
    largest: dict[str, Annotated[int, Field(ge=1)]] = {}

    def limits(self) -> ProbingLimits:
        return ProbingLimits(
            grid=self.grid,
            largest=self.largest,
            budget=self.budget,
            warn_from=self.warn_from,
            window=timedelta(days=self.window_days),
            questions=self.questions,
        )


class Rules(Part):
    current: str
    withdrawn: tuple[str, ...] = ()


class Sandbox(Part):
    enabled: bool = False
