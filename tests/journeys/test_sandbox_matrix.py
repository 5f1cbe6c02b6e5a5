"""Everybody and every purpose through real HTTP gives the documented outcomes, and every example runs."""

import json
from typing import Any

import pytest

from gateway.asking import RELYING_PARTY_FOR, example_variables, read_example
from gateway.matrix import ask_everybody
from resolvers.catalogue import Purpose
from tests.conftest import ROOT, Caller

EXPECTED: dict[str, Any] = json.loads((ROOT / "config/sandbox/expected.json").read_text(encoding="utf-8"))["expected"]


async def test_the_matrix_of_all_people_is_the_expected_one(caller: Caller) -> None:
    found = await ask_everybody(caller.running, progressed=lambda: None)
    assert found == EXPECTED


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_the_example_of_a_purpose_is_answered_without_error(caller: Caller, purpose: Purpose) -> None:
    party = RELYING_PARTY_FOR[purpose]
    variables = example_variables(purpose, caller.running.people.asks["P05"], person_id="P05")
    token, _ = await caller.consent("P05", party, purpose.value, read_example(purpose), variables)
    body = await caller.as_party(party, read_example(purpose), {**variables, "consent": token})
    assert "errors" not in body
    assert body["data"]["subject"]["grant"]["status"] == "ACTIVE"
