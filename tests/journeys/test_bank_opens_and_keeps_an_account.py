"""A bank opens an account, keeps it, and is told by when to look again."""

from gateway.asking import read_example
from resolvers.catalogue import Purpose
from tests.conftest import Caller
from tests.gateway.sandboxes import codes

OPENING = read_example(Purpose.ACCOUNT_OPENING)
KEEPING = read_example(Purpose.ACCOUNT_MAINTENANCE)


async def test_a_bank_opens_an_account_three_times_at_most(caller: Caller) -> None:
    asked = (
        OPENING,
        "query($consent: ConsentToken!) { subject(consent: $consent) { immigration { statusLawful { value } } "
        "grant { usesLeft } } }",
        "query($consent: ConsentToken!) { subject(consent: $consent) { labor { employed { value } } "
        "grant { usesLeft } } }",
    )
    token, _ = await caller.consent("P05", "bank", "ACCOUNT_OPENING", OPENING)
    first = await caller.as_party("bank", asked[0], {"consent": token})
    assert first["data"]["subject"]["accountOpening"]["outcome"] == "ELIGIBLE"
    left = [first["data"]["subject"]["grant"]["usesLeft"]]
    for document in asked[1:]:
        left.append(
            (await caller.as_party("bank", document, {"consent": token}))["data"]["subject"]["grant"]["usesLeft"]
        )
    assert left == [2, 1, 0]
    fourth = "query($consent: ConsentToken!) { subject(consent: $consent) { accountOpening { outcome } } }"
    refused = await caller.as_party("bank", fourth, {"consent": token})
    assert (refused["data"], codes(refused)) == ({"subject": None}, ["CONSENT_ENDED"])


async def test_a_young_person_opens_an_account_with_a_guardian(caller: Caller) -> None:
    token, _ = await caller.consent("P14", "bank", "ACCOUNT_OPENING", OPENING)
    decision = (await caller.as_party("bank", OPENING, {"consent": token}))["data"]["subject"]["accountOpening"]
    (guardian,) = [rule for rule in decision["rules"] if rule["id"] == "AO-08"]
    assert (decision["outcome"], guardian["result"]) == ("CONDITIONAL", "CONDITION")
    assert guardian["condition"] == "GUARDIAN_REQUIRED"
    assert guardian["cures"], "whoever is not there yet is told what helps"


async def test_a_bank_that_keeps_an_account_learns_the_exact_day_to_look_again(caller: Caller) -> None:
    token, _ = await caller.consent("P02", "bank", "ACCOUNT_MAINTENANCE", KEEPING)
    subject = (await caller.as_party("bank", KEEPING, {"consent": token}))["data"]["subject"]
    decision = subject["accountMaintenance"]
    (renewal,) = [rule for rule in decision["rules"] if rule["id"] == "AM-02"]
    assert (decision["outcome"], decision["recheckOn"]) == ("CONDITIONAL", "2026-12-31")
    assert "until 2026-12-31 at the latest" in renewal["explanation"]["en"]
    assert "遅くとも2026年12月31日まで" in renewal["explanation"]["ja"]
    assert subject["immigration"]["stayRecheckBy"] == {"value": "2026-12-31", "state": "CONFIRMED"}
    assert subject["immigration"]["statusLawful"]["value"] is True


async def test_keeping_an_account_can_be_asked_as_often_as_needed(caller: Caller) -> None:
    token, _ = await caller.consent("P01", "bank", "ACCOUNT_MAINTENANCE", KEEPING)
    for _ in range(5):
        subject = (await caller.as_party("bank", KEEPING, {"consent": token}))["data"]["subject"]
        assert subject["accountMaintenance"]["outcome"] == "ELIGIBLE"
        assert subject["grant"] == {**subject["grant"], "status": "ACTIVE", "usesLeft": None}


async def test_a_stay_without_end_has_no_day_to_look_again(caller: Caller) -> None:
    token, _ = await caller.consent("P10", "bank", "ACCOUNT_MAINTENANCE", KEEPING)
    subject = (await caller.as_party("bank", KEEPING, {"consent": token}))["data"]["subject"]
    decision = subject["accountMaintenance"]
    assert (decision["outcome"], decision["recheckOn"]) == ("ELIGIBLE", None)
    assert {rule["id"]: rule["result"] for rule in decision["rules"]}["AM-02"] == "NOT_APPLICABLE"
    assert subject["immigration"]["stayRecheckBy"] == {"value": None, "state": "NOT_APPLICABLE"}
