"""Does an application keep the old status alive? Yes, no, or doubt where its words are not known.

Source: Immigration Control Act art. 20(6): an application to extend the period or to change the status, made
within the period, until it is decided. Others (art. 22, 26, 19(2), 19-2, 19-11) prolong no stay.
"""

import re
import unicodedata
from datetime import date

from connectors.immigration.evidence import Application
from resolvers.residence_status import status_kind

_KEEPS_STATUS = re.compile(
    r"(?:(?:在留)?(?:期間の?(?:更新|延長)|資格の?変更)|更新)(?:等?の?許可)?(?:の?申請書?)?中?(?:\((?P<of>[^()]*)\))?"
)
_HOW_IT_WAS_FILED = frozenset({"オンライン", "電子", "電子申請", "窓口", "郵送", "本人", "取次", "代理"})
_PROLONGS_NOTHING = re.compile("永住|再入国|資格外活動|就労資格証明|在留資格認定証明|在留カード|記載事項|住居地")
_KEEPS_IN_PART = re.compile("在留期間の?(?:更新|延長)|在留資格の?変更")
_UNDECIDED = re.compile(
    "(?:(?:審査|処理|申請|照会|継続|保留)(?:待ち?|中)|(?:受付|受理)(?:済み?|中)?|審査|"
    "未(?:決|決定|定|了|処理|処分|許可)|結果待ち?|なし|無し?)?"
)
_DECIDED = re.compile(
    r"(?:審査|処分|処理)?(?:結果|終了|完了|済み?)?[:(]?"
    r"(?:不?許可|不?交付|不?認定|不?承認|不受理|取り?下げ?|取り?消し?|却下|棄却)"
    r"(?:処分|決定)?(?:済み?|された|されました|した|しました|となった)?\)?"
)


def keeps_status(application: Application, expiry_on: date, *, today: date) -> bool | None:
    """Whether it keeps alive a status whose period ends on `expiry_on`; None where the record cannot tell.

    A kind or a result in words that are not known is doubt, never a no (domain notes 7).
    """
    answers = (
        _is_timely(application, min(expiry_on, today)),
        _prolongs(application.kind),
        _is_open(application.result),
    )
    if False in answers:
        return False
    return None if None in answers else True


def _is_timely(application: Application, latest: date) -> bool | None:
    return None if application.received_on is None else application.received_on <= latest


def _prolongs(kind: str) -> bool | None:
    """Renewing the card alone, whose words are much alike, protects no stay; it is for stays without an end and for
    children (art. 19-11), so `更新` alone is the period's."""
    plain = _plain(kind)
    found = _KEEPS_STATUS.fullmatch(plain)
    if found is not None:
        return True if _is_of_such_an_application(found["of"]) else None
    return False if _PROLONGS_NOTHING.search(plain) and not _KEEPS_IN_PART.search(plain) else None


def _is_of_such_an_application(in_brackets: str | None) -> bool:
    """Whether the brackets say how it was filed or for which status, but not for one that has no period (art. 22)."""
    if in_brackets is None or in_brackets in _HOW_IT_WAS_FILED:
        return True
    status = status_kind(in_brackets)
    return status is not None and not status.unlimited


def _is_open(result: str) -> bool | None:
    """Empty, dashes, or a word for "being examined": nothing is decided yet. Asterisks do not state whether it is."""
    plain = _plain(result)
    if _UNDECIDED.fullmatch(plain.strip("-‐‑‒–—―−ー()")):
        return True
    return False if _DECIDED.fullmatch(plain) else None


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
