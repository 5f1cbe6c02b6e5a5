"""What the labor authority holds: employers' notifications about one residence card."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from connectors.evidence import Evidence


class NoticeKind(StrEnum):
    """届出区分: what the employer notified."""

    HIRED = "HIRED"
    LEFT = "LEFT"


@dataclass(frozen=True, slots=True, repr=False)
class EmploymentNotice:
    """One notification row. Nationality, sex, the insured person's number and the remarks are never kept.

    `monthly_wage_yen` and `weekly_hours` are None where the row does not state them.
    `employment_insured`: an employment insurance number stood in the row (the number itself is dropped).
    `as_of`: the day the row stands for.
    """

    kind: NoticeKind
    name: str
    date_of_birth: date
    card_number: str
    employer_name: str
    corporate_number: str
    hired_on: date | None
    left_on: date | None
    weekly_hours: float | None
    employment_type: str
    monthly_wage_yen: int | None
    employment_insured: bool
    as_of: date


@dataclass(frozen=True, slots=True, repr=False)
class LaborEvidence(Evidence):
    """All notification rows for one card number, in the source's order; none is a lawful reply."""

    notices: tuple[EmploymentNotice, ...]
