"""A sandbox social insurance authority: real HTTP, the wire format in `client.py`, records from a folder."""

from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from xml.etree.ElementTree import Element, tostring

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from connectors.japan import fold_kana, parse_pension_date
from connectors.profile import Behaviour, Fault
from connectors.sandbox import Sandbox, SandboxRecordsError, read_xml_records, utc_now

RECORDS = "insurance.xml"
MAX_RECORDS = 5


def build_insurance_sandbox(
    people_folder: Path,
    behaviour: Behaviour,
    today: date,
    *,
    now: Callable[[], datetime] = utc_now,
    seed: int | None = None,
) -> Starlette:
    """The authority over `insurance.xml`. `today` is not needed here: the records carry their own months."""
    sandbox = Sandbox(behaviour, now=now, seed=seed)
    records = _records_by_birth(people_folder)

    async def search(request: Request) -> Response:
        names = {fold_kana(name) for name in request.query_params.getlist("shimei")}
        try:
            birth = parse_pension_date(request.query_params.get("seinen", ""))
        except ValueError:
            return Response(status_code=400)
        found = [record for record in records.get(birth, []) if _name_of(record) in names]
        body = _list_of(found[:MAX_RECORDS])
        if sandbox.happens(Fault.TRUNCATED):
            body = body[: sandbox.random.randrange(1, len(body) - len("</List>"))]
        return Response(body, status_code=200 if found else 404, media_type="application/xml; charset=utf-8")

    return sandbox.app(sandbox.route("/hihokensha", search, method="GET"))


def _records_by_birth(people_folder: Path) -> dict[date, list[Element]]:
    records: dict[date, list[Element]] = defaultdict(list)
    for number, record in enumerate(read_xml_records(people_folder, RECORDS, "Hihokensha"), start=1):
        record.tail = None
        try:
            records[parse_pension_date(record.findtext("SeinenYmd") or "")].append(record)
        except ValueError as error:
            raise SandboxRecordsError(f"{people_folder / RECORDS}: record {number}: SeinenYmd: {error}") from error
    return dict(records)


def _name_of(record: Element) -> str:
    return fold_kana(record.findtext("ShimeiKana") or "")


def _list_of(found: list[Element]) -> bytes:
    listed = Element("List")
    listed.extend(found)
    body: bytes = tostring(listed, encoding="utf-8", xml_declaration=True)
    return body
