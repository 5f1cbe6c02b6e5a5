"""Of every attribute and every rule input: silence is no answer, hours stay private, sources are declared."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any  # a claim's value can be of any kind

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.immigration.evidence import DesignatedOrganisation, OtherActivity, ResidenceRecord
from connectors.insurance.evidence import InsuredRecord
from connectors.interface import IdentityRecord, SourceAuthority
from connectors.labor.evidence import EmploymentNotice, NoticeKind
from connectors.tax.evidence import TaxRecord
from resolvers.attribute import Attribute
from resolvers.catalogue import ATTRIBUTES
from resolvers.claim import Claim, ClaimState, Reason
from resolvers.facts import Absent, Arrived, Facts
from resolvers.inputs import RULE_INPUTS
from tests.builders import (
    DOWN,
    EMPLOYED,
    EMPLOYER,
    NOT_EMPLOYED,
    OTHER_EMPLOYER,
    RETRY_AT,
    SLOW,
    SOMEBODY_ELSES,
    a_notice,
    a_residence_record,
    a_tax_record,
    an_application,
    an_identity,
    an_insured_record,
    asked_only,
    facts_of,
    month_codes,
    with_reply,
)

Derive = Callable[[Facts], Claim[Any]]

IMMIGRATION, LABOR = SourceAuthority.IMMIGRATION, SourceAuthority.LABOR
TAX, INSURANCE = SourceAuthority.TAX, SourceAuthority.INSURANCE
MATCH_RULES = ((IMMIGRATION,), (IMMIGRATION, LABOR), (IMMIGRATION, LABOR, TAX), (IMMIGRATION, LABOR, TAX, INSURANCE))
ARGUMENTS = [
    {"on": on, "yearlyYen": yen} for on, yen in ((date(2026, 12, 31), 2_400_000), (date(2029, 3, 31), 12_000_000))
]


def _of_attribute(attribute: Attribute, arguments: dict[str, Any]) -> Derive:
    return lambda facts: attribute.claim(facts, arguments)


DERIVATIONS: dict[str, tuple[Derive, frozenset[SourceAuthority], bool]] = {
    **{
        f"{coordinate}#{number}": (_of_attribute(attribute, arguments), attribute.sources, attribute.over_match_rule)
        for coordinate, attribute in ATTRIBUTES.items()
        for number, arguments in enumerate(ARGUMENTS[: 2 if attribute.arguments else 1])
    },
    **{name: (i.derive, i.sources, i.over_match_rule) for name, i in RULE_INPUTS.items()},
}
"""Everything that can be derived, with the sources that it declares and whether these are the match rule's."""

REACHABLE = {
    name: derive
    for name, (derive, _, _) in DERIVATIONS.items()
    if name in RULE_INPUTS or not ATTRIBUTES[name.partition("#")[0]].person_only
}
"""What a relying party can reach: every attribute that is not the person's own, and every rule input."""

SINGLE_SOURCED = sorted(name for name, (_, _, over_match_rule) in DERIVATIONS.items() if not over_match_rule)

born_on = st.sampled_from([date(1990, 4, 5)] * 12 + [date(1990, 5, 4)])
silent = st.sampled_from([DOWN, SLOW, SOMEBODY_ELSES])
some_days = st.sampled_from(
    [date(2020, 4, 1), date(2025, 1, 1), date(2025, 1, 2), date(2026, 6, 1), date(2026, 9, 21), date(2026, 11, 21)]
)
hours = st.sampled_from([None, 0.0, 8.0, 16.0, 18.0, 19.5, 20.0, 28.0, 28.5, 30.0, 34.0, 40.0, 80.0])

identities: st.SearchStrategy[IdentityRecord] = st.builds(
    an_identity,
    declared_employment=st.sampled_from([None, EMPLOYED, NOT_EMPLOYED]),
    address_given=st.sampled_from([None, "江東区", "東京都江東区亀戸1-2-3", "埼玉県川口市"]),
)
residences: st.SearchStrategy[ResidenceRecord] = st.builds(
    a_residence_record,
    date_of_birth=born_on,
    residence_status=st.sampled_from(
        [
            "技術・人文知識・国際業務",
            "留学",
            "家族滞在",
            "永住者",
            "特別永住者",
            "高度専門職1号ロ",
            "短期滞在",
            "仮放免",
        ]
    ),
    stay_until=st.sampled_from([None, date(2026, 10, 31), date(2026, 11, 20), date(2027, 3, 1), date(2030, 1, 1)]),
    landed_on=st.sampled_from([None, date(2016, 4, 1), date(2026, 1, 1), date(2026, 1, 2), date(2026, 5, 21)]),
    card_revoked=st.booleans(),
    other_activity=st.sampled_from([None, *OtherActivity]),
    applications=st.sampled_from([(), (an_application(),), (an_application(result="許可"),)]),
    designated_organisation=st.sampled_from([None, DesignatedOrganisation("甲", EMPLOYER)]),
)
notices: st.SearchStrategy[EmploymentNotice] = st.builds(
    a_notice,
    date_of_birth=born_on,
    kind=st.just(NoticeKind.HIRED),
    corporate_number=st.sampled_from([EMPLOYER, OTHER_EMPLOYER, ""]),
    hired_on=some_days,
    weekly_hours=hours,
    employment_type=st.sampled_from(["無期", "有期", "パート", "派遣", "業務委託"]),
    monthly_wage_yen=st.sampled_from([None, 80_000, 250_000]),
    employment_insured=st.booleans(),
    left_on=st.sampled_from([None, None, None, date(2026, 9, 30), date(2026, 12, 31)]),
    as_of=st.sampled_from([date(2026, 9, 30), date(2026, 10, 31)]),
)
leavings: st.SearchStrategy[EmploymentNotice] = st.builds(
    lambda notice, left_on, told_hiring: replace(
        notice, kind=NoticeKind.LEFT, left_on=left_on, hired_on=notice.hired_on if told_hiring else None
    ),
    notices,
    some_days,
    st.booleans(),
)
taxes: st.SearchStrategy[TaxRecord] = st.builds(
    a_tax_record,
    date_of_birth=st.one_of(st.none(), born_on),
    salary_income_yen=st.sampled_from([None, 0, 900_000, 3_600_000]),
    collection=st.sampled_from(["特別徴収", "普通徴収", "非課税", "普通徴収（分納）", "未申告"]),
    unpaid_yen=st.sampled_from([None, 0, 88_600]),
    remarks=st.sampled_from(["", "分納", "国外払分は未反映"]),
)
insureds: st.SearchStrategy[InsuredRecord] = st.builds(
    an_insured_record,
    date_of_birth=born_on,
    month_codes=st.one_of(
        st.sampled_from([month_codes("2"), month_codes("A"), month_codes("2", before="A"), "T" * 24, "-" * 24]),
        st.text("23ALZS*.T-Y", min_size=24, max_size=24),
    ),
    lost_on=st.sampled_from([None, date(2026, 10, 21)]),
    employer_late_months=st.sampled_from([(), (date(2026, 6, 1),)]),
    health_scheme=st.sampled_from(["協会けんぽ", "国保", "被扶養者", "適用証明", "未加入"]),
)
any_facts: st.SearchStrategy[Facts] = st.builds(
    facts_of,
    identity=identities,
    residence=st.one_of(residences, residences, residences, st.none(), silent),
    notices=st.one_of(*[st.lists(st.one_of(notices, leavings), max_size=4).map(tuple)] * 4, silent),
    tax=st.one_of(taxes, taxes, taxes, st.none(), silent),
    insured=st.one_of(
        *[st.lists(insureds, max_size=1).map(tuple)] * 4, st.lists(insureds, max_size=2).map(tuple), silent
    ),
    match_over=st.sampled_from(MATCH_RULES),
    consent_until=st.sampled_from([None, date(2027, 2, 18)]),
)
people_at_work: st.SearchStrategy[Facts] = st.builds(
    lambda residence, rows, match_over: facts_of(residence=residence, notices=tuple(rows), match_over=match_over),
    residences.map(lambda record: replace(record, date_of_birth=date(1990, 4, 5))),
    st.lists(notices.map(lambda notice: replace(notice, date_of_birth=date(1990, 4, 5))), min_size=1, max_size=3),
    st.sampled_from(MATCH_RULES),
)
many_examples = settings(max_examples=200, deadline=None)


def gets_along_without(derive: Derive, facts: Facts, authority: SourceAuthority) -> bool:
    """Whether a derivation gets along without a source, proved by not asking it."""
    try:
        derive(with_reply(facts, authority, None))
    except LookupError:
        return False
    return True


@many_examples
@given(facts=any_facts)
def test_no_derivation_looks_at_a_source_that_it_does_not_declare(facts: Facts) -> None:
    for name, (derive, sources, over_match_rule) in DERIVATIONS.items():
        declared = frozenset(facts.match_over) if over_match_rule else sources
        try:
            alone = derive(asked_only(facts, declared))
        except LookupError:
            pytest.fail(f"{name} looks at a source that it does not declare")
        assert alone == derive(facts), name


@pytest.mark.parametrize("reply", [DOWN, SLOW, SOMEBODY_ELSES], ids=["down", "slow", "somebody else's"])
@pytest.mark.parametrize("authority", list(SourceAuthority))
@pytest.mark.parametrize("name", SINGLE_SOURCED)
def test_without_a_source_that_it_needs_a_claim_has_that_sources_state(
    name: str, authority: SourceAuthority, reply: Absent
) -> None:
    derive, _, _ = DERIVATIONS[name]
    whole = facts_of()
    claim = derive(with_reply(whole, authority, reply))
    if gets_along_without(derive, whole, authority):
        assert claim == derive(whole)
    else:
        assert (claim.value, claim.state, claim.reason) == (None, reply.state, reply.reason)
        assert claim.retry_at == (None if reply is SOMEBODY_ELSES else RETRY_AT)


@many_examples
@given(facts=any_facts, authority=st.sampled_from(SourceAuthority), reply=silent)
def test_a_silent_source_never_makes_a_value(facts: Facts, authority: SourceAuthority, reply: Absent) -> None:
    without = with_reply(facts, authority, reply)
    for name in SINGLE_SOURCED:
        derive, _, _ = DERIVATIONS[name]
        claim = derive(without)
        if claim.is_confirmed:
            assert gets_along_without(derive, without, authority), name
            assert claim == derive(facts), name


OTHERS_RECORDS: dict[SourceAuthority, dict[str, Any]] = {
    IMMIGRATION: {"residence": a_residence_record(name="SOMEBODY ELSE")},
    LABOR: {"notices": (a_notice(name="SOMEBODY ELSE"),)},
    TAX: {"tax": a_tax_record(name="ＳＯＭＥＢＯＤＹ　ＥＬＳＥ")},
    INSURANCE: {"insured": (an_insured_record(name_kana="ｻﾄｳ"),)},
}


@pytest.mark.parametrize("authority", list(SourceAuthority))
@pytest.mark.parametrize("name", SINGLE_SOURCED)
def test_another_persons_record_needs_evidence_wherever_it_had_to_be_used(
    name: str, authority: SourceAuthority
) -> None:
    derive, _, _ = DERIVATIONS[name]
    whole, others = facts_of(), facts_of(**OTHERS_RECORDS[authority])
    if gets_along_without(derive, whole, authority):
        assert derive(others) == derive(whole)
    else:
        claim = derive(others)
        assert (claim.state, claim.reason) == (ClaimState.EVIDENCE_NEEDED, Reason.IDENTITY_UNRESOLVED)


@many_examples
@given(facts=any_facts)
def test_a_claim_has_a_value_exactly_when_it_is_confirmed_and_a_reason_otherwise(facts: Facts) -> None:
    for name, (derive, _, _) in DERIVATIONS.items():
        claim = derive(facts)
        assert (claim.value is not None) is claim.is_confirmed, name
        assert (claim.reason is None) is claim.is_confirmed, name


def with_hours(facts: Facts, weekly_hours: list[float | None]) -> Facts:
    """The twin of a person: the same rows in all but the contracted hours."""
    if not isinstance(facts.labor, Arrived):
        return facts
    rows = facts.labor.evidence.notices
    changed = tuple(replace(row, weekly_hours=h) for row, h in zip(rows, weekly_hours, strict=False))
    return replace(facts, labor=Arrived(replace(facts.labor.evidence, notices=changed)))


@many_examples
@given(facts=people_at_work, weekly_hours=st.lists(hours, min_size=3, max_size=3))
def test_hours_change_nothing_that_a_relying_party_can_reach(facts: Facts, weekly_hours: list[float | None]) -> None:
    twin = with_hours(facts, weekly_hours)
    assert [name for name, derive in REACHABLE.items() if derive(facts) != derive(twin)] == []


def test_hours_do_change_what_the_person_sees() -> None:
    student = a_residence_record(residence_status="留学", other_activity=OtherActivity.COMPREHENSIVE)
    own = ATTRIBUTES["Labor.hoursWithinPermission"]
    within, over = (facts_of(residence=student, notices=(a_notice(weekly_hours=h),)) for h in (26, 34))
    assert (own.claim(within, {}).value, own.claim(over, {}).value) == (True, False)
    assert own.person_only
    assert ATTRIBUTES["Labor.weeklyHours"].person_only


@many_examples
@given(facts=any_facts, order=st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_no_rule_input(facts: Facts, order: Any) -> None:
    if not isinstance(facts.labor, Arrived):
        return
    rows = list(facts.labor.evidence.notices)
    order.shuffle(rows)
    shuffled = replace(facts, labor=Arrived(replace(facts.labor.evidence, notices=tuple(rows))))
    for name, rule_input in RULE_INPUTS.items():
        before, after = rule_input.derive(facts), rule_input.derive(shuffled)
        assert (before.state, before.value) == (after.state, after.value), name


@settings(max_examples=60, deadline=None)
@given(
    facts=people_at_work,
    contract=st.sampled_from(["無期", "有期", "業務委託", "内定"]),
    left_on=st.sampled_from([None, date(2026, 11, 19), date(2026, 12, 31)]),
    wage=st.sampled_from([None, 90_000]),
)
def test_a_row_that_a_newer_one_of_the_same_hiring_replaces_changes_no_rule_input(
    facts: Facts, contract: str, left_on: date | None, wage: int | None
) -> None:
    assert isinstance(facts.labor, Arrived)
    rows = facts.labor.evidence.notices
    first = rows[0]
    if first.hired_on is None or first.hired_on > facts.today:
        return
    replaced = replace(
        first, as_of=date(2026, 8, 31), employment_type=contract, left_on=left_on, monthly_wage_yen=wage
    )
    before = replace(facts, labor=Arrived(replace(facts.labor.evidence, notices=(*rows, replaced))))
    for name, rule_input in RULE_INPUTS.items():
        one, other = rule_input.derive(facts), rule_input.derive(before)
        assert (one.state, one.value) == (other.state, other.value), name
