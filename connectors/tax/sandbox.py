"""A sandbox tax authority: all municipalities behind one address; applications, polling, records from a folder."""

import json
import unicodedata
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from connectors.japan import name_tokens, parse_era_text
from connectors.profile import Behaviour, Fault
from connectors.sandbox import Sandbox, SandboxRecordsError, read_records, utc_now

RECORDS = "tax.jsonl"
PEOPLE = "people.json"
MAX_APPLICATIONS = 10_000
_LEVY_MONTH_DAY = (6, 15)  # from this day on municipalities issue the new levy year
_JSON = "application/json; charset=utf-8"
_CLOSED_TEXT = "「ただいま臨時メンテナンス中です。しばらくたってから再度お試しください」"

Line = Mapping[str, Any]  # Any: one line of tax.jsonl or one person of people.json, as the folder gives it


@dataclass(slots=True)
class _Open:
    """An application that was accepted; `polls_left` until its result is there."""

    result: dict[str, Any]  # Any: the reply's JSON, passed on as the folder gives it
    polls_left: int


def build_tax_sandbox(
    people_folder: Path,
    behaviour: Behaviour,
    today: date,
    *,
    now: Callable[[], datetime] = utc_now,
    seed: int | None = None,
) -> Starlette:
    """The authority over `tax.jsonl`, joined to people by `people.json`. `today` decides the levy year."""
    sandbox = Sandbox(behaviour, now=now, seed=seed)
    office = _Office(people_folder, behaviour, today, sandbox)
    return sandbox.app(
        sandbox.route("/shinsei", office.accept, method="POST", counted_as="applications"),
        sandbox.route("/shinsei/{number}", office.tell, method="GET", counted_as="polls"),
    )


class _Office:
    """Accepts applications and tells their results."""

    def __init__(self, people_folder: Path, behaviour: Behaviour, today: date, sandbox: Sandbox) -> None:
        self._people = _read_people(people_folder)
        self._lines = _read_lines(people_folder)
        self._behaviour = behaviour
        self._today = today
        self._sandbox = sandbox
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._accepted = 0

    async def accept(self, request: Request) -> Response:
        asked = _asked(await request.body())
        if asked is None:
            return _reply({"理由": "申請の形式が正しくありません"}, http_status=400)
        if page := self._sandbox.closed_for(str(asked.get("市区町村"))):
            return page
        if self._sandbox.happens(Fault.SHIFT_JIS_PAGE):
            return _page(503, _CLOSED_TEXT, "text/html; charset=Shift_JIS")
        line = self._line_for(asked)
        if line is not None and line["status"] != 200:
            return _page(line["status"], line["text"], line["content_type"])
        number = self._next_number()
        result = self._no_record() if line is None else dict(line["json"])
        polls = self._sandbox.random.randint(*self._behaviour.polls_until_done)
        self._open[number] = _Open({**result, "受付番号": number}, polls)
        if len(self._open) > MAX_APPLICATIONS:
            self._open.popitem(last=False)
        return _reply({"受付番号": number, "状態": "受付"}, http_status=202)

    async def tell(self, request: Request) -> Response:
        number = request.path_params["number"]
        application = self._open.get(number)
        if application is None:
            return _reply({"理由": "該当する受付番号はありません"}, http_status=404)
        application.polls_left -= 1
        if application.polls_left > 0:
            return _reply({"受付番号": number, "状態": "処理中"})
        return _reply(application.result)

    def _line_for(self, asked: Line) -> Line | None:
        found = [person for person in self._people if _is_asked(person, asked)]
        if len(found) > 1:
            return {"status": 200, "json": {"状態": "複数該当"}}
        return self._lines.get(found[0]["id"]) if found else None

    def _no_record(self) -> dict[str, str]:
        is_issued = (self._today.month, self._today.day) >= _LEVY_MONTH_DAY
        levy_year = (self._today.year if is_issued else self._today.year - 1) - 2018
        return {"状態": "該当なし", "課税年度": f"令和{levy_year}年度"}

    def _next_number(self) -> str:
        self._accepted += 1
        return f"{self._today:%y%m%d}{self._accepted:05d}"


def _asked(body: bytes) -> Line | None:
    """The application's fields; None unless it is in the documented form."""
    try:
        asked = json.loads(body)
        birth = parse_era_text(asked["生年月日"])
        names = [name_tokens(asked[field]) for field in ("氏名", "通称") if asked.get(field)]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    return {**asked, "birth": birth, "names": names}


def _is_asked(person: Line, asked: Line) -> bool:
    own_names = [name_tokens(name) for name in (person["name"], person.get("alias")) if name]
    return (
        person["date_of_birth"] == asked["birth"].isoformat()
        and _place(person.get("tax_municipality")) == _place(asked.get("市区町村"))
        and any(name in own_names for name in asked["names"])
    )


def _place(text: str | None) -> str:
    return "".join(unicodedata.normalize("NFKC", text or "").split())


def _reply(content: Line, *, http_status: int = 200) -> Response:
    body = json.dumps(dict(content), ensure_ascii=False).encode()
    return Response(body, status_code=http_status, headers={"Content-Type": _JSON})


def _page(http_status: int, text: str, content_type: str) -> Response:
    charset = content_type.partition("charset=")[2].strip() or "utf-8"
    encoding = "cp932" if charset.lower() == "shift_jis" else charset
    return Response(text.encode(encoding), status_code=http_status, headers={"Content-Type": content_type})


def _read_people(people_folder: Path) -> list[Line]:
    path = people_folder / PEOPLE
    try:
        people: list[Line] = json.loads(read_records(people_folder, PEOPLE))["people"]
    except (ValueError, TypeError, KeyError) as error:
        raise SandboxRecordsError(f"{path}: it has to hold an object with a list of people") from error
    for number, person in enumerate(people, start=1):
        try:
            _ = (person["id"], person["name"], date.fromisoformat(person["date_of_birth"]))
        except (ValueError, TypeError, KeyError) as error:
            raise SandboxRecordsError(f"{path}: person {number}: id, name or date_of_birth") from error
    return people


def _read_lines(people_folder: Path) -> dict[str, Line]:
    path = people_folder / RECORDS
    lines: dict[str, Line] = {}
    for number, text in enumerate(read_records(people_folder, RECORDS).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            line = _read_line(text)
        except ValueError as error:
            raise SandboxRecordsError(f"{path}: line {number}: {error}") from None
        lines[line["person"]] = line
    return lines


_KINDS = {str: "a text", int: "a whole number", dict: "an object"}


def _read_line(text: bytes) -> Line:
    """One line of tax.jsonl. Raises ValueError that names the field."""
    try:
        line = json.loads(text)
    except ValueError as error:
        raise ValueError("it is not JSON") from error
    if not isinstance(line, dict):
        raise ValueError("it is not an object")
    is_answered = line.get("status") == HTTPStatus.OK
    needed: dict[str, type] = {"person": str, "status": int}
    needed |= {"json": dict} if is_answered else {"text": str, "content_type": str}
    for field, kind in needed.items():
        if field not in line:
            raise ValueError(f"{field}: it is missing")
        if not isinstance(line[field], kind):
            raise ValueError(f"{field}: not {_KINDS[kind]}")
    return line
