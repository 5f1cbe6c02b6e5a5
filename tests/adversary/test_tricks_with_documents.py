"""However a document is written, it asks what it asks: no trick of GraphQL reaches what was not consented to."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, difference, own_sandbox, settings_for

PUT = "Tax.incomeMeets(yearlyYen:2400000)"
SECRETS = ("ARREARS", "CLEAR", "TAX_CERT", "ON_PERIOD", "UNLIMITED")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def token(quick: Caller) -> str:
    """P10 let the lender know one thing: whether the income meets 2.4 million yen."""
    return (await quick.consent("P10", "lender", "LENDING", request_for("Tax.incomeMeets")))[0]


async def ask(caller: Caller, token: str, fields: str, declared: str = "", **variables: Any) -> dict[str, Any]:
    document = f"query($consent: ConsentToken! {declared}) {{ subject(consent: $consent) {{ {fields} }} }}"
    return await caller.as_party("lender", document, {"consent": token, **variables})


PROBES = {
    "another threshold": "tax { incomeMeets(yearlyYen: 2400001) { value } }",
    "another threshold under the old name": "incomeMeets: tax { incomeMeets(yearlyYen: 3600000) { value } }",
    "another field under the name of the one": "tax { incomeMeets: residentTax { value } }",
    "another domain under the name of the one": "tax: insurance { incomeMeets: premiums24m { value } }",
    "a fragment": "...F",
    "an inline fragment": "... on Subject { ... { tax { ... on Tax { residentTax { value } } } } }",
    "included": "tax @include(if: true) { residentTax @skip(if: false) { value } }",
    "a decision that knows": "lending(product: CONSUMER, amountYen: 800000, termMonths: 1) { outcome }",
    "the match": "recordMatch { value }",
    "the binding": "identityBinding { value }",
}


@pytest.mark.parametrize("name", PROBES)
async def test_a_probe_is_refused_before_any_source_is_called(quick: Caller, token: str, name: str) -> None:
    before = await quick.calls()
    fragment = " fragment F on Subject { tax { residentTax { value state asOf } } }" if name == "a fragment" else ""
    document = f"query($consent: ConsentToken!) {{ subject(consent: $consent) {{ {PROBES[name]} }} }}{fragment}"
    body = await quick.as_party("lender", document, {"consent": token})
    assert codes(body) == ["FIELD_NOT_CONSENTED"]
    assert not [secret for secret in SECRETS if secret in json.dumps(body)]
    assert difference(before, await quick.calls()) == {}


async def test_many_thresholds_at_once_tell_only_the_one(quick: Caller, token: str) -> None:
    thresholds = [240_000 * step for step in range(6, 14)]
    fields = " ".join(f"a{yen}: incomeMeets(yearlyYen: {yen}) {{ value }}" for yen in thresholds)
    body = await ask(quick, token, f"tax {{ {fields} }}")
    answered = {key for key, claim in body["data"]["subject"]["tax"].items() if claim is not None}
    assert answered == {"a2400000"}
    assert codes(body) == ["FIELD_NOT_CONSENTED"] * (len(thresholds) - 1)


async def test_more_thresholds_than_may_be_are_no_document(quick: Caller, token: str) -> None:
    before = await quick.calls()
    fields = " ".join(f"a{yen}: incomeMeets(yearlyYen: {yen}) {{ value }}" for yen in range(240_000, 480_000, 24_000))
    assert codes(await ask(quick, token, f"tax {{ {fields} }}")) == ["QUERY_TOO_COMPLEX"]
    assert difference(before, await quick.calls()) == {}


async def test_thresholds_by_variables_tell_only_the_one(quick: Caller, token: str) -> None:
    for yen in (2_399_999, 2_400_000, 2_400_001):
        body = await ask(quick, token, "tax { incomeMeets(yearlyYen: $y) { value } }", ", $y: Int!", y=yen)
        assert (codes(body) == []) is (yen == 2_400_000)


async def test_a_default_is_a_value_like_any_other(quick: Caller, token: str) -> None:
    asked = "tax { incomeMeets(yearlyYen: $y) { value } }"
    assert codes(await ask(quick, token, asked, ", $y: Int! = 2400000")) == []
    assert codes(await ask(quick, token, asked, ", $y: Int! = 2400001")) == ["FIELD_NOT_CONSENTED"]
    assert codes(await ask(quick, token, asked, ", $y: Int! = 2400000", y=2400001)) == ["FIELD_NOT_CONSENTED"]
    assert codes(await ask(quick, token, asked, ", $y: Int! = 2400001", y=2400000)) == []


async def test_a_whole_number_written_as_a_fraction_is_the_same_number_or_none(quick: Caller, token: str) -> None:
    asked = "tax { incomeMeets(yearlyYen: $y) { value } }"
    for written, allowed in ((2_400_000.0, ([], ["VALIDATION_FAILED"])), (2_400_000.5, (["VALIDATION_FAILED"],))):
        assert codes(await ask(quick, token, asked, ", $y: Int!", y=written)) in allowed
    others: tuple[Any, ...] = ("2400000", [2_400_000], True, {"value": 2_400_000})
    for other in others:
        assert codes(await ask(quick, token, asked, ", $y: Int!", y=other)) == ["VALIDATION_FAILED"]


async def test_conditions_by_variables_decide_anew_each_time(quick: Caller, token: str) -> None:
    fields = "tax { incomeMeets(yearlyYen: 2400000) { value } residentTax @include(if: $more) { value } }"
    for more in (False, True, False, True):
        body = await ask(quick, token, fields, ", $more: Boolean!", more=more)
        assert codes(body) == (["FIELD_NOT_CONSENTED"] if more else [])
        assert body["data"]["subject"]["tax"].get("residentTax") is None
        assert body["data"]["subject"]["tax"]["incomeMeets"]["value"] is True


async def test_what_is_skipped_is_not_asked_and_not_answered(quick: Caller, token: str) -> None:
    for fields, expected in (
        ("tax { incomeMeets(yearlyYen: 2400000) { value @skip(if: true) } }", {"tax": {"incomeMeets": {}}}),
        ("tax @skip(if: true) { residentTax { value } } __typename", {"__typename": "Subject"}),
        ("tax { residentTax @skip(if: true) { value } incomeMeets(yearlyYen: 2400000) { s: state } }",
         {"tax": {"incomeMeets": {"s": "CONFIRMED"}}}),
    ):  # fmt: skip
        body = await ask(quick, token, fields)
        assert (body["data"]["subject"], codes(body)) == (expected, [])


async def test_asking_for_nothing_but_names_tells_nothing(quick: Caller, token: str) -> None:
    before = await quick.calls()
    body = await ask(quick, token, "__typename tax { __typename } insurance { t: __typename }")
    assert body["data"]["subject"] == {
        "__typename": "Subject", "tax": {"__typename": "Tax"}, "insurance": {"t": "Insurance"},
    }  # fmt: skip
    assert difference(before, await quick.calls()) == {}


async def test_the_name_of_a_refused_claims_type_is_not_told_either(quick: Caller, token: str) -> None:
    body = await ask(quick, token, "tax { residentTax { __typename } }")
    assert body["data"]["subject"]["tax"] == {"residentTax": None}


async def test_fields_that_are_repeated_are_one(quick: Caller, token: str) -> None:
    once = "tax { incomeMeets(yearlyYen: 2400000) { value } }"
    body = await ask(quick, token, " ".join([once] * 10))
    assert body["data"]["subject"] == {"tax": {"incomeMeets": {"value": True}}}
    refused = await ask(quick, token, " ".join(["tax { residentTax { value } }"] * 10))
    assert codes(refused) == ["FIELD_NOT_CONSENTED"]


async def test_repeated_fields_that_ask_different_things_are_no_document(quick: Caller, token: str) -> None:
    body = await ask(
        quick, token, "tax { incomeMeets(yearlyYen: 2400000) { value } incomeMeets(yearlyYen: 1) { value } }"
    )
    assert codes(body) == ["VALIDATION_FAILED"]


async def test_two_tokens_in_one_document_are_refused(quick: Caller, token: str) -> None:
    other, _ = await quick.consent("P18", "lender", "LENDING", request_for("Tax.residentTax"))
    before = await quick.calls()
    variables = {"a": token, "b": other}
    for document in (
        "query($a: ConsentToken!, $b: ConsentToken!) { x: subject(consent: $a) "
        "{ tax { incomeMeets(yearlyYen: 2400000) { value } } } "
        "y: subject(consent: $b) { tax { residentTax { value } } } }",
        "query($a: ConsentToken!, $b: ConsentToken!) { x: subject(consent: $a) { answer { id } } ...F } "
        "fragment F on Query { y: subject(consent: $b) { answer { id } } }",
    ):
        body = await quick.as_party("lender", document, variables)
        assert codes(body) == ["VALIDATION_FAILED"]
        assert "data" not in body
    assert difference(before, await quick.calls()) == {}


async def test_the_same_token_twice_is_one_question_about_one_person(quick: Caller, token: str) -> None:
    document = (
        "query($a: ConsentToken!, $b: ConsentToken!) { x: subject(consent: $a) { answer { id } tax { __typename } } "
        "y: subject(consent: $b) { answer { id } tax { residentTax { value } } } }"
    )
    body = await quick.as_party("lender", document, {"a": token, "b": token})
    assert [error["path"] for error in body["errors"]] == [["y", "tax", "residentTax"]]


async def test_a_token_may_stand_in_the_document(quick: Caller, token: str) -> None:
    document = f'{{ subject(consent: "{token}") {{ tax {{ incomeMeets(yearlyYen: 2400000) {{ value }} }} }} }}'
    body = await quick.as_party("lender", document)
    assert body["data"]["subject"]["tax"]["incomeMeets"]["value"] is True
    other = await quick.as_party("bank", document)
    assert codes(other) == ["CONSENT_INVALID"], "a document that was run before opens nothing to another party"
    block = document.replace(f'"{token}"', f'"""{token}"""')
    assert "errors" not in await quick.as_party("lender", block)


async def test_one_partys_compiled_document_is_not_another_partys_answer(quick: Caller, token: str) -> None:
    document = request_for("Tax.incomeMeets")
    assert "errors" not in await quick.as_party("lender", document, {"consent": token})
    for party in ("bank", "other-bank", "landlord"):
        body = await quick.as_party(party, document, {"consent": token})
        assert (body["data"], codes(body)) == ({"subject": None}, ["CONSENT_INVALID"])


ODD_TOKENS: list[Any] = [
    "", " ", "\t", "\u0000", "kct_", "KCT_", "kct_" + "a" * 26, "kct_" + "a" * 60_000, "ｋｃｔ＿ａ", "kct_\u200b",
    "\u202ekct_", "💥" * 100, "%00", "' OR 1=1 --", "../../etc/passwd", "${jndi:ldap://x}", "null", 0, 1, -1, 1.5,
    True, False, [], {}, ["kct_"], {"$ne": None}, 10**18,
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD_TOKENS, ids=lambda odd: repr(odd)[:20])
async def test_an_odd_token_opens_nothing(quick: Caller, odd: Any) -> None:
    body = await quick.as_party("lender", request_for("Tax.incomeMeets"), {"consent": odd})
    assert codes(body) in (["CONSENT_INVALID"], ["VALIDATION_FAILED"])
    assert body.get("data") in (None, {"subject": None})


@pytest.mark.parametrize("around", ["{t} ", " {t}", "{t}\u200b", "\ufeff{t}", "{t}\n", "{t}\u0000", "{t}a", "{t}="])
async def test_a_token_is_itself_to_the_letter(quick: Caller, token: str, around: str) -> None:
    body = await quick.as_party("lender", request_for("Tax.incomeMeets"), {"consent": around.format(t=token)})
    assert codes(body) == ["CONSENT_INVALID"]
    assert codes(await quick.as_party("lender", request_for("Tax.incomeMeets"), {"consent": token.upper()})) == [
        "CONSENT_INVALID"
    ]


@pytest.mark.parametrize(
    "field",
    ["tаx { incomeMeets(yearlyYen: 2400000) { value } }", "tax { incomeMeets(yearlyYen: ２４００００0) { value } }",
     "tax\u200b { __typename }", "ﬁeld", "tax { incomeMeets(yearlyYen: 2400000) { vаlue } }"],
)  # fmt: skip
async def test_letters_that_only_look_alike_are_other_letters(quick: Caller, token: str, field: str) -> None:
    assert codes(await ask(quick, token, field)) == ["VALIDATION_FAILED"]


async def test_an_alias_may_be_anything_that_graphql_allows_and_changes_nothing(quick: Caller, token: str) -> None:
    for alias in ("__proto__", "constructor", "toString", "data", "errors", "extensions", "_", "a" * 200):
        body = await ask(
            quick, token, f"{alias}: tax {{ {alias}: incomeMeets(yearlyYen: 2400000) {{ {alias}: value }} }}"
        )
        assert body["data"]["subject"] == {alias: {alias: {alias: True}}}


ODD_DAYS = (
    "0001-01-01",
    "9999-12-31",
    "2027-02-28",
    "20270331",
    "2027-W13-3",
    "2027-03-31T00:00:00",
    "2027-02-30",
    "",
)


@pytest.mark.parametrize("day", ODD_DAYS)
async def test_an_odd_day_breaks_nothing(quick: Caller, day: str) -> None:
    document = (
        "query($consent: ConsentToken!, $day: Date!) { subject(consent: $consent) "
        "{ immigration { stayCoversUntil(on: $day) { value state } } } }"
    )
    for person in ("P10", "P01"):
        preview = await quick.preview(person, "lender", "LENDING", document, {"day": day})
        assert codes(preview) in ([], ["VALIDATION_FAILED"], ["OFF_GRID"])
        if not codes(preview):
            claim = preview["data"]["previewConsent"]["questions"][0]["claim"]
            assert claim["state"] == "CONFIRMED"
        own = await quick.as_person(
            person,
            "query($day: Date!) { me { claims { immigration { stayCoversUntil(on: $day) { value } } } } }",
            {"day": day},
        )
        assert codes(own) in ([], ["VALIDATION_FAILED"])


ODD_LOANS = ((0, 0), (-1, -1), (2147483647, 2147483647), (-2147483648, -2147483648), (1, 0), (0, 12))


@pytest.mark.parametrize(("amount", "term"), ODD_LOANS)
async def test_an_odd_loan_breaks_nothing(quick: Caller, amount: int, term: int) -> None:
    asked = (
        "query($consent: ConsentToken!, $a: Int!, $t: Int!) { subject(consent: $consent) "
        "{ lending(product: CONSUMER, amountYen: $a, termMonths: $t) { outcome } } }"
    )
    preview = await quick.preview("P01", "lender", "LENDING", asked, {"a": amount, "t": term})
    assert "INTERNAL" not in codes(preview)


@pytest.mark.parametrize("odd", [[[[]]], {"a": {"b": []}}, 1, True, "kct_x", None])
async def test_a_request_may_name_any_token_or_none(quick: Caller, odd: Any) -> None:
    preview = await quick.preview("P10", "lender", "LENDING", request_for("Tax.incomeMeets"), {"consent": odd})
    assert codes(preview) in ([], ["VALIDATION_FAILED"])


async def test_a_request_whose_token_is_nested_for_ever_is_refused_and_breaks_nothing(quick: Caller) -> None:
    query = (
        "mutation($document: String!, $variables: JSON) { previewConsent(document: $document, variables: $variables, "
        'relyingParty: "lender", purpose: LENDING) { id } }'
    )
    given = json.dumps(
        {"query": query, "variables": {"document": request_for("Tax.incomeMeets"), "variables": "HERE"}}
    )
    content = given.replace('"HERE"', '{"consent": ' + "[" * 900 + "]" * 900 + "}")
    headers = {"authorization": "Person P10", "content-type": "application/json"}
    response = await quick.http.post("/graphql", content=content, headers=headers)
    assert codes(response.json()) in ([], ["VALIDATION_FAILED"], ["BAD_JSON"])

    asked = json.dumps({"query": request_for("Tax.incomeMeets"), "variables": "HERE"})
    content = asked.replace('"HERE"', '{"consent": ' + "[" * 900 + "]" * 900 + "}")
    headers["authorization"] = f"Bearer {quick.running.keys['lender']}"
    response = await quick.http.post("/graphql", content=content, headers=headers)
    assert codes(response.json()) in (["CONSENT_INVALID"], ["VALIDATION_FAILED"], ["BAD_JSON"])


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        ([], "CONSENT_REQUEST_INVALID"),
        ("x", "CONSENT_REQUEST_INVALID"),
        (1, "CONSENT_REQUEST_INVALID"),
        (True, "CONSENT_REQUEST_INVALID"),
        ({"nope": 1}, "VALIDATION_FAILED"),
        ({"consent": "x", "": 1}, "VALIDATION_FAILED"),
        ({"a" * 5000: 1}, "VALIDATION_FAILED"),
    ],
)
async def test_odd_variables_of_a_request_are_refused(quick: Caller, variables: Any, code: str) -> None:
    query = (
        "mutation($document: String!, $variables: JSON) { previewConsent(document: $document, variables: $variables, "
        'relyingParty: "lender", purpose: LENDING) { id } }'
    )
    body = await quick.as_person("P10", query, {"document": request_for("Tax.incomeMeets"), "variables": variables})
    assert (body["data"], codes(body)) == ({"previewConsent": None}, [code])
    assert "a" * 100 not in json.dumps(body)
