"""A consent grant: the questions that were put, those left out, the pinned rules, and where it stands.

Status is derived from append-only events and the time; expiry never waits for a job. Source: protocols 1.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from connectors.value import Value
from gateway.consent.terms import Terms
from resolvers.catalogue import Purpose
from resolvers.subject import GrantStatus


class GrantEvent(StrEnum):
    """What happened to a grant."""

    REQUESTED = "REQUESTED"
    GRANTED = "GRANTED"
    REJECTED = "REJECTED"
    PAUSED = "PAUSED"
    RESUMED = "RESUMED"
    RENEWED = "RENEWED"
    REVOKED = "REVOKED"


_AFTER: Mapping[GrantEvent, GrantStatus] = {
    GrantEvent.REQUESTED: GrantStatus.PENDING,
    GrantEvent.GRANTED: GrantStatus.ACTIVE,
    GrantEvent.REJECTED: GrantStatus.REJECTED,
    GrantEvent.PAUSED: GrantStatus.PAUSED,
    GrantEvent.RESUMED: GrantStatus.ACTIVE,
    GrantEvent.REVOKED: GrantStatus.REVOKED,
}
_TERMINAL = (GrantStatus.REJECTED, GrantStatus.REVOKED)

ALLOWED_IN: Mapping[GrantEvent, frozenset[GrantStatus]] = {
    GrantEvent.GRANTED: frozenset({GrantStatus.PENDING}),
    GrantEvent.REJECTED: frozenset({GrantStatus.PENDING}),
    GrantEvent.PAUSED: frozenset({GrantStatus.ACTIVE}),
    GrantEvent.RESUMED: frozenset({GrantStatus.PAUSED}),
    GrantEvent.RENEWED: frozenset({GrantStatus.ACTIVE, GrantStatus.PAUSED}),
    GrantEvent.REVOKED: frozenset({GrantStatus.PENDING, GrantStatus.ACTIVE, GrantStatus.PAUSED}),
}
"""Where a grant has to stand for something to happen to it. Source: protocols 1; ReBIT consent status."""


class Grant(Value, frozen=True):
    """One grant. `expires_at` is the end of the request while it is PENDING, of the consent afterwards.

    `relying_party_id` None: a share code will bind it. `uses_left` None: uses are not counted. `charged_at`:
    when the last complete Answers were charged, oldest first: as many as its frequency allows a day. `optional`:
    the questions that its relying party can do without; None: it did not say, and any may be left out. `guardian`:
    the name of who decided for a minor. `settled_at`: when a comparison was last answered under it. `known_until`:
    until when an Answer may be released again, or a use that was charged pays for one.
    """

    id: str
    person_id: str
    relying_party_id: str | None
    purpose: Purpose
    rule_pack_sha256: str
    questions: tuple[str, ...]
    left_out: tuple[str, ...]
    terms: Terms
    requested_at: datetime
    granted_at: datetime | None
    ended_at: datetime | None
    paused_at: datetime | None
    expires_at: datetime
    uses_left: int | None
    charged_at: tuple[datetime, ...]
    fresh_until: datetime | None
    last_event: GrantEvent
    document: str = ""
    variables: Mapping[str, Any] = msgspec.field(default_factory=dict)
    optional: tuple[str, ...] | None = None
    guardian: str | None = None
    settled_at: datetime | None = None
    known_until: datetime | None = None

    def __repr__(self) -> str:
        return f"Grant({self.id}, redacted)"

    def may_leave_out(self, questions: Collection[str]) -> bool:
        """Whether these may be left out: never all, and only optional ones where it was said which are."""
        of_these = set(self.questions if self.optional is None else self.optional)
        return set(questions) <= of_these and not set(questions) >= set(self.questions)

    def status(self, now: datetime) -> GrantStatus:
        return grant_status(self.last_event, expires_at=self.expires_at, now=now)

    def next_look_at(self, now: datetime) -> datetime | None:
        """From when its frequency allows another complete Answer; None: from now on."""
        return next_look_at(self.charged_at, times_per_day=self.terms.times_per_day, now=now)

    def next_refresh_at(self, now: datetime) -> datetime | None:
        """From when asking the same again looks at the sources anew; None if it will not, or already does."""
        found = [at for at in (self.fresh_until, self.next_look_at(now)) if at is not None and at > now]
        at = max(found, default=None)
        return None if at is None or at >= self.expires_at or self.uses_left == 0 else at


def next_look_at(charged_at: tuple[datetime, ...], *, times_per_day: int | None, now: datetime) -> datetime | None:
    """When the oldest of the last day's Answers is a day old, if the frequency is used up until then."""
    if times_per_day is None:
        return None
    recent = [at for at in charged_at if at > now - timedelta(days=1)]
    return recent[-times_per_day] + timedelta(days=1) if len(recent) >= times_per_day else None


def grant_status(last_event: GrantEvent, *, expires_at: datetime, now: datetime) -> GrantStatus:
    """Where a grant stands, by its last event (a renewal is none of them) and the time."""
    status = _AFTER[last_event]
    return GrantStatus.EXPIRED if status not in _TERMINAL and now >= expires_at else status
