"""The projector gives what graphql-core gives for the same Answer: same data, same order, same errors."""

import dataclasses
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from functools import lru_cache
from random import Random
from typing import Any

import orjson
import pytest
from graphql import (
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    build_schema,
    execute_sync,
    parse,
    validate,
)
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from gateway.answer import Answer, claim_json, decision_json
from gateway.document import read_document
from gateway.errors import PUBLIC_CODES, RequestError
from gateway.plan import Plan, make_plans
from gateway.projector import GrantView, Projection, compile_projector
from resolvers.catalogue import ATTRIBUTES, DECISIONS
from resolvers.claim import Claim, ClaimState, Reason, confirmed, withheld
from resolvers.decision import (
    Basis,
    BasisKind,
    Decision,
    Outcome,
    RuleOutcome,
    RulePackRef,
    RuleResult,
    Text,
    TraceStep,
)
from resolvers.schema import schema as strawberry_schema
from tests.conftest import ROOT, full_count
from tests.gateway.documents import TOKEN, Drawn, draw_document, features

PRODUCTION: GraphQLSchema = strawberry_schema._schema  # as the gateway's composition root takes it


REF = "a person's pseudonym"
ORACLE = build_schema((ROOT / "schema.graphql").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Given:
    """An Answer and what stands around it."""

    answer: Answer | None
    refused: frozenset[str]
    grant: GrantView


@dataclass(frozen=True, slots=True)
class Oracle:
    """graphql-core's own execution over a stored Answer."""

    given: Given

    def resolve(self, source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        coordinate = f"{info.parent_type.name}.{info.field_name}"
        if coordinate in ATTRIBUTES or coordinate in DECISIONS:
            types = {
                name: str(argument.type) for name, argument in info.parent_type.fields[info.field_name].args.items()
            }
            return self._question(coordinate, canonical(coordinate, arguments, types))
        if coordinate == "Subject.ref":
            return REF
        if coordinate == "Subject.answer":
            return self._answer()
        if coordinate == "Subject.grant":
            return self._grant()
        if info.parent_type.name in ("Query", "Subject"):
            return {}
        return source[info.field_name]

    def _question(self, coordinate: str, text: str) -> Any:
        if text in self.given.refused:
            row = PUBLIC_CODES["FIELD_NOT_CONSENTED"]
            extensions = {"code": row.code, "coordinate": coordinate, "retryable": row.retryable}
            raise GraphQLError(row.text, extensions=extensions)
        if self.given.answer is None:
            return None
        return {**self.given.answer.claims, **self.given.answer.decisions}[text]

    def _answer(self) -> Any:
        answer = self.given.answer
        if answer is None:
            return None
        return {"id": answer.id, "recordedAt": answer.recorded_at.strftime("%Y-%m-%dT%H:%M:00+00:00")}

    def _grant(self) -> Any:
        grant = self.given.grant
        next_refresh_at = grant.next_refresh_at
        return {
            "status": grant.status,
            "expiresAt": minute(grant.expires_at),
            "usesLeft": grant.uses_left,
            "nextRefreshAt": None if next_refresh_at is None else minute(next_refresh_at),
        }

    def execute(self, drawn: Drawn) -> dict[str, Any]:
        result = execute_sync(ORACLE, parse(drawn.text), variable_values=drawn.variables, field_resolver=self.resolve)
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = [
                {"message": error.message, "path": error.path, "extensions": error.extensions}
                for error in result.errors
            ]
        return body


def minute(moment: datetime) -> str:
    """The full minute at or after a moment."""
    moment += timedelta(microseconds=-(moment.second * 1_000_000 + moment.microsecond) % 60_000_000)
    return moment.strftime("%Y-%m-%dT%H:%M:00+00:00")


def canonical(coordinate: str, arguments: Mapping[str, Any], types: Mapping[str, str]) -> str:
    """The canonical text of a question, written anew."""
    parts = [
        f"{name}:{json.dumps(value) if types[name] == 'Date!' else value}"
        for name, value in sorted(arguments.items())
    ]
    return f"{coordinate}({','.join(parts)})" if parts else coordinate


DRAWN = settings(
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink a drawn document takes minutes
)
read = lru_cache(maxsize=16)(read_document)


def projected(drawn: Drawn, given: Given) -> dict[str, Any]:
    """The projector's response, in the shape of the oracle's."""
    document = read(drawn.text, PRODUCTION)
    coerced = document.coerce(drawn.variables)
    selections = document.select(coerced)
    (plan,) = make_plans(selections, coerced)
    data, errors = compile_projector(selections)(
        [Projection(given.answer, lambda: given.grant, lambda: REF, plan.texts, given.refused)]
    )
    return {"data": data, "errors": errors} if errors else {"data": data}


def plan_of(drawn: Drawn) -> Plan:
    document = read(drawn.text, PRODUCTION)
    coerced = document.coerce(drawn.variables)
    (plan,) = make_plans(document.select(coerced), coerced)
    return plan


def draw_given(random: Random, plan: Plan) -> Given:
    """An Answer to the plan: some questions refused, some withheld, the others answered in every state."""
    fate = {question.text: random.randrange(4) for question in plan.questions}
    if plan.questions and random.randrange(8) == 0:
        fate = dict.fromkeys(fate, 0)
    refused = frozenset(text for text, number in fate.items() if number == 0)
    grant = GrantView(
        random.choice(["ACTIVE", "REVOKED"]), _moment(random), random.choice([None, 0, 3]), _moment(random)
    )
    if refused and len(refused) == len(fate):
        return Given(None, refused, grant)
    claims: dict[str, Any] = {}
    decisions: dict[str, Any] = {}
    for question in plan.questions:
        if question.text in refused:
            continue
        is_withheld = fate[question.text] == 1
        if question.is_decision:
            decisions[question.text] = None if is_withheld else decision_json(_decision(random))
        else:
            attribute = ATTRIBUTES[question.coordinate]
            claim = withheld() if is_withheld else _claim(random, attribute.value_type)
            as_of = random.choice([None, date(2026, 11, 19)])
            claims[question.text] = claim_json(claim, attribute, as_of=as_of)
    return Given(_answer(random, claims, decisions), refused, grant)


def _answer(random: Random, claims: dict[str, Any], decisions: dict[str, Any]) -> Answer:
    return Answer(
        id=f"answer-{random.randrange(1000)}",
        questions=(*claims, *decisions),
        claims=claims,
        decisions=decisions,
        inputs={},
        evidence={},
        rule_pack_sha256="0" * 64,
        engine_version="0",
        today=date(2026, 11, 20),
        complete=True,
        fresh_until=_moment(random),
        recorded_at=_moment(random),
    )


def _moment(random: Random) -> datetime:
    seconds, microseconds = random.choice([(0, 0), (0, 1), (59, 999_999), (30, 0)])
    return datetime(2026, 12, 31, 23, random.choice([0, 59]), seconds, microseconds, tzinfo=UTC)


def _claim(random: Random, value_type: type) -> Claim[Any]:
    state = random.choice([ClaimState.CONFIRMED, ClaimState.CONFIRMED, *ClaimState])
    if state is not ClaimState.CONFIRMED:
        return Claim(None, state, random.choice(list(Reason)), random.choice([None, _moment(random)]))
    if issubclass(value_type, Enum):
        return confirmed(random.choice(list(value_type)))
    return confirmed(random.choice([True, False]) if value_type is bool else date(2027, 3, 31))


def _decision(random: Random) -> Decision:
    return Decision(
        outcome=random.choice(list(Outcome)),
        rules=tuple(_rule(random, number) for number in range(random.randrange(4))),
        recheck_on=random.choice([None, date(2027, 1, 31)]),
        retry_at=random.choice([None, _moment(random)]),
        rule_pack=RulePackRef("jp", "2026.11", "0" * 64),
        decided_on=date(2026, 11, 20),
    )


def _rule(random: Random, number: int) -> RuleResult:
    return RuleResult(
        id=f"R{number}",
        title=random.choice([None, Text("a title", "題名")]),
        result=random.choice(list(RuleOutcome)),
        condition=random.choice([None, "GUARANTOR"]),
        basis=Basis(random.choice(list(BasisKind)), "article 1"),
        explanation=Text("met", "満たす"),
        person_explanation=Text("for the person alone", "本人のみ"),
        cures=tuple(Text(f"cure {cure}", f"方法{cure}") for cure in range(random.randrange(3))),
        trace=(TraceStep("tenure >= 3", random.choice([True, False, None])),),
    )


@pytest.mark.soak
@settings(DRAWN, max_examples=full_count(3_000))
@given(random=st.randoms(use_true_random=False))
def test_the_projector_agrees_with_graphql_core(random: Random) -> None:
    drawn = draw_document(random, ORACLE)
    note(f"{drawn.text}\n{drawn.variables}")
    given_answer = draw_given(random, plan_of(drawn))
    expected = Oracle(given_answer).execute(drawn)
    found = projected(drawn, given_answer)
    assert orjson.dumps(found["data"]) == orjson.dumps(expected["data"])
    assert found.get("errors") == expected.get("errors")


@settings(DRAWN, max_examples=50)
@given(random=st.randoms(use_true_random=False))
def test_an_answer_read_back_from_its_record_projects_the_same_bytes(random: Random) -> None:
    drawn = draw_document(random, ORACLE)
    first = draw_given(random, plan_of(drawn))
    if first.answer is not None:
        again = Given(Answer.from_bytes(first.answer.to_bytes()), first.refused, first.grant)
        assert orjson.dumps(projected(drawn, again)) == orjson.dumps(projected(drawn, first))


def test_an_answer_that_was_recorded_before_rules_had_titles_is_shown_without_them() -> None:
    selected = "{ tenancy(rentYenPerMonth: 62000) { rules { id title { en ja } result } } }"
    drawn = Drawn(f"query($c: ConsentToken!) {{ subject(consent: $c) {selected} }}", {"c": TOKEN})
    random = Random(1)
    given_answer = draw_given(random, plan_of(drawn))
    assert given_answer.answer is not None
    rule = dataclasses.replace(_rule(random, 1), title=Text("a title", "題名"))
    decision = decision_json(dataclasses.replace(_decision(random), rules=(rule,)))
    question = "Subject.tenancy(rentYenPerMonth:62000)"
    written = orjson.loads(dataclasses.replace(given_answer.answer, decisions={question: decision}).to_bytes())
    for title in ({"en": "a title", "ja": "題名"}, None):
        read_back = Given(Answer.from_bytes(orjson.dumps(written)), frozenset(), given_answer.grant)
        (told,) = projected(drawn, read_back)["data"]["subject"]["tenancy"]["rules"]
        assert told == {"id": "R1", "title": title, "result": rule.result.value}
        written["decisions"][question]["rules"][0].pop("title", None)


@settings(DRAWN, max_examples=50)
@given(random=st.randoms(use_true_random=False))
def test_what_is_kept_for_the_person_alone_is_never_projected(random: Random) -> None:
    drawn = draw_document(random, ORACLE)
    text = orjson.dumps(projected(drawn, draw_given(random, plan_of(drawn)))).decode()
    assert "for the person alone" not in text
    assert "tenure >= 3" not in text
    assert not any(f'"{reason.value}"' in text for reason in Reason if reason.value not in set(ClaimState))


def test_the_drawing_leaves_no_kind_of_document_out() -> None:
    random = Random(20261120)
    drawn = [draw_document(random, ORACLE) for _ in range(300)]
    assert not [one.text for one in drawn if validate(ORACLE, parse(one.text))]
    found = Counter(feature for one in drawn for feature in features(one))
    every = set(features(Drawn("", {}))) | set(found)
    assert len(every) == 16
    assert min(found.values()) >= 3, found


TWO = """query($c: ConsentToken!, $rent: Int!) {
  a: subject(consent: $c) { tenancy(rentYenPerMonth: $rent) { outcome } tax { incomeBasis { value } } }
  b: subject(consent: $c) { same: tenancy(rentYenPerMonth: 62000) { outcome }
    more: tenancy(rentYenPerMonth: 62001) { outcome } grant { status } __typename }
  __typename
}"""


@pytest.mark.parametrize("refused", [(), ("Subject.tenancy(rentYenPerMonth:62000)",), ("Tax.incomeBasis",)])
def test_two_aliases_of_the_root_are_answered_each_in_its_place(refused: tuple[str, ...]) -> None:
    drawn = Drawn(TWO, {"c": TOKEN, "rent": 62000})
    texts = [question.text for question in plan_of(drawn).questions]
    assert texts == [
        "Subject.tenancy(rentYenPerMonth:62000)",
        "Tax.incomeBasis",
        "Subject.tenancy(rentYenPerMonth:62001)",
    ]
    random = Random(1)
    claims = {"Tax.incomeBasis": claim_json(withheld(), ATTRIBUTES["Tax.incomeBasis"], as_of=None)}
    decisions = {text: decision_json(_decision(random)) for text in texts if "tenancy" in text}
    given_answer = Given(
        _answer(random, claims, decisions), frozenset(refused), GrantView("ACTIVE", _moment(random), 3, None)
    )
    body = projected(drawn, given_answer)
    expected = Oracle(given_answer).execute(drawn)
    assert orjson.dumps(body["data"]) == orjson.dumps(expected["data"])
    assert body.get("errors") == expected.get("errors")
    if refused == ("Subject.tenancy(rentYenPerMonth:62000)",):
        assert [error["path"] for error in body["errors"]] == [["a", "tenancy"], ["b", "same"]]
    assert list(body["data"]) == ["a", "b", "__typename"]


def test_two_consents_in_one_operation_are_refused() -> None:
    text = "query($c: ConsentToken!, $d: ConsentToken!) { a: subject(consent: $c) { grant { status } } %s }"
    second = "b: subject(consent: $d) { grant { status } }"
    with pytest.raises(RequestError) as refused:
        plan_of(Drawn(text % second, {"c": TOKEN, "d": "kct_other"}))
    assert refused.value.code == "VALIDATION_FAILED"


NULLED = [
    ("$on: Boolean = true", "grant @include(if: $on) { status }"),
    ("$on: Boolean = false", "grant @skip(if: $on) { status }"),
    ('$on: Date = "2027-03-31"', "immigration { stayCoversUntil(on: $on) { value } }"),
    ("$on: Int = 62000", "tenancy(rentYenPerMonth: $on) { outcome }"),
]


@pytest.mark.parametrize(("declared", "asked"), NULLED)
def test_null_for_a_variable_with_a_default_is_refused_as_the_callers_mistake(declared: str, asked: str) -> None:
    """The document is valid; graphql-core finds the null only when it executes."""
    text = f"query($c: ConsentToken!, {declared}) {{ subject(consent: $c) {{ {asked} }} }}"
    assert not validate(ORACLE, parse(text))
    with pytest.raises(RequestError) as refused:
        plan_of(Drawn(text, {"c": TOKEN, "on": None}))
    assert refused.value.code == "VALIDATION_FAILED"


NOTHING_SELECTED = [
    "tax { income { value @skip(if: true) } }",
    "tax { income { ... on IncomeBandClaim @include(if: false) { value state } } }",
    "tenancy(rentYenPerMonth: 62000) { outcome @skip(if: true) }",
    "tenancy(rentYenPerMonth: 62000) { rules { id @skip(if: true) } rulePack { sha256 @include(if: false) } }",
    "answer { id @skip(if: true) } grant { status @skip(if: true) }",
    "tax { income @skip(if: true) { value } }",
]


@pytest.mark.parametrize("asked", NOTHING_SELECTED)
def test_an_object_with_nothing_selected_is_empty(asked: str) -> None:
    drawn = Drawn(f"query($c: ConsentToken!) {{ subject(consent: $c) {{ {asked} }} }}", {"c": TOKEN})
    claims = {
        "Tax.income": claim_json(
            Claim(None, ClaimState.EVIDENCE_NEEDED, Reason.NOT_STATED), ATTRIBUTES["Tax.income"], as_of=None
        )
    }
    decisions = {"Subject.tenancy(rentYenPerMonth:62000)": decision_json(_decision(Random(4)))}
    grant = GrantView("ACTIVE", _moment(Random(1)), 3, None)
    stored = Given(_answer(Random(1), claims, decisions), frozenset(), grant)
    assert orjson.dumps(projected(drawn, stored)) == orjson.dumps(Oracle(stored).execute(drawn))
