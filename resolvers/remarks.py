"""What a tax certificate's remark (摘要) says about pay abroad.

Municipalities word it freely. What speaks of such pay without saying that it is included leaves it out: a figure
that lacks a part of the pay must not be confirmed as the income. Source: specification 9.8, income.
"""

import re
import unicodedata

_ABROAD = re.compile(r"国外|海外")
_PERHAPS_ABROAD = re.compile(r"外国(?!人|税|籍|為替|所得税)|本国|母国|在外|現地")
_PAY = re.compile(r"給|賃金|報酬|賞与|手当|収入|所得(?!税|控除)|払|分(?!納|離)")
_ONLY_AT_HOME = re.compile(r"(?:国内|日本)[^。]{0,12}(?:のみ|だけ|に限)")
_RELATIVES = re.compile(
    r"(?:国外|海外|外国|本国|母国|現地)?(?:に)?(?:居住|在住)?(?:する|している|の)?(?:控除対象)?(?:扶養)?"
    r"(?:親族|扶養|配偶者|家族)(?:の(?:国外|海外)?(?:所得|収入)|(?:特別)?控除|あり|有り?)*"
)
"""Relatives, where they live, their own income, and the deduction that is made for them."""

_MOVES = re.compile(r"転出|転入|転居|移住|出国|帰国|居住|在住|住所|滞在|渡航|赴任")
_DENIED = re.compile(
    r"未(?:反映|合算|算入|加算|計上|申告|含)|除|対象外|のみ|だけ|別途|(?:合算|反映|加算|算入)前"
    r"|(?:含|込|合算|反映|加算|算入|計上)[^。、]{0,8}?(?:な[いしく]|無|ず|ませ[んぬ])"
)
_INCLUDED = re.compile(r"含(?:む|み|ん|めて|まれ)|込み|(?:合算|算入|加算)(?:済|されて|して)|反映済")
_NOT_YET = re.compile(r"予定|待ち|後日|今後|要(?!件)|必要|見込")
_CLAUSE_ENDS = re.compile(r"[。、,.;・()\s]+")


def leaves_out_pay_abroad(remarks: str) -> bool:
    """Whether the remark says that pay abroad is not in the figure, or leaves that open."""
    plain = unicodedata.normalize("NFKC", remarks)
    clauses = [clause for written in _CLAUSE_ENDS.split(plain) for clause in _without_relatives(written)]
    clauses = [clause for clause in clauses if not _is_of_moves(clause)]
    if any(_is_of_pay_at_home_alone(clause) for clause in clauses):
        return True
    if not any(_speaks_of_pay_abroad(clause) for clause in clauses):
        return False
    told = "。".join(clauses)
    return bool(_DENIED.search(told) or _NOT_YET.search(told)) or _INCLUDED.search(told) is None


def _without_relatives(clause: str) -> list[str]:
    """What a clause says beside relatives, which counts where it is about pay abroad after all."""
    if _RELATIVES.search(clause) is None:
        return [clause]
    rest = [part for part in _RELATIVES.split(clause) if not _is_of_moves(part)]
    return rest if any(_speaks_of_pay_abroad(part) or _is_of_pay_at_home_alone(part) for part in rest) else []


def _is_of_pay_at_home_alone(clause: str) -> bool:
    return _ONLY_AT_HOME.search(clause) is not None and _PAY.search(clause) is not None


def _is_of_moves(clause: str) -> bool:
    """Of the person's moving, or of where somebody lives; not of pay."""
    return _MOVES.search(clause) is not None and _PAY.search(clause) is None and _DENIED.search(clause) is None


def _speaks_of_pay_abroad(clause: str) -> bool:
    if _ABROAD.search(clause):
        return True
    return _PERHAPS_ABROAD.search(clause) is not None and _PAY.search(clause) is not None
