"""Everybody and every purpose through real HTTP gives the documented outcomes, and every example runs."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gateway.asking import RELYING_PARTY_FOR, example_variables, read_example
from gateway.demonstration import introduce
from gateway.matrix import ask_everybody, matrix_table
from gateway.sandbox import RunningSandbox, open_sandbox
from resolvers.catalogue import Purpose
from tests.conftest import ROOT, Caller
from tests.gateway.sandboxes import copied_config, settings_for

EXPECTED: dict[str, Any] = json.loads((ROOT / "config/sandbox/expected.json").read_text(encoding="utf-8"))["expected"]


async def test_the_matrix_of_all_people_is_the_expected_one(caller: Caller) -> None:
    found = await ask_everybody(caller.running, progressed=lambda: None)
    assert found == EXPECTED


async def test_one_person_who_is_refused_asks_for_nothing_or_was_erased_ends_neither_matrix_nor_run(
    tmp_path: Path,
) -> None:
    """P01's rent is not on the grid, P05 asks for no loan, and P14's guardian is named."""
    folder = copied_config(tmp_path) / "sandbox"
    people = json.loads((folder / "people.json").read_text(encoding="utf-8"))
    rows = {row["id"]: row for row in people["people"]}
    rows["P01"]["asks"]["tenancy"]["rent_jpy_per_month"] = 62_001
    del rows["P05"]["asks"]["lending"]
    rows["P14"]["guardian"] = "P05"
    people["people"] = [rows["P01"], rows["P05"], rows["P14"]]
    (folder / "people.json").write_text(json.dumps(people), encoding="utf-8")
    async with open_sandbox(settings_for(tmp_path / "state"), people_folder=folder) as running:
        found = await ask_everybody(running, progressed=lambda: None)
        told = Console(file=io.StringIO(), width=200)
        await introduce(running, told, state=tmp_path)
        introduced = [await introduced_without(running, erased) for erased in ("P01", "P05", "P14")]
    assert "Erased here: P01. To begin anew with everybody, stop and remove STATE." in introduced[0]
    assert "P05 has just granted the landlord one consent." in introduced[0]
    assert "Erased here: P01, P05. " in introduced[1]
    assert all("Nobody who is still here asks for a tenancy" in one for one in introduced[1:])
    assert "P01 cannot ask for that tenancy (OFF_GRID)" in told.file.getvalue()  # type: ignore[attr-defined]
    expected = {person: EXPECTED[person] for person in ("P01", "P05", "P14")}
    refused = {"outcome": "REFUSED", "rules": {}, "code": "OFF_GRID"}
    not_asked = {"outcome": "NOT_ASKED", "rules": {}, "missing": "asks.lending.product"}
    assert found == expected | {
        "P01": expected["P01"] | {"TENANCY": refused},
        "P05": expected["P05"] | {"LENDING": not_asked},
    }
    shown = Console(file=io.StringIO(), width=200)
    shown.print(matrix_table(found))
    assert "asks.lending.product" in shown.file.getvalue()  # type: ignore[attr-defined]
    assert "OFF_GRID" in shown.file.getvalue()  # type: ignore[attr-defined]


async def introduced_without(running: RunningSandbox, person_id: str) -> str:
    """What a start says after somebody was erased, too. P05 is the guardian of P14."""
    stores, people = running.gateway.stores, running.people
    person = await stores.people.find(person_id)
    assert person is not None
    await stores.erasure.erase(person, now=running.gateway.now())
    await running.gateway.enrol(people.identities, guardians=people.guardians)
    told = io.StringIO()
    await introduce(running, Console(file=told, width=200), state=Path("STATE"))
    return told.getvalue()


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_the_example_of_a_purpose_is_answered_without_error(caller: Caller, purpose: Purpose) -> None:
    party = RELYING_PARTY_FOR[purpose]
    variables = example_variables(purpose, caller.running.people.asks["P05"], person_id="P05")
    token, _ = await caller.consent("P05", party, purpose.value, read_example(purpose), variables)
    body = await caller.as_party(party, read_example(purpose), {**variables, "consent": token})
    assert "errors" not in body
    assert body["data"]["subject"]["grant"]["status"] == "ACTIVE"
