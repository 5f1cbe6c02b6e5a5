"""What the immigration authority holds about one residence card."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from connectors.evidence import Evidence


class OtherActivity(StrEnum):
    """The permission for activities beside those of the status. Source: Immigration Control Act art. 19(2).

    `COMPREHENSIVE`: for 28 hours a week. `INDIVIDUAL`: for what its own certificate names.
    """

    NOT_PERMITTED = "NOT_PERMITTED"
    COMPREHENSIVE = "COMPREHENSIVE"
    INDIVIDUAL = "INDIVIDUAL"


@dataclass(frozen=True, slots=True, repr=False)
class Application:
    """One application, kind and result as the authority words them. `result` is mostly empty until it is decided;
    `received_on` is None where no readable day is stated.
    """

    kind: str
    received_on: date | None
    result: str


@dataclass(frozen=True, slots=True, repr=False)
class DesignatedOrganisation:
    """The organisation that the status of residence is tied to. Either may be empty: not stated."""

    name: str
    corporate_number: str


@dataclass(frozen=True, slots=True, repr=False)
class ResidenceRecord:
    """One `ZairyuKekka`. Nationality is on the wire and is never read.

    `stay_until`: last day of the period of stay, inclusive; None means no period (unlimited). `landed_on` is not
    stated of who was born in Japan, `address` is empty until it is notified; they and `other_activity` may be
    missing, which says nothing.
    """

    card_number: str
    card_valid_until: date
    card_revoked: bool
    name: str
    date_of_birth: date
    residence_status: str
    stay_until: date | None
    landed_on: date | None
    other_activity: OtherActivity | None
    address: str
    applications: tuple[Application, ...]
    designated_organisation: DesignatedOrganisation | None


@dataclass(frozen=True, slots=True, repr=False)
class ImmigrationEvidence(Evidence):
    """The reply for one card number; `record` is None when the authority knows no such card."""

    record: ResidenceRecord | None
