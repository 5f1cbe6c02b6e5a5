"""What a gateway should do with consents, in a few hundred bytes: the model that a machine compares it with."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

DAY = timedelta(days=1)
DATA_LIFE = 30 * DAY
LIFE = {"ACCOUNT_OPENING": 30 * DAY, "ACCOUNT_MAINTENANCE": 90 * DAY}
MAX_USES = {"ACCOUNT_OPENING": 3, "ACCOUNT_MAINTENANCE": None}
MAX_TIMES = {"ACCOUNT_OPENING": None, "ACCOUNT_MAINTENANCE": 24}
REQUEST_OPEN = timedelta(minutes=60)
MAX_WRONG_GUESSES = 5

LOOKS: dict[str, tuple[timedelta, frozenset[str]]] = {
    "Immigration.statusLawful": (DAY, frozenset({"IMMIGRATION"})),
    "Immigration.stayUnlimited": (DAY, frozenset({"IMMIGRATION"})),
    "Immigration.addressMatches": (7 * DAY, frozenset({"IMMIGRATION"})),
    "Labor.employed": (7 * DAY, frozenset({"LABOR", "INSURANCE"})),
}
"""The questions of these machines: how fresh the evidence has to be, and whose it is."""

ASKED_FOR = {
    "ACCOUNT_OPENING": frozenset(LOOKS),
    "ACCOUNT_MAINTENANCE": frozenset(LOOKS) - {"Labor.employed"},
}
PARTIES = {
    "bank": frozenset(LIFE),
    "other-bank": frozenset(LIFE),
    "landlord": frozenset[str](),
}
"""Who asks, and for which of these purposes they may."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a person reads of one event."""

    kind: str
    party: str | None = None
    questions: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    code: str | None = None
    about: str | None = None


@dataclass(slots=True, eq=False)
class PersonModel:
    """A person; `due`: the entries that should have been added to theirs since they were last read."""

    id: str
    name: str
    born_on: str
    unfrozen_at: datetime
    is_erased: bool = False
    disputes: dict[str, str] = field(default_factory=dict)
    due: list[Entry] = field(default_factory=list)

    def disputes_about(self, question: str) -> bool:
        return any(about == question or about in LOOKS[question][1] for about in self.disputes.values())

    def erase(self) -> None:
        self.is_erased = True
        self.disputes.clear()
        self.due.clear()


@dataclass(frozen=True, slots=True)
class Kept:
    """An Answer that may be given again."""

    recorded_at: datetime
    fresh_until: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a query should come out. `code`: nothing is answered, because of this."""

    code: str | None
    is_repeat: bool = False
    confirmed: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()


@dataclass(slots=True, eq=False)
class GrantModel:
    """One grant. `until`: the end of the request, then of the consent. `party` None: whoever redeems a code."""

    id: str
    person: PersonModel
    party: str | None
    purpose: str
    questions: frozenset[str]
    uses: int | None
    times_per_day: int | None
    until: datetime
    standing: str = "PENDING"
    left_out: frozenset[str] = frozenset()
    tokens: list[str] = field(default_factory=list)
    charged_at: list[datetime] = field(default_factory=list)
    observed: dict[str, datetime] = field(default_factory=dict)
    kept: dict[frozenset[str], Kept] = field(default_factory=dict)
    paid_until: dict[frozenset[str], datetime] = field(default_factory=dict)

    def status(self, now: datetime) -> str:
        is_over = self.standing in ("PENDING", "ACTIVE", "PAUSED") and now >= self.until
        return "EXPIRED" if is_over else self.standing

    @property
    def uses_left(self) -> int | None:
        return None if self.uses is None else self.uses - len(self.charged_at)

    def note(self, kind: str, *, refused: frozenset[str] = frozenset()) -> None:
        self.person.due.append(Entry(kind, self.party, self.questions, refused))

    # --- what a person does with it ---

    def asked_for(self, now: datetime) -> None:
        self.note("CONSENT_REQUESTED")
        self.observed |= {source: now for question in self.questions for source in LOOKS[question][1]}

    def grant(self, token: str | None, *, left_out: frozenset[str], now: datetime) -> None:
        self.standing, self.left_out, self.until = "ACTIVE", left_out, now + LIFE[self.purpose]
        self.tokens += [token] if token else []
        self.note("CONSENT_GRANTED", refused=left_out)

    def change(self, action: str, now: datetime) -> bool:
        """Whether it stands in a state that allows this; if so it has happened."""
        allowed, then, forgets = {
            "reject": (("PENDING",), "REJECTED", True),
            "pause": (("ACTIVE",), "PAUSED", True),
            "resume": (("PAUSED",), "ACTIVE", False),
            "renew": (("ACTIVE", "PAUSED"), None, False),
            "revoke": (("PENDING", "ACTIVE", "PAUSED"), "REVOKED", True),
        }[action]
        if self.status(now) not in allowed:
            return False
        self.standing = then or self.standing
        self.until = now + LIFE[self.purpose] if then is None else self.until
        self.note(f"CONSENT_{action.upper().removesuffix('E')}ED")
        if forgets:
            self.observed.clear()
        return True

    # --- what a relying party gets of it ---

    def ask(self, asker: str, asked: frozenset[str], now: datetime) -> Verdict:
        """How a query with its token comes out; what follows from it has happened."""
        if self.person.is_erased or self.party != asker:
            return Verdict("CONSENT_INVALID")
        verdict = self._verdict(asked, now)
        answered = verdict.confirmed | verdict.withheld
        if verdict.code:
            self.person.due.append(Entry("REFUSED", asker, frozenset(), asked, verdict.code))
            return verdict
        if not verdict.is_repeat:
            self._answer(answered, now)
        kind = "RELEASED_AGAIN" if verdict.is_repeat else "RELEASED"
        code = "FIELD_NOT_CONSENTED" if verdict.refused else None
        self.person.due.append(Entry(kind, asker, answered, verdict.refused, code))
        return verdict

    def _verdict(self, asked: frozenset[str], now: datetime) -> Verdict:
        status = self.status(now)
        if status != "ACTIVE":
            return Verdict("CONSENT_PAUSED" if status == "PAUSED" else "CONSENT_ENDED")
        answerable = asked & self.questions
        if not answerable:
            return Verdict("FIELD_NOT_CONSENTED", refused=asked)
        kept = self.kept.get(answerable)
        is_repeat = kept is not None and kept.fresh_until > now and kept.recorded_at > self.person.unfrozen_at
        is_free = is_repeat or self.is_paid(answerable, now)
        if not is_free and self.uses_left == 0:
            return Verdict("CONSENT_ENDED")
        if not is_free and self.next_look_at(now):
            return Verdict("RATE_LIMITED")
        withheld = self.withheld(answerable)
        return Verdict(None, is_repeat, answerable - withheld, withheld, asked - answerable)

    def withheld(self, answerable: frozenset[str]) -> frozenset[str]:
        """What is left out or disputed; nothing that can be seen tells the two apart."""
        return frozenset(q for q in answerable if q in self.left_out or self.person.disputes_about(q))

    def is_paid(self, answered: frozenset[str], now: datetime) -> bool:
        """Whether an Answer to these was charged and would still be good, had there been no dispute since."""
        return answered in self.paid_until and self.paid_until[answered] > now

    def next_look_at(self, now: datetime) -> datetime | None:
        recent = [at for at in self.charged_at if at > now - DAY]
        times = self.times_per_day
        return recent[-times] + DAY if times is not None and len(recent) >= times else None

    def next_refresh_at(self, answered: frozenset[str], now: datetime) -> datetime | None:
        """When asking the same again gives a new look."""
        at = max(filter(None, (self.kept[answered].fresh_until, self.next_look_at(now))))
        return None if at >= self.until or self.uses_left == 0 or at <= now else at

    def _answer(self, answered: frozenset[str], now: datetime) -> None:
        """A new Answer: what is too old is asked for anew, and a use is charged if anything new is released."""
        released = answered - self.withheld(answered)
        is_paid = self.is_paid(answered, now)
        ends = [self.until, now + DATA_LIFE, *([self.paid_until[answered]] if is_paid else [])]
        for source in {source for question in released for source in LOOKS[question][1]}:
            longest = min(LOOKS[question][0] for question in released if source in LOOKS[question][1])
            if source not in self.observed or self.observed[source] + longest <= now:
                self.observed[source] = now
            ends.append(self.observed[source] + longest)
        self.kept[answered] = Kept(now, min(ends))
        if released and not is_paid:
            self.charged_at.append(now)
            self.paid_until[answered] = min(ends)

    def moments(self) -> Iterator[datetime]:
        """When something changes by itself."""
        yield self.until
        yield from (kept.fresh_until for kept in self.kept.values())
        yield from self.paid_until.values()
        yield from (at + DAY for at in self.charged_at)
        yield from (at + longest for at in self.observed.values() for longest in (DAY, 7 * DAY))


@dataclass(slots=True, eq=False)
class CodeModel:
    """One share code."""

    text: str
    grant: GrantModel
    until: datetime
    is_used: bool = False

    def redeem(self, party: str, born_on: str, now: datetime) -> bool:
        """Whether this party gets the consent; if so it has it."""
        grant = self.grant
        is_good = (
            not self.is_used
            and not grant.person.is_erased
            and born_on == grant.person.born_on
            and now < self.until
            and grant.status(now) == "ACTIVE"
            and grant.party in (None, party)
            and grant.purpose in PARTIES[party]
        )
        if is_good:
            self.is_used, grant.party = True, party
            grant.note("SHARE_CODE_REDEEMED")
        return is_good

    def was_redeemed(self, party: str, born_on: str, now: datetime) -> bool:
        """Whether this party has it already, so that it is no wrong guess."""
        grant = self.grant
        is_right = born_on == grant.person.born_on and not grant.person.is_erased
        return self.is_used and grant.party == party and is_right and now < self.until


def unfreeze(person: PersonModel, grants: Collection[GrantModel], now: datetime) -> None:
    """A dispute was opened or closed: nothing that was answered or gathered until now is used again."""
    person.unfrozen_at = now
    for grant in grants:
        if grant.person is person:
            grant.observed.clear()
