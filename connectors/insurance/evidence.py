"""What the social insurance authority holds about a person's health and pension insurance."""

from dataclasses import dataclass
from datetime import date

from connectors.evidence import Evidence


@dataclass(frozen=True, slots=True, repr=False)
class InsuredRecord:
    """One `Hihokensha`. The pension number and the treaty country are on the wire and are never read.

    `month_codes`: one character a month from `first_month` (a first of month) on, in the alphabet
    `2 3 A L Z S * . T -` of the wire format; of another character the meaning is not known.
    """

    name_kana: str
    date_of_birth: date
    health_scheme: str
    first_month: date
    month_codes: str
    lost_on: date | None
    employer_late_months: tuple[date, ...]


@dataclass(frozen=True, slots=True, repr=False)
class InsuranceEvidence(Evidence):
    """Up to five records that the authority found for the names and birth date; none is 404 on the wire."""

    records: tuple[InsuredRecord, ...]
