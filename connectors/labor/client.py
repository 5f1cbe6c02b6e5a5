"""Asks the labor authority for employers' notifications about one residence card: CP932 CSV over GET."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from connectors.errors import EvidenceInvalidError, SubjectUnmatchedError
from connectors.fields import check_not_after, parse_corporate_number, parse_field, required_text
from connectors.interface import EvidenceRequest, SourceAuthority
from connectors.japan import card_number, parse_amount, parse_labor_date
from connectors.labor.evidence import EmploymentNotice, LaborEvidence, NoticeKind
from connectors.reply import check_reply, check_text, read_csv
from connectors.restricted import REMOVED, NumberKind, NumberWatch, Report
from connectors.transport import Transport, WireRequest

HEADER = (
    "届出区分",
    "フリガナ",
    "氏名",
    "生年月日",
    "性別",
    "国籍・地域",
    "在留資格",
    "在留期間満了日",
    "在留カード番号",
    "資格外活動許可",
    "雇用保険被保険者番号",
    "事業所名",
    "法人番号",
    "雇入年月日",
    "離職年月日",
    "週所定労働時間",
    "雇用形態",
    "賃金月額",
    "データ時点",
    "備考",
)
"""The columns of the notification file, in the file's order. Seven of them are never read (see quality.toml)."""

_KINDS = {"雇入": NoticeKind.HIRED, "離職": NoticeKind.LEFT}
_NO_NUMBER = re.compile(r"[\-‐―ー*]*|無し?|なし|該当なし|未加入")
"""How the cell of the insured person's number says that there is none, or does not say it."""

_HOURS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,2})?")
_HOURS_IN_A_WEEK = 168


class LaborConnector:
    """`Connector` for the labor authority.

    `report` is told of restricted numbers in a reply. `now`: aware clock for `observed_at`. `today`: the day in
    Japan after which a row cannot be dated.
    """

    authority = SourceAuthority.LABOR

    def __init__(
        self,
        transport: Transport,
        *,
        report: Report,
        now: Callable[[], datetime],
        today: Callable[[], date],
        max_reply_bytes: int = 1024 * 1024,
    ) -> None:
        self._transport = transport
        self._report = report
        self._now = now
        self._today = today
        self._max_reply_bytes = max_reply_bytes

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> LaborEvidence:
        """All rows for the person's card; none is a lawful reply. `as_of` is the oldest row's."""
        asked = card_number(request.identity.residence_card_number)
        question = WireRequest(
            "GET",
            "/todokede",
            query=(("zairyuCardNo", asked),),
            headers=(("Accept", "text/csv"),),
            may_be_repeated=True,
        )
        reply = await self._transport.exchange(
            question, deadline_seconds=deadline_seconds, max_bytes=self._max_reply_bytes
        )
        observed_at = self._now().astimezone(UTC)
        check_reply(reply, now=observed_at)
        today = self._today()
        with NumberWatch(self.authority, self._report) as watch:
            rows = read_csv(reply.body, HEADER, watch)
            if any(_NO_NUMBER.fullmatch(_insured_number(row)) is None for row in rows):
                watch.found(NumberKind.EMPLOYMENT_INSURANCE)
            notices = tuple(_notice(row, asked, today=today) for row in rows)
        as_of = min((notice.as_of for notice in notices), default=None)
        return LaborEvidence(observed_at=observed_at, as_of=as_of, notices=notices)

    async def close(self) -> None:
        await self._transport.close()


def _notice(row: Mapping[str, str], asked: str, *, today: date) -> EmploymentNotice:
    card = card_number(required_text("在留カード番号", row["在留カード番号"]))
    if card != asked:
        raise SubjectUnmatchedError("a row is for another residence card")
    kind = parse_field("届出区分", row["届出区分"], _parse_kind)
    hired_on = parse_field("雇入年月日", row["雇入年月日"], _parse_optional_day)
    left_on = parse_field("離職年月日", row["離職年月日"], _parse_optional_day)
    if (hired_on if kind is NoticeKind.HIRED else left_on) is None:
        raise EvidenceInvalidError("a row lacks the day of what it notifies")
    birth = parse_field("生年月日", row["生年月日"], parse_labor_date)
    return EmploymentNotice(
        kind=kind,
        name=required_text("氏名", row["氏名"]),
        date_of_birth=check_not_after("生年月日", birth, today=today),
        card_number=card,
        employer_name=required_text("事業所名", row["事業所名"]),
        corporate_number=parse_field("法人番号", row["法人番号"], _parse_employer_number),
        hired_on=hired_on,
        left_on=left_on,
        weekly_hours=parse_field("週所定労働時間", row["週所定労働時間"], _parse_hours),
        employment_type=parse_field("雇用形態", row["雇用形態"], check_text),
        monthly_wage_yen=parse_field("賃金月額", row["賃金月額"], _parse_wage),
        employment_insured=_insured(row),
        as_of=_as_of(row, today=today),
    )


def _insured(row: Mapping[str, str]) -> bool:
    """Whether a number stands in the cell of the insured person's number: all that is kept of it."""
    number = _insured_number(row)
    return REMOVED in number or any(character.isdigit() for character in number)


def _insured_number(row: Mapping[str, str]) -> str:
    return unicodedata.normalize("NFKC", row["雇用保険被保険者番号"]).strip()


def _as_of(row: Mapping[str, str], *, today: date) -> date:
    day = parse_field("データ時点", row["データ時点"], parse_labor_date)
    return check_not_after("データ時点", day, today=today)


def _parse_kind(text: str) -> NoticeKind:
    if text.strip() not in _KINDS:
        raise ValueError("neither 雇入 nor 離職")
    return _KINDS[text.strip()]


def _parse_optional_day(text: str) -> date | None:
    return parse_labor_date(text) if text.strip() else None


def _parse_employer_number(text: str) -> str:
    """Empty for an employer who is a natural person and has no corporate number."""
    return parse_corporate_number(text) if text.strip() else ""


def _parse_hours(text: str) -> float | None:
    plain = unicodedata.normalize("NFKC", text).strip()
    if not plain:
        return None
    if not _HOURS.fullmatch(plain) or float(plain) > _HOURS_IN_A_WEEK:
        raise ValueError("not a number of hours in a week")
    return float(plain)


def _parse_wage(text: str) -> int | None:
    return parse_amount(text, may_be_empty=True)
