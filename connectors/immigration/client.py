"""Asks the immigration authority about one residence card: XML over POST, UTF-8."""

import re
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from connectors.errors import EvidenceInvalidError, SourceUnavailableError, SubjectUnmatchedError
from connectors.fields import (
    check_not_after,
    child_text,
    only_child,
    optional_child,
    optional_child_text,
    parse_corporate_number,
    parse_field,
    parse_optional,
    required_child_text,
)
from connectors.immigration.evidence import (
    Application,
    DesignatedOrganisation,
    ImmigrationEvidence,
    OtherActivity,
    ResidenceRecord,
)
from connectors.interface import EvidenceRequest, SourceAuthority
from connectors.japan import card_number, fullwidth_capitals, is_not_stated, parse_written_date
from connectors.reply import check_reply, is_html, read_xml
from connectors.restricted import NumberWatch, Report
from connectors.transport import Transport, WireReply, WireRequest

NO_SUCH_CARD = "ZE0012"
TEMPORARY_FAULT = "ZE9001"
_STATUSES_OF_A_FAULT = frozenset({404, 500})
_INDIVIDUALLY = "許可書に記載"
"""What a permission says on the card's back that a certificate of its own describes. Source: domain notes 1.2."""
_NO_PERMISSION = re.compile(
    "(?:無し?|なし|ない)|(?:有効な)?(?:資格外活動)?許可は?[:(]?(?:無し?|なし|ない)\\)?|不許可|許可され(?:ていない|ず)"
)
_PERMISSION = re.compile("(?:(?:有[:(]?)?許可(?:有り?|あり)?|有り?|あり)(.*)")
_COMPREHENSIVELY = re.compile("28時間|包括")
_ENDS_IT = re.compile("[無不]|な[しい]|ず|失効|取消|取り消|切れ|経過|満了|終了|停止|申請|予定")
"""Words that leave nothing known of a permission: it may be over, or none yet."""
_FLAGS = {"0": False, "1": True}


class ImmigrationConnector:
    """`Connector` for the immigration authority.

    `report` is told of restricted numbers in a reply. `now`: aware clock for `observed_at`. `today`: the day in
    Japan after which a record cannot be dated.
    """

    authority = SourceAuthority.IMMIGRATION

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

    async def fetch(self, request: EvidenceRequest, *, deadline_seconds: float) -> ImmigrationEvidence:
        """The record of the person's card, or evidence without a record where there is no such card."""
        asked = card_number(request.identity.residence_card_number)
        reply = await self._transport.exchange(
            _question(asked), deadline_seconds=deadline_seconds, max_bytes=self._max_reply_bytes
        )
        observed_at = self._now().astimezone(UTC)
        with NumberWatch(self.authority, self._report) as watch:
            if _says_no_such_card(reply, watch):
                return ImmigrationEvidence(observed_at=observed_at, as_of=None, record=None)
            check_reply(reply, now=observed_at)
            body = _body_of(read_xml(reply.body, watch))
            if body.find("Fault") is not None:
                _check_fault(body)
                return ImmigrationEvidence(observed_at=observed_at, as_of=None, record=None)
            return _evidence(_only_record(body), asked, observed_at=observed_at, today=self._today())

    async def close(self) -> None:
        await self._transport.close()


def _question(card: str) -> WireRequest:
    envelope = Element("Envelope")
    SubElement(SubElement(SubElement(envelope, "Body"), "ZairyuShokai"), "CardNo").text = fullwidth_capitals(card)
    return WireRequest(
        "POST",
        "/zairyu",
        headers=(("Content-Type", "application/xml; charset=utf-8"), ("Accept", "application/xml")),
        body=tostring(envelope, encoding="utf-8", xml_declaration=True),
        may_be_repeated=True,  # a look-up of a card, though it is a POST
    )


def _body_of(root: Element) -> Element:
    if root.tag != "Envelope":
        raise EvidenceInvalidError("the reply is not an Envelope")
    return only_child(root, "Body")


def _says_no_such_card(reply: WireReply, watch: NumberWatch) -> bool:
    """Whether it is that fault under the status of an error, with which SOAP sends its faults (SOAP 1.1, 6.2)."""
    if reply.status not in _STATUSES_OF_A_FAULT or is_html(reply):
        return False
    try:
        _check_fault(_body_of(read_xml(reply.body, watch)))
    except (EvidenceInvalidError, SourceUnavailableError):
        return False
    return True


def _check_fault(body: Element) -> None:
    """Return for "no such card"; every other fault raises."""
    if body.find("ZairyuKekka") is not None:
        raise EvidenceInvalidError("the reply holds both a record and a fault")
    code = child_text(only_child(body, "Fault"), "Code")
    if code == TEMPORARY_FAULT:
        raise SourceUnavailableError("the source reports a temporary fault")
    if code != NO_SUCH_CARD:
        raise EvidenceInvalidError("the source reports a fault that is not documented")


def _only_record(body: Element) -> Element:
    """The one record of the card. Of two none is known to be the person's."""
    if len(body.findall("ZairyuKekka")) > 1:
        raise SubjectUnmatchedError("the source holds several records for one residence card")
    return only_child(body, "ZairyuKekka")


def _evidence(found: Element, asked: str, *, observed_at: datetime, today: date) -> ImmigrationEvidence:
    record = _record(found, today=today)
    if record.card_number != asked:
        raise SubjectUnmatchedError("the record is for another residence card")
    as_of = _day(found, "DataJiten") if optional_child_text(found, "DataJiten") else None
    if as_of is not None:
        check_not_after("DataJiten", as_of, today=today)
    return ImmigrationEvidence(observed_at=observed_at, as_of=as_of, record=record)


def _record(found: Element, *, today: date) -> ResidenceRecord:
    """KokusekiChiiki (nationality) stands in the element and is never read.

    When a person came, where they live and what else they may do are not on every record: what is not stated or
    cannot be read leaves in doubt what hangs on it, and nothing else.
    """
    organisation = optional_child(found, "ShiteiKikan")
    return ResidenceRecord(
        card_number=card_number(required_child_text(found, "CardNo")),
        card_valid_until=_day(found, "CardYukoKigen"),
        card_revoked=parse_field("ShikkoFlg", child_text(found, "ShikkoFlg"), _parse_flag),
        name=required_child_text(found, "Shimei"),
        date_of_birth=check_not_after("SeinenYmd", _day(found, "SeinenYmd"), today=today),
        residence_status=required_child_text(found, "ZairyuShikaku"),
        stay_until=parse_field("MankiYmd", child_text(found, "MankiYmd"), _parse_stay_until),
        landed_on=parse_optional(optional_child_text(found, "JorikuYmd"), parse_written_date),
        other_activity=parse_optional(optional_child_text(found, "ShikakugaiKyoka"), _parse_other_activity),
        address=optional_child_text(found, "JukyochiMei"),
        applications=_applications(found),
        designated_organisation=None if organisation is None else _organisation(organisation),
    )


def _applications(found: Element) -> tuple[Application, ...]:
    """At least one `Shinsei` must stand there, an empty one for "none": silence does not mean none."""
    elements = found.findall("Shinsei")
    if not elements:
        raise EvidenceInvalidError("field Shinsei is missing")
    return tuple(_application(element) for element in elements if not _is_empty(element))


def _application(element: Element) -> Application:
    return Application(
        kind=optional_child_text(element, "Shubetsu"),
        received_on=parse_optional(optional_child_text(element, "UketsukeYmd"), parse_written_date),
        result=child_text(element, "Kekka"),
    )


def _organisation(element: Element) -> DesignatedOrganisation | None:
    if _is_empty(element):
        return None
    return DesignatedOrganisation(
        name=optional_child_text(element, "Meisho"),
        corporate_number=parse_optional(optional_child_text(element, "HojinNo"), parse_corporate_number) or "",
    )


def _is_empty(element: Element) -> bool:
    """A template that nobody filled in is empty too."""
    return not "".join(element.itertext()).strip()


def _day(parent: Element, name: str) -> date:
    return parse_field(name, child_text(parent, name), parse_written_date)


def _parse_flag(text: str) -> bool:
    plain = unicodedata.normalize("NFKC", text)
    if plain not in _FLAGS:
        raise ValueError("neither 0 nor 1")
    return _FLAGS[plain]


def _parse_stay_until(text: str) -> date | None:
    """Eight asterisks mean that the status has no period."""
    if is_not_stated(text):
        if len(text) != 8:
            raise ValueError("not eight asterisks")
        return None
    return parse_written_date(text)


def _parse_other_activity(text: str) -> OtherActivity:
    plain = "".join(unicodedata.normalize("NFKC", text).split())
    if _NO_PERMISSION.fullmatch(plain):
        return OtherActivity.NOT_PERMITTED
    found = _PERMISSION.fullmatch(plain)
    if found is None or _ENDS_IT.search(plain):
        raise ValueError("neither 無 nor a permission")
    if _INDIVIDUALLY in plain:
        return OtherActivity.INDIVIDUAL
    if _COMPREHENSIVELY.search(plain) or not found[1]:
        return OtherActivity.COMPREHENSIVE
    raise ValueError("a permission for what is not known")
