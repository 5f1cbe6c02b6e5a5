"""The day in Japan decides, and nothing else does: not the clock, and not what a purpose may not know."""

import json
import re
import shutil
from datetime import date
from pathlib import Path
from typing import Any

from gateway.asking import RELYING_PARTY_FOR, example_variables, read_example
from resolvers.catalogue import ATTRIBUTES, Purpose
from tests.conftest import Caller
from tests.gateway.questions import request_for
from tests.gateway.sandboxes import CONFIG, own_sandbox, settings_for

NEVER_THE_SAME = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+.:\d]*"
)
STAY_RULES = {
    Purpose.ACCOUNT_OPENING: "AO-01",
    Purpose.ACCOUNT_MAINTENANCE: "AM-01",
    Purpose.TENANCY: "TN-01",
    Purpose.LENDING: "LD-01",
}


async def ask(caller: Caller, person: str, purpose: Purpose) -> dict[str, Any]:
    """The body of the purpose's own example."""
    variables = example_variables(purpose, caller.running.people.asks[person], person_id=person)
    party = RELYING_PARTY_FOR[purpose]
    token, _ = await caller.consent(person, party, purpose.value, read_example(purpose), variables)
    return await caller.as_party(party, read_example(purpose), {**variables, "consent": token})


def decision_of(body: dict[str, Any]) -> dict[str, Any]:
    (found,) = [value for value in body["data"]["subject"].values() if "outcome" in value]
    return dict(found)


async def test_a_stay_that_is_being_renewed_is_lawful_to_its_last_day_and_not_a_day_longer(tmp_path: Path) -> None:
    for day, is_lawful in ((date(2026, 12, 31), True), (date(2027, 1, 1), False)):
        async with own_sandbox(settings_for(tmp_path / day.isoformat()), day=day) as caller:
            for purpose, rule_id in STAY_RULES.items():
                body = await ask(caller, "P02", purpose)
                decision = decision_of(body)
                results = {rule["id"]: rule["result"] for rule in decision["rules"]}
                lawful = body["data"]["subject"]["immigration"]["statusLawful"]
                assert (lawful["value"], lawful["state"]) == (is_lawful, "CONFIRMED")
                assert decision["decidedOn"] == day.isoformat()
                assert (results[rule_id] == "FAIL") is not is_lawful, (day, purpose)
                assert (decision["outcome"] == "NOT_ELIGIBLE_NOW") is not is_lawful, (day, purpose)


def with_a_card_seen_by_its_face(folder: Path, person: str) -> Path:
    """The same people, but this one showed the card and nobody read its chip."""
    people = shutil.copytree(CONFIG / "sandbox", folder / "people")
    read = json.loads((people / "people.json").read_text(encoding="utf-8"))
    (row,) = [row for row in read["people"] if row["id"] == person]
    row["identity_binding_level"] = "CARD_FACE"
    (people / "people.json").write_text(json.dumps(read), encoding="utf-8")
    return people


async def test_from_april_2027_the_face_of_a_card_does_not_open_an_account(tmp_path: Path) -> None:
    found = {}
    people = with_a_card_seen_by_its_face(tmp_path, "P06")
    for day in (date(2027, 3, 31), date(2027, 4, 1)):
        async with own_sandbox(settings_for(tmp_path / day.isoformat()), people=people, day=day) as caller:
            decision = decision_of(await ask(caller, "P06", Purpose.ACCOUNT_OPENING))
        (rule,) = [rule for rule in decision["rules"] if rule["id"] == "AO-06"]
        found[day.isoformat()] = (rule["result"], rule["explanation"]["en"])
    assert found == {
        "2027-03-31": ("PASS", "This point is confirmed."),
        "2027-04-01": ("EVIDENCE", "The card must be read by its chip."),
    }


def twin_folder(folder: Path) -> Path:
    """The same people, but P16's second job takes eight hours a week: 26 in all, for the same wages."""
    people = shutil.copytree(CONFIG / "sandbox", folder / "people")
    labor = people / "labor.csv"
    lines = labor.read_bytes().decode("cp932").split("\r\n")
    (place,) = [i for i, line in enumerate(lines) if "ZZ20250016ZZ" in line and ",,16,アルバイト," in line]
    lines[place] = lines[place].replace(",,16,アルバイト,", ",,8,アルバイト,")
    labor.write_bytes("\r\n".join(lines).encode("cp932"))
    return people


def twin_requests() -> dict[str, tuple[Purpose, str]]:
    """Every attribute under every purpose that lists it, one by one."""
    bounds = settings_for(Path()).purposes
    return {
        f"{purpose} {coordinate}": (purpose, request_for(coordinate))
        for purpose in Purpose
        for coordinate in ATTRIBUTES
        if bounds[purpose].allows(coordinate)
    }


async def all_that_leaves(state: Path, people: Path) -> dict[str, str]:
    """Everything that relying parties can be told of P16, in words that do not change from run to run."""
    bodies: dict[str, str] = {}
    bounds = settings_for(state).purposes
    async with own_sandbox(settings_for(state), people=people) as caller:
        for purpose in Purpose:
            bodies[purpose] = json.dumps(await ask(caller, "P16", purpose))
            mortgage = {"product": "MORTGAGE", "amountYen": 100_000, "termMonths": 3}
            if purpose is Purpose.LENDING:
                token, _ = await caller.consent("P16", "lender", "LENDING", read_example(purpose), mortgage)
                body = await caller.as_party("lender", read_example(purpose), {**mortgage, "consent": token})
                bodies["mortgage"] = json.dumps(body)
        tokens: dict[Purpose, str] = {}
        for name, (purpose, document) in twin_requests().items():
            party = RELYING_PARTY_FOR[purpose]
            if purpose is Purpose.ACCOUNT_OPENING:  # its uses are counted: a consent for each question
                token, _ = await caller.consent("P16", party, purpose.value, document)
            elif (token := tokens.get(purpose, "")) == "":
                asked = request_for(*(c for c in ATTRIBUTES if bounds[purpose].allows(c)))
                token, _ = await caller.consent("P16", party, purpose.value, asked)
                tokens[purpose] = token
            body = await caller.as_party(party, document, {"consent": token})
            assert "errors" not in body, name
            bodies[name] = json.dumps(body)
        bodies["calls"] = json.dumps(await caller.calls())
    return {name: NEVER_THE_SAME.sub("·", body) for name, body in bodies.items()}


async def test_how_many_hours_a_student_works_changes_no_byte_for_anybody(tmp_path: Path) -> None:
    folder = twin_folder(tmp_path)
    async with own_sandbox(settings_for(tmp_path / "see"), people=folder) as caller:
        query = "{ me { claims { labor { hoursWithinPermission { value } weeklyHours { value } } } } }"
        labor = (await caller.as_person("P16", query))["data"]["me"]["claims"]["labor"]
    assert labor == {"hoursWithinPermission": {"value": True}, "weeklyHours": {"value": "H20_30"}}, "the twin is one"

    over = await all_that_leaves(tmp_path / "over", CONFIG / "sandbox")
    within = await all_that_leaves(tmp_path / "within", folder)
    assert [name for name in over if over[name] != within[name]] == []
    assert len(over) > 60
