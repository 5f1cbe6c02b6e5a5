"""What becomes of an Answer when it is to be recorded."""

from dataclasses import dataclass
from datetime import datetime

from gateway.answer import Answer
from resolvers.subject import GrantStatus


@dataclass(frozen=True, slots=True)
class Released:
    """The release of this Answer is on record. `is_charged`: as another Answer, against uses and frequency."""

    answer: Answer
    uses_left: int | None
    is_charged: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """The grant ended, was paused or was used up before the release could be recorded."""

    status: GrantStatus | None


@dataclass(frozen=True, slots=True)
class TooSoon:
    """The grant's frequency allows no other Answer before this moment."""

    retry_at: datetime


@dataclass(frozen=True, slots=True)
class Unfrozen:
    """The person's record was corrected, a dispute opened or closed, or a comparison settled, since the Answer was
    concluded."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """Another process was asked with the same proof, and was quicker."""


Outcome = Released | Ended | TooSoon | Unfrozen
