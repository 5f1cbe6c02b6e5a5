"""For each authority: a person, a good reply about them, and the connector that asks for it."""

import json
import logging
import re
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime

from connectors.evidence import Evidence
from connectors.immigration.client import ImmigrationConnector
from connectors.insurance.client import InsuranceConnector
from connectors.interface import BindingLevel, Connector, EvidenceRequest, IdentityRecord, SourceAuthority
from connectors.labor.client import HEADER, LaborConnector
from connectors.restricted import Incident
from connectors.tax.client import TaxConnector
from connectors.transport import Transport
from tests.connectors.scripted import Step, reply
from tests.connectors.transports import reach

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 1, 0, tzinfo=UTC)
MAX_REPLY_BYTES = 256 * 1024
MY_NUMBER = "123456789018"  # has a valid check digit and is nobody's
APPLICATION = "26112000001"

PERSON = IdentityRecord(
    name="NGUYEN THI HUONG",
    names_kana=("グエン テイ フオン", "ホウ グエンティ"),
    alias=None,
    date_of_birth=date(1997, 5, 21),
    residence_card_number="ZZ20260001ZZ",
    card_expiry_on=date(2027, 9, 30),
    address_given="埼玉県川口市",
    tax_municipality="埼玉県川口市",
    identity_binding_level=BindingLevel.IC_VERIFIED,
)

IMMIGRATION_BODY = """<?xml version="1.0" encoding="UTF-8"?>
<Envelope><Body><ZairyuKekka><CardNo>ＺＺ２０２６０００１ＺＺ</CardNo><CardYukoKigen>20270930</CardYukoKigen>
<ShikkoFlg>0</ShikkoFlg><Shimei>NGUYEN THI HUONG</Shimei><SeinenYmd>H09.05.21</SeinenYmd>
<KokusekiChiiki>ベトナム</KokusekiChiiki><ZairyuShikaku>特定技能1号</ZairyuShikaku>
<MankiYmd>令和９年９月３０日</MankiYmd><JorikuYmd>2021/10/04</JorikuYmd><ShikakugaiKyoka>無</ShikakugaiKyoka>
<JukyochiMei>埼玉県川口市</JukyochiMei><Shinsei><Shubetsu>在留期間更新</Shubetsu>
<UketsukeYmd>R08.10.05</UketsukeYmd><Keitai>ONLINE</Keitai><UketsukeNo>東京支局-電-26-104417</UketsukeNo>
<Kekka></Kekka></Shinsei><ShiteiKikan><Meisho>みらい食品株式会社</Meisho><HojinNo>7999901000001</HojinNo>
</ShiteiKikan><DataJiten>R08.11.19</DataJiten></ZairyuKekka></Body></Envelope>"""

LABOR_ROW = (
    "雇入,ホウ　グエンティ,HUONG NGUYEN THI,4-090521,,ベトナム,特定技能1号,5-090930,ZZ20260001ZZ,2,,"
    "みらい食品株式会社,7999901000001,5-060917,,40,有期,242，000,5-081031,特記なし"
)
LABOR_LEFT_ROW = (
    "離職,ホウ　グエンティ,HUONG NGUYEN THI,4-090521,,ベトナム,特定技能1号,5-090930,zz20260001zz,2,,"
    "株式会社北斗精機,8999901000009,5-040401,5-060831,38.5,無期,＊＊＊＊＊,5-081015,"
)
LABOR_BODY = "".join(f"{line}\r\n" for line in (",".join(HEADER), LABOR_ROW, LABOR_LEFT_ROW))

TAX_BODY = json.dumps(
    {
        "受付番号": APPLICATION,
        "状態": "完了",
        "課税年度": "令和８年度",
        "対象年": "令和７年分",
        "氏名": "ＮＧＵＹＥＮ　ＴＨＩ　ＨＵＯＮＧ",
        "生年月日": "平成9年5月21日",
        "住所": "埼玉県川口市",
        "給与収入": "２，９０４，０００",
        "徴収区分": "普通徴収",
        "未納額": "８８，６００",
        "期別": [
            {"期": "１", "納期限": "令和8年6月30日", "状態": "未納"},
            {"期": "２", "納期限": "令和8年8月31日", "状態": "納付済"},
        ],
        "摘要": "国内払給与のみ",
        "理由": "なし",
    },
    ensure_ascii=False,
)
TAX_ACCEPTED = json.dumps({"受付番号": APPLICATION, "状態": "受付"}, ensure_ascii=False)

INSURANCE_BODY = """<?xml version="1.0" encoding="UTF-8"?>
<List><Hihokensha kisoNenkinNo=""><ShimeiKana>ｸﾞｴﾝ ﾃｲ ﾌｵﾝ</ShimeiKana><SeinenYmd>7090521</SeinenYmd>
<Kenpo>協会けんぽ</Kenpo><Tsuki from="202411" to="202610">..A2222222222222222L22*-</Tsuki>
<Soshitsu ymd="9081021"/><JigyoshoNofu hojinNo="6999901000010"><Okure tsuki="202606" kigen="20260731"
 nofu="20261023"/></JigyoshoNofu><TekiyoShomei kuni="DE" kikan="20241201-20291130"/></Hihokensha></List>"""


@dataclass(frozen=True)
class Source:
    """One authority in a test: its good reply, and how the reply changes."""

    authority: SourceAuthority
    body: str
    content_type: str
    encoding: str = "utf-8"
    first: tuple[Step, ...] = ()

    def __str__(self) -> str:
        return self.authority.value.lower()

    def steps(self, last: Step) -> tuple[Step, ...]:
        """The whole conversation, `last` being the reply that carries the record."""
        return (*self.first, last)

    def good(self) -> tuple[Step, ...]:
        return self.answer(self.body)

    def answer(self, body: str, *, status: int = 200) -> tuple[Step, ...]:
        return self.steps(reply(body.encode(self.encoding), self.content_type, status=status))

    def changed(self, old: str, new: str) -> str:
        """The good reply's text with one thing changed."""
        assert old in self.body, old
        return self.body.replace(old, new, 1)


_JSON = "application/json; charset=utf-8"
_XML = "application/xml; charset=utf-8"

IMMIGRATION = Source(SourceAuthority.IMMIGRATION, IMMIGRATION_BODY, _XML)
LABOR = Source(SourceAuthority.LABOR, LABOR_BODY, "text/csv; charset=cp932", encoding="cp932")
TAX = Source(SourceAuthority.TAX, TAX_BODY, _JSON, first=(reply(TAX_ACCEPTED.encode(), _JSON, status=202),))
INSURANCE = Source(SourceAuthority.INSURANCE, INSURANCE_BODY, _XML)
SOURCES = (IMMIGRATION, LABOR, TAX, INSURANCE)
TAX_APPLYING = replace(TAX, first=())  # the fault meets the application instead of the result

_CONNECTORS: dict[SourceAuthority, Callable[..., Connector[Evidence]]] = {
    SourceAuthority.IMMIGRATION: ImmigrationConnector,
    SourceAuthority.LABOR: LaborConnector,
    SourceAuthority.TAX: TaxConnector,
    SourceAuthority.INSURANCE: InsuranceConnector,
}


def make_connector(
    authority: SourceAuthority,
    base_url: str,
    incidents: list[Incident],
    *,
    over: Callable[[str], Transport] = reach,
) -> Connector[Evidence]:
    """The authority's connector over the real transport, with the tests' day and clock."""
    polling = {"poll_seconds": 0.01} if authority is SourceAuthority.TAX else {}
    return _CONNECTORS[authority](
        over(base_url),
        report=incidents.append,
        now=lambda: NOW,
        today=lambda: TODAY,
        max_reply_bytes=MAX_REPLY_BYTES,
        **polling,
    )


@dataclass
class Asked:
    """What came of asking: evidence or an error, and the incidents."""

    evidence: Evidence | None
    error: Exception | None
    incidents: list[Incident]


async def ask(
    source: Source,
    base_url: str,
    *,
    identity: IdentityRecord = PERSON,
    deadline_seconds: float = 5.0,
) -> Asked:
    """Ask once and close the connector."""
    incidents: list[Incident] = []
    connector = make_connector(source.authority, base_url, incidents)
    try:
        evidence = await connector.fetch(EvidenceRequest(identity), deadline_seconds=deadline_seconds)
        return Asked(evidence, None, incidents)
    except Exception as error:
        logging.getLogger("test").exception("the fetch failed")  # with a traceback, as an operator's log might
        return Asked(None, error, incidents)
    finally:
        await connector.close()


def all_text(evidence: Evidence | None) -> str:
    """Everything that the evidence holds, as text."""
    return "" if evidence is None else repr(asdict(evidence))


def digits_of(text: str) -> str:
    """The digits of the text in half width, everything else left out."""
    return re.sub(r"[^0-9]", "", unicodedata.normalize("NFKC", text))
