"""What an Answer tells beyond its words: comparisons that stay answered for a while, and what is known from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

from connectors.value import Value
from resolvers.disclosed import Comparison, Interval


class Settlement(Value, frozen=True):
    """How a comparison came out when it was first answered under a grant, and the day that stood for."""

    held: bool
    as_of: date | None


@dataclass(frozen=True, slots=True, repr=False)
class Telling:
    """What an Answer tells. `frozen`: for how long its comparisons stay as they are."""

    settles: Mapping[Comparison, Settlement] = field(default_factory=dict)
    intervals: Mapping[str, tuple[Interval, ...]] = field(default_factory=dict)
    frozen: timedelta = timedelta()
