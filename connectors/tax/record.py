"""The JSON of a completed application, read into a tax record."""

import unicodedata
from collections.abc import Mapping
from datetime import date

from connectors.errors import EvidenceInvalidError
from connectors.fields import check_not_after, parse_field, required_text
from connectors.japan import is_not_stated, parse_amount, parse_era_text, parse_era_year
from connectors.reply import Json, check_text
from connectors.tax.evidence import Instalment, TaxRecord

_INSTALMENT_STATES = frozenset({"未納", "納付済", "納期未到来", "一部納付", "分納", "猶予"})
_MAX_INSTALMENTS = 12


def text_of(answer: Mapping[str, Json], name: str) -> str:
    """The value of this name, which must be a text that is not empty."""
    value = answer.get(name)
    if not isinstance(value, str):
        raise EvidenceInvalidError(f"field {name} is missing or no text")
    return required_text(name, value)


def levy_year_of(answer: Mapping[str, Json]) -> int | None:
    """The year of 課税年度: `令和８年度` is 2026. None where it is not stated in a form that can be read."""
    try:
        return parse_era_year(_text_if_any(answer, "課税年度"), suffix="年度")
    except ValueError:
        return None


def record_of(answer: Mapping[str, Json], *, today: date) -> TaxRecord:
    """The record of a 完了 answer."""
    return TaxRecord(
        income_year=parse_field(
            "対象年", text_of(answer, "対象年"), lambda text: parse_era_year(text, suffix="年分")
        ),
        name=text_of(answer, "氏名"),
        date_of_birth=_birth_of(answer, today=today),
        address=text_of(answer, "住所"),
        salary_income_yen=parse_field("給与収入", _amount_text(answer, "給与収入"), parse_amount),
        collection=_text_if_any(answer, "徴収区分"),
        unpaid_yen=_unpaid_yen(answer),
        remarks=_optional_text(answer, "摘要"),
        instalments=_instalments(answer),
    )


def _birth_of(answer: Mapping[str, Json], *, today: date) -> date | None:
    """None where the municipality does not state it. One that cannot be read could be anybody's: invalid."""
    text = _optional_text(answer, "生年月日")
    if not text or is_not_stated(text):
        return None
    return check_not_after("生年月日", parse_field("生年月日", text, parse_era_text), today=today)


def _optional_text(answer: Mapping[str, Json], name: str) -> str:
    """The text of this name; "" where it is missing or null."""
    value = answer.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise EvidenceInvalidError(f"field {name} is no text")
    return parse_field(name, value, check_text)


def _text_if_any(answer: Mapping[str, Json], name: str) -> str:
    """The text of this name; "" where there is none that can be read."""
    try:
        return _optional_text(answer, name)
    except EvidenceInvalidError:
        return ""


def _amount_text(answer: Mapping[str, Json], name: str) -> str:
    """The text of an amount, which may come as a JSON number."""
    value = answer.get(name)
    if isinstance(value, float):
        return f"{value:.15g}"
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text_of(answer, name)


def _unpaid_yen(answer: Mapping[str, Json]) -> int | None:
    """None where the municipality does not state it in a form that can be read: not stated is never zero."""
    try:
        return parse_field("未納額", _amount_text(answer, "未納額"), parse_amount)
    except EvidenceInvalidError:
        return None


def _instalments(answer: Mapping[str, Json]) -> tuple[Instalment, ...]:
    """None of them where one cannot be read; nothing is concluded from them."""
    try:
        return _read_instalments(answer.get("期別") or [])
    except EvidenceInvalidError:
        return ()


def _read_instalments(listed: Json) -> tuple[Instalment, ...]:
    if not isinstance(listed, list) or len(listed) > _MAX_INSTALMENTS:
        raise EvidenceInvalidError("field 期別 is not a list of instalments")
    return tuple(_instalment(item) for item in listed)


def _instalment(item: Json) -> Instalment:
    if not isinstance(item, dict):
        raise EvidenceInvalidError("field 期別 is not a list of instalments")
    return Instalment(
        number=parse_field("期", text_of(item, "期"), _parse_number),
        due_on=parse_field("納期限", text_of(item, "納期限"), parse_era_text),
        status=parse_field("状態", text_of(item, "状態"), _parse_instalment_state),
    )


def _parse_instalment_state(text: str) -> str:
    if text not in _INSTALMENT_STATES:
        raise ValueError("not a documented state of an instalment")
    return text


def _parse_number(text: str) -> int:
    plain = unicodedata.normalize("NFKC", text)
    if not (plain.isascii() and plain.isdigit() and 1 <= int(plain[:3]) <= _MAX_INSTALMENTS):
        raise ValueError("not the number of an instalment")
    return int(plain)
