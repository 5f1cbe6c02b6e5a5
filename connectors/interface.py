"""What every connector is given and what it gives back."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol, TypeVar

from connectors.evidence import Evidence


class SourceAuthority(StrEnum):
    """The bodies that hold a person's records."""

    IMMIGRATION = "IMMIGRATION"
    LABOR = "LABOR"
    TAX = "TAX"
    INSURANCE = "INSURANCE"


class BindingLevel(StrEnum):
    """How firmly the person was tied to their identity record, weakest first."""

    NONE = "NONE"
    ASSERTED = "ASSERTED"
    CARD_FACE = "CARD_FACE"
    IC_VERIFIED = "IC_VERIFIED"
    JPKI = "JPKI"


@dataclass(frozen=True, slots=True, repr=False)
class DeclaredEmployment:
    """What the person says of their own work; no declaration declares nothing."""

    employed: bool
    employer: str | None = None
    started_on: date | None = None


@dataclass(frozen=True, slots=True, repr=False)
class IdentityRecord:
    """What a person gave at enrolment and may correct: the keys their records are found by."""

    name: str
    names_kana: tuple[str, ...]
    alias: str | None
    date_of_birth: date
    residence_card_number: str
    card_expiry_on: date | None
    address_given: str | None
    tax_municipality: str | None
    identity_binding_level: BindingLevel
    declared_employment: DeclaredEmployment | None = None

    def __repr__(self) -> str:
        return "IdentityRecord(redacted)"


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """One question to one authority about one person."""

    identity: IdentityRecord


EvidenceT = TypeVar("EvidenceT", bound=Evidence, covariant=True)


class Connector(Protocol[EvidenceT]):
    """The code that talks to one authority.

    `fetch` raises only `ConnectorError`s; it gives up `deadline_seconds` after it was called.
    """

    @property
    def authority(self) -> SourceAuthority: ...

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> EvidenceT: ...

    async def close(self) -> None: ...
