"""A person sees their records, claims, consents and who asked; leaves out what they like; and decides alone."""

import json
from typing import Any

import pytest

from gateway.asking import RELYING_PARTY_FOR, example_variables, read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.sandboxes import codes

TENANCY = read_example(Purpose.TENANCY)
RENT = {"rentYenPerMonth": 62000}
RECORDS = "{ me { id name records { source state reason observedAt asOf entries { fields { name value } } } } }"


async def records(caller: Caller, person: str) -> dict[str, Any]:
    body = await caller.as_person(person, RECORDS)
    assert "errors" not in body
    return {record["source"]: record for record in body["data"]["me"]["records"]}


def values(record: dict[str, Any], name: str) -> list[str]:
    return [f["value"] for entry in record["entries"] for f in entry["fields"] if f["name"] == name]


async def test_each_source_is_shown_as_it_holds_the_person(caller: Caller) -> None:
    found = await records(caller, "P01")
    assert set(found) == {"IMMIGRATION", "LABOR", "TAX", "INSURANCE"}
    assert {record["state"] for record in found.values()} == {"CONFIRMED"}
    assert all(record["entries"] for record in found.values())
    assert "ZZ20260001ZZ" in json.dumps(found["IMMIGRATION"])
    names = {source: json.dumps(record, ensure_ascii=False) for source, record in found.items()}
    assert "HUONG NGUYEN THI" in names["LABOR"], "in the order of the labor file, which is another"
    assert "NGUYEN THI HUONG" in names["IMMIGRATION"]


async def test_a_restricted_number_and_nationality_are_shown_to_nobody(caller: Caller) -> None:
    text = json.dumps(await records(caller, "P01"), ensure_ascii=False)
    for never in ("123456789018", "個人番号", "ベトナム", "VNM", "VIETNAM", "5001-202601-1"):
        assert never not in text, never
    assert not [word for word in ("nationality", "sex", "gender", "myNumber", "my_number") if word in text]


async def test_a_source_that_is_down_is_shown_as_down(caller: Caller) -> None:
    tax = (await records(caller, "P13"))["TAX"]
    assert (tax["state"], tax["reason"], tax["entries"]) == ("UNAVAILABLE", "SOURCE_UNAVAILABLE", [])


async def test_a_person_sees_their_claims_with_the_fine_reasons(caller: Caller) -> None:
    query = """{ me { claims { recordMatch { value state reason }
      labor { hoursWithinPermission { value state reason } weeklyHours { value }
              affiliationNoticeCurrent { value state reason } employerVerified { state reason } }
      immigration { workPermission { value } stayRecheckBy { value } }
      insurance { pensionCategory { value } healthScheme { value } } } } }"""
    body = await caller.as_person("P16", query)
    assert "errors" not in body
    claims = body["data"]["me"]["claims"]
    assert claims["labor"]["hoursWithinPermission"] == {"value": False, "state": "CONFIRMED", "reason": None}
    assert claims["labor"]["weeklyHours"]["value"] == "GE_30"
    assert claims["labor"]["employerVerified"] == {"state": "EVIDENCE_NEEDED", "reason": "SOURCE_NOT_CONNECTED"}
    assert claims["immigration"]["workPermission"]["value"] == "PART_TIME_ONLY"
    assert claims["immigration"]["stayRecheckBy"]["value"] == "2027-04-07"

    moving = await caller.as_person("P04", "{ me { claims { labor { employed { value state reason } } } } }")
    assert moving["data"]["me"]["claims"]["labor"]["employed"] == {
        "value": None,
        "state": "EVIDENCE_NEEDED",
        "reason": "WITHIN_FILING_WINDOW",
    }


async def test_a_person_sees_their_consents(caller: Caller) -> None:
    token, grant_id = await caller.consent("P15", "landlord", "TENANCY", TENANCY, RENT, leave_out=("Labor.employed",))
    query = """{ me { grants { id status purpose relyingParty { id name { en ja } } questions leftOut
      requestedAt grantedAt endedAt expiresAt usesLeft rulePack { name sha256 } } } }"""
    newest = (await caller.as_person("P15", query))["data"]["me"]["grants"][0]
    assert (newest["id"], newest["status"], newest["purpose"]) == (grant_id, "ACTIVE", "TENANCY")
    assert newest["relyingParty"]["name"] == {"en": "Sumai Rentals (sandbox)", "ja": "すまい賃貸（サンドボックス）"}
    assert set(newest["questions"]) == {
        "Subject.tenancy(rentYenPerMonth:62000)",
        "Immigration.statusLawful",
        "Labor.employed",
        "Tax.incomeBasis",
    }
    assert newest["leftOut"] == ["Labor.employed"]
    assert (newest["endedAt"], newest["usesLeft"], newest["rulePack"]["name"]) == (None, None, "JP-2026.11")
    assert token not in json.dumps(newest), "the token is shown once"

    await caller.revoke("P15", grant_id)
    ended = (await caller.as_person("P15", query))["data"]["me"]["grants"][0]
    assert ended["status"] == "REVOKED"
    assert ended["endedAt"] is not None


async def test_a_person_sees_who_asked_what_the_refused_included_and_never_a_value(caller: Caller) -> None:
    token, _ = await caller.consent("P18", "landlord", "TENANCY", TENANCY, RENT)
    asked = (
        "query($consent: ConsentToken!) { subject(consent: $consent) "
        "{ tax { incomeBasis { value } residentTax { value } } } }"
    )
    await caller.as_party("landlord", asked, {"consent": token})
    only = "query($consent: ConsentToken!) { subject(consent: $consent) { tax { residentTax { value } } } }"
    await caller.as_party("landlord", only, {"consent": token})

    query = "{ me { accesses { entry at kind relyingParty { id } purpose questions refused code } } }"
    refused, released = (await caller.as_person("P18", query))["data"]["me"]["accesses"][:2]
    assert released["entry"] < refused["entry"]
    assert (released["kind"], released["questions"]) == ("RELEASED", ["Tax.incomeBasis"])
    assert (released["refused"], released["code"]) == (["Tax.residentTax"], "FIELD_NOT_CONSENTED")
    assert (refused["kind"], refused["questions"]) == ("REFUSED", [])
    assert (refused["refused"], refused["code"]) == (["Tax.residentTax"], "FIELD_NOT_CONSENTED")
    everything = json.dumps((await caller.as_person("P18", query))["data"])
    for value in ("TAX_CERT", "ARREARS", "CONFIRMED", "ELIGIBLE"):
        assert value not in everything


@pytest.mark.parametrize("purpose", list(Purpose))
@pytest.mark.parametrize("person", ["P02", "P12", "P16"])
async def test_the_preview_shows_what_the_query_then_gives(caller: Caller, person: str, purpose: Purpose) -> None:
    party = RELYING_PARTY_FOR[purpose]
    document = read_example(purpose)
    variables = example_variables(purpose, caller.running.people.asks[person], person_id=person)
    preview = (await caller.preview(person, party, purpose.value, document, variables))["data"]["previewConsent"]
    granted = await caller.as_person(
        person, "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }", {"id": preview["id"]}
    )
    token = granted["data"]["grantConsent"]["consentToken"]
    subject = (await caller.as_party(party, document, {**variables, "consent": token}))["data"]["subject"]
    for shown in preview["questions"]:
        type_name, _, name = shown["question"].partition("(")[0].partition(".")
        given = subject[name] if type_name == "Subject" else subject[type_name.lower()][name]
        if shown["decision"] is not None:
            assert shown["decision"]["outcome"] == given["outcome"]
            assert shown["decision"]["rules"] == [{"id": r["id"], "result": r["result"]} for r in given["rules"]]
            continue
        value = given["value"]
        text = str(value).lower() if isinstance(value, bool) else value
        assert (shown["claim"]["value"], shown["claim"]["state"]) == (text, given["state"]), shown["question"]


async def test_what_is_left_out_is_withheld_without_an_error(caller: Caller) -> None:
    left_out = ("Tax.incomeBasis", "Subject.tenancy(rentYenPerMonth:62000)")
    token, _ = await caller.consent("P01", "landlord", "TENANCY", TENANCY, RENT, leave_out=left_out)
    body = await caller.as_party("landlord", TENANCY, {**RENT, "consent": token})
    assert "errors" not in body
    subject = body["data"]["subject"]
    assert subject["tax"]["incomeBasis"] == {
        "value": None, "state": "WITHHELD", "asOf": None, "source": "TAX", "retryAt": None,
    }  # fmt: skip
    assert subject["tenancy"] is None
    assert subject["immigration"]["statusLawful"]["value"] is True


@pytest.mark.parametrize(
    "leave_out",
    [
        ["Subject.tenancy(rentYenPerMonth:62000)", "Immigration.statusLawful", "Labor.employed", "Tax.incomeBasis"],
        ["Tax.income"],
        ["Labor.employed", "labor.employed"],
        [""],
    ],
)
async def test_leaving_out_everything_or_what_was_not_asked_is_refused(caller: Caller, leave_out: list[str]) -> None:
    preview = (await caller.preview("P01", "landlord", "TENANCY", TENANCY, RENT))["data"]["previewConsent"]
    query = "mutation($id: ID!, $out: [String!]) { grantConsent(preview: $id, leaveOut: $out) { consentToken } }"
    refused = await caller.as_person("P01", query, {"id": preview["id"], "out": leave_out})
    assert (refused["data"], codes(refused)) == ({"grantConsent": None}, ["CONSENT_REQUEST_INVALID"])


async def test_a_request_is_granted_once(caller: Caller) -> None:
    preview = (await caller.preview("P01", "landlord", "TENANCY", TENANCY, RENT))["data"]["previewConsent"]
    query = "mutation($id: ID!) { grantConsent(preview: $id) { consentToken } }"
    first = await caller.as_person("P01", query, {"id": preview["id"]})
    again = await caller.as_person("P01", query, {"id": preview["id"]})
    assert first["data"]["grantConsent"]["consentToken"].startswith("kct_")
    assert codes(again) == ["CONSENT_REQUEST_INVALID"]
