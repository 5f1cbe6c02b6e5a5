"""One history of consents: what is done to the gateway is done to the model too, and both are compared."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis.stateful import RuleBasedStateMachine, invariant

from tests.gateway import grant_stage as of
from tests.gateway.grant_model import (
    ASKED_FOR,
    LOOKS,
    MAX_TIMES,
    MAX_USES,
    MAX_WRONG_GUESSES,
    REQUEST_OPEN,
    CodeModel,
    Entry,
    GrantModel,
    PersonModel,
    Verdict,
)
from tests.gateway.grant_stage import CHANGE, Stage, asking
from tests.gateway.sandboxes import codes

INVALID = ["CONSENT_REQUEST_INVALID"]
Terms = Mapping[str, int | None]


@dataclass(slots=True)
class Request:
    """A relying party's request, as it waits to be opened."""

    id: str
    party: str
    purpose: str
    terms: Terms
    until: datetime
    is_opened: bool = False


def terms_for(purpose: str, drawn: Terms) -> Terms:
    """Terms that the purpose allows: only a periodic one has a frequency."""
    return {**drawn, "timesPerDay": drawn["timesPerDay"] if MAX_TIMES[purpose] else None}


def state_in(subject: Mapping[str, Any], question: str) -> str | None:
    """The state of a claim; None where there is none. Only a confirmed one has a value."""
    domain, _, name = question.partition(".")
    claim = subject[domain.lower()][name]
    assert claim is None or (claim["value"] is not None) is (claim["state"] == "CONFIRMED")
    return None if claim is None else str(claim["state"])


def is_about(told: str | None, expected: datetime | None) -> bool:
    """Whether a moment was told, to the minute."""
    if told is None or expected is None:
        return told is None and expected is None
    return abs(datetime.fromisoformat(told) - expected) <= timedelta(seconds=62)


class GrantHistory(RuleBasedStateMachine):
    """Three people, their consents, and the relying parties that ask; every step is compared with the model."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.stage.machines += 1
        self.identities = {
            f"M{self.stage.machines}-{known}": self.stage.people.identities[known] for known in ("P01", "P02", "P05")
        }
        self.people: list[PersonModel] = []
        self.grants: list[GrantModel] = []
        self.requests: list[Request] = []
        self.codes: list[CodeModel] = []
        self.wrong_guesses: Counter[str] = Counter()
        self.read: dict[str, list[dict[str, Any]]] = {}
        self.refs: dict[tuple[str, str], str] = {}
        self.answers: dict[str, set[str]] = {}
        self.touched: PersonModel | None = None
        self.log: list[tuple[int, bytes, bytes]] = []
        self.starts = 0
        self._start()
        self.log_from, _ = self.stage.run(self.stage.log(since=0))
        for id_, known in self.identities.items():
            born_on = known.date_of_birth.isoformat()
            self.people.append(PersonModel(id_, known.name, born_on, self.now))
            self.read[id_] = []

    def _start(self) -> None:
        self.starts += 1
        self.stage.run(self.stage.open())
        self.stage.run(self.stage.gateway.enrol(self.identities))

    def teardown(self) -> None:
        self.stage.run(self.stage.close())

    @property
    def now(self) -> datetime:
        return self.stage.clock.now()

    def _own(self, person: PersonModel, query: str, **variables: Any) -> Any:
        """What a person's operation gives; None if it was refused, as it is when they were erased."""
        self.touched = person
        body = self.stage.as_person(person.id, query, **variables)
        if person.is_erased:
            assert codes(body) == ["TOKEN_INVALID"]
            return None
        assert codes(body) in ([], INVALID)
        return None if codes(body) else next(iter(body["data"].values()))

    def _grant(self, pick: int, *, standing: tuple[str, ...] = ()) -> GrantModel:
        """A grant: the newest for 0; one that stands like that, if there is any."""
        found = [grant for grant in self.grants if grant.standing in standing] or self.grants
        return found[-1 - pick % len(found)]

    def _with_token(self, pick: int) -> GrantModel | None:
        """A grant that somebody can ask under; one that is in force, if there is any."""
        found = [grant for grant in self.grants if grant.tokens]
        found = [
            grant for grant in found if grant.status(self.now) == "ACTIVE" and not grant.person.is_erased
        ] or found
        return found[-1 - pick % len(found)] if found else None

    # --- what is done ---

    def _preview(self, who: int, party: str | None, purpose: str, terms: Terms) -> GrantModel | None:
        given, document = terms_for(purpose, terms), asking(ASKED_FOR[purpose])
        asked = {"document": document, "party": party, "purpose": purpose, "terms": given}
        return self._previewed(self._own(self.people[who], of.PREVIEW, **asked), who, party, purpose, given)

    def _previewed(self, seen: Any, who: int, party: str | None, purpose: str, terms: Terms) -> GrantModel | None:
        if seen is None:
            return None
        uses = terms["uses"] or MAX_USES[purpose]
        assert seen["uses"] == uses
        times, until = terms["timesPerDay"] or MAX_TIMES[purpose], self.now + REQUEST_OPEN
        made = GrantModel(seen["id"], self.people[who], party, purpose, ASKED_FOR[purpose], uses, times, until)
        made.asked_for(self.now)
        self.grants.append(made)
        return made

    def _decide(self, grant: GrantModel, left_out: frozenset[str]) -> None:
        out = left_out & grant.questions
        granted = self._own(grant.person, of.GRANT, id=grant.id, out=sorted(out))
        is_good = grant.status(self.now) == "PENDING" and out < grant.questions and not grant.person.is_erased
        assert (granted is not None) is is_good
        if is_good:
            assert (granted["consentToken"] is not None) is (grant.party is not None)
            assert granted["grant"] == {"id": grant.id, "status": "ACTIVE", "usesLeft": grant.uses}
            grant.grant(granted["consentToken"], left_out=out, now=self.now)

    def _change(self, action: str, grant: GrantModel) -> None:
        changed = self._own(grant.person, CHANGE[action], id=grant.id)
        is_good = not grant.person.is_erased and (
            grant.change(action, self.now) or action == "revoke"  # to end what has ended is no mistake
        )
        assert (changed is not None) is is_good

    def _redeem(self, code: CodeModel, party: str, text: str, born_on: str) -> None:
        self.touched = code.grant.person
        response = self.stage.as_party(party, of.REDEEM, code=text, born=born_on)
        if self.wrong_guesses[party] >= MAX_WRONG_GUESSES:
            assert (response.status_code, codes(response.json())) == (429, ["RATE_LIMITED"])
            assert int(response.headers["retry-after"]) > 0
        elif code.redeem(party, born_on, self.now):
            redeemed = response.json()["data"]["redeemShareCode"]
            code.grant.tokens.append(redeemed.pop("consentToken"))
            assert redeemed["purpose"] == code.grant.purpose
            assert set(redeemed["questions"]) == code.grant.questions, "not even what was left out is told"
        else:
            self.wrong_guesses[party] += not code.was_redeemed(party, born_on, self.now)
            check_not_redeemed(response.json())

    # --- what relying parties get ---

    def _ask(self, grant: GrantModel, asker: str, asked: frozenset[str]) -> None:
        self.touched = grant.person
        token = grant.tokens[len(self.log) % len(grant.tokens)]
        body = self.stage.as_party(asker, asking(asked), consent=token).json()
        verdict = grant.ask(asker, asked, self.now)
        if verdict.code and verdict.code != "FIELD_NOT_CONSENTED":
            assert (body["data"], codes(body)) == ({"subject": None}, [verdict.code]), (body, verdict)
            if verdict.code == "RATE_LIMITED":
                assert is_about(body["errors"][0]["extensions"]["retryAt"], grant.next_look_at(self.now))
            return
        subject = body["data"]["subject"]
        assert codes(body) == ["FIELD_NOT_CONSENTED"] * len(verdict.refused), (body, verdict)
        assert {question: state_in(subject, question) for question in asked} == (
            dict.fromkeys(verdict.confirmed, "CONFIRMED")
            | dict.fromkeys(verdict.withheld, "WITHHELD")
            | dict.fromkeys(verdict.refused, None)
        )
        assert subject["grant"]["status"] == "ACTIVE"
        assert subject["grant"]["usesLeft"] == grant.uses_left
        assert self.refs.setdefault((grant.person.id, asker), subject["ref"]) == subject["ref"]
        assert len(set(self.refs.values())) == len(self.refs), "another for everybody and every sector"
        self._check_answer(grant, verdict, subject)

    def _check_answer(self, grant: GrantModel, verdict: Verdict, subject: Mapping[str, Any]) -> None:
        """The same Answer again, or a new one; no more than the consent's uses release anything."""
        if verdict.code:
            assert subject["answer"] is None
            return
        answered = verdict.confirmed | verdict.withheld
        assert is_about(subject["grant"]["nextRefreshAt"], grant.next_refresh_at(answered, self.now))
        answers = self.answers.setdefault(grant.id, set())
        assert (subject["answer"]["id"] in answers) is verdict.is_repeat
        answers.add(subject["answer"]["id"])
        assert grant.uses is None or len(grant.charged_at) <= grant.uses

    def _moments(self) -> list[datetime]:
        made = [at for grant in self.grants for at in grant.moments()]
        return [*made, *(code.until for code in self.codes), *(request.until for request in self.requests)]

    # --- what holds after every step ---

    @invariant()
    def nothing_leaves_without_consent(self) -> None:
        for grant in [grant for grant in self.grants if grant.person is self.touched and grant.tokens][-3:]:
            if grant.party and (grant.person.is_erased or grant.status(self.now) != "ACTIVE"):
                self._ask(grant, grant.party, frozenset(LOOKS))

    @invariant()
    def the_person_sees_what_happened(self) -> None:
        person, self.touched = self.touched, None
        if person is None:
            return
        body = self.stage.as_person(person.id, of.ME)
        if person.is_erased:
            assert codes(body) == ["TOKEN_INVALID"]
            return
        me = body["data"]["me"]
        assert {grant["id"]: as_seen(grant) for grant in me["grants"]} == {
            grant.id: (grant.status(self.now), grant.uses_left, grant.party)
            for grant in self.grants
            if grant.person is person
        }
        accesses = me["accesses"][::-1]
        before = self.read[person.id]
        assert accesses[: len(before)] == before, "an entry stays as it was"
        assert without_repeats(entry_of(access) for access in accesses[len(before) :]) == person.due
        self.read[person.id] = accesses
        person.due.clear()

    @invariant()
    def the_log_only_grows(self) -> None:
        size, rows = self.stage.run(self.stage.log(since=self.log_from))
        assert [sequence for sequence, _, _ in rows] == list(range(self.log_from, size))
        assert rows[: len(self.log)] == self.log
        for _, entry, leaf_hash in rows[len(self.log) :]:
            assert hashlib.sha256(b"\x00" + entry).digest() == leaf_hash
        self.log = rows


def check_not_redeemed(body: Mapping[str, Any]) -> None:
    assert (body["data"], codes(body)) == ({"redeemShareCode": None}, ["CONSENT_INVALID"])


def as_seen(grant: Mapping[str, Any]) -> tuple[str, int | None, str | None]:
    party = grant["relyingParty"]
    return grant["status"], grant["usesLeft"], party["id"] if party else None


def entry_of(access: Mapping[str, Any]) -> Entry:
    return Entry(
        kind=access["kind"],
        party=access["relyingParty"]["id"] if access["relyingParty"] else None,
        questions=frozenset(access["questions"]),
        refused=frozenset(access["refused"]),
        code=access["code"],
        about=access["about"],
    )


def without_repeats(entries: Iterable[Entry]) -> list[Entry]:
    """The entries of one step, without those of a release that was recorded again because its lease ran out."""
    kept: list[Entry] = []
    for entry in entries:
        is_release = bool(kept) and kept[-1].kind.startswith("RELEASED") and entry.kind == "RELEASED_AGAIN"
        if not (is_release and replace(entry, kind=kept[-1].kind) == kept[-1]):
            kept.append(entry)
    return kept
