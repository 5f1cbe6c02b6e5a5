"""A sandbox immigration authority: real HTTP, the wire format in `client.py`, records from a folder."""

from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, SubElement, tostring

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from connectors.japan import card_number
from connectors.profile import Behaviour, Fault
from connectors.sandbox import Sandbox, read_xml_records, utc_now

RECORDS = "immigration.xml"
_NO_SUCH_CARD = "ZE0012"
_BAD_REQUEST = "ZE0001"
_TEMPORARY = "ZE9001"


def build_immigration_sandbox(
    people_folder: Path,
    behaviour: Behaviour,
    today: date,
    *,
    now: Callable[[], datetime] = utc_now,
    seed: int | None = None,
) -> Starlette:
    """The authority over `immigration.xml`. `today` is not needed here: the records carry their own day."""
    sandbox = Sandbox(behaviour, now=now, seed=seed)
    records = _records_by_card(people_folder)

    async def look_up(request: Request) -> Response:
        if sandbox.happens(Fault.TEMPORARY):
            return _fault(_TEMPORARY)
        card = _card_asked(await request.body())
        if card is None:
            return _fault(_BAD_REQUEST, http_status=400)
        return _envelope(*records[card]) if card in records else _fault(_NO_SUCH_CARD)

    return sandbox.app(sandbox.route("/zairyu", look_up, method="POST"))


def _records_by_card(people_folder: Path) -> dict[str, list[Element]]:
    records: dict[str, list[Element]] = defaultdict(list)
    for record in read_xml_records(people_folder, RECORDS, "ZairyuKekka"):
        record.tail = None
        records[card_number(record.findtext("CardNo") or "")].append(record)
    return dict(records)


def _card_asked(body: bytes) -> str | None:
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return None
    asked = root.findtext("Body/ZairyuShokai/CardNo")
    return card_number(asked) if asked else None


def _fault(code: str, *, http_status: int = 200) -> Response:
    fault = Element("Fault")
    SubElement(fault, "Code").text = code
    return _envelope(fault, http_status=http_status)


def _envelope(*content: Element, http_status: int = 200) -> Response:
    envelope = Element("Envelope")
    SubElement(envelope, "Body").extend(content)
    body = tostring(envelope, encoding="utf-8", xml_declaration=True)
    return Response(body, status_code=http_status, media_type="application/xml; charset=utf-8")
