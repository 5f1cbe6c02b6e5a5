"""What the rules of JP-2026.11 decide, by the case files in `cases/`, and what no rule may ever do."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any  # a claim's value can be of any kind

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from resolvers.claim import Claim, ClaimState, Quantity, Reason, confirmed, evidence_needed, not_applicable, withheld
from resolvers.conditions import is_claim_unknown
from resolvers.decision import Decision, Outcome, RuleOutcome, RuleResult
from resolvers.inputs import RULE_INPUTS
from resolvers.rule_pack import load_rule_pack
from resolvers.rules import AWAITED, RulePack, decide

PACK_FILE = Path(__file__).parents[2] / "config" / "rules" / "jp-2026.11.yaml"
INPUT_KINDS = {name: rule_input.kind for name, rule_input in RULE_INPUTS.items()}
PACK = load_rule_pack(PACK_FILE.read_bytes(), input_kinds=INPUT_KINDS)
CASE_FILES = {
    body["purpose"]: body
    for path in sorted((Path(__file__).parent / "cases").glob("*.yaml"))
    for body in [yaml.safe_load(path.read_text(encoding="utf-8"))]
}
TODAY = date(2026, 11, 20)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

UNKNOWN_CLAIMS: tuple[Claim[Any], ...] = (
    evidence_needed(Reason.CONFLICT),
    withheld(),
    Claim(None, ClaimState.PENDING, Reason.SOURCE_PENDING, NOON),
    Claim(None, ClaimState.UNAVAILABLE, Reason.SOURCE_UNAVAILABLE),
)


def a_claim(written: bool | int | str) -> Claim[Any]:
    """From a case file: `unknown`, `not_applicable`, `12 or more`, a number, or the value itself."""
    if written == "unknown":
        return evidence_needed(Reason.NOT_STATED)
    if written == "not_applicable":
        return not_applicable(Reason.NO_LIMIT)
    if isinstance(written, str) and written.endswith(" or more"):
        return confirmed(Quantity(int(written.removesuffix(" or more")), is_lower_bound=True))
    return confirmed(Quantity(written)) if type(written) is int else confirmed(written)


def pending(retry_at: datetime | None = NOON) -> Claim[Any]:
    return Claim(None, ClaimState.PENDING, Reason.SOURCE_PENDING, retry_at)


def a_person(purpose: str, **changes: Claim[Any]) -> dict[str, Claim[Any]]:
    """In order on every point of the purpose, but for what is changed."""
    return {name: a_claim(written) for name, written in CASE_FILES[purpose]["person"].items()} | changes


def the_decision(
    purpose: str,
    *,
    pack: RulePack = PACK,
    today: date = TODAY,
    stay_ends_on: date | None = None,
    arguments: Mapping[str, int | str] | None = None,
    **changes: Claim[Any],
) -> Decision:
    """The decision about `a_person`, asked with the case file's own arguments."""
    asked = CASE_FILES[purpose].get("arguments", {}) | dict(arguments or {})
    return decide(
        pack,
        purpose,
        inputs=a_person(purpose, **changes),
        arguments=asked,
        today=today,
        stay_ends_on=stay_ends_on,
    )


def rule_of(decision: Decision, rule_id: str) -> RuleResult:
    return next(rule for rule in decision.rules if rule.id == rule_id)


def seen_by_a_relying_party(decision: Decision) -> tuple[Any, ...]:
    """All of a decision but what is for the person and reviewers alone."""
    rules = tuple(replace(rule, person_explanation=rule.explanation, trace=()) for rule in decision.rules)
    return (decision.outcome, rules, decision.recheck_on, decision.retry_at, decision.rule_pack, decision.decided_on)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of a case file."""

    purpose: str
    rule_id: str
    line: Mapping[str, Any]

    def decide(self) -> RuleResult:
        changes: dict[str, Any] = {name: a_claim(written) for name, written in self.line.get("given", {}).items()}
        today = self.line.get("today", CASE_FILES[self.purpose]["today"])
        decision = the_decision(self.purpose, today=today, arguments=self.line.get("arguments"), **changes)
        return rule_of(decision, self.rule_id)


CASES = [
    Case(purpose, rule_id, line)
    for purpose, body in CASE_FILES.items()
    for rule_id, lines in body["rules"].items()
    for line in lines
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule_id}: {case.line['case']}")
def test_a_rule_says_what_its_case_file_says(case: Case) -> None:
    result = case.decide()
    assert (result.result, result.condition) == (case.line["result"], case.line.get("condition"))


def test_cases_name_only_what_exists() -> None:
    for case in CASES:
        assert set(case.line) <= {"case", "given", "arguments", "today", "result", "condition"}
        assert set(case.line.get("given", {})) <= PACK.purposes[case.purpose].inputs


@pytest.mark.parametrize("purpose", PACK.purposes)
def test_a_case_file_describes_every_claim_and_every_rule_of_its_purpose(purpose: str) -> None:
    rules = PACK.purposes[purpose]
    assert set(CASE_FILES[purpose]["person"]) == rules.inputs
    assert list(CASE_FILES[purpose]["rules"]) == [rule.id for rule in rules.rules]


def test_every_result_that_a_rule_can_give_has_a_case() -> None:
    for purpose, rules in PACK.purposes.items():
        for rule in rules.rules:
            possible = {row.result for variant in rule.variants for row in variant.rows}
            shown = {case.line["result"] for case in CASES if (case.purpose, case.rule_id) == (purpose, rule.id)}
            assert possible <= shown, rule.id


def test_every_claim_of_every_rule_has_a_case_in_which_it_is_unknown() -> None:
    shown = {
        (case.rule_id, name)
        for case in CASES
        for name, written in case.line.get("given", {}).items()
        if written == "unknown"
    }
    assert {(rule.id, claim) for rule in all_rules() for claim in rule.claims} <= shown


def all_rules() -> Iterator[Any]:
    return (rule for rules in PACK.purposes.values() for rule in rules.rules)


# What a decision is


@pytest.mark.parametrize("purpose", PACK.purposes)
def test_a_person_in_order_on_every_point_is_eligible(purpose: str) -> None:
    decision = the_decision(purpose)
    assert decision.outcome is Outcome.ELIGIBLE
    assert (decision.retry_at, decision.decided_on, decision.rule_pack) == (None, TODAY, PACK.ref)


def test_the_outcome_is_the_worst_result() -> None:
    minor, unmatched, ended = confirmed(False), confirmed("UNRESOLVED"), confirmed(False)
    assert the_decision("TENANCY", adult=minor).outcome is Outcome.CONDITIONAL
    assert the_decision("TENANCY", adult=minor, record_match=unmatched).outcome is Outcome.NEEDS_EVIDENCE
    worst = the_decision("TENANCY", adult=minor, record_match=unmatched, status_lawful=ended)
    assert worst.outcome is Outcome.NOT_ELIGIBLE_NOW


def test_a_decision_lists_every_rule_also_those_that_do_not_apply() -> None:
    decision = the_decision("TENANCY", employed=confirmed(False))
    assert [rule.id for rule in decision.rules] == [f"TN-0{number}" for number in range(1, 8)]
    assert rule_of(decision, "TN-04").result is RuleOutcome.NOT_APPLICABLE
    assert rule_of(decision, "TN-04").explanation.en


def test_the_trace_shows_every_condition_that_was_weighed() -> None:
    trace = rule_of(the_decision("TENANCY", stay_months_left=a_claim(4)), "TN-02").trace
    assert [(step.condition, step.held) for step in trace] == [
        ("status_lawful is False", False),
        ("stay_unlimited is True", False),
        ("stay_months_left at_least 6", False),
        ("stay_months_left at_least 3", True),
        ("renewal_pending is True", False),
    ]


def test_the_same_claims_always_give_the_same_decision() -> None:
    assert the_decision("LENDING", tenure_months=pending()) == the_decision("LENDING", tenure_months=pending())


def test_a_lawful_stay_shorter_than_a_lease_never_fails_a_tenancy() -> None:
    for months in range(7):
        for is_pending in (True, False):
            decision = the_decision(
                "TENANCY", stay_months_left=a_claim(months), renewal_pending=confirmed(is_pending)
            )
            assert decision.outcome is not Outcome.NOT_ELIGIBLE_NOW


def test_a_mortgage_is_weighed_by_its_own_rows_and_a_consumer_loan_by_the_others() -> None:
    tenure = a_claim(24)
    assert the_decision("LENDING", tenure_months=tenure).outcome is Outcome.ELIGIBLE
    mortgage = the_decision("LENDING", arguments={"product": "MORTGAGE"}, tenure_months=tenure)
    assert {rule.id for rule in mortgage.rules if rule.result is RuleOutcome.FAIL} == {"LD-02", "LD-04"}


# Days


@pytest.mark.parametrize(
    ("stay_ends_on", "recheck_on"),
    [
        (date(2027, 3, 20), date(2027, 2, 28)),
        (date(2027, 3, 30), date(2027, 2, 28)),
        (date(2027, 9, 30), date(2027, 9, 30)),
        (date(2028, 2, 29), date(2028, 2, 29)),
        (date(2028, 3, 1), date(2028, 2, 29)),
        (date(2027, 1, 5), date(2026, 12, 31)),
        (None, None),
    ],
)
def test_recheck_is_the_month_end_on_or_before_the_end_of_the_stay(
    stay_ends_on: date | None, recheck_on: date | None
) -> None:
    for purpose in ("ACCOUNT_OPENING", "TENANCY", "LENDING"):
        assert the_decision(purpose, stay_ends_on=stay_ends_on).recheck_on == recheck_on


def test_keeping_an_account_may_know_the_exact_day() -> None:
    decision = the_decision(
        "ACCOUNT_MAINTENANCE", stay_ends_on=date(2027, 3, 20), stay_basis=confirmed("SPECIAL_PERIOD")
    )
    assert decision.recheck_on == date(2027, 3, 20)
    explanation = rule_of(decision, "AM-02").explanation
    assert explanation.en == ("A renewal is being examined; the stay remains lawful until 2027-03-20 at the latest.")
    assert explanation.ja == "更新審査中です。遅くとも2027年3月20日までは適法に在留できます。"


def test_a_tenancy_names_the_month_end_in_both_languages_and_the_exact_day_nowhere() -> None:
    decision = the_decision("TENANCY", stay_ends_on=date(2027, 3, 20), stay_months_left=a_claim(4))
    explanation = rule_of(decision, "TN-02").explanation
    assert "re-checked on 2027-02-28" in explanation.en
    assert "2027年2月28日に再確認" in explanation.ja
    assert not any("2027-03-20" in text or "3月20日" in text for text in texts_of(decision))


def test_a_text_about_a_day_that_nobody_knows_still_reads_well() -> None:
    explanation = rule_of(the_decision("TENANCY", stay_months_left=a_claim(4)), "TN-02").explanation
    assert "{" not in explanation.en + explanation.ja


def test_a_photo_of_the_card_is_enough_until_31_march_2027() -> None:
    last, first = date(2027, 3, 31), date(2027, 4, 1)
    assert rule_of(the_decision("ACCOUNT_OPENING", today=last), "AO-06").result is RuleOutcome.PASS
    assert rule_of(the_decision("ACCOUNT_OPENING", today=first), "AO-06").result is RuleOutcome.EVIDENCE


# When to ask again


def test_retry_is_the_latest_among_the_claims_that_kept_a_rule_from_pass() -> None:
    later = NOON + timedelta(hours=2)
    decision = the_decision("TENANCY", employed=pending(NOON), yearly_income_yen=pending(later))
    assert decision.retry_at == later


def test_the_person_is_told_what_a_silent_source_keeps_open() -> None:
    decision = the_decision("TENANCY", income_basis=pending())
    assert [rule.id for rule in decision.rules if rule.person_explanation == AWAITED] == ["TN-05"]
    condition = rule_of(the_decision("ACCOUNT_OPENING", address_matches=pending()), "AO-09")
    assert (condition.result, condition.person_explanation == AWAITED) == (RuleOutcome.CONDITION, False)
    told = the_decision("TENANCY", income_basis=evidence_needed(Reason.NOT_STATED))
    assert all(rule.person_explanation != AWAITED for rule in told.rules), "it has words of its own"


@pytest.mark.parametrize("purpose", sorted(PACK.purposes))
def test_among_silent_sources_a_relying_party_cannot_tell_what_is_disputed(purpose: str) -> None:
    silent: dict[str, Any] = {name: pending() for name in PACK.purposes[purpose].inputs}
    plain = the_decision(purpose, **silent)
    for name in silent:
        disputed = the_decision(purpose, **silent | {name: withheld()})
        assert seen_by_a_relying_party(disputed) == seen_by_a_relying_party(plain), name


def test_retry_counts_a_claim_that_would_have_been_weighed_next() -> None:
    later = NOON + timedelta(hours=2)
    assert the_decision("TENANCY", income_basis=pending(NOON), yearly_income_yen=pending(later)).retry_at == later


@pytest.mark.parametrize(
    ("purpose", "changes"),
    [
        ("TENANCY", {"adult": evidence_needed(Reason.CONFLICT), "employed": withheld()}),
        ("TENANCY", {"adult": pending(None)}),
        ("TENANCY", {"stay_months_left": a_claim(12), "renewal_pending": pending()}),
        ("ACCOUNT_OPENING", {"stay_months_left": a_claim(24), "stay_unlimited": pending()}),
        ("TENANCY", {"income_basis": confirmed("NONE"), "yearly_income_yen": pending()}),
        ("TENANCY", {"status_lawful": confirmed(False), "stay_months_left": pending()}),
        ("TENANCY", {"employed": confirmed(False), "tenure_months": pending()}),
        ("LENDING", {"stay_months_left": a_claim(12), "months_since_entry": pending()}),
        ("ACCOUNT_OPENING", {"card_not_revoked": evidence_needed(Reason.CONFLICT), "stay_basis": pending()}),
    ],
    ids=[
        "nothing is awaited",
        "no time is known",
        "the rule passes without it",
        "another part was enough",
        "no record of income is no matter of waiting",
        "a failure stands",
        "a job that is not there has no length",
        "only a mortgage asks for it",
        "the claim before it stays unsettled",
    ],
)
def test_no_retry_where_waiting_changes_nothing(purpose: str, changes: Mapping[str, Any]) -> None:
    assert the_decision(purpose, **changes).retry_at is None


def test_a_condition_set_because_a_source_is_awaited_may_be_retried() -> None:
    decision = the_decision("ACCOUNT_OPENING", address_matches=pending())
    assert (decision.outcome, decision.retry_at) == (Outcome.CONDITIONAL, NOON)


def test_a_rule_that_does_not_apply_waits_for_nothing() -> None:
    tenancy = PACK.purposes["TENANCY"]
    new_job_alone = replace(tenancy, rules=tuple(rule for rule in tenancy.rules if rule.id == "TN-04"))
    pack = replace(PACK, purposes={"TENANCY": new_job_alone})
    decision = the_decision("TENANCY", pack=pack, employed=pending())
    assert (decision.outcome, decision.retry_at) == (Outcome.ELIGIBLE, None)


def test_only_a_mortgage_waits_for_what_only_a_mortgage_weighs() -> None:
    assert the_decision("LENDING", months_since_entry=pending()).retry_at is None
    mortgage = the_decision("LENDING", arguments={"product": "MORTGAGE"}, months_since_entry=pending())
    assert (mortgage.outcome, mortgage.retry_at) == (Outcome.NEEDS_EVIDENCE, NOON)


# Two that must look alike


@pytest.mark.parametrize("unknown", UNKNOWN_CLAIMS, ids=lambda claim: str(claim.state))
@pytest.mark.parametrize("product", ["CONSUMER", "MORTGAGE"])
def test_a_lender_cannot_tell_a_job_without_permission_from_one_not_confirmed(
    unknown: Claim[Any], product: str
) -> None:
    ends = date(2027, 5, 9)
    asked = {"product": product}
    false = the_decision("LENDING", arguments=asked, stay_ends_on=ends, employment_permitted=confirmed(False))
    doubt = the_decision("LENDING", arguments=asked, stay_ends_on=ends, employment_permitted=unknown)
    assert seen_by_a_relying_party(false) == seen_by_a_relying_party(doubt)
    assert rule_of(false, "LD-08").explanation.en == "Additional confirmation is needed."


def test_the_person_is_told_what_the_lender_is_not() -> None:
    told = rule_of(the_decision("LENDING", employment_permitted=confirmed(False)), "LD-08").person_explanation
    assert told.en == "The job is not yet covered by the present permission."
    assert told.ja == "現在の許可では当該就労が確認できません。"


# What no rule may ever do


def claims_for(name: str) -> st.SearchStrategy[Claim[Any]]:
    """Every state of a named claim, and the values near every threshold of the pack."""
    values = INPUT_KINDS[name].values
    known: st.SearchStrategy[Any] = (
        st.sampled_from(values)
        if values is not None
        else st.builds(
            Quantity,
            st.one_of(st.integers(0, 80), st.sampled_from([2_999_999, 3_000_000, 3_599_999, 3_600_000])),
            is_lower_bound=st.booleans(),
        )
    )
    return st.one_of(
        known.map(confirmed),
        st.sampled_from(UNKNOWN_CLAIMS),
        st.just(not_applicable(Reason.NO_LIMIT)),
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """Any question about anybody."""

    purpose: str
    inputs: Mapping[str, Claim[Any]]
    arguments: Mapping[str, int | str]
    today: date

    def decide(self, **changes: Claim[Any]) -> Decision:
        return decide(
            PACK,
            self.purpose,
            inputs={**self.inputs, **changes},
            arguments=self.arguments,
            today=self.today,
            stay_ends_on=date(2027, 3, 20),
        )


@st.composite
def questions(draw: st.DrawFn) -> Asked:
    purpose = draw(st.sampled_from(sorted(PACK.purposes)))
    return Asked(
        purpose,
        {name: draw(claims_for(name)) for name in sorted(PACK.purposes[purpose].inputs)},
        {
            "product": draw(st.sampled_from(["CONSUMER", "MORTGAGE"])),
            "rentYenPerMonth": 100_000,
            "amountYen": 1_000_000,
            "termMonths": draw(st.sampled_from([1, 6, 24, 420])),
        },
        draw(st.sampled_from([TODAY, date(2027, 4, 1)])),
    )


def failed(decision: Decision) -> set[str]:
    return {rule.id for rule in decision.rules if rule.result is RuleOutcome.FAIL}


def texts_of(decision: Decision) -> list[str]:
    return [
        words
        for rule in decision.rules
        for text in (rule.explanation, rule.person_explanation, *rule.cures)
        for words in (text.en, text.ja)
    ]


@given(asked=questions(), choice=st.data())
def test_forgetting_a_claim_never_makes_a_rule_fail(asked: Asked, choice: st.DataObject) -> None:
    name = choice.draw(st.sampled_from(sorted(asked.inputs)))
    forgotten = choice.draw(st.sampled_from(UNKNOWN_CLAIMS))
    assert failed(asked.decide(**{name: forgotten})) <= failed(asked.decide())


@given(asked=questions(), choice=st.data())
def test_a_failure_stands_whatever_an_unknown_claim_turns_out_to_be(asked: Asked, choice: st.DataObject) -> None:
    learnt = {name: choice.draw(claims_for(name)) for name, c in asked.inputs.items() if is_claim_unknown(c)}
    assert failed(asked.decide()) <= failed(asked.decide(**learnt))


@given(asked=questions())
def test_nobody_fails_when_nothing_is_known(asked: Asked) -> None:
    for unknown in UNKNOWN_CLAIMS:
        nothing = dict.fromkeys(asked.inputs, unknown)
        assert asked.decide(**nothing).outcome is Outcome.NEEDS_EVIDENCE


@given(asked=questions())
def test_every_rule_speaks_both_languages_kindly_whatever_it_says(asked: Asked) -> None:
    decision = asked.decide()
    assert len(decision.rules) == len(PACK.purposes[asked.purpose].rules)
    for words in texts_of(decision):
        assert words.strip()
        assert "{" not in words
        assert "reject" not in words.lower()
        assert "不法" not in words


NO_CURE = {"AO-04", "LD-10"}
"""The rules for which the specification's table gives no cure."""


@given(asked=questions())
def test_whatever_is_not_passed_says_what_the_person_can_do(asked: Asked) -> None:
    for rule in asked.decide().rules:
        is_settled = rule.result in (RuleOutcome.PASS, RuleOutcome.NOT_APPLICABLE)
        assert is_settled or rule.cures or rule.id in NO_CURE, rule.id


@given(asked=questions())
def test_a_retry_is_one_of_an_awaited_claim_and_only_where_something_is_not_passed(asked: Asked) -> None:
    decision = asked.decide()
    awaited = {claim.retry_at for claim in asked.inputs.values() if claim.is_awaited}
    assert decision.retry_at in awaited | {None}
    assert decision.retry_at is None or decision.outcome is not Outcome.ELIGIBLE
