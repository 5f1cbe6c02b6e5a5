"""A folder of people whose every fact is found nowhere else, with restricted numbers in every free text."""

import json
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from connectors.labor.client import HEADER
from connectors.restricted import is_my_number

CORPORATE = ("7999901000001", "6999901000002", "5999901000003")
LETTERS = "ABC"
KANA = "アイウ"


@dataclass(frozen=True, slots=True)
class CanaryPerson:
    """One person. `facts` may be kept sealed; `never` may not even be kept; `restricted` may be nowhere at all."""

    id: str
    identity: dict[str, Any]
    facts: tuple[str, ...]
    never: tuple[str, ...]
    restricted: tuple[str, ...]
    files: dict[str, str] = field(repr=False)


def make_people() -> list[CanaryPerson]:
    return [_person(number) for number in range(len(LETTERS))]


def write_folder(folder: Path, people: Iterable[CanaryPerson]) -> None:
    """The five record files of a folder of people."""
    people = list(people)
    folder.mkdir()
    listed = {"clock": "2026-11-20T09:00:00+09:00", "people": [person.identity for person in people]}
    (folder / "people.json").write_text(json.dumps(listed, ensure_ascii=False), encoding="utf-8")
    for name in ("immigration.xml", "insurance.xml"):
        records = "\n".join(person.files[name] for person in people)
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<List>\n{records}\n</List>\n'
        (folder / name).write_text(text, encoding="utf-8")
    rows = "\n".join([",".join(HEADER), *(person.files["labor.csv"] for person in people)])
    (folder / "labor.csv").write_bytes((rows + "\n").encode("cp932"))
    lines = "\n".join(person.files["tax.jsonl"] for person in people)
    (folder / "tax.jsonl").write_text(lines + "\n", encoding="utf-8")


def _person(number: int) -> CanaryPerson:
    letter, kana = LETTERS[number], KANA[number]
    name, alias = f"QXVEL{letter}ZORN TAMBRIK{letter}", f"QXALIAS{letter} HOSHIZORA"
    names_kana = f"クスベラ{kana}ン タムブリ{kana}"
    card, born_on = f"QX2026009{number}ZQ", f"1991-03-1{number}"
    town, employer, declared = f"群馬県水晶{kana}市", f"瑠璃{kana}工房株式会社", f"玻璃{kana}商店"
    remark, tax_remark = f"琥珀{kana}備考", f"珊瑚{kana}摘要"
    country, sex = f"架空{kana}国", f"秘匿{kana}"
    wage, income = 1_243_517 + number, 12_904_127 + number
    my_number, pension, insured = _my_number(number), f"9901-00009{number}", f"5001-20269{number}-7"
    hidden = f"個人番号{my_number}、{my_number[:4]}-{my_number[4:8]}-{my_number[8:]}、年金{pension}、雇保{insured}"
    identity: dict[str, Any] = {
        "id": f"K0{number}",
        "name": name,
        "names_kana": [names_kana],
        "alias": alias,
        "date_of_birth": born_on,
        "residence_card_number": card,
        "card_expiry_on": "2028-04-12",
        "address_given": f"{town}月影町",
        "tax_municipality": town,
        "identity_binding_level": "IC_VERIFIED",
        "declared_employment": {"employed": True, "employer": declared, "started_on": "2024-04-01"},
        "asks": {"tenancy": {"rent_jpy_per_month": 62000}},
    }
    files = {
        "immigration.xml": (
            f"<ZairyuKekka><CardNo>{_wide(card)}</CardNo><CardYukoKigen>20280412</CardYukoKigen>"
            f"<ShikkoFlg>0</ShikkoFlg><Shimei>{name}</Shimei><SeinenYmd>H03.03.1{number}</SeinenYmd>"
            f"<KokusekiChiiki>{country}</KokusekiChiiki><ZairyuShikaku>技術・人文知識・国際業務</ZairyuShikaku>"
            "<MankiYmd>令和１０年４月１２日</MankiYmd><JorikuYmd>2020/04/10</JorikuYmd>"
            f"<ShikakugaiKyoka>無</ShikakugaiKyoka><JukyochiMei>{town}{escape(hidden)}</JukyochiMei>"
            "<Shinsei><Shubetsu>在留期間更新</Shubetsu><UketsukeYmd>R08.10.05</UketsukeYmd><Keitai>ONLINE</Keitai>"
            f"<UketsukeNo>{remark}{hidden}</UketsukeNo><Kekka></Kekka></Shinsei>"
            f"<ShiteiKikan><Meisho>{employer}{hidden}</Meisho><HojinNo>{CORPORATE[number]}</HojinNo></ShiteiKikan>"
            f"<Biko>{remark}{hidden}</Biko><DataJiten>R08.11.19</DataJiten></ZairyuKekka>"
        ),
        "insurance.xml": (
            f'<Hihokensha kisoNenkinNo="{pension}"><ShimeiKana>{names_kana}</ShimeiKana>'
            f"<SeinenYmd>703031{number}</SeinenYmd><Kenpo>協会けんぽ{hidden}</Kenpo>"
            f'<Tsuki from="202411" to="202610">{"2" * 23}-</Tsuki><Biko>{remark}{hidden}</Biko></Hihokensha>'
        ),
        "labor.csv": ",".join(
            [
                *("雇入", names_kana, name, f"4-03031{number}", sex, country, "技術・人文知識・国際業務"),
                *("5-100412", card, "2", insured, f"{employer}{hidden}", CORPORATE[number], "5-030405", "", "40"),
                *(f"無期{hidden}", _amount(wage).replace(",", "，"), "5-081031", f"{remark}{hidden}"),
            ]
        ),
        "tax.jsonl": json.dumps(
            {
                "person": f"K0{number}",
                "status": 200,
                "content_type": "application/json; charset=utf-8",
                "json": {
                    "受付番号": "1",
                    "状態": "完了",
                    "課税年度": "令和８年度",
                    "対象年": "令和７年分",
                    "氏名": _wide(name),
                    "生年月日": f"平成3年3月1{number}日",
                    "住所": f"{town}{hidden}",
                    "給与収入": _wide(_amount(income)),
                    "徴収区分": "特別徴収",
                    "未納額": "０",
                    "摘要": f"{tax_remark}{hidden}",
                },
            },
            ensure_ascii=False,
        ),
    }
    return CanaryPerson(
        id=identity["id"],
        identity=identity,
        facts=(
            *(*name.split(), alias.split()[0], *names_kana.split(), card, born_on, town, employer, declared),
            *(CORPORATE[number], tax_remark, str(wage), _amount(wage), str(income), _amount(income)),
        ),
        never=(remark, country, sex),
        restricted=(my_number, f"{my_number[:4]}-{my_number[4:8]}-{my_number[8:]}", pension, insured),
        files=files,
    )


def _my_number(number: int) -> str:
    start = 29450718_300 + number * 7
    return next(f"{start}{digit}" for digit in range(10) if is_my_number(f"{start}{digit}"))


def _amount(yen: int) -> str:
    return f"{yen:,}"


def _wide(text: str) -> str:
    """ASCII as full-width characters."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else "\u3000" if c == " " else c for c in text)


def encodings(canary: str) -> Iterator[bytes]:
    """The ways in which a canary could stand in a file."""
    plain = unicodedata.normalize("NFKC", canary)
    for text in {canary, plain, _wide(plain), canary.lower()}:
        yield text.encode("utf-8")
        yield text.encode("utf-16-le")
        yield (
            text.encode("cp932", "ignore")
            if text.encode("cp932", "ignore").decode("cp932") == text
            else text.encode()
        )
        yield json.dumps(text).strip('"').encode()
        yield str(text.encode("utf-8"))[2:-1].encode()
        yield text.encode("utf-8").hex().encode()


def found_in(body: bytes, canaries: Iterable[str]) -> list[str]:
    """The canaries that stand in these bytes, in whatever encoding."""
    return sorted({canary for canary in canaries for encoded in encodings(canary) if encoded in body})
