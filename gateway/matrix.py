"""Every sandbox person asked for every purpose, through real HTTP: preview, grant, query."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from gateway.asking import REFUSALS, RELYING_PARTY_FOR, decision_in, example_variables, missing_ask
from gateway.errors import ConfigurationError, GatewayError
from gateway.sandbox import RunningSandbox
from resolvers.catalogue import Purpose

CONCURRENT = 6
LISTED = ("CONDITION", "EVIDENCE", "FAIL")
REFUSED = "REFUSED"
NOT_ASKED = "NOT_ASKED"

Matrix = dict[str, dict[str, dict[str, Any]]]


async def ask_everybody(running: RunningSandbox, *, progressed: Callable[[], None]) -> Matrix:
    """Outcome and non-PASS rules for each person and purpose: `{"P01": {"LENDING": {"outcome": …, "rules": …}}}`.

    Where the gateway refuses, such as for an amount that nobody may ask for, the outcome is REFUSED, with the `code`;
    where the person asks for nothing of the kind, NOT_ASKED, with what is `missing`.
    """
    slots = asyncio.Semaphore(CONCURRENT)

    async def one(person_id: str, purpose: Purpose) -> dict[str, Any]:
        async with slots:
            found = await _decide(running, person_id, purpose)
            progressed()
            return found

    matrix: Matrix = {}
    async with asyncio.TaskGroup() as group:
        tasks = {
            (person_id, purpose): group.create_task(one(person_id, purpose))
            for person_id in running.people.identities
            for purpose in Purpose
        }
    for (person_id, purpose), task in tasks.items():
        matrix.setdefault(person_id, {})[purpose.value] = task.result()
    return matrix


async def _decide(running: RunningSandbox, person_id: str, purpose: Purpose) -> dict[str, Any]:
    party = RELYING_PARTY_FOR[purpose]
    asks, caller = running.people.asks[person_id], running.caller
    if missing := missing_ask(purpose, asks):
        return {"outcome": NOT_ASKED, "rules": {}, "missing": missing}
    variables = example_variables(purpose, asks, person_id=person_id)
    try:
        token = await caller.give_consent(running.deciding(person_id), party, purpose, variables=variables)
        subject = await caller.ask(running.keys[party], purpose, consent_token=token, variables=variables)
    except GatewayError as error:
        if error.code not in REFUSALS:
            raise
        return {"outcome": REFUSED, "rules": {}, "code": error.code}
    decision = decision_in(subject)
    return {
        "outcome": decision["outcome"],
        "rules": {rule["id"]: rule["result"] for rule in decision["rules"] if rule["result"] in LISTED},
    }


def read_expected(running: RunningSandbox) -> Mapping[str, Any] | None:
    """The outcomes that the folder of people says must follow; None if it says none for this day."""
    path: Path = running.people.folder / "expected.json"
    if not path.exists() or running.today != running.people.clock_on:
        return None
    try:
        expected: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8-sig"))["expected"]
        return {person: dict(purposes) for person, purposes in expected.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise ConfigurationError(f"{path.name}: no object `expected` with what follows for each person") from None


def differences(matrix: Matrix, expected: Mapping[str, Any]) -> list[str]:
    """The people and purposes whose outcome or rules are not as expected."""
    return [
        f"{person_id} {purpose}"
        for person_id, purposes in expected.items()
        for purpose, outcome in purposes.items()
        if matrix.get(person_id, {}).get(purpose) != outcome
    ]


def matrix_table(matrix: Matrix) -> Table:
    """The matrix for reading: outcome, and the rules that are not passed."""
    table = Table(title="Sandbox matrix", show_lines=True)
    table.add_column("person")
    for purpose in Purpose:
        table.add_column(purpose.value, overflow="fold")
    for person_id, purposes in matrix.items():
        cells = []
        for found in purposes.values():
            rules = " ".join(f"{rule}:{result[0]}" for rule, result in found["rules"].items())
            cells.append(f"{found['outcome']}\n{found.get('code') or found.get('missing', rules)}".strip())
        table.add_row(person_id, *cells)
    return table
