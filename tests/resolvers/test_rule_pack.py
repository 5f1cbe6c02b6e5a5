"""A rule pack with any fault is refused whole; another pack needs no Python."""

import hashlib
import tomllib
from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any  # a pack as a lawyer may mistype it

import pytest
import yaml

from connectors.interface import SourceAuthority
from resolvers.catalogue import ATTRIBUTES, DECISIONS
from resolvers.claim import Claim, Quantity, Reason, confirmed, evidence_needed
from resolvers.decision import Outcome, RuleOutcome, Text
from resolvers.errors import RulePackError
from resolvers.inputs import RULE_INPUTS
from resolvers.rule_pack import load_rule_pack
from resolvers.rules import InputKind, RulePack, decide

CONFIG = Path(__file__).parents[2] / "config"
BODY = (CONFIG / "rules" / "jp-2026.11.yaml").read_bytes()
REAL_KINDS = {name: rule_input.kind for name, rule_input in RULE_INPUTS.items()}
TODAY = date(2026, 11, 20)

KINDS = {
    "adult": InputKind((True, False)),
    "renewal_pending": InputKind((True, False)),
    "stay_basis": InputKind(("ON_PERIOD", "NONE")),
    "stay_months_left": InputKind(None),
}

SMALL_PACK = """
name: XX-1
version: "1"
jurisdiction: XX
texts:
  PASS: { en: Good., ja: 良い。 }
  EVIDENCE: { en: Not known., ja: 不明。 }
purposes:
  TENANCY:
    match_over: [IMMIGRATION]
    arguments: { rentYenPerMonth: null, product: [A, B] }
    rules:
      - id: XX-01
        basis: { kind: PRACTICE, source: a source }
        thresholds: { ample: 6 }
        rows:
          - { when: { at_least: { stay_months_left: ample } }, result: PASS }
          - { when: { is: { renewal_pending: true } }, result: CONDITION, condition: RECHECK }
          - { otherwise: FAIL }
        texts:
          CONDITION: { en: Soon., ja: もうすぐ。 }
          FAIL: { en: Short., ja: 短い。 }
        cures:
          - { for_results: [FAIL], en: Wait., ja: 待つ。 }
"""

Edit = Callable[[dict[str, Any]], object]


class PlainDumper(yaml.SafeDumper):
    """Writes a part that stands twice out twice: packs have no anchors."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def written(pack: dict[str, Any]) -> bytes:
    return yaml.dump(pack, Dumper=PlainDumper, allow_unicode=True, sort_keys=False).encode()


def a_pack(edit: Edit | None = None) -> bytes:
    """The small pack with one thing changed in its only rule."""
    pack = deepcopy(yaml.safe_load(SMALL_PACK))
    if edit is not None:
        edit(pack["purposes"]["TENANCY"]["rules"][0])
    return written(pack)


def a_whole_pack(edit: Edit) -> bytes:
    """The small pack with one thing changed anywhere."""
    pack = deepcopy(yaml.safe_load(SMALL_PACK))
    edit(pack)
    return written(pack)


def refusal(body: bytes) -> str:
    with pytest.raises(RulePackError) as caught:
        load_rule_pack(body, input_kinds=KINDS)
    return str(caught.value)


def set_row(place: int, row: dict[str, Any]) -> Edit:
    return lambda rule: rule["rows"].__setitem__(place, row)


def months_at_least(threshold: Any) -> Edit:
    """The first row with another threshold."""
    return set_row(0, {"when": {"at_least": {"stay_months_left": threshold}}, "result": "PASS"})


def second_row_when(when: dict[str, Any]) -> Edit:
    return set_row(1, {"when": when, "result": "CONDITION"})


def test_the_small_pack_is_sound_so_that_each_refusal_below_has_one_cause() -> None:
    pack = load_rule_pack(a_pack(), input_kinds=KINDS)
    assert pack.purposes["TENANCY"].inputs == {"stay_months_left", "renewal_pending"}


def test_the_pack_in_config_loads_with_the_claims_there_are() -> None:
    pack = load_rule_pack(BODY, input_kinds=REAL_KINDS)
    assert (pack.name, pack.version, pack.jurisdiction) == ("JP-2026.11", "2026.11", "JP")
    assert pack.sha256 == pack.ref.sha256 == hashlib.sha256(BODY).hexdigest()
    assert {name: len(rules.rules) for name, rules in pack.purposes.items()} == {
        "ACCOUNT_OPENING": 9,
        "ACCOUNT_MAINTENANCE": 5,
        "TENANCY": 7,
        "LENDING": 12,
    }


def test_every_rule_in_config_says_what_it_is_about_and_a_pack_that_does_not_is_sound() -> None:
    rules = [rule for part in load_rule_pack(BODY, input_kinds=REAL_KINDS).purposes.values() for rule in part.rules]
    assert [rule.id for rule in rules if rule.title is None] == []
    (untitled,) = load_rule_pack(a_pack(), input_kinds=KINDS).purposes["TENANCY"].rules
    assert untitled.title is None
    assert "a title" in refusal(a_pack(lambda rule: rule.update(title={"en": "Until {date}", "ja": "期限"})))
    assert "title" in refusal(a_pack(lambda rule: rule.update(title={"en": "Stay"})))


def test_no_title_tells_a_lender_more_of_the_permission_to_work_than_its_text() -> None:
    (rule,) = [
        one for one in load_rule_pack(BODY, input_kinds=REAL_KINDS).purposes["LENDING"].rules if one.id == "LD-08"
    ]
    assert rule.title == Text("Work in Japan", "日本での就労")


def test_records_are_matched_over_the_sources_that_each_purpose_names() -> None:
    purposes = load_rule_pack(BODY, input_kinds=REAL_KINDS).purposes
    immigration, labor, tax, insurance = SourceAuthority
    assert purposes["ACCOUNT_OPENING"].match_over == (immigration, labor)
    assert purposes["ACCOUNT_MAINTENANCE"].match_over == (immigration,)
    assert purposes["TENANCY"].match_over == (immigration, labor, tax)
    assert purposes["LENDING"].match_over == (immigration, labor, tax, insurance)


def test_only_keeping_an_account_may_know_the_exact_day() -> None:
    purposes = load_rule_pack(BODY, input_kinds=REAL_KINDS).purposes
    assert [name for name, rules in purposes.items() if rules.exact_recheck] == ["ACCOUNT_MAINTENANCE"]


# Bytes that are no pack


@pytest.mark.parametrize(
    "body",
    [
        b"purposes: [",
        b"\xff\xfe\x00",
        b"",
        b"- a list",
        b"a: 1\n---\nb: 2",
        b"day: 2027-02-30",
        b"? [a, list]\n: as a key",
        b"!!python/object/apply:os.getcwd []",
        b"[" * 20_000,
    ],
    ids=[
        "unfinished",
        "no text",
        "empty",
        "a list",
        "two documents",
        "no such day",
        "a list as a key",
        "a Python object",
        "bottomless",
    ],
)
def test_bytes_that_are_no_pack_are_refused(body: bytes) -> None:
    refusal(body)


def test_a_key_that_stands_twice_is_refused() -> None:
    body = SMALL_PACK.replace("thresholds: { ample: 6 }", "thresholds: { ample: 6, ample: 3 }")
    assert "a key stands twice" in refusal(body.encode())


@pytest.mark.parametrize(
    ("plain", "anchored"), [("{ en: Good.", "&good { en: Good."), ("Soon.", "&soon Soon."), ("Wait.", "*soon")]
)
def test_anchors_and_aliases_are_refused(plain: str, anchored: str) -> None:
    assert "anchors and aliases" in refusal(SMALL_PACK.replace(plain, anchored).encode())


def test_merge_keys_are_refused() -> None:
    refusal(SMALL_PACK.replace("thresholds: {", "thresholds: { <<: { ample: 3 },").encode())


# A rule that is not sound: the message names it


@pytest.mark.parametrize(
    ("fault", "edit"),
    [
        ("threshold", lambda rule: rule.update(threshold={"ample": 6})),
        ("nationality", second_row_when({"is": {"nationality": "XX"}})),
        ("unknown claim", second_row_when({"unknown": ["adult"]})),
        ("unknown argument", months_at_least({"argument": "x"})),
        ("unknown argument", months_at_least({"argument": []})),
        ("product is no number", months_at_least({"argument": "product"})),
        ("a number or a name", months_at_least("many")),
        ("a number or a name", months_at_least(True)),
        ("is no quantity", set_row(0, {"when": {"at_least": {"adult": 6}}, "result": "PASS"})),
        ("can never be FOREVER", second_row_when({"is": {"stay_basis": "FOREVER"}})),
        ("can never be 1", second_row_when({"is": {"adult": 1}})),
        ("can never be true", second_row_when({"is": {"adult": "true"}})),
        ("can never be 6", set_row(0, {"when": {"is": {"stay_months_left": 6}}, "result": "PASS"})),
        ("`between`", set_row(0, {"when": {"between": {"stay_months_left": 6}}, "result": "PASS"})),
        ("list", second_row_when({"in": {"stay_basis": []}})),
        ("`any` takes a list", second_row_when({"any": []})),
        ("one operator", second_row_when({"is": {"adult": True}, "unknown": "adult"})),
        ("either `when`", set_row(1, {"when": {"is": {"adult": True}}})),
        ("either `when`", set_row(2, {"otherwise": "FAIL", "result": "FAIL"})),
        ("unknown result REJECTED", set_row(2, {"otherwise": "REJECTED"})),
        ("unknown result REJECTED", lambda rule: rule["texts"].update(REJECTED={"en": "No.", "ja": "いいえ。"})),
        ("unknown result REJECTED", lambda rule: rule["cures"][0].update(for_results=["REJECTED"])),
        ("unknown basis kind HABIT", lambda rule: rule["basis"].update(kind="HABIT")),
        ("basis.source", lambda rule: rule["basis"].pop("source")),
        ("basis.source", lambda rule: rule["basis"].update(source="")),
        ("rows", lambda rule: rule.update(rows=[])),
        ("row 2 can never be reached", second_row_when({"at_least": {"stay_months_left": 7}})),
        ("never be reached", lambda rule: rule["rows"].insert(0, {"otherwise": "PASS"})),
        ("row 3 can never be reached", lambda rule: rule["rows"].insert(2, deepcopy(rule["rows"][1]))),
        ("reaches no row", lambda rule: rule["rows"].pop()),
    ],
)
def test_an_unsound_rule_is_refused_by_name(fault: str, edit: Edit) -> None:
    message = refusal(a_pack(edit))
    assert message.startswith("XX-01")
    assert fault in message


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_text_that_lacks_a_language_is_refused(language: str) -> None:
    assert f"XX-01.texts.FAIL.{language}" in refusal(a_pack(lambda rule: rule["texts"]["FAIL"].pop(language)))
    assert f"XX-01.cures.0.{language}" in refusal(a_pack(lambda rule: rule["cures"][0].pop(language)))
    assert f"XX-01.texts.FAIL.{language}" in refusal(
        a_pack(lambda rule: rule["texts"]["FAIL"].update({language: ""}))
    )


@pytest.mark.parametrize("result", ["CONDITION", "FAIL"])
def test_a_result_that_a_row_can_give_needs_a_text(result: str) -> None:
    message = refusal(a_pack(lambda rule: rule["texts"].pop(result)))
    assert message == f"XX-01: {result} has no text"


def test_a_stop_on_an_unknown_claim_needs_a_text_too() -> None:
    assert refusal(a_whole_pack(lambda pack: pack["texts"].pop("EVIDENCE"))) == "XX-01: EVIDENCE has no text"


def test_a_text_can_fill_in_the_day_and_nothing_else() -> None:
    load_rule_pack(a_pack(lambda rule: rule["texts"]["FAIL"].update(en="Until {date}.")), input_kinds=KINDS)
    assert "{date}" in refusal(a_pack(lambda rule: rule["texts"]["FAIL"].update(en="Until {day}.")))
    assert "{date}" in refusal(a_pack(lambda rule: rule["cures"][0].update(ja="{date")))


def test_an_id_that_stands_twice_is_refused() -> None:
    def twice(pack: dict[str, Any]) -> None:
        rules = pack["purposes"]["TENANCY"]["rules"]
        rules.append(deepcopy(rules[0]))

    assert refusal(a_whole_pack(twice)) == "XX-01: the id stands twice"


def test_an_unknown_source_to_match_over_is_refused() -> None:
    assert "TENANCY" in refusal(a_whole_pack(lambda pack: pack["purposes"]["TENANCY"].update(match_over=["POLICE"])))


# No failure on what is not known


@pytest.mark.parametrize(
    "when",
    [
        {"unknown": "stay_months_left"},
        {"any": [{"unknown": "stay_months_left"}, {"is": {"adult": False}}]},
        {"all": [{"unknown": "adult"}, {"not": {"at_least": {"stay_months_left": 6}}}]},
        {"not": {"not": {"unknown": "adult"}}},
    ],
)
def test_a_row_that_could_fail_on_an_unknown_claim_is_refused(when: dict[str, Any]) -> None:
    rows = [{"when": when, "result": "FAIL"}, {"otherwise": "PASS"}]
    assert refusal(a_pack(lambda rule: rule.update(rows=rows))) == "XX-01: it can fail on a claim that is not known"


def test_passing_the_unknown_by_and_failing_behind_it_is_refused() -> None:
    rows = [
        {"when": {"all": [{"not": {"unknown": "adult"}}, {"is": {"adult": True}}]}, "result": "PASS"},
        {"otherwise": "FAIL"},
    ]
    assert refusal(a_pack(lambda rule: rule.update(rows=rows))) == "XX-01: it can fail on a claim that is not known"


def test_a_failure_that_stands_whatever_the_unknown_claim_is_may_stay() -> None:
    rows = [
        {"when": {"all": [{"is": {"adult": True}}, {"at_least": {"stay_months_left": 6}}]}, "result": "PASS"},
        {"otherwise": "FAIL"},
    ]
    pack = load_rule_pack(a_pack(lambda rule: rule.update(rows=rows)), input_kinds=KINDS)
    assert outcome(pack, adult=confirmed(False), stay_months_left=UNKNOWN) is Outcome.NOT_ELIGIBLE_NOW
    assert outcome(pack, adult=confirmed(True), stay_months_left=UNKNOWN) is Outcome.NEEDS_EVIDENCE


UNKNOWN: Claim[Any] = evidence_needed(Reason.NOT_STATED)


def outcome(pack: RulePack, *, today: date = TODAY, purpose: str = "TENANCY", **inputs: Claim[Any]) -> Outcome:
    arguments: dict[str, int | str] = {"rentYenPerMonth": 100_000, "product": "A"}
    return decide(pack, purpose, inputs=inputs, arguments=arguments, today=today, stay_ends_on=None).outcome


# Variants


def with_variants(*variants: dict[str, Any]) -> bytes:
    rows = [{"when": {"is": {"adult": True}}, "result": "PASS"}, {"otherwise": "EVIDENCE"}]
    return a_pack(lambda rule: rule.update(variants=[{**variant, "rows": rows} for variant in variants]))


@pytest.mark.parametrize(
    ("fault", "variants"),
    [
        ("ends before it starts", [{"effective_from": date(2027, 4, 1), "effective_until": date(2027, 3, 31)}]),
        ("effective_from", [{"effective_from": "next April"}]),
        ("needs a day or an argument", [{}]),
        ("never be reached", [{"effective_from": date(2027, 4, 1)}, {"effective_from": date(2028, 4, 1)}]),
        ("never be reached", [{"argument": {"product": "A"}}, {"argument": {"product": "A"}}]),
        ("names no value", [{"argument": {"product": "C"}}]),
        ("names no value", [{"argument": {"colour": "A"}}]),
        ("names no value", [{"argument": {"rentYenPerMonth": "1"}}]),
    ],
)
def test_a_variant_without_a_sound_day_or_argument_is_refused(fault: str, variants: list[dict[str, Any]]) -> None:
    message = refusal(with_variants(*variants))
    assert message.startswith("XX-01")
    assert fault in message


def test_a_variant_speaks_from_its_first_day_through_its_last() -> None:
    first, last = date(2027, 4, 1), date(2027, 6, 30)
    pack = load_rule_pack(with_variants({"effective_from": first, "effective_until": last}), input_kinds=KINDS)
    short: dict[str, Any] = {
        "stay_months_left": confirmed(Quantity(0)),
        "renewal_pending": confirmed(False),
        "adult": confirmed(True),
    }
    days = (date(2027, 3, 31), first, last, date(2027, 7, 1))
    fails, passes = Outcome.NOT_ELIGIBLE_NOW, Outcome.ELIGIBLE
    assert [outcome(pack, today=day, **short) for day in days] == [fails, passes, passes, fails]


def test_later_variants_may_follow_earlier_ones_when_each_has_its_own_days() -> None:
    body = with_variants({"effective_from": date(2028, 4, 1)}, {"effective_from": date(2027, 4, 1)})
    assert len(load_rule_pack(body, input_kinds=KINDS).purposes["TENANCY"].rules[0].variants) == 3


# False and unknown that must look alike


@pytest.mark.parametrize(
    "row",
    [
        {"otherwise": "FAIL"},
        {"otherwise": "CONDITION"},
        {"otherwise": "EVIDENCE", "condition": "THIS_ONE_IS_FALSE"},
    ],
)
def test_a_rule_whose_false_must_look_like_unknown_is_refused_if_it_does_not(row: dict[str, Any]) -> None:
    rows = [{"when": {"is": {"adult": True}}, "result": "PASS"}, row]
    message = refusal(a_pack(lambda rule: rule.update(rows=rows, alike_when_unknown=True)))
    assert message.startswith("XX-01: a row that must look like the unknown case")


def test_the_rule_on_permission_to_work_is_one_whose_false_looks_like_unknown() -> None:
    rules = load_rule_pack(BODY, input_kinds=REAL_KINDS).purposes["LENDING"].rules
    assert [rule.id for rule in rules if rule.alike_when_unknown] == ["LD-08"]


# Another pack, without touching Python


def test_a_changed_threshold_decides_differently_under_another_name() -> None:
    changed = BODY.replace(
        b"thresholds: { ample_months: 6, least_months: 3 }", b"thresholds: { ample_months: 9, least_months: 3 }"
    )
    before, after = (load_rule_pack(body, input_kinds=REAL_KINDS) for body in (BODY, changed))
    assert before.sha256 != after.sha256
    seven_months = {
        "status_lawful": confirmed(True),
        "stay_unlimited": confirmed(False),
        "stay_months_left": confirmed(Quantity(7)),
        "renewal_pending": confirmed(False),
    }
    others = dict.fromkeys(before.purposes["TENANCY"].inputs - set(seven_months), UNKNOWN)
    results = [
        decide(
            pack,
            "TENANCY",
            inputs={**others, **seven_months},
            arguments={"rentYenPerMonth": 1},
            today=TODAY,
            stay_ends_on=None,
        )
        .rules[1]
        .result
        for pack in (before, after)
    ]
    assert results == [RuleOutcome.PASS, RuleOutcome.CONDITION]


def test_an_added_rule_and_an_added_purpose_decide_without_new_code() -> None:
    def extend(pack: dict[str, Any]) -> None:
        rule = {
            "id": "XX-02",
            "basis": {"kind": "LAW", "source": "an act"},
            "rows": [{"when": {"is": {"adult": True}}, "result": "PASS"}, {"otherwise": "EVIDENCE"}],
        }
        pack["purposes"]["TENANCY"]["rules"].append(rule)
        pack["purposes"]["SCHOLARSHIP"] = {"match_over": ["TAX"], "rules": [{**rule, "id": "SC-01"}]}

    pack = load_rule_pack(a_whole_pack(extend), input_kinds=KINDS)
    ample: dict[str, Any] = {"stay_months_left": confirmed(Quantity(6)), "renewal_pending": confirmed(False)}
    assert outcome(pack, **ample, adult=confirmed(False)) is Outcome.NEEDS_EVIDENCE
    assert outcome(pack, **ample, adult=confirmed(True)) is Outcome.ELIGIBLE
    assert outcome(pack, purpose="SCHOLARSHIP", adult=confirmed(False)) is Outcome.NEEDS_EVIDENCE
    assert pack.purposes["SCHOLARSHIP"].inputs == {"adult"}


def test_a_lawyer_may_raise_a_threshold_that_stands_beside_an_argument() -> None:
    raised = BODY.replace(b"thresholds: { ample_months: 6, mortgage", b"thresholds: { ample_months: 18, mortgage")
    assert raised != BODY
    load_rule_pack(raised, input_kinds=REAL_KINDS)


# config/purposes.toml

PURPOSES = tomllib.loads((CONFIG / "purposes.toml").read_text(encoding="utf-8"))


def test_every_purpose_has_its_rules_and_its_decision() -> None:
    pack = load_rule_pack(BODY, input_kinds=REAL_KINDS)
    assert set(PURPOSES) == set(pack.purposes)
    for name, purpose in PURPOSES.items():
        field = DECISIONS[purpose["decision"]]
        assert field.purpose == name
        assert {argument.name for argument in field.arguments} == set(pack.purposes[name].arguments)


def test_a_purpose_lists_each_attribute_once_and_only_those_there_are() -> None:
    for purpose in PURPOSES.values():
        listed = [*purpose["attributes"], *purpose.get("optional_attributes", [])]
        assert len(listed) == len(set(listed))
        assert set(listed) <= set(ATTRIBUTES)


PERSON_ONLY = {
    "Immigration.workPermission",
    "Labor.hoursWithinPermission",
    "Labor.affiliationNoticeCurrent",
    "Labor.weeklyHours",
    "Tax.residentTaxPaidLate",
    "Insurance.healthScheme",
    "Insurance.pensionCategory",
}


def test_no_purpose_lists_what_is_for_the_person_alone() -> None:
    for purpose in PURPOSES.values():
        assert not PERSON_ONLY & {*purpose["attributes"], *purpose.get("optional_attributes", [])}


MAY_ASK = {
    "Subject.identityBinding": "OMTL", "Subject.recordMatch": "OMTL",
    "Immigration.adult": "O-TL", "Immigration.statusLawful": "OMTL", "Immigration.cardNotRevoked": "OM-L",
    "Immigration.stayBasis": "-M--", "Immigration.stayRemaining": "O-TL", "Immigration.stayCoversUntil": "-mtL",
    "Immigration.stayUnlimited": "OMtL", "Immigration.renewalPending": "OMTL", "Immigration.stayRecheckBy": "-Mt-",
    "Immigration.midToLongTermResident": "O-tl", "Immigration.timeSinceEntry": "---L",
    "Immigration.fefaResidency": "Om--", "Immigration.addressMatches": "Om-l", "Immigration.addressStability": "--tl",
    "Labor.employmentPermitted": "---L", "Labor.employed": "O-TL", "Labor.tenure": "--TL",
    "Labor.employmentGap": "---l", "Labor.employmentKind": "--tL", "Labor.employmentCoversUntil": "--tl",
    "Labor.employerVerified": "--tL", "Labor.employmentInsurance": "---l",
    "Tax.incomeMeets": "--TL", "Tax.income": "---l", "Tax.incomeBasis": "--TL", "Tax.certificate": "--tL",
    "Tax.residentTax": "---L", "Tax.nationalTaxClear": "---l",
    "Insurance.healthEnrolled": "---l", "Insurance.pensionEnrolled": "---l",
    "Insurance.premiums24m": "---L", "Insurance.premiumLateness": "---L",
}  # fmt: skip
"""For opening and maintaining an account, a tenancy and a loan: what the rules weigh, and in small letters what a
person may add. Whatever stands here for none of them is for the person alone."""


def test_a_purpose_may_ask_what_the_matrix_says_and_nothing_else() -> None:
    order = ("ACCOUNT_OPENING", "ACCOUNT_MAINTENANCE", "TENANCY", "LENDING")
    assert set(MAY_ASK) == set(ATTRIBUTES) - PERSON_ONLY
    for number, name in enumerate(order):
        cells = {attribute: cell[number] for attribute, cell in MAY_ASK.items()}
        assert set(PURPOSES[name]["attributes"]) == {a for a, cell in cells.items() if cell.isupper()}, name
        assert set(PURPOSES[name].get("optional_attributes", [])) == {
            a for a, cell in cells.items() if cell.islower()
        }


def test_a_consent_lasts_as_long_as_its_purpose_needs() -> None:
    assert {name: (p["fetch"], p["life_days"], p.get("uses")) for name, p in PURPOSES.items()} == {
        "ACCOUNT_OPENING": ("ONETIME", 30, 3),
        "ACCOUNT_MAINTENANCE": ("PERIODIC", 90, None),
        "TENANCY": ("ONETIME", 30, None),
        "LENDING": ("ONETIME", 30, None),
    }
