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
_RELATIVES = re.compile(r"親族|扶養|配偶者|家族")
_PAY_OF_RELATIVES = re.compile(r"給(?!付)|賃金|報酬|賞与")
"""Relatives have an income of their own and are sent money: only these words are about the person's pay."""

_MOVES = re.compile(r"転出|転入|転居|移住|出国|帰国|居住|在住|住所|滞在|渡航|赴任")
_DENIED = re.compile(
    r"未(?:反映|合算|算入|加算|計上|申告|含)|除|対象外|のみ|だけ|別途|(?:合算|反映|加算|算入)前"
    r"|(?:含|込|合算|反映|加算|算入|計上)[^。、]{0,8}?(?:な[いしく]|無|ず|ませ[んぬ])"
)
_INCLUDED = re.compile(r"含(?:む|み|ん|めて|まれ)|込み|合算|反映済|算入|加算")
_CLAUSE_ENDS = re.compile(r"[。、,.;・()\s]+")


def leaves_out_pay_abroad(remarks: str) -> bool:
    """Whether the remark says that pay abroad is not in the figure, or leaves that open."""
    plain = unicodedata.normalize("NFKC", remarks)
    clauses = [c for c in _CLAUSE_ENDS.split(plain) if not _is_of_relatives_or_moves(c)]
    if any(_ONLY_AT_HOME.search(clause) and _PAY.search(clause) for clause in clauses):
        return True
    if not any(_speaks_of_pay_abroad(clause) for clause in clauses):
        return False
    told = "。".join(clauses)
    return _DENIED.search(told) is not None or _INCLUDED.search(told) is None


def _is_of_relatives_or_moves(clause: str) -> bool:
    """Of relatives abroad, for whom a deduction is made, or of the person's moving; not of pay."""
    if _RELATIVES.search(clause):
        return _PAY_OF_RELATIVES.search(clause) is None
    return _MOVES.search(clause) is not None and _PAY.search(clause) is None and _DENIED.search(clause) is None


def _speaks_of_pay_abroad(clause: str) -> bool:
    if _ABROAD.search(clause):
        return True
    return _PERHAPS_ABROAD.search(clause) is not None and _PAY.search(clause) is not None
