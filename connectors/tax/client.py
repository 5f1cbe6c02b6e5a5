"""Asks the municipality of 1 January for a resident tax record: an application over JSON, then polling."""

import asyncio
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from urllib.parse import quote

from connectors.errors import EvidenceInvalidError, SourceUnavailableError, SubjectUnmatchedError
from connectors.interface import EvidenceRequest, IdentityRecord, SourceAuthority
from connectors.japan import format_era_text, fullwidth_capitals
from connectors.reply import Json, check_reply, read_json
from connectors.restricted import NumberWatch, Report
from connectors.tax.evidence import TaxEvidence
from connectors.tax.record import levy_year_of, record_of, text_of
from connectors.transport import UPSTREAM_TIMEOUT, Transport, WireReply, WireRequest

MIN_POLL_SECONDS = 0.01
_APPLICATION_NUMBER = re.compile(r"[^\W_](?:[^\W_]|-){0,63}")
_DONE, _NOT_FOUND, _SEVERAL = "完了", "該当なし", "複数該当"


class TaxConnector:
    """`Connector` for the tax authority.

    `report` is told of restricted numbers in a reply. `now`: aware clock for `observed_at`. `today`: the day in
    Japan after which nobody was born. `poll_seconds`: the pause before each question for the result.
    """

    authority = SourceAuthority.TAX

    def __init__(
        self,
        transport: Transport,
        *,
        report: Report,
        now: Callable[[], datetime],
        today: Callable[[], date],
        max_reply_bytes: int = 1024 * 1024,
        poll_seconds: float = 2.0,
    ) -> None:
        self._transport = transport
        self._report = report
        self._now = now
        self._today = today
        self._max_reply_bytes = max_reply_bytes
        self._poll_seconds = max(poll_seconds, MIN_POLL_SECONDS)

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> TaxEvidence:
        """The record of the latest levy year, or evidence without a record where the municipality has none."""
        ends_at = asyncio.get_running_loop().time() + deadline_seconds
        with NumberWatch(self.authority, self._report) as watch:
            number = await self._apply(request.identity, watch, ends_at)
            result = await self._result_of(number, watch, ends_at)
            levy_year = levy_year_of(result)
            is_found = text_of(result, "状態") == _DONE
            record = record_of(result, today=self._today()) if is_found else None
        return TaxEvidence(observed_at=self._utc_now(), as_of=None, levy_year=levy_year, record=record)

    async def close(self) -> None:
        await self._transport.close()

    async def _apply(self, identity: IdentityRecord, watch: NumberWatch, ends_at: float) -> str:
        reply = await self._exchange(_application(identity), ends_at)
        check_reply(reply, now=self._utc_now(), expected=frozenset({202}))
        number = _number_in(read_json(reply.body, watch))
        if number is None:
            raise EvidenceInvalidError("the application was not accepted in the documented form")
        return number

    async def _result_of(self, number: str, watch: NumberWatch, ends_at: float) -> dict[str, Json]:
        """The answer once it is there; a state that is neither of these may still become one."""
        path = f"/shinsei/{quote(number, safe='')}"
        while True:
            await _pause(self._poll_seconds, ends_at)
            question = WireRequest("GET", path, headers=_ACCEPT, may_be_repeated=True)
            reply = await self._exchange(question, ends_at)
            check_reply(reply, now=self._utc_now())
            answer = read_json(reply.body, watch)
            if _width_folded(_number_in(answer) or number) != _width_folded(number):
                raise SubjectUnmatchedError("the reply is to another application")
            state = text_of(answer, "状態")
            if state in (_DONE, _NOT_FOUND):
                return answer
            if state == _SEVERAL:
                raise SubjectUnmatchedError("the municipality knows several such people")

    async def _exchange(self, request: WireRequest, ends_at: float) -> WireReply:
        left_seconds = ends_at - asyncio.get_running_loop().time()
        return await self._transport.exchange(request, deadline_seconds=left_seconds, max_bytes=self._max_reply_bytes)

    def _utc_now(self) -> datetime:
        return self._now().astimezone(UTC)


_ACCEPT = (("Accept", "application/json"),)


def _application(identity: IdentityRecord) -> WireRequest:
    try:
        birth = format_era_text(identity.date_of_birth)
    except ValueError:
        raise SubjectUnmatchedError("the source's dialect cannot write the birth date") from None
    question = {
        "氏名": fullwidth_capitals(identity.name),
        "通称": fullwidth_capitals(identity.alias) if identity.alias else None,
        "生年月日": birth,
        "市区町村": identity.tax_municipality,
    }
    # Never repeated: every application opens a case at the municipality.
    return WireRequest(
        "POST",
        "/shinsei",
        headers=(("Content-Type", "application/json; charset=utf-8"), *_ACCEPT),
        body=json.dumps(question, ensure_ascii=False).encode(),
    )


def _number_in(answer: Mapping[str, Json]) -> str | None:
    """The application's number, which may come as a JSON number; None where it does not stand there.

    It becomes part of a path: nothing but letters, digits and hyphens may get there.
    """
    value = answer.get("受付番号")
    if value is None:
        return None
    is_number = isinstance(value, int) and not isinstance(value, bool)
    number = str(value) if is_number else text_of(answer, "受付番号")
    if not all(_APPLICATION_NUMBER.fullmatch(form) for form in (number, _width_folded(number))):
        raise EvidenceInvalidError("field 受付番号 is not in its documented form")
    return number


def _width_folded(number: str) -> str:
    return unicodedata.normalize("NFKC", number)


async def _pause(seconds: float, ends_at: float) -> None:
    """Wait, but never past the deadline: a result that would come too late is not waited for."""
    left_seconds = ends_at - asyncio.get_running_loop().time()
    await asyncio.sleep(max(0.0, min(seconds, left_seconds)))
    if left_seconds <= seconds:
        raise SourceUnavailableError("the result was not ready before the deadline", fault=UPSTREAM_TIMEOUT)
