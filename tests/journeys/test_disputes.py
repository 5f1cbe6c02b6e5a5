"""What a person says is wrong is shared with nobody until it is settled, and nobody can tell that they said so."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.asking import example_variables, read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import codes, difference, own_sandbox, settings_for
from tests.journeys.test_worker_hands_over_a_share_code import GRANT, new_code, redeem

FIELDS = "id claim record statement openedAt closedAt outcome correctedBy"
OPEN = f"""mutation($claim: String, $record: SourceAuthority, $statement: String!) {{
  openDispute(claim: $claim, record: $record, statement: $statement) {{ {FIELDS} }} }}"""
CLOSE = f"""mutation($id: ID!, $outcome: DisputeOutcome!, $by: SourceAuthority) {{
  closeDispute(dispute: $id, outcome: $outcome, correctedBy: $by) {{ {FIELDS} }} }}"""
DISPUTES = f"{{ me {{ disputes {{ {FIELDS} }} }} }}"
STATEMENT = "The second job is missing. 二つ目の勤務先がありません。"
INCOME = ("Tax.income", "Tax.incomeMeets")
OF_TAX = (*INCOME, "Tax.incomeBasis", "Tax.certificate", "Tax.residentTax")
TENANCY = read_example(Purpose.TENANCY)
REFUSED = ["CONSENT_REQUEST_INVALID"]


@pytest_asyncio.fixture(scope="module", loop_scope="session", name="quick")
async def make_quick(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Caller]:
    async with own_sandbox(settings_for(tmp_path_factory.mktemp("state"))) as made:
        yield made


async def dispute(caller: Caller, person: str, statement: str = STATEMENT, **about: str) -> dict[str, Any]:
    body = await caller.as_person(person, OPEN, {"statement": statement, **about})
    assert "errors" not in body, body
    return dict(body["data"]["openDispute"])


async def close(caller: Caller, person: str, dispute_id: str, outcome: str, by: str | None = None) -> dict[str, Any]:
    return await caller.as_person(person, CLOSE, {"id": dispute_id, "outcome": outcome, "by": by})


def tenancy(caller: Caller, person: str) -> dict[str, Any]:
    return example_variables(Purpose.TENANCY, caller.running.people.asks[person], person_id=person)


async def questions_on(caller: Caller, person: str, party: str, document: str, *coordinates: str) -> tuple[str, ...]:
    """The canonical texts of these coordinates in a document."""
    previewed = await caller.preview(person, party, "LENDING", document)
    texts = [question["question"] for question in previewed["data"]["previewConsent"]["questions"]]
    return tuple(text for text in texts if text.partition("(")[0] in coordinates)


def claim(body: dict[str, Any], coordinate: str) -> dict[str, Any]:
    domain, _, name = coordinate.partition(".")
    return dict(body["data"]["subject"][domain.lower()][name])


# --- what relying parties see --------------------------------------------------------------------------------


@pytest.mark.parametrize("disputed", INCOME)
async def test_a_disputed_claim_looks_exactly_as_if_it_had_been_left_out(quick: Caller, disputed: str) -> None:
    person = {"Tax.income": "P05", "Tax.incomeMeets": "P09"}[disputed]
    document = request_for(*INCOME, "Immigration.statusLawful", "Labor.employed")
    hidden = await questions_on(quick, person, "lender", document, *INCOME)
    assert len(hidden) == 2
    shared, _ = await quick.consent(person, "lender", "LENDING", document)
    left_out, _ = await quick.consent(person, "lender", "LENDING", document, leave_out=hidden)
    before = await quick.as_party("lender", document, {"consent": shared})
    assert {claim(before, coordinate)["state"] for coordinate in INCOME} == {"CONFIRMED"}

    opened = await dispute(quick, person, claim=disputed)
    after = await quick.as_party("lender", document, {"consent": shared})
    as_left_out = await quick.as_party("lender", document, {"consent": left_out})
    assert "errors" not in after
    assert after["data"] == as_left_out["data"], "byte for byte"
    assert list(after["data"]["subject"]) == list(as_left_out["data"]["subject"])
    for coordinate in INCOME:
        assert (claim(after, coordinate)["state"], claim(after, coordinate)["value"]) == ("WITHHELD", None)
    assert claim(after, "Immigration.statusLawful") == claim(before, "Immigration.statusLawful")

    await close(quick, person, opened["id"], "UPHELD")
    assert (await quick.as_party("lender", document, {"consent": shared}))["data"] == before["data"]


async def test_a_question_alone_tells_left_out_and_disputed_apart_neither_by_uses_nor_by_calls(quick: Caller) -> None:
    """Whoever asks nothing else could see what was charged, and when a source was asked."""
    document = request_for("Tax.income", "Labor.employed")
    grant = "subject(consent: $consent) { grant { usesLeft nextRefreshAt }"
    alone = request_for("Tax.income").replace("subject(consent: $consent) {", grant)
    shared, grant_id = await quick.consent("P02", "lender", "LENDING", document)
    left_out, other_id = await quick.consent("P02", "lender", "LENDING", document, leave_out=("Tax.income",))
    opened = await dispute(quick, "P02", claim="Tax.income")
    for one in (grant_id, other_id):
        await quick.running.gateway.gatherer.cancel(one)  # forget what the previews gathered
    before = await quick.calls()
    seen = [(await quick.as_party("lender", alone, {"consent": token})) for token in (shared, left_out)]
    assert difference(before, await quick.calls()) == {}
    await close(quick, "P02", opened["id"], "WITHDRAWN")
    assert not codes(seen[0])
    assert seen[0]["data"] == seen[1]["data"]


async def test_whoever_redeems_a_code_cannot_tell_what_was_left_out_from_what_is_disputed(quick: Caller) -> None:
    """Both are among the questions that may be asked, and both are withheld."""
    document = request_for("Tax.income", "Tax.residentTax", "Labor.employed")
    opened = await dispute(quick, "P07", claim="Tax.income")
    given = {"d": document, "p": "LENDING"}
    preview = "mutation($d: String!, $p: Purpose!) { previewConsent(document: $d, purpose: $p) { id } }"
    preview_id = (await quick.as_person("P07", preview, given))["data"]["previewConsent"]["id"]
    granted = await quick.as_person("P07", GRANT, {"id": preview_id, "out": ["Tax.residentTax"]})
    code = (await new_code(quick, granted["data"]["grantConsent"]["grant"]["id"], person="P07"))["code"]
    redeemed = (await redeem(quick, "lender", code, person="P07"))["data"]["redeemShareCode"]
    body = await quick.as_party("lender", document, {"consent": redeemed["consentToken"]})
    withheld = {
        c for c in ("Tax.income", "Tax.residentTax", "Labor.employed") if claim(body, c)["state"] == "WITHHELD"
    }
    await close(quick, "P07", opened["id"], "WITHDRAWN")
    assert withheld == {"Tax.income", "Tax.residentTax"}
    assert set(redeemed["questions"]) >= withheld, "a withheld question that is listed would be the disputed one"


async def test_a_disputed_record_withholds_all_that_is_read_from_it_and_nothing_else(quick: Caller) -> None:
    others = ("Immigration.statusLawful", "Labor.tenure", "Insurance.premiums24m")
    document = request_for(*OF_TAX, *others)
    token, _ = await quick.consent("P10", "lender", "LENDING", document)
    before = await quick.as_party("lender", document, {"consent": token})
    opened = await dispute(quick, "P10", record="TAX")
    assert (opened["claim"], opened["record"]) == (None, "TAX")
    after = await quick.as_party("lender", document, {"consent": token})
    assert {(claim(after, c)["state"], claim(after, c)["value"]) for c in OF_TAX} == {("WITHHELD", None)}
    for coordinate in others:
        assert claim(after, coordinate) == claim(before, coordinate)
    await close(quick, "P10", opened["id"], "WITHDRAWN")
    assert (await quick.as_party("lender", document, {"consent": token}))["data"] == before["data"]


async def test_rules_that_weigh_what_is_disputed_ask_for_other_evidence(quick: Caller) -> None:
    variables = tenancy(quick, "P01")
    token, _ = await quick.consent("P01", "landlord", "TENANCY", TENANCY, variables)
    before = await decided(quick, token, variables)
    assert before["outcome"] == "ELIGIBLE"
    opened = await dispute(quick, "P01", claim="Tax.income")
    after = await decided(quick, token, variables)
    assert after["outcome"] == "NEEDS_EVIDENCE"
    changed = {rule["id"]: rule["result"] for rule in after["rules"] if rule not in before["rules"]}
    assert changed == {"TN-05": "EVIDENCE"}, "the rent against the income, and nothing else"
    assert not [word for word in ("disput", "異議") if word in json.dumps(after, ensure_ascii=False).lower()]
    await close(quick, "P01", opened["id"], "UPHELD")
    assert (await decided(quick, token, variables))["outcome"] == "ELIGIBLE"


async def decided(caller: Caller, token: str, variables: dict[str, Any]) -> dict[str, Any]:
    body = await caller.as_party("landlord", TENANCY, {**variables, "consent": token})
    assert "errors" not in body, body
    return dict(body["data"]["subject"]["tenancy"])


async def test_a_consent_given_while_a_dispute_is_open_withholds_too(quick: Caller) -> None:
    opened = await dispute(quick, "P20", record="IMMIGRATION")
    document = request_for("Immigration.statusLawful", "Labor.employed")
    token, _ = await quick.consent("P20", "lender", "LENDING", document)
    body = await quick.as_party("lender", document, {"consent": token})
    assert claim(body, "Immigration.statusLawful")["state"] == "WITHHELD"
    second = await dispute(quick, "P20", claim="Immigration.statusLawful")
    await close(quick, "P20", opened["id"], "WITHDRAWN")
    body = await quick.as_party("lender", document, {"consent": token})
    assert claim(body, "Immigration.statusLawful")["state"] == "WITHHELD", "the other one is still open"
    await close(quick, "P20", second["id"], "WITHDRAWN")
    body = await quick.as_party("lender", document, {"consent": token})
    assert claim(body, "Immigration.statusLawful")["state"] == "CONFIRMED"


async def test_a_dispute_costs_the_relying_party_no_use(quick: Caller) -> None:
    asked = request_for("Immigration.statusLawful").replace("immigration {", "grant { usesLeft } immigration {")
    token, _ = await quick.consent("P14", "bank", "ACCOUNT_OPENING", asked)
    before = await quick.as_party("bank", asked, {"consent": token})
    opened = await dispute(quick, "P14", record="IMMIGRATION")
    during = await quick.as_party("bank", asked, {"consent": token})
    await close(quick, "P14", opened["id"], "UPHELD")
    after = await quick.as_party("bank", asked, {"consent": token})
    assert claim(during, "Immigration.statusLawful")["state"] == "WITHHELD"
    assert [body["data"]["subject"]["grant"] for body in (before, during, after)] == [{"usesLeft": 2}] * 3


async def test_one_persons_dispute_changes_nothing_for_another(quick: Caller) -> None:
    document = request_for("Tax.incomeBasis")
    token, _ = await quick.consent("P21", "lender", "LENDING", document)
    before = await quick.as_party("lender", document, {"consent": token})
    await dispute(quick, "P06", record="TAX")
    assert (await quick.as_party("lender", document, {"consent": token}))["data"] == before["data"]


async def test_the_person_still_sees_what_they_dispute(quick: Caller) -> None:
    query = "{ me { claims { tax { income { value state } } } records(source: TAX) { state } } }"
    before = await quick.as_person("P04", query)
    await dispute(quick, "P04", claim="Tax.income")
    assert (await quick.as_person("P04", query))["data"] == before["data"]


# --- what the person sees ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("outcome", "by"), [("CORRECTED", "TAX"), ("UPHELD", None), ("WITHDRAWN", None)])
async def test_a_closed_dispute_tells_how_it_ended_and_who_corrected_what(
    quick: Caller, outcome: str, by: str | None
) -> None:
    person = {"CORRECTED": "P11", "UPHELD": "P12", "WITHDRAWN": "P15"}[outcome]
    opened = await dispute(quick, person, claim="Tax.income")
    assert (opened["closedAt"], opened["outcome"], opened["correctedBy"]) == (None, None, None)
    closed = (await close(quick, person, opened["id"], outcome, by))["data"]["closeDispute"]
    seen = (await quick.as_person(person, DISPUTES))["data"]["me"]["disputes"]
    assert seen == [closed]
    assert closed == {**opened, "closedAt": closed["closedAt"], "outcome": outcome, "correctedBy": by}
    assert (closed["claim"], closed["statement"], closed["openedAt"]) == ("Tax.income", STATEMENT, opened["openedAt"])
    assert closed["closedAt"] >= closed["openedAt"]
    accesses = (await quick.as_person(person, "{ me { accesses { kind relyingParty { id } } } }"))["data"]["me"]
    assert [(access["kind"], access["relyingParty"]) for access in reversed(accesses["accesses"])] == [
        ("DISPUTE_OPENED", None),
        ("DISPUTE_CLOSED", None),
    ]


async def test_nobody_else_sees_or_closes_a_dispute(quick: Caller) -> None:
    opened = await dispute(quick, "P17", claim="Tax.income")
    assert codes(await close(quick, "P16", opened["id"], "WITHDRAWN")) == REFUSED
    assert (await quick.as_person("P16", DISPUTES))["data"]["me"]["disputes"] == []
    for query, variables in ((DISPUTES, {}), (CLOSE, {"id": opened["id"], "outcome": "WITHDRAWN"})):
        response = await quick.post(f"Bearer {quick.running.keys['bank']}", query, variables)
        assert (response.status_code, codes(response.json())) == (401, ["TOKEN_INVALID"])
    assert (await quick.as_person("P17", DISPUTES))["data"]["me"]["disputes"] == [opened]


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"claim": "Tax.income", "record": "TAX"},
        {"claim": ""},
        {"claim": "Tax"},
        {"claim": "Tax.wealth"},
        {"claim": "tax.income"},
        {"claim": "Subject.tenancy"},
        {"claim": 'Tax.incomeMeets(yearlyYen: 2400000)"'},
        {"claim": "Tax.income\x00"},
    ],
)
async def test_a_dispute_is_about_one_claim_or_one_record(quick: Caller, about: dict[str, str]) -> None:
    body = await quick.as_person("P08", OPEN, {"statement": STATEMENT, **about})
    assert (body["data"], codes(body)) == ({"openDispute": None}, REFUSED)
    assert (await quick.as_person("P08", DISPUTES))["data"]["me"]["disputes"] == []


@pytest.mark.parametrize(("outcome", "by"), [("CORRECTED", None), ("UPHELD", "TAX"), ("WITHDRAWN", "TAX")])
async def test_a_correction_names_who_made_it_and_nothing_else_does(quick: Caller, outcome: str, by: str) -> None:
    opened = await dispute(quick, "P13", claim="Tax.income")
    assert codes(await close(quick, "P13", opened["id"], outcome, by)) == REFUSED
    assert "errors" not in await close(quick, "P13", opened["id"], "WITHDRAWN")
    for again in ("WITHDRAWN", "UPHELD"):
        assert codes(await close(quick, "P13", opened["id"], again)) == REFUSED, "it is closed"
    assert codes(await close(quick, "P13", "no-such-dispute", "WITHDRAWN")) == REFUSED


# --- what is written -----------------------------------------------------------------------------------------

UNPRINTABLE = {
    "nothing": "", "blanks": " \n\t ", "NUL": "a\x00b", "bidi override": "a\u202eb", "bidi isolate": "a\u2066b",
    "escape": "a\x1b[2Jb", "delete": "a\x7fb", "backspace": "a\bb", "a page too many": "a" * 2_001,
}  # fmt: skip
PRINTABLE = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>", "template": "{{7*7}} ${7*7} #{7*7}",
    "quotes": "\"'`--; DROP TABLE dispute", "lines": "one\ntwo", "Japanese": "所得が違います。", "emoji": "🏠💴",
    "Arabic": "الدخل غير صحيح", "Burmese": "ဝင်ငွေမှားနေသည်", "a page": "a" * 2_000,
}  # fmt: skip


@pytest.mark.parametrize("kind", UNPRINTABLE)
async def test_a_statement_that_is_no_plain_text_is_refused(quick: Caller, kind: str) -> None:
    body = await quick.as_person("P19", OPEN, {"statement": UNPRINTABLE[kind], "claim": "Tax.income"})
    assert (body["data"], codes(body)) == ({"openDispute": None}, REFUSED)
    assert (await quick.as_person("P19", DISPUTES))["data"]["me"]["disputes"] == []


@pytest.mark.parametrize("kind", PRINTABLE)
async def test_a_statement_is_kept_as_it_was_written_and_only_ever_sent_as_json(quick: Caller, kind: str) -> None:
    opened = await dispute(quick, "P18", PRINTABLE[kind], record="INSURANCE")
    response = await quick.post("Person P18", DISPUTES)
    assert response.headers["content-type"].startswith("application/json")
    assert response.headers["x-content-type-options"] == "nosniff"
    newest = response.json()["data"]["me"]["disputes"][0]
    assert (newest["id"], newest["statement"]) == (opened["id"], PRINTABLE[kind])
    await close(quick, "P18", opened["id"], "WITHDRAWN")


async def test_a_statement_of_a_megabyte_is_not_even_read(quick: Caller) -> None:
    response = await quick.post("Person P19", OPEN, {"statement": "a" * 1_000_000, "claim": "Tax.income"})
    assert (response.status_code, codes(response.json())) == (413, ["PAYLOAD_TOO_LARGE"])


TEXTS = [
    *(UNPRINTABLE[kind] for kind in ("NUL", "bidi override", "escape")),
    PRINTABLE["markup"],
    "👨\u200d👩\u200d👧",
]
ENTERED = {
    "a question": "mutation($text: String!) { grantConsent(preview: 1, leaveOut: [$text]) { consentToken } }",
    "a claim": 'mutation($text: String!) { openDispute(claim: $text, statement: "x") { id } }',
    "a dispute": "mutation($text: ID!) { closeDispute(dispute: $text, outcome: UPHELD) { id } }",
    "a name": "mutation($text: String!) { eraseMe(name: $text) { entry } }",
    "a grant": "mutation($text: ID!) { createShareCode(grant: $text) { code } }",
    "a relying party": "mutation($text: ID!) { previewConsent(document: \"{ __typename }\", relyingParty: $text, "
                       "purpose: TENANCY) { id } }",
    "a request": "mutation($text: ID!) { openConsentRequest(request: $text) { id } }",
}  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=ascii)
@pytest.mark.parametrize("where", ENTERED)
async def test_whatever_is_typed_where_text_is_entered_is_refused_and_not_repeated(
    quick: Caller, where: str, text: str
) -> None:
    response = await quick.post("Person P03", ENTERED[where], {"text": text})
    assert response.status_code == 200
    assert codes(response.json()) in (REFUSED, ["VALIDATION_FAILED"])
    assert text not in json.dumps(response.json(), ensure_ascii=False)
