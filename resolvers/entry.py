"""When a person came to Japan, and whether that was after the day by which a levy year counts.

Source: domain notes 3 (resident tax is levied where somebody lives on 1 January); specification 9.8.
"""

from datetime import date

from connectors.immigration.evidence import ResidenceRecord
from resolvers.claim import Claim, Reason, confirmed, evidence_needed

FIRST_LEVY_MONTH = 5
"""The first month in which a municipality may hold a new levy year's record. Source: domain notes 3."""


def entered_on(residence: Claim[ResidenceRecord], *, today: date) -> Claim[date]:
    """The day the person came to Japan. Not every record states it; one that cannot be settles nothing."""

    def entered(record: ResidenceRecord) -> Claim[date]:
        if record.landed_on is None:
            return evidence_needed(Reason.NOT_STATED)
        is_possible = record.date_of_birth <= record.landed_on <= today
        return confirmed(record.landed_on) if is_possible else evidence_needed(Reason.CONFLICT)

    return residence.then(entered)


def entered_after_levy_day(residence: Claim[ResidenceRecord], levy_year: int | None, *, today: date) -> Claim[bool]:
    """Whether the person came to Japan after 1 January of the levy year (no resident tax record is right).

    A levy year that the reply does not state is at most the latest that there can be.
    """
    is_out = today.month >= FIRST_LEVY_MONTH
    year = levy_year or (today.year if is_out else today.year - 1)
    return entered_on(residence, today=today).map(lambda day: day > date(year, 1, 1))
