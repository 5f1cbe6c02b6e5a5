"""Asks the social insurance authority for a person's health and pension records: XML over GET, UTF-8."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from xml.etree.ElementTree import Element

from connectors.errors import EvidenceInvalidError, SourceUnavailableError, SubjectUnmatchedError
from connectors.fields import (
    check_not_after,
    child_text,
    only_child,
    optional_child,
    parse_field,
    required_child_text,
)
from connectors.insurance.evidence import InsuranceEvidence, InsuredRecord
from connectors.interface import EvidenceRequest, IdentityRecord, SourceAuthority
from connectors.japan import (
    fold_kana,
    format_pension_date,
    halfwidth_kana,
    parse_compact_month,
    parse_pension_date,
)
from connectors.reply import check_reply, read_xml
from connectors.restricted import NumberKind, NumberWatch, Report
from connectors.transport import Transport, WireReply, WireRequest

MAX_RECORDS = 5
_FOUND_OR_NONE = frozenset({200, 404})
_MONTH_CODES = re.compile(r"\S+")


class InsuranceConnector:
    """`Connector` for the social insurance authority.

    `report` is told of restricted numbers in a reply. `now`: aware clock for `observed_at`. `today`: the day in
    Japan after which nobody was born.
    """

    authority = SourceAuthority.INSURANCE

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

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> InsuranceEvidence:
        """All records that the authority finds for the names and birth date; there may be none."""
        reply = await self._transport.exchange(
            _question(request.identity), deadline_seconds=deadline_seconds, max_bytes=self._max_reply_bytes
        )
        observed_at = self._now().astimezone(UTC)
        check_reply(reply, now=observed_at, expected=_FOUND_OR_NONE)
        with NumberWatch(self.authority, self._report) as watch:
            found = _insured_elements(reply, watch)
            if any(element.get("kisoNenkinNo", "").strip() for element in found):
                watch.found(NumberKind.BASIC_PENSION)
            records = tuple(_record(element, today=self._today()) for element in found)
        if not all(_could_be(record, request.identity) for record in records):
            raise SubjectUnmatchedError("a record is for other names or another birth date")
        return InsuranceEvidence(observed_at=observed_at, as_of=None, records=records)

    async def close(self) -> None:
        await self._transport.close()


def _question(identity: IdentityRecord) -> WireRequest:
    if not identity.names_kana:
        raise SubjectUnmatchedError("no kana name is known, by which the source could search")
    names = tuple(("shimei", halfwidth_kana(name)) for name in identity.names_kana)
    try:
        birth = format_pension_date(identity.date_of_birth)
    except ValueError:
        raise SubjectUnmatchedError("the source's dialect cannot write the birth date") from None
    return WireRequest(
        "GET",
        "/hihokensha",
        query=(*names, ("seinen", birth)),
        headers=(("Accept", "application/xml"),),
        may_be_repeated=True,
    )


def _insured_elements(reply: WireReply, watch: NumberWatch) -> list[Element]:
    """The records of the list. "Not found" is none whatever its body says, unless that holds or began a record."""
    if reply.status == 404:
        if _may_hold_a_record(reply.body, watch):
            raise SourceUnavailableError("the source says at once that it found somebody and nobody, or was cut off")
        return []
    root = read_xml(reply.body, watch)
    found = root.findall("Hihokensha")
    if root.tag != "List" or len(found) > MAX_RECORDS:
        raise EvidenceInvalidError("the reply is not a list of at most five records")
    return found


def _may_hold_a_record(body: bytes, watch: NumberWatch) -> bool:
    """XML with a record, or that was cut off before it could be known."""
    try:
        return next(read_xml(body, watch).iter("Hihokensha"), None) is not None
    except EvidenceInvalidError:
        text = watch.clean(body.decode("utf-8", "replace"))
        return text.lstrip("\ufeff \t\r\n").startswith("<") or "<Hihokensha" in text


def _record(element: Element, *, today: date) -> InsuredRecord:
    """The basic pension number and the treaty country stand in the element and are never read."""
    months = only_child(element, "Tsuki")
    lost = optional_child(element, "Soshitsu")
    birth = parse_field("SeinenYmd", child_text(element, "SeinenYmd"), parse_pension_date)
    first_month = _month(months, "from")
    return InsuredRecord(
        name_kana=required_child_text(element, "ShimeiKana"),
        date_of_birth=check_not_after("SeinenYmd", birth, today=today),
        health_scheme=required_child_text(element, "Kenpo"),
        first_month=first_month,
        month_codes=_month_codes(child_text(element, "Tsuki"), first_month, last_month=_month(months, "to")),
        lost_on=None if lost is None else parse_field("Soshitsu", lost.get("ymd", ""), parse_pension_date),
        employer_late_months=_late_months(element),
    )


def _month_codes(text: str, first_month: date, *, last_month: date) -> str:
    """One character a month. A code that is not documented stays, so that the other months can be read."""
    months = (last_month.year - first_month.year) * 12 + last_month.month - first_month.month + 1
    codes = unicodedata.normalize("NFKC", text)
    if not _MONTH_CODES.fullmatch(codes) or len(codes) != months:
        raise EvidenceInvalidError("field Tsuki does not hold one code for each month")
    return codes


def _late_months(element: Element) -> tuple[date, ...]:
    ledger = optional_child(element, "JigyoshoNofu")
    return () if ledger is None else tuple(_month(late, "tsuki") for late in ledger.findall("Okure"))


def _month(element: Element, attribute: str) -> date:
    return parse_field(f"{element.tag} {attribute}", element.get(attribute, ""), parse_compact_month)


def _could_be(record: InsuredRecord, identity: IdentityRecord) -> bool:
    """The search promises birth date and name. Day and month swapped is left to linkage, which knows such slips."""
    birth, asked = record.date_of_birth, identity.date_of_birth
    if birth == asked:
        return fold_kana(record.name_kana) in {fold_kana(name) for name in identity.names_kana}
    return (birth.year, birth.month, birth.day) == (asked.year, asked.day, asked.month)
