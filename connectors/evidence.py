"""What a source authority said, unchanged in meaning, with when."""

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True, repr=False)
class Evidence:
    """The base of every authority's evidence.

    `observed_at`: when the gateway received the reply (aware UTC). `as_of`: the day the source's data
    stands for, where it says so.
    """

    observed_at: datetime
    as_of: date | None

    def __repr__(self) -> str:
        return f"{type(self).__name__}(redacted)"
