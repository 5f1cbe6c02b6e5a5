"""A day as callers and people write it."""

import re
from datetime import date

_WRITTEN_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_day(text: str) -> date | None:
    """A day of the calendar, YYYY-MM-DD alone; None for anything else, ISO 8601's other forms included.

    Example: read_day("20270331") is None
    """
    if not _WRITTEN_DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
