"""What a first try looks like: Strawberry as it comes, and an httpx client for each source and request."""

import os
from datetime import date
from multiprocessing.connection import Connection as Line
from typing import Any

import httpx
import strawberry
import uvicorn
from strawberry.asgi import GraphQL

from gateway.http.server import listening_socket, url_of
from tests.benchmarks.machine import pin
from tests.benchmarks.records import TODAY

_stub = ""


async def _record(authority: str, card: str) -> dict[str, Any]:
    async with httpx.AsyncClient() as client:
        told: dict[str, Any] = (await client.get(f"{_stub}/{authority}", params={"card": card})).json()
        return told


@strawberry.type
class RuleResult:
    id: str
    result: str


@strawberry.type
class Decision:
    outcome: str
    rules: list[RuleResult]


@strawberry.type
class Answer:
    adult: bool
    status_lawful: bool
    stay_months: int
    renewal_pending: bool
    resident: bool
    address: str
    employed: bool
    tenure_months: int
    full_time: bool
    income: int
    tax_clear: bool
    insured: bool
    decision: Decision


@strawberry.type
class Query:
    @strawberry.field
    async def subject(self, card: str, rent: int) -> Answer:
        stay = await _record("immigration", card)
        job = await _record("labor", card)
        tax = await _record("tax", card)
        insured = await _record("insurance", card)
        months = (date.fromisoformat(stay["stayUntil"]) - TODAY).days // 30
        tenure = (TODAY - date.fromisoformat(job["hiredOn"])).days // 30
        rules = {
            "R1": not stay["revoked"],
            "R2": months >= 6,
            "R3": tenure >= 3,
            "R4": tax["salaryIncome"] >= 36 * rent,
            "R5": tax["unpaid"] == 0,
            "R6": insured["months"].endswith("2"),
        }
        return Answer(
            adult=date.fromisoformat(stay["dateOfBirth"]).year <= TODAY.year - 18,
            status_lawful=not stay["revoked"],
            stay_months=months,
            renewal_pending=False,
            resident=True,
            address=stay["address"],
            employed=True,
            tenure_months=tenure,
            full_time=job["hours"] >= 30,
            income=tax["salaryIncome"],
            tax_clear=tax["unpaid"] == 0,
            insured=bool(insured["months"]),
            decision=Decision(
                outcome="ELIGIBLE" if all(rules.values()) else "NOT_ELIGIBLE_NOW",
                rules=[RuleResult(id=name, result="PASS" if held else "FAIL") for name, held in rules.items()],
            ),
        )


QUERY = """
query($card: String!, $rent: Int!) {
  subject(card: $card, rent: $rent) {
    adult statusLawful stayMonths renewalPending resident address
    employed tenureMonths fullTime income taxClear insured
    decision { outcome rules { id result } }
  }
}
"""


def run_naive(processor: int, stub_port: int, line: Line) -> None:
    """Serve until the process is ended; tells its URL and its process id first."""
    global _stub
    _stub = f"http://127.0.0.1:{stub_port}"
    pin(processor)
    listener = listening_socket("127.0.0.1", 0)
    line.send((url_of(listener), os.getpid()))
    config = uvicorn.Config(GraphQL(strawberry.Schema(Query)), log_config=None, access_log=False, loop="uvloop")
    uvicorn.Server(config).run(sockets=[listener])
