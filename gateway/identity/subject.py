"""The person behind a consent: who they say they are, and the key that their facts are sealed under."""

from dataclasses import dataclass
from datetime import datetime

from connectors.interface import IdentityRecord


@dataclass(frozen=True, slots=True, repr=False)
class Person:
    """A person. What was answered or gathered before `unfrozen_at` is not used again: their record was
    corrected then, or a dispute opened or closed."""

    id: str
    key: bytes
    identity: IdentityRecord
    unfrozen_at: datetime

    def __repr__(self) -> str:
        return f"Person({self.id}, redacted)"
