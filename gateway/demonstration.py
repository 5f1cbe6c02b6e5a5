"""What `kyosei run` and `kyosei ask` show: where things listen, a ready query, and answers in plain words."""

import json
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from gateway.asking import REFUSALS, RELYING_PARTY_FOR, decision_in, example_variables, missing_ask
from gateway.errors import ConfigurationError, GatewayError
from gateway.identity.relying_party import RelyingParties
from gateway.sandbox import RunningSandbox
from resolvers.catalogue import Purpose

MEANINGS = {
    "ELIGIBLE": "every rule that applies is met",
    "CONDITIONAL": "met, with a condition that is named",
    "NEEDS_EVIDENCE": "something has to be shown first; nothing speaks against it",
    "NOT_ELIGIBLE_NOW": "not met at present; the cures say what would change it",
}

_QUERY = (
    "query($consent: ConsentToken!, $rentYenPerMonth: Int!) { subject(consent: $consent) { "
    "tenancy(rentYenPerMonth: $rentYenPerMonth) { outcome rules { id result } recheckOn } "
    "immigration { statusLawful { value state } } tax { incomeBasis { value state } } "
    "answer { id recordedAt } grant { status usesLeft } } }"
)


async def introduce(running: RunningSandbox, console: Console, *, state: Path) -> None:
    """Print the addresses, give one consent, and print the query that it answers."""
    console.print(f"[bold]Kyosei Gateway[/bold] listens on [bold]{running.url}/graphql[/bold]")
    console.print(f"  pages for people and for staff: {running.url}/")
    for authority, url in running.authority_urls.items():
        console.print(f"  sandbox {authority.value.lower():<12} {url}")
    console.print(
        f"  the day in Japan is {running.today.isoformat()}; database, keys and operator log are in {state}"
    )
    erased = await running.erased()
    if erased:
        console.print(f"Erased here: {', '.join(erased)}. To begin anew with everybody, stop and remove {state}.")
    asking = [person for person, asks in running.people.asks.items() if not missing_ask(Purpose.TENANCY, asks)]
    person_id = next((person for person in asking if is_still_there(running.deciding(person), erased)), None)
    if person_id is None:
        who = "Nobody who is still here" if erased else "Nobody in this folder"
        console.print(f"{who} asks for a tenancy, so there is no ready query.")
        return
    await _introduce_query(running, console, person_id)


def is_still_there(deciding: str, erased: Collection[str]) -> bool:
    """Whether somebody, and who decides for them, can decide. `deciding`: `P01`, or `P05 for P14`."""
    return not set(deciding.split(" for ")) & set(erased)


async def _introduce_query(running: RunningSandbox, console: Console, person_id: str) -> None:
    purpose = Purpose.TENANCY
    party = RELYING_PARTY_FOR[purpose]
    variables = example_variables(purpose, running.people.asks[person_id], person_id=person_id)
    try:
        token = await running.caller.give_consent(running.deciding(person_id), party, purpose, variables=variables)
    except GatewayError as error:
        if error.code not in REFUSALS:
            raise
        console.print(f"{person_id} cannot ask for that tenancy ({error.code}), so there is no ready query.")
        return
    body = json.dumps({"query": _QUERY, "variables": {**variables, "consent": token}})
    console.print(f"\n{person_id} has just granted the landlord one consent. Ask as the landlord:\n")
    command = (
        f"curl -s {running.url}/graphql"
        f" -H {shlex.quote('Authorization: Bearer ' + running.keys[party])}"
        f" -H 'Content-Type: application/json' -d {shlex.quote(body)}"
    )
    console.out(command, highlight=False)
    console.print("\nIn the answer, `outcome` is one of")
    for outcome, meaning in MEANINGS.items():
        console.print(f"  {outcome:<17} {meaning}")
    console.print(
        "`rules` lists every rule of the purpose with its result. A claim has a `value` only when its `state` is"
        " CONFIRMED: a source that is silent is never a no. `answer` names the record made before the answer left."
    )
    console.print("\nStop with Ctrl-C.")


def check_asker(party_id: str, purpose: Purpose, parties: RelyingParties, keys: Collection[str]) -> None:
    """Raises ConfigurationError where a relying party may not ask for a purpose, or has no sandbox key.

    `keys`: who has one.
    """
    party = parties.find(party_id) if party_id in keys else None
    if party is None:
        raise ConfigurationError(f"--as: there is no relying party {party_id}")
    if purpose not in party.purposes:
        registered = ", ".join(sorted(party.purposes))
        raise ConfigurationError(
            f"--purpose: {party_id} is not registered for {purpose.value}, only for {registered}"
        )


def print_decision(console: Console, subject: Mapping[str, Any], *, title: str) -> None:
    """The decision about a subject in plain words."""
    decision = decision_in(subject)
    outcome = decision["outcome"]
    console.print(f"[bold]{title}: {outcome}[/bold] – {MEANINGS[outcome]}")
    table = Table(show_lines=False)
    for column in ("rule", "result", "why", "what helps"):
        table.add_column(column, overflow="fold")
    for rule in decision["rules"]:
        why = f"{rule['explanation']['en']}\n{rule['explanation']['ja']}"
        table.add_row(rule["id"], rule["result"], why, "\n".join(cure["en"] for cure in rule["cures"]))
    console.print(table)
    if decision["recheckOn"]:
        console.print(f"Look again on {decision['recheckOn']}.")
    if decision["retryAt"]:
        console.print(f"A source was silent; ask again after {decision['retryAt']}.")
    pack = decision["rulePack"]
    console.print(f"Rules: {pack['name']}, SHA-256 {pack['sha256']}; decided for {decision['decidedOn']}.")
    answer = subject["answer"]
    console.print(f"Recorded as answer {answer['id']} at {answer['recordedAt']}.")
