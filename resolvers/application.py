"""Does an application keep the old status alive? Yes, no, or doubt where its words are not known.

Source: Immigration Control Act art. 20(6): an application to extend the period or to change the status, made
within the period, until it is decided. Others (art. 22, 26, 19(2), 19-2, 19-11) prolong no stay.
"""

import re
import unicodedata
from datetime import date

from connectors.immigration.evidence import Application

_KEEPS_STATUS = re.compile(
    "在留期間の?(?:更新|延長)|在留資格の?変更|^(?:更新|期間の?(?:更新|延長)|資格の?変更)(?:許可)?(?:申請)?$"
)
_PROLONGS_NOTHING = re.compile("永住|再入国|資格外活動|就労資格証明|在留資格認定証明|在留カード|記載事項|住居地")
_UNDECIDED = re.compile(
    "(?:(?:審査|処理|申請|照会|継続|保留)(?:待ち?|中)|(?:受付|受理)(?:済み?|中)?|審査|"
    "未(?:決|決定|定|了|処理|処分|許可)|結果待ち?|なし|無し?)?"
)
_DECIDED = re.compile("許可|取下|取り下げ|却下|棄却|不受理|取消|取り消し|交付|承認|認定|終了|終止|失効|返戻")


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
    if _KEEPS_STATUS.search(plain):
        return True
    return False if _PROLONGS_NOTHING.search(plain) else None


def _is_open(result: str) -> bool | None:
    """Empty, dashes, asterisks, or a word for "being examined": nothing is decided yet."""
    plain = _plain(result).strip("-‐‑‒–—―−ー*()")
    if _UNDECIDED.fullmatch(plain):
        return True
    return False if _DECIDED.search(plain) else None


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())
