"""A sandbox labor authority: real HTTP, the wire format in `client.py`, rows from a folder."""

import csv
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from connectors.japan import card_number
from connectors.profile import Behaviour, Fault
from connectors.sandbox import Sandbox, SandboxRecordsError, read_records, utc_now

RECORDS = "labor.csv"
_CARD_COLUMN = "在留カード番号"
_LINE_END = "\r\n"


def build_labor_sandbox(
    people_folder: Path,
    behaviour: Behaviour,
    today: date,
    *,
    now: Callable[[], datetime] = utc_now,
    seed: int | None = None,
) -> Starlette:
    """The authority over `labor.csv`. `today` is not needed here: the rows carry their own day."""
    sandbox = Sandbox(behaviour, now=now, seed=seed)
    header, rows = _read_file(people_folder)

    async def look_up(request: Request) -> Response:
        asked = request.query_params.get("zairyuCardNo")
        if not asked:
            return Response(status_code=400)
        if sandbox.happens(Fault.MISSING):
            return Response(status_code=404)
        lines = [header, *rows.get(card_number(asked), [])]
        body = "".join(line + _LINE_END for line in lines).encode("cp932")
        if sandbox.happens(Fault.TRUNCATED):
            cut = body[: sandbox.random.randrange(len(body))]
            body = cut.removesuffix(_LINE_END.encode())  # between two rows nobody could tell that it was cut
        return Response(body, headers={"Content-Type": "text/csv; charset=cp932"})

    return sandbox.app(sandbox.route("/todokede", look_up, method="GET"))


def _read_file(people_folder: Path) -> tuple[str, dict[str, list[str]]]:
    """The header line and each card's lines, as they stand in the file."""
    path = people_folder / RECORDS
    try:
        lines = read_records(people_folder, RECORDS).decode("cp932").replace(_LINE_END, "\n").split("\n")
    except UnicodeDecodeError as error:
        raise SandboxRecordsError(f"{path}: not CP932 at byte {error.start}") from error
    header = lines[0].split(",")
    if _CARD_COLUMN not in header:
        raise SandboxRecordsError(f"{path}: line 1: no column {_CARD_COLUMN}")
    rows: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        cells = next(csv.reader([line]))
        if len(cells) != len(header):
            raise SandboxRecordsError(f"{path}: line {number}: {len(cells)} columns instead of {len(header)}")
        rows[card_number(cells[header.index(_CARD_COLUMN)])].append(line)
    return lines[0], dict(rows)
