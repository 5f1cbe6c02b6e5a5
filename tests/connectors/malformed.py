"""For each authority: replies that break its format, replies about others, and places for a planted number."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.labor.client import HEADER
from tests.connectors.sources import (
    APPLICATION,
    IMMIGRATION,
    INSURANCE,
    LABOR,
    LABOR_LEFT_ROW,
    LABOR_ROW,
    TAX,
    TAX_BODY,
    Source,
)

Json = Any  # Any: a JSON document as a test writes it


def _case(source: Source, name: str, second: object) -> Any:  # Any: pytest's ParameterSet is not public
    return pytest.param(source, second, id=f"{source}-{name}")


def _edits(source: Source, table: dict[str, tuple[str, str]]) -> list[Any]:
    return [_case(source, name, source.changed(old, new)) for name, (old, new) in table.items()]


def _bodies(source: Source, table: dict[str, str | bytes]) -> list[Any]:
    return [_case(source, name, body) for name, body in table.items()]


def _element(name: str) -> str:
    """The whole element of this name in the good immigration reply."""
    start = IMMIGRATION.body.index(f"<{name}>")
    return IMMIGRATION.body[start : IMMIGRATION.body.index(f"</{name}>") + len(f"</{name}>")]


_ANY: dict[str, str | bytes] = {
    "empty": b"",
    "null": b"null",
    "number": b"1",
    "nul-bytes": b"\0" * 100,
    "random": bytes(range(256)),
    "utf16-bom": b"\xff\xfe<\0x\0>\0",
}
_ANY_XML: dict[str, str | bytes] = {
    "not-closed": b"<Envelope><Body>",
    "two-roots": b"<List/><List/>",
    "wrong-root": b"<Other/>",
    "bad-utf8": b"<?xml version='1.0' encoding='UTF-8'?><List>\xff\xfe</List>",
    "unknown-encoding": b"<?xml version='1.0' encoding='x-nonsense'?><List/>",
    "doctype": b"<!DOCTYPE List><List/>",
    "entity": b'<!DOCTYPE List [<!ENTITY a "b">]><List>&a;</List>',
    "external-entity": b'<!DOCTYPE List [<!ENTITY a SYSTEM "file:///etc/passwd">]><List>&a;</List>',
    "deep": b"<a>" * 30_000 + b"</a>" * 30_000,
    "json": b"{}",
}
_FIELDS = (
    "CardNo",
    "CardYukoKigen",
    "ShikkoFlg",
    "Shimei",
    "SeinenYmd",
    "ZairyuShikaku",
    "MankiYmd",
    "JorikuYmd",
    "ShikakugaiKyoka",
    "JukyochiMei",
    "Shinsei",
    "DataJiten",
    "Shubetsu",
    "UketsukeYmd",
    "Kekka",
    "Meisho",
    "HojinNo",
)
_MAY_BE_MISSING = {
    *("JorikuYmd", "ShikakugaiKyoka", "JukyochiMei", "DataJiten"),
    *("Shubetsu", "UketsukeYmd", "Meisho", "HojinNo"),
}
_RESIDENCE = _element("ZairyuKekka")
_IMMIGRATION = [
    *_bodies(IMMIGRATION, _ANY | _ANY_XML),
    *(
        _case(IMMIGRATION, f"without-{name}", IMMIGRATION.changed(_element(name), ""))
        for name in _FIELDS
        if name not in _MAY_BE_MISSING
    ),
    *(
        _case(IMMIGRATION, f"two-{name}", IMMIGRATION.changed(_element(name), _element(name) * 2))
        for name in _FIELDS
        if name != "Shinsei"
    ),
    *_edits(
        IMMIGRATION,
        {
            "valid-until-is-no-day": ("20270930", "20270931"),
            "valid-until-in-words": ("20270930", "来年"),
            "flag-false": ("<ShikkoFlg>0", "<ShikkoFlg>false"),
            "flag-2": ("<ShikkoFlg>0", "<ShikkoFlg>2"),
            "empty-name": ("NGUYEN THI HUONG", "　"),
            "name-with-elements": ("NGUYEN THI HUONG", "<b>NGUYEN</b>"),
            "name-with-control-character": ("NGUYEN THI HUONG", "NGUYEN\x85HUONG"),
            "birth-in-the-future": ("H09.05.21", "R09.05.21"),
            "birth-in-pension-digits": ("H09.05.21", "7090521"),
            "birth-in-labor-digits": ("H09.05.21", "4-090521"),
            "era-year-zero": ("H09.05.21", "H00.05.21"),
            "mixed-separators": ("H09.05.21", "H09.05/21"),
            "stay-with-seven-asterisks": ("令和９年９月３０日", "*******"),
            "stay-empty": ("令和９年９月３０日", ""),
            "stay-in-an-unknown-era": ("令和９年９月３０日", "慶応９年９月３０日"),
            "as-of-in-the-future": ("R08.11.19", "R08.11.21"),
            "two-bodies": ("</Body>", "</Body><Body/>"),
            "namespace": ("<Envelope>", '<Envelope xmlns="urn:x">'),
            "fault-beside-a-record": ("<ZairyuKekka>", "<Fault><Code>ZE0012</Code></Fault><ZairyuKekka>"),
        },
    ),
    *_bodies(
        IMMIGRATION,
        {
            "no-record": "<Envelope><Body/></Envelope>",
            "undocumented-fault": "<Envelope><Body><Fault><Code>ZE5555</Code></Fault></Body></Envelope>",
            "fault-without-a-code": "<Envelope><Body><Fault/></Body></Envelope>",
        },
    ),
]


def _row(**cells: str) -> str:
    """The good labor reply with cells of the first row changed."""
    parts = dict(zip(HEADER, LABOR_ROW.split(","), strict=True)) | cells
    return LABOR.changed(LABOR_ROW, ",".join(parts.values()))


_LABOR = [
    *_bodies(LABOR, _ANY),
    *_bodies(
        LABOR,
        {
            "no-header": LABOR.changed(",".join(HEADER) + "\r\n", ""),
            "other-order": LABOR.changed("フリガナ,氏名", "氏名,フリガナ"),
            "column-missing": LABOR.changed(",備考", ""),
            "column-more": LABOR.changed(",備考", ",備考,その他"),
            "row-short": LABOR.changed(LABOR_LEFT_ROW, LABOR_LEFT_ROW.rsplit(",", 1)[0]),
            "row-long": LABOR.changed(LABOR_LEFT_ROW, LABOR_LEFT_ROW + ",x"),
            "two-blank-lines": LABOR.body + "\r\n\r\n",
            "blank-line-between": LABOR.changed(LABOR_LEFT_ROW, f"\r\n{LABOR_LEFT_ROW}"),
            "blank-line-of-spaces": LABOR.body + " \r\n",
            "cut-in-a-row": LABOR.body[:-40],
            "cut-before-the-last-line-end": LABOR.body[:-2],
            "cut-in-the-last-line-end": LABOR.body[:-1],
            "quote-left-open": LABOR.changed("HUONG NGUYEN THI", '"HUONG NGUYEN THI'),
            "utf8": LABOR.body.encode(),
            "header-only-without-line-end": ",".join(HEADER),
            "unknown-kind": _row(届出区分="変更"),
            "no-name": _row(氏名=""),
            "no-employer": _row(事業所名=""),
            "no-card": _row(在留カード番号=""),
            "birth-empty": _row(生年月日=""),
            "birth-in-pension-digits": _row(生年月日="7090521"),
            "birth-with-an-unknown-digit": _row(生年月日="9-090521"),
            "birth-is-no-day": _row(生年月日="4-090231"),
            "birth-in-the-future": _row(生年月日="5-090521"),
            "hired-without-a-day": _row(雇入年月日=""),
            "left-without-a-day": _row(届出区分="離職"),
            "hours-negative": _row(週所定労働時間="-1"),
            "hours-beyond-a-week": _row(週所定労働時間="169"),
            "hours-in-words": _row(週所定労働時間="四十"),
            "hours-not-a-number": _row(週所定労働時間="nan"),
            "wage-negative": _row(賃金月額="-242"),
            "wage-with-a-unit": _row(賃金月額="24万円"),
            "wage-with-a-comma-astray": _row(賃金月額="24，2000"),
            "wage-beyond-belief": _row(賃金月額="9223372036854775808"),
            "corporate-number": _row(法人番号="79999010000"),
            "as-of-empty": _row(データ時点=""),
            "as-of-in-the-future": _row(データ時点="5-081121"),
        },
    ),
]


def _tax(**changes: Json) -> str:
    """The good tax reply with members changed; `...` takes a member out."""
    answer = json.loads(TAX_BODY) | changes
    return json.dumps({name: value for name, value in answer.items() if value is not ...}, ensure_ascii=False)


_TAX_REQUIRED = ("状態", "対象年", "氏名", "住所", "給与収入")
_TAX_TEXTS = ("状態", "対象年", "氏名", "住所", "生年月日", "摘要")
_TAX = [
    *_bodies(TAX, _ANY),
    *(_case(TAX, f"without-{name}", _tax(**{name: ...})) for name in _TAX_REQUIRED),
    *(_case(TAX, f"null-{name}", _tax(**{name: None})) for name in _TAX_REQUIRED),
    *(_case(TAX, f"number-{name}", _tax(**{name: 8})) for name in _TAX_TEXTS),
    *(_case(TAX, f"empty-{name}", _tax(**{name: ""})) for name in _TAX_REQUIRED),
    *_bodies(
        TAX,
        {
            "array": "[]",
            "two-objects": TAX_BODY + TAX_BODY,
            "cut": TAX_BODY[:-1],
            "byte-order-mark": b"\xef\xbb\xbf" + TAX_BODY.encode(),
            "cp932": TAX_BODY.encode("cp932"),
            "duplicate-name": TAX.changed("{", '{"未納額": "０", '),
            "duplicate-name-inside": TAX.changed('{"期": "１"', '{"期": "１", "期": "２"'),
            "not-a-number": TAX.changed('"８８，６００"', "NaN"),
            "income-not-a-whole-number": _tax(給与収入=2904000.5),
            "income-of-truth": _tax(給与収入=True),
            "infinity": TAX.changed('"なし"', "1e999"),
            "deep": '{"a":' * 30_000 + "1" + "}" * 30_000,
            "deep-but-parsable": TAX.changed('"なし"', "[" * 200 + "]" * 200),
            "endless-integer": TAX.changed('"なし"', "9" * 5000),
            "half-a-character": TAX.changed("埼玉県川口市", "\\ud800"),
            "control-character": TAX.changed("埼玉県川口市", "\\u0000"),
            "application-number-empty": _tax(受付番号=""),
            "income-year-as-levy-year": _tax(対象年="令和７年度"),
            "birth-in-digits": _tax(生年月日="7090521"),
            "birth-in-the-future": _tax(生年月日="令和9年5月21日"),
            "income-negative": _tax(給与収入="－２，９０４，０００"),
            "income-in-man-yen": _tax(給与収入="２９０万"),
            "income-as-text-of-a-float": _tax(給与収入="2904000.5"),
            "income-beyond-belief": _tax(給与収入="9223372036854775808"),
        },
    ),
]

_INSURED = INSURANCE.body[INSURANCE.body.index("<Hihokensha") : INSURANCE.body.index("</List>")]
_INSURANCE = [
    *_bodies(INSURANCE, _ANY | _ANY_XML),
    *_edits(
        INSURANCE,
        {
            "no-name": ("<ShimeiKana>ｸﾞｴﾝ ﾃｲ ﾌｵﾝ</ShimeiKana>", ""),
            "empty-name": ("ｸﾞｴﾝ ﾃｲ ﾌｵﾝ", ""),
            "no-birth": ("<SeinenYmd>7090521</SeinenYmd>", ""),
            "birth-in-labor-digits": ("7090521", "4-090521"),
            "birth-with-an-unknown-digit": ("7090521", "4090521"),
            "birth-western": ("7090521", "19970521"),
            "birth-in-the-future": ("7090521", "9090521"),
            "no-scheme": ("<Kenpo>協会けんぽ</Kenpo>", ""),
            "two-schemes": ("</Kenpo>", "</Kenpo><Kenpo>国保</Kenpo>"),
            "no-months": ('<Tsuki from="202411" to="202610">..A2222222222222222L22*-</Tsuki>', ""),
            "month-13": ("202411", "202413"),
            "months-do-not-agree": ("202411", "202410"),
            "months-backwards": ('from="202411"', 'from="202711"'),
            "no-first-month": ('from="202411"', ""),
            "month-code-of-a-space": ("..A2", "..A 2"),
            "month-code-too-many": ("..A2", "..AA2"),
            "lost-day": ("9081021", "9081032"),
            "lost-day-missing": ('ymd="9081021"', ""),
            "late-month": ('tsuki="202606"', 'tsuki="2026-06"'),
            "late-month-missing": ('tsuki="202606"', ""),
        },
    ),
    _case(INSURANCE, "six-records", INSURANCE.changed(_INSURED, _INSURED * 6)),
]

MALFORMED = [*_IMMIGRATION, *_LABOR, *_TAX, *_INSURANCE]

WRONG_PERSONS = [
    _case(IMMIGRATION, "two-records-for-one-card", IMMIGRATION.changed(_RESIDENCE, _RESIDENCE * 2)),
    _case(IMMIGRATION, "an-empty-record-beside-it", IMMIGRATION.changed(_RESIDENCE, _RESIDENCE + "<ZairyuKekka/>")),
    _case(IMMIGRATION, "other-card", IMMIGRATION.changed("ＺＺ２０２６０００１ＺＺ", "ＺＺ２０２６０００２ＺＺ")),
    _case(LABOR, "one-row-for-another-card", LABOR.changed("zz20260001zz", "zz20260002zz")),
    _case(TAX, "other-application", TAX.changed(APPLICATION, "26112000002")),
    _case(TAX, "several-people", _tax(状態="複数該当")),
    _case(INSURANCE, "other-birth-date", INSURANCE.changed("7090521", "7090522")),
    _case(INSURANCE, "other-name", INSURANCE.changed("ｸﾞｴﾝ ﾃｲ ﾌｵﾝ", "ﾗﾏﾝ ｱｼｸﾙ")),
    _case(
        INSURANCE,
        "one-of-two-records",
        INSURANCE.changed(_INSURED, _INSURED + _INSURED.replace("7090521", "7090522")),
    ),
]


def _in_place_of(source: Source, old: str, new: str) -> Callable[[str], str]:
    return lambda number: source.changed(old, new.replace("@", number))


def _in_cell(column: str) -> Callable[[str], str]:
    return lambda number: _row(**{column: number})


def _in_member(name: str, value: Json) -> Callable[[str], str]:
    """The good tax reply with a member in whose text, at any depth, `@` is the number."""
    return lambda number: _tax(**{name: json.loads(json.dumps(value).replace("@", number))})


def _as_json_number(text: str) -> Callable[[str], str]:
    return lambda _: TAX.changed('"理由": "なし"', f'"理由": {text}')


_PLACES: list[tuple[Source, dict[str, Callable[[str], str]]]] = [
    (
        IMMIGRATION,
        {
            "name": _in_place_of(IMMIGRATION, "NGUYEN THI HUONG", "NGUYEN @"),
            "status": _in_place_of(IMMIGRATION, "特定技能1号", "特定技能 @"),
            "address": _in_place_of(IMMIGRATION, "埼玉県川口市", "埼玉県 @ 川口市"),
            "organisation": _in_place_of(IMMIGRATION, "みらい食品株式会社", "みらい食品(@)"),
            "result": _in_place_of(IMMIGRATION, "<Kekka>", "<Kekka>@"),
            "field-never-read": _in_place_of(IMMIGRATION, "ベトナム", "@"),
            "unknown-element": _in_place_of(IMMIGRATION, "<DataJiten>", "<Biko><A>@</A></Biko><DataJiten>"),
            "unknown-attribute": _in_place_of(IMMIGRATION, "<ShikkoFlg>", '<ShikkoFlg memo="@">'),
            "between-elements": _in_place_of(IMMIGRATION, "<DataJiten>", "@<DataJiten>"),
            "where-a-date-belongs": _in_place_of(IMMIGRATION, "20270930", "@"),
        },
    ),
    (
        LABOR,
        {
            column: _in_cell(column)
            for column in ("氏名", "フリガナ", "国籍・地域", "事業所名", "雇用形態", "備考", "賃金月額", "生年月日")
        },
    ),
    (
        TAX,
        {
            "name": _in_member("氏名", "ＮＧＵＹＥＮ　@"),
            "address": _in_member("住所", "埼玉県 @"),
            "remarks": _in_member("摘要", "個人番号@あり"),
            "income": _in_member("給与収入", "@"),
            "unknown-member": _in_member("備考", "@"),
            "unknown-depth": _in_member("備考", [{"a": [1, {"b": "@"}]}]),
            "member-name": _in_member("備考", {"@": True}),
        },
    ),
    (
        INSURANCE,
        {
            "name": _in_place_of(INSURANCE, "ｸﾞｴﾝ ﾃｲ ﾌｵﾝ", "ｸﾞｴﾝ @"),
            "scheme": _in_place_of(INSURANCE, "協会けんぽ", "協会けんぽ @"),
            "unknown-element": _in_place_of(INSURANCE, "<Kenpo>", "<Biko>@</Biko><Kenpo>"),
            "unknown-attribute": _in_place_of(INSURANCE, "<Kenpo>", '<Kenpo memo="@">'),
            "field-never-read": _in_place_of(INSURANCE, 'kuni="DE"', 'kuni="@"'),
        },
    ),
]

PLANTS = [_case(source, name, plant) for source, places in _PLACES for name, plant in places.items()]

JSON_NUMBERS = [
    pytest.param(_as_json_number(text), id=text)
    for text in ("123456789018", "123456789018.0", "1.23456789018e11", "-123456789018", "[0, {}, 123456789018]")
]
