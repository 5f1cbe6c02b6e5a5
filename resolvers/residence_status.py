"""Statuses of residence (在留資格) and what follows from their kind.

Source: Immigration Control Act, appended tables I and II; Special Act of 1991 (special permanent
residents). The table follows the names that the authority prints; variants are listed beside them.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from resolvers.status_qualifier import Work, is_known_qualifier, work_told


class WorkPermission(StrEnum):
    """What work the status itself allows."""

    UNRESTRICTED = "UNRESTRICTED"
    WITHIN_STATUS = "WITHIN_STATUS"
    PART_TIME_ONLY = "PART_TIME_ONLY"
    NONE = "NONE"
    INDIVIDUAL = "INDIVIDUAL"


@dataclass(frozen=True, slots=True)
class StatusKind:
    """One status of residence.

    `unlimited`: no period of stay. `settled`: permanent, spouse and long-term residents, whom foreign
    exchange practice treats as residents. `mid_to_long_term`: holds a residence card (art. 19-3). `tied`: work is
    for the organisation alone that the authority designates (specification 9.8; domain notes 1.1).
    """

    code: str
    work: WorkPermission
    unlimited: bool = False
    settled: bool = False
    mid_to_long_term: bool = True
    student: bool = False
    tied: bool = False


SPECIAL_PERMANENT = StatusKind("SPR", WorkPermission.UNRESTRICTED, unlimited=True, settled=True)

_WITHIN = WorkPermission.WITHIN_STATUS
_NONE = WorkPermission.NONE

_BY_NAME: dict[str, StatusKind] = {
    "外交": StatusKind("DIPLOMAT", _WITHIN, mid_to_long_term=False),
    "公用": StatusKind("OFFICIAL", _WITHIN, mid_to_long_term=False),
    "教授": StatusKind("PROFESSOR", _WITHIN),
    "芸術": StatusKind("ARTIST", _WITHIN),
    "宗教": StatusKind("RELIGIOUS", _WITHIN),
    "報道": StatusKind("JOURNALIST", _WITHIN),
    "高度専門職1号": StatusKind("HSP1", _WITHIN, tied=True),
    "高度専門職1号イ": StatusKind("HSP1A", _WITHIN, tied=True),
    "高度専門職1号ロ": StatusKind("HSP1B", _WITHIN, tied=True),
    "高度専門職1号ハ": StatusKind("HSP1C", _WITHIN, tied=True),
    "高度専門職2号": StatusKind("HSP2", _WITHIN, unlimited=True),
    "経営・管理": StatusKind("BUSINESS", _WITHIN),
    "法律・会計業務": StatusKind("LEGAL", _WITHIN),
    "医療": StatusKind("MEDICAL", _WITHIN),
    "研究": StatusKind("RESEARCHER", _WITHIN),
    "教育": StatusKind("INSTRUCTOR", _WITHIN),
    "技術・人文知識・国際業務": StatusKind("ESI", _WITHIN),
    "技人国": StatusKind("ESI", _WITHIN),
    "企業内転勤": StatusKind("ICT", _WITHIN),
    "介護": StatusKind("CARE", _WITHIN),
    "興行": StatusKind("ENTERTAINER", _WITHIN),
    "技能": StatusKind("SKILLED", _WITHIN),
    "特定技能1号": StatusKind("SSW1", _WITHIN, tied=True),
    "特定技能2号": StatusKind("SSW2", _WITHIN, tied=True),
    **{
        f"技能実習{stage}号{track}": StatusKind(f"TITP{stage}{track}", _WITHIN, tied=True)
        for stage in "123"
        for track in ("イ", "ロ", "")
    },
    "育成就労": StatusKind("ESD", _WITHIN, tied=True),
    "文化活動": StatusKind("CULTURAL", _NONE),
    "短期滞在": StatusKind("TEMP", _NONE, mid_to_long_term=False),
    "留学": StatusKind("STUDENT", _NONE, student=True),
    "研修": StatusKind("TRAINEE", _NONE),
    "家族滞在": StatusKind("DEPENDENT", _NONE),
    "特定活動": StatusKind("DESIGNATED", WorkPermission.INDIVIDUAL, tied=True),
    "永住者": StatusKind("PR", WorkPermission.UNRESTRICTED, unlimited=True, settled=True),
    "日本人の配偶者等": StatusKind("SPOUSE_JP", WorkPermission.UNRESTRICTED, settled=True),
    "永住者の配偶者等": StatusKind("SPOUSE_PR", WorkPermission.UNRESTRICTED, settled=True),
    "定住者": StatusKind("LTR", WorkPermission.UNRESTRICTED, settled=True),
    "特別永住者": SPECIAL_PERMANENT,
}


_DESIGNATED_WITHOUT_WORK = StatusKind("DESIGNATED", _NONE)
_QUALIFIER = re.compile(r"\s*[(\[〔【「]([^()\[\]〔〕【】「」]*)[)\]〕】」]\s*$")
"""What stands in brackets behind a status: 定住者（日系三世）, 特定技能1号（介護）."""
_CHANGED_FROM = re.compile("(?P<former>.+)(?:から|より)の?変更")
_NUMBERED = ("特定技能", "高度専門職", "技能実習")


def _normalise(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).replace("･", "・").replace(" ", "")
    if not text.startswith(_NUMBERED):
        return text
    for old, new in (("第", ""), ("一号", "1号"), ("二号", "2号"), ("三号", "3号"), ("(", ""), (")", "")):
        text = text.replace(old, new)
    return text


_NORMALISED = {_normalise(name): kind for name, kind in _BY_NAME.items()}
# Some sources name a status by its code. Source: domain notes 1.1, and 6, rule 7.
_NORMALISED |= {kind.code: kind for kind in _BY_NAME.values()}


@lru_cache(maxsize=256)
def status_kind(name: str) -> StatusKind | None:
    """The kind of a status by the name that a source prints, or its code; None for what is no status of residence.

    Provisional release, supervised measures, provisional stay and unknown names are None: nothing is
    concluded from them, nor from a status with words behind it that are not known.
    """
    text = unicodedata.normalize("NFKC", name).strip()
    if _normalise(text).startswith("特定活動"):
        return _designated(_normalise(text).removeprefix("特定活動"))
    qualifiers = []
    while (kind := _NORMALISED.get(_normalise(text))) is None:
        qualifier = _QUALIFIER.search(text)
        if qualifier is None:
            return None
        qualifiers.append(_normalise(qualifier[1]))
        text = text[: qualifier.start()]
    return kind if all(_leaves_as_is(kind, qualifier) for qualifier in qualifiers) else None


def _designated(qualifiers: str) -> StatusKind | None:
    match work_told(qualifiers):
        case None:
            return None
        case Work.NOT_ALLOWED:
            return _DESIGNATED_WITHOUT_WORK
    return _NORMALISED["特定活動"]


def _leaves_as_is(kind: StatusKind, qualifier: str) -> bool:
    """Whether a qualifier repeats the status, says from which it was changed, or is one of its kinds."""
    former = _CHANGED_FROM.fullmatch(qualifier)
    if former:
        return former["former"] in _NORMALISED
    return _NORMALISED.get(qualifier) == kind or is_known_qualifier(kind.code, qualifier, is_unlimited=kind.unlimited)
