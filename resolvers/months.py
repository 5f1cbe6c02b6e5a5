"""Calendar arithmetic as Japanese law counts it.

Source: Civil Code art. 143 (a period in months ends on the corresponding day; month-end clamp);
rules-pack convention: months between two days are the largest n with add_months(start, n) <= end.
"""

from calendar import monthrange
from datetime import date
from functools import lru_cache


def add_months(day: date, months: int) -> date:
    """The corresponding day `months` later (or earlier), clamped to the month's end.

    Example: add_months(date(2026, 12, 31), 2) == date(2027, 2, 28)
    """
    years, month_index = divmod(day.year * 12 + day.month - 1 + months, 12)
    month = month_index + 1
    return date(years, month, min(day.day, _days_in(years, month)))


def months_between(start: date, end: date) -> int:
    """Whole months from `start` to `end`, `end` included; negative when `end` lies before `start`.

    Example: 20 November to 20 February is 3, to 19 February is 2.
    """
    months = (end.year - start.year) * 12 + end.month - start.month
    return months if add_months(start, months) <= end else months - 1


def birthday(born_on: date, age: int) -> date:
    """The day on which a person reaches `age`; born on 29 February, 28 February in other years."""
    return add_months(born_on, 12 * age)


def first_of_month(day: date) -> date:
    return day.replace(day=1)


def end_of_month(day: date) -> date:
    return day.replace(day=_days_in(day.year, day.month))


@lru_cache(maxsize=4096)
def _days_in(year: int, month: int) -> int:
    return monthrange(year, month)[1]
