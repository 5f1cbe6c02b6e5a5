"""The person behind a consent: who they say they are, and the key that their facts are sealed under."""

import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime

from connectors.interface import IdentityRecord
from resolvers.immigration import ADULT_AGE
from resolvers.months import birthday
from resolvers.record_confirmation import ConfirmedRecord

_PERSON_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What stands unchanged in a command, an address and a file's name."""

PERSON_ID_WORDS = "an id has 1 to 64 letters (A to Z), digits, and, but for the first, dots, hyphens and underscores"


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A person. What was answered or gathered before `unfrozen_at` is not used again: their record was
    corrected then, a dispute opened or closed, or a record confirmed or disowned. `has_disputes`: they opened any,
    ever. `confirmations`: the probable records that they say are theirs."""

    id: str
    key: bytes
    identity: IdentityRecord
    unfrozen_at: datetime
    has_disputes: bool = False
    confirmations: tuple[ConfirmedRecord, ...] = ()

    def is_minor(self, today: date) -> bool:
        """Whether somebody else decides for them. Source: Civil Code art. 4 (majority at 18)."""
        return today < birthday(self.identity.date_of_birth, ADULT_AGE)

    def __repr__(self) -> str:
        return f"Person({self.id}, redacted)"


def is_person_id(text: str) -> bool:
    """Whether somebody may be enrolled under this id; who was before keeps what they have."""
    return _PERSON_ID.fullmatch(text) is not None


def folded_name(name: str) -> list[str]:
    """A name as it is compared, in whatever width, case and spacing it was written."""
    return unicodedata.normalize("NFKC", name).casefold().split()
