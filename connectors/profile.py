"""The shape of `config/connectors.toml`: where the sources are, and how the sandbox authorities behave."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, FilePath, field_validator, model_validator

from connectors.interface import SourceAuthority
from connectors.maintenance import MaintenanceWindow
from connectors.transport import MAX_CONNECTIONS, check_base_url, is_loopback_url, is_private_url

Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fault(StrEnum):
    """The faults that a sandbox authority can play, beside the plain error page of `error_rate`.

    TEMPORARY: immigration's ZE9001. SHIFT_JIS_PAGE: a 503 maintenance page. TRUNCATED: the reply is cut off.
    MISSING: labor's file of the night is not there.
    """

    TEMPORARY = "TEMPORARY"
    SHIFT_JIS_PAGE = "SHIFT_JIS_PAGE"
    TRUNCATED = "TRUNCATED"
    MISSING = "MISSING"


class Behaviour(_Part):
    """How a sandbox authority answers; the defaults are the `brisk` profile.

    `latency_ms`: least and most; evenly spread, or, where `median_ms` is given, with that median and a long tail
    up to the most. `error_rate`: share of 500s with an HTML page. `max_per_second`: above it, 429.
    `polls_until_done`: least and most questions until a tax result is there. `poll_seconds`: how often a
    connector should ask an authority that behaves so.
    """

    latency_ms: tuple[int, int] = (20, 120)
    median_ms: int | None = None
    error_rate: Rate = 0.0
    fault_rates: Mapping[Fault, Rate] = Field(default_factory=dict)
    max_per_second: Annotated[int, Field(ge=1)] | None = None
    polls_until_done: tuple[int, int] = (2, 2)
    poll_seconds: Seconds = 0.05
    maintenance: tuple[MaintenanceWindow, ...] = ()

    @model_validator(mode="after")
    def _check_ranges(self) -> Self:
        least, most = self.latency_ms
        if not 0 <= least <= most:
            raise ValueError("latency_ms must be least and most")
        if self.median_ms is not None and not max(least, 1) <= self.median_ms <= most:
            raise ValueError("median_ms must lie within latency_ms")
        if not 1 <= self.polls_until_done[0] <= self.polls_until_done[1]:
            raise ValueError("polls_until_done must be least and most, from 1")
        return self


class AuthoritySettings(_Part):
    """One source authority. `poll_seconds`: for tax alone, and only where it is no sandbox.

    `deadline_seconds`: how long one fetch may take. `retry_after_seconds`: when to ask again if the source does
    not say. `ca_file`: trust this certificate authority instead of the system's. `client_certificate_file`,
    `client_key_file`: what we show to a source that asks for mutual TLS. `allow_private`: one that is no sandbox
    may be at a private address, or on this machine. `max_concurrent`: exchanges at once. `maintenance`: when it is
    known to be closed, and not asked.
    """

    sandbox: bool = False
    base_url: str
    deadline_seconds: Seconds
    retry_after_seconds: Seconds
    max_reply_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)] = 1024 * 1024
    poll_seconds: Seconds | None = None
    ca_file: FilePath | None = None
    client_certificate_file: FilePath | None = None
    client_key_file: FilePath | None = None
    allow_private: bool = False
    max_concurrent: Annotated[int, Field(ge=1, le=256)] = MAX_CONNECTIONS
    maintenance: tuple[MaintenanceWindow, ...] = ()

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, base_url: str) -> str:
        check_base_url(base_url)
        return base_url

    @field_validator("maintenance")
    @classmethod
    def _check_maintenance(cls, windows: tuple[MaintenanceWindow, ...]) -> tuple[MaintenanceWindow, ...]:
        if any("share" in window.model_fields_set for window in windows):
            raise ValueError("a window closes the whole authority: share is for the sandbox's profiles")
        return windows

    @model_validator(mode="after")
    def _check_client_certificate(self) -> Self:
        if (self.client_certificate_file is None) != (self.client_key_file is None):
            raise ValueError("client_certificate_file and client_key_file belong together")
        return self

    @model_validator(mode="after")
    def _check_address(self) -> Self:
        if self.sandbox and not is_loopback_url(self.base_url):
            raise ValueError("a sandbox authority must be on a loopback address")
        if not self.sandbox and not self.allow_private and is_private_url(self.base_url):
            raise ValueError("base_url is a private address, and allow_private is not true")
        return self


USUAL_PROFILE = "brisk"
"""How the sandbox's authorities behave if nobody says otherwise."""

_NAMES = frozenset(authority.value.lower() for authority in SourceAuthority)


class ConnectorsConfig(_Part):
    """The whole file. Authorities are named in lower case, and all four must be there, in every profile too."""

    profiles: Mapping[str, Mapping[str, Behaviour]] = Field(default_factory=dict)
    authorities: Mapping[str, AuthoritySettings]

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for place, names in (("authorities", self.authorities), *self.profiles.items()):
            if set(names) != _NAMES:
                raise ValueError(f"{place}: the authorities must be {', '.join(sorted(_NAMES))}")
        return self

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        """Two authorities at one address would each take the other's records for its own."""
        taken: dict[str, str] = {}
        for name, table in self.authorities.items():
            other = taken.setdefault(table.base_url.rstrip("/").lower(), name)
            if other != name:
                raise ValueError(f"authorities.{name}.base_url: it is that of authorities.{other} too")
        return self

    def behaviour(self, profile: str, authority: SourceAuthority) -> Behaviour:
        """How the sandbox authority behaves under this profile. ValueError for an unknown profile."""
        if profile not in self.profiles:
            raise ValueError("profiles: there is no profile of this name")
        return self.profiles[profile][authority.value.lower()]

    def settings_of(self, authority: SourceAuthority) -> AuthoritySettings:
        """The authority's table."""
        return self.authorities[authority.value.lower()]

    def poll_seconds(self, profile: str) -> float:
        """The pause between questions for a tax result: the table's own, else the profile's."""
        own = self.settings_of(SourceAuthority.TAX).poll_seconds
        return own if own is not None else self.behaviour(profile, SourceAuthority.TAX).poll_seconds

    def usual_poll_seconds(self) -> float | None:
        """The same where nobody says how the authorities behave; None: as the connector does by itself."""
        table = self.settings_of(SourceAuthority.TAX)
        if table.sandbox and USUAL_PROFILE in self.profiles:
            return self.poll_seconds(USUAL_PROFILE)
        return table.poll_seconds
