"""A consent grant: the questions that were put, those left out, the pinned rules, and where it stands.

Status is derived from append-only events and the time; expiry never waits for a job. Source: protocols 1.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from resolvers.catalogue import Purpose
from resolvers.subject import GrantStatus


class GrantEvent(StrEnum):
    """What happened to a grant."""

    REQUESTED = "REQUESTED"
    GRANTED = "GRANTED"
    REVOKED = "REVOKED"


@dataclass(frozen=True, slots=True, repr=False)
class Grant:
    """One grant. `expires_at` is the end of the request while it is PENDING, of the consent afterwards.

    `uses_left` None: uses are not counted.
    """

    id: str
    person_id: str
    relying_party_id: str
    purpose: Purpose
    rule_pack_sha256: str
    questions: tuple[str, ...]
    left_out: tuple[str, ...]
    requested_at: datetime
    granted_at: datetime | None
    revoked_at: datetime | None
    expires_at: datetime
    uses_left: int | None
    last_event: GrantEvent

    def __repr__(self) -> str:
        return f"Grant({self.id}, redacted)"

    def status(self, now: datetime) -> GrantStatus:
        return grant_status(self.last_event, expires_at=self.expires_at, now=now)


def grant_status(last_event: GrantEvent, *, expires_at: datetime, now: datetime) -> GrantStatus:
    """Where a grant stands, by its last event and the time."""
    if last_event is GrantEvent.REVOKED:
        return GrantStatus.REVOKED
    if now >= expires_at:
        return GrantStatus.EXPIRED
    return GrantStatus.ACTIVE if last_event is GrantEvent.GRANTED else GrantStatus.PENDING
