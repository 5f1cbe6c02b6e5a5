"""Random histories of consents, on either database, compared step by step with a model of what should happen."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule, run_state_machine_as_test

from gateway.consent.share_code import make_share_code
from resolvers.catalogue import Purpose
from tests.conftest import full_count
from tests.gateway import grant_stage as of
from tests.gateway.grant_history import GrantHistory, Request, Terms, check_not_redeemed, terms_for
from tests.gateway.grant_model import (
    ASKED_FOR,
    DAY,
    LIFE,
    LOOKS,
    MAX_WRONG_GUESSES,
    PARTIES,
    REQUEST_OPEN,
    CodeModel,
    Entry,
    unfreeze,
)
from tests.gateway.grant_stage import CHANGE, asking, opened_stage
from tests.gateway.sandboxes import codes

SPELLINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda code: code.lower().replace("-", ""),
    lambda code: f" {code[0]}{code[1:].replace('0', 'o').replace('1', 'l').replace('-', ' ')} ",
)
PICK = st.integers(0, 30)
WHO = st.integers(0, 2)
PARTY = st.sampled_from(["bank", "other-bank"])
ANYBODY = st.sampled_from(sorted(PARTIES))
SOME = st.sets(st.sampled_from(sorted(LOOKS)), min_size=1).map(frozenset)
LEFT_OUT = st.just(frozenset[str]()) | SOME
PURPOSE = st.sampled_from(sorted(LIFE))
TERMS = st.sampled_from(
    [
        {"uses": uses, "timesPerDay": times}
        for uses, times in ((None, 1), (None, 2), (None, None), (1, 2), (2, 1), (3, 3))
    ]
)
ABOUT = st.sampled_from([*sorted(LOOKS), "IMMIGRATION", "LABOR"])
HOURS = st.sampled_from([0.4, 2, 5, 13, 26, 50, 7 * 24, 21 * 24])


class GrantMachine(GrantHistory):
    """Three people, their consents, and the relying parties that ask: every rule is one step of a history."""

    # --- asked for, granted or not ---

    @initialize(who=WHO, purpose=PURPOSE, terms=TERMS)
    def begin(self, who: int, purpose: str, terms: Terms) -> None:
        self.consent(who=who, party="bank", purpose=purpose, terms=terms, left_out=frozenset())

    @rule(who=WHO, party=st.none() | PARTY, purpose=PURPOSE, terms=TERMS)
    def preview(self, who: int, party: str | None, purpose: str, terms: Terms) -> None:
        self._preview(who, party, purpose, terms)

    @rule(who=WHO, party=st.none() | PARTY, purpose=PURPOSE, terms=TERMS, left_out=LEFT_OUT)
    def consent(
        self,
        who: int,
        party: str | None,
        purpose: str,
        terms: Terms,
        left_out: frozenset[str],
    ) -> None:
        made = self._preview(who, party, purpose, terms)
        if made is not None:
            self._decide(made, left_out)
            self.the_person_sees_what_happened()
            if left_out:
                self.query_everything(pick=0)

    @rule(party=PARTY, purpose=PURPOSE, terms=TERMS)
    def request(self, party: str, purpose: str, terms: Terms) -> None:
        given = terms_for(purpose, terms)
        document = asking(ASKED_FOR[purpose])
        body = self.stage.as_party(party, of.REQUEST, document=document, purpose=purpose, terms=given).json()
        made = Request(body["data"]["requestConsent"]["id"], party, purpose, given, self.now + REQUEST_OPEN)
        self.requests.append(made)

    @precondition(lambda self: self.requests)
    @rule(who=WHO, pick=PICK)
    def open_request(self, who: int, pick: int) -> None:
        found = self.requests[-1 - pick % len(self.requests)]
        seen = self._own(self.people[who], of.OPEN, id=found.id)
        is_good = not found.is_opened and self.now < found.until and not self.people[who].is_erased
        assert (seen is not None) is is_good
        found.is_opened |= is_good
        self._previewed(seen, who, found.party, found.purpose, found.terms)

    @rule(pick=PICK, left_out=LEFT_OUT)
    def grant(self, pick: int, left_out: frozenset[str]) -> None:
        self._decide(self._grant(pick, standing=("PENDING",)), left_out)

    # --- what a person does with a consent ---

    @rule(pick=PICK)
    def reject(self, pick: int) -> None:
        self._change("reject", self._grant(pick, standing=("PENDING",)))

    @rule(pick=PICK)
    def pause(self, pick: int) -> None:
        self._change("pause", self._grant(pick))

    @rule(pick=PICK)
    def resume(self, pick: int) -> None:
        self._change("resume", self._grant(pick, standing=("PAUSED",)))

    @rule(pick=PICK)
    def renew(self, pick: int) -> None:
        self._change("renew", self._grant(pick))

    @rule(pick=PICK)
    def revoke(self, pick: int) -> None:
        self._change("revoke", self._grant(pick))

    @rule(pick=PICK, who=WHO, action=st.sampled_from(sorted(CHANGE)))
    def meddle(self, pick: int, who: int, action: str) -> None:
        """Somebody else does it."""
        grant = self._grant(pick)
        if grant.person is not self.people[who]:
            assert self._own(self.people[who], CHANGE[action], id=grant.id) is None

    # --- what relying parties get ---

    @rule(pick=PICK, asked=SOME)
    def query(self, pick: int, asked: frozenset[str]) -> None:
        grant = self._with_token(pick)
        if grant and grant.party:
            self._ask(grant, grant.party, asked)

    @rule(pick=PICK, asked=st.sampled_from(sorted(LOOKS)))
    def query_one(self, pick: int, asked: str) -> None:
        """Twice: the second time it is the same Answer, or refused again."""
        self.query(pick=pick, asked=frozenset({asked}))
        self.the_person_sees_what_happened()
        self.query(pick=pick, asked=frozenset({asked}))

    @rule(pick=PICK)
    def query_one_after_the_other(self, pick: int) -> None:
        """Until its uses, or those of the day, are used up."""
        for asked in sorted(LOOKS):
            self.query(pick=pick, asked=frozenset({asked}))
            self.the_person_sees_what_happened()

    @rule(pick=PICK)
    def query_everything(self, pick: int) -> None:
        self.query(pick=pick, asked=frozenset(LOOKS))

    @rule(pick=PICK, party=ANYBODY, asked=SOME)
    def query_as_somebody(self, pick: int, party: str, asked: frozenset[str]) -> None:
        grant = self._with_token(pick)
        if grant:
            self._ask(grant, party, asked)

    # --- share codes ---

    @rule(pick=PICK, days=st.sampled_from([1, 7, 30, 31]))
    def share(self, pick: int, days: int) -> None:
        grant = self._grant(pick, standing=("ACTIVE",))
        made = self._own(grant.person, of.SHARE, id=grant.id, days=days)
        is_good = grant.status(self.now) == "ACTIVE" and days <= 30 and not grant.person.is_erased
        assert (made is not None) is is_good
        if is_good:
            grant.note("SHARE_CODE_MADE")
            self.codes.append(CodeModel(made["code"], grant, min(grant.until, self.now + days * DAY)))

    @precondition(lambda self: self.codes)
    @rule(pick=PICK, party=PARTY, spelling=st.sampled_from(SPELLINGS))
    def redeem(self, pick: int, party: str, spelling: Callable[[str], str]) -> None:
        """Twice: the second time it is used."""
        code = self.codes[-1 - pick % len(self.codes)]
        for _ in range(2):
            self._redeem(code, party, spelling(code.text), code.grant.person.born_on)

    @precondition(lambda self: self.codes)
    @rule(pick=PICK, party=ANYBODY, who=WHO)
    def redeem_wrongly(self, pick: int, party: str, who: int) -> None:
        """Another party's, or with somebody's date of birth."""
        code = self.codes[-1 - pick % len(self.codes)]
        self._redeem(code, party, code.text, self.people[who].born_on)

    @rule(party=ANYBODY, purpose=PURPOSE, randomness=st.binary(min_size=5, max_size=5), check=st.booleans())
    def guess(self, party: str, purpose: str, randomness: bytes, check: bool) -> None:
        """A code that nobody made; with check symbols that disagree it is no guess."""
        text = make_share_code(Purpose(purpose), randomness).grouped()
        made_up = text if check else text[:-1] + ("A" if text[-1] == "B" else "B")
        response = self.stage.as_party(party, of.REDEEM, code=made_up, born=self.people[0].born_on)
        if check and self.wrong_guesses[party] >= MAX_WRONG_GUESSES:
            assert (response.status_code, codes(response.json())) == (429, ["RATE_LIMITED"])
        else:
            self.wrong_guesses[party] += check
            check_not_redeemed(response.json())

    # --- disputes and erasure ---

    @rule(pick=PICK, about=ABOUT)
    def open_dispute(self, pick: int, about: str) -> None:
        """And somebody asks: what is disputed is withheld from now on."""
        person = (self._with_token(pick) or self._grant(pick)).person
        opened = self._own(person, of.DISPUTE, **{"claim" if "." in about else "record": about})
        if opened is not None:
            person.disputes[opened["id"]] = about
            person.due.append(Entry("DISPUTE_OPENED", about=about))
            unfreeze(person, self.grants, self.now)
            self.the_person_sees_what_happened()
            self.query_everything(pick=pick)

    @precondition(lambda self: any(person.disputes for person in self.people))
    @rule(pick=PICK, outcome=st.sampled_from(["CORRECTED", "UPHELD", "WITHDRAWN"]), names_source=st.booleans())
    def close_dispute(self, pick: int, outcome: str, names_source: bool) -> None:
        found = [(person, id_) for person in self.people for id_ in person.disputes]
        person, dispute = found[-1 - pick % len(found)]
        by = "LABOR" if names_source else None
        closed = self._own(person, of.CLOSE, id=dispute, outcome=outcome, by=by)
        is_good = names_source is (outcome == "CORRECTED")
        assert (closed is not None) is is_good
        if is_good:
            about = f"{person.disputes.pop(dispute)} {outcome} {by or ''}".strip()
            person.due.append(Entry("DISPUTE_CLOSED", about=about))
            unfreeze(person, self.grants, self.now)

    @precondition(lambda self: len(self.grants) > 2)
    @rule(pick=PICK, is_sure=st.sampled_from([True, True, False]))
    def erase(self, pick: int, is_sure: bool) -> None:
        """One's name confirms it, and no other does."""
        person = self._grant(pick).person
        erased = self._own(person, of.ERASE, name=person.name if is_sure else "SOMEBODY ELSE")
        assert (erased is not None) is (is_sure and not person.is_erased)
        if erased is not None:
            person.erase()

    # --- time and the process ---

    @rule(hours=HOURS)
    def pass_by(self, hours: float) -> None:
        """Time passes; never to just before something changes by itself, so that a slow step proves nothing."""
        self.stage.clock.pass_by(hours=hours)
        while any(timedelta(seconds=-2) < at - self.now < timedelta(seconds=60) for at in self._moments()):
            self.stage.clock.pass_by(seconds=61)
        self.touched = self._grant(0).person

    @precondition(lambda self: self.starts < 3)
    @rule()
    def restart(self) -> None:
        """What is only in memory is gone: evidence, and how often a party guessed."""
        self.stage.run(self.stage.close())
        self._start()
        self.wrong_guesses.clear()
        for grant in self.grants:
            grant.observed.clear()

    @rule(pick=PICK)
    def flush(self, pick: int) -> None:
        """The evidence that is kept for a consent is dropped."""
        grant = self._grant(pick)
        if not grant.person.is_erased:
            self.stage.run(self.stage.drop_evidence(grant.id, grant.person.id))
            grant.observed.clear()


@pytest.mark.soak
@pytest.mark.parametrize("database", ["SQLite", "PostgreSQL"])
def test_whatever_happens_to_consents_the_gateway_does_what_the_model_says(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("fresh_postgres")() if database == "PostgreSQL" else ""
    with opened_stage(tmp_path / "state", url) as stage:
        machine = type("GrantMachine", (GrantMachine,), {"stage": stage})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=full_count(50),
                stateful_step_count=25,
                deadline=None,
                phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
